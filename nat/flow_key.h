// SPDX-License-Identifier: BSD-3-Clause
//
// How connections and mappings are named: 16 bytes, compared and hashed as two words. One struct serves both
// sides of the translator, so that one index can hold both; the `side` byte keeps them apart. Plain values;
// any thread.
#pragma once

#include "dataplane/wire/addr.h"
#include "dataplane/wire/be.h"
#include "dataplane/wire/headers.h"

#include <array>
#include <bit>
#include <cstdint>

namespace weft::nat {

/// Where a key's `local` end is seen: with the guest's own address, or with the address the world sees.
enum class Side : uint8_t { inside, outside };

/// Names one session from one side, or (with no remote end) one mapping.
struct FlowKey {
  wire::Ipv4Address local;   // inside: the guest's; outside: the one it is translated to
  wire::Ipv4Address remote;  // of a mapping: zero
  wire::be16 local_port;     // ICMP queries: the identifier
  wire::be16 remote_port;    // ICMP queries: the request's type. Of a mapping: inside the uplink, outside zero
  uint8_t protocol;          // IANA number
  Side side;
  uint16_t realm;  // inside: the network; outside: the uplink

  constexpr bool operator==(const FlowKey& o) const noexcept { return words() == o.words(); }
  [[nodiscard]] constexpr std::array<uint64_t, 2> words() const noexcept {
    return std::bit_cast<std::array<uint64_t, 2>>(*this);
  }
};
static_assert(sizeof(FlowKey) == 16);

/// Secret of the hash tables: whoever doesn't know it cannot aim at one bucket.
using HashSeed = std::array<uint64_t, 2>;

__extension__ using Uint128 = unsigned __int128;

/// 64 well-mixed bits of a key (two rounds of 64×64→128 multiply and fold).
[[nodiscard]] inline uint64_t hash(const FlowKey& key, const HashSeed& seed) noexcept {
  const auto fold = [](uint64_t a, uint64_t b) noexcept {
    const auto product = static_cast<Uint128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  const auto [a, b] = key.words();
  const uint64_t first = fold(a ^ seed[0], b ^ seed[1]);
  return fold(first ^ seed[1] ^ a, seed[0] ^ b ^ 0x9e3779b97f4a7c15);
}

}  // namespace weft::nat
