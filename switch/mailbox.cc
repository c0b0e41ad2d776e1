// SPDX-License-Identifier: BSD-3-Clause
#include "switch/mailbox.h"

#include "switch/guest_limits.h"

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include <rte_ring.h>
#include <spdlog/spdlog.h>

#include <sys/eventfd.h>
#include <unistd.h>

namespace weft::vswitch {

struct Mailbox::Job {
  std::function<void()> work;
  std::function<void()> done;
};

void Mailbox::FreeRing::operator()(rte_ring* r) const noexcept { std::free(r); }

Mailbox::Ring Mailbox::make_ring(uint32_t size) {
  const auto bytes = static_cast<size_t>(rte_ring_get_memsize(size));
  void* memory = std::aligned_alloc(RTE_CACHE_LINE_SIZE, (bytes + RTE_CACHE_LINE_SIZE - 1) & ~size_t{63});
  if (memory == nullptr) throw std::bad_alloc();
  Ring ring(static_cast<rte_ring*>(memory));
  if (rte_ring_init(ring.get(), "weft", size, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
    throw std::runtime_error("mailbox: ring");
  return ring;
}

Mailbox::Mailbox()
    : to_control_(make_ring(limits::kToControl)),
      from_control_(make_ring(limits::kFromControl)),
      jobs_(make_ring(64)),
      finished_(make_ring(64)),
      event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_fd_ < 0) throw std::system_error(errno, std::generic_category(), "mailbox: eventfd");
}

Mailbox::~Mailbox() {
  void* p;
  while (rte_ring_dequeue(jobs_.get(), &p) == 0) delete static_cast<Job*>(p);
  while (rte_ring_dequeue(finished_.get(), &p) == 0) delete static_cast<Job*>(p);
  close(event_fd_);
}

bool Mailbox::to_control(rte_mbuf* packet) noexcept {
  if (rte_ring_enqueue(to_control_.get(), packet) != 0) return false;
  is_unflushed_ = true;
  return true;
}

rte_mbuf* Mailbox::from_control() noexcept {
  void* p;
  return rte_ring_dequeue(from_control_.get(), &p) == 0 ? static_cast<rte_mbuf*>(p) : nullptr;
}

uint32_t Mailbox::run_jobs() noexcept {
  uint32_t n = 0;
  void* p;
  // As many may wait as the finished ring holds: post() sees to it.
  while (rte_ring_dequeue(jobs_.get(), &p) == 0) {
    static_cast<Job*>(p)->work();
    rte_ring_enqueue(finished_.get(), p);
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
  void* p;
  return rte_ring_dequeue(to_control_.get(), &p) == 0 ? static_cast<rte_mbuf*>(p) : nullptr;
}

bool Mailbox::inject(rte_mbuf* packet) noexcept { return rte_ring_enqueue(from_control_.get(), packet) == 0; }

bool Mailbox::post(std::function<void()> work, std::function<void()> done) {
  if (rte_ring_count(jobs_.get()) + rte_ring_count(finished_.get()) >= 32) return false;
  auto job = std::make_unique<Job>(Job{std::move(work), std::move(done)});
  if (rte_ring_enqueue(jobs_.get(), job.get()) != 0) return false;
  (void)job.release();
  return true;
}

void Mailbox::finish_jobs() {
  void* p;
  while (rte_ring_dequeue(finished_.get(), &p) == 0) {
    const std::unique_ptr<Job> job(static_cast<Job*>(p));
    try {
      if (job->done) job->done();
    } catch (const std::exception& e) {  // its own matter; others are behind it
      spdlog::error("what a worker had done could not be followed up: {}", e.what());
    }
  }
}

}  // namespace weft::vswitch
