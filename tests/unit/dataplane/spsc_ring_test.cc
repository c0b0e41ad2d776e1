// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/spsc_ring.h"

#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

namespace weft::dataplane {
namespace {

TEST(SpscRing, HoldsAsManyAsItSaysAndKeepsTheirOrder) {
  SpscRing<int> ring(5);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ring.push(i)) << "rounded up";
  EXPECT_FALSE(ring.push(8));
  EXPECT_EQ(ring.size(), 8u);
  int value = -1;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(ring.pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(ring.pop(value));
}

TEST(SpscRing, ATakenValueMakesRoom) {
  SpscRing<int> ring(2);
  int value;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ring.push(i));
    ASSERT_TRUE(ring.pop(value));
    EXPECT_EQ(value, i);
  }
}

TEST(SpscRing, BetweenTwoThreadsNothingIsLostOrOvertaken) {
  struct Value {
    uint64_t a, b, c;
  };
  constexpr uint64_t kValues = 200'000;
  SpscRing<Value> ring(64);
  std::thread sender([&] {
    for (uint64_t i = 0; i < kValues;) {
      if (ring.push({i, i * 3, ~i}))
        ++i;
      else
        std::this_thread::yield();
    }
  });
  uint64_t n_wrong = 0;
  for (uint64_t i = 0; i < kValues;) {
    Value v;
    if (!ring.pop(v)) {
      std::this_thread::yield();
      continue;
    }
    n_wrong += v.a != i || v.b != i * 3 || v.c != ~i;
    ++i;
  }
  sender.join();
  EXPECT_EQ(n_wrong, 0u);
}

}  // namespace
}  // namespace weft::dataplane
