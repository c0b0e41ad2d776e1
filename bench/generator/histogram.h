// SPDX-License-Identifier: BSD-3-Clause
//
// Counts of values from nothing to 2^64 in buckets that grow with the value, as HdrHistogram has them: fixed memory,
// recording is a shift and an increment, and a percentile is never more than 1/64 above the true value. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace weft::bench {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 6;  // 64 buckets for each power of two
  static constexpr size_t kSub = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSub;

  void record(uint64_t value) noexcept {
    ++counts_[bucket_of(value)];
    ++total_;
    sum_ += static_cast<double>(value);
    if (value < min_) min_ = value;
    if (value > max_) max_ = value;
  }
  void add(const Histogram& other) noexcept {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    sum_ += other.sum_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
  }
  void clear() noexcept { *this = Histogram(); }

  [[nodiscard]] uint64_t total() const noexcept { return total_; }
  /// 0 when nothing was recorded, as all below.
  [[nodiscard]] uint64_t min() const noexcept { return total_ == 0 ? 0 : min_; }
  [[nodiscard]] uint64_t max() const noexcept { return max_; }
  [[nodiscard]] double mean() const noexcept { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_); }
  /// The least value that `fraction` (0 … 1) of all are not above, to the bucket's upper end.
  [[nodiscard]] uint64_t percentile(double fraction) const noexcept {
    if (total_ == 0) return 0;
    const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(total_))));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= wanted) return std::min(highest_in(i), max_);
    }
    return max_;
  }
  /// Calls f(highest value of the bucket, count) for each bucket that holds something, in order.
  template <class F>
  void for_each(F&& f) const {
    for (size_t i = 0; i < kBuckets; ++i)
      if (counts_[i] != 0) f(highest_in(i), counts_[i]);
  }

  [[nodiscard]] static constexpr size_t bucket_of(uint64_t value) noexcept {
    if (value < kSub) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    return (shift + 1) * kSub + (value >> shift) - kSub;
  }
  [[nodiscard]] static constexpr uint64_t highest_in(size_t bucket) noexcept {
    if (bucket < kSub) return bucket;
    const size_t shift = bucket / kSub - 1;
    return ((uint64_t{bucket % kSub} + kSub + 1) << shift) - 1;
  }

 private:
  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0, min_ = UINT64_MAX, max_ = 0;
  double sum_ = 0;
};

}  // namespace weft::bench
