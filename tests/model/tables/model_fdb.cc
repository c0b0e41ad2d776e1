// SPDX-License-Identifier: BSD-3-Clause
//
// Random operations on the forwarding database beside a std::map.
#include "switch/fdb.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using wire::MacAddress;

struct Seen {
  PortId port;
  uint32_t at;
};
using Key = std::pair<NetworkId, uint64_t>;

MacAddress mac(uint64_t n) { return MacAddress::from_u64(0x025400000000 + n); }

struct Model {
  std::map<Key, Seen> seen;
  uint32_t ageing;

  [[nodiscard]] PortId lookup(Key key, uint32_t now) const {
    const auto it = seen.find(key);
    return it == seen.end() || now - it->second.at > ageing ? kNoPort : it->second.port;
  }
};

/// Shares and capacity that are never reached: the table is exactly the map.
void run_exact(uint64_t seed) {
  std::mt19937_64 random(seed);
  const uint32_t ageing = 50;
  Fdb fdb({.entries = 1 << 16, .per_port = 1 << 16, .ageing_seconds = ageing, .seed = seed});
  Model model{{}, ageing};
  constexpr PortId kPorts = 6;
  constexpr NetworkId kNetworks = 4;
  const uint64_t n_macs = 50 + random() % 4000;
  for (PortId p = 0; p < kPorts; ++p) fdb.add_port(p);
  uint32_t now = static_cast<uint32_t>(random() % (1u << 25));  // around the wrap of 24 bits too
  const auto any_network = [&] { return static_cast<NetworkId>(random() % kNetworks); };
  for (int i = 0; i < 60'000; ++i) {
    const uint64_t what = random() % 1000;
    if (what < 550) {
      const Key key{any_network(), random() % n_macs};
      const auto port = static_cast<PortId>(random() % kPorts);
      fdb.learn(key.first, mac(key.second), port, now);
      model.seen[key] = {port, now};
    } else if (what < 950) {
      const Key key{any_network(), random() % n_macs};
      ASSERT_EQ(fdb.lookup(key.first, mac(key.second), now), model.lookup(key, now))
          << "seed " << seed << " step " << i;
    } else if (what < 980) {
      fdb.sweep(now, static_cast<uint32_t>(random() % 3000));
    } else if (what < 996) {
      now += static_cast<uint32_t>(random() % 8);
    } else if (what < 998) {
      const auto port = static_cast<PortId>(random() % kPorts);
      fdb.remove_port(port);
      fdb.add_port(port);
      std::erase_if(model.seen, [&](const auto& e) { return e.second.port == port; });
    } else if (what < 999) {
      const NetworkId network = any_network();
      fdb.remove_network(network);
      std::erase_if(model.seen, [&](const auto& e) { return e.first.first == network; });
    } else {
      std::map<Key, Seen> listed;
      fdb.for_each(now, [&](const Fdb::Entry& e) {
        const Key key{e.network, e.mac.to_u64() - mac(0).to_u64()};
        EXPECT_TRUE(listed.emplace(key, Seen{e.port, now - e.age_seconds}).second);
      });
      size_t valid = 0;
      for (const auto& [key, seen] : model.seen) {
        if (model.lookup(key, now) == kNoPort) continue;
        ++valid;
        ASSERT_TRUE(listed.contains(key));
        ASSERT_EQ(listed[key].port, seen.port);
        ASSERT_EQ(listed[key].at, seen.at);
      }
      ASSERT_EQ(listed.size(), valid);
    }
  }
  const Fdb::Stats stats = fdb.stats();
  EXPECT_EQ(stats.learn_failed, 0u);
  EXPECT_EQ(stats.replaced, 0u);
  uint64_t sum = 0;
  for (PortId p = 0; p < kPorts; ++p) sum += fdb.entries_of(p);
  EXPECT_EQ(stats.entries, sum);
  for (int i = 0; i < 40; ++i) fdb.sweep(now + ageing + 1, 1 << 20);
  EXPECT_EQ(fdb.stats().entries, 0u);
}

/// Shares and capacity always too small: nothing false is ever told, nothing exceeds its bound, and who is no
/// hog keeps what he has.
void run_crowded(uint64_t seed) {
  std::mt19937_64 random(seed);
  const uint32_t entries = 200 + static_cast<uint32_t>(random() % 3000);
  const uint32_t per_port = entries / 2;
  Fdb fdb({.entries = entries, .per_port = per_port, .ageing_seconds = 300, .seed = seed});
  Model model{{}, 300};
  constexpr PortId kPorts = 4;
  constexpr PortId kQuiet = 9;
  for (PortId p = 0; p < kPorts; ++p) fdb.add_port(p);
  fdb.add_port(kQuiet);
  uint32_t now = 1000;
  for (uint64_t n = 0; n < 5; ++n) {
    fdb.learn(0, mac(1'000'000 + n), kQuiet, now);
    model.seen[{0, 1'000'000 + n}] = {kQuiet, now};
  }
  std::map<PortId, uint64_t> brought;
  for (int i = 0; i < 60'000; ++i) {
    if (random() % 200 == 0) {
      now += static_cast<uint32_t>(random() % 2);
      fdb.sweep(now, 100);
      for (uint64_t n = 0; n < 5; ++n) {  // still there, and still talking
        ASSERT_EQ(fdb.lookup(0, mac(1'000'000 + n), now), kQuiet) << "seed " << seed << " step " << i;
        fdb.learn(0, mac(1'000'000 + n), kQuiet, now);
        model.seen[{0, 1'000'000 + n}] = {kQuiet, now};
      }
    }
    const Key key{0, random() % (3 * uint64_t{entries})};
    const auto port = static_cast<PortId>(random() % 10 == 0 ? random() % kPorts : 0);
    const uint64_t failed = fdb.stats().learn_failed;
    fdb.learn(0, mac(key.second), port, now);
    if (fdb.stats().learn_failed == failed) {
      model.seen[key] = {port, now};
      ASSERT_EQ(fdb.lookup(0, mac(key.second), now), port) << "seed " << seed << " step " << i;
      ++brought[port];
    }
    ASSERT_LE(fdb.stats().entries, entries);
    ASSERT_LE(fdb.entries_of(port), per_port);
    const Key other{0, random() % (3 * uint64_t{entries})};
    const PortId found = fdb.lookup(0, mac(other.second), now);
    // Not known any more is allowed, another port than the last is not (a failed learn leaves the older one).
    if (found != kNoPort) {
      ASSERT_EQ(found, model.lookup(other, now)) << "seed " << seed << " step " << i;
    }
  }
  for (PortId p = 0; p < kPorts; ++p) EXPECT_GT(brought[p], 100u);
  uint64_t sum = fdb.entries_of(kQuiet);
  for (PortId p = 0; p < kPorts; ++p) sum += fdb.entries_of(p);
  EXPECT_EQ(fdb.stats().entries, sum);
}

TEST(ModelFdb, IsAMapWhileThereIsRoom) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    run_exact(seed);
    if (HasFatalFailure()) return;
  }
}

TEST(ModelFdb, CrowdedTableTellsNothingFalseAndKeepsItsBounds) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    run_crowded(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weft::vswitch
