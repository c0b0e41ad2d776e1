// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/rcu.h"

#include <cstdlib>
#include <new>
#include <stdexcept>

#include <rte_rcu_qsbr.h>

#include <sched.h>

namespace weft::dataplane {

struct Rcu::Impl {
  explicit Impl(uint16_t workers) : max_workers(workers) {
    if (max_workers == 0) throw std::invalid_argument("rcu: no workers");
    const size_t size = rte_rcu_qsbr_get_memsize(max_workers);
    const size_t rounded = (size + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
    qsbr = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, rounded));
    if (qsbr == nullptr) throw std::bad_alloc();
    rte_rcu_qsbr_init(qsbr, max_workers);  // fails only without memory or workers
    for (uint16_t w = 0; w < max_workers; ++w) rte_rcu_qsbr_thread_register(qsbr, w);
  }
  ~Impl() { std::free(qsbr); }
  const uint16_t max_workers;
  rte_rcu_qsbr* qsbr;
};

Rcu::Rcu(uint16_t max_workers) : impl_(std::make_unique<Impl>(max_workers)) {}
Rcu::~Rcu() = default;

uint16_t Rcu::max_workers() const noexcept { return impl_->max_workers; }

void Rcu::online(uint16_t w) noexcept { rte_rcu_qsbr_thread_online(impl_->qsbr, w); }
void Rcu::offline(uint16_t w) noexcept { rte_rcu_qsbr_thread_offline(impl_->qsbr, w); }
void Rcu::quiescent(uint16_t w) noexcept { rte_rcu_qsbr_quiescent(impl_->qsbr, w); }

Rcu::Token Rcu::start() noexcept { return rte_rcu_qsbr_start(impl_->qsbr); }
bool Rcu::passed(Token token) noexcept { return rte_rcu_qsbr_check(impl_->qsbr, token, false) == 1; }
void Rcu::synchronize() noexcept {
  const Token token = start();
  while (!passed(token)) sched_yield();
}

}  // namespace weft::dataplane
