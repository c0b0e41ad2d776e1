// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/checksum.h"
#include "tests/stage/fixture.h"

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr const char* kA = "52:54:00:00:00:0a";
constexpr const char* kB = "52:54:00:00:00:0b";
constexpr const char* kGatewayB = "52:54:00:00:01:01";
constexpr const char* kPeer = "52:54:00:00:0f:01";

constexpr const char* kRouted = R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: red
    forward: {mode: route}
    bridge: {host: no}
    ips: [{address: 192.168.100.1, prefix: 24}]
  - name: green
    forward: {mode: route}
    bridge: {host: no}
    mtu: {size: 1400}
    ips: [{address: 192.168.101.1, prefix: 24}]
  - name: alone
    bridge: {host: no}
    ips: [{address: 192.168.102.1, prefix: 24}]
  - name: masked
    forward: {mode: nat}
    bridge: {host: no}
    ips: [{address: 192.168.103.1, prefix: 24}]
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: g1, network: green, tap: {name: g1}}
  - {name: a1, network: alone, tap: {name: a1}}
  - {name: m1, network: masked, tap: {name: m1}}
)";

class Route : public SwitchTest {
 protected:
  void SetUp() override {
    configure(kRouted);
    resolve("g1", "192.168.101.20", kB, "192.168.101.1", kGatewayB);
    resolve("wan", "203.0.113.1", kPeer, "203.0.113.2", kUplinkMac);
    resolve("r1", "192.168.100.10", kA, "192.168.100.1", kGatewayMac);
  }
  void send(const std::string& in, const std::string& source, const std::string& destination, uint8_t ttl = 64,
            const char* gateway = kGatewayMac) {
    auto f = echo(kA, gateway, source, destination, ttl);
    push(in, f);
    run();
  }
  void expect_icmp(const std::string& out, uint8_t type, uint8_t code, const std::string& router) {
    const auto error = sent_one(out);
    const auto* icmp = error.find_pdu<Tins::ICMP>();
    ASSERT_NE(icmp, nullptr);
    EXPECT_EQ(icmp->type(), type);
    EXPECT_EQ(icmp->code(), code);
    EXPECT_EQ(error.rfind_pdu<Tins::IP>().src_addr(), router);
  }
};

TEST_F(Route, BetweenRoutedNetworksTheTtlFallsAndTheMacsChange) {
  send("r1", "192.168.100.10", "192.168.101.20");
  const auto out = sent_one("g1");
  EXPECT_EQ(out.dst_addr().to_string(), kB);
  EXPECT_EQ(out.src_addr().to_string(), kGatewayB);
  auto ip = out.rfind_pdu<Tins::IP>();
  EXPECT_EQ(ip.ttl(), 63);
  const uint16_t checksum = ip.checksum();
  auto again = out;
  again.serialize();
  EXPECT_EQ(again.rfind_pdu<Tins::IP>().checksum(), checksum);
}

TEST_F(Route, WhatIsNotInsideLeavesByTheUplinkToItsGateway) {
  send("r1", "192.168.100.10", "198.51.100.5");
  const auto out = sent_one("wan");
  EXPECT_EQ(out.dst_addr().to_string(), kPeer);
  EXPECT_EQ(out.src_addr().to_string(), kUplinkMac);
  EXPECT_EQ(out.rfind_pdu<Tins::IP>().src_addr(), "192.168.100.10");
}

TEST_F(Route, FromOutsideARoutedNetworkIsReachedAndAMaskedOneIsNot) {
  send("wan", "198.51.100.5", "192.168.101.20", 64, kUplinkMac);
  EXPECT_EQ(sent("g1").size(), 1u);
  send("wan", "198.51.100.5", "192.168.103.20", 64, kUplinkMac);
  EXPECT_EQ(drops("wan", Drop::route_forbidden), 1u);
  expect_icmp("wan", 3, 3, "203.0.113.2");
}

