// SPDX-License-Identifier: BSD-3-Clause
#include "nat/packet_view.h"

#include "dataplane/offload.h"
#include "dataplane/wire/checksum.h"

namespace weft::nat {

using dataplane::Drop;
using dataplane::Packet;
using wire::be16;
using wire::IcmpHeader;
using wire::Ipv4Header;
using wire::TcpHeader;
using wire::UdpHeader;

int icmp_request_type(uint8_t type) noexcept {
  switch (type) {
    case IcmpHeader::kEcho:
    case IcmpHeader::kEchoReply:
      return IcmpHeader::kEcho;
    case 13:  // timestamp
    case 14:
      return 13;
    case 15:  // information
    case 16:
      return 15;
    case 17:  // address mask
    case 18:
      return 17;
    default:
      return -1;
  }
}

IcmpKind icmp_kind(uint8_t type) noexcept {
  const int request = icmp_request_type(type);
  if (request >= 0) return request == type ? IcmpKind::request : IcmpKind::reply;
  const IcmpHeader header{type, 0, {}, {}, {}};
  return header.is_error() ? IcmpKind::error : IcmpKind::none;
}

Drop view_packet(Packet& packet, PacketView& view) noexcept {
  auto* ip = wire::view<Ipv4Header>(packet.head_bytes(), packet.l3_offset);
  if (ip == nullptr) return Drop::ip_bad_header;
  if (ip->is_fragment()) return Drop::nat_fragment;
  view.ip = ip;
  view.ip_size = packet.size - packet.l3_offset;
  view.protocol = ip->protocol;
  view.icmp = IcmpKind::none;
  view.tcp_flags = 0;
  view.is_partial = packet.offload.checksum == dataplane::Checksum::partial;
  const size_t at = packet.l4_offset;
  size_t checksum_offset;
  switch (ip->protocol) {
    case wire::ipproto::kTcp: {
      const auto* tcp = wire::view<TcpHeader>(packet.head_bytes(), at);
      if (at == 0 || tcp == nullptr) return Drop::ip_bad_l4;
      view.tcp_flags = tcp->flags;
      view.source_port = tcp->source_port;
      view.destination_port = tcp->destination_port;
      checksum_offset = offsetof(TcpHeader, checksum);
      break;
    }
    case wire::ipproto::kUdp: {
      const auto* udp = wire::view<UdpHeader>(packet.head_bytes(), at);
      if (at == 0 || udp == nullptr) return Drop::ip_bad_l4;
      view.source_port = udp->source_port;
      view.destination_port = udp->destination_port;
      checksum_offset = offsetof(UdpHeader, checksum);
      break;
    }
    case wire::ipproto::kIcmp: {
      const auto* icmp = wire::view<IcmpHeader>(packet.head_bytes(), at);
      if (at == 0 || icmp == nullptr) return Drop::ip_bad_l4;
      view.icmp = icmp_kind(icmp->type);
      if (view.icmp == IcmpKind::none) return Drop::nat_protocol;
      const be16 type(static_cast<uint16_t>(icmp_request_type(icmp->type)));
      view.source_port = view.icmp == IcmpKind::request ? icmp->id : type;
      view.destination_port = view.icmp == IcmpKind::request ? type : icmp->id;
      checksum_offset = offsetof(IcmpHeader, checksum);
      break;
    }
    default:
      return Drop::nat_protocol;
  }
  view.l4 = packet.head + at;
  if (view.is_partial && (packet.offload.csum_start != at || packet.offload.csum_offset != checksum_offset)) {
    // Of what is encapsulated (VXLAN): finished now. Anywhere before, it would overwrite what is translated.
    const auto& o = packet.offload;
    if (o.csum_start < at + sizeof(UdpHeader) || o.csum_start + o.csum_offset + 2u > packet.head_size ||
        o.gso != dataplane::Gso::none)
      return Drop::rx_bad_offload;
    dataplane::finish_checksum(packet);
    view.is_partial = false;
  }
  return Drop::none;
}

namespace {

/// Where this packet's local port, or identifier, is.
be16& port_of(const PacketView& v, bool is_source) noexcept {
  if (v.protocol == wire::ipproto::kIcmp) return reinterpret_cast<IcmpHeader*>(v.l4)->id;
  auto* udp = reinterpret_cast<UdpHeader*>(v.l4);  // TCP has its ports at the same place
  return is_source ? udp->source_port : udp->destination_port;
}

void fix_l4_checksum(const PacketView& v, uint16_t address_delta, uint16_t l4_delta) noexcept {
  switch (v.protocol) {
    case wire::ipproto::kIcmp: {
      auto& field = reinterpret_cast<IcmpHeader*>(v.l4)->checksum;
      // Partial: there is no pseudo-header, so the field holds nothing of ours.
      if (!v.is_partial) field = wire::checksum_apply(field, l4_delta);
      return;
    }
    case wire::ipproto::kTcp: {
      auto& field = reinterpret_cast<TcpHeader*>(v.l4)->checksum;
      field = v.is_partial ? wire::checksum_apply_partial(field, address_delta) : wire::checksum_apply(field, l4_delta);
      return;
    }
    default: {
      auto& field = reinterpret_cast<UdpHeader*>(v.l4)->checksum;
      if (v.is_partial) {
        field = wire::checksum_apply_partial(field, address_delta);
      } else if (field.raw() != 0) {  // 0: none was computed (RFC 768), and RFC 3022 §4.1 leaves it so
        field = wire::checksum_apply(field, l4_delta);
        if (field.raw() == 0) field = be16(0xffff);
      }
    }
  }
}

}  // namespace

void rewrite_out(const PacketView& v, const Session& s) noexcept {
  v.ip->source = s.outside.local;
  v.ip->checksum = wire::checksum_apply(v.ip->checksum, s.address_delta);
  port_of(v, true) = s.outside.local_port;
  fix_l4_checksum(v, s.address_delta, s.l4_delta);
}

void rewrite_in(const PacketView& v, const Session& s) noexcept {
  const auto address_delta = static_cast<uint16_t>(~s.address_delta);
  const auto l4_delta = static_cast<uint16_t>(~s.l4_delta);
  v.ip->destination = s.inside.local;
  v.ip->checksum = wire::checksum_apply(v.ip->checksum, address_delta);
  port_of(v, false) = s.inside.local_port;
  fix_l4_checksum(v, address_delta, l4_delta);
}

}  // namespace weft::nat
