// SPDX-License-Identifier: BSD-3-Clause
//
// Several workers in one switch: connections and their owners, what is handed over, what they hear of neighbours. The
// other files' tests run with two and three workers too (WEFT_TEST_WORKERS); these are about what is between them.
#include "dataplane/wire/checksum.h"
#include "nat/shard.h"
#include "switch/guest_limits.h"
#include "tests/stage/fixture.h"

#include <algorithm>
#include <set>
#include <string>

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr const char* kA = "52:54:00:00:00:0a";
constexpr const char* kB = "52:54:00:00:00:0b";
constexpr const char* kPeer = "52:54:00:00:0f:01";
constexpr const char* kIpA = "192.168.100.10";
constexpr const char* kIpB = "192.168.100.11";
constexpr const char* kFar = "198.51.100.5";

class Workers : public SwitchTest, public testing::WithParamInterface<uint16_t> {
 protected:
  void SetUp() override {
    n_workers_ = GetParam();
    configure(kRedBehindWan);
  }
  void resolve_all() {
    resolve("r1", kIpA, kA, "192.168.100.1", kGatewayMac);
    resolve("r2", kIpB, kB, "192.168.100.1", kGatewayMac);
    resolve("wan", "203.0.113.1", kPeer, "203.0.113.2", kUplinkMac);
  }
  /// A source port, from `from` on, whose connections another worker owns than the one that serves the port.
  uint16_t foreign_port(const std::string& port_name, uint16_t from = 5000) {
    while (nat::shard_of_port(from, n_workers()) == worker_of(port_name)) ++from;
    return from;
  }
  uint16_t owner(uint16_t port) const { return nat::shard_of_port(port, n_workers()); }
  void send_out(uint16_t source_port, const std::string& payload = "weft") {
    auto frame = udp(kA, kGatewayMac, kIpA, kFar, source_port, 53, payload);
    push("r1", frame);
  }
  void send_back(uint16_t destination_port, const std::string& payload = "answer") {
    auto frame = udp(kPeer, kUplinkMac, kFar, "203.0.113.2", 53, destination_port, payload);
    push("wan", frame);
  }
  static Tins::EthernetII read(const dataplane::MemoryFrame& f) {
    return Tins::EthernetII(f.bytes.data(), static_cast<uint32_t>(f.bytes.size()));
  }
  static std::string text(Tins::EthernetII& frame) {
    const auto& payload = frame.rfind_pdu<Tins::RawPDU>().payload();
    return {payload.begin(), payload.end()};
  }
};

INSTANTIATE_TEST_SUITE_P(Some, Workers, testing::Values(2, 3, 5),
                         [](const auto& run) { return std::to_string(run.param) + "_workers"; });

// ---- connections ----------------------------------------------------------------------------------------------------

TEST_P(Workers, EveryPortGoesOutAsItIsAndComesBackWhoeverOwnsIt) {
  resolve_all();
  for (uint16_t port = 5000; port < 5032; ++port) {
    send_out(port);
    run();
    auto seen = sent_one("wan");
    EXPECT_EQ(seen.rfind_pdu<Tins::IP>().src_addr(), "203.0.113.2");
    EXPECT_EQ(seen.rfind_pdu<Tins::UDP>().sport(), port) << "kept: it is free, and the owner's";
    send_back(port);
    run();
    auto reply = sent_one("r1");
    EXPECT_EQ(reply.dst_addr().to_string(), kA);
    EXPECT_EQ(reply.rfind_pdu<Tins::UDP>().dport(), port);
  }
  for (uint16_t w = 0; w < n_workers(); ++w) {
    uint32_t cursor = 0;
    std::array<nat::ConnectionInfo, 64> listed;
    const size_t n = pipeline(w).masquerade().snapshot(cursor, listed, now_ns() / 1'000'000);
    EXPECT_GT(n, 0u) << "each has some";
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(owner(listed[i].source_port), w);
  }
}

TEST_P(Workers, APortThatIsTakenBecomesAnotherOfTheSameOwnerAndParity) {
  resolve_all();
  for (uint16_t port = 6000; port < 6016; ++port) {
    send_out(port);
    run();
    (void)sent("wan");
    auto other = udp(kB, kGatewayMac, kIpB, kFar, port, 53);
    push("r2", other);
    run();
    const uint16_t given = sent_one("wan").rfind_pdu<Tins::UDP>().sport();
    EXPECT_NE(given, port);
    EXPECT_EQ(owner(given), owner(port));
    EXPECT_EQ(given % 2, port % 2);
    send_back(given, "to b");
    run();
    auto reply = sent_one("r2");
    EXPECT_EQ(reply.rfind_pdu<Tins::UDP>().dport(), port);
    EXPECT_EQ(sent("r1").size(), 0u);
  }
}

