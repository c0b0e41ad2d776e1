// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/virtio_net_header.h"

#include "tests/unit/dataplane/frames.h"

#include <functional>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::dataplane {
namespace {

using namespace test;
using H = VirtioNetHeader;

constexpr OffloadSet kGuest{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true};

H csum_header(const FrameSpec& s) {
  return {.flags = H::kNeedsCsum,
          .csum_start = static_cast<uint16_t>(s.l4()),
          .csum_offset = static_cast<uint16_t>(s.checksum_offset())};
}
H gso_header(const FrameSpec& s, uint16_t gso_size = 1000) {
  H h = csum_header(s);
  h.gso_type = s.is_v6 ? H::kGsoTcp6 : H::kGsoTcp4;
  h.gso_size = gso_size;
  return h;
}

struct Case {
  const char* name;
  bool is_taken;
  FrameSpec spec;
  size_t payload;
  std::function<void(H&, Bytes&, OffloadSet&)> change;
  bool is_gso = false;
};

class ToOffload : public testing::TestWithParam<Case> {};

TEST_P(ToOffload, TakesOrRefuses) {
  FrameSpec spec = GetParam().spec;
  spec.is_partial = true;
  spec.payload = pattern(GetParam().payload);
  Bytes frame = make_frame(spec);
  H header = GetParam().is_gso ? gso_header(spec) : csum_header(spec);
  OffloadSet sender = kGuest;
  GetParam().change(header, frame, sender);
  Burst burst;
  Packet& p = add_packet(burst, frame);
  EXPECT_EQ(to_offload(header, sender, p), GetParam().is_taken);
  EXPECT_EQ(flatten(p), frame);
}

const auto kAsItIs = [](H&, Bytes&, OffloadSet&) {};

INSTANTIATE_TEST_SUITE_P(
    Checksum, ToOffload,
    testing::Values(
        Case{"Tcp4", true, {}, 100, kAsItIs}, Case{"Tcp6", true, {.is_v6 = true}, 100, kAsItIs},
        Case{"Udp4", true, {.is_udp = true}, 0, kAsItIs}, Case{"Udp6", true, {.is_v6 = true, .is_udp = true}, 9, kAsItIs},
        Case{"Tagged", true, {.n_tags = 2}, 100, kAsItIs},
        Case{"Options", true, {.ip_options = 40, .tcp_options = 40}, 100, kAsItIs},
        Case{"HopByHop", true, {.is_v6 = true, .ip_options = 24}, 100, kAsItIs},
        Case{"NotNegotiated", false, {}, 100, [](H&, Bytes&, OffloadSet& s) { s = OffloadSet::none(); }},
        Case{"UnknownFlagsIgnored", true, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.flags |= 0xf0; }},
        Case{"HeaderLengthIgnored", true, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.hdr_len = 0xffff; }},
        Case{"OutsideTheFrame", false, {}, 0, [](H& h, Bytes&, OffloadSet&) { h.csum_start = 60000; }},
        Case{"SumWraps16Bits", false, {}, 0, [](H& h, Bytes&, OffloadSet&) { h.csum_offset = 0xffff; }},
        Case{"LastByteOutside", false, {}, 0, [](H&, Bytes& b, OffloadSet&) { shorten(b, b.size() - 3); }},
        Case{"BehindTheHead", false, {}, 500, [](H& h, Bytes&, OffloadSet&) { h.csum_start = 200; }},
        Case{"OverTheMacs", false, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_start = 0; h.csum_offset = 6; }},
        Case{"OverTheIpSource", false, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_start = 14; h.csum_offset = 12; }},
        Case{"OverTheSourcePort", false, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_offset = 0; }},
        Case{"OverTheUdpLength", false, {.is_udp = true}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_offset = 4; }},
        Case{"TcpOffsetInUdp", false, {.is_udp = true}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_offset = 16; }},
        Case{"InsideTcpPayload", false, {}, 100, [](H& h, Bytes&, OffloadSet&) { h.csum_start += 20; }},
        Case{"EncapsulatedInUdp", true, {.is_udp = true}, 130,
             [](H& h, Bytes&, OffloadSet&) { h.csum_start += 50; h.csum_offset = 16; }},
        Case{"OtherProtocol", false, {}, 100, [](H&, Bytes& b, OffloadSet&) { b[23] = 132; }},
        Case{"Icmpv6", true, {.is_v6 = true}, 100, [](H& h, Bytes& b, OffloadSet&) { b[20] = 58; h.csum_offset = 2; }},
        Case{"LaterFragment", false, {.is_udp = true}, 100, [](H&, Bytes& b, OffloadSet&) { b[21] = 5; }},
        Case{"FirstFragment", false, {.is_udp = true}, 100, [](H&, Bytes& b, OffloadSet&) { b[20] = 0x20; }},
        Case{"Fragment6", false, {.is_v6 = true, .ip_options = 8}, 100, [](H&, Bytes& b, OffloadSet&) { b[20] = 44; }},
        Case{"Arp", false, {}, 100, [](H&, Bytes& b, OffloadSet&) { b[13] = 6; }},
        Case{"OtherEthertypeBehindItsHeader", true, {}, 100, [](H&, Bytes& b, OffloadSet&) { put16(b, 12, 0x8847); }},
        Case{"BadIpVersion", false, {}, 100, [](H&, Bytes& b, OffloadSet&) { b[14] = 0x65; }},
        Case{"BadIpHeaderLength", false, {}, 100, [](H&, Bytes& b, OffloadSet&) { b[14] = 0x44; }},
        Case{"BadIp6Version", false, {.is_v6 = true}, 100, [](H&, Bytes& b, OffloadSet&) { b[14] = 0x45; }},
        Case{"ExtensionsRunOut", false, {.is_v6 = true, .ip_options = 8}, 100,
             [](H&, Bytes& b, OffloadSet&) { b[55] = 0xff; }},
        Case{"OnlyTags", false, {}, 0, [](H& h, Bytes& b, OffloadSet&) {
               b = Bytes(192);
               for (size_t i = 12; i < 192; i += 4) put16(b, i, 0x8100);
               h.csum_start = 100;
             }}),
    [](const auto& c) { return std::string(c.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Gso, ToOffload,
    testing::Values(
        Case{"Tcp4", true, {}, 5000, kAsItIs, true}, Case{"Tcp6", true, {.is_v6 = true}, 5000, kAsItIs, true},
        Case{"Ecn", true, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_type |= H::kGsoEcn; }, true},
        Case{"EcnNotNegotiated",
             false,
             {},
             5000,
             [](H& h, Bytes&, OffloadSet& s) {
               h.gso_type |= H::kGsoEcn;
               s.ecn = false;
             },
             true},
        Case{"EcnAlone", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_type = H::kGsoEcn; }, true},
        Case{"Tso4NotNegotiated", false, {}, 5000, [](H&, Bytes&, OffloadSet& s) { s.tso4 = false; }, true},
        Case{
            "Tso6NotNegotiated", false, {.is_v6 = true}, 5000, [](H&, Bytes&, OffloadSet& s) { s.tso6 = false; }, true},
        Case{"WithoutChecksum", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.flags = 0; }, true},
        Case{"SizeZero", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_size = 0; }, true},
        Case{"SizeTooSmall", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_size = kMinGsoSize - 1; }, true},
        Case{"SizeLeast", true, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_size = kMinGsoSize; }, true},
        Case{"Ufo", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_type = H::kGsoUfo; }, true},
        Case{"UnknownType", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_type = 7; }, true},
        Case{"WrongFamily", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.gso_type = H::kGsoTcp6; }, true},
        Case{"NotTcp", false, {.is_udp = true}, 5000, kAsItIs, true},
        Case{"TcpHeaderTooShort", false, {}, 5000, [](H&, Bytes& b, OffloadSet&) { b[46] = 0x40; }, true},
        Case{"TcpHeaderBehindTheHead",
             false,
             {.is_v6 = true, .ip_options = 112},
             5000,
             [](H&, Bytes& b, OffloadSet&) { b[14 + 40 + 112 + 12] = 0xf0; },
             true},
        Case{"Encapsulated", false, {}, 5000, [](H& h, Bytes&, OffloadSet&) { h.csum_start += 40; }, true}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(ToOffload, DescribesWhatItTook) {
  FrameSpec spec{.n_tags = 1, .tcp_options = 12, .payload = pattern(5000)};
  spec.is_partial = true;
  const Bytes frame = make_frame(spec);
  H header = gso_header(spec, 1448);
  header.gso_type |= H::kGsoEcn;
  Burst burst;
  Packet& p = add_packet(burst, frame);
  ASSERT_TRUE(to_offload(header, kGuest, p));
  EXPECT_EQ(p.offload.checksum, Checksum::partial);
  EXPECT_EQ(p.offload.csum_start, 38);
  EXPECT_EQ(p.offload.csum_offset, 16);
  EXPECT_EQ(p.offload.gso, Gso::tcp4);
  EXPECT_EQ(p.offload.gso_size, 1448);
  EXPECT_EQ(p.offload.gso_ecn, 1);
}

