// SPDX-License-Identifier: BSD-3-Clause
//
// The hash of the tables whose keys guests choose: keyed by a random seed, so that nobody outside can find
// keys that share a bucket. (A CRC would not do: which keys collide does not depend on its seed.)
#pragma once

#include <cstdint>

namespace weft::vswitch {

/// One 64 × 64 → 128 bit multiplication, folded. All bits of the result are good.
class KeyedHash {
 public:
  explicit constexpr KeyedHash(uint64_t seed) noexcept : xor_(mix(seed)), multiplier_(mix(seed + 1) | 1) {}

  [[nodiscard]] constexpr uint64_t operator()(uint64_t key) const noexcept {
    const Product product = static_cast<Product>(key ^ xor_) * multiplier_;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

 private:
  __extension__ using Product = unsigned __int128;
  /// splitmix64: neighbouring seeds give unrelated numbers.
  static constexpr uint64_t mix(uint64_t v) noexcept {
    v += 0x9e3779b97f4a7c15;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
    v = (v ^ v >> 27) * 0x94d049bb133111eb;
    return v ^ v >> 31;
  }
  uint64_t xor_, multiplier_;
};

}  // namespace weft::vswitch
