// SPDX-License-Identifier: BSD-3-Clause
//
// What only packed rings have: any size, a position that must survive the switch, and chains whose end must be found.
#include "dataplane/vhost/packed_record.h"
#include "tests/unit/dataplane/vhost/harness.h"

#include <fstream>

namespace weft::dataplane::vhost::test {
namespace {

constexpr uint16_t kNext = PackedDescriptor::kNext, kWrite = PackedDescriptor::kWrite,
                   kIndirect = PackedDescriptor::kIndirect;

class VhostPacked : public PortTest, public ::testing::WithParamInterface<RingKind> {
 protected:
  VhostPacked() { kind_ = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Rings, VhostPacked, ::testing::ValuesIn(std::span(kRingKinds).subspan(2)), name_of);

TEST_P(VhostPacked, RingsOfAnySizeWrapAndKeepOrder) {
  VhostUserPort& port = add_port("vm");
  for (const uint16_t size : std::to_array<uint16_t>({1, 2, 3, 5, 7, 31, 32, 33, 255, 256, 257, 1000, 1024, 32768})) {
    NullGuestOptions options;
    options.ring_size = size;
    options.send_ring_size = static_cast<uint16_t>(size == 32768 ? 1 : size + 1);
    options.send_buffer = options.receive_buffer = 256;
    auto guest = join("vm", options);
    uint32_t sent = 0, received = 0;
    const uint32_t wanted = 3u * size + 100;
    for (int idle = 0; received < wanted && idle < 10;) {
      const uint32_t before = received;
      for (int i = 0; i < 40 && sent < wanted; ++i, ++sent) {
        if (!guest->send(make_frame(60, static_cast<uint8_t>(sent)))) break;
      }
      for (const Drop drop : forward(port, port)) ASSERT_TRUE(drop == Drop::none || drop == Drop::tx_ring_full);
      for (const auto& r : guest->receive()) {
        // A ring shorter than a burst loses what does not fit; what comes is in order.
        const auto seed = static_cast<uint8_t>(r.frame.at(14) - 14 * 7);
        received += static_cast<uint8_t>(seed - received);
        ASSERT_EQ(r.frame, make_frame(60, static_cast<uint8_t>(received))) << size;
        ++received;
      }
      idle = received == before ? idle + 1 : 0;
      if (size < 40) received = std::max(received, sent);
    }
    EXPECT_GE(received, wanted) << size;
    guest.reset();
    ASSERT_TRUE(eventually([&] { return !port.is_connected(); }));
  }
}

TEST_P(VhostPacked, ChainsThatCrossTheEndOfTheRingArriveWhole) {
  VhostUserPort& port = add_port("vm");
  NullGuestOptions options;
  options.ring_size = 11;
  options.receive_chain = 3;
  options.receive_buffer = 600;
  options.send_ring_size = 7;
  auto guest = join("vm", options);
  NullGuest::SendOptions spread;
  for (int i = 0; i < 100; ++i) {
    spread.pieces.assign(static_cast<size_t>(i % 4), 40);
    spread.is_indirect = i % 3 == 0;
    const Bytes frame = make_frame(static_cast<size_t>(300 + i * 5), static_cast<uint8_t>(i));
    ASSERT_TRUE(guest->send(frame, spread)) << i;
    ASSERT_EQ(forward(port, port), std::vector<Drop>{Drop::none}) << i;
    const auto received = guest->receive();
    ASSERT_EQ(received.size(), 1u) << i;
    EXPECT_EQ(received[0].frame, frame) << i;
    EXPECT_EQ(guest->reclaim(), 1) << i;
  }
}

TEST_P(VhostPacked, InterruptComesAtAPositionOfTheNextLap) {
  VhostUserPort& port = add_port("vm");
  NullGuestOptions options;
  options.ring_size = 5;
  auto guest = join("vm", options);
  guest->take_calls(0);
  auto& ring = guest->ring(0);
  const auto calls_after = [&](uint16_t index, bool wrap) {
    *ring.driver_event = {PackedPosition{index, wrap}.bits(), PackedEvent::kAtPosition};
    std::string calls;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(send(port, make_frame(60)), Drop::none);
      EXPECT_EQ(guest->receive().size(), 1u);
      calls += guest->take_calls(0) != 0 ? '1' : '0';
    }
    return calls;
  };
  EXPECT_EQ(calls_after(0, true), "1000000000");
  EXPECT_EQ(calls_after(4, true), "0000100000");
  EXPECT_EQ(calls_after(0, false), "0000010000");
  EXPECT_EQ(calls_after(3, false), "0000000010");
}

// --- the end of the switch ------------------------------------------------------------------------------------------

class VhostPackedRestart : public VhostPacked {
 protected:
  VhostUserPort& start_switch() {
    PortConfig config;
    config.positions = directory_ / "vm.rings";
    return *(port_ = &add_port("vm", config));
  }
  void expect_traffic(NullGuest& guest, uint8_t seed) {
    ASSERT_TRUE(guest.send(make_frame(300, seed)));
    const auto taken = take(*port_);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken[0].frame, make_frame(300, seed));
    EXPECT_EQ(send(*port_, make_frame(100, seed)), Drop::none);
    const auto received = guest.receive();
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].frame, make_frame(100, seed));
  }
  VhostUserPort* port_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Rings, VhostPackedRestart, ::testing::ValuesIn(std::span(kRingKinds).subspan(2)), name_of);

