// SPDX-License-Identifier: BSD-3-Clause
//
// UDP through the masquerade, by RFC 4787's requirements.
#include "tests/unit/nat/frame.h"

namespace weft::nat::test {
namespace {

TEST(MasqueradeUdp, outbound_gets_the_outside_address_and_keeps_its_port) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  const auto before = f.bytes;
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.ip().source, kOutside);
  EXPECT_EQ(f.ip().destination, kServer);
  EXPECT_EQ(f.tins().rfind_pdu<Tins::UDP>().sport(), 40000);
  EXPECT_EQ(f.tins().rfind_pdu<Tins::UDP>().dport(), 53);
  EXPECT_TRUE(checksums_are_right(f));
  EXPECT_EQ(f.ip().ttl, 63) << "the TTL is the route stage's";
  EXPECT_NE(f.bytes, before);
}

TEST(MasqueradeUdp, reply_is_translated_back) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  Frame r = udp(kServer, 53, kOutside, 40000, "answer");
  ASSERT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(b.network, kNetwork);
  EXPECT_EQ(r.bytes, udp(kServer, 53, kGuest, 40000, "answer").bytes);
}

TEST(MasqueradeUdp, Rfc4787Req1_one_endpoint_has_one_mapping_whoever_it_talks_to) {
  Bench b;
  Frame f = udp(kGuest, 500, kServer, 53), g = udp(kGuest, 500, kOtherServer, 99);
  ASSERT_EQ(b.out(f), Drop::none);
  ASSERT_EQ(b.out(g), Drop::none);
  EXPECT_EQ(f.tins().rfind_pdu<Tins::UDP>().sport(), g.tins().rfind_pdu<Tins::UDP>().sport());
  EXPECT_EQ(b.nat.table().n_mappings(), 1U);
  EXPECT_EQ(b.nat.n_sessions(), 2U);
}

TEST(MasqueradeUdp, Rfc4787Req2_a_guest_keeps_to_one_address_of_the_pool) {
  Bench b;
  const wire::Ipv4Address pool[] = {{203, 0, 113, 10}, {203, 0, 113, 11}, {203, 0, 113, 12}, {203, 0, 113, 13}};
  b.context.pool = pool;
  std::set<wire::Ipv4Address> seen;
  for (uint8_t guest = 2; guest < 100; ++guest) {
    std::set<wire::Ipv4Address> own;
    for (const uint16_t port : std::initializer_list<uint16_t>{1000, 2000, 3000}) {
      Frame f = udp({192, 168, 122, guest}, port, kServer, 53);
      Frame t = tcp({192, 168, 122, guest}, port, kServer, 53, 2);
      ASSERT_EQ(b.out(f), Drop::none);
      ASSERT_EQ(b.out(t), Drop::none);
      own.insert({f.ip().source, t.ip().source});
    }
    EXPECT_EQ(own.size(), 1U);
    seen.insert(own.begin(), own.end());
  }
  EXPECT_EQ(seen.size(), 4U) << "and guests are spread over the pool";
}

TEST(MasqueradeUdp, without_a_pool_the_uplinks_own_address_is_used) {
  Bench b;
  b.context.pool = {};
  b.context.uplink_address = {203, 0, 113, 77};
  Frame f = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.ip().source, wire::Ipv4Address(203, 0, 113, 77));
}

TEST(MasqueradeUdp, an_uplink_without_address_takes_nothing) {
  Bench b;
  b.context.pool = {};
  Frame f = udp(kGuest, 40000, kServer, 53);
  EXPECT_EQ(b.out(f), Drop::route_no_uplink);
  EXPECT_EQ(b.nat.n_sessions(), 0U);
}

TEST(MasqueradeUdp, Rfc4787Req3_two_guests_never_share_an_outside_port) {
  Bench b;
  std::set<uint16_t> ports;
  for (uint8_t guest = 2; guest < 202; ++guest) {
    Frame f = udp({192, 168, 122, guest}, 5000, kServer, 53);
    ASSERT_EQ(b.out(f), Drop::none);
    EXPECT_TRUE(checksums_are_right(f));
    EXPECT_TRUE(ports.insert(f.tins().rfind_pdu<Tins::UDP>().sport()).second);
  }
  EXPECT_TRUE(ports.contains(5000)) << "the first keeps it";
}

TEST(MasqueradeUdp, Rfc4787Req4_a_changed_port_keeps_its_parity) {
  Bench b;
  for (uint8_t guest = 2; guest < 102; ++guest) {
    for (const uint16_t port : std::initializer_list<uint16_t>{7000, 7001, 500, 501}) {
      Frame f = udp({192, 168, 122, guest}, port, kServer, 53);
      ASSERT_EQ(b.out(f), Drop::none);
      EXPECT_EQ(f.tins().rfind_pdu<Tins::UDP>().sport() % 2, port % 2);
    }
  }
}

