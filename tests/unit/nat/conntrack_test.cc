// SPDX-License-Identifier: BSD-3-Clause
//
// The connection table through the masquerade: limits, flushing, snapshots, growth, memory.
#include "tests/unit/nat/frame.h"

#include <fstream>
#include <stdexcept>

namespace weft::nat::test {
namespace {

uint64_t resident_bytes() {
  uint64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * 4096;
}

TEST(Conntrack, a_full_table_drops_new_connections_and_keeps_the_old) {
  auto config = Bench::default_config();
  config.table.max_sessions = 10;
  Bench b(config);
  for (uint16_t i = 0; i < 10; ++i) {
    Frame f = udp(kGuest, static_cast<uint16_t>(2000 + i), kServer, 53);
    ASSERT_EQ(b.out(f), Drop::none);
  }
  Frame more = udp(kGuest, 3000, kServer, 53), more_of_old = udp(kGuest, 2000, kOtherServer, 53);
  EXPECT_EQ(b.out(more), Drop::nat_table_full);
  EXPECT_EQ(b.out(more_of_old), Drop::nat_table_full);
  EXPECT_EQ(b.nat.table().n_mappings(), 10U) << "and leaves no mapping behind";
  Frame old = udp(kGuest, 2000, kServer, 53);
  EXPECT_EQ(b.out(old), Drop::none);
  b.wait_s(302);
  b.settle();
  EXPECT_EQ(b.out(more), Drop::none);
}

TEST(Conntrack, too_many_outside_addresses_are_no_port) {
  auto config = Bench::default_config();
  config.table.max_addresses = 1;
  Bench b(config);
  Frame f = udp(kGuest, 2000, kServer, 53), g = udp(kGuest, 2001, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  b.pool[0] = kOtherServer;
  EXPECT_EQ(b.out(g), Drop::nat_no_port);
}

TEST(Conntrack, impossible_sizes_are_refused) {
  Conntrack::Config c;
  c.max_sessions = 0;
  EXPECT_THROW(Conntrack{c}, std::invalid_argument);
  c = {};
  c.max_addresses = 70'000;
  EXPECT_THROW(Conntrack{c}, std::invalid_argument);
}

TEST(Conntrack, flushing_a_network_ends_its_connections_at_once_and_no_others) {
  Bench b;
  for (uint16_t i = 0; i < 1000; ++i) {
    Frame f = udp(kGuest, static_cast<uint16_t>(2000 + i), kServer, 53);
    b.context.network = static_cast<uint16_t>(kNetwork + i % 2);
    ASSERT_EQ(b.out(f), Drop::none);
  }
  EXPECT_EQ(b.nat.n_sessions(kNetwork), 500U);
  b.nat.flush_network(kNetwork);
  Frame dead = udp(kServer, 53, kOutside, 2000), alive = udp(kServer, 53, kOutside, 2001);
  EXPECT_EQ(b.in(dead), Drop::nat_no_mapping);
  EXPECT_EQ(b.in(alive), Drop::none);
  EXPECT_EQ(b.connections().size(), 500U);
  // The network is used again, with the same endpoints, before the sweep.
  b.context.network = kNetwork;
  Frame again = udp(kGuest, 2002, kServer, 53);
  ASSERT_EQ(b.out(again), Drop::none);
  EXPECT_EQ(again.bytes, udp(kOutside, 2002, kServer, 53).bytes);
  b.settle();
  EXPECT_EQ(b.nat.n_sessions(kNetwork), 1U);
  EXPECT_EQ(b.nat.n_sessions(kNetwork + 1), 500U);
  EXPECT_EQ(b.nat.table().n_mappings(), 501U);
  Frame reply = udp(kServer, 53, kOutside, 2002);
  EXPECT_EQ(b.in(reply), Drop::none);
}

TEST(Conntrack, flushing_an_uplink_ends_all_connections_over_it) {
  Bench b;
  Frame f = udp(kGuest, 2000, kServer, 53), g = udp(kGuest, 2001, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  b.context.uplink = kUplink + 1;
  ASSERT_EQ(b.out(g), Drop::none);
  b.nat.flush_uplink(kUplink);
  b.settle();
  EXPECT_EQ(b.nat.n_sessions(), 1U);
  EXPECT_EQ(b.connections().at(0).uplink, kUplink + 1);
}

TEST(Conntrack, a_snapshot_in_slices_sees_every_session_once) {
  auto config = Bench::default_config();
  config.table.max_sessions = 20'000;
  Bench b(config);
  for (uint16_t i = 0; i < 10'000; ++i) {
    Frame f = udp(kGuest, static_cast<uint16_t>(2000 + i), kServer, 53);
    ASSERT_EQ(b.out(f), Drop::none);
  }
  std::set<uint16_t> ports;
  for (const auto& c : b.connections()) EXPECT_TRUE(ports.insert(c.source_port).second);
  EXPECT_EQ(ports.size(), 10'000U);
  EXPECT_TRUE(Bench().connections().empty());
}

TEST(Conntrack, a_snapshot_slice_is_bounded_even_when_there_is_little_to_show) {
  auto config = Bench::default_config();
  config.table.max_sessions = 20'000;
  Bench b(config);
  for (uint16_t i = 0; i < 10'000; ++i) {
    Frame f = udp(kGuest, static_cast<uint16_t>(2000 + i), kServer, 53);
    ASSERT_EQ(b.out(f), Drop::none);
  }
  b.nat.flush_network(kNetwork);
  uint32_t cursor = 0;
  ConnectionInfo some[4];
  EXPECT_EQ(b.nat.snapshot(cursor, some, b.now_ms), 0U);
  EXPECT_NE(cursor, kNone);
}

/// Grows to n sessions, one mapping each when is_shared is false, else eight sessions to a mapping; 200
/// addresses.
void fill(Bench& b, uint32_t n, bool is_shared) {
  std::vector<wire::Ipv4Address> pool;
  for (uint32_t i = 0; i < 200; ++i) pool.push_back(wire::Ipv4Address(0xcb007100 + i));
  b.context.pool = pool;
  Frame f = udp(kGuest, 2000, kServer, 53);
  auto* header = reinterpret_cast<wire::UdpHeader*>(f.bytes.data() + 34);
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t endpoint = is_shared ? i / 8 : i;
    f.ip().source = wire::Ipv4Address(0x0a000001 + endpoint / 100);
    f.ip().destination = wire::Ipv4Address(0xc6336400 + i % 8);
    header->source_port = wire::be16(static_cast<uint16_t>(2000 + endpoint % 100));
    header->destination_port = wire::be16(53);
    ASSERT_EQ(b.out(f), Drop::none) << i;
  }
  ASSERT_EQ(b.nat.n_sessions(), n);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsMeasurable = false;  // a sanitizer's shadow memory would be counted too
#else
constexpr bool kIsMeasurable = true;

TEST(Conntrack, an_idle_table_costs_next_to_nothing) {
  auto config = Bench::default_config();
  config.table.max_sessions = 16 << 20;
  const uint64_t before = resident_bytes();
  Bench b(config);
  b.settle();
  EXPECT_LT(resident_bytes() - before, 1U << 20);
}
#endif

TEST(Conntrack, three_hundred_thousand_sessions_fit_the_budget) {
  constexpr uint32_t kSessions = 300'000;
  auto config = Bench::default_config();
  config.table.max_sessions = 1 << 20;
  uint64_t bytes[2];
  for (const bool is_shared : {false, true}) {
    Bench b(config);
    const uint64_t before = resident_bytes();
    fill(b, kSessions, is_shared);
    b.settle();
    b.nat.maintain();
    bytes[is_shared] = resident_bytes() - before;
  }
  if (!kIsMeasurable) return;
  // Port bitmaps: 8 KiB an address. The rest is n × session + mappings × mapping.
  const double bitmaps = 200 * 8192;
  const double mapping =
      (static_cast<double>(bytes[0]) - static_cast<double>(bytes[1])) / (kSessions - kSessions / 8.0);
  const double session = (static_cast<double>(bytes[1]) - bitmaps - mapping * kSessions / 8.0) / kSessions;
  RecordProperty("bytes_per_session", std::to_string(session));
  RecordProperty("bytes_per_mapping", std::to_string(mapping));
  EXPECT_LE(session, 128);
  EXPECT_LE(mapping, 64);
}

TEST(Conntrack, everything_comes_back_when_it_has_expired) {
  auto config = Bench::default_config();
  config.table.max_sessions = 100'000;
  Bench b(config);
  for (int round = 0; round < 3; ++round) {
    fill(b, 100'000, false);
    b.wait_s(302);
    b.settle();
    ASSERT_EQ(b.nat.n_sessions(), 0U);
    ASSERT_EQ(b.nat.n_sessions(kNetwork), 0U);
    ASSERT_EQ(b.nat.table().n_mappings(), 0U);
    ASSERT_EQ(b.nat.table().n_addresses(), 0U);
  }
}

}  // namespace
}  // namespace weft::nat::test
