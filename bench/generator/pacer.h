// SPDX-License-Identifier: BSD-3-Clause
//
// How many frames are due at a steady rate. What a full ring refuses is lost, as at any sender that cannot wait; what
// the sender itself was too late for is not: it shifts the clock. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft::bench {

class Pacer {
 public:
  /// Not paced: always due.
  Pacer() = default;
  /// One frame every `ticks_per_frame` of a clock that stands at `now`; up to `backlog` frames may wait for room.
  Pacer(double ticks_per_frame, uint64_t now, uint32_t backlog) noexcept
      : ticks_per_frame_(ticks_per_frame), start_(static_cast<double>(now)), backlog_(backlog) {}

  [[nodiscard]] bool is_paced() const noexcept { return ticks_per_frame_ > 0; }
  /// Frames due now and not sent yet. `has_room`: whether the ring has taken all that was due before.
  uint32_t due(uint64_t now, bool has_room) noexcept {
    const double elapsed = static_cast<double>(now) - start_;
    const auto total = static_cast<uint64_t>(std::max(0.0, elapsed / ticks_per_frame_));
    if (total <= sent_) return 0;
    const uint64_t waiting = total - sent_;
    if (waiting <= backlog_) return static_cast<uint32_t>(waiting);
    const uint64_t excess = waiting - backlog_;
    if (has_room) {
      late_ += excess;
      start_ += static_cast<double>(excess) * ticks_per_frame_;
    } else {
      refused_ += excess;
      sent_ += excess;
    }
    return backlog_;
  }
  void sent(uint32_t n) noexcept { sent_ += n; }
  /// Frames that found the ring full and were given up.
  [[nodiscard]] uint64_t refused() const noexcept { return refused_; }
  /// Frames that the sender could not offer in time: it was itself the limit.
  [[nodiscard]] uint64_t late() const noexcept { return late_; }

 private:
  double ticks_per_frame_ = 0;
  double start_ = 0;
  uint64_t sent_ = 0, refused_ = 0, late_ = 0;
  uint32_t backlog_ = 0;
};

}  // namespace weft::bench