TEST(MasqueradeUdp, a_port_below_1024_is_moved_above) {
  Bench b;
  Frame f = udp(kGuest, 500, kServer, 500);
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_GE(f.tins().rfind_pdu<Tins::UDP>().sport(), 1024);
  EXPECT_TRUE(checksums_are_right(f));
}

TEST(MasqueradeUdp, ports_stay_in_the_configured_range) {
  Bench b;
  b.context.ports = {20000, 20099};
  std::set<uint16_t> ports;
  for (uint16_t i = 0; i < 100; ++i) {
    Frame f = udp(kGuest, static_cast<uint16_t>(30000 + i), kServer, 53);
    ASSERT_EQ(b.out(f), Drop::none) << i << ": every port of the range is usable";
    ports.insert(f.tins().rfind_pdu<Tins::UDP>().sport());
  }
  EXPECT_EQ(ports.size(), 100U);
  EXPECT_EQ(*ports.begin(), 20000);
  EXPECT_EQ(*ports.rbegin(), 20099);
  Frame f = udp(kGuest, 40000, kServer, 53);
  const auto before = f.bytes;
  EXPECT_EQ(b.out(f), Drop::nat_no_port);
  EXPECT_EQ(f.bytes, before) << "a dropped packet is left alone";
  Frame t = tcp(kGuest, 40000, kServer, 53, 2);
  EXPECT_EQ(b.out(t), Drop::none) << "TCP has ports of its own";
}

TEST(MasqueradeUdp, freed_ports_are_used_again) {
  Bench b;
  b.context.ports = {20000, 20000};
  Frame f = udp(kGuest, 30000, kServer, 53), g = udp(kGuest, 30001, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  ASSERT_EQ(b.out(g), Drop::nat_no_port);
  b.wait_s(302);
  b.settle();
  EXPECT_EQ(b.out(g), Drop::none);
}

TEST(MasqueradeUdp, Rfc4787Req5_a_mapping_lives_five_minutes) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  b.wait_s(300);
  b.settle();
  Frame r = udp(kServer, 53, kOutside, 40000);
  EXPECT_EQ(b.in(r), Drop::none);
  b.wait_s(302);
  Frame late = udp(kServer, 53, kOutside, 40000);
  EXPECT_EQ(b.in(late), Drop::nat_no_mapping) << "and not longer, even before the table was tidied";
  b.settle();
  EXPECT_EQ(b.nat.n_sessions(), 0U);
  EXPECT_EQ(b.nat.table().n_mappings(), 0U);
  EXPECT_EQ(b.nat.table().n_addresses(), 0U);
}

TEST(MasqueradeUdp, Rfc4787Req6_packets_of_both_directions_keep_it_alive) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  for (int i = 0; i < 5; ++i) {
    b.wait_s(250);
    b.settle();
    Frame r = i % 2 == 0 ? udp(kServer, 53, kOutside, 40000) : udp(kGuest, 40000, kServer, 53);
    ASSERT_EQ(i % 2 == 0 ? b.in(r) : b.out(r), Drop::none) << i;
  }
}

TEST(MasqueradeUdp, Rfc4787Req8_only_who_was_written_to_gets_in) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  Frame other_host = udp(kOtherServer, 53, kOutside, 40000), other_port = udp(kServer, 54, kOutside, 40000);
  EXPECT_EQ(b.in(other_host), Drop::nat_filtered);
  EXPECT_EQ(b.in(other_port), Drop::nat_filtered);
  Frame other_mapping = udp(kServer, 53, kOutside, 40001);
  EXPECT_EQ(b.in(other_mapping), Drop::nat_no_mapping);
  Frame other_protocol = tcp(kServer, 53, kOutside, 40000, 2);
  EXPECT_EQ(b.in(other_protocol), Drop::nat_no_mapping);
  Frame r = udp(kServer, 53, kOutside, 40000);
  EXPECT_EQ(b.nat.translate_in(r.packet, kUplink + 1, b.now_ms).drop, Drop::nat_no_mapping) << "another uplink";
}

TEST(MasqueradeUdp, checksum_zero_stays_zero) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  f.checksum_field() = {};
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.checksum_field().host(), 0);
  Frame r = udp(kServer, 53, kOutside, 40000);
  r.checksum_field() = {};
  ASSERT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(r.checksum_field().host(), 0);
}

TEST(MasqueradeUdp, a_checksum_computed_as_zero_becomes_ffff) {
  Bench b;
  // Find a payload whose translated packet has a checksum of zero before RFC 768's exception.
  for (uint32_t i = 0; i < 65536; ++i) {
    Frame f = udp(kGuest, 40000, kServer, 53, std::string{static_cast<char>(i >> 8), static_cast<char>(i)});
    ASSERT_EQ(b.out(f), Drop::none);
    ASSERT_NE(f.checksum_field().host(), 0);
    if (f.checksum_field().host() == 0xffff) {
      Frame expected = udp(kOutside, 40000, kServer, 53, std::string{static_cast<char>(i >> 8), static_cast<char>(i)});
      f.checksum_field() = expected.checksum_field();  // libtins writes 0 here
      EXPECT_EQ(f.bytes, expected.bytes);
      return;
    }
  }
  FAIL() << "no such payload";
}

