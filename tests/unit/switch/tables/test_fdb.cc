// SPDX-License-Identifier: BSD-3-Clause
#include "switch/fdb.h"

#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <unistd.h>

namespace weft::vswitch {
namespace {

using wire::MacAddress;

constexpr NetworkId kNet = 7;
constexpr uint32_t kNow = 1000;

/// A unicast address of its own for each number.
MacAddress mac(uint64_t n) { return MacAddress::from_u64(0x520000000000 | n); }

Fdb::Options options(uint32_t entries, uint32_t per_port, uint32_t ageing = 300) {
  Fdb::Options o;
  o.entries = entries;
  o.per_port = per_port;
  o.ageing_seconds = ageing;
  o.seed = 0x1234;
  return o;
}

/// A whole pass, growth finished.
void sweep_all(Fdb& fdb, uint32_t now) {
  for (int i = 0; i < 20; ++i) fdb.sweep(now, 1u << 22);
}

size_t resident_bytes() {
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  if (f == nullptr || std::fscanf(f, "%lu %lu", &total, &resident) != 2) ADD_FAILURE() << "no /proc/self/statm";
  if (f != nullptr) std::fclose(f);
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

class FdbTest : public testing::Test {
 protected:
  void SetUp() override {
    for (PortId p = 0; p < 8; ++p) fdb.add_port(p);
  }
  Fdb fdb{options(4096, 1024)};
};

TEST_F(FdbTest, FindsWhatItLearned) {
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow), kNoPort);
  fdb.learn(kNet, mac(1), 0, kNow);
  fdb.learn(kNet, mac(2), 3, kNow);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow), 0);
  EXPECT_EQ(fdb.lookup(kNet, mac(2), kNow), 3);
  EXPECT_EQ(fdb.stats().entries, 2u);
}

TEST_F(FdbTest, NetworksAreSeparate) {
  fdb.learn(1, mac(1), 1, kNow);
  fdb.learn(2, mac(1), 2, kNow);
  EXPECT_EQ(fdb.lookup(1, mac(1), kNow), 1);
  EXPECT_EQ(fdb.lookup(2, mac(1), kNow), 2);
  EXPECT_EQ(fdb.lookup(3, mac(1), kNow), kNoPort);
}

TEST_F(FdbTest, StationMovesToAnotherPort) {
  fdb.learn(kNet, mac(1), 1, kNow);
  fdb.learn(kNet, mac(1), 2, kNow);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow), 2);
  EXPECT_EQ(fdb.entries_of(1), 0u);
  EXPECT_EQ(fdb.entries_of(2), 1u);
  EXPECT_EQ(fdb.stats().moved, 1u);
  EXPECT_EQ(fdb.stats().entries, 1u);
}

TEST_F(FdbTest, EntryIsUnknownAfterTheAgeingTimeEvenBeforeItIsSwept) {
  fdb.learn(kNet, mac(1), 1, kNow);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 300), 1);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 301), kNoPort);
  EXPECT_EQ(fdb.stats().entries, 1u);
  sweep_all(fdb, kNow + 301);
  EXPECT_EQ(fdb.stats().entries, 0u);
  EXPECT_EQ(fdb.stats().aged, 1u);
}

TEST_F(FdbTest, BeingSeenAgainRenewsAnEntry) {
  fdb.learn(kNet, mac(1), 1, kNow);
  fdb.learn(kNet, mac(1), 1, kNow + 200);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 500), 1);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 501), kNoPort);
  fdb.learn(kNet, mac(1), 1, kNow + 600);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 600), 1);
  EXPECT_EQ(fdb.stats().entries, 1u);
}

TEST_F(FdbTest, AnotherWorkersClockALittleAheadNeitherHidesNorRejuvenates) {
  fdb.learn(kNet, mac(1), 1, kNow + 2);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow), 1);
  fdb.learn(kNet, mac(1), 1, kNow);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow + 302), 1);
}

TEST_F(FdbTest, AgesSurviveTheWrapOf24BitSeconds) {
  const uint32_t late = (1u << 24) - 10;
  fdb.learn(kNet, mac(1), 1, late);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), late + 100), 1);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), late + 301), kNoPort);
}

