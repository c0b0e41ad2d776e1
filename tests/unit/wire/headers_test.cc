// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"

#include <vector>

#include <gtest/gtest.h>

namespace weft::wire {
namespace {

TEST(View, answers_only_when_the_header_lies_wholly_inside) {
  std::vector<uint8_t> bytes(34);
  const std::span<uint8_t> frame(bytes);
  EXPECT_EQ(reinterpret_cast<uint8_t*>(view<Ipv4Header>(frame, 14)), bytes.data() + 14);
  EXPECT_EQ(view<Ipv4Header>(frame, 15), nullptr);
  EXPECT_EQ(view<Ipv4Header>(frame, 34), nullptr);
  EXPECT_EQ(view<Ipv4Header>(frame, 35), nullptr);
  EXPECT_EQ(view<Ipv4Header>(frame, SIZE_MAX), nullptr) << "no wrapping";
  EXPECT_EQ(view<Ipv4Header>(frame.first(0), 0), nullptr);
  EXPECT_NE(view<Ipv4Header>(std::span<const uint8_t>(frame), 14), nullptr);
}

TEST(Ipv4Header, reads_a_captured_header) {
  std::vector<uint8_t> bytes{0x46, 0x00, 0x00, 0x73, 0x12, 0x34, 0x40, 0x00, 0x40, 0x11,
                             0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  auto& h = *view<Ipv4Header>(std::span<uint8_t>(bytes), 0);
  EXPECT_EQ(h.version(), 4);
  EXPECT_EQ(h.header_size(), 24U);
  EXPECT_EQ(h.total_length.host(), 0x73);
  EXPECT_EQ(h.id.host(), 0x1234);
  EXPECT_EQ(h.ttl, 64);
  EXPECT_EQ(h.protocol, ipproto::kUdp);
  EXPECT_EQ(h.source, Ipv4Address(192, 168, 0, 1));
  EXPECT_EQ(h.destination, Ipv4Address(192, 168, 0, 199));
}

TEST(Ipv4Header, tells_fragments) {
  Ipv4Header h{};
  h.fragment = be16(Ipv4Header::kDontFragment);
  EXPECT_FALSE(h.is_fragment());
  h.fragment = be16(Ipv4Header::kMoreFragments);
  EXPECT_TRUE(h.is_fragment());
  EXPECT_FALSE(h.is_later_fragment());
  h.fragment = be16(1);
  EXPECT_TRUE(h.is_fragment());
  EXPECT_TRUE(h.is_later_fragment());
}

TEST(ArpPacket, knows_its_own_kind) {
  ArpPacket a{be16(1), be16(0x0800), 6, 4, be16(ArpPacket::kRequest), {}, {}, {}, {}};
  EXPECT_TRUE(a.is_ethernet_ipv4());
  a.protocol_size = 16;
  EXPECT_FALSE(a.is_ethernet_ipv4());
}

TEST(OtherHeaders, have_their_fields_where_the_rfcs_draw_them) {
  EXPECT_EQ(offsetof(TcpHeader, checksum), 16U);
  EXPECT_EQ(offsetof(TcpHeader, flags), 13U);
  EXPECT_EQ(offsetof(UdpHeader, checksum), 6U);
  EXPECT_EQ(offsetof(IcmpHeader, id), 4U);
  EXPECT_EQ(offsetof(Ipv6Header, next_header), 6U);
  TcpHeader t{};
  t.data_offset = 0xa0;
  EXPECT_EQ(t.header_size(), 40U);
  EXPECT_EQ((VlanTag{be16(0xe123), be16(0x0800)}.vid()), 0x123);
}

TEST(IcmpHeader, errors_are_those_that_quote) {
  int n = 0;
  for (int type = 0; type < 256; ++type) {
    IcmpHeader h{};
    h.type = static_cast<uint8_t>(type);
    n += h.is_error() ? 1 : 0;
  }
  EXPECT_EQ(n, 5);
  EXPECT_FALSE((IcmpHeader{IcmpHeader::kEcho, 0, {}, {}, {}}.is_error()));
  EXPECT_TRUE((IcmpHeader{IcmpHeader::kUnreachable, 3, {}, {}, {}}.is_error()));
}

}  // namespace
}  // namespace weft::wire
