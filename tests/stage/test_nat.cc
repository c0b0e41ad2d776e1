// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/checksum.h"
#include "tests/stage/fixture.h"

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr const char* kA = "52:54:00:00:00:0a";
constexpr const char* kB = "52:54:00:00:00:0b";
constexpr const char* kPeer = "52:54:00:00:0f:01";

class MasqueradeStage : public SwitchTest {
 protected:
  void SetUp() override {
    configure(kRedBehindWan);
    resolve("r1", "192.168.100.10", kA, "192.168.100.1", kGatewayMac);
    resolve("r2", "192.168.100.11", kB, "192.168.100.1", kGatewayMac);
    resolve("wan", "203.0.113.1", kPeer, "203.0.113.2", kUplinkMac);
  }
};

TEST_F(MasqueradeStage, UdpGoesOutFromTheUplinksAddressAndComesBack) {
  auto out = udp(kA, kGatewayMac, "192.168.100.10", "198.51.100.5", 5000, 53);
  push("r1", out);
  run();
  const auto seen = sent_one("wan");
  EXPECT_EQ(seen.rfind_pdu<Tins::IP>().src_addr(), "203.0.113.2");
  EXPECT_EQ(seen.rfind_pdu<Tins::UDP>().sport(), 5000) << "the port is kept when it is free";
  auto back = udp(kPeer, kUplinkMac, "198.51.100.5", "203.0.113.2", 53, 5000, "answer");
  push("wan", back);
  run();
  const auto reply = sent_one("r1");
  EXPECT_EQ(reply.dst_addr().to_string(), kA);
  EXPECT_EQ(reply.rfind_pdu<Tins::IP>().dst_addr(), "192.168.100.10");
  EXPECT_EQ(reply.rfind_pdu<Tins::UDP>().dport(), 5000);
  EXPECT_EQ(sent("r2").size(), 0u);
}

TEST_F(MasqueradeStage, UnsolicitedInboundIsDroppedByName) {
  auto in = udp(kPeer, kUplinkMac, "198.51.100.5", "203.0.113.2", 53, 6000);
  push("wan", in);
  run();
  EXPECT_EQ(drops("wan", Drop::nat_no_mapping), 1u);
  EXPECT_EQ(sent("wan").size(), 0u) << "and nobody is told";
}

TEST_F(MasqueradeStage, AMappedPortTakesNothingFromAnEndpointNeverWrittenTo) {
  auto out = udp(kA, kGatewayMac, "192.168.100.10", "198.51.100.5", 5000, 53);
  push("r1", out);
  run();
  auto in = udp(kPeer, kUplinkMac, "198.51.100.66", "203.0.113.2", 53, 5000);
  push("wan", in);
  run();
  EXPECT_EQ(drops("wan", Drop::nat_filtered), 1u);
}

TEST_F(MasqueradeStage, EchoPassesBothWays) {
  auto out = echo(kA, kGatewayMac, "192.168.100.10", "198.51.100.5");
  push("r1", out);
  run();
  const auto seen = sent_one("wan");
  EXPECT_EQ(seen.rfind_pdu<Tins::IP>().src_addr(), "203.0.113.2");
  Tins::ICMP icmp(Tins::ICMP::ECHO_REPLY);
  icmp.id(seen.rfind_pdu<Tins::ICMP>().id());
  icmp.sequence(1);
  auto back =
      ethernet(kUplinkMac, kPeer) / Tins::IP("203.0.113.2", "198.51.100.5") / icmp / Tins::RawPDU("0123456789abcdef");
  push("wan", back);
  run();
  EXPECT_EQ(sent_one("r1").rfind_pdu<Tins::ICMP>().id(), 7);
}

TEST_F(MasqueradeStage, AnErrorFromOutsideReachesTheGuestWithItsOwnPacketQuoted) {
  auto out = udp(kA, kGatewayMac, "192.168.100.10", "198.51.100.5", 5000, 33434);
  push("r1", out);
  run();
  auto seen = sent("wan");
  ASSERT_EQ(seen.size(), 1u);
  const std::vector<uint8_t> quoted(seen[0].bytes.begin() + 14, seen[0].bytes.end());
  Tins::ICMP error(Tins::ICMP::TIME_EXCEEDED);
  auto back = ethernet(kUplinkMac, kPeer) / Tins::IP("203.0.113.2", "203.0.113.1") / error / Tins::RawPDU(quoted);
  push("wan", back);
  run();
  const auto frames = sent("r1");
  ASSERT_EQ(frames.size(), 1u);
  const auto& b = frames[0].bytes;
  EXPECT_EQ(wire::checksum(b.data() + 14, 20), 0);
  EXPECT_EQ(wire::checksum(b.data() + 34, b.size() - 34), 0);
  const std::vector<uint8_t> guest_source = {192, 168, 100, 10};
  EXPECT_TRUE(std::equal(guest_source.begin(), guest_source.end(), b.begin() + 34 + 8 + 12));
}