TEST_F(FdbTest, RemovedPortsEntriesAreGoneAtOnceAndTheirRoomIsFree) {
  for (uint64_t n = 0; n < 1000; ++n) fdb.learn(kNet, mac(n), 1, kNow);
  fdb.learn(kNet, mac(5000), 2, kNow);
  fdb.remove_port(1);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), kNoPort);
  EXPECT_EQ(fdb.lookup(kNet, mac(5000), kNow), 2);
  EXPECT_EQ(fdb.stats().entries, 1u);
  fdb.add_port(1);
  for (uint64_t n = 2000; n < 3000; ++n) fdb.learn(kNet, mac(n), 1, kNow);
  for (uint64_t n = 2000; n < 3000; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), 1);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), kNoPort);
  EXPECT_EQ(fdb.entries_of(1), 1000u);
}

TEST_F(FdbTest, RemovedNetworksEntriesAreGoneAtOnceAndOtherNetworksStay) {
  fdb.learn(1, mac(1), 1, kNow);
  fdb.learn(2, mac(1), 1, kNow);
  fdb.remove_network(1);
  EXPECT_EQ(fdb.lookup(1, mac(1), kNow), kNoPort);
  EXPECT_EQ(fdb.lookup(2, mac(1), kNow), 1);
  fdb.learn(1, mac(1), 1, kNow);
  EXPECT_EQ(fdb.lookup(1, mac(1), kNow), 1);
  EXPECT_EQ(fdb.entries_of(1), 2u);
}

TEST_F(FdbTest, SweepFreesWhatWasLeftByARemovedNetwork) {
  for (uint64_t n = 0; n < 100; ++n) fdb.learn(1, mac(n), 1, kNow);
  fdb.remove_network(1);
  sweep_all(fdb, kNow);
  EXPECT_EQ(fdb.stats().entries, 0u);
  EXPECT_EQ(fdb.entries_of(1), 0u);
}

TEST_F(FdbTest, PortThatWasNeverAddedLearnsNothing) {
  fdb.learn(kNet, mac(1), 100, kNow);
  fdb.learn(kNet, mac(1), kNoPort, kNow);
  EXPECT_EQ(fdb.lookup(kNet, mac(1), kNow), kNoPort);
  EXPECT_EQ(fdb.stats().learn_failed, 1u);
}

TEST_F(FdbTest, OverItsShareAPortReplacesExactlyItsOldest) {
  for (uint64_t n = 0; n < 1500; ++n) fdb.learn(kNet, mac(n), 1, kNow);
  for (uint64_t n = 0; n < 476; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), kNoPort) << n;
  for (uint64_t n = 476; n < 1500; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), 1) << n;
  EXPECT_EQ(fdb.entries_of(1), 1024u);
  EXPECT_EQ(fdb.stats().replaced, 476u);
  EXPECT_EQ(fdb.stats().learn_failed, 0u);
}

TEST_F(FdbTest, AnAddressStillInUseSurvivesItsPortsOwnStorm) {
  fdb.learn(kNet, mac(0), 1, kNow);
  for (uint64_t n = 1; n < 20000; ++n) {
    const auto now = static_cast<uint32_t>(kNow + n / 500);
    fdb.learn(kNet, mac(n), 1, now);
    fdb.learn(kNet, mac(0), 1, now);
    ASSERT_EQ(fdb.lookup(kNet, mac(0), now), 1) << n;
  }
  EXPECT_EQ(fdb.stats().learned, 20000u);  // it never had to be learned again
}

TEST_F(FdbTest, SharesAreGivenBackByAgeing) {
  for (uint64_t n = 0; n < 1024; ++n) fdb.learn(kNet, mac(n), 1, kNow);
  sweep_all(fdb, kNow + 301);
  EXPECT_EQ(fdb.entries_of(1), 0u);
  for (uint64_t n = 5000; n < 6024; ++n) fdb.learn(kNet, mac(n), 1, kNow + 302);
  for (uint64_t n = 5000; n < 6024; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow + 302), 1);
  EXPECT_EQ(fdb.stats().replaced, 0u);
}

TEST_F(FdbTest, AStationThatKeepsMovingDoesNotStopItsPortsFromLearning) {
  Fdb small(options(64, 8));
  small.add_port(1);
  small.add_port(2);
  for (int i = 0; i < 100; ++i) {
    small.learn(kNet, mac(1), 1, kNow);
    small.learn(kNet, mac(1), 2, kNow);
  }
  for (uint64_t n = 10; n < 17; ++n) {
    small.learn(kNet, mac(n), 1, kNow);
    ASSERT_EQ(small.lookup(kNet, mac(n), kNow), 1);
  }
}

