// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/address_pool.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weft::dhcp {
namespace {

wire::Ipv4Address ip(std::string_view s) { return *wire::Ipv4Address::parse(s); }

Scope scope(std::string_view server, uint8_t prefix, std::vector<Range> ranges) {
  Scope s;
  s.server = ip(server);
  s.prefix_length = prefix;
  s.ranges = std::move(ranges);
  return s;
}

TEST(FreeMap, FindsWhatASetFinds) {
  for (const uint32_t size : {1u, 63u, 64u, 65u, 4096u, 4097u, 70000u}) {
    FreeMap map(size);
    std::set<uint32_t> members;
    std::mt19937 engine(size);
    const auto rng = [&engine] { return static_cast<uint32_t>(engine()); };
    for (int step = 0; step < 3000; ++step) {
      const uint32_t index = rng() % size;
      const bool is_free = rng() % 3 != 0;
      map.set(index, is_free);
      if (is_free)
        members.insert(index);
      else
        members.erase(index);
      const uint32_t from = rng() % size;
      const auto expected = members.lower_bound(from);
      const auto found = map.next(from);
      ASSERT_EQ(found.has_value(), expected != members.end());
      if (found) {
        ASSERT_EQ(*found, *expected);
      }
      ASSERT_EQ(map.test(index), is_free);
    }
  }
}

TEST(AddressPool, NeverGivesTheServerNorTheEndsOfTheSubnet) {
  AddressPool pool(scope("192.168.1.1", 29, {{ip("192.168.1.0"), ip("192.168.1.7"), 60}}));
  EXPECT_EQ(pool.size(), 5u);
  std::set<std::string> seen;
  while (const auto a = pool.next_free(0, pool.ranges()[0].start)) {
    seen.insert(a->to_string());
    pool.set_free(*a, false);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"192.168.1.2", "192.168.1.3", "192.168.1.4", "192.168.1.5", "192.168.1.6"}));
  pool.set_free(ip("192.168.1.1"), true);
  EXPECT_FALSE(pool.next_free(0, pool.ranges()[0].start)) << "the server does not become free";
}

TEST(AddressPool, SkipsDot0AndDot255InsideLargerSubnets) {
  AddressPool pool(scope("10.1.0.1", 16, {{ip("10.1.1.254"), ip("10.1.2.1"), 60}}));
  EXPECT_EQ(pool.size(), 2u);
  EXPECT_EQ(pool.next_free(0, ip("10.1.1.255"))->to_string(), "10.1.2.1");
  EXPECT_NE(pool.range_of(ip("10.1.2.0")), nullptr) << "in the range all the same, for who asks for it";
}

TEST(AddressPool, CountsAnAddressOfOverlappingRangesOnce) {
  AddressPool pool(
      scope("10.0.0.1", 24, {{ip("10.0.0.10"), ip("10.0.0.20"), 60}, {ip("10.0.0.15"), ip("10.0.0.25"), 120}}));
  EXPECT_EQ(pool.size(), 16u);
  EXPECT_EQ(pool.range_of(ip("10.0.0.18"))->lease_seconds, 60u);
  EXPECT_EQ(pool.range_of(ip("10.0.0.21"))->lease_seconds, 120u);
  EXPECT_EQ(pool.range_of(ip("10.0.0.26")), nullptr);
}

TEST(AddressPool, IgnoresWhatLiesOutsideTheSubnet) {
  AddressPool pool(
      scope("10.0.0.1", 24, {{ip("10.0.1.10"), ip("10.0.1.20"), 60}, {ip("10.0.0.250"), ip("10.0.1.20"), 60}}));
  ASSERT_EQ(pool.ranges().size(), 1u);
  EXPECT_EQ(pool.ranges()[0].end.to_string(), "10.0.0.254");
}

TEST(AddressPool, WrapsAround) {
  AddressPool pool(scope("10.0.0.1", 24, {{ip("10.0.0.10"), ip("10.0.0.12"), 60}}));
  pool.set_free(ip("10.0.0.11"), false);
  pool.set_free(ip("10.0.0.12"), false);
  EXPECT_EQ(pool.next_free(0, ip("10.0.0.11"))->to_string(), "10.0.0.10");
}

}  // namespace
}  // namespace weft::dhcp
