// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/burst.h"

#include "dataplane/drops.h"
#include "tests/unit/dataplane/frames.h"

#include <cstring>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace weft::dataplane {
namespace {

using namespace test;

TEST(Burst, AddsPacketsThatKnowNothingYet) {
  Burst burst;
  Packet& p = burst.add();
  EXPECT_EQ(burst.size(), 1);
  EXPECT_EQ(p.head, burst.slot(0));
  EXPECT_EQ(p.size, 0u);
  EXPECT_EQ(p.n_payload, 0);
  EXPECT_EQ(p.drop, Drop::none);
  EXPECT_EQ(p.in_port, kNoPort);
  EXPECT_EQ(p.out_port, kNoPort);
  EXPECT_EQ(p.network, kNoNetwork);
  p.drop = Drop::rx_bad_offload;
  p.offload.checksum = Checksum::partial;
  burst.clear();
  const Packet& again = burst.add();
  EXPECT_EQ(again.drop, Drop::none) << "nothing of the last burst is left";
  EXPECT_EQ(again.offload.checksum, Checksum::unknown);
}

TEST(Burst, IsFullAtThirtyTwoAndTakesOneBack) {
  Burst burst;
  for (int i = 0; i < kBurst; ++i) {
    EXPECT_FALSE(burst.full());
    burst.add();
  }
  EXPECT_TRUE(burst.full());
  burst.undo_add();
  EXPECT_EQ(burst.size(), kBurst - 1);
  EXPECT_EQ(burst.end() - burst.begin(), kBurst - 1);
}

TEST(Burst, SlotsWithTheirHeadroomDoNotOverlap) {
  Burst burst;
  for (uint16_t i = 0; i < kBurst; ++i) std::memset(burst.slot(i) - Burst::kHeadroom, i + 1, Burst::kSlotSize);
  for (uint16_t i = 0; i < kBurst; ++i) {
    EXPECT_EQ(burst.slot(i)[-int{Burst::kHeadroom}], i + 1);
    EXPECT_EQ(burst.slot(i)[Burst::kSlotSize - Burst::kHeadroom - 1], i + 1);
  }
}

TEST(Burst, RxBuffersHoldTheLargestFrameEach) {
  Burst burst;
  for (const uint16_t i : {uint16_t{0}, uint16_t{1}, uint16_t{kBurst - 1}})
    std::memset(burst.rx_buffer(i), i + 1, Burst::kRxBuffer);
  EXPECT_EQ(burst.rx_buffer(0)[Burst::kRxBuffer - 1], 1);
  EXPECT_EQ(burst.rx_buffer(1)[0], 2);
  EXPECT_EQ(burst.rx_buffer(kBurst - 1)[Burst::kRxBuffer - 1], kBurst);
  EXPECT_GE(Burst::kRxBuffer, kMaxFrame);
}

TEST(Burst, LimitsThePiecesOfOneFrameAndOfAll) {
  Burst burst;
  const uint8_t byte = 7;
  Packet& first = burst.add();
  for (int i = 0; i < Burst::kMaxSegments; ++i) ASSERT_TRUE(burst.append_segment(first, &byte, 1));
  EXPECT_FALSE(burst.append_segment(first, &byte, 1));
  EXPECT_EQ(first.n_payload, Burst::kMaxSegments);
  EXPECT_EQ(first.size, uint32_t{Burst::kMaxSegments});
  int n = Burst::kMaxSegments;
  while (burst.has_segment_room()) {
    Packet& p = burst.add();
    for (int i = 0; i < Burst::kMaxSegments; ++i, ++n) ASSERT_TRUE(burst.append_segment(p, &byte, 1));
  }
  EXPECT_EQ(n, Burst::kSegmentArena);
  EXPECT_FALSE(burst.append_segment(burst.add(), &byte, 1));
}

TEST(Burst, EndsWhenItsShareOfTheTurnIsUsedUp) {
  Burst burst;
  const uint8_t byte = 7;
  ASSERT_TRUE(burst.append_segment(burst.add(), &byte, Burst::kMostWork - 1));
  EXPECT_TRUE(burst.has_segment_room());
  burst.charge(1);
  EXPECT_FALSE(burst.has_segment_room());
  burst.clear();
  EXPECT_TRUE(burst.has_segment_room());
  for (uint16_t i = 0; i < kBurst; ++i) ASSERT_TRUE(burst.append_segment(burst.add(), &byte, 1514 - kHeaderCopy));
  EXPECT_TRUE(burst.has_segment_room()) << "full Ethernet frames fill a burst";
}

TEST(Packet, IsCutAtAnyByte) {
  const Bytes frame = pattern(700);
  for (size_t size = 0; size <= frame.size(); ++size) {
    Burst burst;
    Packet& p = add_packet(burst, frame, {}, 100);
    p.trim(static_cast<uint32_t>(size));
    ASSERT_EQ(flatten(p), Bytes(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size))) << size;
    ASSERT_EQ(p.size, size);
  }
}

TEST(Drops, HaveNamesOfTheirStageAndATextEach) {
  std::set<std::string> names;
  for (size_t i = 0; i < kDrops; ++i) {
    const std::string name(drop_name(static_cast<Drop>(i)));
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    EXPECT_FALSE(kDropInfo[i].text.empty()) << name;
    if (i != 0) {
      EXPECT_NE(name.find('_'), std::string::npos) << name;
    }
  }
  EXPECT_EQ(drop_name(Drop::rx_bad_offload), "rx_bad_offload");
}

}  // namespace
}  // namespace weft::dataplane
