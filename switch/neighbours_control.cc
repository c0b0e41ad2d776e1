// SPDX-License-Identifier: BSD-3-Clause
//
// What the control thread does with the neighbour table. Apart from neighbours.cc, which workers run, because it
// allocates.
#include "switch/neighbours.h"

#include <algorithm>
#include <bit>

namespace weft::vswitch {

namespace {

constexpr size_t kInterfaces = size_t{1} << 16;

Neighbours::Options clamped(Neighbours::Options o) noexcept {
  o.entries = std::clamp(o.entries, uint32_t{1}, uint32_t{1} << 24);
  o.entries_per_interface = std::clamp(o.entries_per_interface, uint32_t{1}, o.entries);
  o.incomplete_per_interface = std::clamp(o.incomplete_per_interface, uint32_t{1}, o.entries_per_interface);
  o.held = std::clamp(o.held, uint32_t{1}, uint32_t{0xfffe});
  return o;
}

}  // namespace

const char* to_string(NeighbourState state) noexcept {
  switch (state) {
    case NeighbourState::none:
      return "none";
    case NeighbourState::incomplete:
      return "incomplete";
    case NeighbourState::reachable:
      return "reachable";
    case NeighbourState::stale:
    case NeighbourState::probe:
      return "stale";
    case NeighbourState::failed:
      return "failed";
  }
  return "none";
}

Neighbours::Neighbours(const Options& options)
    : options_(clamped(options)),
      hash_(options.seed),
      bucket_mask_(std::bit_ceil(options_.entries) - 1),
      buckets_(bucket_mask_ + 1),
      entries_(size_t{options_.entries} + 1),
      interfaces_(kInterfaces),
      held_(size_t{options_.held} + 1),
      new_rate_(options_.new_per_second, options_.new_burst),
      origins_(dataplane::kMaxPorts) {}

Neighbours::~Neighbours() = default;

}  // namespace weft::vswitch
