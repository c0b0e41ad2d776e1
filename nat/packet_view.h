// SPDX-License-Identifier: BSD-3-Clause
//
// A packet as the translator reads and rewrites it: its two endpoints, wherever its protocol keeps them, and
// the checksums that cover them. Views over the packet's head; nothing is owned. Worker.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/wire/headers.h"
#include "nat/session.h"

#include <cstdint>

namespace weft::nat {

/// What an ICMP message is to the translator (RFC 5508 §3). Queries have an identifier that is translated
/// like a port.
enum class IcmpKind : uint8_t { none, request, reply, error };

struct PacketView {
  wire::Ipv4Header* ip;
  uint8_t* l4;
  uint32_t ip_size;   // bytes from the IP header on
  uint8_t protocol;   // TCP, UDP, ICMP
  IcmpKind icmp;      // none for TCP and UDP
  uint8_t tcp_flags;  // of TCP
  bool is_partial;    // the transport checksum holds the pseudo-header sum
  /// As the packet has them. ICMP queries: the identifier on the guest's side, the request's type on the
  /// other.
  wire::be16 source_port, destination_port;
};

/// Type of the request that an ICMP reply answers (RFC 792, RFC 950), or of the request itself; -1: no query.
[[nodiscard]] int icmp_request_type(uint8_t type) noexcept;
[[nodiscard]] IcmpKind icmp_kind(uint8_t type) noexcept;

/// Fills `view`, changes nothing. Drops: nat_fragment, nat_protocol (not TCP, UDP or ICMP, or an ICMP message
/// that is neither query nor error), ip_bad_l4, rx_bad_offload.
dataplane::Drop view_packet(dataplane::Packet& packet, PacketView& view) noexcept;

/// Gives the packet its new local endpoint and brings its checksums up to date.
/// Outward (from inside): the source becomes the session's outside endpoint; inward: the destination its
/// inside one.
void rewrite_out(const PacketView& view, const Session& session) noexcept;
void rewrite_in(const PacketView& view, const Session& session) noexcept;

}  // namespace weft::nat
