// SPDX-License-Identifier: BSD-3-Clause
#include "nat/port_pool.h"

#include <bit>

namespace weft::nat {

namespace {

constexpr uint32_t space_of(uint8_t protocol) noexcept {
  return protocol == wire::ipproto::kTcp ? 0 : protocol == wire::ipproto::kUdp ? 1 : 2;
}

constexpr uint64_t kAny = ~uint64_t{0};
constexpr uint64_t kEven = 0x5555555555555555;
constexpr uint32_t kRandomTries = 8;

}  // namespace

uint64_t PortPool::hash_of(UplinkId uplink, wire::Ipv4Address address) const noexcept {
  return hash(FlowKey{address, {}, {}, {}, 0, Side::outside, uplink}, seed_);
}

uint32_t PortPool::find_or_add(UplinkId uplink, wire::Ipv4Address address) noexcept {
  const uint64_t h = hash_of(uplink, address);
  const uint32_t found =
      index_.find(h, [&](uint32_t v) { return addresses_[v].address == address && addresses_[v].uplink == uplink; });
  if (found != HashIndex::kNotFound) return found;
  uint32_t slot;
  if (free_ != 0) {
    slot = free_ - 1;
  } else if (n_used_ < addresses_.size()) {
    slot = n_used_;
  } else {
    return HashIndex::kNotFound;
  }
  const auto hash_of_slot = [&](uint32_t v) { return hash_of(addresses_[v].uplink, addresses_[v].address); };
  if (!index_.insert(h, slot, hash_of_slot)) return HashIndex::kNotFound;
  if (free_ != 0) {
    free_ = addresses_[slot].next_free;
  } else {
    ++n_used_;
  }
  addresses_[slot] = {address, uplink, 0, 0};
  return slot;
}

/// The first free port of the shard in [from, to] among those whose bit in the word is in `mask`.
std::optional<uint16_t> PortPool::first_free(const Bitmap& bitmap, uint32_t from, uint32_t to,
                                             uint64_t mask) const noexcept {
  if (from > to) return std::nullopt;
  for (uint32_t w = from / 64; w <= to / 64; ++w) {
    uint64_t free = ~bitmap.words[w] & mask & words_[w % shard_.count];
    if (w == from / 64) free &= kAny << (from % 64);
    if (w == to / 64) free &= kAny >> (63 - to % 64);
    if (free != 0) return static_cast<uint16_t>(w * 64 + static_cast<uint32_t>(std::countr_zero(free)));
  }
  return std::nullopt;
}

std::optional<PortPool::Taken> PortPool::take(UplinkId uplink, wire::Ipv4Address address, uint8_t protocol,
                                              uint16_t wanted, PortRange range, PortRandom& random) noexcept {
  if (range.start > range.end) return std::nullopt;
  const uint32_t slot = find_or_add(uplink, address);
  if (slot == HashIndex::kNotFound) return std::nullopt;
  Bitmap& bitmap = bitmaps_[slot * kSpaces + space_of(protocol)];
  const auto is_free = [&](uint32_t p) { return (bitmap.words[p / 64] >> (p % 64) & 1) == 0; };

  std::optional<uint16_t> port;
  if (range.contains(wanted) && shard_.has(wanted) && is_free(wanted)) {
    port = wanted;
  } else {
    const uint32_t n = uint32_t{range.end} - range.start + 1;
    const bool keeps_parity = protocol == wire::ipproto::kUdp;
    const auto suits = [&](uint32_t p) { return !keeps_parity || ((p ^ wanted) & 1) == 0; };
    // Uniform as long as there is room; then the next free one after a random place.
    for (uint32_t i = 0; i < kRandomTries && !port; ++i) {
      const uint32_t p = into_shard(range.start + random.below(n));
      if (p >= range.start && p <= range.end && suits(p) && is_free(p)) port = static_cast<uint16_t>(p);
    }
    const uint32_t from = range.start + random.below(n);
    const uint64_t mask = !keeps_parity ? kAny : (wanted & 1) != 0 ? ~kEven : kEven;
    if (!port) port = first_free(bitmap, from, range.end, mask);
    if (!port) port = first_free(bitmap, range.start, from, mask);
    if (!port && keeps_parity) port = first_free(bitmap, range.start, range.end, kAny);
  }
  if (!port) {
    // An address is kept only for its ports.
    if (addresses_[slot].n_taken == 0) forget(slot);
    return std::nullopt;
  }
  bitmap.words[*port / 64] |= uint64_t{1} << (*port % 64);
  ++addresses_[slot].n_taken;
  return Taken{static_cast<uint16_t>(slot), *port};
}

void PortPool::release(uint16_t slot, uint8_t protocol, uint16_t port) noexcept {
  bitmaps_[slot * kSpaces + space_of(protocol)].words[port / 64] &= ~(uint64_t{1} << (port % 64));
  if (--addresses_[slot].n_taken == 0) forget(slot);
}

void PortPool::forget(uint32_t slot) noexcept {
  Address& a = addresses_[slot];
  index_.erase(hash_of(a.uplink, a.address), slot);
  a.next_free = static_cast<uint16_t>(free_);
  free_ = slot + 1;
}

}  // namespace weft::nat
