// SPDX-License-Identifier: BSD-3-Clause
//
// What a driver and a device tell each other beside descriptors: whether the guest is to kick, whether it wants to be
// interrupted. The driver's side, of both kinds of ring.
#pragma once

#include "bench/null_guest.h"

#include <atomic>

namespace weft::bench {

using dataplane::vhost::VringUsedElement;

using dataplane::vhost::PackedEvent;
using dataplane::vhost::PackedPosition;

/// The event structures of packed rings, read and written whole (virtio 1.2 §2.8.10).
inline PackedEvent load_event(const PackedEvent* from) noexcept {
  const uint32_t bits = __atomic_load_n(reinterpret_cast<const uint32_t*>(from), __ATOMIC_RELAXED);
  return {static_cast<uint16_t>(bits), static_cast<uint16_t>(bits >> 16)};
}
inline void store_event(PackedEvent* to, PackedEvent event) noexcept {
  __atomic_store_n(reinterpret_cast<uint32_t*>(to), event.position | uint32_t{event.flags} << 16, __ATOMIC_RELAXED);
}
inline PackedPosition one_before(PackedPosition at, uint16_t size) noexcept {
  if (at.index != 0) return {static_cast<uint16_t>(at.index - 1), at.wrap};
  return {static_cast<uint16_t>(size - 1), !at.wrap};
}

/// Whether the switch wants to be kicked for the one buffer that was made available last, in one descriptor (virtio 1.2
/// §2.7.10.1, §2.8.10). The caller's fence lies between making it available and this.
inline bool wants_kick(const NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (r.is_packed()) {
    const PackedEvent event = load_event(r.device_event);
    if (!has_event_idx || event.flags != PackedEvent::kAtPosition) return event.flags != PackedEvent::kDisable;
    return event.position == one_before(r.next_available, r.size).bits();
  }
  if (!has_event_idx) return (__atomic_load_n(reinterpret_cast<const uint16_t*>(r.used), __ATOMIC_RELAXED) & 1) == 0;
  const auto* event = reinterpret_cast<const uint16_t*>(r.used + 4 + sizeof(VringUsedElement) * r.size);
  return static_cast<uint16_t>(r.available_idx - __atomic_load_n(event, __ATOMIC_RELAXED) - 1) < 1;
}

/// Asks to be interrupted when the next buffer is used, or when there is one already. The caller looks again behind a
/// fence before it sleeps.
inline void ask_for_call(NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (r.is_packed())
    store_event(r.driver_event, has_event_idx ? PackedEvent{r.next_used.bits(), PackedEvent::kAtPosition}
                                              : PackedEvent{0, PackedEvent::kEnable});
  else if (has_event_idx)
    __atomic_store_n(&r.available[2 + r.size], r.last_used, __ATOMIC_RELAXED);
  else
    __atomic_store_n(&r.available[0], uint16_t{0}, __ATOMIC_RELAXED);
}

/// Asks not to be interrupted.
inline void decline_calls(NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (r.is_packed())
    store_event(r.driver_event, {0, PackedEvent::kDisable});
  else if (has_event_idx)
    __atomic_store_n(&r.available[2 + r.size], static_cast<uint16_t>(r.last_used - 1), __ATOMIC_RELAXED);
  else
    __atomic_store_n(&r.available[0], dataplane::vhost::kAvailNoInterrupt, __ATOMIC_RELAXED);
}

}  // namespace weft::bench
