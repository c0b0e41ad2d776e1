// SPDX-License-Identifier: BSD-3-Clause
#include "switch/neighbours.h"

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using dataplane::Drop;
using wire::Ipv4Address;
using wire::MacAddress;
using Verdict = Neighbours::Verdict;
using Evidence = Neighbours::Evidence;

constexpr uint64_t kMs = Neighbours::kMillisecond;
constexpr uint64_t kStart = 500'000 * kMs;
constexpr InterfaceId kIf = 3;
constexpr dataplane::PortId kGuest = 9;
const Ipv4Address kPeer(192, 168, 122, 10);
const MacAddress kMac = MacAddress::from_u64(0x5254000000aa);
const MacAddress kOtherMac = MacAddress::from_u64(0x5254000000bb);

HeldPacket packet(uintptr_t n) { return reinterpret_cast<HeldPacket>(n); }

struct Recorder : NeighbourSink {
  void send_request(const NeighbourRequest& r) noexcept override { requests.push_back(r); }
  void release(HeldPacket p, InterfaceId, const MacAddress& mac) noexcept override {
    released.push_back(reinterpret_cast<uintptr_t>(p));
    released_to.push_back(mac);
  }
  void drop(HeldPacket p, InterfaceId, Drop reason) noexcept override {
    dropped.push_back(reinterpret_cast<uintptr_t>(p));
    reasons.push_back(reason);
  }
  void clear() { *this = Recorder(); }
  std::vector<NeighbourRequest> requests;
  std::vector<uintptr_t> released, dropped;
  std::vector<MacAddress> released_to;
  std::vector<Drop> reasons;
};

class NeighboursTest : public testing::Test {
 protected:
  Neighbours::Resolution resolve(uint64_t now, Ipv4Address a = kPeer, InterfaceId i = kIf) {
    return table.resolve(i, a, kGuest, now, sink);
  }
  NeighbourState state_at(uint64_t now, Ipv4Address a = kPeer) {
    NeighbourState found = NeighbourState::none;
    table.for_each(now, [&](const Neighbours::Listed& n) {
      if (n.address == a && n.interface == kIf) found = n.state;
    });
    return found;
  }
  Neighbours table{{.seed = 42}};
  Recorder sink;
};

TEST_F(NeighboursTest, FirstPacketAsksByBroadcastAndWaits) {
  const auto r = resolve(kStart);
  EXPECT_EQ(r.verdict, Verdict::wait);
  EXPECT_TRUE(r.asks);
  EXPECT_TRUE(r.ask.is_broadcast());
  const auto second = resolve(kStart + 1);
  EXPECT_EQ(second.verdict, Verdict::wait);
  EXPECT_FALSE(second.asks);  // RFC 1122 §2.3.2.1: no flood of requests
  EXPECT_EQ(state_at(kStart), NeighbourState::incomplete);
}

TEST_F(NeighboursTest, AnswerReleasesWhatWaitedInOrder) {
  resolve(kStart);
  for (uintptr_t n = 1; n <= 3; ++n) table.hold(kIf, kPeer, packet(n), sink);
  EXPECT_EQ(table.n_held(), 3u);
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart + kMs, sink);
  EXPECT_EQ(sink.released, (std::vector<uintptr_t>{1, 2, 3}));
  EXPECT_EQ(sink.released_to[0], kMac);
  EXPECT_EQ(table.n_held(), 0u);
  const auto r = resolve(kStart + 2 * kMs);
  EXPECT_EQ(r.verdict, Verdict::known);
  EXPECT_EQ(r.mac, kMac);
  EXPECT_FALSE(r.asks);
}

TEST_F(NeighboursTest, ThreeRequestsASecondApartThenFailedThenAskedAnew) {
  resolve(kStart);
  table.hold(kIf, kPeer, packet(1), sink);
  table.tick(kStart + 999 * kMs, sink);
  EXPECT_EQ(sink.requests.size(), 0u);
  table.tick(kStart + 1000 * kMs, sink);
  EXPECT_EQ(sink.requests.size(), 1u);
  table.tick(kStart + 2000 * kMs, sink);
  ASSERT_EQ(sink.requests.size(), 2u);
  EXPECT_TRUE(sink.requests[1].to.is_broadcast());
  EXPECT_EQ(sink.requests[1].address, kPeer);
  EXPECT_EQ(sink.requests[1].interface, kIf);
  EXPECT_TRUE(sink.dropped.empty());
  table.tick(kStart + 3000 * kMs, sink);
  EXPECT_EQ(sink.requests.size(), 2u);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{1});
  EXPECT_EQ(sink.reasons[0], Drop::resolve_failed);
  EXPECT_EQ(state_at(kStart + 3000 * kMs), NeighbourState::failed);
  EXPECT_EQ(resolve(kStart + 5999 * kMs).verdict, Verdict::failed);
  const auto again = resolve(kStart + 6000 * kMs);
  EXPECT_EQ(again.verdict, Verdict::wait);
  EXPECT_TRUE(again.asks);
}

