// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/fixture.h"

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr const char* kTwoNetworks = R"(
networks:
  - name: red
    bridge: {name: virbr1}
    ips: [{address: 192.168.100.1, prefix: 24}]
  - name: blue
    ips: []
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
  - {name: r3, network: red, tap: {name: r3}}
  - {name: b1, network: blue, tap: {name: b1}}
)";
constexpr const char* kA = "52:54:00:00:00:0a";
constexpr const char* kB = "52:54:00:00:00:0b";

class L2 : public SwitchTest {
 protected:
  void SetUp() override { configure(kTwoNetworks); }
  Tins::EthernetII frame(const std::string& from, const std::string& to) {
    Tins::EthernetII f = ethernet(to, from);
    f.payload_type(0x88b5);
    f /= Tins::RawPDU(std::string(46, 'p'));
    return f;
  }
  void send(const std::string& in, const std::string& from, const std::string& to) {
    auto f = frame(from, to);
    push(in, f);
    run();
  }
};

TEST_F(L2, UnknownUnicastIsFloodedWithinItsNetworkOnly) {
  send("r1", kA, kB);
  EXPECT_EQ(sent("r1").size(), 0u);
  EXPECT_EQ(sent("r2").size(), 1u);
  EXPECT_EQ(sent("r3").size(), 1u);
  EXPECT_EQ(sent("virbr1").size(), 1u);
  EXPECT_EQ(sent("b1").size(), 0u);
}

TEST_F(L2, LearnedUnicastGoesToItsPortAlone) {
  learn("r2", kB);
  send("r1", kA, kB);
  EXPECT_EQ(sent("r2").size(), 1u);
  EXPECT_EQ(sent("r3").size(), 0u);
  EXPECT_EQ(sent("virbr1").size(), 0u);
}

TEST_F(L2, AMinimalFrameArrivesByteForByte) {
  learn("r2", kB);
  auto f = frame(kA, kB);
  const auto bytes = f.serialize();
  ASSERT_EQ(bytes.size(), 60u);
  push("r1", bytes);
  run();
  const auto out = sent("r2");
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].bytes, bytes);
}

TEST_F(L2, AFrameLongerThanTheHeadArrivesByteForByte) {
  learn("r2", kB);
  std::vector<uint8_t> bytes = frame(kA, kB).serialize();
  bytes.resize(9014);
  for (size_t i = 60; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  push("r1", bytes);
  run();
  const auto out = sent("r2");
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].bytes, bytes);
}

TEST_F(L2, AStationThatMovesIsFoundAtItsNewPort) {
  learn("r2", kB);
  learn("r3", kB);
  send("r1", kA, kB);
  EXPECT_EQ(sent("r2").size(), 0u);
  EXPECT_EQ(sent("r3").size(), 1u);
}

