// SPDX-License-Identifier: BSD-3-Clause
#include "dns/servers.h"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace weft::dns {
namespace {

constexpr std::string_view kBlank = " \t\r\f\v";
constexpr size_t kMaxFile = 65536;  // bytes of a resolv.conf we look at

/// Takes the next word off `line`; empty at the end.
std::string_view next_word(std::string_view& line) noexcept {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

std::optional<Server> parse_server(std::string_view word) {
  const size_t percent = word.find('%');
  const auto address = wire::IpAddress::parse(word.substr(0, percent));
  if (!address) return std::nullopt;
  Server server{.address = *address};
  if (percent == std::string_view::npos) return server;
  const std::string_view scope = word.substr(percent + 1);
  if (address->is_v4() || scope.empty() || scope.size() > 15) return std::nullopt;  // IFNAMSIZ with its zero: 16
  server.scope = scope;
  return server;
}

}  // namespace

std::vector<Server> parse_resolv_conf(std::string_view text) {
  std::vector<Server> servers;
  text = text.substr(0, kMaxFile);
  while (!text.empty() && servers.size() < kMaxResolvConfServers) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (next_word(line) != "nameserver") continue;
    const auto server = parse_server(next_word(line));
    if (server && std::find(servers.begin(), servers.end(), *server) == servers.end()) servers.push_back(*server);
  }
  return servers;
}

const std::vector<Server>& ResolvConf::servers(uint64_t now_ms) {
  if (looked_ && now_ms - looked_ms_ < 1000) return servers_;
  looked_ms_ = now_ms;
  struct stat now {};
  if (stat(path_.c_str(), &now) != 0 || !S_ISREG(now.st_mode)) {
    looked_ = true;
    servers_.clear();
    seen_ = {};
    return servers_;
  }
  const bool same = looked_ && now.st_ino == seen_.st_ino && now.st_dev == seen_.st_dev &&
                    now.st_size == seen_.st_size && now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
                    now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec;
  looked_ = true;
  if (same) return servers_;
  seen_ = now;
  std::ifstream in(path_, std::ios::binary);
  std::string text(kMaxFile, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  servers_ = parse_resolv_conf(std::string_view(text).substr(0, static_cast<size_t>(in.gcount())));
  return servers_;
}

ForwardRules::ForwardRules(const std::vector<ForwardRule>& rules) {
  for (const ForwardRule& rule : rules) {
    if (rule.domain.empty()) {
      if (rule.address) plain_.push_back({.address = *rule.address, .port = rule.port});
      continue;
    }
    const auto name = Name::from_text(rule.domain);
    if (!name) continue;  // the configuration has refused it before
    auto it = std::find_if(domains_.begin(), domains_.end(), [&](const Domain& d) { return d.name == *name; });
    if (it == domains_.end()) it = domains_.insert(domains_.end(), Domain{name->lower(), {}});
    if (rule.address) it->servers.push_back({.address = *rule.address, .port = rule.port});
  }
  std::stable_sort(domains_.begin(), domains_.end(),
                   [](const Domain& a, const Domain& b) { return a.name.n_labels() > b.name.n_labels(); });
}

std::vector<Server> ForwardRules::select(const Name& name, const std::vector<Server>& host) const {
  for (const Domain& domain : domains_) {
    if (!name.is_under(domain.name)) continue;
    if (!domain.servers.empty()) return domain.servers;
    break;  // exempt from the other forwarders' domains
  }
  return plain_.empty() ? host : plain_;
}

}  // namespace weft::dns
