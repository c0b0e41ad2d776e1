// SPDX-License-Identifier: BSD-3-Clause
#include "switch/rate_limit.h"

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 77 * kSecond;

TEST(TokenBucket, PassesABurstAtOnceAndThenTheRate) {
  TokenBucket bucket(100, 5);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(bucket.take(kStart)) << i;
  EXPECT_FALSE(bucket.take(kStart));
  EXPECT_FALSE(bucket.take(kStart + kSecond / 100 - 1));
  EXPECT_TRUE(bucket.take(kStart + kSecond / 100));
  EXPECT_FALSE(bucket.take(kStart + kSecond / 100));
}

TEST(TokenBucket, NeverHoldsMoreThanItsBurst) {
  TokenBucket bucket(100, 5);
  EXPECT_EQ(bucket.take(kStart + 3600 * kSecond, 100), 5u);
}

TEST(TokenBucket, KeepsTheRateExactlyOverASecond) {
  TokenBucket bucket(1000, 10);
  int passed = 0;
  for (uint64_t t = 0; t < kSecond; t += 10'000) passed += bucket.take(kStart + t);  // 100 000 ask
  EXPECT_GE(passed, 1000);
  EXPECT_LE(passed, 1010);
}

TEST(TokenBucket, TakesManyAtOnceAsOneByOne) {
  TokenBucket one(1000, 64), many(1000, 64);
  for (uint64_t t = kStart; t < kStart + kSecond; t += 7'000'000) {
    uint32_t passed = 0;
    for (int i = 0; i < 32; ++i) passed += one.take(t);
    ASSERT_EQ(many.take(t, 32), passed);
  }
}

TEST(TokenBucket, UnlimitedPassesEverything) {
  TokenBucket bucket;
  EXPECT_EQ(bucket.take(0, 1'000'000), 1'000'000u);
  EXPECT_TRUE(TokenBucket(TokenBucket().take(0) ? Rate::kUnlimited : 1, 1).take(0, 1000) == 1000);
}

TEST(TokenBucket, AClockThatGoesBackGivesNothingAway) {
  TokenBucket bucket(1, 1);
  EXPECT_TRUE(bucket.take(kStart));
  EXPECT_FALSE(bucket.take(kStart - 10 * kSecond));
  EXPECT_FALSE(bucket.take(kStart));
  EXPECT_TRUE(bucket.take(kStart + kSecond));
}

TEST(IcmpErrorLimit, OneDestinationCannotUseUpWhatIsMeantForAll) {
  IcmpErrorLimit limit({.per_second = 1000, .burst = 50, .per_second_to_one = 1, .burst_to_one = 6, .seed = 1});
  int to_one = 0;
  for (int i = 0; i < 1000; ++i) to_one += limit.take(Ipv4Address(192, 0, 2, 1), kStart);
  EXPECT_EQ(to_one, 6);
  int to_others = 0;
  for (uint8_t i = 2; i < 42; ++i) to_others += limit.take(Ipv4Address(192, 0, 2, i), kStart);
  EXPECT_GE(to_others, 38);  // all but those that share the first one's bucket
}

TEST(IcmpErrorLimit, AllTogetherStayWithinTheGlobalRate) {
  IcmpErrorLimit limit({.per_second = 1000, .burst = 50, .per_second_to_one = 1, .burst_to_one = 6, .seed = 1});
  int passed = 0;
  for (uint32_t i = 0; i < 100'000; ++i) passed += limit.take(Ipv4Address(0x0a000000 + i), kStart + i * 10'000);
  EXPECT_LE(passed, 1050);
  EXPECT_GE(passed, 1000);
}

TEST(IcmpErrorLimit, ADestinationGetsOneASecondAfterItsBurst) {
  IcmpErrorLimit limit({.seed = 5});
  const Ipv4Address a(192, 0, 2, 1);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(limit.take(a, kStart));
  EXPECT_FALSE(limit.take(a, kStart + kSecond - 1));
  EXPECT_TRUE(limit.take(a, kStart + kSecond));
  EXPECT_FALSE(limit.take(a, kStart + kSecond));
}

}  // namespace
}  // namespace weft::vswitch
