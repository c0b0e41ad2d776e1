// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/tap_port.h"

#include "dataplane/netns.h"
#include "tests/unit/dataplane/kernel_peer.h"

#include <fstream>
#include <memory>
#include <numeric>

#include <gtest/gtest.h>

#include <linux/if_tun.h>
#include <signal.h>
#include <sys/wait.h>

namespace weft::dataplane {
namespace {

using namespace test;
using testing::Test;
using wire::Ipv4Address;
using wire::Ipv6Address;
using wire::MacAddress;

const Bytes kOurMac{2, 0, 0, 0, 0, 1};  // of whom the tap's kernel talks to

TapOptions tap(const std::string& name = "t0") { return {.name = name, .id = "port/" + name}; }

/// A tap of somebody else's making, persistent.
void make_foreign(const std::string& name, int flags) {
  const UniqueFd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(flags | IFF_NO_PI);
  check(ioctl(fd.get(), TUNSETIFF, &request) == 0 && ioctl(fd.get(), TUNSETPERSIST, 1) == 0, "foreign tap");
}

/// A child process that holds a tap until it is told to go, or dies at once.
class Child {
 public:
  explicit Child(const TapOptions& options, bool dies) {
    int ready[2], go[2];
    check(pipe(ready) == 0 && pipe(go) == 0, "pipe");
    pid_ = fork();
    if (pid_ == 0) {
      close(go[1]);
      try {
        const TapPort port(options);
        check(write(ready[1], "r", 1) == 1, "write");
        char c;
        if (dies) raise(SIGKILL);
        check(read(go[0], &c, 1) == 0, "read");
        raise(SIGKILL);
      } catch (...) {
        _exit(1);
      }
    }
    close(ready[1]);
    close(go[0]);
    go_.reset(go[1]);
    char c = 0;
    made_ = read(ready[0], &c, 1) == 1;
    close(ready[0]);
    if (dies) end();
  }
  ~Child() { end(); }
  void end() {
    go_.reset();
    if (pid_ > 0) waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  [[nodiscard]] bool made() const { return made_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  UniqueFd go_;
  bool made_ = false;
};

class TapPortTest : public Test {
 protected:
  void TearDown() override {
    for (const char* name : {"t0", "t1", "br0", "v0"}) {
      if (const auto l = netlink_.find(name)) netlink_.remove(l->index);
    }
  }
  std::optional<LinkInfo> link(const char* name = "t0") { return netlink_.find(name); }
  Netlink netlink_;
};

// --- making, keeping, taking again, removing
// ------------------------------------------------------------------

TEST_F(TapPortTest, MakesATapAsAsked) {
  TapOptions options = tap();
  options.mac = MacAddress::parse("52:54:00:aa:bb:01");
  options.mtu = 1400;
  const TapPort port(options);
  ASSERT_TRUE(link());
  EXPECT_TRUE(link()->is_tap);
  EXPECT_EQ(link()->alias, "weft:port/t0");
  EXPECT_EQ(link()->mac, options.mac);
  EXPECT_EQ(port.mac(), options.mac);
  EXPECT_EQ(link()->mtu, 1400u);
  EXPECT_TRUE(link()->is_up());
  EXPECT_EQ(port.index(), link()->index);
  EXPECT_TRUE(port.was_made());
  EXPECT_TRUE(port.is_up());
  EXPECT_FALSE(port.is_gone());
  EXPECT_EQ(port.kind(), "tap");
  EXPECT_EQ(port.n_queues(), 1);
  EXPECT_FALSE(port.is_polled());
}

TEST_F(TapPortTest, CanLeaveTheLinkDown) {
  TapOptions options = tap();
  options.link = TapOptions::Link::leave;
  const TapPort port(options);
  EXPECT_FALSE(port.is_up());
}

TEST_F(TapPortTest, StaysWhenThePortIsGoneAndIsTakenAgain) {
  { const TapPort port(tap()); }
  ASSERT_TRUE(link());
  const int index = link()->index;
  netlink_.add_address(index, {Ipv4Address(192, 0, 2, 7), 24});
  const TapPort again(tap());
  EXPECT_FALSE(again.was_made());
  EXPECT_EQ(again.index(), index);
  EXPECT_EQ(netlink_.addresses(index).size(), 1u) << "what the guest set is still there";
}

TEST_F(TapPortTest, IsTakenAgainAfterKill) {
  const Child child(tap(), true);
  ASSERT_TRUE(child.made());
  ASSERT_TRUE(link());
  const TapPort again(tap());
  EXPECT_FALSE(again.was_made());
  EXPECT_TRUE(again.is_up());
}

TEST_F(TapPortTest, GoesWithThePortWhenAsked) {
  auto port = std::make_unique<TapPort>(tap());
  port->remove_with_port();
  EXPECT_TRUE(link());
  port.reset();
  EXPECT_FALSE(link());
}

TEST_F(TapPortTest, SettingsAreAppliedWhenTakenAgain) {
  { const TapPort port(tap()); }
  TapOptions options = tap();
  options.mac = MacAddress::parse("52:54:00:aa:bb:02");
  options.mtu = 9000;
  TapPort port(options);
  EXPECT_EQ(link()->mac, options.mac);
  EXPECT_EQ(link()->mtu, 9000u);
  port.set_mtu(1450);
  EXPECT_EQ(link()->mtu, 1450u);
}

TEST_F(TapPortTest, LeavesNothingWhenItFails) {
  TapOptions options = tap();
  options.bridge = "br0";
  EXPECT_EQ(error_of([&] { TapPort port(options); }), "tap t0: br0 is the bridge to join, and does not exist");
  EXPECT_FALSE(link());
}

TEST_F(TapPortTest, MadeWithOtherQueuesIsMadeAnew) {
  TapOptions two = tap();
  two.queues = 2;
  { const TapPort port(tap()); }
  {
    const TapPort port(two);
    EXPECT_EQ(port.n_queues(), 2);
    EXPECT_TRUE(link()->is_multi_queue);
    EXPECT_EQ(link()->n_queues, 2u);
  }
  const TapPort port(tap());
  EXPECT_FALSE(link()->is_multi_queue);
  EXPECT_EQ(link()->alias, "weft:port/t0");
}

// --- refusals
// ---------------------------------------------------------------------------------------------------

TEST_F(TapPortTest, NamesWhoHoldsTheTap) {
  for (const bool is_multi_queue : {false, true}) {
    TapOptions options = tap(is_multi_queue ? "t1" : "t0");
    options.queues = is_multi_queue ? 2 : 1;
    Child child(options, false);
    ASSERT_TRUE(child.made());
    EXPECT_EQ(error_of([&] { TapPort port(options); }),
              "tap " + options.name + " is held by unit_dataplane_ (process " + std::to_string(child.pid()) +
                  "); stop it or choose another tap name");
    child.end();
    EXPECT_EQ(error_of([&] { TapPort port(options); }), "");
  }
}

TEST_F(TapPortTest, RefusesWhatIsNotItsOwn) {
  const auto refusal = [&](const std::string& name) { return error_of([&] { TapPort port(tap(name)); }); };
  make_foreign("t0", IFF_TAP);
  EXPECT_EQ(refusal("t0"), "tap t0 exists and is not weft's; remove it or choose another tap name");
  netlink_.set_alias(link()->index, "weft:port/other");
  EXPECT_EQ(refusal("t0"),
            "tap t0 exists and is weft's for port/other, not for port/t0; remove it or choose another tap name");
  make_foreign("t1", IFF_TUN);
  EXPECT_EQ(refusal("t1"), "t1 exists and is a tun device, not weft's tap; remove it or choose another tap name");
  netlink_.add_bridge("br0");
  EXPECT_EQ(refusal("br0"), "br0 exists and is a kernel bridge, not weft's tap; remove it or choose another tap name");
  netlink_.set_mac(link("br0")->index, MacAddress::parse("52:54:00:6a:1c:01").value());
  EXPECT_EQ(refusal("br0"),
            "br0 exists and is a kernel bridge as libvirt makes them; end libvirt's network with `virsh net-destroy` "
            "or choose another name");
  netlink_.add_veth("v0", "v1");
  EXPECT_EQ(refusal("v0"), "v0 exists and is a veth interface, not weft's tap; remove it or choose another tap name");
  EXPECT_TRUE(link("v0") && link("br0") && link("t1") && link("t0")) << "nothing of them was touched";
}

TEST_F(TapPortTest, RefusesNamesTheKernelWouldNotTakeAsTheyAre) {
  for (const char* name : {"", "sixteen-bytes-xx", "t%d", "a/b", "a b", ".", "..", "a:b"}) {
    const std::string error = error_of([&] { TapPort port(tap(name)); });
    EXPECT_NE(error.find("expected 1 to 15 bytes"), std::string::npos) << name << ": " << error;
  }
  TapOptions options = tap();
  options.queues = 0;
  EXPECT_EQ(error_of([&] { TapPort port(options); }), "tap t0: 0 queues; expected 1 to 256");
}

// --- where it lives
// ---------------------------------------------------------------------------------------------

TEST_F(TapPortTest, LivesInTheNamespaceAskedFor) {
  const NewNetns netns;
  TapOptions options = tap();
  options.netns = netns.path();
  {
    TapPort port(options);
    EXPECT_FALSE(link()) << "not here";
    EXPECT_TRUE(port.is_up());
    std::unique_ptr<RawPeer> peer;
    in_netns(netns.path(), [&] {
      EXPECT_EQ(Netlink().find("t0").value().alias, "weft:port/t0");
      peer = std::make_unique<RawPeer>("t0");
    });
    Receiver receiver(port);
    const Bytes frame = make_frame({.payload = pattern(99)});
    peer->send(frame);
    const Packet* p = receiver.next();
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(flatten(*p), frame);
  }
  TapPort again(options);
  EXPECT_FALSE(again.was_made());
  again.remove_with_port();
}

TEST_F(TapPortTest, IsGoneWithItsNamespace) {
  NewNetns netns;
  TapOptions options = tap();
  options.netns = netns.path();
  TapPort port(options);
  EXPECT_FALSE(port.is_gone());
  netns.close();  // as `ip netns delete` does; the port itself keeps the namespace alive
  EXPECT_TRUE(port.is_gone());
  EXPECT_FALSE(port.is_up());
}

TEST_F(TapPortTest, RefusesANamespaceThatIsNotThere) {
  TapOptions options = tap();
  options.netns = "no-such-ns";
  EXPECT_EQ(error_of([&] { TapPort port(options); }),
            "no network namespace no-such-ns: /run/netns/no-such-ns: No such file or directory");
}

TEST_F(TapPortTest, JoinsABridgeAndIsSilentThere) {
  netlink_.add_bridge("br0");
  TapOptions options = tap();
  options.bridge = "br0";
  const TapPort port(options);
  EXPECT_EQ(link()->master, link("br0")->index);
  std::ifstream disabled("/proc/sys/net/ipv6/conf/t0/disable_ipv6");
  EXPECT_EQ(disabled.get(), '1');
}

TEST_F(TapPortTest, CarriesTheGivenAddressesAndNoOthers) {
  const InterfaceAddress v4{Ipv4Address(192, 0, 2, 1), 24}, old{Ipv4Address(192, 0, 2, 99), 24},
      v6{Ipv6Address::parse("2001:db8::1").value(), 64};
  const auto sysctl = [](const std::string& name) {
    std::ifstream in("/proc/sys/net/ipv6/conf/t0/" + name);
    return static_cast<char>(in.get());
  };
  TapOptions options = tap();
  options.addresses = {old};
  {
    const TapPort port(options);
    EXPECT_EQ(netlink_.addresses(port.index()), std::vector{old});
    EXPECT_EQ(sysctl("disable_ipv6"), '1');
  }
  options.addresses = {v4, v6};
  const TapPort port(options);
  auto all = netlink_.addresses(port.index());
  std::erase_if(all, [](const auto& a) { return a.address.is_v6() && a.address.v6().is_link_local(); });
  EXPECT_EQ(all, (std::vector{v4, v6}));
  EXPECT_EQ(sysctl("disable_ipv6"), '0');
  EXPECT_EQ(sysctl("accept_ra"), '0');
  EXPECT_EQ(sysctl("autoconf"), '0');
}

// --- frames
// -----------------------------------------------------------------------------------------------------

TEST_F(TapPortTest, FramesOfAllSizesPassBothWays) {
  TapOptions options = tap();
  options.mtu = 9000;
  TapPort port(options);
  RawPeer peer("t0");
  Receiver receiver(port);
  for (const size_t size : {14u, 60u, 191u, 192u, 193u, 1514u, 9014u}) {
    Bytes frame = pattern(size, 2);
    put16(frame, 12, 0x88b5);  // IEEE 802, for experiments
    frame[0] &= 0xfe;
    peer.send(frame);
    const Packet* p = receiver.next();
    ASSERT_NE(p, nullptr) << size;
    EXPECT_EQ(p->drop, Drop::none);
    EXPECT_EQ(flatten(*p), frame);
    EXPECT_EQ(p->size, size);
    EXPECT_EQ(p->head_size, std::min<size_t>(size, kHeaderCopy));
    EXPECT_EQ(p->n_payload, size > kHeaderCopy ? 1 : 0);
    EXPECT_EQ(p->offload.checksum, Checksum::unknown);
    for (const size_t piece : {0u, 70u}) {
      ASSERT_EQ(send_one(port, frame, {}, piece), Drop::none);
      EXPECT_EQ(peer.receive(), frame);
      ASSERT_EQ(send_one(port, frame, {.checksum = Checksum::valid}, piece), Drop::none);
      EXPECT_EQ(peer.receive(), frame);
    }
  }
}

TEST_F(TapPortTest, ReceivesFullBurstsUntilThereIsNoMore) {
  TapPort port(tap());
  RawPeer peer("t0");
  for (uint8_t i = 0; i < 40; ++i) peer.send(make_frame({.payload = {i}}));
  Burst burst;
  port.rx(0, burst);
  EXPECT_EQ(burst.size(), 32);
  burst.clear();
  port.rx(0, burst);
  ASSERT_EQ(burst.size(), 8);
  EXPECT_EQ(flatten(burst[7]).back(), 39);
  burst.clear();
  port.rx(0, burst);
  EXPECT_EQ(burst.size(), 0);
}

TEST_F(TapPortTest, ABurstEndsWhenItHasEnoughBytes) {
  TapPort port(tap());
  wait_until_sending("t0");
  RawPeer peer("t0", RawPeer::VnetHeader::yes);
  for (int i = 0; i < 5; ++i) send_tso(peer, 60000);
  for (const int expected : {2, 2, 1}) {
    Burst burst;
    port.rx(0, burst);
    EXPECT_EQ(burst.size(), expected);
  }
}

TEST_F(TapPortTest, TellsTheWorkerOnceForEachNewInput) {
  TapPort port(tap());
  RawPeer peer("t0");
  EpollEvents events;
  port.attach(77, 0, events);
  EXPECT_FALSE(events.wait(0));
  EXPECT_FALSE(port.arm(0));
  peer.send(make_frame({}));
  EXPECT_TRUE(events.wait());
  EXPECT_EQ(events.last, uint64_t{77} << 16);
  EXPECT_FALSE(events.wait(0)) << "edge-triggered";
  port.detach();
  EXPECT_EQ(events.n_fds, 0);
}

TEST_F(TapPortTest, DropsByNameWhenDownAndWhenRemoved) {
  TapPort port(tap());
  const Bytes frame = make_frame({});
  EXPECT_EQ(send_one(port, frame), Drop::none);
  netlink_.set_down(port.index());
  EXPECT_FALSE(port.is_up());
  EXPECT_EQ(send_one(port, frame), Drop::tx_not_ready);
  netlink_.set_up(port.index());
  EXPECT_EQ(send_one(port, frame), Drop::none);
  EXPECT_EQ(send_one(port, pattern(5)), Drop::tx_error) << "not even an Ethernet header";
  netlink_.remove(port.index());
  EXPECT_EQ(send_one(port, frame), Drop::tx_not_ready);
  EXPECT_FALSE(port.is_up());
  EXPECT_TRUE(port.is_gone());
  Burst burst;
  port.rx(0, burst);
  EXPECT_EQ(burst.size(), 0);
}

// --- offloads, with the kernel's own stack at the other end
// ----------------------------------------------------

class TapOffloads : public TapPortTest {
 protected:
  void SetUp() override {
    TapOptions options = tap();
    options.mac = MacAddress::parse("02:00:00:00:00:02");
    options.addresses = {{Ipv4Address(192, 0, 2, 1), 24}};
    port_ = std::make_unique<TapPort>(options);
    set_arp("t0", "192.0.2.2", kOurMac);
    receiver_ = std::make_unique<Receiver>(*port_);
  }
  void TearDown() override {
    receiver_.reset();
    port_.reset();
    TapPortTest::TearDown();
  }
  std::unique_ptr<TapPort> port_;
  std::unique_ptr<Receiver> receiver_;
};

/// Exchanges the addresses and ports of an untagged IPv4 frame.
void turn_round(Bytes& frame) {
  std::swap_ranges(frame.begin(), frame.begin() + 6, frame.begin() + 6);
  std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
  std::swap_ranges(frame.begin() + 34, frame.begin() + 36, frame.begin() + 36);
}

TEST_F(TapOffloads, AKernelsPartialChecksumIsDescribedAndCanBeFinished) {
  const UniqueFd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = ipv4_socket_address("192.0.2.2", 4000);
  for (const size_t size : {1u, 30u, 999u}) {
    const Bytes data = pattern(size);
    check(sendto(udp.get(), data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) > 0,
          "send");
    Packet* p = receiver_->next();
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(p->drop, Drop::none);
    ASSERT_EQ(p->offload.checksum, Checksum::partial);
    EXPECT_EQ(p->offload.csum_start, 34);
    EXPECT_EQ(p->offload.csum_offset, 6);
    EXPECT_FALSE(has_right_checksum(flatten(*p)));
    finish_checksum(*p);
    EXPECT_TRUE(has_right_checksum(flatten(*p)));
  }
}

TEST_F(TapOffloads, TheKernelTakesAPartialChecksum) {
  const UniqueFd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in here = ipv4_socket_address("192.0.2.1", 4001);
  check(bind(udp.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0, "bind");
  FrameSpec spec{.is_udp = true, .is_partial = true, .payload = pattern(400, 1)};
  Bytes frame = make_frame(spec);
  // To the socket, from the neighbour; the field holds the sum of the new pseudo-header.
  std::copy(kOurMac.begin(), kOurMac.end(), frame.begin() + 6);
  put32(frame, 26, 0xc0000202);
  put32(frame, 30, 0xc0000201);
  put16(frame, 36, 4001);
  put16(frame, 24, 0);
  put16(frame, 24, 0xffff & ~slow_sum(std::span(frame).subspan(14, 20)));
  put16(frame, 40, pseudo_sum(spec, frame, 408));
  ASSERT_EQ(send_one(*port_, frame, partial_offload(spec), 33), Drop::none);
  pollfd p{udp.get(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, kPatienceMs), 1);
  Bytes data(1000);
  data.resize(static_cast<size_t>(recv(udp.get(), data.data(), data.size(), 0)));
  EXPECT_EQ(data, spec.payload);
}

/// A TCP connection of the kernel's with a peer played by the test.
class TapTcp : public TapOffloads {
 protected:
  static constexpr uint32_t kOurSequence = 1000;

  void SetUp() override {
    TapOffloads::SetUp();
    tcp_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in to = ipv4_socket_address("192.0.2.2", 80);
    connect(tcp_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    Packet* syn = receiver_->next();
    ASSERT_NE(syn, nullptr);
    ASSERT_EQ(syn->offload.checksum, Checksum::partial);
    ASSERT_EQ(syn->offload.csum_offset, 16);
    frame_ = flatten(*syn);
    ASSERT_EQ(frame_[47], 0x02) << "the first SYN";
    their_sequence_ = sequence_of(frame_) + 1;
    turn_round(frame_);
    // SYN and ACK, with a maximum segment size of 1000 and the largest window.
    frame_.resize(58);
    frame_[46] = 0x60;
    put32(frame_, 54, 0x020403e8);
    send_segment(kOurSequence, 0x12, {}, 4);
    Packet* ack = receiver_->next();
    ASSERT_NE(ack, nullptr);
    ASSERT_EQ(flatten(*ack)[47], 0x10);
    frame_.resize(54);
    frame_[46] = 0x50;
  }
  static uint32_t sequence_of(const Bytes& frame) {
    return static_cast<uint32_t>(get16(frame, 38)) << 16 | get16(frame, 40);
  }
  /// Sends a segment from the played peer, its checksum partial; cut by the kernel when it is larger than
  /// gso_size.
  void send_segment(uint32_t sequence, uint8_t flags, const Bytes& data, size_t options, uint16_t gso_size = 0) {
    Bytes f = frame_;
    f.insert(f.end(), data.begin(), data.end());
    put16(f, 16, static_cast<uint32_t>(40 + options + data.size()));
    put16(f, 24, 0);
    put16(f, 24, 0xffff & ~slow_sum(std::span(f).subspan(14, 20)));
    put32(f, 38, sequence);
    put32(f, 42, their_sequence_);
    f[47] = flags;
    put16(f, 48, 0xffff);
    FrameSpec spec{.tcp_options = options};
    put16(f, 50, pseudo_sum(spec, f, f.size() - 34));
    ASSERT_EQ(send_one(*port_, f, partial_offload(spec, gso_size)), Drop::none);
  }
  UniqueFd tcp_;
  Bytes frame_;
  uint32_t their_sequence_ = 0;
};

TEST_F(TapTcp, ATsoFrameOfTheKernelIsDescribedAndCanBeCut) {
  // Cuts come in any number of TSO frames: put together, they are the stream.
  const Bytes data = pattern(9000, 7);
  check(write(tcp_.get(), data.data(), data.size()) == 9000, "write");
  Bytes stream;
  bool any_tso = false;
  while (stream.size() < data.size()) {
    Packet* p = receiver_->next();
    ASSERT_NE(p, nullptr);
    ASSERT_EQ(p->drop, Drop::none);
    const uint32_t sequence = sequence_of(flatten(*p));
    if (p->offload.gso != Gso::none) {
      any_tso = true;
      ASSERT_EQ(p->offload.gso, Gso::tcp4);
      ASSERT_EQ(p->offload.gso_size, 1000);
      ASSERT_EQ(p->offload.csum_start, 34);
      GsoCutter cutter(*p, GsoCutter::Checksums::finish);
      while (const Packet* cut = cutter.next()) {
        const Bytes f = flatten(*cut);
        ASSERT_TRUE(has_right_checksum(f));
        ASSERT_LE(f.size(), 1054u);
        ASSERT_EQ(sequence_of(f), their_sequence_ + stream.size());
        stream.insert(stream.end(), f.begin() + 54, f.end());
      }
    } else {
      const Bytes f = flatten(*p);
      stream.insert(stream.end(), f.begin() + 54, f.end());
    }
    // Acknowledge, so that more comes.
    const uint32_t theirs = std::exchange(their_sequence_, their_sequence_ + static_cast<uint32_t>(stream.size()));
    send_segment(kOurSequence + 1, 0x10, {}, 0);
    their_sequence_ = theirs;
    ASSERT_LE(sequence, theirs + stream.size());
  }
  EXPECT_EQ(stream, data);
  EXPECT_TRUE(any_tso);
}

TEST_F(TapTcp, TheKernelTakesATsoFrame) {
  const Bytes data = pattern(20000, 9);
  send_segment(kOurSequence + 1, 0x18, data, 0, 1000);
  Bytes received;
  while (received.size() < data.size()) {
    pollfd p{tcp_.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, kPatienceMs), 1);
    Bytes some(30000);
    const ssize_t n = read(tcp_.get(), some.data(), some.size());
    ASSERT_GT(n, 0);
    received.insert(received.end(), some.begin(), some.begin() + n);
  }
  EXPECT_EQ(received, data);
}

}  // namespace
}  // namespace weft::dataplane