/// The front end knows only where the ring was when it was started; the file knows the rest.
TEST_P(VhostPackedRestart, RingsGoOnWhereTheyWere) {
  start_switch();
  NullGuestOptions options;
  options.ring_size = 7;
  auto guest = join("vm", options);
  for (int life = 0; life < 20; ++life) {
    for (int i = 0; i <= life; ++i) expect_traffic(*guest, static_cast<uint8_t>(i));
    ASSERT_TRUE(guest->send(make_frame(80, 77)));  // not taken in this life
    remove_port("vm");
    guest->disconnect();
    start_switch();
    guest->connect();
    guest->handshake();
    const auto taken = take(*port_);
    ASSERT_EQ(taken.size(), 1u) << life;
    EXPECT_EQ(taken[0].frame, make_frame(80, 77));
  }
}

TEST_P(VhostPackedRestart, GuestThatWasResetMeanwhileStartsAnew) {
  start_switch();
  auto guest = join("vm");
  for (int life = 0; life < 3; ++life) {
    for (uint8_t i = 0; i < 10; ++i) expect_traffic(*guest, i);
    remove_port("vm");
    guest->disconnect();
    guest->reset_rings();
    start_switch();
    guest->connect();
    guest->handshake();
  }
  expect_traffic(*guest, 1);
}

TEST_P(VhostPackedRestart, FrontEndThatStoppedTheRingsNamesTheirBase) {
  start_switch();
  auto guest = join("vm");
  for (uint8_t i = 0; i < 10; ++i) expect_traffic(*guest, i);
  EXPECT_EQ(guest->stop_ring(0), kind_.base_after(10));
  EXPECT_EQ(guest->stop_ring(1), kind_.base_after(10));
  remove_port("vm");
  guest->disconnect();
  std::filesystem::remove(directory_ / "vm.rings");
  start_switch();
  guest->connect();
  guest->handshake();
  expect_traffic(*guest, 1);
}

TEST_P(VhostPackedRestart, FileOfAnotherKindIsReplacedAndOneThatCannotBeHadRefused) {
  std::ofstream(directory_ / "vm.rings") << "something else";
  start_switch();
  auto guest = join("vm");
  expect_traffic(*guest, 1);
  PortConfig config;
  config.positions = directory_ / "nowhere" / "x.rings";
  EXPECT_THROW(add_port("other", config), std::runtime_error);
}

// --- records --------------------------------------------------------------------------------------------------------

/// A driver and a device on a ring of three slots, the device's every store one by one.
class PackedRecordTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kSize = 3;
  static constexpr uint64_t kWhere = 0x7000;

  PackedRecordTest() {
    ring_ = {slots_.data(), kSize, &driver_, &device_};
    begin(record_, ring_, kWhere, 0x8000, {});
  }
  void make_available(PackedPosition at, uint16_t n) {
    for (; n != 0; --n, at.advance(1, kSize)) slots_[at.index] = {0x1000, 100, at.index, at.available_flags()};
  }
  bool is_used(PackedPosition at) const { return (slots_[at.index].flags & kPackedLapFlags) == at.used_flags(); }
  std::optional<PackedPosition> resume_here() { return resume(record_, ring_, kWhere, 0x8000); }

  std::array<PackedDescriptor, kSize> slots_{};
  PackedEvent driver_{}, device_{};
  PackedRing ring_;
  PackedRecord record_{};
};

