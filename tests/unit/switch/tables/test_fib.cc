// SPDX-License-Identifier: BSD-3-Clause
#include "switch/fib.h"

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;
using wire::Ipv4Prefix;

Route route(const char* prefix, InterfaceId interface, uint32_t metric = 0, RouteKind kind = RouteKind::connected) {
  Route r;
  r.prefix = *Ipv4Prefix::parse(prefix);
  r.interface = interface;
  r.metric = metric;
  r.kind = kind;
  return r;
}

InterfaceId find(const Fib& fib, const char* address) {
  const Route* r = fib.lookup(*Ipv4Address::parse(address));
  return r == nullptr ? kNoInterface : r->interface;
}

TEST(Fib, EmptyTableHasNoRoute) {
  EXPECT_EQ(Fib().lookup(Ipv4Address(1, 2, 3, 4)), nullptr);
  EXPECT_EQ(Fib(std::vector<Route>{}).lookup(Ipv4Address(1, 2, 3, 4)), nullptr);
}

TEST(Fib, LongestPrefixWins) {
  const Fib fib({route("0.0.0.0/0", 1), route("192.168.0.0/16", 2), route("192.168.122.0/24", 3),
                 route("192.168.122.1/32", 4, 0, RouteKind::local)});
  EXPECT_EQ(find(fib, "8.8.8.8"), 1);
  EXPECT_EQ(find(fib, "192.168.1.1"), 2);
  EXPECT_EQ(find(fib, "192.168.122.0"), 3);
  EXPECT_EQ(find(fib, "192.168.122.1"), 4);
  EXPECT_EQ(find(fib, "192.168.122.2"), 3);
  EXPECT_EQ(find(fib, "192.168.122.255"), 3);
  EXPECT_EQ(find(fib, "192.168.123.0"), 2);
  EXPECT_EQ(find(fib, "192.169.0.0"), 1);
  EXPECT_EQ(find(fib, "255.255.255.255"), 1);
}

TEST(Fib, WithoutADefaultRouteTheRestIsUnroutable) {
  const Fib fib({route("10.0.0.0/8", 1), route("255.255.255.0/24", 2)});
  EXPECT_EQ(find(fib, "9.255.255.255"), kNoInterface);
  EXPECT_EQ(find(fib, "10.0.0.0"), 1);
  EXPECT_EQ(find(fib, "10.255.255.255"), 1);
  EXPECT_EQ(find(fib, "11.0.0.0"), kNoInterface);
  EXPECT_EQ(find(fib, "255.255.255.255"), 2);
  EXPECT_EQ(find(fib, "0.0.0.0"), kNoInterface);
}

TEST(Fib, LowestMetricWinsAndTheFirstOfEqualOnes) {
  EXPECT_EQ(find(Fib({route("10.0.0.0/8", 1, 20), route("10.0.0.0/8", 2, 10)}), "10.1.1.1"), 2);
  EXPECT_EQ(find(Fib({route("10.0.0.0/8", 1, 10), route("10.0.0.0/8", 2, 10)}), "10.1.1.1"), 1);
  // Bits beyond the prefix length make no other prefix.
  EXPECT_EQ(find(Fib({route("10.9.9.9/8", 1, 20), route("10.0.0.0/8", 2, 10)}), "10.1.1.1"), 2);
}

TEST(Fib, HoleInAPrefixIsFilledByTheShorterOneAfterIt) {
  const Fib fib({route("10.0.0.0/8", 1), route("10.0.0.0/9", 2), route("10.0.0.0/30", 3), route("10.128.0.0/9", 4)});
  EXPECT_EQ(find(fib, "10.0.0.3"), 3);
  EXPECT_EQ(find(fib, "10.0.0.4"), 2);
  EXPECT_EQ(find(fib, "10.128.0.0"), 4);
}

TEST(Fib, KeepsTheRoutesForListing) {
  const Fib fib({route("10.0.0.0/8", 1), route("0.0.0.0/0", 2)});
  ASSERT_EQ(fib.routes().size(), 2u);
  EXPECT_EQ(fib.routes()[1].interface, 2);
}

}  // namespace
}  // namespace weft::vswitch
