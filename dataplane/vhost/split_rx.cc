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
  VirtioNetHeader header;
  std::memcpy(&header, data, kSenderHeader);
  asm volatile("" : "+m"(header));  // read once
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

}  // namespace

void split_rx(RingView& ring, Burst& burst) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed)) [[unlikely]]
    return;
  if (is_memory_gone(ring)) [[unlikely]]
    return report_trouble(ring);
  const uint16_t waiting = n_waiting(ring);
  if (waiting == 0) return;
  if (waiting > ring.size) [[unlikely]] {
    break_ring(ring);
    // Counted once. An index read from zeros makes no sense either.
    burst.add().drop = is_memory_gone(ring) ? Drop::port_memory_gone : Drop::rx_bad_descriptor;
    return;
  }
  const uint16_t n = std::min(waiting, kBurst);

  // Each loop touches one kind of memory, so that its misses overlap.
  std::array<uint16_t, kBurst> ids;
  std::array<Piece, kBurst> simple;  // data == nullptr: not simple
  for (uint16_t i = 0; i < n; ++i) ids[i] = available_entry(ring, i);
  for (uint16_t i = 0; i < n; ++i) __builtin_prefetch(&ring.descriptors[ids[i] & (ring.size - 1)]);
  for (uint16_t i = 0; i < n; ++i) {
    simple[i].data = nullptr;
    if (ids[i] >= ring.size) [[unlikely]]
      continue;
    const VringDescriptor d = load_once(&ring.descriptors[ids[i]]);
    if (d.flags != 0 || d.size < ring.features.header_size) [[unlikely]]
      continue;
    simple[i] = {ring.translate(d.address, d.size), d.size};
    prefetch_frame<0>(simple[i].data);
  }

  uint16_t taken = 0;
  for (; taken < n && burst.has_segment_room(); ++taken) {
    Packet& p = burst.add();
    if (simple[taken].data != nullptr) [[likely]] {
      make_simple(ring, burst, p, simple[taken].data, simple[taken].size);
    } else {
      p.drop = make_chained(ring, burst, p, ids[taken]);
    }
    put_used(ring, ids[taken], 0);
  }
  ring.last_available = static_cast<uint16_t>(ring.last_available + taken);

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
  return n_waiting(ring) != 0;
}

void split_disarm(RingView& ring) noexcept {
  // With EVENT_IDX the event just falls behind: one needless kick in 65 536.
  if (ring.features.event_idx) return;
  __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used), kUsedNoNotify, __ATOMIC_RELAXED);
}

}  // namespace weft::dataplane::vhost
