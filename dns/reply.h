// SPDX-License-Identifier: BSD-3-Clause
//
// Upstream answers on their way to clients. An answer is first made canonical: read to its end, written anew
// by our own builder, without OPT; nothing malformed reaches a guest. The canonical message is what is
// cached, and every client gets it in its own shape: id, the question's case, TTLs less the age, flags, size
// limit, OPT.
#pragma once

#include "dns/message.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weft::dns {

struct CanonicalAnswer {
  std::vector<uint8_t> message;  // id 0; question first, its name uncompressed at offset 12
  Question question;             // case as the server sent it
  uint16_t rcode = 0;            // 12 bits, the OPT record's share included
  bool truncated = false;        // TC
};

/// Names inside the data of well-known types are expanded and, where RFC 3597 §4 allows it, compressed again;
/// the SOA's TTL of a negative answer is lowered to its minimum field (RFC 2308 §3). nullopt: not a response,
/// not exactly one question, or malformed anywhere. Records after a truncation are left out.
std::optional<CanonicalAnswer> canonicalise(std::span<const uint8_t> message);

/// Writes `canonical` for `query` into `out` (its size is the client's limit, ≥ 512) and returns the size.
/// `age_s` is taken off all TTLs. What does not fit is left out by whole RRsets: TC when an answer or
/// authority record is missing. AD is passed on only to clients that asked (AD or DO, RFC 6840 §5.8); AA
/// never. 0: the questions do not match.
size_t write_reply(std::span<const uint8_t> canonical, const Query& query, uint32_t age_s,
                   std::span<uint8_t> out) noexcept;

}  // namespace weft::dns
