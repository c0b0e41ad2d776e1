// SPDX-License-Identifier: BSD-3-Clause
//
// Between the control thread and one worker, without locks: packets for the switch itself one way, packets it makes the
// other way, and small jobs that must run where the worker's tables are.
#pragma once

#include "dataplane/spsc_ring.h"

#include <cstdint>
#include <functional>
#include <memory>

struct rte_mbuf;

namespace weft::dataplane {
class Worker;
}

namespace weft::vswitch {

class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // --- worker ---------------------------------------------------------------------------------------------------
  /// Hands an owned packet to the control thread. False: its queue is full, the packet is still the caller's.
  bool to_control(rte_mbuf* packet) noexcept;
  /// The next packet the control thread made, or nullptr.
  rte_mbuf* from_control() noexcept;
  /// Runs the jobs that wait; returns how many.
  uint32_t run_jobs() noexcept;
  /// Tells the control thread, once, that something was put in for it since the last call.
  void flush() noexcept;

  // --- control --------------------------------------------------------------------------------------------------
  /// Readable when the worker has put something in; read() it empty, then take everything.
  [[nodiscard]] int event_fd() const noexcept { return event_fd_; }
  /// The next packet for the switch itself, or nullptr.
  rte_mbuf* take() noexcept;
  /// False: the queue is full, the packet is still the caller's. Wake the worker afterwards.
  bool inject(rte_mbuf* packet) noexcept;
  /// `work` runs on the worker: no allocation, no lock, no exception; then `done` on the control thread. False: too
  /// many jobs wait.
  bool post(std::function<void()> work, std::function<void()> done);
  /// Calls `done` of the jobs that have run.
  void finish_jobs();

 private:
  struct Job;
  static constexpr size_t kJobs = 32;

  dataplane::SpscRing<rte_mbuf*> to_control_, from_control_;
  dataplane::SpscRing<Job*> jobs_, finished_;
  size_t n_jobs_ = 0;  // control: posted and not yet finished
  int event_fd_;
  bool is_unflushed_ = false;  // worker
};

}  // namespace weft::vswitch
