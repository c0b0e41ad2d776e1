// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/netdev_port.h"

#include "dataplane/netns.h"
#include "tests/unit/dataplane/kernel_peer.h"

#include <memory>

#include <gtest/gtest.h>

#include <netinet/udp.h>

namespace weft::dataplane {
namespace {

using namespace test;
using wire::Ipv4Address;

/// The port is on nd0; the tests play what is behind nd1.
class NetdevPortTest : public testing::Test {
 protected:
  void SetUp() override { make(); }
  void TearDown() override { remove("nd0"); }
  void make() {
    netlink_.add_veth("nd0", "nd1");
    netlink_.set_up(index("nd0"));
    netlink_.set_up(index("nd1"));
    wait_until_sending("nd0");
    wait_until_sending("nd1");
  }
  void remove(const char* name) {
    if (const auto l = netlink_.find(name)) netlink_.remove(l->index);
  }
  int index(const char* name) { return netlink_.find(name).value().index; }
  Netlink netlink_;
};

TEST_F(NetdevPortTest, SaysWhatItIs) {
  const NetdevPort port({.device = "nd0"});
  EXPECT_EQ(port.kind(), "netdev");
  EXPECT_EQ(port.n_queues(), 1);
  EXPECT_FALSE(port.is_polled());
  EXPECT_TRUE(port.is_up());
  EXPECT_FALSE(port.is_gone());
  EXPECT_EQ(port.index(), index("nd0"));
  EXPECT_EQ(port.link().mac, netlink_.find("nd0")->mac);
}

TEST_F(NetdevPortTest, AnAbsentNetdevIsAnErrorOfItsOwn) {
  EXPECT_THROW(NetdevPort({.device = "absent"}), NetdevAbsent);
  EXPECT_EQ(error_of([] { NetdevPort port({.device = "absent"}); }), "no netdev absent");
}

TEST_F(NetdevPortTest, RefusesWhatIsNotEthernet) {
  EXPECT_EQ(error_of([] { NetdevPort port({.device = "lo"}); }), "netdev lo is not an Ethernet device");
}

TEST_F(NetdevPortTest, FramesOfAllSizesPassBothWays) {
  for (const char* name : {"nd0", "nd1"}) netlink_.set_mtu(index(name), 9000);
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1");
  Receiver receiver(port);
  for (const size_t size : {15u, 60u, 191u, 192u, 193u, 1514u, 9014u}) {
    Bytes frame = pattern(size, 2);
    put16(frame, 12, 0x88b5);
    peer.send(frame);
    const Packet* p = receiver.next();
    ASSERT_NE(p, nullptr) << size;
    EXPECT_EQ(p->drop, Drop::none);
    EXPECT_EQ(flatten(*p), frame);
    EXPECT_EQ(p->head_size, std::min<size_t>(size, kHeaderCopy));
    for (const size_t piece : {0u, 70u}) {
      ASSERT_EQ(send_one(port, frame, {}, piece), Drop::none);
      EXPECT_EQ(peer.receive(), frame);
    }
  }
}

TEST_F(NetdevPortTest, ReceivesAndSendsInBursts) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1");
  Receiver receiver(port);
  for (uint8_t i = 0; i < 40; ++i) peer.send(make_frame({.payload = {i}}));
  for (uint8_t i = 0; i < 40; ++i) {
    const Packet* p = receiver.next();
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(flatten(*p).back(), i);
  }
  Burst burst;
  std::vector<Bytes> frames;
  for (uint8_t i = 0; i < 32; ++i) frames.push_back(make_frame({.payload = Bytes(1400, i)}));
  std::vector<Packet*> packets;
  for (const Bytes& f : frames) packets.push_back(&add_packet(burst, f, {}, 30));  // 39 pieces each
  port.tx(0, packets);
  for (const Bytes& f : frames) EXPECT_EQ(peer.receive(), f);
}

/// Not more than fits the cache, as far as the last burst tells how large frames are.
TEST_F(NetdevPortTest, ABurstOfLargeFramesIsShort) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1", RawPeer::VnetHeader::yes);
  Receiver receiver(port);
  send_tso(peer, 60000);
  ASSERT_NE(receiver.next(), nullptr);
  for (int i = 0; i < 4; ++i) send_tso(peer, 60000);
  peer.send(make_frame({}));
  Burst burst;
  size_t n = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (n < 5 && std::chrono::steady_clock::now() < end) {
    burst.clear();
    port.rx(0, burst);
    EXPECT_LE(burst.size(), 2);
    n += burst.size();
  }
  EXPECT_EQ(n, 5u);
  // And long again when they are small.
  for (int i = 0; i < 50; ++i) peer.send(make_frame({}));
  n = 0;
  uint16_t longest = 0;
  while (n < 50 && std::chrono::steady_clock::now() < end) {
    burst.clear();
    port.rx(0, burst);
    longest = std::max(longest, burst.size());
    n += burst.size();
  }
  EXPECT_EQ(longest, kBurst);
}

