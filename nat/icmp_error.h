// SPDX-License-Identifier: BSD-3-Clause
//
// ICMP errors of translated connections (RFC 5508 §4): which session does an error's quotation belong to, and
// the rewriting of outer and quoted headers. Worker.
#pragma once

#include "dataplane/packet.h"
#include "nat/packet_view.h"
#include "nat/session.h"

#include <optional>

namespace weft::nat {

/// The quoted packet of an ICMP error, with as much of its transport header as a translator needs.
struct Quote {
  wire::Ipv4Header* ip;
  uint8_t* l4;
  uint32_t l4_size;  // bytes of the quoted transport header and payload that lie in the head, ≥ 8
  FlowKey key;       // of the session: inside when the error comes from there, else outside; realm to be set
};

/// The quotation of an ICMP error sent from `from`. Nothing when the message is not an error to be translated
/// (redirects and source quenches are not: RFC 6633, and a redirect makes no sense across a NAT), its
/// checksum or the quoted header's is wrong (RFC 5508 REQ-3), or what it quotes is cut short, a later
/// fragment, or not TCP, UDP or an ICMP query.
[[nodiscard]] std::optional<Quote> view_error(dataplane::Packet& packet, const PacketView& view, Side from) noexcept;

/// Makes the quotation and the outer header what the other side knows (RFC 5508 REQ-4, REQ-5); the ICMP
/// checksum follows. Type and code stay.
void rewrite_error_out(const PacketView& view, const Quote& quote, const Session& session) noexcept;
void rewrite_error_in(const PacketView& view, const Quote& quote, const Session& session) noexcept;

}  // namespace weft::nat