TEST_F(FdbTest, FullTableTakesFromThePortWithMostAndNeverFromItsEqual) {
  Fdb full(options(1000, 1000));
  for (PortId p = 1; p <= 3; ++p) full.add_port(p);
  for (uint64_t n = 0; n < 1000; ++n) full.learn(kNet, mac(n), 1, kNow);
  ASSERT_EQ(full.stats().entries, 1000u);
  // A newcomer gets in, at the expense of the one who has everything.
  for (uint64_t n = 5000; n < 5010; ++n) {
    full.learn(kNet, mac(n), 2, kNow);
    ASSERT_EQ(full.lookup(kNet, mac(n), kNow), 2) << n;
  }
  EXPECT_EQ(full.entries_of(1), 990u);
  EXPECT_EQ(full.stats().entries, 1000u);
  // And the one who has everything takes nothing from the newcomer.
  for (uint64_t n = 10000; n < 30000; ++n) full.learn(kNet, mac(n), 1, kNow);
  for (uint64_t n = 5000; n < 5010; ++n) ASSERT_EQ(full.lookup(kNet, mac(n), kNow), 2) << n;
  EXPECT_LE(full.stats().entries, 1000u);
  // Nor does a third port that has as much as the second can.
  for (uint64_t n = 50000; n < 60000; ++n) full.learn(kNet, mac(n), 3, kNow);
  EXPECT_EQ(full.entries_of(2), 10u);
  EXPECT_LE(full.stats().entries, 1000u);
  EXPECT_GT(full.entries_of(1), 300u);
}

TEST_F(FdbTest, GrowsInItsReservedMemoryAndFindsEverythingAtEveryMoment) {
  Fdb big(options(1 << 20, 1 << 20));
  big.add_port(1);
  const size_t small_bytes = big.current_bytes();
  uint64_t learned = 0;
  std::mt19937_64 random(1);
  while (learned < 120'000) {
    for (int i = 0; i < 100; ++i) big.learn(kNet, mac(learned++), 1, kNow);
    big.sweep(kNow, 64);
    for (int i = 0; i < 20; ++i) {
      const uint64_t n = random() % learned;
      ASSERT_EQ(big.lookup(kNet, mac(n), kNow), 1) << n << " of " << learned;
    }
  }
  EXPECT_GT(big.current_bytes(), 4 * small_bytes);
  EXPECT_LE(big.current_bytes(), big.table_bytes());
  sweep_all(big, kNow);
  for (uint64_t n = 0; n < learned; ++n) ASSERT_EQ(big.lookup(kNet, mac(n), kNow), 1) << n;
  EXPECT_EQ(big.stats().entries, learned);
  EXPECT_EQ(big.stats().learn_failed, 0u);
  EXPECT_EQ(big.stats().learned, learned);
}

TEST_F(FdbTest, ListsEveryValidEntryOnce) {
  std::map<uint64_t, Fdb::Entry> expected;
  for (uint64_t n = 0; n < 500; ++n)
    fdb.learn(static_cast<NetworkId>(n % 3), mac(n), static_cast<PortId>(n % 4), kNow + static_cast<uint32_t>(n % 5));
  fdb.remove_port(3);
  fdb.remove_network(2);
  size_t count = 0;
  fdb.for_each(kNow + 10, [&](const Fdb::Entry& e) {
    const uint64_t n = e.mac.to_u64() & 0xffffff;
    EXPECT_EQ(e.network, n % 3);
    EXPECT_EQ(e.port, n % 4);
    EXPECT_EQ(e.age_seconds, 10 - n % 5);
    EXPECT_TRUE(expected.emplace(n, e).second);
    EXPECT_NE(e.port, 3);
    EXPECT_NE(e.network, 2);
    ++count;
  });
  EXPECT_EQ(count, 250u);
}

TEST_F(FdbTest, EpochsWrapWithoutRevivingAnything) {
  for (int i = 0; i < 5000; ++i) {
    fdb.learn(kNet, mac(static_cast<uint64_t>(i)), 1, kNow);
    fdb.remove_port(1);
    fdb.remove_network(kNet);
    ASSERT_EQ(fdb.lookup(kNet, mac(static_cast<uint64_t>(i)), kNow), kNoPort);
    fdb.sweep(kNow, 16);
  }
  EXPECT_EQ(fdb.stats().entries, 0u);
}

