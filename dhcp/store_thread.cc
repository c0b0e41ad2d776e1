// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/store_thread.h"

#include <algorithm>
#include <utility>

namespace weft::dhcp {

StoreThread::StoreThread(LeaseStore store, Post post, size_t capacity)
    : store_(std::move(store)),
      post_(std::move(post)),
      capacity_(capacity),
      thread_([this](const std::stop_token& stop) { loop(stop); }) {}

StoreThread::~StoreThread() {
  thread_.request_stop();
  thread_.join();
}

bool StoreThread::enqueue(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= capacity_) {
      ++counters_.refused;
      return false;
    }
    if (!job.work) ++counters_.submitted;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

bool StoreThread::submit(LeaseChange change, Done done) { return enqueue({std::move(change), std::move(done), {}}); }

bool StoreThread::run(std::function<void(LeaseStore&)> work) { return enqueue({{}, {}, std::move(work)}); }

StoreThread::Counters StoreThread::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void StoreThread::loop(const std::stop_token& stop) {
  std::vector<Job> jobs;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, stop, [this] { return !queue_.empty(); });
      if (queue_.empty()) return;  // asked to stop, and nothing is left
      jobs.swap(queue_);
    }
    // While these are being synced the next ones gather: the slower the disk, the larger the group.
    for (size_t first = 0; first < jobs.size();) {
      if (jobs[first].work) {
        jobs[first++].work(store_);
        continue;
      }
      size_t last = first;
      while (last < jobs.size() && last - first < kMaxBatch && !jobs[last].work) ++last;
      commit(std::span(jobs).subspan(first, last - first));
      first = last;
    }
    jobs.clear();
  }
}

void StoreThread::commit(std::span<Job> jobs) {
  std::vector<LeaseChange> changes;
  changes.reserve(jobs.size());
  for (Job& job : jobs) changes.push_back(std::move(job.change));
  const auto kept = store_.commit(changes);
  std::vector<Completion> completions;
  completions.reserve(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i)
    completions.push_back({std::move(changes[i]), kept ? std::string() : kept.error(), std::move(jobs[i].done)});
  {
    const std::lock_guard lock(mutex_);
    ++counters_.transactions;
    (kept ? counters_.committed : counters_.failed) += jobs.size();
  }
  post_(std::move(completions));
}

}  // namespace weft::dhcp