TEST_F(L2, AStationNotSeenFor300SecondsIsFloodedAgain) {
  learn("r2", kB);
  advance(299'000);
  send("r1", kA, kB);
  EXPECT_EQ(sent("r3").size(), 0u);
  advance(2'000);
  send("r1", kA, kB);
  EXPECT_EQ(sent("r3").size(), 1u);
}

TEST_F(L2, DestinationOnTheSamePortIsDropped) {
  learn("r1", kB);
  send("r1", kA, kB);
  EXPECT_EQ(drops("r1", Drop::l2_same_port), 1u);
}

TEST_F(L2, ReservedGroupAddressesStayOnTheirLink) {
  send("r1", kA, "01:80:c2:00:00:00");
  send("r1", kA, "01:80:c2:00:00:0e");
  EXPECT_EQ(drops("r1", Drop::l2_reserved_multicast), 2u);
  send("r1", kA, "01:80:c2:00:00:10");
  EXPECT_EQ(sent("r2").size(), 1u);
}

TEST_F(L2, AMulticastOrZeroSourceIsDropped) {
  send("r1", "01:00:5e:00:00:01", kB);
  send("r1", "00:00:00:00:00:00", kB);
  EXPECT_EQ(drops("r1", Drop::parse_bad_source_mac), 2u);
}

TEST_F(L2, AShortFrameIsDropped) {
  push("r1", std::vector<uint8_t>(13, 1));
  run();
  EXPECT_EQ(drops("r1", Drop::parse_short_ethernet), 1u);
}

TEST_F(L2, WhatAPortCouldNotMakeAFrameOfIsCountedUnderThePortsReason) {
  learn("r2", kB);
  for (const Drop why : {Drop::rx_truncated, Drop::rx_bad_descriptor})
    port("r1").push(dataplane::MemoryFrame{frame(kA, kB).serialize(), {}, why});
  send("r1", kA, kB);
  EXPECT_EQ(drops("r1", Drop::rx_truncated), 1u);
  EXPECT_EQ(drops("r1", Drop::rx_bad_descriptor), 1u);
  EXPECT_EQ(sent("r2").size(), 1u) << "those beside them pass";
}

TEST_F(L2, NobodyButTheSeatMayUseTheGatewaysMac) {
  send("r1", kGatewayMac, kB);
  EXPECT_EQ(drops("r1", Drop::l2_spoofed_gateway), 1u);
  learn("r2", kB);
  send("virbr1", kGatewayMac, kB);
  EXPECT_EQ(sent("r2").size(), 1u);
}

TEST_F(L2, ANetworkOfOnePortHasNobodyToFloodTo) {
  send("b1", kA, kB);
  EXPECT_EQ(drops("b1", Drop::l2_no_member), 1u);
}

TEST_F(L2, BroadcastBeyondTheStormLimitIsDroppedAndOthersAreNot) {
  for (int i = 0; i < 30'000; ++i) {
    auto f = frame(kA, "ff:ff:ff:ff:ff:ff");
    push("r1", f);
    if (i % 1000 == 999) {
      run();
      (void)sent("r2"), (void)sent("r3"), (void)sent("virbr1");
    }
  }
  run();
  EXPECT_GT(drops("r1", Drop::ingress_storm), 20'000u);
  (void)sent("r3");
  send("r2", kB, "ff:ff:ff:ff:ff:ff");
  EXPECT_EQ(sent("r3").size(), 1u);
}

TEST_F(L2, UnknownUnicastSharesTheStormLimit) {
  for (int i = 0; i < 10'000; ++i) {
    auto f = frame(kA, kB);
    push("r1", f);
  }
  run();
  EXPECT_GT(drops("r1", Drop::ingress_storm), 4'000u);
}

TEST_F(L2, VlanTaggedFramesPassUntouched) {
  std::vector<uint8_t> bytes = frame(kA, kB).serialize();
  bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x2a});
  learn("r2", kB);
  push("r1", bytes);
  run();
  const auto out = sent("r2");
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].bytes, bytes);
}

TEST(L2FullReceiver, DropsByNameAndHoldsUpNobody) {
  class Fixture : public SwitchTest {
   public:
    void TestBody() override {
      options_["r2"].tx_room = 10;
      configure(kTwoNetworks);
      learn("r2", kB);
      learn("r3", "52:54:00:00:00:0c");
      for (int i = 0; i < 100; ++i)
        for (const char* to : {kB, "52:54:00:00:00:0c"}) {
          Tins::EthernetII f = ethernet(to, kA);
          f.payload_type(0x88b5);
          push("r1", f);
        }
      run();
      EXPECT_EQ(sent("r2").size(), 10u);
      EXPECT_EQ(sent("r3").size(), 100u);
      EXPECT_EQ(drops("r1", Drop::tx_ring_full), 90u);
      EXPECT_EQ(totals().imbalance(), 0);
    }
  };
  Fixture().TestBody();
}

