// SPDX-License-Identifier: BSD-3-Clause
//
// Counters, kept per writer (each worker, and the control thread) and port, summed by whoever asks. One writer each:
// increments are plain loads and stores, never a locked instruction.
#pragma once

#include "dataplane/drops.h"
#include "dataplane/packet.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace weft::dataplane {

/// One writer, any readers; monotonic.
class Counter {
 public:
  void add(uint64_t n) noexcept { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  void reset() noexcept { value_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// Counts of one port by one writer. A drop is counted at the port its packet came in from.
struct alignas(64) PortCounters {
  Counter rx_packets, rx_bytes;  // taken from the port's sender, good or bad
  Counter tx_packets, tx_bytes;  // accepted by the port's receiver
  Counter injected;              // made by the switch itself (replies, errors, requests) on behalf of this port
  Counter copies;                // further deliveries of a flooded packet beyond its first
  Counter consumed;              // ended in the switch itself, as intended
  Counter held, released;        // packets copied to be kept beyond their burst, and let go again
  std::array<Counter, kDrops> drops;
};

/// The counters of one writer for every port, and for the switch itself (packets that came in from no port). Memory is
/// touched only for ports that exist.
class CounterBlock {
 public:
  CounterBlock();
  ~CounterBlock();
  CounterBlock(const CounterBlock&) = delete;
  CounterBlock& operator=(const CounterBlock&) = delete;

  /// `port` < kMaxPorts, or kNoPort for the switch itself.
  PortCounters& operator[](PortId port) noexcept { return counters_[port < kMaxPorts ? port : kMaxPorts]; }
  const PortCounters& operator[](PortId port) const noexcept { return counters_[port < kMaxPorts ? port : kMaxPorts]; }

 private:
  PortCounters* counters_;  // mmapped, kMaxPorts + 1; all zeroes is the valid start
};

/// Plain sums of one or several writers' PortCounters.
struct PortTotals {
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  uint64_t injected = 0, copies = 0, consumed = 0, held = 0, dropped = 0;
  std::array<uint64_t, kDrops> drops{};

  void add(const PortCounters& c) noexcept;
  void add(const PortTotals& t) noexcept;
  /// The counting law: 0 when the books balance (no packet is under way at the moment of reading).
  [[nodiscard]] int64_t imbalance() const noexcept {
    return static_cast<int64_t>(rx_packets + injected + copies) -
           static_cast<int64_t>(tx_packets + consumed + held + dropped);
  }
};

}  // namespace weft::dataplane
