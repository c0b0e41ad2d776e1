// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/pacer.h"

#include <gtest/gtest.h>

namespace weft::bench {
namespace {

TEST(Pacer, OneFrameForEachInterval) {
  Pacer p(10, 1000, 64);
  EXPECT_EQ(p.due(1000, true), 0u);
  EXPECT_EQ(p.due(1009, true), 0u);
  EXPECT_EQ(p.due(1010, true), 1u);
  p.sent(1);
  EXPECT_EQ(p.due(1019, true), 0u);
  EXPECT_EQ(p.due(1055, true), 4u);
}

TEST(Pacer, WhatAFullRingKeepsWaitingIsRefused) {
  Pacer p(10, 0, 4);
  EXPECT_EQ(p.due(100, false), 4u) << "ten are due, four may wait";
  EXPECT_EQ(p.refused(), 6u);
  EXPECT_EQ(p.late(), 0u);
  p.sent(4);
  EXPECT_EQ(p.due(109, true), 0u);
  EXPECT_EQ(p.due(110, true), 1u);
}

TEST(Pacer, WhatTheSenderWasTooLateForIsNotOffered) {
  Pacer p(10, 0, 4);
  EXPECT_EQ(p.due(100, true), 4u);
  EXPECT_EQ(p.late(), 6u);
  EXPECT_EQ(p.refused(), 0u);
  p.sent(4);
  EXPECT_EQ(p.due(109, true), 0u);
  EXPECT_EQ(p.due(110, true), 1u);
}

TEST(Pacer, SentAndRefusedAddUpToWhatWasDue) {
  Pacer p(3, 0, 8);
  uint64_t sent = 0;
  uint64_t now = 0;
  for (int i = 0; i < 10'000; ++i) {
    now += static_cast<uint64_t>(i % 97);
    const bool has_room = i % 5 == 0;
    const uint32_t n = p.due(now, has_room);
    if (!has_room) continue;
    p.sent(n);
    sent += n;
  }
  EXPECT_NEAR(static_cast<double>(sent + p.refused() + p.late()), static_cast<double>(now) / 3, 9);
}

TEST(Pacer, NotPacedByDefault) { EXPECT_FALSE(Pacer().is_paced()); }

}  // namespace
}  // namespace weft::bench
