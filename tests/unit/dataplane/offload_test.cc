// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/offload.h"

#include "tests/unit/dataplane/frames.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace weft::dataplane {
namespace {

using namespace test;

// --- finish_checksum
// ------------------------------------------------------------------------------------------

struct ChecksumCase {
  const char* name;
  FrameSpec spec;
  size_t payload;
  size_t piece;  // 0: one
};

class FinishChecksum : public testing::TestWithParam<ChecksumCase> {};

TEST_P(FinishChecksum, GivesTheFrameItsSenderWouldHaveSent) {
  FrameSpec spec = GetParam().spec;
  spec.payload = pattern(GetParam().payload);
  const Bytes finished = make_frame(spec);
  spec.is_partial = true;
  const Bytes partial = make_frame(spec);
  Burst burst;
  Packet& p = add_packet(burst, partial, partial_offload(spec), GetParam().piece);
  finish_checksum(p);
  EXPECT_EQ(flatten(p), finished);
  EXPECT_EQ(p.offload.checksum, Checksum::unknown);
}

INSTANTIATE_TEST_SUITE_P(
    Table, FinishChecksum,
    testing::Values(ChecksumCase{"TcpNoPayload", {}, 0, 0}, ChecksumCase{"TcpOneByte", {}, 1, 0},
                    ChecksumCase{"TcpWhollyInTheHead", {}, 138, 0}, ChecksumCase{"TcpOneByteBehindTheHead", {}, 139, 0},
                    ChecksumCase{"TcpMtu", {}, 1460, 0}, ChecksumCase{"TcpOddPieces", {}, 1459, 7},
                    ChecksumCase{"TcpOneBytePieces", {}, 300, 1}, ChecksumCase{"TcpLarge", {}, 64000, 4095},
                    ChecksumCase{"TcpOptions", {.ip_options = 8, .tcp_options = 12}, 777, 101},
                    ChecksumCase{"TcpTagged", {.n_tags = 1}, 600, 3}, ChecksumCase{"TcpTwoTags", {.n_tags = 2}, 601, 0},
                    ChecksumCase{"Tcp6", {.is_v6 = true}, 1440, 333},
                    ChecksumCase{"Tcp6HopByHop", {.is_v6 = true, .ip_options = 8}, 50, 0},
                    ChecksumCase{"Udp", {.is_udp = true}, 512, 0}, ChecksumCase{"UdpEmpty", {.is_udp = true}, 0, 0},
                    ChecksumCase{"UdpOdd", {.is_udp = true}, 1471, 9},
                    ChecksumCase{"Udp6", {.is_v6 = true, .is_udp = true}, 33, 0}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(FinishChecksum, StoresUdpZeroAsAllOnes) {
  FrameSpec spec{.is_udp = true, .payload = Bytes(2)};
  // Choose the payload so that everything adds up to 0xffff, whose complement is 0: RFC 768 reserves it.
  spec.is_partial = true;
  Bytes frame = make_frame(spec);
  const uint32_t sum = slow_sum(std::span(frame).subspan(spec.l4()));
  put16(frame, spec.headers(), 0xffff - sum);
  ASSERT_EQ(slow_sum(std::span(frame).subspan(spec.l4())), 0xffffu);
  Burst burst;
  Packet& p = add_packet(burst, frame, partial_offload(spec));
  finish_checksum(p);
  EXPECT_EQ(get16(flatten(p), spec.l4() + 6), 0xffff);
}

TEST(FinishChecksum, LeavesFinishedFramesAlone) {
  for (const Checksum state : {Checksum::unknown, Checksum::valid}) {
    const Bytes frame = pattern(300, 9);
    Burst burst;
    Packet& p = add_packet(burst, frame, {.checksum = state});
    finish_checksum(p);
    EXPECT_EQ(flatten(p), frame);
    EXPECT_EQ(p.offload.checksum, state);
  }
}

TEST(FinishChecksum, NeverWritesOutsideTheHead) {
  const Bytes frame = pattern(60);
  Burst burst;
  Packet& p = add_packet(burst, frame, {.checksum = Checksum::partial, .csum_start = 50, .csum_offset = 9});
  finish_checksum(p);
  EXPECT_EQ(flatten(p), frame);
}

// --- GsoCutter
// --------------------------------------------------------------------------------------------------

void expect_cuts(FrameSpec spec, uint16_t gso_size, size_t piece, GsoCutter::Checksums checksums) {
  const bool partial = checksums == GsoCutter::Checksums::leave_partial;
  const std::vector<Bytes> expected = expected_cuts(spec, gso_size, partial);
  spec.is_partial = true;
  const Bytes whole = make_frame(spec);
  Burst burst;
  Packet& p = add_packet(burst, whole, partial_offload(spec, gso_size), piece);
  p.in_port = 3;
  p.network = 4;
  GsoCutter cutter(p, checksums);
  ASSERT_EQ(cutter.n_frames(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    Packet* cut = cutter.next();
    ASSERT_NE(cut, nullptr);
    ASSERT_EQ(cut->size, expected[i].size());
    ASSERT_EQ(flatten(*cut), expected[i]) << "cut " << i;
    EXPECT_EQ(cut->offload.gso, Gso::none);
    EXPECT_EQ(cut->offload.checksum, partial ? Checksum::partial : Checksum::unknown);
    EXPECT_EQ(cut->in_port, 3);
    EXPECT_EQ(cut->network, 4);
    if (partial) {
      finish_checksum(*cut);
      const Bytes finished = flatten(*cut);
      const uint32_t pseudo = pseudo_sum(spec, finished, finished.size() - spec.l4());
      EXPECT_EQ(slow_sum(std::span(finished).subspan(spec.l4()), pseudo), 0xffffu);
    }
  }
  EXPECT_EQ(cutter.next(), nullptr);
  EXPECT_EQ(flatten(p), whole) << "the source is untouched";
}

struct CutCase {
  const char* name;
  FrameSpec spec;
  size_t payload;
  uint16_t gso_size;
  size_t piece;
};

class Cut : public testing::TestWithParam<CutCase> {};

TEST_P(Cut, FinishedIsWhatTheSenderWouldHaveSent) {
  FrameSpec spec = GetParam().spec;
  spec.payload = pattern(GetParam().payload, 5);
  expect_cuts(spec, GetParam().gso_size, GetParam().piece, GsoCutter::Checksums::finish);
}

TEST_P(Cut, PartialHasThePseudoHeaderSumOfItsOwnLength) {
  FrameSpec spec = GetParam().spec;
  spec.payload = pattern(GetParam().payload, 6);
  expect_cuts(spec, GetParam().gso_size, GetParam().piece, GsoCutter::Checksums::leave_partial);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Cut,
    testing::Values(CutCase{"TwoEqual", {}, 2920, 1460, 0}, CutCase{"ShortLast", {}, 3000, 1460, 0},
                    CutCase{"OneByteLast", {}, 2921, 1460, 0}, CutCase{"NothingToCut", {}, 1000, 1460, 0},
                    CutCase{"HeaderOnly", {}, 0, 1460, 0}, CutCase{"PayloadInTheHeadOnly", {}, 138, 50, 0},
                    CutCase{"PiecesOfOddSize", {}, 9000, 1447, 333}, CutCase{"ManySmallPieces", {}, 1500, 100, 9},
                    CutCase{"PiecesEndWhereCutsEnd", {}, 138 + 4000, 138, 100}, CutCase{"Jumbo", {}, 60000, 8948, 4096},
                    CutCase{"Largest", {}, 65535 - 40, 1460, 3000}, CutCase{"SmallestSegments", {}, 2000, 32, 0},
                    CutCase{"AllFlags", {.flags = 0xff}, 4500, 1460, 0},
                    CutCase{"SequenceAndIdWrap", {.id = 0xffff, .sequence = 0xfffffff0}, 5000, 1448, 0},
                    CutCase{"Options", {.ip_options = 40, .tcp_options = 40}, 5000, 1400, 777},
                    CutCase{"Tagged", {.n_tags = 1}, 5000, 1456, 0},
                    CutCase{"TwoTags", {.n_tags = 2, .flags = 0x19}, 5000, 1452, 55},
                    CutCase{"V6", {.is_v6 = true, .flags = 0x98}, 5000, 1440, 0},
                    CutCase{"V6Largest", {.is_v6 = true}, 65535 - 60, 1440, 2048},
                    CutCase{"V6HopByHop", {.is_v6 = true, .ip_options = 16, .tcp_options = 12}, 4321, 1400, 17}),
    [](const auto& c) { return std::string(c.param.name); });

TEST(Cut, RandomShapesAgreeWithTheReference) {
  std::mt19937 random(20240501);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  for (int i = 0; i < 300; ++i) {
    FrameSpec spec{.is_v6 = below(2) == 0, .n_tags = below(3), .tcp_options = 4 * below(11)};
    spec.ip_options = spec.is_v6 ? 8 * below(4) : 4 * below(11);
    spec.flags = static_cast<uint8_t>(random());
    spec.sequence = static_cast<uint32_t>(random());
    spec.payload = pattern(below(20000), below(251));
    const auto gso_size = static_cast<uint16_t>(32 + below(3000));
    const size_t piece = spec.payload.size() / 200 + 1 + below(3000);
    SCOPED_TRACE(i);
    expect_cuts(spec, gso_size, piece,
                below(2) == 0 ? GsoCutter::Checksums::finish : GsoCutter::Checksums::leave_partial);
    if (HasFatalFailure()) return;
  }
}

TEST(Cut, MakesNoFrameOfHeadersThatAreNotWhereTheOffloadSays) {
  FrameSpec spec{.payload = pattern(3000)};
  spec.is_partial = true;
  const auto n_frames = [&](auto&& spoil) {
    Bytes frame = make_frame(spec);
    Offload o = partial_offload(spec, 1000);
    spoil(frame, o);
    Burst burst;
    GsoCutter cutter(add_packet(burst, frame, o), GsoCutter::Checksums::finish);
    EXPECT_EQ(cutter.next() == nullptr, cutter.n_frames() == 0);
    return cutter.n_frames();
  };
  EXPECT_EQ(n_frames([](Bytes&, Offload&) {}), 3);
  EXPECT_EQ(n_frames([](Bytes&, Offload& o) { o.gso_size = 0; }), 0);
  EXPECT_EQ(n_frames([](Bytes&, Offload& o) { o.csum_start = 190; }), 0);
  EXPECT_EQ(n_frames([](Bytes&, Offload& o) { o.csum_start = 20; }), 0);
  EXPECT_EQ(n_frames([](Bytes&, Offload& o) { o.csum_start = 0xfff0; }), 0);
  EXPECT_EQ(n_frames([&](Bytes& b, Offload&) { b[spec.l4() + 12] = 0x40; }), 0);
  EXPECT_EQ(n_frames([](Bytes& b, Offload&) { shorten(b, 20); }), 0);
}

// --- OffloadSet
// -------------------------------------------------------------------------------------------------

TEST(OffloadSet, TakesOnlyWhatItHas) {
  const Offload plain{}, valid{.checksum = Checksum::valid}, partial{.checksum = Checksum::partial};
  const Offload tso4{.checksum = Checksum::partial, .gso = Gso::tcp4, .gso_size = 1460};
  const Offload tso6{.checksum = Checksum::partial, .gso = Gso::tcp6, .gso_size = 1440};
  Offload ecn = tso4;
  ecn.gso_ecn = 1;
  constexpr OffloadSet kChecksum{.checksum = true}, kTso4{.checksum = true, .tso4 = true},
      kTso6{.checksum = true, .tso6 = true};
  EXPECT_TRUE(OffloadSet::none().takes(plain) && OffloadSet::none().takes(valid));
  EXPECT_FALSE(OffloadSet::none().takes(partial));
  EXPECT_TRUE(kChecksum.takes(partial));
  EXPECT_FALSE(kChecksum.takes(tso4));
  EXPECT_TRUE(kTso4.takes(tso4));
  EXPECT_FALSE(kTso4.takes(tso6));
  EXPECT_TRUE(kTso6.takes(tso6));
  EXPECT_FALSE(kTso6.takes(tso4));
  EXPECT_FALSE(kTso4.takes(ecn));
  EXPECT_TRUE(OffloadSet::kernel().takes(ecn) && OffloadSet::kernel().takes(tso6));
}

}  // namespace
}  // namespace weft::dataplane
