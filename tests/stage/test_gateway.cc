// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/fixture.h"

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr const char* kA = "52:54:00:00:00:0a";
constexpr const char* kB = "52:54:00:00:00:0b";

constexpr const char* kSeat = R"(
networks:
  - name: red
    bridge: {name: virbr1}
    ips: [{address: 192.168.100.1, prefix: 24, dhcp: {ranges: [{start: 192.168.100.2, end: 192.168.100.99}]}}]
  - name: silent
    bridge: {name: virbr2}
    dns: {enable: no}
    ips: [{address: 192.168.102.1, prefix: 24}]
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
  - {name: s1, network: silent, tap: {name: s1}}
)";

constexpr const char* kNoSeat = R"(
networks:
  - name: red
    bridge: {host: no}
    ips: [{address: 192.168.100.1, prefix: 24}]
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
)";

class Gateway : public SwitchTest {
 protected:
  void ask_arp(const std::string& in, const std::string& ip, const std::string& mac, const std::string& target) {
    auto f = arp_request(ip, mac, target);
    push(in, f);
    run();
  }
};

TEST_F(Gateway, AnswersArpForItsAddressAndFloodsItToNobody) {
  configure(kSeat);
  ask_arp("r1", "192.168.100.10", kA, "192.168.100.1");
  const auto reply = sent_one("r1");
  const auto& arp = reply.rfind_pdu<Tins::ARP>();
  EXPECT_EQ(arp.opcode(), Tins::ARP::REPLY);
  EXPECT_EQ(arp.sender_hw_addr().to_string(), kGatewayMac);
  EXPECT_EQ(arp.sender_ip_addr(), "192.168.100.1");
  EXPECT_EQ(arp.target_hw_addr().to_string(), kA);
  EXPECT_EQ(reply.dst_addr().to_string(), kA);
  EXPECT_EQ(reply.src_addr().to_string(), kGatewayMac);
  EXPECT_EQ(sent("r2").size(), 0u);
  EXPECT_EQ(sent("virbr1").size(), 0u);
}

TEST_F(Gateway, DoesNotAnswerForOthersButFloodsTheQuestion) {
  configure(kSeat);
  ask_arp("r1", "192.168.100.10", kA, "192.168.100.11");
  EXPECT_EQ(sent("r1").size(), 0u);
  EXPECT_EQ(sent("r2").size(), 1u);
  EXPECT_EQ(sent("virbr1").size(), 1u);
}

TEST_F(Gateway, DoesNotAnswerForAnotherNetworksGateway) {
  configure(kSeat);
  ask_arp("r1", "192.168.100.10", kA, "192.168.102.1");
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_F(Gateway, AnArpProbeIsAnswered) {
  configure(kSeat);
  ask_arp("r1", "0.0.0.0", kA, "192.168.100.1");
  EXPECT_EQ(sent("r1").size(), 1u);
}

TEST_F(Gateway, NobodyElseMayClaimItsAddress) {
  configure(kSeat);
  ask_arp("r1", "192.168.100.1", kA, "192.168.100.1");
  ask_arp("r1", "192.168.100.1", kA, "192.168.100.20");
  EXPECT_EQ(drops("r1", Drop::local_arp_conflict), 2u);
  EXPECT_EQ(sent("r2").size(), 0u);
}

TEST_F(Gateway, NobodyMayTellANeighbourThatHeHasItsAddress) {
  configure(kSeat);
  learn("r2", kB);
  auto f = ethernet(kB, kA) / arp_reply("192.168.100.11", "192.168.100.1", kB, kA);
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::local_arp_conflict), 1u);
  EXPECT_EQ(sent("r2").size(), 0u);
}