TEST(MasqueradeUdp, a_partial_checksum_stays_partial_and_comes_out_right) {
  Bench b;
  for (const auto& payload : {std::string("x"), std::string(1000, 'y')}) {
    Frame f = udp(kGuest, 500, kServer, 53, payload);
    f.make_partial();
    ASSERT_EQ(b.out(f), Drop::none);
    EXPECT_EQ(f.packet.offload.checksum, dataplane::Checksum::partial);
    const uint16_t port = f.tins().rfind_pdu<Tins::UDP>().sport();
    f.finish_partial();
    EXPECT_TRUE(checksums_are_right(f));
    Frame r = udp(kServer, 53, kOutside, port, payload);
    r.make_partial();
    ASSERT_EQ(b.in(r), Drop::none);
    r.finish_partial();
    EXPECT_TRUE(checksums_are_right(r));
    EXPECT_EQ(r.ip().destination, kGuest);
  }
}

TEST(MasqueradeUdp, a_partial_checksum_elsewhere_is_refused) {
  // Finished at egress, it would write over the translated addresses.
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  f.make_partial();
  f.packet.offload.csum_start = 14;
  f.packet.offload.csum_offset = 12;
  EXPECT_EQ(b.out(f), Drop::rx_bad_offload);
  f.make_partial();
  f.packet.offload.csum_offset = 0;
  EXPECT_EQ(b.out(f), Drop::rx_bad_offload);
}

TEST(MasqueradeUdp, a_partial_checksum_of_what_is_encapsulated_is_finished) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 4789, std::string(64, 'v'));
  f.packet.offload = {.checksum = dataplane::Checksum::partial, .csum_start = 14 + 20 + 8 + 30, .csum_offset = 6};
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_NE(f.packet.offload.checksum, dataplane::Checksum::partial);
  EXPECT_EQ(f.ip().source, kOutside);
}

TEST(MasqueradeUdp, payload_behind_the_head_and_padding_are_left_alone) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53, std::string(1400, 'z'));
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.bytes, udp(kOutside, 40000, kServer, 53, std::string(1400, 'z')).bytes);
}

TEST(MasqueradeUdp, fragments_are_dropped_by_name) {
  Bench b;
  Frame first = udp(kGuest, 40000, kServer, 53), later = first;
  first.ip().fragment = wire::be16(wire::Ipv4Header::kMoreFragments);
  later.ip().fragment = wire::be16(100);
  later.parse();
  EXPECT_EQ(b.out(first), Drop::nat_fragment);
  EXPECT_EQ(b.out(later), Drop::nat_fragment);
  EXPECT_EQ(b.in(first), Drop::nat_fragment);
}

TEST(MasqueradeUdp, other_protocols_are_dropped_by_name) {
  Bench b;
  for (const uint8_t protocol : std::initializer_list<uint8_t>{2, 41, 47, 50, 132, 136, 255}) {
    Frame f = udp(kGuest, 40000, kServer, 53);
    f.ip().protocol = protocol;
    f.parse();
    EXPECT_EQ(b.out(f), Drop::nat_protocol) << int{protocol};
    EXPECT_EQ(b.in(f), Drop::nat_protocol) << int{protocol};
  }
}

TEST(MasqueradeUdp, a_transport_header_that_is_not_whole_is_dropped) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53);
  f.packet.l4_offset = 0;
  EXPECT_EQ(b.out(f), Drop::ip_bad_l4);
  f.parse();
  f.packet.head_size = 14 + 20 + 7;
  EXPECT_EQ(b.out(f), Drop::ip_bad_l4);
  EXPECT_EQ(b.in(f), Drop::ip_bad_l4);
}

TEST(MasqueradeUdp, the_same_address_in_two_networks_is_two_guests) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53), g = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  b.context.network = kNetwork + 1;
  ASSERT_EQ(b.out(g), Drop::none);
  const uint16_t port = g.tins().rfind_pdu<Tins::UDP>().sport();
  EXPECT_NE(port, 40000);
  Frame r = udp(kServer, 53, kOutside, port);
  ASSERT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(b.network, kNetwork + 1);
}

TEST(MasqueradeUdp, a_connection_follows_its_route_to_another_uplink) {
  Bench b;
  Frame f = udp(kGuest, 40000, kServer, 53), g = udp(kGuest, 40000, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  const wire::Ipv4Address pool[] = {{192, 0, 2, 1}};
  b.context.pool = pool;
  b.context.uplink = kUplink + 1;
  ASSERT_EQ(b.out(g), Drop::none);
  EXPECT_EQ(g.ip().source, pool[0]);
  EXPECT_EQ(b.nat.n_sessions(), 1U);
}

}  // namespace
}  // namespace weft::nat::test
