// SPDX-License-Identifier: BSD-3-Clause
//
// What one DHCPv4 server is told: its subnet, ranges, reservations and what it says to clients; and the limits it
// keeps. Plain values. The control thread makes them from the network's configuration, which has validated them.
#pragma once

#include "dataplane/wire/addr.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft::dhcp {

inline constexpr uint32_t kDefaultLeaseSeconds = 3600;

/// Addresses given dynamically, first and last included.
struct Range {
  wire::Ipv4Address start;
  wire::Ipv4Address end;
  uint32_t lease_seconds = kDefaultLeaseSeconds;  ///< 0: infinite
};

/// A reservation, by MAC, or, without one, by the name the client sends.
struct StaticHost {
  std::optional<wire::MacAddress> mac;
  std::string name;  ///< may be empty when there is a MAC; a domain part is ignored
  wire::Ipv4Address address;
  std::optional<uint32_t> lease_seconds;  ///< 0: infinite; nullopt: that of the range, else the default
};

/// One network's DHCPv4 subnet. The server is always authoritative for it (RFC 2131 §4.3.2: it NAKs what is wrong).
struct Scope {
  std::string network;            ///< the network's stable id, copied into each LeaseChange
  wire::Ipv4Address server;       ///< the gateway: server identifier, router and DNS server; never given out
  uint8_t prefix_length = 24;     ///< 8 … 30
  std::vector<Range> ranges;      ///< searched in this order; what lies outside the subnet is ignored
  std::vector<StaticHost> hosts;  ///< the first of two that contradict each other wins
  uint32_t default_lease_seconds = kDefaultLeaseSeconds;  ///< of addresses outside all ranges; 0: infinite

  bool send_router = true;      ///< option 3; not in isolated networks
  bool send_dns = true;         ///< option 6; not when dns is disabled
  std::string domain;           ///< option 15, and what completes a client's name in option 81; empty: none
  std::optional<uint16_t> mtu;  ///< option 26
  std::string boot_file;        ///< the BOOTP `file` field, at most 127 characters; empty: none
  std::optional<wire::Ipv4Address> boot_server;  ///< siaddr; nullopt: the server itself

  std::vector<std::string> taken_names;  ///< names of the network's own DNS hosts: no client may publish one
};

/// What a guest can make the server remember is bounded by these.
struct Limits {
  /// Dynamic addresses (leased, offered or declined) one port may hold at a time, so that a guest that changes its MAC
  /// cannot take all. 0: a quarter of the pool, at least 16. Reservations do not count.
  uint32_t addresses_per_port = 0;
  uint32_t offers = 4096;       ///< addresses offered and not yet requested; the oldest gives way
  uint32_t offer_seconds = 60;  ///< how long an offer holds its address
  uint32_t quarantined = 1024;  ///< declined addresses; the oldest gives way
  uint32_t quarantine_seconds = 600;
  uint32_t min_lease_seconds = 120;  ///< the shortest lease a client may ask for
};

}  // namespace weft::dhcp
