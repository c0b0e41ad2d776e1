// SPDX-License-Identifier: BSD-3-Clause
//
// From hashes to 32-bit values: an open-addressing index whose buckets are cache lines. The keys stay where
// the values point; the caller compares them. Owned by one worker, except reclaim().
//
// Theory of operation. A bucket holds 12 values with one byte of their hash each, so a look-up usually reads
// one line here and one of the caller's. A key that finds its bucket full goes on to the next in a sequence
// its hash gives; each bucket counts how many went past it, and a search that meets a count of zero is over:
// no tombstones. At an average of 9 values a bucket the index doubles: a second table takes all new keys,
// every insert moves one bucket over, and look-ups that miss in the new table ask the old one until it is
// empty. Nothing ever stops.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "nat/lazy_array.h"

namespace weft::nat {

class HashIndex {
 public:
  static constexpr uint32_t kNotFound = 0xffffffff;

  /// Room for `max_keys`; address space only. Throws std::bad_alloc.
  explicit HashIndex(uint32_t max_keys)
      : max_buckets_(std::bit_ceil(max_keys / kPerBucket + 1)),
        tables_{LazyArray<Bucket>(max_buckets_), LazyArray<Bucket>(max_buckets_)},
        mask_((max_buckets_ < kFirstBuckets ? max_buckets_ : kFirstBuckets) - 1) {}

  /// A value under `hash` for which `matches(value)` holds, or kNotFound.
  template <class Matches>
  [[nodiscard]] uint32_t find(uint64_t hash, Matches matches) const noexcept {
    const uint32_t value = find_in(tables_[current_].data(), mask_, hash, matches);
    if (value != kNotFound || !is_growing_) return value;
    return find_in(tables_[current_ ^ 1].data(), mask_ / 2, hash, matches);
  }

  /// Adds a value that is not in yet. `hash_of(value)` gives the hash of any value in the index (growth moves
  /// them). False: full.
  template <class HashOf>
  [[nodiscard]] bool insert(uint64_t hash, uint32_t value, HashOf hash_of) noexcept {
    if (is_growing_) {
      move(1, hash_of);
    } else if (n_keys_ >= uint64_t{kPerBucket} * (mask_ + 1)) {
      grow();
    }
    if (!put(hash, value)) return false;
    ++n_keys_;
    return true;
  }

  /// Takes out a value that is in.
  void erase(uint64_t hash, uint32_t value) noexcept {
    if (erase_in(tables_[current_].data(), mask_, hash, value) ||
        (is_growing_ && erase_in(tables_[current_ ^ 1].data(), mask_ / 2, hash, value))) {
      --n_keys_;
    }
  }

  /// True while an old table is being emptied.
  [[nodiscard]] bool is_growing() const noexcept { return is_growing_; }
  /// Moves up to `n` buckets of the old table.
  template <class HashOf>
  void move(uint32_t n, HashOf hash_of) noexcept {
    Bucket* old = tables_[current_ ^ 1].data();
    const uint32_t n_old = (mask_ + 1) / 2;
    for (; n > 0 && n_moved_ < n_old; --n, ++n_moved_) {
      Bucket& b = old[n_moved_];
      for (uint32_t i = 0; i < kSlots; ++i) {
        if (b.tags[i] == 0) continue;
        b.tags[i] = 0;
        // `n_passed` stays: look-ups in the old table may read too far, never too little. At half the load a
        // place is always found, short of a broken hash; then the key is lost and its owner expires unseen.
        if (!put(hash_of(b.values[i]), b.values[i])) --n_keys_;
      }
    }
    if (n_moved_ == n_old) {
      is_growing_ = false;
      left_behind_.store(n_old, std::memory_order_release);
    }
  }
  [[nodiscard]] uint32_t n_keys() const noexcept { return n_keys_; }
  [[nodiscard]] size_t n_buckets() const noexcept { return size_t{mask_} + 1; }

  /// Control thread: gives back the memory of the table that growth has emptied, if there is one.
  void reclaim() noexcept {
    uint32_t n = left_behind_.load(std::memory_order_acquire);
    if (n == 0 || n == kReclaiming || !left_behind_.compare_exchange_strong(n, kReclaiming)) return;
    tables_[current_ ^ 1].release(n);  // current_ cannot change while the worker sees kReclaiming
    left_behind_.store(0, std::memory_order_release);
  }