TEST_F(Route, AnIsolatedNetworkForwardsNothing) {
  send("a1", "192.168.102.10", "198.51.100.5", 64, "52:54:00:00:01:02");
  EXPECT_EQ(drops("a1", Drop::route_forbidden), 1u);
  expect_icmp("a1", 3, 3, "192.168.102.1");
  send("a1", "192.168.102.10", "192.168.101.20", 64, "52:54:00:00:01:02");
  EXPECT_EQ(drops("a1", Drop::route_forbidden), 2u);
  send("r1", "192.168.100.10", "192.168.102.10");
  EXPECT_EQ(drops("r1", Drop::route_forbidden), 1u);
}

TEST_F(Route, TtlThatRunsOutIsToldFromTheIngressGateway) {
  send("r1", "192.168.100.10", "192.168.101.20", 1);
  EXPECT_EQ(drops("r1", Drop::route_ttl), 1u);
  const auto error = sent_one("r1");
  EXPECT_EQ(error.dst_addr().to_string(), kA);
  const auto& ip = error.rfind_pdu<Tins::IP>();
  EXPECT_EQ(ip.src_addr(), "192.168.100.1");
  EXPECT_EQ(ip.dst_addr(), "192.168.100.10");
  const auto& icmp = error.rfind_pdu<Tins::ICMP>();
  EXPECT_EQ(icmp.type(), Tins::ICMP::TIME_EXCEEDED);
  // It quotes the packet: IP header and all of its 24 bytes.
  const auto quote = icmp.rfind_pdu<Tins::RawPDU>().payload();
  EXPECT_EQ(quote.size(), 44u);
  EXPECT_EQ(quote[12], 192);
  EXPECT_EQ(quote[19], 20);
}

TEST_F(Route, AnIcmpErrorQuotesAtMost576BytesWithARightChecksum) {
  auto f = udp(kA, kGatewayMac, "192.168.100.10", "192.168.101.20", 1000, 2000, std::string(1301, 'q'));
  f.rfind_pdu<Tins::IP>().ttl(1);
  push("r1", f);
  run();
  const auto out = sent("r1");
  ASSERT_EQ(out.size(), 1u);
  const auto& bytes = out[0].bytes;
  EXPECT_EQ(bytes.size(), 14u + 576u);
  EXPECT_EQ(wire::checksum(bytes.data() + 14, 20), 0);
  EXPECT_EQ(wire::checksum(bytes.data() + 34, bytes.size() - 34), 0);
}

TEST_F(Route, NoErrorIsSentAboutAnError) {
  Tins::ICMP inner(Tins::ICMP::DEST_UNREACHABLE);
  inner.code(1);
  Tins::IP ip("192.168.101.20", "192.168.100.10");
  ip.ttl(1);
  auto f = ethernet(kGatewayMac, kA) / ip / inner / Tins::RawPDU(std::string(28, 'e'));
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::route_ttl), 1u);
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_F(Route, ErrorsAreRateLimitedByDestination) {
  for (int i = 0; i < 100; ++i) send("r1", "192.168.100.10", "192.168.101.20", 1);
  const size_t n = sent("r1").size();
  EXPECT_GE(n, 1u);
  EXPECT_LE(n, 20u);
  EXPECT_EQ(drops("r1", Drop::route_ttl), 100u);
}

TEST_F(Route, ASourceOutsideTheNetworkIsDropped) {
  send("r1", "198.51.100.9", "192.168.101.20");
  EXPECT_EQ(drops("r1", Drop::route_bad_source), 1u);
  EXPECT_EQ(sent("g1").size(), 0u);
}

TEST_F(Route, BroadcastAndMulticastAreNotForwarded) {
  send("r1", "192.168.100.10", "192.168.101.255");
  send("r1", "192.168.100.10", "224.0.0.5");
  send("r1", "192.168.100.10", "169.254.7.7");
  send("r1", "192.168.100.10", "203.0.113.255");
  EXPECT_EQ(drops("r1", Drop::route_not_forwardable), 4u);
  EXPECT_EQ(sent("g1").size() + sent("wan").size(), 0u);
}

