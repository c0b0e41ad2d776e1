// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/owned.h"

#include "tests/unit/dataplane/frames.h"

#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <rte_eal.h>

namespace weft::dataplane {
namespace {

using namespace test;

class Eal : public testing::Environment {
 public:
  void SetUp() override {
    char arguments[][16] = {"owned_test",  "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "64",
                            "--log-level", "error",     "-l",          "0"};
    char* argv[std::size(arguments)];
    for (size_t i = 0; i < std::size(arguments); ++i) argv[i] = arguments[i];
    ASSERT_GE(rte_eal_init(static_cast<int>(std::size(argv)), argv), 0);
  }
  void TearDown() override { rte_eal_cleanup(); }
};
const auto* const kEal = testing::AddGlobalTestEnvironment(new Eal);

class OwnedPacket : public testing::TestWithParam<size_t> {};

TEST_P(OwnedPacket, ComesBackAsItWas) {
  OwnedPool pool("round_trip", 64);
  Burst burst;
  rte_mbuf* owned = nullptr;
  const Bytes frame = pattern(GetParam(), 11);
  {
    Bytes sender = frame;
    Packet& p = add_packet(burst, sender, {.checksum = Checksum::partial, .csum_start = 34, .csum_offset = 16},
                           GetParam() / 200 + 1);
    p.in_port = 5;
    p.out_port = 6;
    p.network = 7;
    p.l3_offset = 14;
    p.l3 = L3::ipv4;
    p.l4_offset = 34;
    p.l4_protocol = 6;
    owned = pool.copy(p);
    ASSERT_NE(owned, nullptr);
    std::fill(sender.begin(), sender.end(), uint8_t{0});
  }
  burst.clear();
  EXPECT_EQ(OwnedPool::size(owned), frame.size());
  OwnedPool::meta(owned).user = 0x1122334455667788;
  OwnedPool::meta(owned).stage = OwnedStage::resolve;
  Packet& p = OwnedPool::load(owned, burst);
  ASSERT_EQ(burst.size(), 1);
  EXPECT_EQ(flatten(p), frame);
  EXPECT_EQ(p.size, frame.size());
  EXPECT_EQ(p.head, burst.slot(0)) << "in the slot, where stages may rewrite it";
  EXPECT_EQ(p.head_size, std::min<size_t>(frame.size(), kHeaderCopy));
  EXPECT_EQ(p.offload.checksum, Checksum::partial);
  EXPECT_EQ(p.offload.csum_offset, 16);
  EXPECT_EQ(p.in_port, 5);
  EXPECT_EQ(p.out_port, 6);
  EXPECT_EQ(p.network, 7);
  EXPECT_EQ(p.l3, L3::ipv4);
  EXPECT_EQ(p.l3_offset, 14);
  EXPECT_EQ(p.l4_offset, 34);
  EXPECT_EQ(p.l4_protocol, 6);
  EXPECT_EQ(p.drop, Drop::none);
  EXPECT_EQ(OwnedPool::meta(owned).user, 0x1122334455667788u);
  EXPECT_EQ(OwnedPool::meta(owned).stage, OwnedStage::resolve);
  OwnedPool::free(owned);
  EXPECT_EQ(pool.n_in_use(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, OwnedPacket,
                         testing::Values(1, 60, 192, 193, 1514, 2047, 2048, 2049, 4096, 9014, 65535, kMaxFrame));

TEST(OwnedPool, KeepsAHeadThatStagesMadeLonger) {
  OwnedPool pool("long_head", 8);
  Burst burst;
  const Bytes frame = pattern(1000);
  const rte_mbuf* owned = pool.copy(add_packet(burst, frame, {}, 0, kHeaderCopy + 4));
  ASSERT_NE(owned, nullptr);
  burst.clear();
  Packet& p = OwnedPool::load(owned, burst);
  EXPECT_EQ(p.head_size, kHeaderCopy + 4);
  EXPECT_EQ(flatten(p), frame);
  OwnedPool::free(const_cast<rte_mbuf*>(owned));
}

TEST(OwnedPool, IsBoundedAndTakesNothingWhenItCannotTakeAll) {
  OwnedPool pool("bounded", 15);
  Burst burst;
  const Bytes small = pattern(64), large = pattern(10 * OwnedPool::kDataSize);
  Packet& s = add_packet(burst, small);
  Packet& l = add_packet(burst, large);
  std::vector<rte_mbuf*> held;
  for (int i = 0; i < 8; ++i) held.push_back(pool.copy(s));
  EXPECT_EQ(pool.n_free(), 7u);
  EXPECT_EQ(pool.copy(l), nullptr) << "needs ten";
  EXPECT_EQ(pool.n_free(), 7u);
  for (int i = 0; i < 7; ++i) held.push_back(pool.copy(s));
  EXPECT_EQ(pool.copy(s), nullptr);
  for (rte_mbuf* m : held) {
    ASSERT_NE(m, nullptr);
    OwnedPool::free(m);
  }
  OwnedPool::free(nullptr);
  EXPECT_EQ(pool.n_free(), 15u);
  rte_mbuf* again = pool.copy(l);
  ASSERT_NE(again, nullptr) << "all come back, chained ones too";
  OwnedPool::free(again);
}

TEST(OwnedPool, IsSharedWithThreadsThatAreNotWorkers) {
  OwnedPool pool("shared", 128);
  const auto churn = [&](uint32_t seed) {
    Burst burst;
    const Bytes frame = pattern(3000, seed);
    Packet& p = add_packet(burst, frame);
    for (int i = 0; i < 4000; ++i) {
      rte_mbuf* m = pool.copy(p);
      if (m == nullptr) continue;
      if (OwnedPool::size(m) != frame.size()) std::abort();
      OwnedPool::free(m);
    }
  };
  std::thread a(churn, 1), b(churn, 2);
  churn(3);
  a.join();
  b.join();
  EXPECT_EQ(pool.n_free(), 128u);
}

TEST(OwnedPool, SaysWhyItCannotBeMade) {
  OwnedPool first("taken", 8);
  EXPECT_THROW(OwnedPool("taken", 8), std::runtime_error);
}

}  // namespace
}  // namespace weft::dataplane
