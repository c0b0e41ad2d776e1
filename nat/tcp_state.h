// SPDX-License-Identifier: BSD-3-Clause
//
// What a TCP segment does to its connection's state, as a pure function. It decides timeouts, not delivery:
// the segments of a known connection pass in every state (RFC 5382 §4). Window checks come later.
//
//              SYN            SYN ACK           ACK              FIN                FIN of the other
//   (none) ──────→ syn-sent ──────→ syn-received ──→ established ──→ fin-wait ──────────→ closing ──ACK──→
//   time-wait (none) ─ACK→ picked-up ───────any answer───────────↑   ↑
//                     any ──RST──→ reset ──anything else───┘  (only if it had been established)
#pragma once

#include "dataplane/wire/headers.h"
#include "nat/session.h"

#include <cstdint>
#include <optional>

namespace weft::nat {

struct TcpStep {
  State state;
  uint8_t flags;  // Session's
};

/// False for a combination of flags no TCP sends (SYN with FIN or RST, FIN without ACK, none at all, …).
[[nodiscard]] bool tcp_flags_are_valid(uint8_t tcp_flags) noexcept;

/// The state of a connection that begins with this segment from inside; nothing when none can. A plain ACK
/// picks up a connection from before the switch was started, as Linux does.
[[nodiscard]] std::optional<State> tcp_first(uint8_t tcp_flags) noexcept;

/// The state after a segment with valid flags sent from `from`.
[[nodiscard]] TcpStep tcp_step(TcpStep now, Side from, uint8_t tcp_flags) noexcept;

}  // namespace weft::nat
