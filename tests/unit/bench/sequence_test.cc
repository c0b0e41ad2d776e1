// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/sequence.h"

#include <initializer_list>

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

SequenceCounts see(std::initializer_list<uint32_t> numbers, uint32_t start = 0) {
  SequenceTracker tracker;
  SequenceCounts counts;
  tracker.start_at(start);
  for (const uint32_t n : numbers) tracker.see(n, counts);
  return counts;
}

void expect(const SequenceCounts& c, uint64_t in_order, uint64_t late, uint64_t twice, uint64_t missing) {
  EXPECT_EQ(c.in_order, in_order);
  EXPECT_EQ(c.late, late);
  EXPECT_EQ(c.twice, twice);
  EXPECT_EQ(c.missing, missing);
}

TEST(Sequence, InOrder) { expect(see({0, 1, 2, 3}), 4, 0, 0, 0); }
TEST(Sequence, OneIsMissing) { expect(see({0, 2, 3}), 3, 0, 0, 1); }
TEST(Sequence, TheFirstIsMissing) { expect(see({1, 2}), 2, 0, 0, 1); }
TEST(Sequence, OneComesLate) { expect(see({0, 2, 1, 3}), 3, 1, 0, 0); }
TEST(Sequence, OneComesTwice) { expect(see({0, 1, 1, 2, 0}), 3, 0, 2, 0); }
TEST(Sequence, LateThenTwice) { expect(see({0, 2, 1, 1}), 2, 1, 1, 0); }
TEST(Sequence, ALongGapIsMissing) { expect(see({0, 200, 201}), 3, 0, 0, 199); }
TEST(Sequence, LateByMoreThanTheWindowIsStillLate) { expect(see({0, 200, 5}), 2, 1, 0, 198); }
TEST(Sequence, TheLastPlaceOfTheWindow) {
  expect(see({0, 64, 1}), 2, 1, 0, 62);
  expect(see({0, 64, 1, 1}), 2, 1, 1, 62);
}
TEST(Sequence, NumbersWrap) { expect(see({0xffffffff, 0, 2, 1}, 0xffffffff), 3, 1, 0, 0); }
TEST(Sequence, WhatCameBeforeTheStartCountsAsSeen) { expect(see({9, 10}, 10), 1, 0, 1, 0); }

}  // namespace
}  // namespace weft::bench
