// SPDX-License-Identifier: BSD-3-Clause
#include "switch/mailbox.h"

#include "switch/guest_limits.h"

#include <cerrno>
#include <exception>
#include <system_error>

#include <spdlog/spdlog.h>

#include <sys/eventfd.h>
#include <unistd.h>

namespace weft::vswitch {

struct Mailbox::Job {
  std::function<void()> work;
  std::function<void()> done;
};

Mailbox::Mailbox()
    : to_control_(limits::kToControl),
      from_control_(limits::kFromControl),
      jobs_(kJobs),
      finished_(kJobs),
      event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_fd_ < 0) throw std::system_error(errno, std::generic_category(), "mailbox: eventfd");
}

Mailbox::~Mailbox() {
  Job* job;
  while (jobs_.pop(job)) delete job;
  while (finished_.pop(job)) delete job;
  close(event_fd_);
}

bool Mailbox::to_control(rte_mbuf* packet) noexcept {
  if (!to_control_.push(packet)) return false;
  is_unflushed_ = true;
  return true;
}

rte_mbuf* Mailbox::from_control() noexcept {
  rte_mbuf* packet;
  return from_control_.pop(packet) ? packet : nullptr;
}

uint32_t Mailbox::run_jobs() noexcept {
  uint32_t n = 0;
  Job* job;
  // No more may wait than the finished ring holds: post() sees to it.
  while (jobs_.pop(job)) {
    job->work();
    finished_.push(job);
    is_unflushed_ = true;
    ++n;
  }
  return n;
}

void Mailbox::flush() noexcept {
  if (!is_unflushed_) return;
  is_unflushed_ = false;
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = write(event_fd_, &one, sizeof one);
}

rte_mbuf* Mailbox::take() noexcept {
  rte_mbuf* packet;
  return to_control_.pop(packet) ? packet : nullptr;
}

bool Mailbox::inject(rte_mbuf* packet) noexcept { return from_control_.push(packet); }

bool Mailbox::post(std::function<void()> work, std::function<void()> done) {
  if (n_jobs_ == kJobs) return false;
  auto job = std::make_unique<Job>(Job{std::move(work), std::move(done)});
  jobs_.push(job.release());
  ++n_jobs_;
  return true;
}

void Mailbox::finish_jobs() {
  Job* next;
  while (finished_.pop(next)) {
    const std::unique_ptr<Job> job(next);
    --n_jobs_;
    try {
      if (job->done) job->done();
    } catch (const std::exception& e) {  // its own matter; others are behind it
      spdlog::error("what a worker had done could not be followed up: {}", e.what());
    }
  }
}

}  // namespace weft::vswitch
