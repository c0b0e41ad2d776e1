// SPDX-License-Identifier: BSD-3-Clause
//
// The processor's time stamp counter as a clock: a read costs some 20 cycles. Constant and common to all cores on every
// processor of the last decade.
#pragma once

#include <chrono>
#include <cstdint>
#include <thread>

#include <x86intrin.h>

namespace weft::bench {

[[nodiscard]] inline uint64_t ticks() noexcept { return __rdtsc(); }

/// Ticks a second, measured over some milliseconds.
[[nodiscard]] inline double measure_ticks_per_second() {
  using Clock = std::chrono::steady_clock;
  const auto from = Clock::now();
  const uint64_t start = ticks();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const uint64_t end = ticks();
  return static_cast<double>(end - start) / std::chrono::duration<double>(Clock::now() - from).count();
}

}  // namespace weft::bench
