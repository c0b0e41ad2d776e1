// SPDX-License-Identifier: BSD-3-Clause
//
// ICMP errors, made in place of the packet they answer: its own bytes stay where they are and become the quotation.
// Pure functions of packet bytes; worker.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/wire/addr.h"

#include <cstdint>

namespace weft::vswitch {

struct IcmpError {
  uint8_t type;
  uint8_t code;
  uint16_t next_hop_mtu = 0;  // for type 3 code 4 (RFC 1191 §4)
};

inline constexpr IcmpError kTimeExceeded{11, 0};
inline constexpr IcmpError kNetUnreachable{3, 0};
inline constexpr IcmpError kHostUnreachable{3, 1};
inline constexpr IcmpError kPortUnreachable{3, 3};
[[nodiscard]] constexpr IcmpError too_big(uint16_t mtu) noexcept { return {3, 4, mtu}; }

/// Whether an error may be sent about this IPv4 packet at all: never about an ICMP error, a later fragment, a link or
/// IP broadcast or multicast, or a source that is no single host (RFC 1812 §4.3.2.7). Precondition: validated IPv4.
[[nodiscard]] bool may_send_icmp_error(const dataplane::Packet& packet) noexcept;

/// Turns `packet` (validated IPv4, may_send_icmp_error) into the error about it: from `router` back to its source, to
/// the MAC it came from, from the MAC it was sent to; out_port and drop are left alone.
void make_icmp_error(dataplane::Packet& packet, IcmpError error, wire::Ipv4Address router) noexcept;

}  // namespace weft::vswitch
