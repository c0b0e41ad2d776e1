// SPDX-License-Identifier: BSD-3-Clause
//
// What receive and send side of a split ring share: finding the next entries, walking a chain, moving the used index.
// Internal to split_rx.cc and split_tx.cc. Worker.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/ring_ops.h"

#include <algorithm>

namespace weft::dataplane::vhost {

/// Entries the guest has made available and we have not taken; more than ring.size: the ring makes no sense. The
/// guest's index, a line it keeps writing to, is read only when fewer than `wanted` are known of.
inline uint16_t n_waiting(RingView& ring, uint16_t wanted) noexcept {
  const auto known = static_cast<uint16_t>(ring.seen_available - ring.last_available);
  if (known >= wanted) return known;
  ring.seen_available = __atomic_load_n(&ring.available[1], __ATOMIC_ACQUIRE);
  return static_cast<uint16_t>(ring.seen_available - ring.last_available);
}

/// The head descriptor index of the entry `ahead` places after the next.
inline uint16_t available_entry(const RingView& ring, uint16_t ahead) noexcept {
  return load_once(&ring.available[2 + (static_cast<uint16_t>(ring.last_available + ahead) & (ring.size - 1))]);
}

/// The next burst of the available ring will be looked at in the next call: the guest writes it, on another processor.
inline void prefetch_available(const RingView& ring) noexcept {
  if (!ring.ahead.is_used_up()) return;
  const auto mask = ring.size - 1;
  __builtin_prefetch(&ring.available[2 + (ring.last_available & mask)]);
  __builtin_prefetch(&ring.available[2 + (static_cast<uint16_t>(ring.last_available + kBurst - 1) & mask)]);
}

/// Looks at the next `n` ≤ kBurst entries of a ring all at once, so that their cache misses overlap. Nearly all are one
/// plain buffer, a descriptor of just the flags kFlags; whose begin is then on its way into the cache.
template <uint16_t kFlags>
inline void look_ahead(RingView& ring, uint16_t n) noexcept {
  // In locals: the compiler must take every store into guest memory for one to the ring's own fields.
  const uint16_t mask = static_cast<uint16_t>(ring.size - 1), next = ring.last_available;
  const uint16_t* const entries = ring.available + 2;
  const VringDescriptor* const descriptors = ring.descriptors;
  EntriesAhead& ahead = ring.ahead;
  ahead.next = 0;
  ahead.n = n;
  for (uint16_t i = 0; i < n; ++i) {
    const uint16_t id = load_once(&entries[static_cast<uint16_t>(next + i) & mask]);
    ahead.ids[i] = id;
    __builtin_prefetch(&descriptors[id & mask]);
  }
  GuestMemory::Region region = ring.translate.last();
  for (uint16_t i = 0; i < n; ++i) {
    Piece& plain = ahead.plain[i];
    plain.data = nullptr;
    const uint16_t id = ahead.ids[i];
    if (id > mask) [[unlikely]]
      continue;
    const VringDescriptor d = load_once(&descriptors[id]);
    if (d.flags != kFlags) [[unlikely]]
      continue;
    const uint64_t offset = d.address - region.guest;
    if (offset < region.size && d.size <= region.size - offset) [[likely]] {
      plain = {region.host + offset, d.size};
    } else {
      plain = {ring.translate(d.address, d.size), d.size};
      region = ring.translate.last();
    }
    prefetch_frame<(kFlags & VringDescriptor::kWrite) != 0>(plain.data);
  }
}

/// The next `n` ≤ kBurst used elements will be written: the guest has read them, on another processor.
inline void prefetch_used(const RingView& ring, uint16_t n) noexcept {
  const uint32_t first = ring.used_idx & (ring.size - 1);
  const uint32_t straight = std::min<uint32_t>(n, ring.size - first);
  const uint8_t* const elements = ring.used + 4;
  prefetch<1>(elements + sizeof(VringUsedElement) * first, sizeof(VringUsedElement) * straight);
  prefetch<1>(elements, sizeof(VringUsedElement) * (n - straight));
}

/// Fills the next used element; the guest sees it when the index is published.
inline void put_used(RingView& ring, uint16_t id, uint32_t size) noexcept {
  const VringUsedElement element{id, size};
  std::memcpy(ring.used + 4 + sizeof element * (ring.used_idx & (ring.size - 1)), &element, sizeof element);
  ++ring.used_idx;
}

/// Shows the guest all used elements at once and interrupts it if it asked (virtio 1.2 §2.7.7.2).
inline void publish_used(RingView& ring) noexcept {
  const uint16_t before = ring.published_idx, now = ring.used_idx;
  if (before == now) return;
  const bool is_logged = ring.log.pages != nullptr;
  if (is_logged) [[unlikely]]
    log_buffers(ring, before, now);
  __atomic_store_n(reinterpret_cast<uint16_t*>(ring.used + 2), now, __ATOMIC_RELEASE);
  ring.published_idx = now;
  if (is_logged) [[unlikely]]
    log_used_elements(ring, before, now);
  const int call_fd = ring.call_fd.load(std::memory_order_relaxed);
  if (call_fd < 0) return;
  // The guest stores its wish, then looks at the index; we store the index, then look at its wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (ring.features.event_idx) {
    const uint16_t event = load_once(&ring.available[2 + ring.size]);
    if (static_cast<uint16_t>(now - event - 1) >= static_cast<uint16_t>(now - before)) return;
  } else if ((load_once(&ring.available[0]) & kAvailNoInterrupt) != 0) {
    return;
  }
  signal_eventfd(call_fd);
}

/// Appends the pieces of the chain that starts at descriptor `head`, all of them writable by the device or
/// all only readable; at most `max` in the list. Ends after as many steps as the table has entries, whatever
/// the guest linked. An indirect table may be the last of a chain (virtio 1.2 §2.7.5.3.2) and may not hold
/// another.
inline Walk walk_chain(RingView& ring, uint16_t head, bool is_writable, uint16_t max, PieceList& list) noexcept {
  const VringDescriptor* table = ring.descriptors;
  uint32_t n_table = ring.size, index = head, steps = 0;
  bool is_indirect = false;
  for (;;) {
    if (index >= n_table || steps++ == n_table) return Walk::bad;
    const VringDescriptor d = load_once(&table[index]);
    if ((d.flags & VringDescriptor::kIndirect) != 0) {
      if (is_indirect || (d.flags & VringDescriptor::kNext) != 0) return Walk::bad;
      if (d.size == 0 || d.size % sizeof(VringDescriptor) != 0) return Walk::bad;
      const uint8_t* at = ring.translate(d.address, d.size);
      if (at == nullptr) return Walk::bad;
      table = reinterpret_cast<const VringDescriptor*>(at);
      n_table = d.size / sizeof(VringDescriptor);
      index = steps = 0;
      is_indirect = true;
      continue;
    }
    if (const Walk walked = add_piece(ring, d, is_writable, max, list); walked != Walk::ok) return walked;
    if ((d.flags & VringDescriptor::kNext) == 0) return Walk::ok;
    index = d.next;
  }
}

}  // namespace weft::dataplane::vhost
