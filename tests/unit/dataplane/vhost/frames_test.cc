// SPDX-License-Identifier: BSD-3-Clause
//
// Frames through rings, in every layout a guest may choose.
#include "tests/unit/dataplane/vhost/harness.h"

namespace weft::dataplane::vhost::test {
namespace {

namespace f = feature;
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

NullGuestOptions with_features(uint64_t features) {
  NullGuestOptions o;
  o.features = features;
  return o;
}
uint64_t without(std::initializer_list<unsigned> bits) {
  uint64_t features = bench::linux_guest_features();
  for (const unsigned b : bits) features &= ~bit(b);
  return features;
}

class VhostFrames : public PortTest, public ::testing::WithParamInterface<RingKind> {
 protected:
  VhostFrames() { kind_ = GetParam(); }
  void start(NullGuestOptions sender, NullGuestOptions receiver) {
    from_ = &add_port("from");
    to_ = &add_port("to");
    guest_ = join("from", std::move(sender));
    peer_ = join("to", std::move(receiver));
    ASSERT_TRUE(from_->is_up());
    ASSERT_TRUE(to_->is_up());
  }
  void start() { start({}, {}); }
  /// What the peer receives when the guest sends this.
  std::vector<NullGuest::Received> pass(const Bytes& frame, const NullGuest::SendOptions& options) {
    EXPECT_TRUE(guest_->send(frame, options));
    drops_ = forward(*from_, *to_);
    return peer_->receive();
  }
  std::vector<NullGuest::Received> pass(const Bytes& frame) { return pass(frame, {}); }

  VhostUserPort *from_ = nullptr, *to_ = nullptr;
  std::unique_ptr<NullGuest> guest_, peer_;
  std::vector<Drop> drops_;
};

TEST_P(VhostFrames, EverySizeArrivesAsItWasSent) {
  start();
  for (const size_t size : {14, 15, 60, 64, 127, 191, 192, 193, 500, 1514, 2000}) {
    const Bytes frame = make_frame(size, static_cast<uint8_t>(size));
    const auto received = pass(frame);
    ASSERT_EQ(received.size(), 1u) << size;
    EXPECT_EQ(received[0].frame, frame) << size;
    EXPECT_EQ(received[0].header.num_buffers, 1);
    EXPECT_EQ(received[0].header.flags, 0);
    EXPECT_EQ(guest_->reclaim(), 1) << "the sender has its descriptor back";
  }
}

TEST_P(VhostFrames, ManyBurstsKeepOrderAndWrapTheRing) {
  NullGuestOptions small;
  small.ring_size = 16;
  start(small, small);
  uint8_t sent = 0, expected = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 11; ++i) ASSERT_TRUE(guest_->send(make_frame(60, sent++)));
    forward(*from_, *to_);
    for (const auto& r : peer_->receive()) EXPECT_EQ(r.frame, make_frame(60, expected++));
  }
  EXPECT_EQ(sent, expected);
}

TEST_P(VhostFrames, ChainsOfAnyShapeArriveWhole) {
  NullGuestOptions big;
  big.receive_buffer = 4096;
  start({}, big);
  const Bytes frame = make_frame(1500, 9);
  const std::vector<std::vector<uint32_t>> shapes = {
      {12},      // header of its own
      {12, 14},  // and the Ethernet header
      {5},       // header cut
      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
      {12, 100, 100, 100},
      {203, 1},  // just before the end of the head
      {204, 1},
      {205, 700},
      {13, 191, 1},
  };
  for (const bool is_indirect : {false, true}) {
    for (const auto& pieces : shapes) {
      NullGuest::SendOptions options;
      options.pieces = pieces;
      options.is_indirect = is_indirect;
      const auto received = pass(frame, options);
      ASSERT_EQ(received.size(), 1u);
      EXPECT_EQ(received[0].frame, frame);
    }
  }
}

TEST_P(VhostFrames, HeaderHasTenBytesForALegacyGuest) {
  const uint64_t legacy = without({f::kVersion1, f::kMrgRxbuf});
  start(with_features(legacy), with_features(legacy));
  for (const size_t size : {60, 1500}) {
    const Bytes frame = make_frame(size);
    const auto received = pass(frame);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].frame, frame);
  }
}

TEST_P(VhostFrames, LargeFramesAreMergedFromSeveralBuffers) {
  NullGuestOptions sender;
  sender.send_buffer = 70000;
  sender.ring_size = 16;
  start(sender, {});
  Bytes frame = make_tcp4(30000);
  NullGuest::SendOptions options;
  options.header = tso4_header(1448);
  const auto received = pass(frame, options);
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].frame, frame);
  EXPECT_EQ(received[0].n_buffers, (frame.size() + 12 + 2047) / 2048);
  EXPECT_EQ(received[0].header.gso_type, VirtioNetHeader::kGsoTcp4);
  EXPECT_EQ(received[0].header.gso_size, 1448);
  EXPECT_EQ(received[0].header.flags, VirtioNetHeader::kNeedsCsum);
  EXPECT_EQ(received[0].header.csum_start, kTcp4);
}

