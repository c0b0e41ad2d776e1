// SPDX-License-Identifier: BSD-3-Clause
//
// Random operations on the neighbour table beside a plain one: a std::map whose every entry is looked at in
// every turn.
#include "switch/neighbours.h"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using dataplane::Drop;
using wire::Ipv4Address;
using wire::MacAddress;
using Evidence = Neighbours::Evidence;
using Verdict = Neighbours::Verdict;

constexpr uint64_t kMs = Neighbours::kMillisecond;
using Key = std::pair<InterfaceId, uint32_t>;

/// What the sink was told, as sets: the order between neighbours is nobody's business.
struct Told : NeighbourSink {
  void send_request(const NeighbourRequest& r) noexcept override {
    requests.insert({r.interface, r.address.host(), r.to.to_u64()});
  }
  void release(HeldPacket p, InterfaceId i, const MacAddress& mac) noexcept override {
    released.push_back({reinterpret_cast<uintptr_t>(p), i, mac.to_u64()});
  }
  void drop(HeldPacket p, InterfaceId, Drop reason) noexcept override {
    dropped.insert({reinterpret_cast<uintptr_t>(p), reason});
  }
  std::multiset<std::tuple<InterfaceId, uint32_t, uint64_t>> requests;
  std::vector<std::tuple<uintptr_t, InterfaceId, uint64_t>> released;
  std::set<std::pair<uintptr_t, Drop>> dropped;
};

struct Plain {
  struct Entry {
    NeighbourState state;
    MacAddress mac;
    uint64_t confirmed = 0, due = 0;
    int tries = 0;
    std::deque<uintptr_t> held;
  };
  std::map<Key, Entry> entries;
  Neighbours::Options options;

  Neighbours::Resolution resolve(Key key, uint64_t now) {
    auto it = entries.find(key);
    if (it != entries.end()) {
      Entry& e = it->second;
      if (e.state == NeighbourState::reachable && now - e.confirmed > options.reachable_ns)
        e.state = NeighbourState::stale;
      switch (e.state) {
        case NeighbourState::incomplete:
          return {Verdict::wait};
        case NeighbourState::reachable:
        case NeighbourState::probe:
          return {Verdict::known, e.mac};
        case NeighbourState::stale:
          e.state = NeighbourState::probe;
          e.tries = 1;
          e.due = now + Neighbours::kRetry;
          return {Verdict::known, e.mac, true, e.mac};
        default:
          if (now < e.due) return {Verdict::failed};
      }
    }
    Entry& e = entries[key];
    e.state = NeighbourState::incomplete;
    e.mac = {};
    e.tries = 1;
    e.due = now + Neighbours::kRetry;
    return {Verdict::wait, {}, true, MacAddress::broadcast()};
  }
  void hold(Key key, uintptr_t packet, Told& told) {
    Entry& e = entries[key];
    e.held.push_back(packet);
    if (e.held.size() > Neighbours::kMaxHeldByOne) {
      told.dropped.insert({e.held.front(), Drop::resolve_queue_full});
      e.held.pop_front();
    }
  }
  void learned(Key key, MacAddress mac, Evidence evidence, uint64_t now, Told& told) {
    if (evidence == Evidence::gossip && !entries.contains(key)) return;
    Entry& e = entries[key];
    if (evidence == Evidence::answer) {
      e.state = NeighbourState::reachable;
      e.confirmed = now;
    } else if (e.mac != mac) {
      e.state = NeighbourState::stale;
    }
    e.mac = mac;
    for (const uintptr_t p : e.held) told.released.push_back({p, key.first, mac.to_u64()});
    e.held.clear();
  }
  void tick(uint64_t now, Told& told) {
    for (auto it = entries.begin(); it != entries.end();) {
      Entry& e = it->second;
      const bool asked = e.state == NeighbourState::incomplete || e.state == NeighbourState::probe;
      bool gone = e.state == NeighbourState::failed && e.due <= now;
      if (asked && e.due <= now) {
        const bool probe = e.state == NeighbourState::probe;
        if (e.tries < Neighbours::kTries) {
          ++e.tries;
          e.due = now + Neighbours::kRetry;
          told.requests.insert({it->first.first, it->first.second, (probe ? e.mac : MacAddress::broadcast()).to_u64()});
        } else if (probe) {
          gone = true;
        } else {
          e.state = NeighbourState::failed;
          e.due = now + options.failed_ns;
          for (const uintptr_t p : e.held) told.dropped.insert({p, Drop::resolve_failed});
          e.held.clear();
        }
      }
      it = gone ? entries.erase(it) : std::next(it);
    }
  }
  void remove_interface(InterfaceId interface, Told& told) {
    std::erase_if(entries, [&](auto& item) {
      if (item.first.first != interface) return false;
      for (const uintptr_t p : item.second.held) told.dropped.insert({p, Drop::port_removed});
      return true;
    });
  }
};

