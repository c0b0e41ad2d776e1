// SPDX-License-Identifier: BSD-3-Clause
#include "switch/udp_frame.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tins/tins.h>

namespace weft::vswitch {
namespace {

using dataplane::Checksum;
using Bytes = std::vector<uint8_t>;

const UdpEndpoint kGateway{wire::MacAddress::from_u64(0x525400000100), wire::Ipv4Address(192, 168, 122, 1), 67};
const UdpEndpoint kGuest{wire::MacAddress::from_u64(0x52540000000a), wire::Ipv4Address(192, 168, 122, 10), 68};

constexpr size_t kIp = 14, kUdp = 34, kPayload = 42;

Bytes counting(size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), uint8_t{1});
  return bytes;
}

Bytes make(const Bytes& payload, uint8_t tos = 0) { return make_udp_frame(kGateway, kGuest, payload, tos); }

/// As libtins makes it: padded to 60 bytes, checksums right.
Tins::EthernetII from_guest(const Bytes& payload) {
  return Tins::EthernetII("52:54:00:00:01:00", "52:54:00:00:00:0a") / Tins::IP("192.168.122.1", "192.168.122.10") /
         Tins::UDP(67, 68) / Tins::RawPDU(payload);
}

Bytes read_payload(const Bytes& frame, Checksum checksum = Checksum::unknown) {
  const auto read = read_udp_frame(frame, checksum);
  EXPECT_TRUE(read.has_value());
  return read ? Bytes(read->payload.begin(), read->payload.end()) : Bytes();
}

void write16(Bytes& frame, size_t offset, size_t value) {
  frame[offset] = static_cast<uint8_t>(value >> 8);
  frame[offset + 1] = static_cast<uint8_t>(value);
}

/// The IP header's checksum and the UDP checksum made right again.
void finish(Bytes& frame) {
  auto* ip = wire::view<wire::Ipv4Header>(std::span<uint8_t>(frame), kIp);
  ip->checksum = {};
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  write16(frame, kUdp + 6, 0);  // no UDP checksum: what is wrong is something else
}

// ---- making --------------------------------------------------------------------------------------------------------

class MadeUdpFrame : public testing::TestWithParam<size_t> {};

TEST_P(MadeUdpFrame, IsWhatLibtinsMakesOfTheSame) {
  const Bytes frame = make(counting(GetParam()), 0xc0);
  Tins::EthernetII parsed(frame.data(), static_cast<uint32_t>(frame.size()));
  Bytes again = parsed.serialize();  // lengths and checksums are computed anew
  again.resize(frame.size());        // without libtins's padding
  EXPECT_EQ(frame, again);
}

