// SPDX-License-Identifier: BSD-3-Clause
//
// The store thread: takes lease changes from the control thread, commits whatever has gathered as one transaction (so a
// hundred guests that boot at once cost one fsync, not a hundred), and sends the results back. The control thread never
// waits for a disk.
#pragma once

#include "dhcp/lease.h"
#include "dhcp/lease_store.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace weft::dhcp {

/// One answered change. `error` empty: it is durable.
struct Completion {
  LeaseChange change;
  std::string error;
  std::function<void(const LeaseChange& change, const std::string& error)> done;

  void run() const {
    if (done) done(change, error);
  }
};

class StoreThread {
 public:
  using Done = std::function<void(const LeaseChange& change, const std::string& error)>;
  /// Called on the store thread, once a transaction, in the order of submission. It hands the vector to the control
  /// thread's loop, which runs each completion: `post(io, [v = std::move(v)] { for (auto& c : v) c.run(); })`.
  using Post = std::function<void(std::vector<Completion>)>;

  /// At most `capacity` changes wait; a transaction takes at most kMaxBatch of them.
  StoreThread(LeaseStore store, Post post, size_t capacity = 16384);
  /// Commits and posts what is queued, then ends.
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  static constexpr size_t kMaxBatch = 1024;

  /// Control thread (any thread). False: the queue is full, nothing was taken and `done` will not run; the caller
  /// reverts.
  [[nodiscard]] bool submit(LeaseChange change, Done done);

  /// Runs `work` on the store thread between two transactions, for other use of the database (state kept at run time, a
  /// network's removal). False when the queue is full.
  [[nodiscard]] bool run(std::function<void(LeaseStore&)> work);

  struct Counters {
    uint64_t submitted = 0, committed = 0, failed = 0, refused = 0, transactions = 0;
  };
  /// Any thread.
  [[nodiscard]] Counters counters() const;

 private:
  struct Job {
    LeaseChange change;
    Done done;
    std::function<void(LeaseStore&)> work;  // set: not a change
  };
  [[nodiscard]] bool enqueue(Job job);
  void loop(const std::stop_token& stop);
  void commit(std::span<Job> jobs);

  LeaseStore store_;
  Post post_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Job> queue_;  // guarded by mutex_
  Counters counters_;       // guarded by mutex_
  std::jthread thread_;     // last: starts when all else is there
};

}  // namespace weft::dhcp