void run_exact(uint64_t seed) {
  std::mt19937_64 random(seed);
  Neighbours::Options options;
  options.new_per_second = 0;  // no limit
  options.unused_ns = ~uint64_t{0} >> 12;
  options.seed = seed;
  Neighbours table(options);
  Plain plain{{}, options};
  uint64_t now = random() % (1ull << 50);
  uintptr_t next_packet = 1;
  const uint32_t n_addresses = 1 + static_cast<uint32_t>(random() % 200);
  for (int i = 0; i < 20'000; ++i) {
    Told told, expected;
    const Key key{static_cast<InterfaceId>(random() % 3), 0x0a000000 + static_cast<uint32_t>(random() % n_addresses)};
    const Ipv4Address address(key.second);
    const MacAddress mac = MacAddress::from_u64(0x020000000000 + random() % 3);
    const uint64_t what = random() % 1000;
    if (what < 500) {
      const auto got = table.resolve(key.first, address, 1, now, told);
      const auto want = plain.resolve(key, now);
      ASSERT_EQ(got.verdict, want.verdict) << "seed " << seed << " step " << i;
      ASSERT_EQ(got.mac, want.mac);
      ASSERT_EQ(got.asks, want.asks);
      ASSERT_EQ(got.ask, want.ask);
      if (got.verdict == Verdict::wait) {
        table.hold(key.first, address, reinterpret_cast<HeldPacket>(next_packet), told);
        plain.hold(key, next_packet++, expected);
      }
    } else if (what < 600) {
      const auto evidence = static_cast<Evidence>(random() % 3);
      table.learned(key.first, address, mac, evidence, now, told);
      plain.learned(key, mac, evidence, now, expected);
    } else if (what < 998) {
      now += random() % (200 * kMs);
      table.tick(now, told, 1000);
      plain.tick(now, expected);
    } else {
      table.remove_interface(key.first, told);
      plain.remove_interface(key.first, expected);
    }
    ASSERT_EQ(told.requests, expected.requests) << "seed " << seed << " step " << i;
    ASSERT_EQ(told.released, expected.released) << "seed " << seed << " step " << i;
    ASSERT_EQ(told.dropped, expected.dropped) << "seed " << seed << " step " << i;
    ASSERT_EQ(table.n_entries(), plain.entries.size()) << "seed " << seed << " step " << i;
    if (i % 500 == 0) {
      std::map<Key, NeighbourState> listed;
      table.for_each(now, [&](const Neighbours::Listed& l) { listed[{l.interface, l.address.host()}] = l.state; });
      ASSERT_EQ(listed.size(), plain.entries.size());
      for (const auto& [k, e] : plain.entries) {
        const bool is_old = e.state == NeighbourState::reachable && now - e.confirmed > options.reachable_ns;
        ASSERT_EQ(listed[k], is_old ? NeighbourState::stale : e.state) << "seed " << seed << " step " << i;
      }
    }
  }
}

/// Limits always too small: every packet that is given away comes back exactly once, the bounds hold, and a
/// neighbour that answers is known.
void run_crowded(uint64_t seed) {
  std::mt19937_64 random(seed);
  Neighbours::Options options;
  options.entries = 20 + static_cast<uint32_t>(random() % 60);
  options.entries_per_interface = options.entries / 2;
  options.incomplete_per_interface = 1 + static_cast<uint32_t>(random() % 12);
  options.held = 1 + static_cast<uint32_t>(random() % 40);
  options.new_per_second = 20;
  options.new_burst = 10;
  options.unused_ns = 20'000 * kMs;
  options.seed = seed;
  Neighbours table(options);
  uint64_t now = 1'000'000 * kMs;
  uintptr_t next_packet = 1;
  std::set<uintptr_t> out;  // given to the table, not come back
  Told told;
  const auto settle = [&] {
    for (const auto& r : told.released) ASSERT_EQ(out.erase(std::get<0>(r)), 1u) << "seed " << seed;
    for (const auto& d : told.dropped) ASSERT_EQ(out.erase(d.first), 1u) << "seed " << seed;
    told.released.clear();
    told.dropped.clear();
    ASSERT_EQ(table.n_held(), out.size()) << "seed " << seed;
    ASSERT_LE(table.n_held(), options.held);
    ASSERT_LE(table.n_entries(), options.entries);
  };
  for (int i = 0; i < 30'000; ++i) {
    const Ipv4Address address(0x0a000000 + static_cast<uint32_t>(random() % 200));
    const auto interface = static_cast<InterfaceId>(random() % 3);
    const uint64_t what = random() % 100;
    if (what < 60) {
      const auto origin = static_cast<dataplane::PortId>(random() % 4);
      if (table.resolve(interface, address, origin, now, told).verdict == Verdict::wait) {
        out.insert(next_packet);
        table.hold(interface, address, reinterpret_cast<HeldPacket>(next_packet++), told);
      }
    } else if (what < 75) {
      const MacAddress mac = MacAddress::from_u64(0x020000000000 + random() % 3);
      const auto evidence = static_cast<Evidence>(random() % 3);
      table.learned(interface, address, mac, evidence, now, told);
      if (evidence == Evidence::answer) {
        const auto r = table.resolve(interface, address, 1, now, told);
        // Unless all that could give way is being asked for.
        if (r.verdict == Verdict::known) {
          ASSERT_EQ(r.mac, mac);
        } else if (r.verdict == Verdict::wait) {
          out.insert(next_packet);
          table.hold(interface, address, reinterpret_cast<HeldPacket>(next_packet++), told);
        }
      }
    } else if (what < 99) {
      now += random() % (300 * kMs);
      table.tick(now, told, 1 + static_cast<uint32_t>(random() % 20));
    } else if (random() % 2 == 0) {
      table.forget(interface, address, told);
    } else {
      table.remove_interface(interface, told);
    }
    settle();
    if (testing::Test::HasFatalFailure()) return;
  }
  for (InterfaceId i = 0; i < 3; ++i) table.remove_interface(i, told);
  settle();
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(table.n_entries(), 0u);
}

TEST(ModelNeighbours, DoesWhatThePlainTableDoes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    run_exact(seed);
    if (HasFatalFailure()) return;
  }
}

TEST(ModelNeighbours, CrowdedTableLosesNoPacketAndKeepsItsBounds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    run_crowded(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weft::vswitch
