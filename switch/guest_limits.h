// SPDX-License-Identifier: BSD-3-Clause
//
// Limits that protect guests from each other and the switch from all of them. Each has a drop name or a counter of its
// own; none is silent. Rates of a port are counted by each worker for itself: a port whose queues two workers serve may
// send up to twice as much.
#pragma once

#include <cstdint>

namespace weft::vswitch::limits {

/// Broadcast and unknown unicast a guest port may send, frames a second, and at once (ingress_storm).
inline constexpr uint32_t kStormRate = 20'000, kStormBurst = 5'000;
/// Packets for the switch itself (ARP, echo, DHCP, DNS) a port may send a second, and at once (local_rate_limited).
inline constexpr uint32_t kLocalRate = 50'000, kLocalBurst = 5'000;
/// Of them, DHCP and DNS, which the control thread answers: far less at once than its queue holds.
inline constexpr uint32_t kPuntRate = 20'000, kPuntBurst = 256;
/// ARP messages of a port that one worker tells the others, a second and at once: far less than a way between workers
/// holds. What is above is heard when it is asked for again.
inline constexpr uint32_t kNewsRate = 2'000, kNewsBurst = 256;
/// Bytes of the packet an ICMP error quotes, its IP header included, at most: 576 in all (RFC 1812 §4.3.2.3).
inline constexpr uint32_t kIcmpQuote = 576 - 20 - 8;
/// Owned packets (waiting for a neighbour, on the way to or from the control thread) in all.
inline constexpr uint32_t kOwnedPackets = 8192;
/// Of them for packets to and from the control thread alone: those that wait for a neighbour leave them free
/// (resolve_no_memory), so that nobody can stop DHCP and DNS by writing to neighbours that do not answer.
inline constexpr uint32_t kOwnedReserve = 4096;
/// Largest frame the switch's own services take (local_no_service): DHCP and DNS fit an Ethernet frame.
inline constexpr uint32_t kLocalFrame = 2048;
/// Packets on the way to the control thread (local_queue_full), and from it.
inline constexpr uint32_t kToControl = 2048, kFromControl = 2048;
/// Guest ports, seats and uplinks.
inline constexpr uint32_t kNetworks = 1024, kUplinks = 64;

}  // namespace weft::vswitch::limits
