// SPDX-License-Identifier: BSD-3-Clause
//
// Which ports of each outside address are taken: one bit a port, in three spaces (TCP, UDP, ICMP
// identifiers), made when an address is first used. Owned by one worker; no allocation after the constructor. Where
// there are several workers each gives out the ports of its shard, so that their pools need not know of each other.
#pragma once

#include "dataplane/wire/addr.h"
#include "nat/flow_key.h"
#include "nat/hash_index.h"
#include "nat/lazy_array.h"
#include "nat/random.h"
#include "nat/session.h"
#include "nat/shard.h"

#include <array>
#include <cstdint>
#include <optional>

namespace weft::nat {

/// First and last port, both included.
struct PortRange {
  uint16_t start = 1024;
  uint16_t end = 65535;
  [[nodiscard]] constexpr bool contains(uint16_t p) const noexcept { return p >= start && p <= end; }
};

class PortPool {
 public:
  struct Taken {
    uint16_t slot;  // of the address, for release()
    uint16_t port;
  };
  PortPool(uint32_t max_addresses, const HashSeed& seed, Shard shard = {});

  /// Takes a free port of `address` in `range` and in the pool's shard: `wanted` itself when it is one, else one at
  /// random; for UDP one of `wanted`'s parity if there is any (RFC 4787 REQ-4), which costs one bit of
  /// randomness. `protocol` is TCP, UDP or ICMP. Nothing: all are taken, or there are too many addresses.
  /// Bounded: at most two passes over the bitmap, 1 024 words each.
  [[nodiscard]] std::optional<Taken> take(UplinkId uplink, wire::Ipv4Address address, uint8_t protocol, uint16_t wanted,
                                          PortRange range, PortRandom& random) noexcept;
  void release(uint16_t slot, uint8_t protocol, uint16_t port) noexcept;

  [[nodiscard]] uint32_t n_addresses() const noexcept { return index_.n_keys(); }

 private:
  static constexpr uint32_t kWords = 65536 / 64;
  static constexpr uint32_t kSpaces = 3;
  struct Address {
    wire::Ipv4Address address;
    UplinkId uplink;
    uint16_t next_free;  // slot + 1
    uint32_t n_taken;    // ports, of all spaces
  };
  struct Bitmap {
    uint64_t words[kWords];
  };
  [[nodiscard]] uint64_t hash_of(UplinkId uplink, wire::Ipv4Address address) const noexcept;
  [[nodiscard]] uint32_t find_or_add(UplinkId uplink, wire::Ipv4Address address) noexcept;
  void forget(uint32_t slot) noexcept;
  [[nodiscard]] std::optional<uint16_t> first_free(const Bitmap& bitmap, uint32_t from, uint32_t to,
                                                   uint64_t mask) const noexcept;
  /// A port of the shard near `port`; uniform when that is. May lie beyond any range.
  [[nodiscard]] uint32_t into_shard(uint32_t port) const noexcept {
    if (shard_.count == 1) return port;
    const uint32_t pair = port / 2;
    return (pair - pair % shard_.count + shard_.index) * 2 + port % 2;
  }

  Shard shard_;
  /// The shard's ports in a word of a bitmap: word w has them where words_[w % shard_.count] says.
  std::array<uint64_t, kMaxShards> words_{};
  HashSeed seed_;
  HashIndex index_;  // → slot
  LazyArray<Address> addresses_;
  LazyArray<Bitmap> bitmaps_;  // slot * kSpaces + space
  uint32_t n_used_ = 0;        // slots ever used
  uint32_t free_ = 0;          // slot + 1 of the first freed one
};

}  // namespace weft::nat