TEST_F(SwitchTest, IsolatedPortsReachTheOthersButNotEachOther) {
  configure(R"(
networks:
  - {name: n, bridge: {name: virbr1}, ips: [{address: 192.168.100.1, prefix: 24}], port: {isolated: yes}}
ports:
  - {name: i1, network: n, tap: {name: i1}}
  - {name: i2, network: n, tap: {name: i2}}
  - {name: open, network: n, tap: {name: open}, port: {isolated: no}}
)");
  learn("i2", kB);
  auto unicast = ethernet(kB, kA);
  unicast.payload_type(0x88b5);
  push("i1", unicast);
  run();
  EXPECT_EQ(sent("i2").size(), 0u);
  EXPECT_EQ(drops("i1", Drop::l2_isolated), 1u);

  auto flooded = ethernet("ff:ff:ff:ff:ff:ff", kA);
  flooded.payload_type(0x88b5);
  push("i1", flooded);
  run();
  EXPECT_EQ(sent("i2").size(), 0u);
  EXPECT_EQ(sent("open").size(), 1u);
  EXPECT_EQ(sent("virbr1").size(), 1u);

  auto to_isolated = ethernet(kB, "52:54:00:00:00:0c");
  to_isolated.payload_type(0x88b5);
  push("open", to_isolated);
  run();
  EXPECT_EQ(sent("i2").size(), 1u);
}

TEST_F(SwitchTest, TheGatewayAsksForIsolatedGuestsButJoinsThemNot) {
  configure(R"(
networks:
  - {name: a, bridge: {host: no}, ips: [{address: 192.168.100.1, prefix: 24}], port: {isolated: yes}}
ports:
  - {name: i1, network: a, tap: {name: i1}}
  - {name: i2, network: a, tap: {name: i2}}
)");
  learn("i1", kA);
  auto routed = udp(kA, kGatewayMac, "192.168.100.5", "192.168.100.6", 1000, 2000);
  push("i1", routed);
  run();
  EXPECT_EQ(sent("i2").size(), 1u) << "the gateway's ARP request";
  resolve("i2", "192.168.100.6", kB, "192.168.100.1", kGatewayMac);
  (void)sent("i2");
  push("i1", routed);
  run();
  EXPECT_EQ(sent("i2").size(), 0u) << "by way of the gateway, too, it does not get there";
  EXPECT_GE(drops("i1", Drop::l2_isolated), 1u);
}

TEST_F(SwitchTest, APortWhoseLinkIsDownTakesNoPart) {
  configure(R"(
networks: [{name: n, ips: []}]
ports:
  - {name: down, network: n, tap: {name: d}, link: {state: down}}
  - {name: a, network: n, tap: {name: a}}
  - {name: b, network: n, tap: {name: b}}
)");
  auto frame = ethernet("ff:ff:ff:ff:ff:ff", kA);
  frame.payload_type(0x88b5);
  push("down", frame);
  push("a", frame);
  run();
  EXPECT_EQ(drops("down", Drop::ingress_port_down), 1u);
  EXPECT_EQ(sent("down").size(), 0u);
  EXPECT_EQ(sent("b").size(), 1u);
}

TEST_F(SwitchTest, InBridgeModeTheUplinkIsAMemberOfTheNetwork) {
  configure(R"(
uplinks: [{name: lan, tap: {name: lan0}}]
networks: [{name: n, forward: {mode: bridge, dev: lan}}]
ports:
  - {name: a, network: n, tap: {name: a}}
  - {name: b, network: n, tap: {name: b}}
)");
  auto out = ethernet("ff:ff:ff:ff:ff:ff", kA);
  out.payload_type(0x88b5);
  push("a", out);
  run();
  EXPECT_EQ(sent("lan").size(), 1u);
  EXPECT_EQ(sent("b").size(), 1u);
  auto back = ethernet(kA, "52:54:00:00:00:99");  // not weft's own MAC: the wire is shared
  back.payload_type(0x88b5);
  push("lan", back);
  run();
  EXPECT_EQ(sent("a").size(), 1u);
  EXPECT_EQ(sent("b").size(), 0u);
}

}  // namespace
}  // namespace weft::vswitch::test