TEST_P(Workers, FlowsKeepTheirOrderOutAndBack) {
  resolve_all();
  constexpr int kEach = 100;
  const std::vector<uint16_t> flows = {7000, 7002, 7004, 7006, 7008};
  for (int i = 0; i < kEach; ++i)
    for (const uint16_t port : flows) send_out(port, std::to_string(i));
  run();
  std::map<uint16_t, int> next;
  for (const auto& f : sent("wan")) {
    auto frame = read(f);
    EXPECT_EQ(text(frame), std::to_string(next[frame.rfind_pdu<Tins::UDP>().sport()]++));
  }
  for (const uint16_t port : flows) EXPECT_EQ(next[port], kEach);

  for (int i = 0; i < kEach; ++i)
    for (const uint16_t port : flows) send_back(port, std::to_string(i));
  run();
  next.clear();
  for (const auto& f : sent("r1")) {
    auto frame = read(f);
    EXPECT_EQ(text(frame), std::to_string(next[frame.rfind_pdu<Tins::UDP>().dport()]++));
  }
  for (const uint16_t port : flows) EXPECT_EQ(next[port], kEach);
}

TEST_P(Workers, EchoIsOwnedByItsIdentifier) {
  resolve_all();
  for (uint16_t id = 40; id < 50; ++id) {
    auto out = echo(kA, kGatewayMac, kIpA, kFar);
    out.rfind_pdu<Tins::ICMP>().id(id);
    push("r1", out);
    run();
    EXPECT_EQ(sent_one("wan").rfind_pdu<Tins::ICMP>().id(), id);
    Tins::ICMP icmp(Tins::ICMP::ECHO_REPLY);
    icmp.id(id);
    icmp.sequence(1);
    auto back = ethernet(kUplinkMac, kPeer) / Tins::IP("203.0.113.2", kFar) / icmp / Tins::RawPDU("0123456789abcdef");
    push("wan", back);
    run();
    EXPECT_EQ(sent_one("r1").rfind_pdu<Tins::ICMP>().id(), id);
  }
}

TEST_P(Workers, ErrorsBelongToTheConnectionTheyQuote) {
  resolve_all();
  for (uint16_t port = 5000; port < 5010; ++port) {
    send_out(port);
    run();
    auto seen = sent("wan");
    ASSERT_EQ(seen.size(), 1u);
    // From outside: a router there had no way on.
    const std::vector<uint8_t> quoted(seen[0].bytes.begin() + 14, seen[0].bytes.end());
    Tins::ICMP unreachable(Tins::ICMP::DEST_UNREACHABLE);
    auto error =
        ethernet(kUplinkMac, kPeer) / Tins::IP("203.0.113.2", "203.0.113.1") / unreachable / Tins::RawPDU(quoted);
    push("wan", error);
    run();
    auto told = sent("r1");
    ASSERT_EQ(told.size(), 1u) << port;
    EXPECT_EQ(told[0].bytes[34 + 8 + 20] * 256 + told[0].bytes[34 + 8 + 21], port) << "it quotes what the guest sent";
    // From inside: the guest does not listen there any more.
    send_back(port);
    run();
    const auto answer = sent("r1");
    ASSERT_EQ(answer.size(), 1u);
    const std::vector<uint8_t> answered(answer[0].bytes.begin() + 14, answer[0].bytes.end());
    auto refused = ethernet(kGatewayMac, kA) / Tins::IP(kFar, kIpA) / unreachable / Tins::RawPDU(answered);
    push("r1", refused);
    run();
    auto out = sent("wan");
    ASSERT_EQ(out.size(), 1u) << port;
    EXPECT_EQ(read(out[0]).rfind_pdu<Tins::IP>().src_addr(), "203.0.113.2");
    EXPECT_EQ(out[0].bytes[34 + 8 + 22] * 256 + out[0].bytes[34 + 8 + 23], port) << "it quotes what the world sent";
  }
  EXPECT_EQ(drops("wan", Drop::nat_bad_icmp) + drops("r1", Drop::nat_bad_icmp), 0u);
}

