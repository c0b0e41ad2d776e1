// SPDX-License-Identifier: BSD-3-Clause
//
// A frame the guest has sent, from the buffers it lies in to a Packet. Shared by split_rx.cc and packed_rx.cc. Worker.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/ring_ops.h"
#include "dataplane/virtio_net_header.h"

#include <algorithm>

namespace weft::dataplane::vhost {

/// The part of the header that a sender fills; the 12-byte form's last field means nothing here.
inline constexpr size_t kSenderHeader = sizeof(VirtioNetHeader);

/// A header spread over descriptors and the frame behind it take at most this many.
inline constexpr uint16_t kMaxRxPieces = Burst::kMaxSegments + 12;

inline void take_offload(const VirtioNetHeader& header, const RingView& ring, Burst& burst, Packet& p) noexcept {
  if (!to_offload(header, ring.features.offloads, p)) [[unlikely]]
    p.drop = Drop::rx_bad_offload;
  if (p.offload.gso != Gso::none) burst.charge(p.size / p.offload.gso_size * Burst::kCutWork);
}

/// A frame in one readable buffer, header first: what nearly all are.
inline void make_plain(RingView& ring, Burst& burst, Packet& p, const uint8_t* data, uint32_t size) noexcept {
  uint64_t begin;  // of the header, read once
  std::memcpy(&begin, data, sizeof begin);
  asm volatile("" : "+r"(begin));
  const uint8_t* const header_at = data;
  data += ring.features.header_size;
  size -= ring.features.header_size;
  if (size > kMaxFrame) [[unlikely]] {
    p.drop = Drop::rx_too_big;
    return;
  }
  const uint32_t head = std::min<uint32_t>(size, kHeaderCopy);
  copy_small(p.head, data, head);
  p.head_size = static_cast<uint16_t>(head);
  p.size = head;
  if (size > head) burst.append_segment(p, data + head, size - head);
  if (leaves_nothing_to_do(begin)) [[likely]]
    return;
  VirtioNetHeader header;
  std::memcpy(static_cast<void*>(&header), &begin, sizeof begin);
  std::memcpy(&header.csum_offset, header_at + sizeof begin, sizeof header.csum_offset);
  take_offload(header, ring, burst, p);
}

/// Cuts the next bytes off the front of a list of pieces.
struct PieceReader {
  const PieceList& list;
  uint16_t piece = 0;
  uint32_t offset = 0;

  void copy(uint8_t* to, size_t size) noexcept {
    while (size != 0) {
      const Piece& from = list.pieces[piece];
      const size_t n = std::min<size_t>(size, from.size - offset);
      copy_small(to, from.data + offset, n);
      to += n;
      size -= n;
      skip(n);
    }
  }
  void skip(size_t size) noexcept {
    while (size != 0) {
      const size_t n = std::min<size_t>(size, list.pieces[piece].size - offset);
      size -= n;
      offset += static_cast<uint32_t>(n);
      if (offset == list.pieces[piece].size) {
        ++piece;
        offset = 0;
      }
    }
  }
};

/// A frame in pieces of any shape, as a walk over its chain has found them.
inline Drop make_from_pieces(RingView& ring, Burst& burst, Packet& p, Walk walked, const PieceList& list) noexcept {
  burst.charge(list.n * Burst::kPieceWork);
  if (walked == Walk::too_long) return Drop::rx_chain_too_long;
  if (walked != Walk::ok) return Drop::rx_bad_descriptor;
  const uint16_t header_size = ring.features.header_size;
  if (list.total < header_size) return Drop::rx_short_header;
  if (list.total - header_size > kMaxFrame) return Drop::rx_too_big;
  const auto size = static_cast<uint32_t>(list.total - header_size);

  PieceReader reader{list};
  VirtioNetHeader header;
  reader.copy(reinterpret_cast<uint8_t*>(&header), kSenderHeader);
  asm volatile("" : "+m"(header));
  reader.skip(header_size - kSenderHeader);
  const uint32_t head = std::min<uint32_t>(size, kHeaderCopy);
  reader.copy(p.head, head);
  p.head_size = static_cast<uint16_t>(head);
  p.size = head;
  for (; reader.piece < list.n; ++reader.piece, reader.offset = 0) {
    const Piece& rest = list.pieces[reader.piece];
    if (!burst.append_segment(p, rest.data + reader.offset, rest.size - reader.offset)) return Drop::rx_chain_too_long;
  }
  take_offload(header, ring, burst, p);
  return p.drop;
}

}  // namespace weft::dataplane::vhost
