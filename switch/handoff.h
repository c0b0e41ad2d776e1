// SPDX-License-Identifier: BSD-3-Clause
//
// From worker to worker: packets whose connection another worker owns, and what is heard of neighbours. One way between
// each two workers, with one writer and one reader, no lock, and a bound; nothing of it is there with one worker.
//
// Theory of operation. A way is a ring of bytes. The sender copies a packet into it whole, behind what it knows of
// itself (OwnedMeta), and shows a burst's packets at once; the owner takes them through its stages where they lie, and
// gives their room back when they are out. So a packet is copied once more, needs no buffer of any pool, and all
// packets of a flow stay in order: they come in by one queue, and take one way. When a queue changes its worker the
// control thread lets the ways run empty in between (Engine::publish).
#pragma once

#include "dataplane/owned.h"
#include "dataplane/packet.h"
#include "dataplane/spsc_ring.h"
#include "dataplane/worker.h"
#include "switch/mapped_array.h"
#include "switch/neighbours.h"
#include "switch/selection.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace weft::vswitch {

struct Turn;

/// What an ARP message said to one worker, for the others' tables.
struct NeighbourNews {
  InterfaceId interface;
  Neighbours::Evidence evidence;
  wire::Ipv4Address address;
  wire::MacAddress mac;
};

/// Packets on their way from one worker to one other.
class HandoffRing {
 public:
  /// Bytes: some twenty thousand small frames, or 60 of 64 KiB. Memory is touched when used.
  static constexpr size_t kDefaultBytes = 4 << 20;

  /// `bytes` is a power of two, at least twice kMaxFrame (std::invalid_argument). Throws std::bad_alloc.
  explicit HandoffRing(size_t bytes = kDefaultBytes);

  // --- the worker that sends
  /// Copies the packet, to go on at `stage`. The receiver sees it after show(). False: no room, nothing was taken.
  bool put(const dataplane::Packet& packet, dataplane::OwnedStage stage) noexcept;
  void show() noexcept { shown_.store(written_, std::memory_order_release); }

  // --- the worker that receives
  /// All that may be read now is what lies before end(): sample it once a turn.
  [[nodiscard]] uint64_t end() const noexcept { return shown_.load(std::memory_order_acquire); }
  /// What the next packet before `end` knows of itself; nullptr: there is none.
  [[nodiscard]] const dataplane::OwnedMeta* peek(uint64_t end) noexcept;
  /// Adds the packet just peeked at to the burst, and goes on to the next. Its payload stays in the ring until free().
  dataplane::Packet& load(dataplane::Burst& burst) noexcept;
  /// What was loaded until now is done with.
  void free() noexcept { freed_.store(read_, std::memory_order_release); }

  // --- any thread
  /// What was shown at the time `end` was taken is done with.
  [[nodiscard]] bool has_passed(uint64_t end) const noexcept { return freed_.load(std::memory_order_acquire) >= end; }

 private:
  /// Before each frame; records begin at multiples of their alignment.
  struct alignas(64) Record {
    uint32_t size;        // of the record and its frame, rounded up; to the end of the ring when there is no frame
    uint32_t frame_size;  // 0: no frame, the next record is at the start of the ring
    dataplane::OwnedMeta meta;
  };
  [[nodiscard]] uint8_t* at(uint64_t position) noexcept { return &bytes_[position & mask_]; }
  [[nodiscard]] bool has_room(size_t bytes) noexcept;

  const uint64_t mask_;
  MappedArray<uint8_t> bytes_;
  // Positions only grow.
  alignas(64) std::atomic<uint64_t> shown_{0};
  uint64_t written_ = 0;     // the sender's
  uint64_t freed_seen_ = 0;  // the sender's: freed_ when it last looked
  alignas(64) std::atomic<uint64_t> freed_{0};
  uint64_t read_ = 0;  // the receiver's
};

/// All ways between `n` workers.
class Handoffs {
 public:
  struct Way {
    static constexpr size_t kNews = 1024;
    HandoffRing packets;
    dataplane::SpscRing<NeighbourNews> news{kNews};  // what does not fit is heard again: who asks, asks three times
  };

  /// Throws std::bad_alloc; std::invalid_argument for more workers than nat::kMaxShards.
  explicit Handoffs(uint16_t n_workers);

  /// Control, before the workers run: `worker` is woken when something is for it. Without: whoever turns it by hand.
  void set_worker(uint16_t w, dataplane::Worker& worker) noexcept { workers_[w] = &worker; }
  [[nodiscard]] uint16_t n_workers() const noexcept { return static_cast<uint16_t>(workers_.size()); }
  [[nodiscard]] Way& way(uint16_t from, uint16_t to) noexcept { return *ways_[size_t{from} * n_workers() + to]; }
  void wake(uint16_t w) noexcept {
    if (workers_[w] != nullptr) workers_[w]->wake();
  }

  /// Control, while the workers run: waits until everything that is on its way now has arrived and gone out.
  void run_empty() const noexcept;

 private:
  std::vector<std::unique_ptr<Way>> ways_;  // by sender and receiver; none from a worker to itself
  std::vector<dataplane::Worker*> workers_;
};

/// One worker's sending side. Worker only.
class Handoff {
 public:
  Handoff(Handoffs& all, uint16_t worker) noexcept : all_(all), worker_(worker) {}

  /// Of the connections' owners: hands those of `packets` over that belong to others, to go on at `stage` (nat_in or
  /// nat_out); the rest stays. What finds no room ends in nat_handoff_full.
  void keep_own(Turn& turn, Selection& packets, dataplane::OwnedStage stage) noexcept;
  /// Tells all others.
  void tell(const NeighbourNews& news) noexcept;
  /// Shows what was handed over since the last call, and wakes who sleeps. At the end of a burst.
  void flush() noexcept;

  [[nodiscard]] Handoffs& all() noexcept { return all_; }

 private:
  Handoffs& all_;
  uint16_t worker_;
  uint32_t waiting_ = 0;  // by receiver: a bit for those to be woken
};

}  // namespace weft::vswitch
