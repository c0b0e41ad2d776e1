// SPDX-License-Identifier: BSD-3-Clause
//
// What receive and send side of a packed ring share: reading its slots exactly once, walking a chain, telling the guest
// what has been used. Internal to packed_rx.cc and packed_tx.cc. Worker.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/ring_ops.h"

namespace weft::dataplane::vhost {

/// A slot, read once. Its flags say whether there is anything in the rest, so the word they are in is read first.
inline PackedDescriptor load_slot(const PackedDescriptor* slot) noexcept {
  using Word [[gnu::may_alias]] = uint64_t;
  const uint64_t rest = __atomic_load_n(reinterpret_cast<const Word*>(&slot->size), __ATOMIC_ACQUIRE);
  return {__atomic_load_n(&slot->address, __ATOMIC_RELAXED), static_cast<uint32_t>(rest),
          static_cast<uint16_t>(rest >> 32), static_cast<uint16_t>(rest >> 48)};
}

/// Whether the guest has made the slot available.
inline bool is_available(const RingView& ring, PackedPosition at) noexcept {
  const uint16_t flags = __atomic_load_n(&ring.packed.slots[at.index].flags, __ATOMIC_ACQUIRE);
  return (flags & kPackedLapFlags) == at.available_flags();
}

/// Appends what a slot names: one piece, or those of an indirect table, in its order (virtio 1.2 §2.8.7). A table may
/// not be in a chain nor hold another.
inline Walk add_slot(RingView& ring, const PackedDescriptor& d, bool is_writable, uint16_t max,
                     PieceList& list) noexcept {
  if ((d.flags & PackedDescriptor::kIndirect) == 0) return add_piece(ring, d, is_writable, max, list);
  if (d.size == 0 || d.size % sizeof(PackedDescriptor) != 0) return Walk::bad;
  const uint8_t* table = ring.translate(d.address, d.size);
  if (table == nullptr) return Walk::bad;
  for (uint32_t at = 0; at < d.size; at += sizeof(PackedDescriptor)) {
    PackedDescriptor entry = load_once(reinterpret_cast<const PackedDescriptor*>(table + at));
    if ((entry.flags & PackedDescriptor::kIndirect) != 0) return Walk::bad;
    // DPDK's driver leaves WRITE on the entry of the header it sends. To read there harms nobody.
    if (!is_writable) entry.flags = 0;
    if (const Walk w = add_piece(ring, entry, is_writable, max, list); w != Walk::ok) return w;
  }
  return Walk::ok;
}

/// A buffer as the guest made it available.
struct PackedBuffer {
  uint16_t id = 0;
  uint16_t n_slots = 0;
};

/// Appends the pieces of the buffer at `at`, which is available, and moves `at` behind it, whatever is wrong with the
/// pieces. Walk::broken: where it ends cannot be said, for it has as many slots as the ring or goes on in one that is
/// not available.
inline Walk walk_slots(RingView& ring, PackedPosition& at, bool is_writable, uint16_t max, PieceList& list,
                       PackedBuffer& buffer) noexcept {
  Walk result = Walk::ok;
  for (uint32_t n = 0; n < ring.packed.size; ++n) {
    const PackedDescriptor d = load_slot(&ring.packed.slots[at.index]);
    if ((d.flags & kPackedLapFlags) != at.available_flags()) return Walk::broken;
    const bool is_chained = n != 0 || (d.flags & PackedDescriptor::kNext) != 0;
    if (is_chained && (d.flags & PackedDescriptor::kIndirect) != 0) result = Walk::bad;
    if (result == Walk::ok) result = add_slot(ring, d, is_writable, max, list);
    at.advance(1, ring.packed.size);
    buffer = {d.id, static_cast<uint16_t>(n + 1)};
    if ((d.flags & PackedDescriptor::kNext) == 0) return result;
  }
  return Walk::broken;
}

/// The next slots of a ring, looked at all at once, so that their cache misses overlap: as far as they are available
/// and each is a buffer of its own. Nearly all are one plain piece, a descriptor of just the flags kFlags, whose begin
/// is then on its way into the cache.
template <uint16_t kFlags>
struct NextSlots {
  std::array<uint16_t, kBurst> ids;
  std::array<Piece, kBurst> plain;             // data == nullptr: it is something else, or not guest memory
  std::array<PackedDescriptor, kBurst> other;  // then this is what it is
  uint16_t n = 0;
  bool ends_at_chain = false;  // the slot after the last begins a buffer of several

  NextSlots() noexcept {}  // filled before it is read