class MasqueradePool : public SwitchTest {
 protected:
  void SetUp() override {
    configure(R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: red
    forward: {mode: nat, nat: {address: {start: 203.0.113.10, end: 203.0.113.11}}}
    bridge: {host: no}
    ips: [{address: 192.168.100.1, prefix: 24}]
ports: [{name: r1, network: red, tap: {name: r1}}]
)");
    resolve("r1", "192.168.100.10", kA, "192.168.100.1", kGatewayMac);
    resolve("wan", "203.0.113.1", kPeer, "203.0.113.2", kUplinkMac);
  }
};

TEST_F(MasqueradePool, ItsAddressesAreAnsweredByArpOnTheUplinkAndNoOthers) {
  for (const char* address : {"203.0.113.10", "203.0.113.11"}) {
    auto question = arp_request("203.0.113.1", kPeer, address);
    push("wan", question);
    run();
    const auto reply = sent_one("wan");
    EXPECT_EQ(reply.dst_addr().to_string(), kPeer);
    const auto& arp = reply.rfind_pdu<Tins::ARP>();
    EXPECT_EQ(arp.opcode(), Tins::ARP::REPLY);
    EXPECT_EQ(arp.sender_ip_addr(), address);
    EXPECT_EQ(arp.sender_hw_addr().to_string(), kUplinkMac);
  }
  auto other = arp_request("203.0.113.1", kPeer, "203.0.113.12");
  push("wan", other);
  run();
  EXPECT_EQ(sent("wan").size(), 0u);
  auto claim = arp_request("203.0.113.10", kPeer, "203.0.113.10");
  push("wan", claim);
  run();
  EXPECT_EQ(drops("wan", Drop::local_arp_conflict), 1u);
}

TEST_F(MasqueradePool, AFlowLeavesWithOneOfItsAddressesAndComesBackToIt) {
  std::string address;
  for (uint16_t port = 5000; port < 5004; ++port) {
    auto out = udp(kA, kGatewayMac, "192.168.100.10", "198.51.100.5", port, 53);
    push("r1", out);
    run();
    const auto seen = sent_one("wan").rfind_pdu<Tins::IP>().src_addr().to_string();
    EXPECT_TRUE(seen == "203.0.113.10" || seen == "203.0.113.11") << seen;
    EXPECT_TRUE(address.empty() || address == seen) << "a guest keeps to one (RFC 4787 REQ-2)";
    address = seen;
  }
  for (const auto& [destination, n] : {std::pair(address, 1u), std::pair(std::string("203.0.113.2"), 0u)}) {
    auto back = udp(kPeer, kUplinkMac, "198.51.100.5", destination, 53, 5000, "answer");
    push("wan", back);
    run();
    EXPECT_EQ(sent("r1").size(), n) << destination;
  }
  EXPECT_EQ(drops("wan", Drop::nat_no_mapping), 1u);
}

TEST_F(MasqueradeStage, ATsoFrameIsTranslatedWhole) {
  auto syn = ethernet(kGatewayMac, kA) / Tins::IP("198.51.100.5", "192.168.100.10") / Tins::TCP(80, 4000);
  syn.rfind_pdu<Tins::TCP>().flags(Tins::TCP::SYN);
  push("r1", syn);
  run();
  (void)sent("wan");
  auto data = ethernet(kGatewayMac, kA) / Tins::IP("198.51.100.5", "192.168.100.10") / Tins::TCP(80, 4000) /
              Tins::RawPDU(std::string(20'000, 'd'));
  data.rfind_pdu<Tins::TCP>().flags(Tins::TCP::ACK);
  auto bytes = data.serialize();
  // As a guest leaves it: the pseudo-header's sum in the checksum field.
  wire::ChecksumSum sum;
  sum.add_pseudo(wire::Ipv4Address(192, 168, 100, 10), wire::Ipv4Address(198, 51, 100, 5), 6,
                 static_cast<uint16_t>(bytes.size() - 34));
  const uint16_t partial = sum.fold();
  std::memcpy(bytes.data() + 50, &partial, 2);
  push("r1", bytes, {dataplane::Checksum::partial, dataplane::Gso::tcp4, 34, 16, 1448});
  run();
  const auto frames = sent("wan");
  ASSERT_EQ(frames.size(), 14u) << "the receiver takes no TSO: it gets cuts";
  size_t payload = 0;
  for (const auto& f : frames) {
    Tins::EthernetII eth(f.bytes.data(), static_cast<uint32_t>(f.bytes.size()));
    EXPECT_EQ(eth.rfind_pdu<Tins::IP>().src_addr(), "203.0.113.2");
    payload += eth.rfind_pdu<Tins::RawPDU>().payload_size();
    wire::ChecksumSum check;
    check.add_pseudo(wire::Ipv4Address(203, 0, 113, 2), wire::Ipv4Address(198, 51, 100, 5), 6,
                     static_cast<uint16_t>(f.bytes.size() - 34));
    check.add(f.bytes.data() + 34, f.bytes.size() - 34);
    EXPECT_EQ(check.checksum(), 0);
  }
  EXPECT_EQ(payload, 20'000u);
}

}  // namespace
}  // namespace weft::vswitch::test
