// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/worker.h"

#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

namespace weft::dataplane {

namespace {

constexpr uint64_t kWakeTag = ~uint64_t{0};
/// While it polls, a worker looks for events of ports that need a system call to be polled this often.
constexpr uint64_t kEventsNs = 5'000;

constexpr size_t kMaxQueues = 256;  // a port

/// Index into quiet_, and what epoll gives back.
size_t tag(PortId port, uint16_t queue) noexcept { return size_t{port} % kMaxPorts * kMaxQueues + queue % kMaxQueues; }

}  // namespace

uint64_t monotonic_ns() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

Worker::Worker(Options options, Rcu& rcu, BurstHandler& handler)
    : options_(options),
      rcu_(rcu),
      handler_(handler),
      quiet_(static_cast<bool*>(std::calloc(kMaxPorts * kMaxQueues, sizeof(bool)))) {
  if (!quiet_) throw std::bad_alloc();
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_fd_ < 0 || wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "worker: epoll");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = kWakeTag;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "worker: epoll");
}

Worker::~Worker() {
  stop();
  close(wake_fd_);
  close(epoll_fd_);
}

void Worker::start() {
  started_ns_ = monotonic_ns();
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), ("weft-w" + std::to_string(options_.index)).c_str());
  if (options_.cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<size_t>(*options_.cpu), &cpus);
    const int error = pthread_setaffinity_np(thread_.native_handle(), sizeof cpus, &cpus);
    if (error != 0) {
      stop();
      throw std::system_error(error, std::generic_category(), "worker: CPU " + std::to_string(*options_.cpu));
    }
  }
}

void Worker::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  if (!thread_.joinable()) return;
  // Unconditional: the worker may be between its last look and its sleep.
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = write(wake_fd_, &one, sizeof one);
  thread_.join();
}

void Worker::wake() noexcept {
  // Pairs with the fence in sleep(): either the sleeper sees what was posted, or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!sleeping_.load(std::memory_order_relaxed)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = write(wake_fd_, &one, sizeof one);
}

void Worker::add(int fd, PortId port, uint16_t queue) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = tag(port, queue);
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "worker: epoll add");
}

void Worker::remove(int fd) noexcept { epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr); }

void Worker::collect_events(int timeout_ms) noexcept {
  epoll_event events[64];
  const int n = epoll_wait(epoll_fd_, events, 64, timeout_ms);
  for (int i = 0; i < n; ++i)
    if (events[i].data.u64 != kWakeTag) quiet_[events[i].data.u64] = false;
}

bool Worker::is_quiet(const RxQueue& q) const noexcept { return quiet_[tag(q.id, q.queue)]; }

void Worker::take_queues() noexcept {
  const QueueList& list = handler_.begin_turn();
  if (list.generation == generation_) return;
  generation_ = list.generation;
  queues_ = list.queues;
  n_unpolled_ = 0;
  for (const RxQueue& q : queues_) {
    quiet_[tag(q.id, q.queue)] = false;
    if (!q.port->is_polled()) ++n_unpolled_;
  }
}

uint32_t Worker::turn(uint64_t now_ns) noexcept {
  take_queues();
  uint32_t work = handler_.mailbox(now_ns);
  for (const RxQueue& q : queues_) {
    if (is_quiet(q)) continue;
    burst_.clear();
    q.port->rx(q.queue, burst_);
    if (burst_.size() == 0) {
      if (!q.port->is_polled()) quiet_[tag(q.id, q.queue)] = true;
      continue;
    }
    handler_.process(q, burst_, now_ns);
    q.port->rx_done(q.queue);
    work += burst_.size();
  }
  if (now_ns - last_tick_ns_ >= kTickNs / 10) {
    last_tick_ns_ = now_ns;
    handler_.tick(now_ns);
  }
  return work;
}

void Worker::run() noexcept {
  rcu_.online(options_.index);
  uint64_t now = monotonic_ns();
  uint64_t last_work = now;
  while (!stopping_.load(std::memory_order_relaxed)) {
    const uint32_t work = turn(now);
    rcu_.quiescent(options_.index);
    const uint64_t end = monotonic_ns();
    if (work != 0) {
      busy_ns_.add(end - now);
      last_work = end;
    } else if (options_.sleeps_when_idle && end - last_work > kIdleNs) {
      const bool has_slept = sleep();
      now = monotonic_ns();
      // What it was woken for is found in the next turn; if there is nothing (a tick, a needless kick), it sleeps again
      // at once.
      last_work = has_slept ? now - kIdleNs : now;
      continue;
    }
    if (n_unpolled_ != 0 && end - last_events_ns_ >= kEventsNs) {
      last_events_ns_ = end;
      collect_events(0);
    }
    now = end;
  }
  rcu_.offline(options_.index);
}

bool Worker::sleep() noexcept {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool is_pending = stopping_.load(std::memory_order_relaxed);
  // The newest queues: what was published before wake() looked at sleeping_ is seen here.
  take_queues();
  for (const RxQueue& q : queues_)
    // An event already taken says as much as one to come: a tap may be new here, with frames in it.
    if (q.port->arm(q.queue) || (!q.port->is_polled() && !is_quiet(q))) is_pending = true;
  const bool sleeps = !is_pending && handler_.mailbox(monotonic_ns()) == 0;
  if (sleeps) {
    rcu_.offline(options_.index);
    collect_events(static_cast<int>(kTickNs / 1'000'000));
    rcu_.online(options_.index);
  }
  sleeping_.store(false, std::memory_order_relaxed);
  // Queues may have gone while it slept: their ports must not be touched.
  take_queues();
  for (const RxQueue& q : queues_) q.port->disarm(q.queue);
  return sleeps;
}

}  // namespace weft::dataplane
