// SPDX-License-Identifier: BSD-3-Clause
//
// What the control thread does with the forwarding database. Apart from fdb.cc, which workers run, because it
// allocates.
#include "switch/fdb.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <thread>

namespace weft::vswitch {

namespace {

using dataplane::kMaxPorts;

constexpr size_t kInitialBuckets = 4096;  // 256 KiB: stays in a level-2 cache
constexpr size_t kMinBuckets = 64;
constexpr uint32_t kMaxEntries = 1u << 28;

Fdb::Options clamped(Fdb::Options o) noexcept {
  o.entries = std::clamp(o.entries, uint32_t{1}, kMaxEntries);
  o.per_port = std::clamp(o.per_port, uint32_t{1}, o.entries);
  o.ageing_seconds = std::clamp(o.ageing_seconds, uint32_t{1}, Fdb::kMaxAgeing);
  return o;
}

/// Room for half as much again as the table may hold, so that windows are rarely full.
size_t buckets_for(uint32_t entries) noexcept {
  return std::max(kMinBuckets, std::bit_ceil((uint64_t{entries} + entries / 2) / Fdb::kSlots));
}

}  // namespace

Fdb::Fdb(const Options& given)
    : buckets_(buckets_for(clamped(given).entries), MappedArray<Bucket>::Pages::huge),
      mask_(std::min(kInitialBuckets, buckets_.length()) - 1),
      old_mask_(mask_.load()),
      hash_(given.seed),
      ageing_(clamped(given).ageing_seconds),
      max_entries_(clamped(given).entries),
      per_port_(clamped(given).per_port),
      max_mask_(buckets_.length() - 1),
      port_epochs_(size_t{1} << 16),
      network_epochs_(size_t{1} << 16),
      touched_((buckets_.length() / kPieceBuckets + 63) / 64),
      accounts_(kMaxPorts),
      rings_(std::make_unique<std::atomic<Ring*>[]>(kMaxPorts)) {
  for (size_t port = 0; port < kMaxPorts; ++port) {
    port_epochs_[port].store(1, std::memory_order_relaxed);
    accounts_[port].store(uint64_t{1} << 32, std::memory_order_relaxed);
  }
}

Fdb::~Fdb() {
  for (size_t port = 0; port < kMaxPorts; ++port) delete rings_[port].load();
}

void Fdb::add_port(PortId port) {
  assert(port < kMaxPorts);
  if (rings_[port].load(std::memory_order_relaxed) == nullptr)
    rings_[port].store(new Ring(per_port_), std::memory_order_release);
}

void Fdb::remove_port(PortId port) noexcept {
  assert(port < kMaxPorts);
  const uint64_t epoch = port_epochs_[port].load(std::memory_order_relaxed);
  const uint64_t next = epoch == kPortEpochMask ? 1 : epoch + 1;
  const uint64_t account = accounts_[port].exchange(next << 32, std::memory_order_relaxed);
  total_.fetch_sub(account & 0xffffffff, std::memory_order_relaxed);
  port_epochs_[port].store(static_cast<uint16_t>(next), std::memory_order_release);
  Ring* ring = rings_[port].load(std::memory_order_relaxed);
  if (ring == nullptr) return;
  while (ring->is_busy.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  ring->first = ring->size = 0;
  ring->keys.forget_contents();
  ring->is_busy.store(false, std::memory_order_release);
}

void Fdb::remove_network(NetworkId network) noexcept {
  std::atomic<uint16_t>& epoch = network_epochs_[network];
  epoch.store(static_cast<uint16_t>((epoch.load(std::memory_order_relaxed) + 1) & kNetworkEpochMask),
              std::memory_order_release);
}

Fdb::Stats Fdb::stats() const noexcept {
  const auto get = [](const std::atomic<uint64_t>& c) { return c.load(std::memory_order_relaxed); };
  return {get(total_), get(learned_), get(moved_), get(aged_), get(replaced_), get(learn_failed_)};
}

}  // namespace weft::vswitch
