// SPDX-License-Identifier: BSD-3-Clause
//
// What the control thread does with the ways between workers. Apart from handoff.cc, which workers run, because it
// allocates.
#include "nat/shard.h"
#include "switch/handoff.h"

#include <bit>
#include <stdexcept>

#include <sched.h>

namespace weft::vswitch {

HandoffRing::HandoffRing(size_t bytes) : mask_(bytes - 1), bytes_(bytes) {
  if (!std::has_single_bit(bytes) || bytes < 2 * dataplane::kMaxFrame) throw std::invalid_argument("handoff: bytes");
}

Handoffs::Handoffs(uint16_t n_workers) : ways_(size_t{n_workers} * n_workers), workers_(n_workers) {
  if (n_workers > nat::kMaxShards) throw std::invalid_argument("handoff: workers");
  for (uint16_t from = 0; from < n_workers; ++from)
    for (uint16_t to = 0; to < n_workers; ++to)
      if (from != to) ways_[size_t{from} * n_workers + to] = std::make_unique<Way>();
}

void Handoffs::run_empty() const noexcept {
  for (const auto& way : ways_) {
    if (way == nullptr) continue;
    const uint64_t end = way->packets.end();
    while (!way->packets.has_passed(end)) sched_yield();
  }
}

}  // namespace weft::vswitch
