// SPDX-License-Identifier: BSD-3-Clause
#include "switch/queue_spread.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using Queue = QueueSpread::Queue;

/// First queues a worker has, of those served.
std::vector<size_t> loads(const QueueSpread& spread, const std::vector<Queue>& served, uint16_t n, bool of_first) {
  std::vector<size_t> all(n);
  for (const Queue& q : served)
    if ((q.queue == 0) == of_first) ++all[spread.worker_of(q)];
  return all;
}

bool is_balanced(const QueueSpread& spread, const std::vector<Queue>& served, uint16_t n) {
  for (const bool of_first : {true, false}) {
    const auto all = loads(spread, served, n, of_first);
    if (*std::max_element(all.begin(), all.end()) > *std::min_element(all.begin(), all.end()) + 1) return false;
  }
  return true;
}

TEST(QueueSpread, OneWorkerHasThemAllAndNothingMoves) {
  QueueSpread spread(1);
  for (uint16_t p = 0; p < 5; ++p) EXPECT_EQ(spread.add({p, 0}), 0);
  const std::vector<Queue> served = {{0, 0}, {3, 0}};
  EXPECT_TRUE(spread.serve(served).empty());
}

TEST(QueueSpread, PortsGoRoundAmongWorkers) {
  QueueSpread spread(2);
  for (uint16_t p = 0; p < 6; ++p) EXPECT_EQ(spread.add({p, 0}), p % 2);
}

TEST(QueueSpread, TheQueuesOfOnePortAreWithDifferentWorkers) {
  QueueSpread spread(4);
  std::set<uint16_t> workers;
  for (uint16_t q = 0; q < 4; ++q) workers.insert(spread.add({7, q}));
  EXPECT_GE(workers.size(), 3u);
}

TEST(QueueSpread, FirstQueuesAreSpreadByThemselves) {
  QueueSpread spread(2);
  std::vector<Queue> served;
  for (uint16_t p = 0; p < 4; ++p)
    for (uint16_t q = 0; q < 4; ++q) {
      served.push_back({p, q});
      spread.add(served.back());
    }
  EXPECT_EQ(loads(spread, served, 2, true), (std::vector<size_t>{2, 2})) << "though each guest may use one queue only";
}

TEST(QueueSpread, AsManyMoveAsTheBalanceAsksForAndNoMore) {
  QueueSpread spread(2);
  std::vector<Queue> served;
  for (uint16_t p = 0; p < 8; ++p) {
    served.push_back({p, 0});
    spread.add(served.back());
  }
  EXPECT_TRUE(spread.serve(served).empty());
  // All of worker 1 but one go.
  served = {{0, 0}, {2, 0}, {4, 0}, {6, 0}, {7, 0}};
  const auto moves = spread.serve(served);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].from, 0);
  EXPECT_EQ(moves[0].to, 1);
  EXPECT_EQ(moves[0].queue, (Queue{6, 0})) << "the last that came";
  EXPECT_EQ(spread.worker_of({6, 0}), 1);
  EXPECT_TRUE(spread.serve(served).empty()) << "and then they stay";
}

TEST(QueueSpread, AQueueThatIsNotServedYetIsCounted) {
  QueueSpread spread(2);
  EXPECT_NE(spread.add({0, 0}), spread.add({2, 0}));
}

TEST(QueueSpread, AMoveThatFailedIsUndone) {
  QueueSpread spread(2);
  for (uint16_t p = 0; p < 3; ++p) spread.add({p, 0});
  const std::vector<Queue> served = {{0, 0}, {2, 0}};
  const auto moves = spread.serve(served);
  ASSERT_EQ(moves.size(), 1u);
  spread.undo(moves[0]);
  EXPECT_EQ(spread.worker_of(moves[0].queue), moves[0].from);
  EXPECT_EQ(spread.serve(served).size(), 1u) << "the next change tries again";
}

TEST(QueueSpread, WhateverComesAndGoesItIsBalancedAndStable) {
  std::minstd_rand random(7);
  for (const uint16_t n : std::initializer_list<uint16_t>{2, 3, 8}) {
    QueueSpread spread(n);
    std::map<uint16_t, uint16_t> ports;  // their queues
    for (int round = 0; round < 500; ++round) {
      const auto port = static_cast<uint16_t>(random() % 40);
      if (ports.erase(port) == 0) {
        ports[port] = static_cast<uint16_t>(1 + random() % 4);
        for (uint16_t q = 0; q < ports[port]; ++q) spread.add({port, q});
      } else {
        spread.remove_port(port);
      }
      std::vector<Queue> served;
      for (const auto& [p, queues] : ports)
        for (uint16_t q = 0; q < queues; ++q) served.push_back({p, q});
      std::map<Queue, uint16_t> before;
      for (const Queue& q : served) before[q] = spread.worker_of(q);
      const auto moves = spread.serve(served);
      EXPECT_TRUE(is_balanced(spread, served, n)) << round;
      EXPECT_LE(moves.size(), 5u) << "one port came or went";
      size_t n_moved = 0;
      for (const Queue& q : served) n_moved += before[q] != spread.worker_of(q);
      EXPECT_EQ(n_moved, moves.size());
    }
  }
}

}  // namespace
}  // namespace weft::vswitch