TEST_F(Gateway, ABroadcastAddressInAFrameToItIsNotAnswered) {
  configure(kNoSeat);
  auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.100.255");
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::local_no_service), 1u);
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_F(Gateway, WhatTheSeatAsksAboutItsOwnAddressIsNotAnswered) {
  configure(kSeat);
  ask_arp("virbr1", "0.0.0.0", kGatewayMac, "192.168.100.1");
  EXPECT_EQ(sent("virbr1").size(), 0u);
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_F(Gateway, TheHostsQuestionForAGuestIsFlooded) {
  configure(kSeat);
  ask_arp("virbr1", "192.168.100.1", kGatewayMac, "192.168.100.10");
  EXPECT_EQ(sent("r1").size(), 1u);
  EXPECT_EQ(sent("r2").size(), 1u);
}

TEST_F(Gateway, AnAnswerToTheGatewayFeedsTheHostsTableToo) {
  configure(kSeat);
  Tins::EthernetII reply = ethernet(kGatewayMac, kA);
  Tins::ARP arp = arp_reply("192.168.100.1", "192.168.100.10", kGatewayMac, kA);
  reply /= arp;
  push("r1", reply);
  run();
  EXPECT_EQ(sent("virbr1").size(), 1u);
  bool known = false;
  pipeline().neighbours().for_each(now_ns(), [&](const Neighbours::Listed& n) {
    known |= n.address.to_string() == "192.168.100.10" && n.mac.to_string() == kA;
  });
  EXPECT_TRUE(known);
}

TEST_F(Gateway, MalformedArpIsDropped) {
  configure(kSeat);
  std::vector<uint8_t> bytes = arp_request("192.168.100.10", kA, "192.168.100.1").serialize();
  bytes.resize(14 + 20);
  push("r1", bytes);
  run();
  EXPECT_EQ(drops("r1", Drop::local_arp_bad), 1u);
}

TEST_F(Gateway, PingToItGoesToTheHost) {
  configure(kSeat);
  auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.100.1");
  push("r1", f);
  run();
  EXPECT_EQ(sent("virbr1").size(), 1u);
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_F(Gateway, WithoutSeatPingIsAnsweredByTheSwitch) {
  configure(kNoSeat);
  auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.100.1", 3);
  push("r1", f);
  run();
  const auto reply = sent_one("r1");
  EXPECT_EQ(reply.dst_addr().to_string(), kA);
  EXPECT_EQ(reply.src_addr().to_string(), kGatewayMac);
  const auto& ip = reply.rfind_pdu<Tins::IP>();
  EXPECT_EQ(ip.src_addr(), "192.168.100.1");
  EXPECT_EQ(ip.dst_addr(), "192.168.100.10");
  EXPECT_EQ(ip.ttl(), 64);
  const auto& icmp = reply.rfind_pdu<Tins::ICMP>();
  EXPECT_EQ(icmp.type(), Tins::ICMP::ECHO_REPLY);
  EXPECT_EQ(icmp.id(), 7);
  // Both checksums are right: serializing computes them anew and gives the same.
  auto again = reply;
  EXPECT_EQ(again.rfind_pdu<Tins::IP>().checksum(), ip.checksum());
  const uint16_t before = icmp.checksum();
  again.serialize();
  EXPECT_EQ(again.rfind_pdu<Tins::ICMP>().checksum(), before);
}

TEST_F(Gateway, WithoutSeatAnythingElseIsRefusedWithPortUnreachable) {
  configure(kNoSeat);
  auto f = udp(kA, kGatewayMac, "192.168.100.10", "192.168.100.1", 1234, 7);
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::local_no_service), 1u);
  const auto error = sent_one("r1");
  const auto& icmp = error.rfind_pdu<Tins::ICMP>();
  EXPECT_EQ(icmp.type(), Tins::ICMP::DEST_UNREACHABLE);
  EXPECT_EQ(icmp.code(), 3);
}

TEST_F(Gateway, DnsAndDhcpToItAreTheSwitchs) {
  configure(kSeat);
  auto dns = udp(kA, kGatewayMac, "192.168.100.10", "192.168.100.1", 1234, 53);
  auto dhcp = udp(kA, kGatewayMac, "192.168.100.10", "192.168.100.1", 68, 67);
  push("r1", dns);
  push("r1", dhcp);
  run();
  EXPECT_EQ(take_punted(), 2u);
  EXPECT_EQ(sent("virbr1").size(), 0u);
}

