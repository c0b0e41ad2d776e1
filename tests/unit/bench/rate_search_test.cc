// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/rate_search.h"

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

/// Searches a switch that passes `capacity` and drops what is above; how many trials it took goes to `trials`.
double search(double highest, double capacity, double loss, double resolution, int& trials) {
  RateSearch s(highest, loss, resolution);
  trials = 0;
  while (const auto rate = s.next()) {
    EXPECT_LT(++trials, 100);
    EXPECT_LE(*rate, highest);
    s.report(*rate > capacity ? 1 - capacity / *rate : 0);
  }
  return s.best();
}

TEST(RateSearch, FindsTheRateWithoutLoss) {
  int trials = 0;
  const double found = search(20e6, 7e6, 0, 0.001, trials);
  EXPECT_LE(found, 7e6);
  EXPECT_GE(found, 7e6 - 20e3);
  EXPECT_LE(trials, 12);
}

TEST(RateSearch, FindsTheRateWithALittleLoss) {
  int trials = 0;
  const double found = search(20e6, 7e6, 0.1, 0.001, trials);
  EXPECT_NEAR(found, 7e6 / 0.9, 20e3);
}

TEST(RateSearch, TheHighestThatPassesNeedsOneTrial) {
  int trials = 0;
  EXPECT_EQ(search(5e6, 7e6, 0, 0.01, trials), 5e6);
  EXPECT_EQ(trials, 1);
}

TEST(RateSearch, ASwitchThatAlwaysLosesHasNoRate) {
  RateSearch s(1e6, 0, 0.01);
  int trials = 0;
  while (s.next()) {
    s.report(0.5);
    ASSERT_LT(++trials, 20);
  }
  EXPECT_EQ(s.best(), 0);
}

}  // namespace
}  // namespace weft::bench
