// SPDX-License-Identifier: BSD-3-Clause
//
// Grace periods: when may the control thread free what it has just unpublished? A thin face over DPDK's rte_rcu_qsbr.
// Workers report once a turn that they hold nothing; a worker that sleeps is offline and delays nobody.
#pragma once

#include <cstdint>
#include <memory>

namespace weft::dataplane {

class Rcu {
 public:
  using Token = uint64_t;

  explicit Rcu(uint16_t max_workers);
  ~Rcu();
  Rcu(const Rcu&) = delete;
  Rcu& operator=(const Rcu&) = delete;

  [[nodiscard]] uint16_t max_workers() const noexcept;

  // --- worker `w`, 0 … max_workers - 1 --------------------------------------------------------------------------
  void online(uint16_t w) noexcept;
  void offline(uint16_t w) noexcept;
  void quiescent(uint16_t w) noexcept;

  // --- control --------------------------------------------------------------------------------------------------
  /// Begins a grace period: everything unpublished before this call is unreachable once passed(token).
  [[nodiscard]] Token start() noexcept;
  /// Never blocks.
  [[nodiscard]] bool passed(Token token) noexcept;
  /// Waits for a whole grace period: microseconds while workers turn. For set-up and tear-down.
  void synchronize() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::dataplane
