// SPDX-License-Identifier: BSD-3-Clause
//
// What the host has: its links and its own IPv4 addresses, followed by rtnetlink in the network namespace the
// monitor was made in. Runs on the control thread's Asio loop. Needed to take an uplink's netdev when it
// appears ("waiting for eth0"), to share the host's own address, and to know which addresses of the gateway's
// MAC are the host's.
#pragma once

#include "dataplane/wire/addr.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace weft::vswitch {

struct HostLink {
  int index = 0;
  bool is_up = false;    // administratively up and with carrier (IFF_UP and IFF_LOWER_UP)
  wire::MacAddress mac;  // zero when it has none of six bytes
  uint32_t mtu = 0;

  bool operator==(const HostLink&) const noexcept = default;
};

struct HostAddress {
  int index = 0;             // of the link
  std::string link;          // its name; empty when it is just going away
  wire::Ipv4Prefix address;  // the local address with its prefix length

  bool operator==(const HostAddress&) const noexcept = default;
};

struct HostState {
  std::map<std::string, HostLink> links;  // by name
  std::vector<HostAddress> addresses;     // ordered by address, then link

  /// Whether `address` is one of the host's own (127.0.0.0/8 counts as a whole).
  [[nodiscard]] bool is_local(wire::Ipv4Address address) const noexcept;
  bool operator==(const HostState&) const noexcept = default;
};

class NetlinkMonitor {
 public:
  /// Called on the loop, first with the initial state, then after changes: once for all that the kernel had
  /// to tell at that moment, and only when the state differs from the one reported last.
  using Callback = std::function<void(const HostState&)>;

  /// Opens the socket in the calling thread's network namespace. Throws std::system_error. The initial state
  /// is read on the loop, not here.
  NetlinkMonitor(boost::asio::io_context& loop, Callback callback);
  /// On the loop's thread, or when the loop no longer runs. No callback comes after it.
  ~NetlinkMonitor();
  NetlinkMonitor(const NetlinkMonitor&) = delete;
  NetlinkMonitor& operator=(const NetlinkMonitor&) = delete;

  /// What was reported last.
  [[nodiscard]] const HostState& state() const noexcept;
  /// How often the kernel had more to tell than the socket could hold (ENOBUFS), so that all was read again.
  [[nodiscard]] uint64_t n_resyncs() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace weft::vswitch