TEST_F(Route, APacketLargerThanTheNextLinkIsToldItsMtu) {
  auto f = udp(kA, kGatewayMac, "192.168.100.10", "192.168.101.20", 1000, 2000, std::string(1373, 'm'));
  f.rfind_pdu<Tins::IP>().flags(Tins::IP::DONT_FRAGMENT);
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::route_too_big), 1u);
  const auto error = sent_one("r1");
  const auto& icmp = error.rfind_pdu<Tins::ICMP>();
  EXPECT_EQ(icmp.type(), Tins::ICMP::DEST_UNREACHABLE);
  EXPECT_EQ(icmp.code(), 4);
  EXPECT_EQ(icmp.mtu(), 1400);
}

TEST_F(Route, APacketOfExactlyTheMtuPasses) {
  auto f = udp(kA, kGatewayMac, "192.168.100.10", "192.168.101.20", 1000, 2000, std::string(1372, 'm'));
  push("r1", f);
  run();
  EXPECT_EQ(sent("g1").size(), 1u);
}

TEST_F(Route, APacketWaitsForItsNeighbourAndThenGoes) {
  send("r1", "192.168.100.10", "192.168.101.30");
  const auto question = sent_one("g1");
  EXPECT_EQ(question.rfind_pdu<Tins::ARP>().target_ip_addr(), "192.168.101.30");
  EXPECT_EQ(question.rfind_pdu<Tins::ARP>().sender_ip_addr(), "192.168.101.1");
  EXPECT_EQ(totals().held, 1u);
  Tins::ARP answer = arp_reply("192.168.101.1", "192.168.101.30", kGatewayB, "52:54:00:00:00:1e");
  auto f = ethernet(kGatewayB, "52:54:00:00:00:1e") / answer;
  push("g1", f);
  run();
  const auto out = sent_one("g1");
  EXPECT_EQ(out.dst_addr().to_string(), "52:54:00:00:00:1e");
  EXPECT_EQ(out.rfind_pdu<Tins::IP>().dst_addr(), "192.168.101.30");
  EXPECT_EQ(totals().held, 0u);
}

TEST_F(Route, ANeighbourThatNeverAnswersLosesItsPacketsByName) {
  for (int i = 0; i < 12; ++i) send("r1", "192.168.100.10", "192.168.101.31");
  EXPECT_EQ(drops("r1", Drop::resolve_queue_full), 4u);
  for (int i = 0; i < 5; ++i) advance(1000);
  EXPECT_EQ(drops("r1", Drop::resolve_failed), 8u);
  EXPECT_EQ(totals().held, 0u);
  // It was asked three times, by broadcast, and no more.
  EXPECT_EQ(sent("g1").size(), 3u);
}