TEST_P(VhostFrames, LargeFramesGoIntoChainedBuffersOfAGuestThatDoesNotMerge) {
  NullGuestOptions sender, receiver = with_features(without({f::kMrgRxbuf}));
  sender.send_buffer = 70000;
  sender.ring_size = 16;
  receiver.receive_buffer = 17 * 4096;
  receiver.receive_chain = 17;
  receiver.ring_size = 64;
  start(sender, receiver);
  const Bytes frame = make_tcp4(60000);
  NullGuest::SendOptions options;
  options.header = tso4_header(1448);
  for (int i = 0; i < 10; ++i) {
    const auto received = pass(frame, options);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].frame, frame);
    EXPECT_EQ(received[0].header.num_buffers, 1);
  }
}

TEST_P(VhostFrames, PartialChecksumIsPassedOnOrFinished) {
  start({}, with_features(without({f::kGuestCsum, f::kGuestTso4, f::kGuestTso6, f::kGuestEcn})));
  NullGuest::SendOptions options;
  options.header = partial_checksum_header();
  for (const size_t payload : {10, 1001}) {
    const auto received = pass(make_tcp4(payload), options);
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].header.flags, 0);
    EXPECT_TRUE(tcp4_checksum_is_right(received[0].frame));
  }
}

TEST_P(VhostFrames, PartialChecksumStaysPartialForAGuestThatTakesIt) {
  start();
  NullGuest::SendOptions options;
  options.header = partial_checksum_header();
  const Bytes frame = make_tcp4(500);
  const auto received = pass(frame, options);
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].frame, frame);
  EXPECT_EQ(received[0].header.flags, VirtioNetHeader::kNeedsCsum);
  EXPECT_EQ(received[0].header.csum_offset, 16);
}

TEST_P(VhostFrames, TsoFrameIsCutForAGuestWithoutTso) {
  for (const bool has_csum : {false, true}) {
    uint64_t features = without({f::kGuestTso4, f::kGuestTso6, f::kGuestEcn});
    if (!has_csum) features &= ~bit(f::kGuestCsum);
    NullGuestOptions sender;
    sender.send_buffer = 70000;
    sender.ring_size = 16;
    remove_port("from");
    remove_port("to");
    start(sender, with_features(features));
    NullGuest::SendOptions options;
    options.header = tso4_header(1000);
    const auto received = pass(make_tcp4(10500), options);
    EXPECT_EQ(drops_, std::vector<Drop>{Drop::none});
    ASSERT_EQ(received.size(), 11u);
    size_t payload = 0;
    for (const auto& r : received) {
      EXPECT_EQ(r.header.gso_type, 0);
      EXPECT_EQ(r.header.flags, has_csum ? VirtioNetHeader::kNeedsCsum : 0);
      if (!has_csum) {
        EXPECT_TRUE(tcp4_checksum_is_right(r.frame));
      }
      payload += r.frame.size() - kTcpPayload4;
    }
    EXPECT_EQ(payload, 10500u);
    guest_.reset();
    peer_.reset();
  }
}

TEST_P(VhostFrames, OffloadsThatWereNotNegotiatedOrPointOutsideAreRefused) {
  start(with_features(without({f::kHostTso4, f::kHostTso6, f::kHostEcn})), {});
  NullGuest::SendOptions options;
  options.header = tso4_header(1000);
  EXPECT_TRUE(pass(make_tcp4(1900), options).empty());
  EXPECT_EQ(drops_, std::vector<Drop>{Drop::rx_bad_offload});
  options.header = partial_checksum_header();
  options.header.csum_offset = 5000;
  EXPECT_TRUE(pass(make_tcp4(100), options).empty());
  EXPECT_EQ(drops_, std::vector<Drop>{Drop::rx_bad_offload});
  EXPECT_EQ(guest_->reclaim(), 1) << "and the descriptor is returned";
}

TEST_P(VhostFrames, FullReceiveRingDropsByName) {
  NullGuestOptions small;
  small.ring_size = 8;
  start({}, small);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(guest_->send(make_frame(60)));
  const auto drops = forward(*from_, *to_);
  EXPECT_EQ(std::count(drops.begin(), drops.end(), Drop::none), 8);
  EXPECT_EQ(std::count(drops.begin(), drops.end(), Drop::tx_ring_full), 4);
  EXPECT_EQ(peer_->receive().size(), 8u);
  EXPECT_EQ(pass(make_frame(60)).size(), 1u) << "buffers posted again are used again";
}

