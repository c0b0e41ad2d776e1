// SPDX-License-Identifier: BSD-3-Clause
//
// Every way a packet can end other than being sent or consumed: one name a condition, `<stage>_<reason>`, with
// what an operator should understand by it. Shown by `weft drops`. The list is the only macro of the project.
//
// The counting law, checked after every test:
//   received + injected + copies made = sent + consumed + held + Σ drops
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weft::dataplane {

// clang-format off
#define WEFT_DROPS(X)                                                                                              \
  X(none,                       "not dropped")                                                                      \
  /* rx: the port could not make a frame of what it was given (virtio 1.2 §2.7, §5.1.6) */                         \
  X(rx_short_header,            "buffer shorter than the virtio-net header")                                        \
  X(rx_bad_descriptor,          "descriptor outside guest memory, looping, or of zero length")                      \
  X(rx_chain_too_long,          "descriptor chain with more pieces than a frame can have")                          \
  X(rx_too_big,                 "frame larger than 65 549 bytes (64 KiB and an Ethernet header)")                   \
  X(rx_bad_offload,             "checksum or segmentation fields that point outside the frame or were not negotiated") \
  X(rx_truncated,               "frame larger than the receive buffer; the kernel cut it")                          \
  /* parse */                                                                                                       \
  X(parse_short_ethernet,       "fewer than 14 bytes")                                                              \
  X(parse_bad_source_mac,       "multicast or zero source MAC (IEEE 802.3 §3.2.3)")                                 \
  /* ingress */                                                                                                     \
  X(ingress_port_down,          "the port is not part of a network at present")                                     \
  X(ingress_storm,              "broadcast or unknown unicast above the port's storm limit")             \
  /* l2 */                                                                                                          \
  X(l2_reserved_multicast,      "link-local group 01:80:c2:00:00:0x, never forwarded (IEEE 802.1Q §8.6.3)")         \
  X(l2_same_port,               "destination is on the port the frame came from")                                   \
  X(l2_isolated,                "between two isolated ports of a network")                                          \
  X(l2_no_member,               "flooded, but the network has no other port")                                       \
  X(l2_spoofed_gateway,         "source MAC is the gateway's own")                                                  \
  /* IPv4 checks before anything reads the packet (RFC 1812 §5.2.2) */                                              \
  X(ip_bad_header,              "IPv4 version, header length or total length wrong, or cut short")                  \
  X(ip_bad_checksum,            "IPv4 header checksum wrong")                                                       \
  X(ip_bad_source,              "source that no host may use: broadcast, multicast, loopback (RFC 1812 §5.3.7)") \
  X(ip_source_route,            "source-routed; refused (RFC 7126 §4.3)")                                           \
  X(ip_bad_l4,                  "transport header cut short or inconsistent")                                       \
  X(ip6_not_routed,             "IPv6 to the router, which has no IPv6 address here")                               \
  X(router_unknown_ethertype,   "sent to the router with a protocol it does not speak")                             \
  X(uplink_not_ours,            "arrived on an uplink for another station")                                         \
  /* local: packets for the switch itself */                                                                        \
  X(local_arp_bad,              "malformed ARP, or ARP the switch has nothing to say to")                           \
  X(local_arp_conflict,         "ARP claims one of the switch's own addresses")                                     \
  X(local_no_service,           "for the gateway's address, where nothing listens")                                 \
  X(local_queue_full,           "the control thread's queue is full")                                               \
  X(local_rate_limited,         "more packets for the switch itself than a port may send")                          \
  X(local_dhcp_bad,             "not a DHCP message the server may answer (RFC 2131)")                              \
  X(local_dns_bad,              "not a DNS query (RFC 1035 §4.1)")                                                  \
  /* nat */                                                                                                         \
  X(nat_no_mapping,             "from outside, and no connection or mapping asks for it")                           \
  X(nat_filtered,               "from outside to a mapped port, from an endpoint the guest never wrote to")         \
  X(nat_no_port,                "no free outside port for a new mapping")                                           \
  X(nat_table_full,             "connection table is full")                                                         \
  X(nat_bad_state,              "not valid in this connection's state")                                             \
  X(nat_bad_icmp,               "ICMP error that quotes no connection of ours, or quotes it wrongly (RFC 5508)")    \
  X(nat_protocol,               "protocol that masquerade cannot translate")                                        \
  X(nat_fragment,               "fragment through masquerade")                                                      \
  X(nat_handoff_full,           "the worker that owns the connection does not take its packets fast enough")        \
  /* route */                                                                                                       \
  X(route_ttl,                  "TTL ran out (RFC 1812 §5.3.1)")                                                    \
  X(route_no_route,             "no route to the destination (RFC 1812 §5.2.7.1)")                                  \
  X(route_no_uplink,            "leaves the machine, but the network has no uplink")                                \
  X(route_forbidden,            "the network's forward mode does not allow it")                                     \
  X(route_bad_source,           "source outside the network's subnets (RFC 2827)")                                  \
  X(route_not_forwardable,      "broadcast, multicast or link-local destination (RFC 1812 §5.3.4, RFC 3927 §2.7)")  \
  X(route_too_big,              "larger than the next link's MTU (RFC 1191)")                          \
  X(route_uplink_down,          "the uplink is absent or down")                                                     \
  /* resolve */                                                                                                     \
  X(resolve_queue_full,         "too many packets wait for this neighbour's MAC (RFC 1122 §2.3.2.2)")               \
  X(resolve_failed,             "the neighbour did not answer")                                                     \
  X(resolve_too_many,           "the port sends to more unknown neighbours than it may, or the table is full")      \
  X(resolve_no_memory,          "no buffer to hold the packet while the neighbour is asked")                        \
  /* egress and tx */                                                                                               \
  X(egress_port_gone,           "the port went away while the packet was held")                                     \
  X(egress_too_big,             "frame larger than the port's MTU")                                                 \
  X(tx_not_ready,               "the port's device is not there or its driver not up")                              \
  X(tx_ring_full,               "the receiver does not take its packets fast enough")                               \
  X(tx_bad_descriptor,          "the receiver's buffers are outside its memory, looping, or of zero length")        \
  X(tx_no_room,                 "the receiver's buffers are too small for the frame")                               \
  X(tx_error,                   "the kernel refused the frame")                                                     \
  X(port_memory_gone,           "the guest took back memory it had lent")                                           \
  X(port_removed,               "held for a port or network that was removed")
// clang-format on

/// Why a packet ended. 16 bits: byte stores into a hot struct would alias everything.
enum class Drop : uint16_t {
#define WEFT_DROP_ENUM(name, text) name,
  WEFT_DROPS(WEFT_DROP_ENUM)
#undef WEFT_DROP_ENUM
      count_
};

inline constexpr size_t kDrops = static_cast<size_t>(Drop::count_);

struct DropInfo {
  std::string_view name;
  std::string_view text;
};

inline constexpr std::array<DropInfo, kDrops> kDropInfo{{
#define WEFT_DROP_INFO(name, text) {#name, text},
    WEFT_DROPS(WEFT_DROP_INFO)
#undef WEFT_DROP_INFO
}};

[[nodiscard]] constexpr std::string_view drop_name(Drop d) noexcept { return kDropInfo[static_cast<size_t>(d)].name; }

}  // namespace weft::dataplane
