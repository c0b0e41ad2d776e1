// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/frame_in.h"
#include "dataplane/vhost/split_ops.h"
#include "dataplane/vhost/split_ring.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// A frame in a chain of any shape.
Drop make_chained(RingView& ring, Burst& burst, Packet& p, uint16_t id) noexcept {
  if (id >= ring.size) return Drop::rx_bad_descriptor;
  PieceList list;
  const Walk walked = walk_chain(ring, id, /*is_writable=*/false, kMaxRxPieces, list);
  return make_from_pieces(ring, burst, p, walked, list);
}

/// Sent frames go back to the guest as they came; nothing was written into them.
void put_all_used(RingView& ring, std::span<const uint16_t> ids) noexcept {
  if (ring.features.in_order && !ids.empty()) {
    // The last stands for all, in the place of the first (virtio 1.2 §2.7.9).
    const uint16_t at = ring.used_idx;
    put_used(ring, ids.back(), 0);
    ring.used_idx = static_cast<uint16_t>(at + ids.size());
    return;
  }
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
  EntriesAhead& ahead = ring.ahead;
  if (ahead.is_used_up()) look_ahead<0>(ring, std::min(waiting, kBurst));
  const uint16_t first = ahead.next, n = static_cast<uint16_t>(ahead.n - first);
  prefetch_used(ring, n);

  uint16_t taken = 0;
  for (; taken < n && burst.has_segment_room(); ++taken) {
    Packet& p = burst.add();
    const Piece plain = ahead.plain[first + taken];
    if (plain.data != nullptr && plain.size >= ring.features.header_size) [[likely]] {
      make_plain(ring, burst, p, plain.data, plain.size);
    } else {
      p.drop = make_chained(ring, burst, p, ahead.ids[first + taken]);
    }
  }
  put_all_used(ring, {ahead.ids.data() + first, taken});
  ring.last_available = static_cast<uint16_t>(ring.last_available + taken);
  ahead.next = static_cast<uint16_t>(first + taken);
  prefetch_available(ring);

  if (is_memory_gone(ring)) [[unlikely]] {
    for (Packet& p : burst) p.drop = Drop::port_memory_gone;
    report_trouble(ring);
  }
}

void split_rx_done(RingView& ring) noexcept { publish_used(ring); }

bool split_arm(RingView& ring) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed) || is_memory_gone(ring)) return false;
  if (!ring.has_kick) return true;
  const size_t event = 4 + sizeof(VringUsedElement) * ring.size;
  if (ring.features.event_idx) {
    __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used + event), ring.last_available, __ATOMIC_RELAXED);
  } else {
    __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used), uint16_t{0}, __ATOMIC_RELAXED);
  }
  if (ring.log.pages != nullptr) [[unlikely]]
    log_used(ring, ring.features.event_idx ? event : 0, sizeof(uint16_t));
  // We store our wish, then look at the index; the guest stores the index, then looks at our wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return __atomic_load_n(&ring.available[1], __ATOMIC_ACQUIRE) != ring.last_available;
}

void split_disarm(RingView& ring) noexcept {
  // With EVENT_IDX the event just falls behind: one needless kick in 65 536.
  if (ring.features.event_idx) return;
  __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used), kUsedNoNotify, __ATOMIC_RELAXED);
  if (ring.log.pages != nullptr) [[unlikely]]
    log_used(ring, 0, sizeof(uint16_t));
}

}  // namespace weft::dataplane::vhost