TEST_P(Workers, WhatNoConnectionAsksForIsDroppedWithTheSameNames) {
  resolve_all();
  for (uint16_t port = 9000; port < 9010; ++port) send_back(port);
  run();
  EXPECT_EQ(drops("wan", Drop::nat_no_mapping), 10u);
  Tins::ICMP error(Tins::ICMP::DEST_UNREACHABLE);
  auto bad = ethernet(kUplinkMac, kPeer) / Tins::IP("203.0.113.2", "203.0.113.1") / error / Tins::RawPDU("no packet");
  push("wan", bad);
  run();
  EXPECT_EQ(drops("wan", Drop::nat_bad_icmp), 1u);
  auto fragment = udp(kA, kGatewayMac, kIpA, kFar, 5000, 53);
  fragment.rfind_pdu<Tins::IP>().flags(Tins::IP::MORE_FRAGMENTS);
  push("r1", fragment);
  auto later = ethernet(kGatewayMac, kA) / Tins::IP(kFar, kIpA) / Tins::RawPDU(std::string(64, 'f'));
  later.rfind_pdu<Tins::IP>().fragment_offset(8);
  later.rfind_pdu<Tins::IP>().protocol(17);
  push("r1", later);
  auto sctp = ethernet(kGatewayMac, kA) / Tins::IP(kFar, kIpA) / Tins::RawPDU(std::string(64, 's'));
  sctp.rfind_pdu<Tins::IP>().protocol(132);
  push("r1", sctp);
  run();
  EXPECT_EQ(drops("r1", Drop::nat_fragment), 2u);
  EXPECT_EQ(drops("r1", Drop::nat_protocol), 1u);
}