TEST_P(MadeUdpFrame, IsReadBack) { EXPECT_EQ(read_payload(make(counting(GetParam()))), counting(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Sizes, MadeUdpFrame, testing::Values(1, 2, 3, 17, 18, 19, 240, 299, 300, 548, 1471, 1472));

TEST(UdpFrame, WithoutAPayloadIsReadBack) { EXPECT_EQ(read_payload(make({})), Bytes()); }

TEST(UdpFrame, IsBetweenTheEndpointsItWasMadeFor) {
  const Bytes frame = make(counting(20));
  const Tins::EthernetII parsed(frame.data(), static_cast<uint32_t>(frame.size()));
  EXPECT_EQ(parsed.src_addr().to_string(), "52:54:00:00:01:00");
  EXPECT_EQ(parsed.dst_addr().to_string(), "52:54:00:00:00:0a");
  EXPECT_EQ(parsed.rfind_pdu<Tins::IP>().src_addr().to_string(), "192.168.122.1");
  EXPECT_EQ(parsed.rfind_pdu<Tins::IP>().dst_addr().to_string(), "192.168.122.10");
  EXPECT_EQ(parsed.rfind_pdu<Tins::UDP>().sport(), 67);
  EXPECT_EQ(parsed.rfind_pdu<Tins::UDP>().dport(), 68);
}

TEST(UdpFrame, IsMadeWithTtl64) {
  const Bytes frame = make(counting(20));
  EXPECT_EQ(Tins::EthernetII(frame.data(), static_cast<uint32_t>(frame.size())).rfind_pdu<Tins::IP>().ttl(), 64);
}

TEST(UdpFrame, IsMadeWithTheTosGiven) {
  const Bytes frame = make(counting(20), 0xc0);
  EXPECT_EQ(Tins::EthernetII(frame.data(), static_cast<uint32_t>(frame.size())).rfind_pdu<Tins::IP>().tos(), 0xc0);
}

TEST(UdpFrame, AChecksumThatComesOutAsZeroIsSentAsAllOnes) {
  const Bytes plain = make({0, 0});
  // Adding the checksum to what it sums makes the sum all ones, and the checksum 0 (RFC 768).
  const Bytes frame = make({plain[kUdp + 6], plain[kUdp + 7]});
  EXPECT_EQ(frame[kUdp + 6], 0xff);
  EXPECT_EQ(frame[kUdp + 7], 0xff);
}

TEST(UdpFrame, AChecksumOfAllOnesIsRight) {
  const Bytes plain = make({0, 0});
  const Bytes payload = {plain[kUdp + 6], plain[kUdp + 7]};
  EXPECT_EQ(read_payload(make(payload)), payload);
}

// ---- reading -------------------------------------------------------------------------------------------------------

TEST(UdpFrame, TheEndpointsAreRead) {
  const auto frame = from_guest(counting(100)).serialize();
  const auto read = read_udp_frame(frame, Checksum::unknown);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->source.mac, kGuest.mac);
  EXPECT_EQ(read->source.ip, kGuest.ip);
  EXPECT_EQ(read->source.port, 68);
  EXPECT_EQ(read->destination.mac, kGateway.mac);
  EXPECT_EQ(read->destination.ip, kGateway.ip);
  EXPECT_EQ(read->destination.port, 67);
}

TEST(UdpFrame, EthernetPaddingIsNoPayload) {
  const auto frame = from_guest(counting(5)).serialize();
  ASSERT_EQ(frame.size(), 60u);
  EXPECT_EQ(read_payload(frame), counting(5));
}

TEST(UdpFrame, IpOptionsAreSkipped) {
  auto frame = from_guest(counting(100));
  frame.rfind_pdu<Tins::IP>().add_option(
      Tins::IP::option(Tins::IP::option_identifier(Tins::IP::NOOP, Tins::IP::CONTROL, 0)));
  EXPECT_EQ(read_payload(frame.serialize()), counting(100));
}

TEST(UdpFrame, WhatLiesBehindTheDatagramIsNoPayload) {
  auto frame = make(counting(100));
  write16(frame, kUdp + 4, 8 + 50);
  finish(frame);
  EXPECT_EQ(read_payload(frame), counting(50));
}

TEST(UdpFrame, DontFragmentIsNoFragment) {
  auto frame = make(counting(100));
  frame[kIp + 6] = 0x40;
  finish(frame);
  EXPECT_EQ(read_payload(frame), counting(100));
}

TEST(UdpFrame, CutAnywhereItIsRefused) {
  const Bytes frame = make(counting(100));
  for (size_t size = 0; size < frame.size(); ++size) {
    const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));  // its own memory, for ASan
    EXPECT_FALSE(read_udp_frame(cut, Checksum::valid)) << size;
  }
}

struct Spoilt {
  const char* what;
  std::function<void(Bytes&)> spoil;
};

class SpoiltUdpFrame : public testing::TestWithParam<Spoilt> {};

TEST_P(SpoiltUdpFrame, IsRefused) {
  Bytes frame = make(counting(100));
  finish(frame);
  ASSERT_TRUE(read_udp_frame(frame, Checksum::unknown));
  GetParam().spoil(frame);
  finish(frame);
  EXPECT_FALSE(read_udp_frame(frame, Checksum::unknown));
}