TEST_F(Route, AStaleNeighbourIsUsedAndAskedInTheSameBurst) {
  // Each of 32 packets goes out with a question beside it, all by one port.
  for (int i = 0; i < 32; ++i) {
    auto f = arp_request("192.168.101." + std::to_string(100 + i), kB, "192.168.101.1");
    push("g1", f);
  }
  run();
  (void)sent("g1");
  advance(60'000);
  for (int i = 0; i < 32; ++i) {
    auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.101." + std::to_string(100 + i));
    push("r1", f);
  }
  run();
  EXPECT_EQ(sent("g1").size(), 64u);
}

TEST_F(Route, PacketsThatWaitLeaveRoomForTheServices) {
  for (int i = 2; i < 250; ++i)
    for (int k = 0; k < 8; ++k) {
      auto f = udp(kA, kGatewayMac, "192.168.100.10", "192.168.101." + std::to_string(i), 1, 2, std::string(1000, 'h'));
      push("r1", f);
    }
  run();
  EXPECT_GT(drops("r1", Drop::resolve_no_memory), 0u);
  auto query = udp(kB, kGatewayB, "192.168.101.20", "192.168.101.1", 1000, 53);
  push("g1", query);
  run();
  EXPECT_EQ(take_punted(), 1u);
}

TEST_F(Route, FromOutsideASourceOfOursIsDropped) {
  send("wan", "192.168.100.10", "192.168.101.20", 64, kUplinkMac);
  EXPECT_EQ(drops("wan", Drop::route_bad_source), 1u);
}

TEST_F(Route, TheGatewaysOwnAddressIsNoSource) {
  send("r1", "192.168.100.1", "192.168.101.20");
  send("r1", "192.168.100.255", "192.168.101.20");
  EXPECT_EQ(drops("r1", Drop::route_bad_source), 2u);
}

TEST_F(Route, AFrameForAnotherStationOnTheUplinkIsNotOurs) {
  send("wan", "198.51.100.5", "192.168.101.20", 64, "52:54:00:00:0f:99");
  EXPECT_EQ(drops("wan", Drop::uplink_not_ours), 1u);
}

TEST_F(Route, TheUplinksOwnAddressAnswersPing) {
  send("wan", "203.0.113.1", "203.0.113.2", 64, kUplinkMac);
  EXPECT_EQ(sent_one("wan").rfind_pdu<Tins::ICMP>().type(), Tins::ICMP::ECHO_REPLY);
  send("r1", "192.168.100.10", "203.0.113.2");
  EXPECT_EQ(sent_one("r1").rfind_pdu<Tins::ICMP>().type(), Tins::ICMP::ECHO_REPLY);
}

struct BadPacket {
  const char* what;
  size_t offset;  // in the frame
  uint8_t value;
  bool fix_checksum;
  Drop drop;
};

class BadIpv4 : public Route, public ::testing::WithParamInterface<BadPacket> {};

TEST_P(BadIpv4, IsDroppedByName) {
  const BadPacket& bad = GetParam();
  auto bytes = udp(kA, kGatewayMac, "192.168.100.10", "192.168.101.20", 1000, 2000, "payload").serialize();
  bytes[bad.offset] = bad.value;
  if (bad.fix_checksum) {
    bytes[24] = bytes[25] = 0;
    const uint16_t sum = wire::checksum(bytes.data() + 14, 20);
    std::memcpy(bytes.data() + 24, &sum, 2);
  }
  push("r1", bytes);
  run();
  EXPECT_EQ(drops("r1", bad.drop), 1u) << bad.what;
  EXPECT_EQ(sent("g1").size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc1812, BadIpv4,
    ::testing::Values(BadPacket{"version 5", 14, 0x55, true, Drop::ip_bad_header},
                      BadPacket{"header of 16 bytes", 14, 0x44, true, Drop::ip_bad_header},
                      BadPacket{"header longer than the packet", 14, 0x4f, false, Drop::ip_bad_header},
                      BadPacket{"total length beyond the frame", 16, 0x40, true, Drop::ip_bad_header},
                      BadPacket{"total length less than the header", 17, 19, true, Drop::ip_bad_header},
                      BadPacket{"checksum", 24, 0xff, false, Drop::ip_bad_checksum},
                      BadPacket{"multicast source", 26, 224, true, Drop::ip_bad_source},
                      BadPacket{"loopback source", 26, 127, true, Drop::ip_bad_source},
                      BadPacket{"loopback destination", 30, 127, true, Drop::ip_bad_source},
                      BadPacket{"UDP length beyond the packet", 38, 0x10, false, Drop::ip_bad_l4},
                      BadPacket{"UDP length under eight", 39, 7, false, Drop::ip_bad_l4}),
    [](const auto& param_info) { return std::to_string(param_info.index); });

TEST_F(Route, ASourceRouteIsRefused) {
  Tins::IP ip("192.168.101.20", "192.168.100.10");
  ip.add_option(Tins::IP::option(131, 7, reinterpret_cast<const uint8_t*>("\x04\xc0\xa8\x65\x14\x00\x00")));
  auto f = ethernet(kGatewayMac, kA) / ip / Tins::UDP(1, 2);
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::ip_source_route), 1u);
}

