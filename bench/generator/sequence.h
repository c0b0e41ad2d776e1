// SPDX-License-Identifier: BSD-3-Clause
//
// What became of the frames of one flow, told by their sequence numbers: in order, late, twice, or never. One thread.
#pragma once

#include <cstdint>

namespace weft::bench {

struct SequenceCounts {
  uint64_t in_order = 0;
  uint64_t late = 0;     // overtaken by one sent after it
  uint64_t twice = 0;    // seen before; told apart among the last 64 only
  uint64_t missing = 0;  // overtaken and not seen since
};

/// The state of one flow: 16 bytes, since there may be a million.
class SequenceTracker {
 public:
  /// Takes note of `number`, which counts frames of this flow from 0 and wraps at 2^32.
  void see(uint32_t number, SequenceCounts& counts) noexcept {
    const auto ahead = static_cast<int32_t>(number - next_);
    if (ahead == 0) [[likely]] {
      ++counts.in_order;
      seen_ = seen_ << 1 | 1;
      ++next_;
    } else if (ahead > 0) {
      ++counts.in_order;
      counts.missing += static_cast<uint32_t>(ahead);
      seen_ = ahead >= 63 ? 1 : seen_ << (ahead + 1) | 1;
      next_ = number + 1;
    } else {
      see_old(static_cast<uint32_t>(-ahead), counts);
    }
  }
  /// Takes note that the first `number` frames belong to an earlier measurement.
  void start_at(uint32_t number) noexcept {
    next_ = number;
    seen_ = ~uint64_t{0};
  }
  [[nodiscard]] uint32_t next() const noexcept { return next_; }

 private:
  /// The frame `behind` places before the next one expected (1: the last one).
  void see_old(uint32_t behind, SequenceCounts& counts) noexcept {
    if (behind <= 64) {
      const uint64_t bit = uint64_t{1} << (behind - 1);
      if ((seen_ & bit) != 0) {
        ++counts.twice;
        return;
      }
      seen_ |= bit;
    }
    ++counts.late;
    if (counts.missing != 0) --counts.missing;
  }

  uint64_t seen_ = ~uint64_t{0};  // bit i: the frame i + 1 before next_ has been seen; those before the first count so
  uint32_t next_ = 0;
};
static_assert(sizeof(SequenceTracker) == 16);

}  // namespace weft::bench
