// SPDX-License-Identifier: BSD-3-Clause
//
// A port whose other end is the program: tests push frames in and look at what came out; benchmarks let it
// replay a set of frames for ever and count what comes out. Nothing of the EAL, no system call while it is
// polled. In the first use any thread may call the test's side while a worker polls; replay() is set before
// the worker runs.
#pragma once

#include "dataplane/offload.h"
#include "dataplane/port.h"
#include "dataplane/unique_fd.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <vector>

namespace weft::dataplane {

/// A frame as its sender hands it over or its receiver gets it.
struct MemoryFrame {
  std::vector<uint8_t> bytes;
  Offload offload;
  /// Received with this drop set (a port that could not make a frame of what it was given).
  Drop drop = Drop::none;
};

struct MemoryOptions {
  uint16_t queues = 1;
  /// What the receiver takes unfinished; the rest is finished or cut before it is collected.
  OffloadSet takes = OffloadSet::none();
  /// Frames (cuts count each) that the receiver takes before tx_ring_full, until take_sent() makes room
  /// again.
  size_t tx_room = SIZE_MAX;
  /// Payload behind the first kHeaderCopy bytes is given in pieces of this many bytes; 0: in one piece.
  uint32_t piece_size = 0;
};

class MemoryPort final : public Port {
 public:
  explicit MemoryPort(MemoryOptions options = {});
  ~MemoryPort() override;
  MemoryPort(const MemoryPort&) = delete;
  MemoryPort& operator=(const MemoryPort&) = delete;

  // --- the test
  // -------------------------------------------------------------------------------------------------
  /// To be received on `queue`, in order.
  void push(MemoryFrame frame, uint16_t queue = 0);
  void push(std::span<const uint8_t> bytes, Offload offload = {}, uint16_t queue = 0);
  /// What was sent on all queues since the last call, in order; makes room for as much again.
  [[nodiscard]] std::vector<MemoryFrame> take_sent();
  [[nodiscard]] size_t n_sent() const;
  /// Pushed and not yet received.
  [[nodiscard]] size_t n_waiting() const;
  /// How often rx_done() was called; and whether a burst is out that was not given back.
  [[nodiscard]] uint64_t n_rx_done() const noexcept { return n_rx_done_.load(std::memory_order_acquire); }
  [[nodiscard]] bool is_burst_out() const noexcept { return burst_out_.load(std::memory_order_acquire); }
  void set_up(bool is_up) noexcept { up_.store(is_up, std::memory_order_release); }

  // --- the benchmark
  // --------------------------------------------------------------------------------------------
  /// Every rx on any queue gives the next `burst_size` of these frames, from the first again after the last:
  /// heads are copied to the slots each time, as from a guest. What is sent is counted and forgotten, and not
  /// finished.
  void replay(std::vector<MemoryFrame> frames, uint16_t burst_size = kBurst);
  [[nodiscard]] uint64_t n_discarded() const noexcept;
  [[nodiscard]] uint64_t n_discarded_bytes() const noexcept;

  // --- Port
  // -----------------------------------------------------------------------------------------------------
  void rx(uint16_t queue, Burst& burst) noexcept override;
  void rx_done(uint16_t queue) noexcept override;
  void tx(uint16_t queue, std::span<Packet* const> packets) noexcept override;
  bool arm(uint16_t queue) noexcept override;
  void disarm(uint16_t queue) noexcept override;
  [[nodiscard]] bool is_polled() const noexcept override { return true; }
  [[nodiscard]] uint16_t n_queues() const noexcept override { return static_cast<uint16_t>(queues_.size()); }
  [[nodiscard]] std::string_view kind() const noexcept override { return "memory"; }
  [[nodiscard]] bool is_up() const noexcept override { return up_.load(std::memory_order_acquire); }
  void attach(PortId id, uint16_t queue, EventSet& events) override;
  void detach() noexcept override;

 private:
  struct Queue {
    std::deque<MemoryFrame> waiting;
    std::vector<MemoryFrame> out;  // in the burst that a worker has
    UniqueFd kick;
    EventSet* events = nullptr;
    bool armed = false;
  };
  /// Each worker sends on a queue of its own, so that none waits for another's cache line.
  struct alignas(64) Discarded {
    std::atomic<uint64_t> packets{0}, bytes{0};
  };
  void give(const MemoryFrame& frame, Burst& burst) const noexcept;
  void rx_replay(Burst& burst) noexcept;
  void collect(const Packet& packet);

  MemoryOptions options_;
  mutable std::mutex mutex_;  // everything a test may touch while a worker runs
  std::vector<Queue> queues_;
  std::vector<MemoryFrame> sent_;
  std::vector<MemoryFrame> replayed_;
  uint16_t replay_burst_ = 0;         // 0: no replay
  std::vector<Discarded> discarded_;  // by queue
  std::atomic<bool> up_{true};
  // Of the worker that receives; others, which send, read what is above.
  alignas(64) size_t next_replayed_ = 0;
  std::atomic<uint64_t> n_rx_done_{0};
  std::atomic<bool> burst_out_{false};
};

}  // namespace weft::dataplane
