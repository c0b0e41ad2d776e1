// SPDX-License-Identifier: BSD-3-Clause
//
// A packed virtqueue as it lies in guest memory (virtio 1.2 §2.8), and positions in it. Plain data; any thread.
#pragma once

#include <cstdint>

namespace weft::dataplane::vhost {

/// One slot of the ring (virtio 1.2 §2.8.13): written by the driver when it makes a buffer available, overwritten by
/// the device (size, id and flags) when it has used it. Little-endian, as is every host this runs on.
struct PackedDescriptor {
  static constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4, kAvailable = 1 << 7, kUsed = 1 << 15;
  uint64_t address;  // guest-physical
  uint32_t size;     // of the buffer; in a used one, the bytes written to it
  uint16_t id;       // the driver's; of a chain the last one's counts
  uint16_t flags;
};
static_assert(sizeof(PackedDescriptor) == 16);

/// Event suppression (virtio 1.2 §2.8.10): the driver's says when it wants to be interrupted, the device's when it
/// wants to be kicked. Four bytes, four aligned, so that one load or store takes it whole.
struct PackedEvent {
  static constexpr uint16_t kEnable = 0, kDisable = 1, kAtPosition = 2;  // flags; the other bits are reserved
  uint16_t position;  // index, and bit 15 the wrap counter; means something with kAtPosition only
  uint16_t flags;
};
static_assert(sizeof(PackedEvent) == 4);

/// An index into a ring and the wrap counter of that lap, which is 1 in the first, 0 in the second, and so on.
struct PackedPosition {
  uint16_t index = 0;
  bool wrap = true;

  /// As vhost-user's ring bases and PackedEvent write it: 15 bits of index, bit 15 the wrap counter.
  static constexpr PackedPosition from_bits(uint16_t bits) noexcept {
    return {static_cast<uint16_t>(bits & 0x7fff), (bits & 0x8000) != 0};
  }
  [[nodiscard]] constexpr uint16_t bits() const noexcept { return static_cast<uint16_t>(index | (wrap ? 0x8000 : 0)); }
  /// On by `n` ≤ size slots of a ring of `size`.
  constexpr void advance(uint32_t n, uint32_t size) noexcept {
    const uint32_t next = index + n;
    index = static_cast<uint16_t>(next >= size ? next - size : next);
    wrap ^= next >= size;
  }
  /// The flag bits of a slot made available, or used, in this lap.
  [[nodiscard]] constexpr uint16_t available_flags() const noexcept {
    return wrap ? PackedDescriptor::kAvailable : PackedDescriptor::kUsed;
  }
  [[nodiscard]] constexpr uint16_t used_flags() const noexcept {
    return wrap ? PackedDescriptor::kAvailable | PackedDescriptor::kUsed : 0;
  }
  friend constexpr bool operator==(const PackedPosition&, const PackedPosition&) = default;
};
/// Both bits of a lap in a slot's flags.
inline constexpr uint16_t kPackedLapFlags = PackedDescriptor::kAvailable | PackedDescriptor::kUsed;

/// Where a driver that has just made its ring stands, as vhost-user's ring base: (0, 1) for what it makes available, in
/// the low half, and for what it expects used, in the high one.
inline constexpr uint32_t kPackedFreshBase = 0x80008000;

}  // namespace weft::dataplane::vhost