TEST_F(PackedRecordTest, StepCutOffAnywhereIsEndedOnce) {
  PackedPosition from;
  for (int lap = 0; lap < 12; ++lap) {
    const auto n = static_cast<uint16_t>(1 + lap % 3);
    for (int cut = 0; cut < 6; ++cut) {
      make_available(from, n);
      PackedPosition to = from, at = from;
      to.advance(n, kSize);
      record_.store({from, from, 0});
      for (uint16_t i = 0; i < n; ++i, at.advance(1, kSize))
        record_.used[i] = {static_cast<uint32_t>(60 + i), at.index, at.index};
      const bool is_recorded = cut >= 1, is_told = cut >= 4;
      if (is_recorded) record_.store({from, to, n});
      if (cut == 2 && n > 1) slots_[record_.used[1].slot].flags = 0xffff;  // half of step 2, even nonsense
      if (cut == 3 && n > 1) write_used(ring_, from, record_.used.data(), n), make_available(from, 1);
      if (is_told) write_used(ring_, from, record_.used.data(), n);
      if (cut == 5) record_.store({to, to, 0});

      ASSERT_EQ(resume_here(), is_recorded ? to : from) << lap << " " << cut;
      ASSERT_EQ(resume_here(), is_recorded ? to : from) << "and the same again";
      at = from;
      for (uint16_t i = 0; i < n; ++i, at.advance(1, kSize)) {
        ASSERT_EQ(is_used(at), is_recorded) << lap << " " << cut << " " << i;
        if (is_recorded) {
          ASSERT_EQ(slots_[at.index].size, 60u + i);
        }
      }
    }
    // On to the next place: everything used and made available again by then.
    PackedPosition to = from;
    to.advance(n, kSize);
    from = to;
    record_.store({from, from, 0});
  }
}

TEST_F(PackedRecordTest, SlotsTheDriverHasTakenBackStayItsOwn) {
  make_available({}, 3);
  const PackedPosition to{0, false};
  for (uint16_t i = 0; i < 3; ++i) record_.used[i] = {60, i, i};
  record_.store({{}, to, 3});
  write_used(ring_, {}, record_.used.data(), 3);
  make_available(to, 2);  // the device died before it could note that it had told
  EXPECT_EQ(resume_here(), to);
  EXPECT_EQ(slots_[0].flags, to.available_flags());
  EXPECT_EQ(slots_[1].flags, to.available_flags());
}

TEST_F(PackedRecordTest, AnotherRingOrAnotherLifeIsNotResumed) {
  make_available({}, 2);
  record_.used[0] = {60, 0, 0};
  write_used(ring_, {}, record_.used.data(), 1);
  const PackedPosition at{1, true};
  record_.store({at, at, 0});
  ASSERT_EQ(resume_here(), at);
  EXPECT_EQ(resume(record_, ring_, kWhere + 4096, 0x8000), std::nullopt);
  EXPECT_EQ(resume(record_, ring_, kWhere, 0x8001), std::nullopt);
  PackedRing smaller = ring_;
  smaller.size = 2;
  EXPECT_EQ(resume(record_, smaller, kWhere, 0x8000), std::nullopt);
  device_ = {};
  EXPECT_EQ(resume_here(), std::nullopt) << "its driver made the ring anew";
  device_ = {kPackedMark, PackedEvent::kEnable};
  EXPECT_EQ(resume_here(), at);
  slots_ = {};
  EXPECT_EQ(resume_here(), std::nullopt) << "slot 0 cannot have been used";
}

TEST_F(PackedRecordTest, AnyBytesInARecordAreSafe) {
  std::mt19937_64 rng(3);
  int resumed = 0;
  for (int i = 0; i < 20000; ++i) {
    for (auto& s : slots_) s.flags = static_cast<uint16_t>(rng());
    record_.step = rng() & 0x0003'8003'8003u;
    if (i % 4 == 0) record_.step = rng();
    for (int k = 0; k < 4; ++k) record_.used[k] = {1, 2, static_cast<uint16_t>(rng() % (i % 8 == 0 ? 65536 : kSize))};
    if (const auto at = resume_here()) {
      ++resumed;
      EXPECT_LT(at->index, kSize);
    }
  }
  EXPECT_GT(resumed, 100);
}