 private:
  static constexpr uint32_t kSlots = 12;
  static constexpr uint32_t kPerBucket = 9;  // on average, at which it grows
  static constexpr uint32_t kFirstBuckets = 64;
  static constexpr uint32_t kMaxProbes = 64;
  static constexpr uint32_t kReclaiming = 0xffffffff;

  struct alignas(64) Bucket {
    uint8_t tags[kSlots];  // 0: empty
    uint32_t n_passed;     // keys that found no place here and went on
    uint32_t values[kSlots];
  };
  static_assert(sizeof(Bucket) == 64);

  static constexpr uint8_t tag_of(uint64_t hash) noexcept {
    const auto tag = static_cast<uint8_t>(hash >> 56);
    return tag == 0 ? uint8_t{1} : tag;
  }
  /// Odd, so the sequence visits every bucket.
  static constexpr uint64_t step_of(uint64_t hash) noexcept { return hash >> 32 | 1; }

  /// Bit i: tags[i] == tag.
  static uint32_t match(const Bucket& b, uint8_t tag) noexcept {
#ifdef __SSE2__
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(&b));
    const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<uint32_t>(_mm_movemask_epi8(equal)) & ((1U << kSlots) - 1);
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < kSlots; ++i) bits |= static_cast<uint32_t>(b.tags[i] == tag) << i;
    return bits;
#endif
  }

  template <class Matches>
  static uint32_t find_in(const Bucket* table, uint32_t mask, uint64_t hash, Matches& matches) noexcept {
    const uint8_t tag = tag_of(hash);
    uint64_t at = hash;
    for (uint32_t probe = 0; probe < kMaxProbes; ++probe, at += step_of(hash)) {
      const Bucket& b = table[at & mask];
      for (uint32_t bits = match(b, tag); bits != 0; bits &= bits - 1) {
        const uint32_t value = b.values[std::countr_zero(bits)];
        if (matches(value)) return value;
      }
      if (b.n_passed == 0) break;
    }
    return kNotFound;
  }

  bool put(uint64_t hash, uint32_t value) noexcept {
    Bucket* table = tables_[current_].data();
    uint64_t at = hash;
    for (uint32_t probe = 0; probe < kMaxProbes; ++probe, at += step_of(hash)) {
      Bucket& b = table[at & mask_];
      const uint32_t empty = match(b, 0);
      if (empty == 0) continue;
      const auto slot = static_cast<uint32_t>(std::countr_zero(empty));
      b.tags[slot] = tag_of(hash);
      b.values[slot] = value;
      for (at = hash; probe > 0; --probe, at += step_of(hash)) ++table[at & mask_].n_passed;
      return true;
    }
    return false;
  }

  static bool erase_in(Bucket* table, uint32_t mask, uint64_t hash, uint32_t value) noexcept {
    const uint8_t tag = tag_of(hash);
    uint64_t at = hash;
    for (uint32_t probe = 0; probe < kMaxProbes; ++probe, at += step_of(hash)) {
      Bucket& b = table[at & mask];
      for (uint32_t bits = match(b, tag); bits != 0; bits &= bits - 1) {
        const int slot = std::countr_zero(bits);
        if (b.values[slot] != value) continue;
        b.tags[slot] = 0;
        for (at = hash; probe > 0; --probe, at += step_of(hash)) --table[at & mask].n_passed;
        return true;
      }
      if (b.n_passed == 0) return false;
    }
    return false;
  }

  void grow() noexcept {
    if (mask_ + 1 == max_buckets_) return;
    uint32_t n = left_behind_.load(std::memory_order_acquire);
    if (n == kReclaiming) return;  // a moment later, then: a fuller index is only slower
    if (n != 0) {
      // The control thread had the time it takes for the connections to double; it isn't there.
      if (!left_behind_.compare_exchange_strong(n, 0)) return;
      tables_[current_ ^ 1].release(n);
    }
    current_ ^= 1;
    mask_ = mask_ * 2 + 1;
    n_moved_ = 0;
    is_growing_ = true;
  }

  uint32_t max_buckets_;
  LazyArray<Bucket> tables_[2];
  uint32_t current_ = 0;
  uint32_t mask_;  // buckets of the current table - 1
  uint32_t n_keys_ = 0;
  uint32_t n_moved_ = 0;  // buckets of the old table that are empty
  bool is_growing_ = false;
  /// Buckets of the other table that hold remains. Set by the worker, cleared by the control thread.
  std::atomic<uint32_t> left_behind_{0};
};

}  // namespace weft::nat
