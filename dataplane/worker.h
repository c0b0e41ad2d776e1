// SPDX-License-Identifier: BSD-3-Clause
//
// A worker: one thread that turns for ever over its receive queues, hands each burst to the pipeline, and sleeps when
// nothing comes (adaptive) or never (poll). It knows ports and bursts; what is done with them is its handler's matter.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/counters.h"
#include "dataplane/port.h"
#include "dataplane/rcu.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace weft::dataplane {

/// A receive queue a worker serves.
struct RxQueue {
  Port* port;
  PortId id;
  uint16_t queue;
};

/// The queues of one worker; immutable once a worker has seen it.
struct QueueList {
  uint64_t generation = 0;  // never the same for two different lists
  std::vector<RxQueue> queues;
};

/// What a worker runs. All calls from the worker's thread, none may block, allocate or throw.
class BurstHandler {
 public:
  virtual ~BurstHandler() = default;
  /// A turn begins: take the newest snapshot. The list stays valid until the next call.
  virtual const QueueList& begin_turn() noexcept = 0;
  /// Takes a received burst (never empty) to its end: every packet is sent, consumed, held or dropped on return.
  virtual void process(const RxQueue& from, Burst& burst, uint64_t now_ns) noexcept = 0;
  /// Serves what other threads asked for; returns how many things were done.
  virtual uint32_t mailbox(uint64_t now_ns) noexcept = 0;
  /// Timers; at least every kTickNs while awake or asleep.
  virtual void tick(uint64_t now_ns) noexcept = 0;
};

/// Nanoseconds of CLOCK_MONOTONIC.
[[nodiscard]] uint64_t monotonic_ns() noexcept;

class Worker final : public EventSet {
 public:
  static constexpr uint64_t kTickNs = 100'000'000;
  /// How long it polls in vain before it sleeps.
  static constexpr uint64_t kIdleNs = 50'000;

  struct Options {
    uint16_t index = 0;      // 0 … max_workers - 1, its place in Rcu
    std::optional<int> cpu;  // pinned to it
    bool sleeps_when_idle = true;
  };

  Worker(Options options, Rcu& rcu, BurstHandler& handler);
  /// Stops and joins.
  ~Worker() override;
  void start();
  void stop() noexcept;

  /// Wakes it if it sleeps; any thread. Cheap when it does not.
  void wake() noexcept;

  // EventSet; any thread
  void add(int fd, PortId port, uint16_t queue) override;
  void remove(int fd) noexcept override;

  /// Time spent on turns that found work, and in all, since start.
  [[nodiscard]] uint64_t busy_ns() const noexcept { return busy_ns_.get(); }
  [[nodiscard]] uint64_t started_ns() const noexcept { return started_ns_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// One turn, without sleeping; for tests that drive a worker by hand instead of start().
  uint32_t turn(uint64_t now_ns) noexcept;

 private:
  void run() noexcept;
  /// False: there was something to do, and it did not.
  bool sleep() noexcept;
  void collect_events(int timeout_ms) noexcept;
  void take_queues() noexcept;
  [[nodiscard]] bool is_quiet(const RxQueue& queue) const noexcept;

  Options options_;
  Rcu& rcu_;
  BurstHandler& handler_;
  int epoll_fd_;
  int wake_fd_;
  Burst burst_;
  std::span<const RxQueue> queues_;
  uint64_t generation_ = 0;
  struct Free {
    void operator()(bool* p) const noexcept { std::free(p); }
  };
  /// By port and queue: its last rx found nothing, and no event has come since. Zeroed memory: touched where used.
  std::unique_ptr<bool[], Free> quiet_;
  size_t n_unpolled_ = 0;
  uint64_t last_tick_ns_ = 0;
  uint64_t last_events_ns_ = 0;
  uint64_t started_ns_ = 0;
  Counter busy_ns_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace weft::dataplane