TEST(ToOffload, AFrameThatFitsOneSegmentIsNoTsoFrame) {
  FrameSpec spec{.payload = pattern(1000)};
  spec.is_partial = true;
  const Bytes frame = make_frame(spec);
  Burst burst;
  Packet& p = add_packet(burst, frame);
  ASSERT_TRUE(to_offload(gso_header(spec, 1000), kGuest, p));
  EXPECT_EQ(p.offload.gso, Gso::none);
  EXPECT_EQ(p.offload.checksum, Checksum::partial);
}

/// Summed or cut into segments, padding would spoil both.
TEST(ToOffload, PaddingIsCutOff) {
  for (const bool is_v6 : {false, true}) {
    for (const size_t payload : {3u, 500u, 5000u}) {
      FrameSpec spec{.is_v6 = is_v6, .n_tags = 1, .is_partial = true, .payload = pattern(payload)};
      const Bytes frame = make_frame(spec);
      Bytes padded = frame;
      padded.insert(padded.end(), 77, 0xaa);
      Burst burst;
      Packet& p = add_packet(burst, padded, {}, 30);
      ASSERT_TRUE(to_offload(payload > 1000 ? gso_header(spec) : csum_header(spec), kGuest, p));
      EXPECT_EQ(flatten(p), frame);
      EXPECT_EQ(p.size, frame.size());
    }
  }
  // Not where the frame does not say where it ends, nor of a frame that asks for nothing.
  FrameSpec spec{.is_partial = true, .payload = pattern(100)};
  Bytes padded = make_frame(spec);
  padded.insert(padded.end(), 77, 0xaa);
  Bytes endless = padded;
  put16(endless, 16, 0);
  Burst burst;
  Packet &p = add_packet(burst, padded), &q = add_packet(burst, endless);
  EXPECT_TRUE(to_offload({}, kGuest, p));
  EXPECT_EQ(flatten(p), padded);
  EXPECT_TRUE(to_offload(csum_header(spec), kGuest, q));
  EXPECT_EQ(flatten(q), endless);
}