// --- hostile --------------------------------------------------------------------------------------------------------

class VhostPackedHostile : public BesideAGoodGuest<VhostPacked> {
 protected:
  uint64_t buffer(uint16_t d) { return guest_->guest_address(guest_->send_buffer(1, d)); }
  /// Posts one buffer and says how its packet ended.
  Drop post(const std::vector<PackedDescriptor>& chain) {
    NullGuest::Ring& r = ring(1);
    r.put_packed(chain);
    const auto taken = take(*port_);
    if (taken.size() != 1) {
      ADD_FAILURE() << taken.size() << " packets";
      return Drop::none;
    }
    EXPECT_TRUE(r.has_used()) << "returned to the guest";
    EXPECT_EQ(r.packed[r.next_used.index].id, chain.back().id);
    EXPECT_EQ(r.packed[r.next_used.index].size, 0u);
    r.next_used.advance(static_cast<uint32_t>(chain.size()), r.size);
    return taken[0].drop;
  }
};
INSTANTIATE_TEST_SUITE_P(Rings, VhostPackedHostile, ::testing::ValuesIn(std::span(kRingKinds).subspan(2)), name_of);

TEST_P(VhostPackedHostile, BadBuffersAreDroppedByNameAndReturned) {
  const uint64_t a = buffer(0), b = buffer(1);
  struct Case {
    const char* what;
    std::vector<PackedDescriptor> chain;
    Drop drop;
  };
  const Case cases[] = {
      {"zero length", {{a, 0, 1, 0}}, Drop::rx_bad_descriptor},
      {"zero length in a chain", {{a, 12, 0, kNext}, {b, 0, 2, 0}}, Drop::rx_bad_descriptor},
      {"outside memory", {{0x42, 100, 3, 0}}, Drop::rx_bad_descriptor},
      {"end outside memory", {{a, 0xffffffff, 4, 0}}, Drop::rx_bad_descriptor},
      {"address that wraps", {{~uint64_t{0} - 10, 100, 5, 0}}, Drop::rx_bad_descriptor},
      {"writable", {{a, 100, 6, kWrite}}, Drop::rx_bad_descriptor},
      {"readable then writable", {{a, 100, 0, kNext}, {b, 100, 7, kWrite}}, Drop::rx_bad_descriptor},
      {"an id that is none", {{0x42, 100, 0xffff, 0}}, Drop::rx_bad_descriptor},
      {"shorter than the header", {{a, 11, 8, 0}}, Drop::rx_short_header},
      {"chain shorter than the header", {{a, 5, 0, kNext}, {b, 6, 9, 0}}, Drop::rx_short_header},
      {"indirect of no entry", {{a, 0, 10, kIndirect}}, Drop::rx_bad_descriptor},
      {"indirect of half an entry", {{a, 24, 11, kIndirect}}, Drop::rx_bad_descriptor},
      {"indirect outside memory", {{0x42, 16, 12, kIndirect}}, Drop::rx_bad_descriptor},
      {"indirect and next", {{a, 16, 0, kIndirect | kNext}, {b, 100, 13, 0}}, Drop::rx_bad_descriptor},
      {"indirect in a chain", {{a, 12, 0, kNext}, {b, 16, 14, kIndirect}}, Drop::rx_bad_descriptor},
      {"indirect of 4 GiB", {{a, 0xfffffff0, 15, kIndirect}}, Drop::rx_bad_descriptor},
      {"too big", {{guest_->region(1).guest_address, 100000, 16, 0}}, Drop::rx_too_big},
      {"nothing but a header", {{a, 12, 17, 0}}, Drop::none},
  };
  for (const Case& c : cases) EXPECT_EQ(post(c.chain), c.drop) << c.what;
}

