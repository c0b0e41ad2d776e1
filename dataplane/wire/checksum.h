// SPDX-License-Identifier: BSD-3-Clause
//
// The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are kept in native byte order
// of the raw 16-bit words, as RFC 1071 §2(B) allows: what is stored is the folded sum, byte for byte.
#pragma once

#include "dataplane/wire/addr.h"
#include "dataplane/wire/be.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft::wire {

/// A running ones' complement sum of raw (memory order) 16-bit words. Pieces may be added in any order as long as
/// each starts at an even offset of the summed range; `add` of an odd piece pads it with a zero byte, so only the
/// last piece may be odd (use add_at for pieces at odd offsets).
class ChecksumSum {
 public:
  constexpr void add_raw16(uint16_t raw) noexcept { add64(raw); }
  constexpr void add_raw32(uint32_t raw) noexcept { add64(raw); }
  void add(const void* data, size_t size) noexcept {
    const auto* p = static_cast<const uint8_t*>(data);
    while (size >= 32) {
      uint64_t w[4];
      std::memcpy(w, p, 32);
      add64(w[0]);
      add64(w[1]);
      add64(w[2]);
      add64(w[3]);
      p += 32;
      size -= 32;
    }
    while (size >= 8) {
      uint64_t w;
      std::memcpy(&w, p, 8);
      add64(w);
      p += 8;
      size -= 8;
    }
    if (size != 0) {
      uint64_t w = 0;
      std::memcpy(&w, p, size);
      add64(w);
    }
  }
  /// Adds a piece that starts `offset` bytes into the summed range; an odd offset swaps its bytes' places.
  void add_at(size_t offset, const void* data, size_t size) noexcept {
    if ((offset & 1) == 0) return add(data, size);
    ChecksumSum piece;
    piece.add(data, size);
    add_raw16(byteswap(piece.fold()));
  }
  /// IPv4 pseudo-header (RFC 9293 §3.1, RFC 768); `l4_size` in bytes.
  constexpr void add_pseudo(Ipv4Address source, Ipv4Address destination, uint8_t protocol, uint16_t l4_size) noexcept {
    add_raw32(source.value.raw());
    add_raw32(destination.value.raw());
    add_raw16(be16(protocol).raw());
    add_raw16(be16(l4_size).raw());
  }
  /// IPv6 pseudo-header (RFC 8200 §8.1).
  void add_pseudo(const Ipv6Address& source, const Ipv6Address& destination, uint8_t protocol,
                  uint32_t l4_size) noexcept {
    add(source.bytes.data(), 16);
    add(destination.bytes.data(), 16);
    add_raw32(be32(l4_size).raw());
    add_raw16(be16(protocol).raw());
  }
  /// The sum folded to 16 bits, not complemented.
  [[nodiscard]] constexpr uint16_t fold() const noexcept {
    uint64_t s = (sum_ & 0xffffffff) + (sum_ >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return static_cast<uint16_t>(s);
  }
  /// The value to store in a checksum field (raw, memory order).
  [[nodiscard]] constexpr uint16_t checksum() const noexcept { return static_cast<uint16_t>(~fold()); }

 private:
  constexpr void add64(uint64_t w) noexcept {
    sum_ += w;
    sum_ += sum_ < w ? 1 : 0;  // end-around carry
  }
  uint64_t sum_ = 0;
};

/// Checksum of one contiguous range, ready to store (raw order). Over a range that includes a valid checksum: 0.
inline uint16_t checksum(const void* data, size_t size) noexcept {
  ChecksumSum s;
  s.add(data, size);
  return s.checksum();
}

/// The difference that replacing raw words makes, to be applied to any checksum that covers them (RFC 1624 eqn. 3).
/// Precompute once per connection, apply per packet.
class ChecksumDelta {
 public:
  constexpr void replace16(uint16_t old_raw, uint16_t new_raw) noexcept {
    sum_ += static_cast<uint16_t>(~old_raw);
    sum_ += new_raw;
  }
  constexpr void replace32(uint32_t old_raw, uint32_t new_raw) noexcept {
    replace16(static_cast<uint16_t>(old_raw), static_cast<uint16_t>(new_raw));
    replace16(static_cast<uint16_t>(old_raw >> 16), static_cast<uint16_t>(new_raw >> 16));
  }
  constexpr void replace(Ipv4Address old_address, Ipv4Address new_address) noexcept {
    replace32(old_address.value.raw(), new_address.value.raw());
  }
  /// The folded difference; 16 bits, fits a connection entry.
  [[nodiscard]] constexpr uint16_t folded() const noexcept {
    uint32_t s = (sum_ & 0xffff) + (sum_ >> 16);
    s = (s & 0xffff) + (s >> 16);
    return static_cast<uint16_t>(s);
  }

 private:
  uint32_t sum_ = 0;
};

/// Applies a folded delta to a stored (complemented) checksum: HC' = ~(~HC + delta).
constexpr be16 checksum_apply(be16 stored, uint16_t delta) noexcept {
  uint32_t s = static_cast<uint16_t>(~stored.raw()) + uint32_t{delta};
  s = (s & 0xffff) + (s >> 16);
  return be16::from_raw(static_cast<uint16_t>(~s));
}

/// Applies a folded delta to a partial checksum: a field that holds the plain (not complemented) pseudo-header sum,
/// as in a frame with VIRTIO_NET_HDR_F_NEEDS_CSUM.
constexpr be16 checksum_apply_partial(be16 stored, uint16_t delta) noexcept {
  uint32_t s = stored.raw() + uint32_t{delta};
  s = (s & 0xffff) + (s >> 16);
  return be16::from_raw(static_cast<uint16_t>(s));
}

}  // namespace weft::wire
