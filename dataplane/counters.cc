// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/counters.h"

#include <new>

#include <sys/mman.h>

namespace weft::dataplane {

namespace {
constexpr size_t kBlockBytes = (kMaxPorts + 1) * sizeof(PortCounters);
}

CounterBlock::CounterBlock() {
  void* p = mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  counters_ = static_cast<PortCounters*>(p);
}

CounterBlock::~CounterBlock() { munmap(counters_, kBlockBytes); }

void PortTotals::add(const PortCounters& c) noexcept {
  rx_packets += c.rx_packets.get();
  rx_bytes += c.rx_bytes.get();
  tx_packets += c.tx_packets.get();
  tx_bytes += c.tx_bytes.get();
  injected += c.injected.get();
  copies += c.copies.get();
  consumed += c.consumed.get();
  held += c.held.get() - c.released.get();
  for (size_t d = 1; d < kDrops; ++d) {
    const uint64_t n = c.drops[d].get();
    drops[d] += n;
    dropped += n;
  }
}

void PortTotals::add(const PortTotals& t) noexcept {
  rx_packets += t.rx_packets;
  rx_bytes += t.rx_bytes;
  tx_packets += t.tx_packets;
  tx_bytes += t.tx_bytes;
  injected += t.injected;
  copies += t.copies;
  consumed += t.consumed;
  held += t.held;
  dropped += t.dropped;
  for (size_t d = 1; d < kDrops; ++d) drops[d] += t.drops[d];
}

}  // namespace weft::dataplane
