// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of the connection table: index, wheel, ports, random numbers.
#include "nat/hash_index.h"
#include "nat/port_pool.h"
#include "nat/random.h"
#include "nat/timer_wheel.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::nat {
namespace {

// --- index
// --------------------------------------------------------------------------------------------------------

uint64_t mix(uint32_t v) { return hash(FlowKey{wire::Ipv4Address(v), {}, {}, {}, 0, Side::inside, 0}, {7, 8}); }
constexpr auto kAnyValue = [](uint32_t) { return true; };

TEST(HashIndex, finds_what_was_put_in_through_every_growth) {
  HashIndex index(200'000);
  for (uint32_t v = 0; v < 200'000; ++v) {
    ASSERT_TRUE(index.insert(mix(v), v, mix));
    const uint32_t probe = v / 2;
    ASSERT_EQ(index.find(mix(probe), [&](uint32_t found) { return found == probe; }), probe) << v;
  }
  for (uint32_t v = 0; v < 200'000; ++v) {
    ASSERT_EQ(index.find(mix(v), [&](uint32_t found) { return found == v; }), v);
  }
  EXPECT_EQ(index.n_keys(), 200'000U);
}

TEST(HashIndex, beside_a_set_with_random_inserts_and_erases) {
  HashIndex index(50'000);
  std::set<uint32_t> reference;
  auto rng = [engine = std::mt19937(1)]() mutable { return static_cast<uint32_t>(engine()); };
  for (int i = 0; i < 400'000; ++i) {
    // Grows, shrinks and grows again, so that erasing meets a half-moved table too.
    const bool is_growing = i / 100'000 % 2 == 0;
    const uint32_t v = rng() % 60'000;
    if (rng() % 10 < (is_growing ? 8U : 2U) && reference.size() < 50'000) {
      if (reference.insert(v).second) {
        ASSERT_TRUE(index.insert(mix(v), v, mix));
      }
    } else if (reference.erase(v) != 0) {
      index.erase(mix(v), v);
    }
    const uint32_t probe = rng() % 60'000;
    const uint32_t found = index.find(mix(probe), [&](uint32_t f) { return f == probe; });
    ASSERT_EQ(found == probe, reference.contains(probe)) << i;
    if (i % 1000 == 0) index.reclaim();
  }
  EXPECT_EQ(index.n_keys(), reference.size());
}

TEST(HashIndex, a_growth_the_control_thread_never_cleaned_up_after_is_no_obstacle) {
  HashIndex index(100'000);
  for (uint32_t v = 0; v < 100'000; ++v) ASSERT_TRUE(index.insert(mix(v), v, mix));
  for (uint32_t v = 0; v < 100'000; ++v) {
    index.erase(mix(v), v);
    ASSERT_EQ(index.find(mix(v), [&](uint32_t f) { return f == v; }), HashIndex::kNotFound);
  }
}

TEST(HashIndex, another_thread_may_give_memory_back_while_it_grows) {
  HashIndex index(200'000);
  std::atomic<bool> is_done = false;
  std::thread control([&] {
    while (!is_done) index.reclaim();
  });
  for (uint32_t v = 0; v < 200'000; ++v) EXPECT_TRUE(index.insert(mix(v), v, mix));
  is_done = true;
  control.join();
  for (uint32_t v = 0; v < 200'000; ++v) {
    ASSERT_EQ(index.find(mix(v), [&](uint32_t found) { return found == v; }), v);
  }
}

TEST(HashIndex, equal_hashes_fill_up_and_are_refused_not_lost) {
  HashIndex index(10'000);
  const auto same = [](uint32_t) { return uint64_t{0x0123456789abcdef}; };
  uint32_t n = 0;
  while (n < 10'000 && index.insert(same(n), n, same)) ++n;
  EXPECT_GE(n, 64U * 12 - 12) << "as many as the probes reach";
  for (uint32_t v = 0; v < n; ++v) {
    ASSERT_EQ(index.find(same(v), [&](uint32_t f) { return f == v; }), v);
  }
  for (uint32_t v = 0; v < n; ++v) index.erase(same(v), v);
  EXPECT_EQ(index.find(same(0), kAnyValue), HashIndex::kNotFound);
  EXPECT_EQ(index.n_keys(), 0U);
}

TEST(HashIndex, the_smallest_index_works) {
  HashIndex index(1);
  EXPECT_TRUE(index.insert(mix(5), 5, mix));
  EXPECT_EQ(index.find(mix(5), kAnyValue), 5U);
  index.erase(mix(5), 5);
  EXPECT_EQ(index.find(mix(5), kAnyValue), HashIndex::kNotFound);
}

// --- wheel
// --------------------------------------------------------------------------------------------------------

TEST(TimerWheel, beside_a_multimap) {
  TimerWheel wheel(1000);
  std::map<uint32_t, Tick> due;
  auto rng = [engine = std::mt19937(2)]() mutable { return static_cast<uint32_t>(engine()); };
  Tick now = 4'000'000'000;  // wraps on the way
  for (int i = 0; i < 100'000; ++i) {
    const uint32_t id = rng() % 1000;
    switch (rng() % 4) {
      case 0:
      case 1:
        if (!due.contains(id)) {
          due[id] = now + rng() % 8000;
          wheel.schedule(id, due[id], now);
          ASSERT_EQ(wheel.due(id), due[id]);
        }
        break;
      case 2:
        if (due.erase(id) != 0) wheel.cancel(id);
        break;
      default: {
        now += rng() % 10'000 == 0 ? 300'000'000 : rng() % 20;
        std::set<uint32_t> called;
        while (wheel.advance(now, 7, [&](uint32_t ready) { ASSERT_TRUE(called.insert(ready).second); })) {
        }
        for (auto it = due.begin(); it != due.end();) {
          const bool is_due = static_cast<int32_t>(now - it->second) >= 0;
          ASSERT_EQ(called.contains(it->first), is_due);
          it = is_due ? due.erase(it) : std::next(it);
        }
      }
    }
  }
}

TEST(TimerWheel, what_is_beyond_the_horizon_comes_early_not_never) {
  TimerWheel wheel(1);
  wheel.schedule(0, 100'000, 0);
  bool called = false;
  wheel.advance(8190, 10, [&](uint32_t) { called = true; });
  EXPECT_FALSE(called);
  wheel.advance(8191, 10, [&](uint32_t) { called = true; });
  EXPECT_TRUE(called);
}

TEST(TimerWheel, does_no_more_than_its_budget) {
  TimerWheel wheel(100);
  for (uint32_t id = 0; id < 100; ++id) wheel.schedule(id, 5, 0);
  int n = 0;
  EXPECT_TRUE(wheel.advance(10, 30, [&](uint32_t) { ++n; }));
  EXPECT_EQ(n, 30);
  EXPECT_FALSE(wheel.advance(10, 1000, [&](uint32_t) { ++n; }));
  EXPECT_EQ(n, 100);
}

// --- ports
// --------------------------------------------------------------------------------------------------------

constexpr wire::Ipv4Address kAddress{203, 0, 113, 1};

TEST(PortPool, every_port_of_every_space_is_given_once) {
  PortPool pool(4, {1, 2});
  PortRandom random({3, 4});
  for (const uint8_t protocol : std::initializer_list<uint8_t>{6, 17, 1}) {
    std::vector<bool> taken(65536);
    for (int i = 0; i < 64512; ++i) {
      const auto t = pool.take(1, kAddress, protocol, 40001, {1024, 65535}, random);
      ASSERT_TRUE(t) << i;
      ASSERT_GE(t->port, 1024);
      ASSERT_FALSE(taken[t->port]);
      taken[t->port] = true;
      if (i == 0) {
        ASSERT_EQ(t->port, 40001);
      }
      if (protocol == 17 && i < 32256) {
        ASSERT_EQ(t->port % 2, 1) << i;
      }
    }
    ASSERT_FALSE(pool.take(1, kAddress, protocol, 40001, {1024, 65535}, random));
  }
  EXPECT_EQ(pool.n_addresses(), 1U);
}

TEST(PortPool, uplinks_do_not_share_ports) {
  PortPool pool(4, {1, 2});
  PortRandom random({3, 4});
  EXPECT_EQ(pool.take(1, kAddress, 6, 5000, {}, random)->port, 5000);
  EXPECT_EQ(pool.take(2, kAddress, 6, 5000, {}, random)->port, 5000);
}

TEST(PortPool, addresses_are_forgotten_with_their_last_port_and_bounded) {
  PortPool pool(2, {1, 2});
  PortRandom random({3, 4});
  for (uint32_t i = 0; i < 1000; ++i) {
    const auto t = pool.take(1, wire::Ipv4Address(i + 1), 6, 5000, {}, random);
    ASSERT_TRUE(t);
    pool.release(t->slot, 6, t->port);
  }
  EXPECT_EQ(pool.n_addresses(), 0U);
  EXPECT_TRUE(pool.take(1, wire::Ipv4Address(1), 6, 5000, {}, random));
  EXPECT_TRUE(pool.take(1, wire::Ipv4Address(2), 6, 5000, {}, random));
  EXPECT_FALSE(pool.take(1, wire::Ipv4Address(3), 6, 5000, {}, random));
  EXPECT_FALSE(pool.take(1, wire::Ipv4Address(1), 6, 5000, {5000, 5000}, random));
  EXPECT_FALSE(pool.take(1, wire::Ipv4Address(1), 6, 5000, {6000, 5000}, random)) << "an empty range";
}

TEST(PortPool, Rfc6056_a_changed_port_is_spread_over_the_whole_range) {
  PortPool pool(1, {1, 2});
  PortRandom random({3, 4});
  std::array<int, 16> n{};
  for (int i = 0; i < 16'000; ++i) {
    const auto t = pool.take(1, kAddress, 6, 80, {}, random);
    ASSERT_TRUE(t);
    ++n[(t->port - 1024U) * 16 / 64512];
    pool.release(t->slot, 6, t->port);
  }
  EXPECT_TRUE(std::all_of(n.begin(), n.end(), [](int k) { return k > 850 && k < 1150; }));
}

// --- random
// -------------------------------------------------------------------------------------------------------

TEST(PortRandom, is_siphash_of_a_counter) {
  // SipHash-2-4 reference vectors: key 00…0f; input 00…07 is vectors_sip64[8].
  PortRandom zero({0x0706050403020100, 0x0f0e0d0c0b0a0908});
  zero.set_counter(0x0706050403020100);
  EXPECT_EQ(zero.next(), 0x93f5f5799a932462U);
}

TEST(FlowKeyHash, depends_on_every_bit_of_key_and_seed) {
  const FlowKey key{wire::Ipv4Address(192, 168, 122, 10),
                    wire::Ipv4Address(198, 51, 100, 7),
                    wire::be16(40000),
                    wire::be16(53),
                    17,
                    Side::inside,
                    3};
  const HashSeed seed{11, 12};
  const uint64_t h = hash(key, seed);
  for (size_t bit = 0; bit < 128; ++bit) {
    auto words = key.words();
    words[bit / 64] ^= uint64_t{1} << bit % 64;
    const int changed = std::popcount(h ^ hash(std::bit_cast<FlowKey>(words), seed));
    EXPECT_GT(changed, 12) << bit;
    EXPECT_LT(changed, 52) << bit;
  }
  EXPECT_NE(h, hash(key, {11, 13}));
  EXPECT_NE(h, hash(key, {10, 12}));
}

}  // namespace
}  // namespace weft::nat