TEST(ToOffload, AFieldBehindThePacketsOwnEndIsRefused) {
  FrameSpec spec{.is_partial = true, .payload = pattern(100)};
  Bytes frame = make_frame(spec);
  for (const uint32_t total : {10u, 20u, 36u}) {
    put16(frame, 16, total);
    Burst burst;
    EXPECT_FALSE(to_offload(csum_header(spec), kGuest, add_packet(burst, frame))) << total;
  }
}

TEST(ToOffload, BelievesDataValidOnlyOfTheKernel) {
  const Bytes frame = make_frame({});
  Burst burst;
  Packet& p = add_packet(burst, frame);
  ASSERT_TRUE(to_offload({.flags = H::kDataValid}, OffloadSet::kernel(), p));
  EXPECT_EQ(p.offload.checksum, Checksum::valid);
  ASSERT_TRUE(to_offload({.flags = H::kDataValid}, kGuest, p));
  EXPECT_EQ(p.offload.checksum, Checksum::unknown);
}

TEST(ToOffload, KeepsTheInvariantsWhateverTheHeaderSays) {
  std::mt19937 random(7);
  Burst burst;
  size_t n_taken = 0;
  for (int i = 0; i < 50000; ++i) {
    FrameSpec spec{.is_v6 = random() % 2 == 0, .is_udp = random() % 4 == 0, .n_tags = random() % 3};
    spec.payload = pattern(random() % 400);
    Bytes frame = make_frame(spec);
    H header = gso_header(spec, static_cast<uint16_t>(random() % 200));
    if (random() % 3 == 0) header.gso_type = static_cast<uint8_t>(random());
    if (random() % 3 == 0) header.csum_start = static_cast<uint16_t>(random() % 256);
    if (random() % 3 == 0) header.csum_offset = static_cast<uint16_t>(random() % 64);
    for (int k = static_cast<int>(random() % 4); k > 0; --k)
      frame[random() % frame.size()] ^= static_cast<uint8_t>(random());
    if (random() % 8 == 0) shorten(frame, random() % frame.size());
    burst.clear();
    Packet& p = add_packet(burst, frame);
    if (!to_offload(header, kGuest, p)) continue;
    ++n_taken;
    const Offload& o = p.offload;
    if (o.checksum == Checksum::partial) {
      ASSERT_LE(uint32_t{o.csum_start} + o.csum_offset + 2, p.head_size);
      ASSERT_GE(o.csum_start, 14);
    }
    if (o.gso == Gso::none) continue;
    ASSERT_EQ(o.checksum, Checksum::partial);
    GsoCutter cutter(p, GsoCutter::Checksums::finish);
    ASSERT_GT(cutter.n_frames(), 1);
    while (cutter.next() != nullptr) {
    }
  }
  EXPECT_GT(n_taken, 5000u);
}

