// SPDX-License-Identifier: BSD-3-Clause
//
// Big-endian integers as they stand on the wire. They do not convert to or from native integers by
// themselves, so a forgotten byte swap does not compile. Alignment is 1: headers made of them may be laid
// over any byte of a frame.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace weft::wire {

template <std::unsigned_integral T>
constexpr T byteswap(T v) noexcept {
  if constexpr (sizeof(T) == 1) return v;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(v));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(v));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(v));
}

/// An unsigned integer in network byte order. `host()` and the explicit constructor are the only ways across.
template <std::unsigned_integral T>
class BigEndian {
 public:
  constexpr BigEndian() noexcept = default;
  constexpr explicit BigEndian(T host) noexcept
      : bytes_(std::bit_cast<Bytes>(std::endian::native == std::endian::little ? byteswap(host) : host)) {}

  [[nodiscard]] constexpr T host() const noexcept {
    const T raw = std::bit_cast<T>(bytes_);
    return std::endian::native == std::endian::little ? byteswap(raw) : raw;
  }
  /// The value as it lies in memory, for checksums and hashing.
  [[nodiscard]] constexpr T raw() const noexcept { return std::bit_cast<T>(bytes_); }
  static constexpr BigEndian from_raw(T raw) noexcept {
    BigEndian b;
    b.bytes_ = std::bit_cast<Bytes>(raw);
    return b;
  }

  constexpr bool operator==(const BigEndian& o) const noexcept { return raw() == o.raw(); }
  constexpr std::strong_ordering operator<=>(const BigEndian& o) const noexcept { return host() <=> o.host(); }

 private:
  struct Bytes {
    uint8_t b[sizeof(T)];
  };
  Bytes bytes_{};
};

using be16 = BigEndian<uint16_t>;
using be32 = BigEndian<uint32_t>;
using be64 = BigEndian<uint64_t>;
static_assert(sizeof(be16) == 2 && alignof(be16) == 1 && sizeof(be32) == 4 && sizeof(be64) == 8);

}  // namespace weft::wire
