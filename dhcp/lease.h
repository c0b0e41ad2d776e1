// SPDX-License-Identifier: BSD-3-Clause
//
// What a lease is, and what a change of leases is: the two values that travel between the server (control thread), the
// store (store thread) and whoever shows leases or resolves their names. Plain values, no behaviour.
#pragma once

#include "dataplane/wire/addr.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft::dhcp {

/// Wall-clock seconds. Leases outlive the process, so their ends are counted in the time that does too. When the clock
/// is set forward, leases end early: an address may be given away while its guest still uses it, which the
/// address_in_use hook and the probing order make unlikely. When it is set back, leases last longer; nothing else
/// happens.
using TimePoint = std::chrono::sys_seconds;

/// The switch's number for a port; opaque here.
using PortId = uint16_t;
inline constexpr PortId kNoPort = 0xffff;

/// One address given to one client.
struct Lease {
  wire::Ipv4Address address;
  wire::MacAddress mac;
  std::string client_id;  ///< option 61 as sent, any bytes, at most 255; empty: the client is known by its MAC
  std::string hostname;   ///< what the client calls itself, printable ASCII, not checked further; may be empty
  int64_t expiry = 0;     ///< epoch seconds; 0: never
  uint64_t serial = 0;    ///< grows with every change in a network: the greater of two leases was confirmed later
  PortId port = kNoPort;  ///< where the client was last heard; not stored, unknown after a restart

  [[nodiscard]] bool expired(TimePoint now) const noexcept {
    return expiry != 0 && expiry <= now.time_since_epoch().count();
  }
  bool operator==(const Lease&) const = default;
};

/// An atomic change of a network's leases: first the removals, then the lease put (which replaces the row of the same
/// address). Serial numbers tell changes of one network apart.
struct LeaseChange {
  std::string network;  ///< the network's stable id
  uint64_t serial = 0;
  std::vector<wire::Ipv4Address> removed;
  std::optional<Lease> put;

  bool operator==(const LeaseChange&) const = default;
};

}  // namespace weft::dhcp