  /// At most `wanted` ≤ kBurst, from `at`.
  void look(RingView& ring, PackedPosition at, uint16_t wanted) noexcept {
    // In locals: the compiler must take every store for one to the ring's own fields.
    const PackedDescriptor* const slots = ring.packed.slots;
    const uint32_t size = ring.packed.size;
    uint32_t index = at.index;
    uint16_t lap = at.available_flags();
    GuestMemory::Region region = ring.translate.last();
    ends_at_chain = false;
    uint16_t i = 0;
    for (; i < wanted; ++i) {
      const PackedDescriptor d = load_slot(&slots[index]);
      if ((d.flags & kPackedLapFlags) != lap) break;
      if ((d.flags & PackedDescriptor::kNext) != 0) [[unlikely]] {
        ends_at_chain = true;
        break;
      }
      ids[i] = d.id;
      if ((d.flags & ~kPackedLapFlags) == kFlags) [[likely]] {
        const uint64_t offset = d.address - region.guest;
        if (offset < region.size && d.size <= region.size - offset) [[likely]] {
          plain[i] = {region.host + offset, d.size};
        } else {
          plain[i] = {ring.translate(d.address, d.size), d.size};
          region = ring.translate.last();
        }
        prefetch_frame<(kFlags & PackedDescriptor::kWrite) != 0>(plain[i].data);
      } else {
        plain[i].data = nullptr;
      }
      if (plain[i].data == nullptr) [[unlikely]]
        other[i] = d;
      if (++index == size) [[unlikely]] {
        index = 0;
        lap ^= kPackedLapFlags;
      }
    }
    n = i;
  }
};

/// Notes that the buffer at the ring's position has been used and moves the position behind it.
inline void put_used_slot(RingView& ring, PackedBuffer buffer, uint32_t size) noexcept {
  ring.record->used[ring.n_used++] = {size, buffer.id, ring.next.index};
  ring.next.advance(buffer.n_slots, ring.packed.size);
}

/// Says when the guest is to kick.
inline void set_event(RingView& ring, PackedEvent event) noexcept {
  using Word [[gnu::may_alias]] = uint32_t;
  __atomic_store_n(reinterpret_cast<Word*>(ring.packed.device_event), event.position | uint32_t{event.flags} << 16,
                   __ATOMIC_RELAXED);
  if (ring.log.pages != nullptr) [[unlikely]]
    log_used(ring, 0, sizeof event);
}

/// Whether the guest wants to be told that the slots from `from` to before `to` have been used (virtio 1.2 §2.8.10).
inline bool wants_interrupt(const RingView& ring, PackedPosition from, PackedPosition to) noexcept {
  using Word [[gnu::may_alias]] = uint32_t;
  const uint32_t word = __atomic_load_n(reinterpret_cast<const Word*>(ring.packed.driver_event), __ATOMIC_RELAXED);
  const uint16_t flags = word >> 16 & 3;
  if (flags == PackedEvent::kDisable) return false;
  if (flags != PackedEvent::kAtPosition || !ring.features.event_idx) return true;
  const PackedPosition event = PackedPosition::from_bits(static_cast<uint16_t>(word));
  const auto slots_between = [&](PackedPosition a, PackedPosition b) {
    return b.index - a.index + (a.wrap != b.wrap ? static_cast<int>(ring.packed.size) : 0);
  };
  const int since_event = slots_between(event, to);
  return since_event > 0 && since_event <= slots_between(from, to);
}

/// Tells the guest of all that has been used, in steps that can be cut off (packed_record.h), and interrupts it if it
/// asked for that.
inline void publish_slots(RingView& ring) noexcept {
  if (ring.n_used == 0) return;
  const PackedPosition from = ring.published, to = ring.next;
  PackedRecord& record = *ring.record;
  const bool is_logged = ring.log.pages != nullptr;
  if (is_logged) [[unlikely]]
    log_slot_buffers(ring);
  record.store({from, to, ring.n_used});
  write_used(ring.packed, from, record.used.data(), ring.n_used);
  if (is_logged) [[unlikely]]
    log_slots(ring);
  record.store({to, to, 0});
  ring.published = to;
  ring.n_used = 0;
  const int call_fd = ring.call_fd.load(std::memory_order_relaxed);
  if (call_fd < 0) return;
  // The guest stores its wish, then looks at the slots; we store to the slots, then look at its wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (wants_interrupt(ring, from, to)) signal_eventfd(call_fd);
}

}  // namespace weft::dataplane::vhost
