// SPDX-License-Identifier: BSD-3-Clause
//
// The IPv4 routing table of one routing domain: immutable, part of the snapshot. Built by the control thread,
// read by workers.
//
// The prefixes cut the address space into intervals within each of which the same route is the best one (at
// most two for each prefix, and one). A look-up is one binary search for the interval.
#pragma once

#include "dataplane/wire/addr.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weft::vswitch {

/// Identifies an interface of the router: a network's own, or an uplink. Index into the snapshot's interface
/// table.
using InterfaceId = uint16_t;
inline constexpr InterfaceId kNoInterface = 0xffff;

enum class RouteKind : uint8_t {
  connected,    // on the link: the destination itself is the next hop
  static_,      // by `next_hop`
  local,        // an address of the router's own
  unreachable,  // refused (RFC 1812 §5.2.7.1)
};

struct Route {
  wire::Ipv4Prefix prefix;
  std::optional<wire::Ipv4Address> next_hop;  // none: on the link
  InterfaceId interface = kNoInterface;
  uint32_t metric = 0;
  RouteKind kind = RouteKind::connected;

  bool operator==(const Route&) const noexcept = default;
};

class Fib {
 public:
  Fib() = default;
  /// Control. Of routes with one prefix only the one with the lowest metric is ever found; of equal ones the
  /// first. Address bits beyond the prefix length don't matter.
  explicit Fib(std::vector<Route> routes);

  /// Any thread. The longest prefix that holds `address`, nullptr when none does. Valid as long as the Fib.
  [[nodiscard]] const Route* lookup(wire::Ipv4Address address) const noexcept {
    const uint32_t a = address.host();
    const uint32_t* first = starts_.data();
    size_t length = starts_.size();
    if (length == 0) return nullptr;
    while (length > 1) {  // *first <= a always holds: the first interval starts at 0
      const size_t half = length / 2;
      first = first[half] <= a ? first + half : first;
      length -= half;
    }
    const uint32_t index = route_of_[static_cast<size_t>(first - starts_.data())];
    return index == kNone ? nullptr : &routes_[index];
  }

  /// All routes as they were given.
  [[nodiscard]] std::span<const Route> routes() const noexcept { return routes_; }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  std::vector<uint32_t> starts_;    // first addresses of the intervals, ascending; starts_[0] is 0
  std::vector<uint32_t> route_of_;  // by interval: index into routes_, or kNone
  std::vector<Route> routes_;
};

}  // namespace weft::vswitch
