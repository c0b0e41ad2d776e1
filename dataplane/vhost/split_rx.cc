// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/ring_ops.h"
#include "dataplane/vhost/split_ring.h"
#include "dataplane/virtio_net_header.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// The part of the header that a sender fills; the 12-byte form's last field means nothing here.
constexpr size_t kSenderHeader = sizeof(VirtioNetHeader);

/// A header spread over descriptors and the frame behind it take at most this many.
constexpr uint16_t kMaxRxPieces = Burst::kMaxSegments + 12;

void take_offload(const VirtioNetHeader& header, const RingView& ring, Packet& p) noexcept {
  if (!to_offload(header, ring.features.offloads, p)) [[unlikely]]
    p.drop = Drop::rx_bad_offload;
}

/// A frame in one readable descriptor, header first: what nearly all are.
void make_simple(RingView& ring, Burst& burst, Packet& p, const uint8_t* data, uint32_t size) noexcept {
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
  take_offload(header, ring, p);
}

/// Cuts the next bytes off the front of a list of pieces.
struct Reader {
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

/// A frame in a chain of any shape.
Drop make_chained(RingView& ring, Burst& burst, Packet& p, uint16_t id) noexcept {
  if (id >= ring.size) return Drop::rx_bad_descriptor;
  PieceList list;
  switch (walk_chain(ring, id, /*is_writable=*/false, kMaxRxPieces, list)) {
    case Walk::ok:
      break;
    case Walk::bad:
      return Drop::rx_bad_descriptor;
    case Walk::too_long:
      return Drop::rx_chain_too_long;
  }
  const uint16_t header_size = ring.features.header_size;
  if (list.total < header_size) return Drop::rx_short_header;
  if (list.total - header_size > kMaxFrame) return Drop::rx_too_big;
  const auto size = static_cast<uint32_t>(list.total - header_size);

  Reader reader{list};
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
  take_offload(header, ring, p);
  return p.drop;
}

/// Sent frames go back to the guest as they came; nothing was written into them.
void put_all_used(RingView& ring, std::span<const uint16_t> ids) noexcept {
  const uint16_t mask = static_cast<uint16_t>(ring.size - 1);
  uint16_t at = ring.used_idx;
  uint8_t* const elements = ring.used + 4;
  for (const uint16_t id : ids) {
    const VringUsedElement element{id, 0};
    std::memcpy(elements + sizeof element * (at++ & mask), &element, sizeof element);
  }
  ring.used_idx = at;
}

}  // namespace

void split_rx(RingView& ring, Burst& burst) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed)) [[unlikely]]
    return;
  if (is_memory_gone(ring)) [[unlikely]]
    return report_trouble(ring);
  const uint16_t waiting = n_waiting(ring, kBurst);
  if (waiting == 0) return;
  if (waiting > ring.size) [[unlikely]] {
    break_ring(ring);
    // Counted once. An index read from zeros makes no sense either.
    burst.add().drop = is_memory_gone(ring) ? Drop::port_memory_gone : Drop::rx_bad_descriptor;
    return;
  }
  const uint16_t n = std::min(waiting, kBurst);
  NextEntries<0> next;
  next.look(ring, n);
  prefetch_used(ring, n);

  uint16_t taken = 0;
  for (; taken < n && burst.has_segment_room(); ++taken) {
    Packet& p = burst.add();
    const Piece& plain = next.plain[taken];
    if (plain.data != nullptr && plain.size >= ring.features.header_size) [[likely]] {
      make_simple(ring, burst, p, plain.data, plain.size);
    } else {
      p.drop = make_chained(ring, burst, p, next.ids[taken]);
    }
  }
  put_all_used(ring, {next.ids.data(), taken});
  ring.last_available = static_cast<uint16_t>(ring.last_available + taken);
  prefetch_available(ring, kBurst);

  if (is_memory_gone(ring)) [[unlikely]] {
    for (Packet& p : burst) p.drop = Drop::port_memory_gone;
    report_trouble(ring);
  }
}

void split_rx_done(RingView& ring) noexcept { publish_used(ring); }

bool split_arm(RingView& ring) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed) || is_memory_gone(ring)) return false;
  if (!ring.has_kick) return true;
  if (ring.features.event_idx) {
    __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used + 4 + sizeof(VringUsedElement) * ring.size),
                     ring.last_available, __ATOMIC_RELAXED);
  } else {
    __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used), uint16_t{0}, __ATOMIC_RELAXED);
  }
  // We store our wish, then look at the index; the guest stores the index, then looks at our wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return __atomic_load_n(&ring.available[1], __ATOMIC_ACQUIRE) != ring.last_available;
}

void split_disarm(RingView& ring) noexcept {
  // With EVENT_IDX the event just falls behind: one needless kick in 65 536.
  if (ring.features.event_idx) return;
  __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used), kUsedNoNotify, __ATOMIC_RELAXED);
}

}  // namespace weft::dataplane::vhost