TEST(FromOffload, IsTheInverse) {
  FrameSpec spec{.is_v6 = true, .tcp_options = 12, .payload = pattern(5000)};
  spec.is_partial = true;
  const Bytes frame = make_frame(spec);
  Burst burst;
  Packet& p = add_packet(burst, frame);
  H header = gso_header(spec, 1400);
  header.gso_type |= H::kGsoEcn;
  ASSERT_TRUE(to_offload(header, kGuest, p));
  const H back = from_offload(p, kGuest);
  EXPECT_EQ(back.flags, header.flags);
  EXPECT_EQ(back.gso_type, header.gso_type);
  EXPECT_EQ(back.gso_size, header.gso_size);
  EXPECT_EQ(back.csum_start, header.csum_start);
  EXPECT_EQ(back.csum_offset, header.csum_offset);
  EXPECT_EQ(back.hdr_len, spec.headers()) << "computed, whatever the sender had said";
}

TEST(FromOffload, SaysDataValidOnlyToWhoUnderstandsIt) {
  const Bytes frame = make_frame({});
  Burst burst;
  Packet& p = add_packet(burst, frame, {.checksum = Checksum::valid});
  EXPECT_EQ(from_offload(p, kGuest).flags, H::kDataValid);
  EXPECT_EQ(from_offload(p, OffloadSet::none()).flags, 0);
  p.offload.checksum = Checksum::unknown;
  EXPECT_EQ(from_offload(p, kGuest).flags, 0);
}

}  // namespace
}  // namespace weft::dataplane
