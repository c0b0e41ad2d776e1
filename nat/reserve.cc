// SPDX-License-Identifier: BSD-3-Clause
//
// The constructors: the control thread reserves each worker's address space. Apart from the rest, so that the
// objects with the worker's code contain nothing that throws or allocates.
#include "nat/masquerade.h"

#include <stdexcept>

namespace weft::nat {

namespace {

const Conntrack::Config& checked(const Conntrack::Config& c) {
  if (c.max_sessions == 0 || c.max_sessions > 1U << 28) throw std::invalid_argument("nat: max_sessions");
  if (c.shard.count == 0 || c.shard.count > kMaxShards || c.shard.index >= c.shard.count)
    throw std::invalid_argument("nat: shard");
  if (c.max_addresses == 0 || c.max_addresses > 65535) throw std::invalid_argument("nat: max_addresses");
  return c;
}

constexpr size_t kIds = 65536;  // networks, uplinks

}  // namespace

PortPool::PortPool(uint32_t max_addresses, const HashSeed& seed, Shard shard)
    : shard_(shard),
      seed_(seed),
      index_(max_addresses),
      addresses_(max_addresses),
      bitmaps_(size_t{max_addresses} * kSpaces) {
  // 32 pairs a word, so that the pattern repeats after `count` words at most.
  for (uint32_t w = 0; w < shard_.count; ++w)
    for (uint32_t bit = 0; bit < 64; ++bit)
      words_[w] |= uint64_t{(w * 64 + bit) / 2 % shard_.count == shard_.index} << bit;
}

Conntrack::Conntrack(const Config& config)
    : seed_(checked(config).seed),
      timeouts_(config.timeouts.by_state()),
      sessions_(config.max_sessions),
      mappings_(size_t{config.max_sessions} + 1),  // each has a session, but for the one just being made
      session_index_(config.max_sessions * 2),
      mapping_index_(config.max_sessions * 2 + 2),
      wheel_(config.max_sessions),
      ports_(config.max_addresses, config.seed, config.shard),
      networks_(kIds),
      uplink_epochs_(kIds) {}

Masquerade::Masquerade(const Config& config) : table_(config.table), random_(config.random_key) {
  // Workers share the secret, and each has a part of the sequence that no other ever reaches.
  random_.set_counter(uint64_t{config.table.shard.index} << 56);
}

}  // namespace weft::nat
