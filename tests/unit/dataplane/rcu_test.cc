// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/rcu.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace weft::dataplane {
namespace {

TEST(Rcu, AGracePeriodPassesWhenEveryOnlineWorkerHasTurned) {
  Rcu rcu(3);
  rcu.online(0);
  rcu.online(1);
  const auto token = rcu.start();
  EXPECT_FALSE(rcu.passed(token));
  rcu.quiescent(0);
  EXPECT_FALSE(rcu.passed(token)) << "worker 1 may still hold something";
  rcu.quiescent(1);
  EXPECT_TRUE(rcu.passed(token)) << "worker 2 is offline";
}

TEST(Rcu, ASleepingWorkerDelaysNobody) {
  Rcu rcu(1);
  rcu.online(0);
  const auto token = rcu.start();
  EXPECT_FALSE(rcu.passed(token));
  rcu.offline(0);
  EXPECT_TRUE(rcu.passed(token));
  EXPECT_TRUE(rcu.passed(rcu.start()));
  rcu.online(0);
  EXPECT_FALSE(rcu.passed(rcu.start()));
}

TEST(Rcu, ATurnBeforeTheStartDoesNotCount) {
  Rcu rcu(1);
  rcu.online(0);
  rcu.quiescent(0);
  const auto token = rcu.start();
  EXPECT_FALSE(rcu.passed(token));
  rcu.quiescent(0);
  EXPECT_TRUE(rcu.passed(token));
}

TEST(Rcu, WhatWasUnpublishedIsNotReadAfterSynchronize) {
  Rcu rcu(1);
  std::atomic<const int*> published{new int(0)};
  std::atomic<bool> stop{false}, runs{false};
  std::atomic<uint64_t> n_bad{0};
  std::thread worker([&] {
    rcu.online(0);
    while (!stop.load(std::memory_order_relaxed)) {
      const int value = *published.load(std::memory_order_acquire);
      if (value < 0) n_bad.fetch_add(1);
      runs.store(true);
      rcu.quiescent(0);
      std::this_thread::yield();
    }
    rcu.offline(0);
  });
  while (!runs.load()) std::this_thread::yield();
  for (int i = 1; i <= 50; ++i) {
    const std::unique_ptr<int> old(const_cast<int*>(published.exchange(new int(i))));
    rcu.synchronize();
    *old = -1;
  }
  stop.store(true);
  worker.join();
  EXPECT_EQ(n_bad.load(), 0u);
  delete published.load();
}

TEST(Rcu, NeedsAWorker) { EXPECT_ANY_THROW(Rcu(0)); }

}  // namespace
}  // namespace weft::dataplane
