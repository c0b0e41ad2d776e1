// SPDX-License-Identifier: BSD-3-Clause
//
// What a driver and a device tell each other beside descriptors: whether the guest is to kick, whether it wants to be
// interrupted. The driver's side, of both kinds of ring.
#pragma once

#include "bench/null_guest.h"

#include <atomic>

namespace weft::bench {

using dataplane::vhost::VringUsedElement;

/// Whether the switch wants to be kicked for the one buffer that was made available last (virtio 1.2 §2.7.10.1). The
/// caller's fence lies between making it available and this.
inline bool wants_kick(const NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (!has_event_idx) return (__atomic_load_n(reinterpret_cast<const uint16_t*>(r.used), __ATOMIC_RELAXED) & 1) == 0;
  const auto* event = reinterpret_cast<const uint16_t*>(r.used + 4 + sizeof(VringUsedElement) * r.size);
  return static_cast<uint16_t>(r.available_idx - __atomic_load_n(event, __ATOMIC_RELAXED) - 1) < 1;
}

/// Asks to be interrupted when the next buffer is used, or when there is one already. The caller looks again behind a
/// fence before it sleeps.
inline void ask_for_call(NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (has_event_idx)
    __atomic_store_n(&r.available[2 + r.size], r.last_used, __ATOMIC_RELAXED);
  else
    __atomic_store_n(&r.available[0], uint16_t{0}, __ATOMIC_RELAXED);
}

/// Asks not to be interrupted.
inline void decline_calls(NullGuest::Ring& r, bool has_event_idx) noexcept {
  if (has_event_idx)
    __atomic_store_n(&r.available[2 + r.size], static_cast<uint16_t>(r.last_used - 1), __ATOMIC_RELAXED);
  else
    __atomic_store_n(&r.available[0], dataplane::vhost::kAvailNoInterrupt, __ATOMIC_RELAXED);
}

/// Whether the switch has used something the guest has not taken.
inline bool has_used(const NullGuest::Ring& r) noexcept { return r.used_idx() != r.last_used; }

}  // namespace weft::bench
