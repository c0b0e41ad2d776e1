// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/address_pool.h"

#include <algorithm>
#include <bit>

namespace weft::dhcp {

FreeMap::FreeMap(uint32_t size) {
  size_t words = size;
  do {
    words = std::max<size_t>((words + 63) / 64, 1);
    levels_.emplace_back(words, 0);
  } while (words > 1);
}

void FreeMap::set(uint32_t index, bool is_free) noexcept {
  for (auto& level : levels_) {
    uint64_t& word = level[index / 64];
    const uint64_t bit = uint64_t{1} << (index % 64), before = word;
    word = is_free ? word | bit : word & ~bit;
    // The level above changes only when this word becomes or ceases to be empty.
    if ((before == 0) == (word == 0)) return;
    index /= 64;
  }
}

std::optional<uint32_t> FreeMap::next(uint32_t index) const noexcept {
  size_t position = index;
  for (size_t level = 0; level < levels_.size(); ++level) {
    const size_t word = position / 64;
    if (word >= levels_[level].size()) return std::nullopt;
    const uint64_t rest = levels_[level][word] & ~uint64_t{0} << (position % 64);
    if (rest == 0) {
      position = word + 1;
      continue;
    }
    size_t found = word * 64 + static_cast<size_t>(std::countr_zero(rest));
    while (level-- > 0) found = found * 64 + static_cast<size_t>(std::countr_zero(levels_[level][found]));
    return static_cast<uint32_t>(found);
  }
  return std::nullopt;
}

AddressPool::AddressPool(const Scope& scope)
    : server_(scope.server.host()), skip_class_c_edges_(scope.prefix_length < 24) {
  const wire::Ipv4Prefix subnet{scope.server, scope.prefix_length};
  const uint32_t first = subnet.network().host() + 1, last = subnet.broadcast().host() - 1;
  for (const Range& configured : scope.ranges) {
    const uint32_t start = std::max(configured.start.host(), first), end = std::min(configured.end.host(), last);
    if (start > end) continue;
    FreeMap map(end - start + 1);
    for (uint32_t address = start; address <= end; ++address) {
      if (excluded(address)) continue;
      map.set(address - start, true);
      if (range_of(wire::Ipv4Address(address)) == nullptr) ++size_;
    }
    ranges_.push_back({wire::Ipv4Address(start), wire::Ipv4Address(end), configured.lease_seconds});
    maps_.push_back(std::move(map));
  }
}

bool AddressPool::excluded(uint32_t address) const noexcept {
  const uint32_t octet = address & 0xff;
  return address == server_ || (skip_class_c_edges_ && (octet == 0 || octet == 255));
}

const Range* AddressPool::range_of(wire::Ipv4Address address) const noexcept {
  for (const Range& range : ranges_)
    if (address >= range.start && address <= range.end) return &range;
  return nullptr;
}

void AddressPool::set_free(wire::Ipv4Address address, bool is_free) noexcept {
  if (excluded(address.host())) return;
  for (size_t i = 0; i < ranges_.size(); ++i)
    if (address >= ranges_[i].start && address <= ranges_[i].end)
      maps_[i].set(address.host() - ranges_[i].start.host(), is_free);
}

std::optional<wire::Ipv4Address> AddressPool::next_free(size_t index, wire::Ipv4Address start) const noexcept {
  const uint32_t base = ranges_[index].start.host();
  auto found = maps_[index].next(start.host() - base);
  if (!found) found = maps_[index].next(0);
  return found ? std::optional(wire::Ipv4Address(base + *found)) : std::nullopt;
}

}  // namespace weft::dhcp
