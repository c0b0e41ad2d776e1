// SPDX-License-Identifier: BSD-3-Clause
//
// Whom to ask: the network's forwarders with their domains, and the host's resolvers from /etc/resolv.conf.
// Pure values, and one small class that watches the file. Control thread.
#pragma once

#include "dataplane/wire/addr.h"
#include "dns/name.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace weft::dns {

struct Server {
  wire::IpAddress address;
  uint16_t port = 53;
  std::string scope;  // interface of a link-local IPv6 address, else empty
  auto operator<=>(const Server&) const = default;
};

inline constexpr size_t kMaxResolvConfServers = 16;

/// The `nameserver` lines of a resolv.conf in order, without doubles; all else is skipped, as is a line that
/// holds no address. Never fails; at most 16 servers.
std::vector<Server> parse_resolv_conf(std::string_view text);

/// The servers of a resolv.conf, read again when it has changed (looked at once a second at most).
class ResolvConf {
 public:
  explicit ResolvConf(std::string path) : path_(std::move(path)) {}
  /// Empty when the file is absent or names none.
  const std::vector<Server>& servers(uint64_t now_ms);

 private:
  std::string path_;
  bool looked_ = false;
  uint64_t looked_ms_ = 0;
  struct stat seen_ {};
  std::vector<Server> servers_;
};

/// One `forwarders` entry. Domain and address: names at and below the domain go there. Address alone: all
/// names. Domain alone: these names go to the standard servers instead (the plain forwarders, else the host's
/// resolvers).
struct ForwardRule {
  std::string domain;  // "" = none
  std::optional<wire::IpAddress> address;
  uint16_t port = 53;
};

/// The forwarders of one network, ready to choose from.
class ForwardRules {
 public:
  ForwardRules() = default;
  explicit ForwardRules(const std::vector<ForwardRule>& rules);

  /// The servers for `name` in the order to try them: those of the most specific domain that holds it, else
  /// the plain forwarders, else `host`.
  [[nodiscard]] std::vector<Server> select(const Name& name, const std::vector<Server>& host) const;

 private:
  struct Domain {
    Name name;
    std::vector<Server> servers;  // empty: the standard servers
  };
  std::vector<Domain> domains_;  // most labels first
  std::vector<Server> plain_;
};

}  // namespace weft::dns
