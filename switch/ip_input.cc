// SPDX-License-Identifier: BSD-3-Clause
#include "switch/ip_input.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <algorithm>

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::Packet;
using wire::Ipv4Header;
namespace ipproto = wire::ipproto;

namespace {

/// Loose and strict source and record route (RFC 791 §3.1) name further hops: refused (RFC 7126 §4.3, §4.4).
bool has_source_route(const uint8_t* options, size_t size) noexcept {
  constexpr uint8_t kEnd = 0, kNop = 1, kLsrr = 131, kSsrr = 137;
  for (size_t i = 0; i < size;) {
    const uint8_t kind = options[i];
    if (kind == kEnd) return false;
    if (kind == kNop) {
      ++i;
      continue;
    }
    if (kind == kLsrr || kind == kSsrr) return true;
    if (i + 1 >= size || options[i + 1] < 2) return false;
    i += options[i + 1];
  }
  return false;
}

/// Smallest sound transport header, bytes; 0 for protocols the switch does not look into.
size_t l4_header_size(uint8_t protocol) noexcept {
  switch (protocol) {
    case ipproto::kTcp:
      return sizeof(wire::TcpHeader);
    case ipproto::kUdp:
      return sizeof(wire::UdpHeader);
    case ipproto::kIcmp:
      return sizeof(wire::IcmpHeader);
    default:
      return 0;
  }
}

Drop check_l4(const Packet& packet, const Ipv4Header& ip, size_t l4_size, uint32_t head_end,
              uint16_t& l4_offset) noexcept {
  const size_t header = l4_header_size(ip.protocol);
  if (header == 0) return Drop::none;
  const size_t offset = packet.l3_offset + ip.header_size();
  const auto bytes = packet.head_bytes().first(head_end);
  if (l4_size < header || bytes.size() < offset + header) return Drop::ip_bad_l4;
  if (ip.protocol == ipproto::kTcp) {
    const size_t size = wire::view<wire::TcpHeader>(bytes, offset)->header_size();
    if (size < header || size > l4_size) return Drop::ip_bad_l4;
  } else if (ip.protocol == ipproto::kUdp && !ip.is_fragment()) {
    const size_t size = wire::view<wire::UdpHeader>(bytes, offset)->length.host();
    if (size < header || size > l4_size) return Drop::ip_bad_l4;
  }
  l4_offset = static_cast<uint16_t>(offset);
  return Drop::none;
}

}  // namespace

Drop check_ipv4(Packet& packet) noexcept {
  const auto* ip = wire::view<Ipv4Header>(packet.head_bytes(), packet.l3_offset);
  if (ip == nullptr || ip->version() != 4) return Drop::ip_bad_header;
  const size_t header = ip->header_size(), total = ip->total_length.host();
  if (header < sizeof *ip || total < header || packet.l3_offset + total > packet.size ||
      packet.head_size < packet.l3_offset + header)
    return Drop::ip_bad_header;
  if (wire::checksum(ip, header) != 0) return Drop::ip_bad_checksum;
  if (ip->source.is_multicast() || ip->source.is_broadcast() || ip->source.is_loopback() ||
      ip->destination.is_loopback())
    return Drop::ip_bad_source;
  if (header > sizeof *ip && has_source_route(packet.head + packet.l3_offset + sizeof *ip, header - sizeof *ip))
    return Drop::ip_source_route;
  // All checks before anything is changed: a packet that fails here may still be switched as it is.
  const auto head_end = static_cast<uint32_t>(std::min<size_t>(packet.head_size, packet.l3_offset + total));
  if (packet.offload.checksum == dataplane::Checksum::partial &&
      packet.offload.csum_start + packet.offload.csum_offset + 2u > head_end)
    return Drop::ip_bad_l4;  // asks for a checksum beyond the packet's own end
  uint16_t l4_offset = 0;
  if (!ip->is_later_fragment())
    if (const Drop bad = check_l4(packet, *ip, total - header, head_end, l4_offset); bad != Drop::none) return bad;
  packet.trim(static_cast<uint32_t>(packet.l3_offset + total));
  packet.l4_protocol = ip->protocol;
  packet.l4_offset = l4_offset;
  return Drop::none;
}

}  // namespace weft::vswitch
