// SPDX-License-Identifier: BSD-3-Clause
#include "switch/handoff.h"

#include <cstring>
#include <deque>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using dataplane::Burst;
using dataplane::OwnedStage;
using dataplane::Packet;
using Bytes = std::vector<uint8_t>;

Bytes numbered(size_t size, uint32_t number) {
  Bytes frame(size);
  for (size_t i = 0; i < size; ++i) frame[i] = static_cast<uint8_t>(number * 31 + i * 7 + i / 253);
  std::memcpy(frame.data(), &number, sizeof number);
  return frame;
}

/// A packet of its own: the first bytes in a head, the rest in pieces.
class Sent {
 public:
  explicit Sent(const Bytes& frame, uint16_t head = dataplane::kHeaderCopy) : frame_(frame) {
    packet_.head = frame_.data();
    packet_.head_size = static_cast<uint16_t>(std::min<size_t>(head, frame_.size()));
    packet_.size = static_cast<uint32_t>(frame_.size());
    for (size_t at = packet_.head_size; at < frame_.size(); at += kPiece)
      pieces_.push_back({frame_.data() + at, static_cast<uint32_t>(std::min(kPiece, frame_.size() - at))});
    packet_.payload = pieces_.data();
    packet_.n_payload = static_cast<uint16_t>(pieces_.size());
    packet_.in_port = 5;
  }
  Packet& packet() { return packet_; }

 private:
  static constexpr size_t kPiece = 1000;
  Bytes frame_;
  Packet packet_{};
  std::vector<dataplane::Segment> pieces_;
};

Bytes flatten(const Packet& p) {
  Bytes b(p.head, p.head + p.head_size);
  for (const auto& s : p.payload_segments()) b.insert(b.end(), s.data, s.data + s.size);
  return b;
}

constexpr size_t kSmall = 1 << 18;

TEST(HandoffRing, APacketComesOutAsItWentInAndKnowsWhatItKnew) {
  HandoffRing ring(kSmall);
  Burst burst;
  for (const size_t size : {14, 64, 191, 192, 193, 1514, 9000, 65'549}) {
    Sent sent(numbered(size, 7));
    Packet& p = sent.packet();
    p.offload = {dataplane::Checksum::partial, dataplane::Gso::tcp4, 34, 16, 1448};
    p.network = 3;
    p.l3_offset = 14;
    p.l3 = dataplane::L3::ipv4;
    p.l4_offset = 34;
    p.l4_protocol = 6;
    p.out_interface = 0x8001;
    p.next_hop = 0xcb007101;
    ASSERT_TRUE(ring.put(p, OwnedStage::nat_out));
    ring.show();
    const auto* meta = ring.peek(ring.end());
    ASSERT_NE(meta, nullptr);
    EXPECT_EQ(meta->stage, OwnedStage::nat_out);
    burst.clear();
    const Packet& out = ring.load(burst);
    EXPECT_EQ(flatten(out), numbered(size, 7)) << size;
    EXPECT_EQ(out.size, size);
    EXPECT_EQ(out.in_port, 5);
    EXPECT_EQ(out.network, 3);
    EXPECT_EQ(out.offload.gso_size, 1448);
    EXPECT_EQ(out.l4_offset, 34);
    EXPECT_EQ(out.out_interface, 0x8001);
    EXPECT_EQ(out.next_hop, 0xcb007101u);
    EXPECT_EQ(ring.peek(ring.end()), nullptr);
    ring.free();
  }
}

TEST(HandoffRing, ALongHeadStaysWhole) {
  HandoffRing ring(kSmall);
  Burst burst;
  Sent sent(numbered(400, 1), 250);
  ASSERT_TRUE(ring.put(sent.packet(), OwnedStage::nat_in));
  ring.show();
  ASSERT_NE(ring.peek(ring.end()), nullptr);
  EXPECT_EQ(ring.load(burst).head_size, 250);
}

TEST(HandoffRing, NothingIsSeenBeforeItIsShown) {
  HandoffRing ring(kSmall);
  Sent sent(numbered(64, 1));
  ASSERT_TRUE(ring.put(sent.packet(), OwnedStage::nat_out));
  EXPECT_EQ(ring.peek(ring.end()), nullptr);
  ring.show();
  EXPECT_NE(ring.peek(ring.end()), nullptr);
}

TEST(HandoffRing, AFullRingRefusesAndTakesAgainWhenThereIsRoom) {
  HandoffRing ring(kSmall);
  Burst burst;
  uint32_t n = 0;
  while (n < 10'000 && ring.put(Sent(numbered(1000, n)).packet(), OwnedStage::nat_out)) ++n;
  EXPECT_GT(n, kSmall / 1200);
  EXPECT_LT(n, kSmall / 1000);
  ring.show();
  ASSERT_NE(ring.peek(ring.end()), nullptr);
  ring.load(burst);
  EXPECT_FALSE(ring.put(Sent(numbered(1000, n)).packet(), OwnedStage::nat_out)) << "its room is not free yet";
  ring.free();
  EXPECT_TRUE(ring.put(Sent(numbered(1000, n)).packet(), OwnedStage::nat_out));
}

TEST(HandoffRing, ItTellsWhenAllThatWasInItIsThrough) {
  HandoffRing ring(kSmall);
  Burst burst;
  ASSERT_TRUE(ring.put(Sent(numbered(64, 1)).packet(), OwnedStage::nat_out));
  ring.show();
  const uint64_t end = ring.end();
  EXPECT_FALSE(ring.has_passed(end));
  ASSERT_NE(ring.peek(end), nullptr);
  ring.load(burst);
  EXPECT_FALSE(ring.has_passed(end)) << "it is still on its way";
  ring.free();
  EXPECT_TRUE(ring.has_passed(end));
}

TEST(HandoffRing, ASizeThatMakesNoRingIsRefused) {
  EXPECT_THROW(HandoffRing(100'000), std::invalid_argument);
  EXPECT_THROW(HandoffRing(1 << 16), std::invalid_argument);
}

TEST(HandoffRing, BetweenTwoThreadsNothingIsLostChangedOrOvertaken) {
  constexpr uint32_t kPackets = 30'000;
  HandoffRing ring(kSmall);
  const auto size_of = [](uint32_t i) { return size_t{60} + i * 37 % 1400 + (i % 500 == 0 ? 60'000 : 0); };
  std::thread sender([&] {
    for (uint32_t i = 0; i < kPackets; ++i) {
      Sent sent(numbered(size_of(i), i));
      while (!ring.put(sent.packet(), OwnedStage::nat_out)) {
        ring.show();
        std::this_thread::yield();
      }
      if (i % 7 == 0) ring.show();
    }
    ring.show();
  });
  Burst burst;
  uint32_t next = 0, n_wrong = 0;
  while (next < kPackets) {
    const uint64_t end = ring.end();
    burst.clear();
    while (!burst.full() && ring.peek(end) != nullptr) {
      const Packet& p = ring.load(burst);
      n_wrong += flatten(p) != numbered(size_of(next), next);
      ++next;
    }
    if (burst.size() == 0) std::this_thread::yield();
    ring.free();
  }
  sender.join();
  EXPECT_EQ(n_wrong, 0u);
}

}  // namespace
}  // namespace weft::vswitch
