// SPDX-License-Identifier: BSD-3-Clause
//
// A queue between two threads, one that puts in and one that takes out, without locks. What is published by an index is
// ordered by that index alone (release and acquire, no fences), so that ThreadSanitizer sees it too.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

namespace weft::dataplane {

/// T is a small value. Made and destroyed while neither thread is at it.
template <class T>
class SpscRing {
 public:
  /// Holds `length` values, rounded up to a power of two.
  explicit SpscRing(size_t length)
      : mask_(std::bit_ceil(length) - 1), values_(std::make_unique<T[]>(std::bit_ceil(length))) {}

  /// The thread that puts in. False: it is full.
  bool push(const T& value) noexcept {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) > mask_) return false;
    values_[tail & mask_] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// The thread that takes out. False: it is empty.
  bool pop(T& value) noexcept {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (tail_.load(std::memory_order_acquire) == head) return false;
    value = values_[head & mask_];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  /// Either thread: how many wait, at least (who takes out) or at most (who puts in).
  [[nodiscard]] size_t size() const noexcept {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire);
  }

 private:
  const size_t mask_;
  const std::unique_ptr<T[]> values_;
  alignas(64) std::atomic<size_t> tail_{0};  // written by who puts in
  alignas(64) std::atomic<size_t> head_{0};  // written by who takes out
};

}  // namespace weft::dataplane