TEST_P(Workers, ATsoFrameIsHandedOverWhole) {
  resolve_all();
  for (uint16_t port = 4000; port < 4010; ++port) {
    auto syn = ethernet(kGatewayMac, kA) / Tins::IP(kFar, kIpA) / Tins::TCP(80, port);
    syn.rfind_pdu<Tins::TCP>().flags(Tins::TCP::SYN);
    push("r1", syn);
    run();
    EXPECT_EQ(sent("wan").size(), 1u);
    auto data =
        ethernet(kGatewayMac, kA) / Tins::IP(kFar, kIpA) / Tins::TCP(80, port) / Tins::RawPDU(std::string(60'000, 'd'));
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
    ASSERT_EQ(frames.size(), 42u) << "the receiver takes no TSO: it gets cuts";
    for (const auto& f : frames) {
      wire::ChecksumSum check;
      check.add_pseudo(wire::Ipv4Address(203, 0, 113, 2), wire::Ipv4Address(198, 51, 100, 5), 6,
                       static_cast<uint16_t>(f.bytes.size() - 34));
      check.add(f.bytes.data() + 34, f.bytes.size() - 34);
      EXPECT_EQ(check.checksum(), 0);
    }
  }
}

// ---- handing over ---------------------------------------------------------------------------------------------------

TEST_P(Workers, WhatIsHandedOverIsHeldUntilTheOwnerTurns) {
  resolve_all();
  const uint16_t port = foreign_port("r1");
  send_out(port);
  turn(worker_of("r1"));
  EXPECT_EQ(sent("wan").size(), 0u);
  EXPECT_EQ(totals().held, 1u);
  EXPECT_EQ(totals().imbalance(), 0);
  turn(owner(port));
  EXPECT_EQ(totals().held, 0u);
  EXPECT_EQ(totals().imbalance(), 0);
  EXPECT_EQ(sent("wan").size(), 1u);
}

TEST_P(Workers, AnOwnerThatDoesNotTurnCostsItsPacketsAlone) {
  resolve_all();
  const uint16_t foreign = foreign_port("r1");
  uint16_t own = 5000;
  while (owner(own) != worker_of("r1")) ++own;
  const std::string payload(1400, 'x');
  size_t n_sent = 0;
  while (drops("r1", Drop::nat_handoff_full) == 0) {
    ASSERT_LT(n_sent, 10'000u) << "it is bounded";
    for (int i = 0; i < 32; ++i, ++n_sent) send_out(foreign, payload);
    turn(worker_of("r1"));
  }
  send_out(own);
  turn(worker_of("r1"));
  EXPECT_EQ(sent("wan").size(), 1u);
  const size_t n_lost = drops("r1", Drop::nat_handoff_full);
  EXPECT_GT(n_sent - n_lost, 2000u) << "a way holds thousands";
  EXPECT_EQ(totals().imbalance(), 0);
  run();
  EXPECT_EQ(sent("wan").size(), n_sent - n_lost) << "those that found room all go out";
  // And there is room again.
  send_out(foreign, payload);
  run();
  EXPECT_EQ(sent("wan").size(), 1u);
}

TEST_P(Workers, WhatWasHandedOverEndsWhenItsNetworkHasLostItsWayOut) {
  resolve_all();
  const uint16_t port = foreign_port("r1");
  send_out(port);
  turn(worker_of("r1"));
  publish([](Snapshot& s) { s.networks[0].mode = ForwardMode::none; });
  run();
  EXPECT_EQ(drops("r1", Drop::port_removed), 1u);
  EXPECT_EQ(sent("wan").size(), 0u);
}

TEST_P(Workers, WhatWasHandedOverEndsWhenItsUplinkIsNoneAnyMore) {
  resolve_all();
  uint16_t port = foreign_port("wan");
  send_out(port);
  run();
  (void)sent("wan");
  send_back(port);
  turn(worker_of("wan"));
  publish([this](Snapshot& s) { s.ports[id("wan")].uplink = kNoUplink; });
  run();
  EXPECT_EQ(drops("wan", Drop::port_removed), 1u);
  EXPECT_EQ(sent("r1").size(), 0u);
}

TEST_P(Workers, WhatWasHandedOverGoesOnWhenItsPortHasGone) {
  resolve_all();
  const uint16_t port = foreign_port("r1");
  send_out(port);
  turn(worker_of("r1"));
  publish([this](Snapshot& s) {
    s.ports[id("r1")] = {};
    auto& members = s.networks[0].members;
    members.erase(std::remove(members.begin(), members.end(), id("r1")), members.end());
  });
  run();
  EXPECT_EQ(sent("wan").size(), 1u);
}

// ---- neighbours -----------------------------------------------------------------------------------------------------

TEST_P(Workers, APacketWaitsForAnAnswerThatAnotherWorkerHears) {
  resolve("r1", kIpA, kA, "192.168.100.1", kGatewayMac);
  const uint16_t port = foreign_port("wan");  // whose owner does not serve the uplink
  send_out(port);
  run();
  auto question = sent_one("wan");
  EXPECT_EQ(question.rfind_pdu<Tins::ARP>().target_ip_addr().to_string(), "203.0.113.1");
  EXPECT_EQ(totals().held, 1u);
  auto answer = ethernet(kUplinkMac, kPeer) / arp_reply("203.0.113.2", "203.0.113.1", kUplinkMac, kPeer);
  push("wan", answer);
  run();
  auto seen = sent_one("wan");
  EXPECT_EQ(seen.dst_addr().to_string(), kPeer);
  EXPECT_EQ(seen.rfind_pdu<Tins::UDP>().sport(), port);
  EXPECT_EQ(totals().held, 0u);
}

TEST_P(Workers, ANeighbourThatMovesIsFollowedByAll) {
  resolve_all();
  auto gratuitous = ethernet("ff:ff:ff:ff:ff:ff", "52:54:00:00:0f:99");
  Tins::ARP arp = arp_reply("203.0.113.1", "203.0.113.1", "ff:ff:ff:ff:ff:ff", "52:54:00:00:0f:99");
  gratuitous /= arp;
  push("wan", gratuitous);
  run();
  forget_sent();
  for (uint16_t port = 5000; port < 5020; ++port) {
    send_out(port);
    run();
    for (const auto& f : sent("wan")) {
      auto frame = read(f);
      if (frame.payload_type() == 0x0800) {
        EXPECT_EQ(frame.dst_addr().to_string(), "52:54:00:00:0f:99") << port;
      }
    }
  }
}

TEST_P(Workers, NoNewsIsSentAboveAPortsRate) {
  resolve_all();
  for (int i = 0; i < 2000; ++i) {
    auto gossip = ethernet("ff:ff:ff:ff:ff:ff", kA) /
                  arp_reply("192.168.100." + std::to_string(20 + i % 200), kIpA, "ff:ff:ff:ff:ff:ff", kA);
    push("r1", gossip);
  }
  size_t n = 0;
  NeighbourNews news;
  const uint16_t from = worker_of("r1"), to = from == 0 ? 1 : 0;
  while (turn(from) != 0) {
  }
  while (handoffs().way(from, to).news.pop(news)) ++n;
  EXPECT_GT(n, 0u);
  EXPECT_LE(n, limits::kNewsBurst);
}

}  // namespace
}  // namespace weft::vswitch::test
