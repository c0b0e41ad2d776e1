// SPDX-License-Identifier: BSD-3-Clause
//
// The stages a packet goes through, one file each, in this order; pipeline.cc is the page that calls them. A stage
// takes a selection of the burst and ends each of its packets, or leaves it there, or passes it on to one of the
// selections it fills. Worker only.
#pragma once

#include "switch/icmp_error.h"
#include "switch/selection.h"
#include "switch/turn.h"

namespace weft::vswitch {

/// Finds the network layer. Drops what is no frame.
void parse(Turn& turn, Selection& packets) noexcept;

/// The port's own rules: the storm limit.
void ingress(Turn& turn, Selection& packets) noexcept;

/// Learns from every frame; sends it on within its network, or to the router when it is for the gateway's MAC. The
/// gateway's ARP is answered here.
void l2(Turn& turn, const Selection& in, Selection& to_router) noexcept;

/// What came for the router: the switch's own services, the host's seat, or on to be routed.
void local(Turn& turn, const Selection& in, Selection& to_route) noexcept;

/// What came in by an uplink: its ARP, its echo; checked, and passed on.
void uplink_input(Turn& turn, const Selection& in, Selection& to_nat_in, Selection& to_route) noexcept;

/// Packets for an outside address of a masquerade, back to the guest they are for.
void nat_in(Turn& turn, const Selection& in, Selection& to_route) noexcept;

/// TTL, the way to take, the rules of the networks' modes, MTU.
void route(Turn& turn, const Selection& in, Selection& to_nat_out, Selection& to_resolve) noexcept;

/// Packets of a masqueraded network that leave by an uplink.
void nat_out(Turn& turn, const Selection& in, Selection& to_resolve) noexcept;

/// The next hop's MAC; packets that must wait for it are held.
void resolve(Turn& turn, const Selection& in) noexcept;

// --- what several stages do -----------------------------------------------------------------------------------------

/// ARP on a network (RFC 826). True: the packet has come to its end here; false: it is to be switched like any other.
bool arp_on_network(Turn& turn, dataplane::Packet& packet) noexcept;
/// ARP on an uplink; always comes to its end here.
void arp_on_uplink(Turn& turn, dataplane::Packet& packet) noexcept;

/// Hands a copy to the control thread. The packet has come to its end, by drop if need be.
void punt(Turn& turn, dataplane::Packet& packet) noexcept;

/// Answers an ICMP echo request in place (RFC 792, RFC 1122 §3.2.2.6), back to where it came from.
void answer_echo(Turn& turn, dataplane::Packet& packet) noexcept;
[[nodiscard]] bool is_echo_request(const dataplane::Packet& packet) noexcept;

/// Drops the packet as `why`, and tells its source when that is allowed (RFC 1812 §4.3.2).
void reject(Turn& turn, dataplane::Packet& packet, dataplane::Drop why, IcmpError error) noexcept;

/// Sends an IPv4 packet out by a router interface to the neighbour at `mac`.
void transmit(Turn& turn, dataplane::Packet& packet, InterfaceId interface, const wire::MacAddress& mac) noexcept;

}  // namespace weft::vswitch
