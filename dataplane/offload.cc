// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/offload.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <algorithm>
#include <cstring>

namespace weft::dataplane {

using wire::be16;
using wire::be32;

void finish_checksum(Packet& packet) noexcept {
  Offload& o = packet.offload;
  if (o.checksum != Checksum::partial) return;
  o.checksum = Checksum::unknown;
  if (uint32_t{o.csum_start} + o.csum_offset + 2 > packet.head_size) return;  // not an invariant-keeping frame
  wire::ChecksumSum sum;
  sum.add(packet.head + o.csum_start, packet.head_size - size_t{o.csum_start});
  size_t offset = packet.head_size - size_t{o.csum_start};
  for (const Segment& s : packet.payload_segments()) {
    sum.add_at(offset, s.data, s.size);
    offset += s.size;
  }
  uint16_t result = sum.checksum();
  if (result == 0) result = 0xffff;
  std::memcpy(packet.head + o.csum_start + o.csum_offset, &result, sizeof result);
}

namespace {

/// Where the network header begins: behind Ethernet and any VLAN tags. 0 when the head is too short.
uint16_t find_l3(std::span<const uint8_t> head) noexcept {
  uint16_t offset = sizeof(wire::EthernetHeader);
  const auto* type = wire::view<be16>(head, offset - 2u);
  while (type != nullptr && (type->host() == wire::ethertype::kVlan || type->host() == wire::ethertype::kQinq)) {
    offset += sizeof(wire::VlanTag);
    type = wire::view<be16>(head, offset - 2u);
  }
  return type == nullptr ? 0 : offset;
}

}  // namespace

GsoCutter::GsoCutter(const Packet& whole, Checksums checksums) noexcept : whole_(whole), checksums_(checksums) {
  const Offload& o = whole.offload;
  const auto head = whole.head_bytes();
  const auto* tcp = wire::view<wire::TcpHeader>(head, o.csum_start);
  l3_offset_ = find_l3(head);
  const size_t l3_size = o.gso == Gso::tcp4 ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header);
  if (tcp == nullptr || l3_offset_ == 0 || l3_offset_ + l3_size > o.csum_start || o.gso_size == 0) return;
  const size_t headers = o.csum_start + tcp->header_size();
  if (tcp->header_size() < sizeof(wire::TcpHeader) || headers > head.size() || headers > head_.size()) return;
  headers_size_ = static_cast<uint16_t>(headers);
  payload_size_ = whole.size - headers_size_;
  in_piece_ = headers_size_;
  n_frames_ = static_cast<uint16_t>(std::max(1u, (payload_size_ + o.gso_size - 1) / o.gso_size));
}

Packet* GsoCutter::next() noexcept {
  if (index_ == n_frames_) return nullptr;
  const uint32_t payload = std::min<uint32_t>(whole_.offload.gso_size, payload_size_ - done_);
  cut_ = whole_;
  cut_.head = head_.data();
  cut_.head_size = headers_size_;
  cut_.size = headers_size_ + payload;
  cut_.offload.gso = Gso::none;
  cut_.offload.gso_size = 0;
  cut_.offload.gso_ecn = 0;
  take_payload(payload);
  write_headers(payload);
  if (checksums_ == Checksums::finish) finish_checksum(cut_);
  done_ += payload;
  ++index_;
  return &cut_;
}

/// Refers to the next `size` bytes of the source's payload; the source has that many.
void GsoCutter::take_payload(uint32_t size) noexcept {
  cut_.payload = segments_.data();
  cut_.n_payload = 0;
  while (size != 0) {
    const Segment piece =
        piece_ < 0 ? Segment{whole_.head, whole_.head_size} : whole_.payload[static_cast<uint16_t>(piece_)];
    const uint32_t n = std::min(size, piece.size - in_piece_);
    if (n != 0) segments_[cut_.n_payload++] = {piece.data + in_piece_, n};
    size -= n;
    in_piece_ += n;
    if (in_piece_ == piece.size) {
      ++piece_;
      in_piece_ = 0;
    }
  }
}

void GsoCutter::write_headers(uint32_t payload) noexcept {
  std::memcpy(head_.data(), whole_.head, headers_size_);
  const size_t l3_total = headers_size_ - size_t{l3_offset_} + payload;
  if (whole_.offload.gso == Gso::tcp4) {
    auto& ip = *reinterpret_cast<wire::Ipv4Header*>(head_.data() + l3_offset_);
    ip.total_length = be16(static_cast<uint16_t>(l3_total));
    ip.id = be16(static_cast<uint16_t>(ip.id.host() + index_));
    ip.checksum = be16();
    ip.checksum = be16::from_raw(wire::checksum(&ip, whole_.offload.csum_start - size_t{l3_offset_}));
  } else {
    auto& ip = *reinterpret_cast<wire::Ipv6Header*>(head_.data() + l3_offset_);
    ip.payload_length = be16(static_cast<uint16_t>(l3_total - sizeof ip));
  }
  auto& tcp = *reinterpret_cast<wire::TcpHeader*>(head_.data() + whole_.offload.csum_start);
  tcp.sequence = be32(tcp.sequence.host() + done_);
  if (index_ != 0) tcp.flags &= static_cast<uint8_t>(~wire::TcpHeader::kCwr);
  if (index_ + 1 != n_frames_) tcp.flags &= static_cast<uint8_t>(~(wire::TcpHeader::kFin | wire::TcpHeader::kPsh));
  // The field holds the pseudo-header's sum, whose length was the whole frame's.
  const uint32_t l4_headers = headers_size_ - uint32_t{whole_.offload.csum_start};
  wire::ChecksumDelta delta;
  delta.replace16(be16(static_cast<uint16_t>(l4_headers + payload_size_)).raw(),
                  be16(static_cast<uint16_t>(l4_headers + payload)).raw());
  tcp.checksum = wire::checksum_apply_partial(tcp.checksum, delta.folded());
}

}  // namespace weft::dataplane