TEST_P(VhostPackedHostile, IndirectTablesMayNotNestNorNameWhatIsNotThere) {
  auto* table = reinterpret_cast<PackedDescriptor*>(guest_->send_buffer(1, 5));
  table[0] = {buffer(6), 16, 0, kIndirect};
  table[1] = {buffer(7), 100, 0, 0};
  EXPECT_EQ(post({{buffer(5), 32, 1, kIndirect}}), Drop::rx_bad_descriptor) << "nested";
  table[0] = {buffer(6), 100, 0, kWrite};
  EXPECT_EQ(post({{buffer(5), 32, 1, kIndirect}}), Drop::none) << "writable, as DPDK's driver says of its header";
  table[0] = {0x42, 100, 0, 0};
  EXPECT_EQ(post({{buffer(5), 32, 1, kIndirect}}), Drop::rx_bad_descriptor) << "nowhere";
  table[0] = {buffer(6), 100, 999, kNext};
  EXPECT_EQ(post({{buffer(5), 32, 1, kIndirect}}), Drop::none) << "id and NEXT mean nothing there";
  const PackedDescriptor entry{buffer(6), 100, 0, 0};
  std::memcpy(guest_->send_buffer(1, 5) + 3, &entry, sizeof entry);
  EXPECT_EQ(post({{buffer(5) + 3, 16, 1, kIndirect}}), Drop::none) << "of any alignment";
}

TEST_P(VhostPackedHostile, TooManyPiecesAreDropped) {
  NullGuestOptions big;
  big.ring_size = 1000;
  VhostUserPort& port = add_port("long");
  auto guest = join("long", big);
  std::vector<PackedDescriptor> chain(600, {guest->guest_address(guest->send_buffer(1, 0)), 20, 4, kNext});
  chain.back().flags = 0;
  guest->ring(1).put_packed(chain);
  const auto taken = take(port);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].drop, Drop::rx_chain_too_long);
  EXPECT_TRUE(guest->ring(1).has_used());
}

TEST_P(VhostPackedHostile, ChainWithoutAnEndBreaksTheRingUntilItIsSetUpAgain) {
  for (const bool is_whole_ring : {false, true}) {
    // It goes on in a slot that is not available, or comes round to its own first.
    guest_->ring(1).put_packed(
        std::vector<PackedDescriptor>(is_whole_ring ? ring(1).size : 5, {buffer(0), 20, 4, kNext}));
    const auto taken = take(*port_);
    ASSERT_EQ(taken.size(), 1u) << "counted once";
    EXPECT_EQ(taken[0].drop, Drop::rx_bad_descriptor);
    EXPECT_TRUE(take(*port_).empty());
    EXPECT_TRUE(eventually([&] { return !port_->is_up(); }));
    guest_->stop_ring(0);
    guest_->stop_ring(1);
    guest_->reset_rings();
    for (const uint16_t i : {uint16_t{0}, uint16_t{1}}) guest_->start_ring(i);
    EXPECT_TRUE(eventually([&] { return port_->is_up(); }));
    EXPECT_TRUE(guest_->send(make_frame(60)));
    EXPECT_EQ(take(*port_).size(), 1u);
  }
}

TEST_P(VhostPackedHostile, ReceiveChainWithoutAnEndBreaksTheRing) {
  for (uint16_t i = 0; i < ring(0).size; ++i) ring(0).packed[i].flags |= kNext;
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::tx_bad_descriptor);
  EXPECT_TRUE(eventually([&] { return !port_->is_up(); }));
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::tx_not_ready);
}

TEST_P(VhostPackedHostile, BadReceiveBuffersCostOneFrameEach) {
  NullGuest::Ring& r = ring(0);
  const uint64_t good = r.packed[0].address;
  const uint16_t lap = PackedPosition{}.available_flags();
  const PackedDescriptor bad[] = {
      {0x42, 2048, 0, kWrite}, {good, 2048, 1, 0}, {good, 0, 2, kWrite}, {good, 16, 3, kWrite | kIndirect}};
  for (size_t i = 0; i < std::size(bad); ++i) {
    r.packed[i] = bad[i];
    r.packed[i].flags |= lap;
    EXPECT_EQ(send(*port_, make_frame(1000)), Drop::tx_bad_descriptor) << i;
    EXPECT_TRUE(r.is_used({static_cast<uint16_t>(i), true})) << "it went back, empty";
    EXPECT_EQ(r.packed[i].size, 0u);
  }
  EXPECT_EQ(send(*port_, make_frame(1000)), Drop::none);
}

TEST_P(VhostPackedHostile, BaseBeyondTheRingKeepsItDown) {
  guest_->stop_ring(1);
  ring(1).base = 0x80000000 | 5000;
  guest_->start_ring(1);
  (void)guest_->get_u64(RequestType::get_features);
  EXPECT_FALSE(port_->is_up());
  EXPECT_TRUE(port_->is_connected());
}