TEST_F(Route, FromOutsideWhatIsForNobodyHereIsDroppedAndNobodyIsTold) {
  send("wan", "198.51.100.5", "198.51.100.77", 64, kUplinkMac);
  EXPECT_EQ(drops("wan", Drop::route_no_route), 1u);
  EXPECT_EQ(sent("wan").size(), 0u);
}

TEST_F(SwitchTest, AnUplinkWithoutGatewayLeadsToItsOwnSubnetOnly) {
  configure(R"(
uplinks: [{name: wan, device: eth0, address: [203.0.113.2/24]}]
networks: [{name: red, forward: {mode: nat}, bridge: {host: no}, ips: [{address: 192.168.100.1, prefix: 24}]}]
ports: [{name: r1, network: red, tap: {name: r1}}]
)");
  resolve("wan", "203.0.113.7", kPeer, "203.0.113.2", kUplinkMac);
  auto beyond = echo(kA, kGatewayMac, "192.168.100.10", "198.51.100.5");
  push("r1", beyond);
  run();
  EXPECT_EQ(drops("r1", Drop::route_no_route), 1u);
  const auto error = sent_one("r1");
  EXPECT_EQ(error.rfind_pdu<Tins::ICMP>().type(), Tins::ICMP::DEST_UNREACHABLE);
  EXPECT_EQ(error.rfind_pdu<Tins::ICMP>().code(), 0) << "net unreachable (RFC 1812 §5.2.7.1)";
  auto neighbour = echo(kA, kGatewayMac, "192.168.100.10", "203.0.113.7");
  push("r1", neighbour);
  run();
  EXPECT_EQ(sent_one("wan").dst_addr().to_string(), kPeer);
}

/// Who scans a large subnet behind the router soon may not ask for more, and nobody else pays for it.
TEST_F(SwitchTest, APortThatAsksForTooManyNeighboursIsRefusedAlone) {
  configure(R"(
networks:
  - {name: red, forward: {mode: route}, bridge: {host: no}, ips: [{address: 192.168.100.1, prefix: 24}]}
  - {name: big, forward: {mode: route}, bridge: {host: no}, ips: [{address: 10.1.0.1, prefix: 16}]}
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
  - {name: b1, network: big, tap: {name: b1}}
)");
  for (int i = 0; i < 600; ++i) {
    auto f = echo(kA, kGatewayMac, "192.168.100.10",
                  "10.1." + std::to_string(1 + i / 200) + "." + std::to_string(1 + i % 200));
    push("r1", f);
  }
  run();
  EXPECT_EQ(drops("r1", Drop::resolve_too_many), 600u - 512u);
  EXPECT_EQ(sent("b1").size(), 512u) << "the questions";
  auto f = echo(kB, kGatewayMac, "192.168.100.11", "10.1.9.9");
  push("r2", f);
  run();
  EXPECT_EQ(drops("r2", Drop::resolve_too_many), 0u);
  EXPECT_EQ(sent_one("b1").rfind_pdu<Tins::ARP>().target_ip_addr(), "10.1.9.9");
}

TEST(RouteWithoutUplink, DropsByNameAndTells) {
  class Fixture : public SwitchTest {
   public:
    void TestBody() override {
      configure(R"(
networks:
  - name: red
    forward: {mode: nat}
    bridge: {host: no}
    ips: [{address: 192.168.100.1, prefix: 24}]
ports: [{name: r1, network: red, tap: {name: r1}}]
)");
      auto f = echo(kA, kGatewayMac, "192.168.100.10", "198.51.100.5");
      push("r1", f);
      run();
      EXPECT_EQ(drops("r1", Drop::route_no_uplink), 1u);
      EXPECT_EQ(sent_one("r1").rfind_pdu<Tins::ICMP>().type(), Tins::ICMP::DEST_UNREACHABLE);
      EXPECT_EQ(totals().imbalance(), 0);
    }
  };
  Fixture().TestBody();
}

}  // namespace
}  // namespace weft::vswitch::test
