// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/addr.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::wire {
namespace {

TEST(MacAddress, is_parsed_and_printed) {
  const auto mac = MacAddress::parse("52:54:00:AA:bb:0f");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->to_string(), "52:54:00:aa:bb:0f");
  EXPECT_EQ(mac->to_u64(), 0x525400aabb0fU);
  EXPECT_EQ(MacAddress::from_u64(0x525400aabb0f), *mac);
}

TEST(MacAddress, refuses_anything_else) {
  for (const auto* s : {"", "52:54:00:aa:bb", "52:54:00:aa:bb:0", "52:54:00:aa:bb:0g", "52-54-00-aa-bb-0f",
                        "52:54:00:aa:bb:0f ", "5:254:00:aa:bb:0f", "52:54:00:aa:bb:0f:00", "525400aabb0f"}) {
    EXPECT_FALSE(MacAddress::parse(s)) << s;
  }
}

TEST(MacAddress, knows_its_kind) {
  EXPECT_TRUE(MacAddress::broadcast().is_broadcast());
  EXPECT_TRUE(MacAddress::broadcast().is_multicast());
  EXPECT_TRUE(MacAddress::parse("01:00:5e:00:00:01")->is_multicast());
  EXPECT_FALSE(MacAddress::parse("52:54:00:00:00:01")->is_multicast());
  EXPECT_TRUE(MacAddress{}.is_zero());
}

TEST(Ipv4Address, is_parsed_and_printed) {
  const auto a = Ipv4Address::parse("192.168.122.1");
  ASSERT_TRUE(a);
  EXPECT_EQ(*a, Ipv4Address(192, 168, 122, 1));
  EXPECT_EQ(a->host(), 0xc0a87a01U);
  EXPECT_EQ(a->to_string(), "192.168.122.1");
}

TEST(Ipv4Address, refuses_anything_but_dotted_quads) {
  for (const auto& s :
       {std::string(""), std::string("1.2.3"), std::string("1.2.3.4.5"), std::string("256.1.1.1"),
        std::string("1.2.3.04"), std::string("1.2.3.4 "), std::string(" 1.2.3.4"), std::string("0x7f.1.1.1"),
        std::string("localhost"), std::string("1.2.3.4\0", 8), std::string(100, '1')}) {
    EXPECT_FALSE(Ipv4Address::parse(s)) << s;
  }
}

TEST(Ipv4Address, knows_its_kind) {
  EXPECT_TRUE(Ipv4Address(224, 0, 0, 1).is_multicast());
  EXPECT_TRUE(Ipv4Address(239, 255, 255, 255).is_multicast());
  EXPECT_FALSE(Ipv4Address(223, 255, 255, 255).is_multicast());
  EXPECT_FALSE(Ipv4Address(240, 0, 0, 0).is_multicast());
  EXPECT_TRUE(Ipv4Address(255, 255, 255, 255).is_broadcast());
  EXPECT_TRUE(Ipv4Address(127, 0, 0, 1).is_loopback());
  EXPECT_TRUE(Ipv4Address(169, 254, 1, 1).is_link_local());
  EXPECT_TRUE(Ipv4Address{}.is_zero());
}

TEST(Ipv4Address, orders_numerically) { EXPECT_LT(Ipv4Address(1, 0, 0, 255), Ipv4Address(2, 0, 0, 0)); }

TEST(Ipv6Address, is_parsed_printed_and_classified) {
  const auto a = Ipv6Address::parse("fd00:122::1");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->to_string(), "fd00:122::1");
  EXPECT_TRUE(Ipv6Address::parse("fe80::1")->is_link_local());
  EXPECT_TRUE(Ipv6Address::parse("febf::1")->is_link_local());
  EXPECT_FALSE(Ipv6Address::parse("fec0::1")->is_link_local());
  EXPECT_TRUE(Ipv6Address::parse("ff02::1")->is_multicast());
  EXPECT_TRUE(Ipv6Address::parse("::")->is_zero());
  for (const auto* s : {"", ":", "1::2::3", "fe80::1%eth0", "12345::", "1.2.3.4", "::1/64"}) {
    EXPECT_FALSE(Ipv6Address::parse(s)) << s;
  }
}

TEST(IpAddress, takes_the_family_from_the_text) {
  EXPECT_TRUE(IpAddress::parse("10.0.0.1")->is_v4());
  EXPECT_TRUE(IpAddress::parse("::1")->is_v6());
  EXPECT_EQ(IpAddress::parse("10.0.0.1")->to_string(), "10.0.0.1");
  EXPECT_EQ(IpAddress::parse("::1")->to_string(), "::1");
  EXPECT_FALSE(IpAddress::parse("example.org"));
  EXPECT_NE(IpAddress(Ipv4Address{}), IpAddress(Ipv6Address{}));
}

TEST(Ipv4Prefix, is_parsed_and_reckoned_with) {
  const auto p = Ipv4Prefix::parse("192.168.122.7/24");
  ASSERT_TRUE(p);
  EXPECT_EQ(p->network(), Ipv4Address(192, 168, 122, 0));
  EXPECT_EQ(p->broadcast(), Ipv4Address(192, 168, 122, 255));
  EXPECT_EQ(p->netmask(), Ipv4Address(255, 255, 255, 0));
  EXPECT_TRUE(p->contains(Ipv4Address(192, 168, 122, 255)));
  EXPECT_FALSE(p->contains(Ipv4Address(192, 168, 123, 0)));
  EXPECT_EQ(p->to_string(), "192.168.122.7/24");
}

TEST(Ipv4Prefix, works_at_both_ends) {
  const Ipv4Prefix all{{}, 0}, one{Ipv4Address(10, 0, 0, 1), 32};
  EXPECT_EQ(all.mask(), 0U);
  EXPECT_EQ(one.mask(), 0xffffffffU);
  EXPECT_TRUE(all.contains(Ipv4Address(255, 255, 255, 255)));
  EXPECT_TRUE(one.contains(Ipv4Address(10, 0, 0, 1)));
  EXPECT_FALSE(one.contains(Ipv4Address(10, 0, 0, 0)));
  EXPECT_TRUE(all.overlaps(one));
  EXPECT_TRUE(one.overlaps(all));
  EXPECT_FALSE(one.overlaps({Ipv4Address(10, 0, 0, 2), 31}));
}

TEST(Ipv4Prefix, refuses_anything_else) {
  for (const auto* s : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/2 ", "/24",
                        "10.0.0.0/255.0.0.0", "10.0.0.0/111"}) {
    EXPECT_FALSE(Ipv4Prefix::parse(s)) << s;
  }
}

TEST(Hashes, agree_with_equality) {
  EXPECT_EQ(std::hash<IpAddress>{}(Ipv4Address(1, 2, 3, 4)), std::hash<IpAddress>{}(*IpAddress::parse("1.2.3.4")));
  EXPECT_EQ(std::hash<IpAddress>{}(*IpAddress::parse("::1")), std::hash<IpAddress>{}(*IpAddress::parse("0::1")));
}

}  // namespace
}  // namespace weft::wire
