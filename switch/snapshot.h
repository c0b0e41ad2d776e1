// SPDX-License-Identifier: BSD-3-Clause
//
// Everything configured, as the workers see it: one immutable object, built by the control thread, published by
// pointer, freed a grace period after the next one took its place. What changes by itself (fdb, neighbours,
// connections) is kept elsewhere under the ids used here.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/port.h"
#include "dataplane/wire/addr.h"
#include "dataplane/worker.h"
#include "switch/fib.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace weft::vswitch {

using dataplane::kNoNetwork;
using dataplane::kNoPort;
using dataplane::NetworkId;
using dataplane::PortId;

/// Index into Snapshot::uplinks.
using UplinkId = uint16_t;
inline constexpr UplinkId kNoUplink = 0xffff;

/// A router interface (fib.h) is a network's gateway, or an uplink.
inline constexpr InterfaceId kUplinkInterface = 0x8000;
[[nodiscard]] constexpr InterfaceId interface_of_network(NetworkId n) noexcept { return n; }
[[nodiscard]] constexpr InterfaceId interface_of_uplink(UplinkId u) noexcept {
  return static_cast<InterfaceId>(kUplinkInterface | u);
}
[[nodiscard]] constexpr bool is_uplink_interface(InterfaceId i) noexcept { return (i & kUplinkInterface) != 0; }
[[nodiscard]] constexpr UplinkId uplink_of_interface(InterfaceId i) noexcept {
  return static_cast<UplinkId>(i & ~kUplinkInterface);
}

enum class Role : uint8_t {
  guest,
  seat,    // the host's own tap in a network
  uplink,  // leads out of the machine
};

struct PortEntry {
  dataplane::Port* port = nullptr;  // nullptr: no port has this id
  Role role = Role::guest;
  NetworkId network = kNoNetwork;  // guest, seat, and an uplink that is a member of a bridge-mode network
  UplinkId uplink = kNoUplink;     // other uplinks
  bool is_isolated = false;        // no frames between it and others that are
};

enum class ForwardMode : uint8_t { none, nat, route };

struct NetworkEntry {
  bool exists = false;
  ForwardMode mode = ForwardMode::none;
  bool has_gateway = false;  // it has at least one address: the switch routes and answers here
  bool serves_dhcp = false;
  bool serves_dns = false;
  wire::MacAddress gateway_mac;
  std::vector<wire::Ipv4Prefix> addresses;  // the gateway's, each with its subnet
  uint16_t mtu = 1500;                      // bytes of IP
  PortId seat = kNoPort;
  UplinkId uplink = kNoUplink;
  std::vector<wire::Ipv4Address> nat_addresses;  // outside addresses of the masquerade; empty: the uplink's first
  uint16_t nat_port_start = 1024, nat_port_end = 65535;
  std::vector<PortId> members;  // of the broadcast domain, seat included

  [[nodiscard]] bool owns(wire::Ipv4Address a) const noexcept {
    for (const auto& p : addresses)
      if (p.address == a) return true;
    return false;
  }
  [[nodiscard]] bool contains(wire::Ipv4Address a) const noexcept {
    for (const auto& p : addresses)
      if (p.contains(a)) return true;
    return false;
  }
  /// Broadcast to every host of one of the subnets.
  [[nodiscard]] bool is_subnet_broadcast(wire::Ipv4Address a) const noexcept {
    for (const auto& p : addresses)
      if (p.length < 31 && p.broadcast() == a) return true;
    return false;
  }
};

struct UplinkEntry {
  PortId port = kNoPort;  // kNoPort: absent at present
  wire::MacAddress mac;
  std::vector<wire::Ipv4Prefix> addresses;
  std::vector<wire::Ipv4Address> pool;  // what networks masquerade to beside, sorted; answered by ARP
  Fib fib;                              // connected subnets and the way to the gateway
  uint16_t mtu = 1500;

  /// An address the switch answers for on this uplink.
  [[nodiscard]] bool owns(wire::Ipv4Address a) const noexcept {
    for (const auto& p : addresses)
      if (p.address == a) return true;
    return std::binary_search(pool.begin(), pool.end(), a);
  }
  [[nodiscard]] bool is_subnet_broadcast(wire::Ipv4Address a) const noexcept {
    for (const auto& p : addresses)
      if (p.length < 31 && p.broadcast() == a) return true;
    return false;
  }
};

struct Snapshot {
  std::vector<PortEntry> ports;        // by PortId
  std::vector<NetworkEntry> networks;  // by NetworkId
  std::vector<UplinkEntry> uplinks;    // by UplinkId
  Fib inside;                          // what lies behind the networks: connected subnets and their static routes
  std::vector<wire::Ipv4Address> host_addresses;    // of the machine itself, sorted; seats' included
  std::vector<wire::Ipv4Address> switch_addresses;  // only the switch has: uplinks', gateways' without a seat; sorted
  std::vector<dataplane::QueueList> queues;         // by worker

  [[nodiscard]] const PortEntry* port(PortId id) const noexcept {
    return id < ports.size() && ports[id].port != nullptr ? &ports[id] : nullptr;
  }
  [[nodiscard]] const NetworkEntry* network(NetworkId id) const noexcept {
    return id < networks.size() && networks[id].exists ? &networks[id] : nullptr;
  }
  [[nodiscard]] bool is_host_address(wire::Ipv4Address a) const noexcept;
  [[nodiscard]] bool is_switch_address(wire::Ipv4Address a) const noexcept;
};

}  // namespace weft::vswitch