TEST_F(NeighboursTest, FailedIsForgottenWhenNobodyAsks) {
  resolve(kStart);
  for (uint64_t s = 1; s <= 3; ++s) table.tick(kStart + s * 1000 * kMs, sink);
  EXPECT_EQ(table.n_entries(), 1u);
  table.tick(kStart + 6000 * kMs, sink);
  EXPECT_EQ(table.n_entries(), 0u);
}

TEST_F(NeighboursTest, StaleIsUsedAtOnceAndProbedByUnicast) {
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  EXPECT_FALSE(resolve(kStart + 30'000 * kMs).asks);
  EXPECT_EQ(state_at(kStart + 30'001 * kMs), NeighbourState::stale);
  const auto r = resolve(kStart + 30'001 * kMs);
  EXPECT_EQ(r.verdict, Verdict::known);
  EXPECT_EQ(r.mac, kMac);
  EXPECT_TRUE(r.asks);
  EXPECT_EQ(r.ask, kMac);
  EXPECT_FALSE(resolve(kStart + 30'002 * kMs).asks);
  table.tick(kStart + 31'001 * kMs, sink);
  ASSERT_EQ(sink.requests.size(), 1u);
  EXPECT_EQ(sink.requests[0].to, kMac);
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart + 31'500 * kMs, sink);
  EXPECT_EQ(state_at(kStart + 31'500 * kMs), NeighbourState::reachable);
  table.tick(kStart + 40'000 * kMs, sink);
  EXPECT_EQ(sink.requests.size(), 1u);
}

TEST_F(NeighboursTest, ProbeWithoutAnswerIsForgottenAndAskedByBroadcast) {
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  resolve(kStart + 40'000 * kMs);
  for (uint64_t s = 41; s <= 43; ++s) {
    EXPECT_EQ(resolve(kStart + s * 1000 * kMs - 1).verdict, Verdict::known);
    table.tick(kStart + s * 1000 * kMs, sink);
  }
  EXPECT_EQ(sink.requests.size(), 2u);
  EXPECT_EQ(table.n_entries(), 0u);
  EXPECT_TRUE(resolve(kStart + 43'001 * kMs).ask.is_broadcast());
}

TEST_F(NeighboursTest, QuestionMakesAnEntryToBeConfirmedWhenUsed) {
  table.learned(kIf, kPeer, kMac, Evidence::question, kStart, sink);
  const auto r = resolve(kStart + kMs);
  EXPECT_EQ(r.verdict, Verdict::known);
  EXPECT_EQ(r.mac, kMac);
  EXPECT_EQ(r.ask, kMac);
}

TEST_F(NeighboursTest, GossipChangesWhatIsThereAndMakesNothingNew) {
  table.learned(kIf, kPeer, kMac, Evidence::gossip, kStart, sink);
  EXPECT_EQ(table.n_entries(), 0u);
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  table.learned(kIf, kPeer, kMac, Evidence::gossip, kStart, sink);
  EXPECT_EQ(state_at(kStart), NeighbourState::reachable);
  table.learned(kIf, kPeer, kOtherMac, Evidence::gossip, kStart + kMs,
                sink);  // gratuitous ARP after a migration
  const auto r = resolve(kStart + 2 * kMs);
  EXPECT_EQ(r.mac, kOtherMac);
  EXPECT_TRUE(r.asks);  // and is confirmed
}

TEST_F(NeighboursTest, BadAddressesAreNotLearned) {
  table.learned(kIf, kPeer, MacAddress::broadcast(), Evidence::answer, kStart, sink);
  table.learned(kIf, kPeer, MacAddress{}, Evidence::answer, kStart, sink);
  EXPECT_EQ(table.n_entries(), 0u);
}

TEST_F(NeighboursTest, TrafficConfirmsOnlyTheAddressItCameFrom) {
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  table.confirm(kIf, kPeer, kMac, kStart + 25'000 * kMs);
  EXPECT_FALSE(resolve(kStart + 50'000 * kMs).asks);
  table.confirm(kIf, kPeer, kOtherMac, kStart + 54'000 * kMs);
  EXPECT_TRUE(resolve(kStart + 60'000 * kMs).asks);
  table.confirm(kIf, kPeer, kMac, kStart + 60'500 * kMs);  // ends the probe
  table.tick(kStart + 61'500 * kMs, sink);
  EXPECT_TRUE(sink.requests.empty());
  table.confirm(kIf, Ipv4Address(1, 1, 1, 1), kMac, kStart);
  EXPECT_EQ(table.n_entries(), 1u);
}

TEST_F(NeighboursTest, KeepsTheLatestPacketsOfANeighbour) {
  resolve(kStart);
  for (uintptr_t n = 1; n <= 11; ++n) table.hold(kIf, kPeer, packet(n), sink);
  EXPECT_EQ(sink.dropped, (std::vector<uintptr_t>{1, 2, 3}));
  EXPECT_EQ(sink.reasons[0], Drop::resolve_queue_full);
  EXPECT_EQ(table.n_held(), 8u);
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  EXPECT_EQ(sink.released, (std::vector<uintptr_t>{4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST_F(NeighboursTest, FullPoolStillTakesTheFirstPacketOfANewNeighbour) {
  Neighbours small({.held = 16, .seed = 1});
  for (uint8_t i = 1; i <= 2; ++i) {
    small.resolve(kIf, Ipv4Address(10, 0, 0, i), kGuest, kStart, sink);
    for (uintptr_t n = 1; n <= 8; ++n) small.hold(kIf, Ipv4Address(10, 0, 0, i), packet(i * 100 + n), sink);
  }
  EXPECT_TRUE(sink.dropped.empty());
  small.resolve(kIf, kPeer, 1, kStart, sink);
  small.hold(kIf, kPeer, packet(999), sink);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{101});
  small.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  EXPECT_EQ(sink.released, std::vector<uintptr_t>{999});
}

TEST_F(NeighboursTest, InAFullPoolANeighboursOwnOldestPacketGivesWay) {
  Neighbours small({.held = 9, .seed = 1});
  small.resolve(kIf, Ipv4Address(10, 0, 0, 1), kGuest, kStart, sink);
  for (uintptr_t n = 1; n <= 8; ++n) small.hold(kIf, Ipv4Address(10, 0, 0, 1), packet(n), sink);
  small.resolve(kIf, kPeer, kGuest, kStart, sink);
  small.hold(kIf, kPeer, packet(100), sink);
  small.hold(kIf, kPeer, packet(101), sink);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{100});
}

TEST_F(NeighboursTest, ScanBySomeoneElseDoesNotKeepOthersFromResolving) {
  // A guest sends to 60 000 addresses at once.
  uint32_t waits = 0, refused = 0;
  for (uint32_t n = 0; n < 60'000; ++n) {
    const Ipv4Address a(0x0a000000 + n);
    const auto r = table.resolve(kIf, a, kGuest, kStart + n * 1000, sink);
    if (r.verdict == Verdict::wait) {
      ++waits;
      table.hold(kIf, a, packet(n + 1), sink);
    } else {
      EXPECT_EQ(r.verdict, Verdict::refused);
      ++refused;
    }
  }
  EXPECT_LE(waits, 600u);
  EXPECT_GT(refused, 50'000u);
  const auto r = table.resolve(kIf, kPeer, kGuest + 1, kStart + 61 * kMs, sink);
  EXPECT_EQ(r.verdict, Verdict::wait);
  table.hold(kIf, kPeer, packet(77777), sink);
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart + 62 * kMs, sink);
  EXPECT_EQ(sink.released, std::vector<uintptr_t>{77777});
}

TEST_F(NeighboursTest, OldestIncompleteOfTheInterfaceGivesWay) {
  Neighbours small({.incomplete_per_interface = 4, .seed = 1});
  for (uint8_t i = 1; i <= 4; ++i) {
    small.resolve(kIf, Ipv4Address(10, 0, 0, i), kGuest, kStart + i, sink);
    small.hold(kIf, Ipv4Address(10, 0, 0, i), packet(i), sink);
  }
  small.resolve(kIf + 1, Ipv4Address(10, 0, 0, 9), kGuest, kStart, sink);
  EXPECT_TRUE(sink.dropped.empty());
  small.resolve(kIf, Ipv4Address(10, 0, 0, 5), kGuest, kStart + 5, sink);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{1});
  EXPECT_EQ(sink.reasons[0], Drop::resolve_queue_full);
  // Its answer is taken all the same.
  small.learned(kIf, Ipv4Address(10, 0, 0, 1), kMac, Evidence::answer, kStart + 6, sink);
  EXPECT_EQ(small.resolve(kIf, Ipv4Address(10, 0, 0, 1), kGuest, kStart + 7, sink).verdict, Verdict::known);
}

TEST_F(NeighboursTest, FullTableForgetsTheLeastRecentlyUsed) {
  Neighbours small({.entries = 32, .entries_per_interface = 32, .seed = 1});
  for (uint8_t i = 0; i < 32; ++i)
    small.learned(kIf, Ipv4Address(10, 0, 0, i), kMac, Evidence::answer, kStart + i * 10 * kMs, sink);
  small.learned(kIf, kPeer, kMac, Evidence::answer, kStart + 400 * kMs, sink);
  EXPECT_EQ(small.n_entries(), 32u);
  EXPECT_EQ(small.resolve(kIf, kPeer, kGuest, kStart + 401 * kMs, sink).verdict, Verdict::known);
  EXPECT_EQ(small.resolve(kIf, Ipv4Address(10, 0, 0, 31), kGuest, kStart + 401 * kMs, sink).verdict, Verdict::known);
  EXPECT_EQ(small.resolve(kIf, Ipv4Address(10, 0, 0, 0), kGuest, kStart + 401 * kMs, sink).verdict, Verdict::wait);
}

TEST_F(NeighboursTest, AnInterfaceOverItsShareForgetsItsOwn) {
  Neighbours small({.entries = 64, .entries_per_interface = 8, .seed = 1});
  small.learned(1, kPeer, kMac, Evidence::answer, kStart, sink);
  for (uint8_t i = 0; i < 200; ++i)
    small.learned(kIf, Ipv4Address(10, 0, 0, i), kMac, Evidence::question, kStart + kMs, sink);
  EXPECT_EQ(small.n_entries(), 9u);
  EXPECT_EQ(small.resolve(1, kPeer, kGuest, kStart + kMs, sink).verdict, Verdict::known);
}

TEST_F(NeighboursTest, RemovedInterfaceTakesItsNeighboursAndPacketsWithIt) {
  resolve(kStart);
  table.hold(kIf, kPeer, packet(5), sink);
  table.learned(kIf, Ipv4Address(10, 0, 0, 1), kMac, Evidence::answer, kStart, sink);
  table.learned(kIf + 1, Ipv4Address(10, 0, 0, 1), kOtherMac, Evidence::answer, kStart, sink);
  table.remove_interface(kIf, sink);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{5});
  EXPECT_EQ(sink.reasons[0], Drop::port_removed);
  EXPECT_EQ(table.n_entries(), 1u);
  EXPECT_EQ(resolve(kStart, Ipv4Address(10, 0, 0, 1), kIf + 1).mac, kOtherMac);
  table.tick(kStart + 10'000 * kMs, sink);
  EXPECT_TRUE(sink.requests.empty());
}

TEST_F(NeighboursTest, UnusedIsForgottenUsedIsNot) {
  table.learned(kIf, kPeer, kMac, Evidence::answer, kStart, sink);
  table.learned(kIf, Ipv4Address(10, 0, 0, 1), kMac, Evidence::answer, kStart, sink);
  for (uint64_t s = 1; s < 700; ++s) {
    const uint64_t now = kStart + s * 1000 * kMs;
    resolve(now);
    table.learned(kIf, kPeer, kMac, Evidence::answer, now, sink);
    table.tick(now, sink);
  }
  EXPECT_EQ(table.n_entries(), 1u);
  EXPECT_EQ(state_at(kStart + 699'000 * kMs), NeighbourState::reachable);
}

TEST_F(NeighboursTest, HoldWithoutWaitDropsRatherThanLeaks) {
  table.hold(kIf, kPeer, packet(1), sink);
  EXPECT_EQ(sink.dropped, std::vector<uintptr_t>{1});
}

TEST_F(NeighboursTest, StatesHaveTheNamesThatAreShown) {
  EXPECT_STREQ(to_string(NeighbourState::incomplete), "incomplete");
  EXPECT_STREQ(to_string(NeighbourState::reachable), "reachable");
  EXPECT_STREQ(to_string(NeighbourState::stale), "stale");
  EXPECT_STREQ(to_string(NeighbourState::probe), "stale");
  EXPECT_STREQ(to_string(NeighbourState::failed), "failed");
}

TEST(NeighboursThreads, ListingWhileTheWorkerGoesOnPairsEachAddressWithItsOwnMac) {
  Neighbours table({.entries = 64, .entries_per_interface = 64, .seed = 3});
  const auto mac_of = [](uint32_t n) { return MacAddress::from_u64(0x520000000000 | n); };
  std::atomic<bool> is_over{false};
  std::thread worker([&] {
    Recorder sink;
    for (uint32_t i = 0; i < 100'000; ++i) {
      const uint32_t n = i * 7919 % 500;
      table.learned(1, Ipv4Address(0x0a000000 + n), mac_of(n), Evidence::answer, kStart + i, sink);
    }
    is_over = true;
  });
  uint64_t wrong = 0, passes = 0;
  do {
    table.for_each(kStart, [&](const Neighbours::Listed& l) {
      wrong += l.state == NeighbourState::reachable && l.mac != mac_of(l.address.host() & 0xffffff);
    });
    ++passes;
  } while (!is_over.load());
  worker.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(passes, 0u);
}

}  // namespace
}  // namespace weft::vswitch
