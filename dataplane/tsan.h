// SPDX-License-Identifier: BSD-3-Clause
//
// Tells ThreadSanitizer of an order it cannot see, because it is made by code that is not instrumented (a mempool of
// DPDK's library). Nothing at all in other builds. Any thread.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1  // g++
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1  // clang++
#endif
#endif

#ifdef WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::dataplane {

/// What this thread did to `object` until now comes before what happens after another thread's tsan_acquire of it.
inline void tsan_release([[maybe_unused]] void* object) noexcept {
#ifdef WEFT_TSAN
  __tsan_release(object);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* object) noexcept {
#ifdef WEFT_TSAN
  __tsan_acquire(object);
#endif
}

}  // namespace weft::dataplane
