// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/frame_in.h"
#include "dataplane/vhost/packed_ops.h"
#include "dataplane/vhost/packed_ring.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// With IN_ORDER the last frame of a burst stands for all, in the slot of the first. `n_slots`: from the ring's
/// position to behind it.
void put_last_used(RingView& ring, uint16_t id, uint16_t n_slots) noexcept {
  ring.record->used[0] = {0, id, ring.published.index};
  ring.n_used = 1;
  ring.next.advance(n_slots, ring.packed.size);
}

/// The next slots, a frame each, go back to the guest as they came; nothing was written into them.
void put_all_used(RingView& ring, std::span<const uint16_t> ids) noexcept {
  const auto n = static_cast<uint16_t>(ids.size());
  if (n == 0) return;
  if (ring.features.in_order) return put_last_used(ring, ids.back(), n);
  PackedUsed* const used = ring.record->used.data() + ring.n_used;
  const uint32_t size = ring.packed.size;
  uint32_t slot = ring.next.index;
  for (uint16_t i = 0; i < n; ++i) {
    used[i] = {0, ids[i], static_cast<uint16_t>(slot)};
    slot = slot + 1 == size ? 0 : slot + 1;
  }
  ring.n_used = static_cast<uint16_t>(ring.n_used + n);
  ring.next.advance(n, size);
}

/// A frame in one slot that is not one plain buffer.
Drop make_other(RingView& ring, Burst& burst, Packet& p, const PackedDescriptor& d) noexcept {
  PieceList list;
  const Walk walked = add_slot(ring, d, /*is_writable=*/false, kMaxRxPieces, list);
  return make_from_pieces(ring, burst, p, walked, list);
}

/// Slots that are a frame each, as many as are there; how many.
uint16_t take_slots(RingView& ring, Burst& burst, const NextSlots<0>& next) noexcept {
  uint16_t taken = 0;
  for (; taken < next.n && burst.has_segment_room(); ++taken) {
    Packet& p = burst.add();
    const Piece& plain = next.plain[taken];
    if (plain.data != nullptr && plain.size >= ring.features.header_size) [[likely]]
      make_plain(ring, burst, p, plain.data, plain.size);
    else if (plain.data != nullptr)
      p.drop = plain.size == 0 ? Drop::rx_bad_descriptor : Drop::rx_short_header;
    else
      p.drop = make_other(ring, burst, p, next.other[taken]);
  }
  put_all_used(ring, {next.ids.data(), taken});
  return taken;
}

/// The frame in several slots that comes next. False: nothing comes after it that could be found.
bool take_chain(RingView& ring, Burst& burst) noexcept {
  Packet& p = burst.add();
  PieceList list;
  PackedPosition at = ring.next;
  PackedBuffer buffer;
  const Walk walked = walk_slots(ring, at, /*is_writable=*/false, kMaxRxPieces, list, buffer);
  if (walked == Walk::broken) {
    break_ring(ring);
    p.drop = Drop::rx_bad_descriptor;
    return false;
  }
  p.drop = make_from_pieces(ring, burst, p, walked, list);
  if (ring.features.in_order)
    put_last_used(ring, buffer.id, buffer.n_slots);
  else
    put_used_slot(ring, buffer, 0);
  return true;
}

}  // namespace

void packed_rx(RingView& ring, Burst& burst) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed)) [[unlikely]]
    return;
  if (is_memory_gone(ring)) [[unlikely]]
    return report_trouble(ring);
  if (!is_available(ring, ring.next)) return;
  NextSlots<0> next;
  for (;;) {
    const auto room = static_cast<uint16_t>(kBurst - burst.size());
    next.look(ring, ring.next, room);
    if (take_slots(ring, burst, next) < next.n || !next.ends_at_chain || !burst.has_segment_room()) break;
    if (!take_chain(ring, burst) || burst.full()) break;
  }
  if (is_memory_gone(ring)) [[unlikely]] {
    for (Packet& p : burst) p.drop = Drop::port_memory_gone;
    report_trouble(ring);
  }
}

void packed_rx_done(RingView& ring) noexcept { publish_slots(ring); }

bool packed_arm(RingView& ring) noexcept {
  if (ring.is_broken.load(std::memory_order_relaxed) || is_memory_gone(ring)) return false;
  if (!ring.has_kick) return true;
  set_event(ring, ring.features.event_idx ? PackedEvent{ring.next.bits(), PackedEvent::kAtPosition}
                                          : PackedEvent{kPackedMark, PackedEvent::kEnable});
  // We store our wish, then look at the slot; the guest stores to the slot, then looks at our wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return is_available(ring, ring.next);
}

void packed_disarm(RingView& ring) noexcept { set_event(ring, {kPackedMark, PackedEvent::kDisable}); }

}  // namespace weft::dataplane::vhost
