// SPDX-License-Identifier: BSD-3-Clause
//
// One worker's pipeline: the tables it owns, and the page that calls the stages in order.
#pragma once

#include "dataplane/worker.h"
#include "switch/egress.h"
#include "switch/handoff.h"
#include "switch/mailbox.h"
#include "switch/resolver.h"
#include "switch/selection.h"
#include "switch/turn.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace weft::vswitch {

class Pipeline final : public dataplane::BurstHandler {
 public:
  struct Options {
    uint16_t worker = 0;
    uint64_t seed = 0;                  // of the hashes, and
    std::array<uint64_t, 2> nat_key{};  // of the masquerade's ports; random in production; one for all workers
    Handoffs* handoffs = nullptr;       // nullptr: there is one worker
  };

  /// `snapshot` is what control publishes to; it never holds nullptr.
  Pipeline(const Options& options, const std::atomic<const Snapshot*>& snapshot, Fdb& fdb, dataplane::OwnedPool& owned);

  // BurstHandler; worker
  const dataplane::QueueList& begin_turn() noexcept override;
  void process(const dataplane::RxQueue& from, dataplane::Burst& burst, uint64_t now_ns) noexcept override;
  uint32_t mailbox(uint64_t now_ns) noexcept override;
  void tick(uint64_t now_ns) noexcept override;

  // control
  [[nodiscard]] Mailbox& mail() noexcept { return mailbox_; }
  [[nodiscard]] const dataplane::CounterBlock& counters() const noexcept { return counters_; }
  [[nodiscard]] const Neighbours& neighbours() const noexcept { return neighbours_; }

  // control, in a job that runs on the worker (Mailbox::post), or while the worker stands still
  [[nodiscard]] nat::Masquerade& masquerade() noexcept { return masquerade_; }

 private:
  void set_source(const dataplane::RxQueue& from, uint64_t now_ns) noexcept;
  void set_no_source(uint64_t now_ns) noexcept;
  void from_network(Selection& packets) noexcept;
  void from_uplink(Selection& packets) noexcept;
  void inject(dataplane::Packet& packet, const dataplane::OwnedMeta& meta) noexcept;
  uint32_t take_injected() noexcept;
  uint32_t take_handed_over(uint64_t now_ns) noexcept;
  uint32_t take_news(dataplane::SpscRing<NeighbourNews>& news) noexcept;
  uint32_t take_packets(HandoffRing& ring, uint64_t now_ns) noexcept;
  void resume(const dataplane::OwnedMeta& like, Selection& packets, uint64_t now_ns) noexcept;

  const std::atomic<const Snapshot*>& published_;
  uint16_t worker_;
  dataplane::CounterBlock counters_;
  Neighbours neighbours_;
  nat::Masquerade masquerade_;
  PortLimits limits_;
  IcmpErrorLimit icmp_errors_;
  Mailbox mailbox_;
  Egress egress_;
  Resolver resolver_;
  std::optional<Handoff> handoff_;
  dataplane::Burst taken_;  // from the control thread, or from another worker
  Turn turn_;
};

}  // namespace weft::vswitch
