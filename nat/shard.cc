// SPDX-License-Identifier: BSD-3-Clause
#include "nat/shard.h"

#include "nat/icmp_error.h"
#include "nat/packet_view.h"

namespace weft::nat {

namespace {

std::optional<uint16_t> shard_of_icmp(dataplane::Packet& packet, Side from, uint16_t count) noexcept {
  PacketView v;
  if (view_packet(packet, v) != dataplane::Drop::none) return std::nullopt;
  if (v.icmp == IcmpKind::error) {
    const auto quote = view_error(packet, v, from);
    return quote ? std::optional(shard_of_port(quote->key.local_port.host(), count)) : std::nullopt;
  }
  return shard_of_port((from == Side::inside ? v.source_port : v.destination_port).host(), count);
}

}  // namespace

std::optional<uint16_t> shard_of(dataplane::Packet& packet, Side from, uint16_t count) noexcept {
  if (packet.l4_offset == 0) return std::nullopt;
  switch (packet.l4_protocol) {
    case wire::ipproto::kTcp:  // has its ports where UDP has them
    case wire::ipproto::kUdp: {
      const auto* udp = reinterpret_cast<const wire::UdpHeader*>(packet.head + packet.l4_offset);
      return shard_of_port((from == Side::inside ? udp->source_port : udp->destination_port).host(), count);
    }
    case wire::ipproto::kIcmp:
      return shard_of_icmp(packet, from, count);
    default:
      return std::nullopt;
  }
}

}  // namespace weft::nat