TEST_P(VhostFrames, BuffersTooSmallDropByName) {
  NullGuestOptions small = with_features(without({f::kMrgRxbuf}));
  small.receive_buffer = 512;
  start({}, small);
  EXPECT_TRUE(pass(make_frame(1000)).empty());
  EXPECT_EQ(drops_, std::vector<Drop>{Drop::tx_no_room});
  EXPECT_EQ(pass(make_frame(500)).size(), 1u) << "a frame that fits still finds the buffer";
}

TEST_P(VhostFrames, MergingIsLimitedByTheRing) {
  NullGuestOptions sender, receiver;
  sender.send_buffer = 70000;
  sender.ring_size = 16;
  receiver.ring_size = 8;
  receiver.receive_buffer = 1024;
  start(sender, receiver);
  NullGuest::SendOptions options;
  options.header = tso4_header(1448);
  EXPECT_TRUE(pass(make_tcp4(20000), options).empty());
  EXPECT_EQ(drops_, std::vector<Drop>{Drop::tx_no_room});
}

TEST_P(VhostFrames, FramesForAPortWithoutAGuestAreDroppedByName) {
  auto& port = add_port("lonely");
  EXPECT_FALSE(port.is_up());
  EXPECT_EQ(send(port, make_frame(60)), Drop::tx_not_ready);
}

TEST_P(VhostFrames, GuestIsInterruptedUnlessItSaysNot) {
  start(with_features(without({f::kEventIdx})), with_features(without({f::kEventIdx})));
  peer_->take_calls(0);
  pass(make_frame(60));
  EXPECT_EQ(peer_->take_calls(0), 1u);
  forbid_interrupts(peer_->ring(0));
  pass(make_frame(60));
  EXPECT_EQ(peer_->take_calls(0), 0u);
}

TEST_P(VhostFrames, BurstInterruptsOnce) {
  start(with_features(without({f::kEventIdx})), with_features(without({f::kEventIdx})));
  peer_->take_calls(0);
  for (int i = 0; i < 20; ++i) guest_->send(make_frame(60));
  forward(*from_, *to_);
  EXPECT_EQ(peer_->take_calls(0), 1u);
}

TEST_P(VhostFrames, EventIndexIsHonoured) {
  start();
  peer_->take_calls(0);
  interrupt_at(peer_->ring(0), 2);
  pass(make_frame(60));
  pass(make_frame(60));
  EXPECT_EQ(peer_->take_calls(0), 0u);
  pass(make_frame(60));
  EXPECT_EQ(peer_->take_calls(0), 1u);
  pass(make_frame(60));
  EXPECT_EQ(peer_->take_calls(0), 0u);
}

TEST_P(VhostFrames, ArmingAsksForAKickAndSeesWhatCameBefore) {
  for (const bool has_event_idx : {false, true}) {
    remove_port("from");
    remove_port("to");
    const auto features = has_event_idx ? bench::linux_guest_features() : without({f::kEventIdx});
    start(with_features(features), {});
    auto& ring = guest_->ring(1);
    from_->disarm(0);
    if (!has_event_idx) {
      EXPECT_FALSE(wants_kick(ring, has_event_idx, 0));
    }
    EXPECT_FALSE(from_->arm(0));
    EXPECT_TRUE(wants_kick(ring, has_event_idx, 0));
    while (events_.wait(0)) {
    }
    guest_->send(make_frame(60));
    EXPECT_TRUE(events_.wait(5000)) << "the kick wakes the worker";
    EXPECT_TRUE(from_->arm(0)) << "something is there already";
    EXPECT_EQ(take(*from_).size(), 1u);
    EXPECT_FALSE(from_->arm(0));
    EXPECT_TRUE(wants_kick(ring, has_event_idx, 1));
    guest_.reset();
    peer_.reset();
  }
}

TEST_P(VhostFrames, GuestThatCannotKickIsNeverSleptOn) {
  NullGuestOptions polled;
  polled.can_kick = polled.wants_calls = false;
  start(polled, polled);
  EXPECT_TRUE(from_->arm(0));
  EXPECT_EQ(pass(make_frame(100)).size(), 1u);
}

TEST_P(VhostFrames, BurstStopsWhenItsSegmentsRunOut) {
  NullGuestOptions sender;
  sender.ring_size = 1024;
  sender.send_buffer = 256;
  start(sender, {});
  NullGuest::SendOptions options;
  options.pieces.assign(100, 200);
  const Bytes frame = make_frame(200 * 100);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(guest_->send(frame, options));
  size_t n = 0;
  for (int turn = 0; turn < 10; ++turn) {
    for (const Taken& t : take(*from_)) {
      EXPECT_EQ(t.drop, Drop::none);
      EXPECT_EQ(t.frame, frame);
      ++n;
    }
  }
  EXPECT_EQ(n, 10u);
}

INSTANTIATE_TEST_SUITE_P(Rings, VhostFrames, ::testing::ValuesIn(kRingKinds), name_of);

}  // namespace
}  // namespace weft::dataplane::vhost::test
