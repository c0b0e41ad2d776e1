// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/virtio_net_header.h"

#include "dataplane/wire/headers.h"

#include <cstddef>
#include <span>

namespace weft::dataplane {

namespace {

/// What lies at the end of the headers that decide a frame's way.
struct Transport {
  uint16_t ethertype = 0;  // behind VLAN tags
  uint16_t offset = 0;     // of the transport header, or of what follows the tags when it is not IP
  uint8_t protocol = 0;    // IANA; meaningless when it is not IP
  uint32_t ip_end = 0;     // where the IP packet says it ends; 0: it is none, or does not say
  bool is_fragment = false;
};

/// False when a header is cut short by the end of the head or has an impossible length.
bool find_transport_ipv6(std::span<const uint8_t> head, Transport& t) noexcept {
  const auto* ip = wire::view<wire::Ipv6Header>(head, t.offset);
  if (ip == nullptr || ip->version() != 6) return false;
  t.protocol = ip->next_header;
  size_t offset = t.offset + sizeof *ip;
  if (const uint32_t size = ip->payload_length.host(); size != 0) t.ip_end = static_cast<uint32_t>(offset) + size;
  // Extension headers (RFC 8200 §4): hop-by-hop 0, routing 43, fragment 44, destination options 60.
  while (t.protocol == 0 || t.protocol == 43 || t.protocol == 44 || t.protocol == 60) {
    const auto* extension = wire::view<std::array<uint8_t, 8>>(head, offset);
    if (extension == nullptr) return false;
    if (t.protocol == 44) t.is_fragment = true;
    offset += t.protocol == 44 ? 8u : ((*extension)[1] + 1u) * 8u;
    t.protocol = (*extension)[0];
  }
  if (offset > head.size()) return false;
  t.offset = static_cast<uint16_t>(offset);
  return true;
}

bool find_transport(std::span<const uint8_t> head, Transport& t) noexcept {
  size_t offset = sizeof(wire::EthernetHeader);
  const auto* type = wire::view<wire::be16>(head, offset - 2);
  while (type != nullptr && (type->host() == wire::ethertype::kVlan || type->host() == wire::ethertype::kQinq)) {
    offset += sizeof(wire::VlanTag);
    type = wire::view<wire::be16>(head, offset - 2);
  }
  if (type == nullptr) return false;
  t.ethertype = type->host();
  t.offset = static_cast<uint16_t>(offset);
  if (t.ethertype == wire::ethertype::kIpv6) return find_transport_ipv6(head, t);
  if (t.ethertype != wire::ethertype::kIpv4) return true;
  const auto* ip = wire::view<wire::Ipv4Header>(head, offset);
  if (ip == nullptr || ip->version() != 4 || ip->header_size() < sizeof *ip) return false;
  if (const uint32_t size = ip->total_length.host(); size != 0) t.ip_end = static_cast<uint32_t>(offset) + size;
  offset += ip->header_size();
  if (offset > head.size()) return false;
  t.offset = static_cast<uint16_t>(offset);
  t.protocol = ip->protocol;
  t.is_fragment = ip->is_fragment();
  return true;
}

/// Whether writing a checksum there can change nothing that a stage looks at.
bool is_checksum_place(const Transport& t, uint16_t start, uint16_t offset) noexcept {
  const bool is_ip = t.ethertype == wire::ethertype::kIpv4 || t.ethertype == wire::ethertype::kIpv6;
  if (t.ethertype == wire::ethertype::kArp || t.is_fragment || start < t.offset) return false;
  if (!is_ip) return true;
  // Encapsulated (VXLAN, GRE, IP in IP): behind ports and checksum of the outer transport, if it has them.
  if (start >= t.offset + 8) return t.protocol != wire::ipproto::kTcp && t.protocol != wire::ipproto::kIcmpv6;
  if (start != t.offset) return false;
  switch (t.protocol) {
    case wire::ipproto::kTcp:
      return offset == offsetof(wire::TcpHeader, checksum);
    case wire::ipproto::kUdp:
    case wire::ipproto::kUdpLite:
      return offset == offsetof(wire::UdpHeader, checksum);
    case wire::ipproto::kIcmpv6:
      return offset == offsetof(wire::IcmpHeader, checksum);
    default:
      return false;
  }
}

bool to_gso(const VirtioNetHeader& header, OffloadSet sender, const Transport& t, Packet& packet) noexcept {
  const bool is_tcp4 = (header.gso_type & ~VirtioNetHeader::kGsoEcn) == VirtioNetHeader::kGsoTcp4;
  const bool is_tcp6 = (header.gso_type & ~VirtioNetHeader::kGsoEcn) == VirtioNetHeader::kGsoTcp6;
  if (!(is_tcp4 && sender.tso4) && !(is_tcp6 && sender.tso6)) return false;
  if (t.ethertype != (is_tcp4 ? wire::ethertype::kIpv4 : wire::ethertype::kIpv6)) return false;
  if (t.protocol != wire::ipproto::kTcp || header.csum_start != t.offset) return false;
  if (header.gso_size < kMinGsoSize) return false;
  const auto* tcp = wire::view<wire::TcpHeader>(packet.head_bytes(), t.offset);
  if (tcp == nullptr || tcp->header_size() < sizeof *tcp) return false;
  if (t.offset + tcp->header_size() > packet.head_size) return false;
  Offload& o = packet.offload;
  o.gso_ecn = (header.gso_type & VirtioNetHeader::kGsoEcn) != 0 ? 1 : 0;
  if (o.gso_ecn != 0 && !sender.ecn) return false;
  if (packet.size - t.offset - tcp->header_size() <= header.gso_size) {
    o.gso_ecn = 0;  // nothing to cut: it stands for itself
    return true;
  }
  o.gso = is_tcp4 ? Gso::tcp4 : Gso::tcp6;
  o.gso_size = header.gso_size;
  return true;
}

}  // namespace

bool to_offload_slow(const VirtioNetHeader& header, OffloadSet sender, Packet& packet) noexcept {
  Offload& o = packet.offload;
  o = Offload{};
  if ((header.flags & VirtioNetHeader::kNeedsCsum) == 0) {
    if (header.gso_type != VirtioNetHeader::kGsoNone) return false;  // virtio 1.2 §5.1.6.2.1: needs NEEDS_CSUM
    if (sender.data_valid && (header.flags & VirtioNetHeader::kDataValid) != 0) o.checksum = Checksum::valid;
    return true;
  }
  if (!sender.checksum) return false;
  Transport t;
  if (!find_transport(packet.head_bytes(), t)) return false;
  // Padding is neither summed nor cut into segments: it goes, as the frame is not yet on a wire.
  if (t.ip_end != 0 && t.ip_end < packet.size) packet.trim(t.ip_end);
  if (uint32_t{header.csum_start} + header.csum_offset + 2 > packet.head_size) return false;
  if (!is_checksum_place(t, header.csum_start, header.csum_offset)) return false;
  if (header.gso_type != VirtioNetHeader::kGsoNone && !to_gso(header, sender, t, packet)) return false;
  o.checksum = Checksum::partial;
  o.csum_start = header.csum_start;
  o.csum_offset = header.csum_offset;
  return true;
}

}  // namespace weft::dataplane