TEST(FdbStorm, MillionSourcesFromOnePortHarmNobodyElse) {
  Fdb fdb(Fdb::Options{.seed = 99});
  for (PortId p = 1; p <= 3; ++p) fdb.add_port(p);
  const size_t before = resident_bytes();
  for (uint64_t n = 0; n < 100; ++n) fdb.learn(kNet, mac(n), 2, kNow);
  EXPECT_LT(resident_bytes() - before, 4u << 20);

  std::mt19937_64 random(4);
  for (int i = 0; i < 1'000'000; ++i) {
    fdb.learn(kNet, MacAddress::from_u64(random() & 0xfeffffffffff), 1, kNow);
    if (i % 64 == 0) fdb.sweep(kNow, 256);
    if (i % 10'000 == 0) {  // others come, while it lasts
      const auto n = static_cast<uint64_t>(1000 + i / 10'000);
      fdb.learn(kNet, mac(n), 3, kNow);
      ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), 3);
    }
  }
  for (uint64_t n = 0; n < 100; ++n) {
    EXPECT_EQ(fdb.lookup(kNet, mac(n), kNow), 2);
    EXPECT_EQ(fdb.lookup(kNet, mac(1000 + n), kNow), 3);
  }
  EXPECT_EQ(fdb.entries_of(2), 100u);
  EXPECT_EQ(fdb.entries_of(3), 100u);
  EXPECT_LE(fdb.entries_of(1), 1024u * 1024);
  EXPECT_EQ(fdb.table_bytes(), 64u << 20);
  // The table and the port's ring, and nothing else.
  EXPECT_LT(resident_bytes() - before, (64u << 20) + (8u << 20) + (4u << 20));
}

TEST(FdbStorm, SustainedStormOverItsShareStaysWithinIt) {
  Fdb fdb(options(1 << 16, 1 << 14));
  fdb.add_port(1);
  fdb.add_port(2);
  for (uint64_t n = 0; n < 1000; ++n) fdb.learn(kNet, mac(n), 2, kNow);
  std::mt19937_64 random(5);
  for (int i = 0; i < 300'000; ++i) {
    fdb.learn(kNet, MacAddress::from_u64(random() & 0xfeffffffffff), 1, kNow);
    if (i % 64 == 0) fdb.sweep(kNow, 64);
    ASSERT_LE(fdb.entries_of(1), 1u << 14);
  }
  EXPECT_EQ(fdb.entries_of(1), 1u << 14);
  for (uint64_t n = 0; n < 1000; ++n) ASSERT_EQ(fdb.lookup(kNet, mac(n), kNow), 2);
  EXPECT_EQ(fdb.entries_of(2), 1000u);
}

// One thread learns (stations that move, share evictions, growth), one sweeps and removes ports, one looks
// up: what is found is always a port this very address was learned at. Meant for ThreadSanitizer too.
TEST(FdbThreads, ReaderNeverSeesAnotherAddressesPort) {
  Fdb fdb(options(1 << 16, 3000));
  for (PortId p = 0; p < 16; ++p) fdb.add_port(p);
  // Address n of network w is only ever at ports with port % 8 == n % 8, learned by worker w.
  std::atomic<bool> is_over{false};
  const auto learner = [&](NetworkId network) {
    std::mt19937_64 random(network);
    for (uint32_t i = 0; i < 200'000; ++i) {
      const uint64_t n = random() % 6000;
      fdb.learn(network, mac(n), static_cast<PortId>(n % 8 + (random() & 8)), kNow + i / 20'000);
      if (network == 1 && i % 32 == 0) fdb.sweep(kNow + i / 20'000, 64);
    }
  };
  std::thread one(learner, NetworkId{1}), two(learner, NetworkId{2});
  std::thread control([&] {
    while (!is_over.load()) {
      fdb.remove_port(3);
      fdb.add_port(3);
      size_t n = 0;
      fdb.for_each(kNow, [&](const Fdb::Entry& e) { n += e.port % 8 != (e.mac.to_u64() & 0xffffff) % 8; });
      EXPECT_EQ(n, 0u);
    }
  });
  uint64_t wrong = 0, found = 0;
  std::mt19937_64 random(9);
  std::thread reader([&] {
    while (!is_over.load()) {
      const uint64_t n = random() % 6000;
      const PortId port = fdb.lookup(static_cast<NetworkId>(1 + random() % 2), mac(n), kNow + 5);
      if (port == kNoPort) continue;
      ++found;
      wrong += port % 8 != n % 8;
    }
  });
  one.join();
  two.join();
  is_over = true;
  reader.join();
  control.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(found, 0u);
  uint64_t sum = 0;
  for (PortId p = 0; p < 16; ++p) {
    sum += fdb.entries_of(p);
    EXPECT_LE(fdb.entries_of(p), 3000u);
  }
  EXPECT_EQ(fdb.stats().entries, sum);
}

}  // namespace
}  // namespace weft::vswitch
