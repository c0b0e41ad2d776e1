// SPDX-License-Identifier: BSD-3-Clause
#include "switch/icmp_error.h"

#include "dataplane/offload.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "switch/guest_limits.h"

#include <algorithm>
#include <cstring>

namespace weft::vswitch {

using dataplane::Packet;
using wire::EthernetHeader;
using wire::IcmpHeader;
using wire::Ipv4Header;

bool may_send_icmp_error(const Packet& packet) noexcept {
  const auto* eth = reinterpret_cast<const EthernetHeader*>(packet.head);
  const auto* ip = reinterpret_cast<const Ipv4Header*>(packet.head + packet.l3_offset);
  if (eth->destination.is_multicast() || ip->is_later_fragment()) return false;
  if (ip->destination.is_multicast() || ip->destination.is_broadcast()) return false;
  if (ip->source.is_zero() || ip->source.is_multicast() || ip->source.is_broadcast() || ip->source.is_loopback())
    return false;
  if (ip->protocol != wire::ipproto::kIcmp) return true;
  if (packet.l4_offset == 0) return false;
  return !reinterpret_cast<const IcmpHeader*>(packet.head + packet.l4_offset)->is_error();
}

void make_icmp_error(Packet& packet, IcmpError error, wire::Ipv4Address router) noexcept {
  constexpr uint16_t kNew = sizeof(Ipv4Header) + sizeof(IcmpHeader);
  const auto eth = *reinterpret_cast<const EthernetHeader*>(packet.head);
  const auto original_source = reinterpret_cast<const Ipv4Header*>(packet.head + packet.l3_offset)->source;

  // A partial checksum is finished, so that the quotation is what the wire would have carried; a TSO frame's cannot be.
  if (packet.offload.gso == dataplane::Gso::none) dataplane::finish_checksum(packet);
  packet.offload = {};

  // The quoted packet begins at l3_offset; what came before it gives way to Ethernet, IPv4 and ICMP.
  packet.trim(std::min(packet.size, packet.l3_offset + limits::kIcmpQuote));
  uint8_t* const quote = packet.head + packet.l3_offset;
  const uint32_t quote_size = packet.size - packet.l3_offset;
  const auto head_quote = static_cast<uint16_t>(packet.head_size - packet.l3_offset);
  packet.head = quote - kNew - sizeof(EthernetHeader);
  packet.head_size = static_cast<uint16_t>(sizeof(EthernetHeader) + kNew + head_quote);
  packet.size = static_cast<uint32_t>(sizeof(EthernetHeader)) + kNew + quote_size;
  packet.l3_offset = sizeof(EthernetHeader);
  packet.l4_offset = sizeof(EthernetHeader) + sizeof(Ipv4Header);
  packet.l4_protocol = wire::ipproto::kIcmp;

  auto* out_eth = reinterpret_cast<EthernetHeader*>(packet.head);
  out_eth->destination = eth.source;
  out_eth->source = eth.destination;
  out_eth->type = wire::be16(wire::ethertype::kIpv4);

  auto* ip = reinterpret_cast<Ipv4Header*>(packet.head + packet.l3_offset);
  *ip = Ipv4Header{};
  ip->version_ihl = 0x45;
  ip->tos = 0xc0;  // internetwork control (RFC 1812 §4.3.2.5)
  ip->total_length = wire::be16(static_cast<uint16_t>(kNew + quote_size));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kIcmp;
  ip->source = router;
  ip->destination = original_source;
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));

  auto* icmp = reinterpret_cast<IcmpHeader*>(packet.head + packet.l4_offset);
  *icmp = IcmpHeader{};
  icmp->type = error.type;
  icmp->code = error.code;
  icmp->sequence = wire::be16(error.next_hop_mtu);
  wire::ChecksumSum sum;
  size_t offset = sizeof *icmp + head_quote;
  sum.add(icmp, offset);
  for (const auto& segment : packet.payload_segments()) {
    sum.add_at(offset, segment.data, segment.size);
    offset += segment.size;
  }
  icmp->checksum = wire::be16::from_raw(sum.checksum());
}

}  // namespace weft::vswitch