INSTANTIATE_TEST_SUITE_P(
    Places, SpoiltUdpFrame,
    testing::Values(
        Spoilt{"Arp", [](Bytes& f) { write16(f, 12, 0x0806); }},
        Spoilt{"Vlan", [](Bytes& f) { write16(f, 12, 0x8100); }}, Spoilt{"Ipv6", [](Bytes& f) { f[kIp] = 0x65; }},
        Spoilt{"NoHeader", [](Bytes& f) { f[kIp] = 0x40; }}, Spoilt{"ShortHeader", [](Bytes& f) { f[kIp] = 0x44; }},
        Spoilt{"MoreFragments", [](Bytes& f) { f[kIp + 6] = 0x20; }},
        Spoilt{"LaterFragment", [](Bytes& f) { f[kIp + 7] = 1; }}, Spoilt{"Tcp", [](Bytes& f) { f[kIp + 9] = 6; }},
        Spoilt{"UdpLengthZero", [](Bytes& f) { write16(f, kUdp + 4, 0); }},
        Spoilt{"UdpLengthBelowItsHeader", [](Bytes& f) { write16(f, kUdp + 4, 7); }},
        Spoilt{"UdpLengthBeyondTheFrame", [](Bytes& f) { write16(f, kUdp + 4, 8 + 101); }},
        Spoilt{"UdpLengthOf65535", [](Bytes& f) { write16(f, kUdp + 4, 65535); }},
        Spoilt{"IpLengthBelowUdps", [](Bytes& f) { write16(f, kIp + 2, 20 + 8 + 99); }},
        Spoilt{"IpLengthZero", [](Bytes& f) { write16(f, kIp + 2, 0); }}),
    [](const auto& test) { return test.param.what; });

TEST(UdpFrame, AHeaderLongerThanTheFrameIsRefused) {
  Bytes frame = make(counting(4));
  frame[kIp] = 0x4f;  // 60 bytes
  EXPECT_FALSE(read_udp_frame(frame, Checksum::valid));
}

// ---- checksums -----------------------------------------------------------------------------------------------------

class UdpFrameWithABadChecksum : public testing::Test {
 protected:
  void SetUp() override { frame_[kPayload] ^= 1; }
  Bytes frame_ = make(counting(100));
};

TEST_F(UdpFrameWithABadChecksum, IsRefused) { EXPECT_FALSE(read_udp_frame(frame_, Checksum::unknown)); }
TEST_F(UdpFrameWithABadChecksum, IsReadWhenItWasFoundValid) { EXPECT_TRUE(read_udp_frame(frame_, Checksum::valid)); }
TEST_F(UdpFrameWithABadChecksum, IsReadWhenItIsPartial) { EXPECT_TRUE(read_udp_frame(frame_, Checksum::partial)); }

TEST(UdpFrame, AnyBitThatTheChecksumCoversCounts) {
  const Bytes frame = make(counting(20));
  for (size_t i = kIp + 12; i < frame.size(); ++i) {  // from the addresses on
    if (i == kUdp + 4 || i == kUdp + 5) continue;     // its length
    Bytes spoilt = frame;
    spoilt[i] ^= 0x10;
    EXPECT_FALSE(read_udp_frame(spoilt, Checksum::unknown)) << i;
  }
}

TEST(UdpFrame, NoChecksumIsAsGoodAsARightOne) {
  Bytes frame = make(counting(100));
  write16(frame, kUdp + 6, 0);
  EXPECT_EQ(read_payload(frame), counting(100));
}

TEST(UdpFrame, APartialChecksumIsNotVerified) {
  Bytes frame = from_guest(counting(100)).serialize();
  wire::ChecksumSum pseudo;  // what a guest leaves there for its network card to finish
  pseudo.add_pseudo(kGuest.ip, kGateway.ip, wire::ipproto::kUdp, 108);
  wire::view<wire::UdpHeader>(std::span<uint8_t>(frame), kUdp)->checksum = wire::be16::from_raw(pseudo.fold());
  EXPECT_EQ(read_payload(frame, Checksum::partial), counting(100));
}

}  // namespace
}  // namespace weft::vswitch
