// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/histogram.h"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

TEST(Histogram, EveryValueLiesInItsBucketWithinASixtyFourth) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    const uint64_t highest = Histogram::highest_in(Histogram::bucket_of(value));
    ASSERT_GE(highest, value);
    ASSERT_LE(highest - value, value / 64);
  }
  EXPECT_EQ(Histogram::bucket_of(UINT64_MAX), Histogram::kBuckets - 1);
  EXPECT_EQ(Histogram::highest_in(Histogram::kBuckets - 1), UINT64_MAX);
}

TEST(Histogram, BucketsFollowEachOtherWithoutGaps) {
  for (size_t b = 1; b < Histogram::kBuckets; ++b) ASSERT_EQ(Histogram::bucket_of(Histogram::highest_in(b - 1) + 1), b);
}

TEST(Histogram, PercentilesAreThoseOfASortedList) {
  auto h = std::make_unique<Histogram>();
  std::vector<uint64_t> values;
  std::mt19937_64 random(2);
  for (int i = 0; i < 10'001; ++i) {
    values.push_back(random() % 1'000'000);
    h->record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(values[static_cast<size_t>(fraction * 10'001)]);
    EXPECT_NEAR(static_cast<double>(h->percentile(fraction)), exact, exact / 60 + 1) << fraction;
  }
  EXPECT_EQ(h->percentile(1), values.back());
  EXPECT_EQ(h->min(), values.front());
  EXPECT_EQ(h->max(), values.back());
  EXPECT_EQ(h->total(), 10'001u);
}

TEST(Histogram, EmptyIsZero) {
  const auto h = std::make_unique<Histogram>();
  EXPECT_EQ(h->percentile(0.99), 0u);
  EXPECT_EQ(h->min(), 0u);
  EXPECT_EQ(h->mean(), 0);
}

TEST(Histogram, TwoAddUp) {
  auto a = std::make_unique<Histogram>(), b = std::make_unique<Histogram>();
  a->record(10);
  b->record(1000);
  b->record(3);
  a->add(*b);
  EXPECT_EQ(a->total(), 3u);
  EXPECT_EQ(a->min(), 3u);
  EXPECT_EQ(a->max(), 1000u);
  EXPECT_EQ(a->percentile(0.5), 10u);
  uint64_t n = 0;
  a->for_each([&](uint64_t, uint64_t count) { n += count; });
  EXPECT_EQ(n, 3u);
}

}  // namespace
}  // namespace weft::bench