TEST_F(NetdevPortTest, DoesNotSeeWhatTheHostSends) {
  NetdevPort port({.device = "nd0"});
  RawPeer host("nd0"), peer("nd1");
  Receiver receiver(port);
  const Bytes from_host = make_frame({.payload = {1}}), from_wire = make_frame({.payload = {2}});
  host.send(from_host);
  EXPECT_EQ(peer.receive(), from_host);
  peer.send(from_wire);
  const Packet* p = receiver.next();
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(flatten(*p), from_wire);
  EXPECT_EQ(receiver.next(0), nullptr);
}

TEST_F(NetdevPortTest, PutsVlanTagsBack) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1", RawPeer::VnetHeader::yes);
  Receiver receiver(port);
  for (const size_t n_tags : {1u, 2u}) {
    for (const size_t payload : {10u, 134u, 138u, 1000u}) {
      const FrameSpec spec{.is_udp = true, .n_tags = n_tags, .is_partial = true, .payload = pattern(payload)};
      const Bytes frame = make_frame(spec);
      peer.send(
          frame,
          {.flags = VirtioNetHeader::kNeedsCsum, .csum_start = static_cast<uint16_t>(spec.l4()), .csum_offset = 6});
      Packet* p = receiver.next();
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(p->drop, Drop::none);
      EXPECT_EQ(flatten(*p), frame);
      EXPECT_EQ(p->size, frame.size());
      ASSERT_EQ(p->offload.checksum, Checksum::partial);
      EXPECT_EQ(p->offload.csum_start, spec.l4());
      FrameSpec finished = spec;
      finished.is_partial = false;
      finish_checksum(*p);
      EXPECT_EQ(flatten(*p), make_frame(finished));
    }
  }
}

TEST_F(NetdevPortTest, DescribesTsoFramesAndPassesThemOn) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1", RawPeer::VnetHeader::yes);
  Receiver receiver(port);
  const FrameSpec spec{.tcp_options = 12, .is_partial = true, .payload = pattern(30000)};
  const Bytes frame = make_frame(spec);
  const VirtioNetHeader header{.flags = VirtioNetHeader::kNeedsCsum,
                               .gso_type = VirtioNetHeader::kGsoTcp4,
                               .hdr_len = 66,
                               .gso_size = 1448,
                               .csum_start = 34,
                               .csum_offset = 16};
  peer.send(frame, header);
  Packet* p = receiver.next();
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->drop, Drop::none);
  EXPECT_EQ(flatten(*p), frame);
  EXPECT_EQ(p->offload.gso, Gso::tcp4);
  EXPECT_EQ(p->offload.gso_size, 1448);
  ASSERT_EQ(send_one(port, frame, partial_offload(spec, 1448), 4096), Drop::none);
  EXPECT_EQ(peer.receive(), frame) << "whole: the kernel cuts only where it must";
  EXPECT_EQ(peer.last_header().gso_size, 1448);
}