TEST_F(Gateway, ADhcpBroadcastIsHeardByTheSwitchAndByTheOtherGuests) {
  configure(kSeat);
  auto f = udp(kA, "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 68, 67);
  push("r1", f);
  run();
  EXPECT_EQ(take_punted(), 1u);
  EXPECT_EQ(sent("r2").size(), 1u);
}

TEST_F(Gateway, WhereDhcpAndDnsAreNotServedTheyAreTheHosts) {
  configure(kSeat);
  auto dns = udp(kA, kGatewayMac, "192.168.102.10", "192.168.102.1", 1234, 53);
  dns.dst_addr(Tins::HWAddress<6>("52:54:00:00:01:01"));
  push("s1", dns);
  auto dhcp = udp(kA, "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 68, 67);
  push("s1", dhcp);
  run();
  EXPECT_EQ(take_punted(), 0u);
  EXPECT_EQ(sent("virbr2").size(), 2u);
}

TEST_F(Gateway, AnotherAddressOfTheHostIsReachedThroughTheSeat) {
  configure(kSeat);
  model_.host_addresses = {wire::Ipv4Address(198, 51, 100, 7)};
  publish();
  auto f = echo(kA, kGatewayMac, "192.168.100.10", "198.51.100.7");
  push("r1", f);
  run();
  EXPECT_EQ(sent("virbr1").size(), 1u);
}

TEST_F(Gateway, Ipv6AndUnknownProtocolsToTheRouterAreDroppedByName) {
  configure(kSeat);
  Tins::EthernetII v6 = ethernet(kGatewayMac, kA);
  v6 /= Tins::IPv6("fd00::1", "fd00::2") / Tins::UDP(1, 2);
  push("r1", v6);
  Tins::EthernetII other = ethernet(kGatewayMac, kA);
  other.payload_type(0x88b5);
  other /= Tins::RawPDU(std::string(46, 'x'));
  push("r1", other);
  run();
  EXPECT_EQ(drops("r1", Drop::ip6_not_routed), 1u);
  EXPECT_EQ(drops("r1", Drop::router_unknown_ethertype), 1u);
}

/// build_snapshot names no seat that is not there; the stages do not count on it.
TEST_F(Gateway, ASeatThatIsGoneIsNotSentTo) {
  configure(kSeat);
  publish([&](Snapshot& s) { s.ports[id("virbr1")].port = nullptr; });
  auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.100.1");
  push("r1", f);
  run();
  EXPECT_EQ(drops("r1", Drop::egress_port_gone), 1u);
  EXPECT_EQ(sent("virbr1").size(), 0u);
}

TEST_F(Gateway, WhatAStandingControlThreadHasNoRoomForIsDroppedByName) {
  configure(kSeat);
  const auto query = udp(kA, kGatewayMac, "192.168.100.10", "192.168.100.1", 1234, 53).serialize();
  uint64_t n = 0;
  for (int burst = 0; burst < 9; ++burst) {  // each as many as a port may send at once: more than the queue holds
    for (int i = 0; i < 256; ++i, ++n) push("r1", query);
    run();
    advance(13);  // until it may again
  }
  EXPECT_GT(drops("r1", Drop::local_queue_full), 0u);
  EXPECT_EQ(take_punted() + drops("r1", Drop::local_queue_full), n);
  push("r1", query);
  run();
  EXPECT_EQ(take_punted(), 1u) << "there is room again";
}

TEST_F(Gateway, AGuestThatFloodsTheGatewayIsLimitedAlone) {
  configure(kNoSeat);
  for (int i = 0; i < 10'000; ++i) {
    auto f = echo(kA, kGatewayMac, "192.168.100.10", "192.168.100.1");
    push("r1", f);
  }
  run();
  EXPECT_GT(drops("r1", Drop::local_rate_limited), 1'000u);
  auto f = echo(kB, kGatewayMac, "192.168.100.11", "192.168.100.1");
  push("r2", f);
  run();
  EXPECT_EQ(sent("r2").size(), 1u);
}

}  // namespace
}  // namespace weft::vswitch::test
