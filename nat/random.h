// SPDX-License-Identifier: BSD-3-Clause
//
// Numbers that nobody outside can predict from earlier ones, for the choice of ports (RFC 6056 §3.3, RFC
// 4086): SipHash-2-4 of a counter under a secret key. Owned by one worker; no system call.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace weft::nat {

class PortRandom {
 public:
  explicit PortRandom(const std::array<uint64_t, 2>& key) noexcept : key_(key) {}

  /// 64 random bits.
  uint64_t next() noexcept {
    uint64_t v0 = key_[0] ^ 0x736f6d6570736575, v1 = key_[1] ^ 0x646f72616e646f6d;
    uint64_t v2 = key_[0] ^ 0x6c7967656e657261, v3 = key_[1] ^ 0x7465646279746573;
    const auto round = [&]() noexcept {
      v0 += v1;
      v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1;
      v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    };
    for (const uint64_t word : {counter_++, uint64_t{8} << 56}) {
      v3 ^= word;
      round();
      round();
      v0 ^= word;
    }
    v2 ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
  /// In [0, n), 0 < n ≤ 2^16; uniform but for one part in 2^16.
  uint32_t below(uint32_t n) noexcept { return static_cast<uint32_t>((next() >> 32) * n >> 32); }
  /// Where the sequence goes on.
  void set_counter(uint64_t counter) noexcept { counter_ = counter; }

 private:
  std::array<uint64_t, 2> key_;
  uint64_t counter_ = 0;
};

}  // namespace weft::nat
