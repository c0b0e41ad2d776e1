// SPDX-License-Identifier: BSD-3-Clause
//
// Which of several workers a connection belongs to. Each has a Masquerade of its own, and none sees another's: a
// connection is where its local port says, seen from inside or from outside. Outside ports are therefore given out with
// the residue of the inside port. Ports go by pairs, so that the same port, or one of the same parity (RFC 4787 REQ-4),
// can be had; for ICMP queries the identifier is the port. Pure functions; any thread.
#pragma once

#include "dataplane/packet.h"
#include "nat/flow_key.h"

#include <cstdint>
#include <optional>

namespace weft::nat {

/// Workers there may be.
inline constexpr uint16_t kMaxShards = 32;

/// The shard, of `count`, that connections with this local port are in.
[[nodiscard]] constexpr uint16_t shard_of_port(uint16_t port, uint16_t count) noexcept {
  return static_cast<uint16_t>((port >> 1) % count);
}

/// One worker's part of all connections.
struct Shard {
  uint16_t index = 0;
  uint16_t count = 1;  // 1 … kMaxShards
  [[nodiscard]] constexpr bool has(uint16_t port) const noexcept { return shard_of_port(port, count) == index; }
};

/// The shard, of `count`, of the connection that a packet sent from `from` belongs to, or would; an ICMP error belongs
/// to the one it quotes. Nothing: no masquerade has a connection for it, any will drop it. Precondition: as
/// Masquerade's, and like that it may finish a checksum inside of what the packet encapsulates.
[[nodiscard]] std::optional<uint16_t> shard_of(dataplane::Packet& packet, Side from, uint16_t count) noexcept;

}  // namespace weft::nat