TEST_P(VhostPackedHostile, RandomGuestsHarmNobodyElse) {
  const bool is_long = std::getenv("WEFT_LONG") != nullptr;
  const uint64_t n = is_long ? 5'000'000 : 300'000;
  std::mt19937_64 rng(4711);
  const auto below = [&](uint64_t limit) { return rng() % limit; };
  static constexpr uint16_t kRingSizes[] = {1, 2, 3, 7, 16, 32, 33, 64, 255, 256};
  uint64_t descriptors = 0, accepted = 0, dropped = 0;
  while (descriptors < n) {
    if (!port_->is_up()) {
      guest_.reset();
      ASSERT_TRUE(eventually([&] { return !port_->is_connected(); }));
      NullGuestOptions options;
      options.ring_size = kRingSizes[below(std::size(kRingSizes))];
      options.send_ring_size = kRingSizes[below(std::size(kRingSizes))];
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kMrgRxbuf);
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kEventIdx);
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kGuestTso4);
      options.send_buffer = 4096;
      guest_ = join("bad", options);
    }
    for (uint16_t index = 0; index < 2; ++index) {
      NullGuest::Ring& r = ring(index);
      const uint16_t n_buffers = ring(1).size;
      const auto random_descriptor = [&](bool has_next) -> PackedDescriptor {
        ++descriptors;
        static constexpr uint32_t kSizes[] = {0, 1, 5, 12, 16, 32, 64, 160, 2048, 4096, 70000, 0xffffffff};
        PackedDescriptor d;
        d.address = below(8) == 0 ? rng() : buffer(static_cast<uint16_t>(below(n_buffers)));
        if (below(16) == 0) d.address += below(5000);
        d.size = below(4) == 0 ? kSizes[below(std::size(kSizes))] : static_cast<uint32_t>(1 + below(2000));
        d.id = static_cast<uint16_t>(rng());
        d.flags = static_cast<uint16_t>((index == 0 ? kWrite : 0) | (has_next ? kNext : 0));
        if (below(30) == 0) d.flags ^= kWrite;
        if (!has_next && below(6) == 0) d.flags |= kIndirect;
        return d;
      };
      for (uint16_t i = 0; i < n_buffers; ++i) {
        // What the buffers hold: sometimes an indirect table, sometimes a header that asks for everything.
        uint8_t* at = guest_->send_buffer(1, i);
        if (below(2) == 0) {
          PackedDescriptor table[8];
          for (PackedDescriptor& d : table) d = random_descriptor(/*has_next=*/false);
          std::memcpy(at, table, sizeof table);
        } else {
          VirtioNetHeaderV1 h = tso4_header(static_cast<uint16_t>(below(3000)));
          h.flags = static_cast<uint8_t>(below(8));
          h.gso_type = static_cast<uint8_t>(below(4) == 0 ? rng() : below(2));
          const Bytes frame = make_tcp4(below(3000));
          std::memcpy(at, &h, sizeof h);
          std::memcpy(at + sizeof h, frame.data(), frame.size());
        }
      }
      // The whole ring from where the switch stands, whatever it was before.
      r.next_available = PackedPosition::from_bits(static_cast<uint16_t>(guest_->stop_ring(index)));
      for (uint32_t left = r.size; left != 0;) {
        const auto length = static_cast<uint32_t>(std::min<uint64_t>(left, below(3) == 0 ? 1 + below(6) : 1));
        std::vector<PackedDescriptor> chain;
        for (uint32_t i = 0; i < length; ++i)
          chain.push_back(random_descriptor(/*has_next=*/i + 1 < length || below(2000) == 0));
        r.put_packed(chain);
        left -= length;
      }
      *r.driver_event = {static_cast<uint16_t>(rng()), static_cast<uint16_t>(rng())};
      guest_->start_ring(index);
    }
    (void)guest_->get_u64(RequestType::get_features);
    for (int turn = 0; turn < 12; ++turn) {
      for (const Drop drop : forward(*port_, *port_)) ++(drop == Drop::none ? accepted : dropped);
    }
  }
  EXPECT_GT(accepted, 100u) << "some of it must make sense, or nothing is tested";
  EXPECT_GT(dropped, 100u);
}

}  // namespace
}  // namespace weft::dataplane::vhost::test
