// SPDX-License-Identifier: BSD-3-Clause
//
// The moving half of the switch: workers with their pipelines, the tables they share, and the way snapshots get to
// them. The control thread owns it and calls everything here.
#pragma once

#include "dataplane/owned.h"
#include "dataplane/rcu.h"
#include "dataplane/worker.h"
#include "switch/fdb.h"
#include "switch/handoff.h"
#include "switch/pipeline.h"
#include "switch/queue_spread.h"
#include "switch/snapshot.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::vswitch {

class Engine {
 public:
  struct Options {
    std::vector<std::optional<int>> cpus;  // one worker each; no number: not pinned
    bool sleeps_when_idle = true;
    Fdb::Options fdb;
    uint64_t seed = 0;
    std::array<uint64_t, 2> nat_key{};
  };
  /// A packet for the switch itself, as it came in: `frame` is whole and valid during the call. True: it was one the
  /// switch has use for; else the drop to count it as.
  using PuntHandler = std::function<dataplane::Drop(std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta)>;

  /// Needs the EAL. Workers start with start().
  Engine(boost::asio::io_context& io, const Options& options, PuntHandler on_punt);
  /// Stops the workers; ports given to it must outlive that.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void start();
  void stop() noexcept;

  /// Makes `snapshot` what the workers see, and waits until none of them sees the one before (microseconds). Gives each
  /// receive queue of its ports, which have been added, to a worker. A queue that goes to another worker is served by
  /// none in between, until all that came in by it is out.
  void publish(std::unique_ptr<Snapshot> snapshot);
  [[nodiscard]] const Snapshot& snapshot() const noexcept { return *current_; }

  /// Before the first snapshot that has the port; after the last that had it.
  void add_port(PortId id, dataplane::Port& port);
  void remove_port(PortId id, dataplane::Port& port) noexcept;

  /// Sends a frame the switch made into a network, as if the gateway had sent it; by the fdb. False:
  /// no buffer, or the worker's queue is full (counted as local_queue_full).
  bool inject(std::span<const uint8_t> frame, NetworkId network);

  /// Runs `work` on worker `w` (see Mailbox::post) and then `done` here.
  bool run_on_worker(uint16_t w, std::function<void()> work, std::function<void()> done);

  /// Sums over workers and the control thread. `kNoPort`: what the switch itself made.
  [[nodiscard]] dataplane::PortTotals totals_of(PortId port) const;
  /// Over all ports there ever were.
  [[nodiscard]] dataplane::PortTotals totals() const;

  [[nodiscard]] dataplane::Rcu& rcu() noexcept { return rcu_; }
  [[nodiscard]] Fdb& fdb() noexcept { return fdb_; }
  [[nodiscard]] uint16_t n_workers() const noexcept { return static_cast<uint16_t>(lanes_.size()); }
  [[nodiscard]] uint16_t worker_of(PortId port, uint16_t queue) const { return spread_.worker_of({port, queue}); }
  [[nodiscard]] const dataplane::Worker& worker(uint16_t w) const noexcept { return lanes_[w]->worker; }
  [[nodiscard]] Pipeline& pipeline(uint16_t w) noexcept { return lanes_[w]->pipeline; }

 private:
  /// A worker and what is its own.
  struct Lane {
    Lane(Engine& engine, const Options& options, uint16_t index);
    Pipeline pipeline;
    dataplane::Worker worker;
    boost::asio::posix::stream_descriptor event;
    uint64_t event_value = 0;
  };
  void show(std::unique_ptr<Snapshot> snapshot, std::span<const QueueSpread::Move> resting);
  void move(const Snapshot& snapshot, const QueueSpread::Move& move);
  void wait_for(Lane& lane);
  void maintain();
  void take_punted(Lane& lane);

  boost::asio::io_context& io_;
  PuntHandler on_punt_;
  dataplane::Rcu rcu_;
  Fdb fdb_;
  dataplane::OwnedPool owned_;
  std::optional<Handoffs> handoffs_;  // when there are several workers
  QueueSpread spread_;
  std::unique_ptr<Snapshot> current_;
  std::atomic<const Snapshot*> published_;
  uint64_t next_generation_ = 1;
  dataplane::CounterBlock counters_;  // the control thread's
  PortId highest_port_ = 0;
  dataplane::Burst punted_;     // a punted packet, and
  std::vector<uint8_t> frame_;  // the same in one piece
  std::vector<std::unique_ptr<Lane>> lanes_;
  bool is_running_ = false;
  boost::asio::steady_timer maintenance_;
};

}  // namespace weft::vswitch
