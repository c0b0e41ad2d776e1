// SPDX-License-Identifier: BSD-3-Clause
//
// What the stages of one worker share: its tables, and during a burst the snapshot, the time, and where the burst came
// from. Worker only; lives as long as the worker.
#pragma once

#include "dataplane/counters.h"
#include "dataplane/owned.h"
#include "dataplane/packet.h"
#include "nat/masquerade.h"
#include "switch/fdb.h"
#include "switch/mailbox.h"
#include "switch/neighbours.h"
#include "switch/port_limits.h"
#include "switch/snapshot.h"

#include <cstdint>

namespace weft::vswitch {

class Egress;
class Handoff;
class Resolver;

struct Turn {
  // the worker's own, for good
  dataplane::CounterBlock& counters;
  dataplane::OwnedPool& owned;
  Fdb& fdb;
  Neighbours& neighbours;
  nat::Masquerade& masquerade;
  PortLimits& limits;
  IcmpErrorLimit& icmp_errors;
  Mailbox& mailbox;
  Egress& egress;
  Resolver& resolver;
  uint16_t worker = 0;
  Handoff* handoff = nullptr;  // nullptr: there are no other workers

  // this burst's
  const Snapshot* snapshot = nullptr;
  uint64_t now_ns = 0;
  PortId in_port = kNoPort;
  const PortEntry* in = nullptr;
  const NetworkEntry* network = nullptr;  // nullptr: it came in from an uplink
  NetworkId network_id = kNoNetwork;
  UplinkId uplink_id = kNoUplink;

  /// The router's interface the burst came in by.
  [[nodiscard]] InterfaceId in_interface() const noexcept {
    return network != nullptr ? interface_of_network(network_id) : interface_of_uplink(uplink_id);
  }
  [[nodiscard]] uint32_t now_s() const noexcept { return static_cast<uint32_t>(now_ns / 1'000'000'000); }

  [[nodiscard]] uint64_t now_ms() const noexcept { return now_ns / 1'000'000; }

  /// Ends a packet: named, and counted at the port it came in from.
  void drop(dataplane::Packet& p, dataplane::Drop why) noexcept {
    p.drop = why;
    counters[p.in_port].drops[static_cast<size_t>(why)].add(1);
  }
  void consumed(const dataplane::Packet& p) noexcept { counters[p.in_port].consumed.add(1); }
  void injected(const dataplane::Packet& p) noexcept { counters[p.in_port].injected.add(1); }
};

}  // namespace weft::vswitch