TEST_F(NetdevPortTest, AKernelsPartialChecksumIsDescribed) {
  netlink_.add_address(index("nd1"), {Ipv4Address(192, 0, 2, 1), 24});
  set_arp("nd1", "192.0.2.2", {2, 0, 0, 0, 0, 1});
  NetdevPort port({.device = "nd0"});
  Receiver receiver(port);
  const UniqueFd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = ipv4_socket_address("192.0.2.2", 4000);
  const Bytes data = pattern(700);
  check(sendto(udp.get(), data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0, "send");
  Packet* p = receiver.next();
  ASSERT_NE(p, nullptr);
  ASSERT_EQ(p->offload.checksum, Checksum::partial);
  finish_checksum(*p);
  EXPECT_TRUE(has_right_checksum(flatten(*p)));
}

TEST_F(NetdevPortTest, UdpSegmentationIsDroppedByNameAndStopsNoOther) {
  netlink_.add_address(index("nd1"), {Ipv4Address(192, 0, 2, 1), 24});
  set_arp("nd1", "192.0.2.2", {2, 0, 0, 0, 0, 1});
  NetdevPort port({.device = "nd0"});
  Receiver receiver(port);
  const UniqueFd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = ipv4_socket_address("192.0.2.2", 4000);
  const Bytes data = pattern(3000);
  for (const int segment : {1000, 0}) {
    check(setsockopt(udp.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0, "UDP_SEGMENT");
    const size_t size = segment == 0 ? 500 : data.size();
    check(sendto(udp.get(), data.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0, "send");
  }
  // The kernel hands it over whole, or (before 6.2) says that it cannot.
  bool is_refused = false;
  const Packet* plain = nullptr;
  for (int i = 0; i < 2; ++i) {
    const Packet* p = receiver.next();
    ASSERT_NE(p, nullptr);
    if (p->drop == Drop::rx_bad_offload) is_refused = true;
    if (p->drop == Drop::none) plain = p;
  }
  EXPECT_TRUE(is_refused);
  EXPECT_NE(plain, nullptr);
}

TEST_F(NetdevPortTest, FramesAboveTheMtuAreDroppedByName) {
  NetdevPort port({.device = "nd0"});
  EXPECT_EQ(send_one(port, make_frame({.payload = pattern(1460)})), Drop::none);
  EXPECT_EQ(send_one(port, make_frame({.payload = pattern(3000)})), Drop::egress_too_big);
}

TEST_F(NetdevPortTest, OneBadFrameStopsNoOther) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1");
  Burst burst;
  const Bytes good = make_frame({}), large = make_frame({.payload = pattern(3000)}), tiny = pattern(3);
  std::vector<Packet*> packets{&add_packet(burst, good), &add_packet(burst, large), &add_packet(burst, tiny),
                               &add_packet(burst, good)};
  port.tx(0, packets);
  EXPECT_EQ(packets[0]->drop, Drop::none);
  EXPECT_EQ(packets[1]->drop, Drop::egress_too_big);
  EXPECT_EQ(packets[2]->drop, Drop::tx_error);
  EXPECT_EQ(packets[3]->drop, Drop::none);
  EXPECT_EQ(peer.receive(), good);
  EXPECT_EQ(peer.receive(), good);
}

TEST_F(NetdevPortTest, ComesBackWithItsLink) {
  NetdevPort port({.device = "nd0"});
  RawPeer peer("nd1");
  Receiver receiver(port);
  const Bytes frame = make_frame({});
  netlink_.set_down(index("nd0"));
  EXPECT_FALSE(port.is_up());
  EXPECT_FALSE(port.is_gone());
  EXPECT_EQ(send_one(port, frame), Drop::tx_not_ready);
  EXPECT_EQ(receiver.next(0), nullptr);
  netlink_.set_up(index("nd0"));
  EXPECT_TRUE(port.is_up());
  wait_until_sending("nd1");
  peer.send(frame);
  EXPECT_NE(receiver.next(), nullptr);
  EXPECT_EQ(send_one(port, frame), Drop::none);
}

TEST_F(NetdevPortTest, SurvivesTheRemovalOfItsNetdevAndTakesTheNextOne) {
  NetdevPort port({.device = "nd0"});
  Receiver receiver(port);
  const Bytes frame = make_frame({});
  remove("nd0");
  EXPECT_TRUE(port.is_gone());
  EXPECT_FALSE(port.is_up());
  EXPECT_EQ(send_one(port, frame), Drop::tx_not_ready);
  EXPECT_EQ(receiver.next(0), nullptr);
  EXPECT_THROW(port.reopen(), NetdevAbsent);
  EXPECT_THROW(static_cast<void>(port.link()), NetdevAbsent);
  make();
  port.reopen();
  EXPECT_TRUE(port.is_up());
  RawPeer peer("nd1");
  peer.send(frame);
  const Packet* p = receiver.next();
  ASSERT_NE(p, nullptr) << "at the same descriptor, in the same event set";
  EXPECT_EQ(flatten(*p), frame);
  EXPECT_EQ(send_one(port, frame), Drop::none);
  EXPECT_EQ(peer.receive(), frame);
}

TEST_F(NetdevPortTest, CountsWhatTheKernelDropped) {
  NetdevPort port({.device = "nd0", .rx_buffer_bytes = 4096});
  RawPeer peer("nd1");
  for (int i = 0; i < 100; ++i) peer.send(make_frame({.payload = pattern(1000)}));
  Burst burst;
  port.rx(0, burst);
  EXPECT_GT(burst.size(), 0);
  EXPECT_EQ(port.kernel_drops() + burst.size(), 100u);
  EXPECT_EQ(port.kernel_drops() + burst.size(), 100u) << "a sum, not a difference";
}

TEST_F(NetdevPortTest, TakesANetdevOfAnotherNamespace) {
  const NewNetns netns;
  netlink_.move(index("nd0"), netns.fd());
  in_netns(netns.path(), [] {
    Netlink n;
    n.set_up(n.find("nd0").value().index);
  });
  wait_until_sending("nd1");
  NetdevPort port({.device = "nd0", .netns = netns.path()});
  EXPECT_TRUE(port.is_up());
  RawPeer peer("nd1");
  Receiver receiver(port);
  const Bytes frame = make_frame({});
  peer.send(frame);
  EXPECT_NE(receiver.next(), nullptr);
  remove("nd1");
  EXPECT_TRUE(port.is_gone());
}

TEST_F(NetdevPortTest, LeavesTheNetdevAsItWas) {
  const auto before = netlink_.find("nd0").value();
  { const NetdevPort port({.device = "nd0"}); }
  const auto after = netlink_.find("nd0").value();
  EXPECT_EQ(after.flags, before.flags);
  EXPECT_EQ(after.alias, before.alias);
}

}  // namespace
}  // namespace weft::dataplane
