// SPDX-License-Identifier: BSD-3-Clause
//
// Guests that do what no driver does. Each harms itself only: its packets end in named drops, its descriptors come
// back, and another guest's traffic goes on.
#include "tests/unit/dataplane/vhost/harness.h"

#include <algorithm>

#include <sys/mman.h>

namespace weft::dataplane::vhost::test {
namespace {

constexpr uint16_t kNext = VringDescriptor::kNext, kWrite = VringDescriptor::kWrite,
                   kIndirect = VringDescriptor::kIndirect;

class VhostHostile : public BesideAGoodGuest<PortTest> {
 protected:
  /// Posts one chain that starts at `head` and says how its packet ended.
  Drop post(uint16_t head) {
    ring(1).put_available(head);
    ring(1).publish_available();
    const uint16_t used = ring(1).used_idx();
    const auto taken = take(*port_);
    if (taken.size() != 1) {
      ADD_FAILURE() << taken.size() << " packets";
      return Drop::none;
    }
    EXPECT_EQ(static_cast<uint16_t>(ring(1).used_idx() - used), 1) << "returned to the guest";
    EXPECT_EQ(ring(1).used_element(used).id, head);
    EXPECT_EQ(ring(1).used_element(used).size, 0u);
    return taken[0].drop;
  }
  uint64_t buffer(uint16_t d) { return guest_->guest_address(guest_->send_buffer(1, d)); }
};

TEST_F(VhostHostile, BadChainsAreDroppedByNameAndReturned) {
  VringDescriptor* d = ring(1).descriptors;
  const uint64_t a = buffer(0), b = buffer(1);
  struct Case {
    const char* what;
    std::vector<VringDescriptor> descriptors;  // from index 0
    uint16_t head;
    Drop drop;
  };
  const uint16_t last = static_cast<uint16_t>(ring(1).size - 1);
  const Case cases[] = {
      {"zero length", {{a, 0, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"zero length in a chain", {{a, 12, kNext, 1}, {b, 0, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"outside memory", {{0x42, 100, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"end outside memory", {{a, 0xffffffff, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"address that wraps", {{~uint64_t{0} - 10, 100, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"writable", {{a, 100, kWrite, 0}}, 0, Drop::rx_bad_descriptor},
      {"readable then writable", {{a, 100, kNext, 1}, {b, 100, kWrite, 0}}, 0, Drop::rx_bad_descriptor},
      {"loop onto itself", {{a, 100, kNext, 0}}, 0, Drop::rx_bad_descriptor},
      {"loop of two", {{a, 100, kNext, 1}, {b, 100, kNext, 0}}, 0, Drop::rx_bad_descriptor},
      {"next beyond the ring", {{a, 100, kNext, 256}}, 0, Drop::rx_bad_descriptor},
      {"next far beyond", {{a, 100, kNext, 0xffff}}, 0, Drop::rx_bad_descriptor},
      {"head beyond the ring", {}, 256, Drop::rx_bad_descriptor},
      {"head far beyond", {}, 0xffff, Drop::rx_bad_descriptor},
      {"shorter than the header", {{a, 11, 0, 0}}, 0, Drop::rx_short_header},
      {"chain shorter than the header", {{a, 5, kNext, last}}, 0, Drop::rx_short_header},
      {"indirect of no entry", {{a, 0, kIndirect, 0}}, 0, Drop::rx_bad_descriptor},
      {"indirect of half an entry", {{a, 24, kIndirect, 0}}, 0, Drop::rx_bad_descriptor},
      {"indirect outside memory", {{0x42, 16, kIndirect, 0}}, 0, Drop::rx_bad_descriptor},
      {"indirect and next", {{a, 16, kIndirect | kNext, 1}, {b, 100, 0, 0}}, 0, Drop::rx_bad_descriptor},
      {"indirect of 4 GiB", {{a, 0xfffffff0, kIndirect, 0}}, 0, Drop::rx_bad_descriptor},
  };
  d[last] = {b, 6, 0, 0};
  for (const Case& c : cases) {
    std::copy(c.descriptors.begin(), c.descriptors.end(), d);
    EXPECT_EQ(post(c.head), c.drop) << c.what;
  }
}

TEST_F(VhostHostile, IndirectTablesMayNotNestLoopOrLeaveTheTable) {
  VringDescriptor* d = ring(1).descriptors;
  auto* table = reinterpret_cast<VringDescriptor*>(guest_->send_buffer(1, 5));
  d[0] = {buffer(5), 32, kIndirect, 0};
  table[0] = {buffer(6), 16, kIndirect, 0};
  EXPECT_EQ(post(0), Drop::rx_bad_descriptor) << "nested";
  table[0] = {buffer(6), 100, kNext, 0};
  EXPECT_EQ(post(0), Drop::rx_bad_descriptor) << "loop";
  table[0] = {buffer(6), 100, kNext, 2};
  EXPECT_EQ(post(0), Drop::rx_bad_descriptor) << "beyond the table";
  table[0] = {buffer(6), 100, kNext, 1};
  table[1] = {buffer(7), 100, 0, 0};
  EXPECT_EQ(post(0), Drop::none);
  d[1] = {buffer(8), 12, kNext, 0};
  EXPECT_EQ(post(1), Drop::none) << "an indirect table may end a chain";
}

TEST_F(VhostHostile, UnalignedIndirectTableIsRead) {
  auto* at = guest_->send_buffer(1, 5) + 3;
  const VringDescriptor entry{buffer(6), 100, 0, 0};
  std::memcpy(at, &entry, sizeof entry);
  ring(1).descriptors[0] = {buffer(5) + 3, 16, kIndirect, 0};
  EXPECT_EQ(post(0), Drop::none);
}

TEST_F(VhostHostile, FramesOfAbsurdSizeAreDropped) {
  VringDescriptor* d = ring(1).descriptors;
  // 65 549 bytes of frame are the most; the same buffer may be named again and again.
  for (uint16_t i = 0; i < 40; ++i) d[i] = {buffer(0), 2000, kNext, static_cast<uint16_t>(i + 1)};
  d[39].flags = 0;
  EXPECT_EQ(post(0), Drop::rx_too_big);
  const auto whole = guest_->region(1);
  ASSERT_GT(whole.size, 100000u);
  d[0] = {whole.guest_address, 100000, 0, 0};
  EXPECT_EQ(post(0), Drop::rx_too_big);
}

TEST_F(VhostHostile, ChainsOfTooManyPiecesAreDropped) {
  NullGuestOptions big;
  big.ring_size = 1024;
  add_port("long");
  auto guest = join("long", big);
  VringDescriptor* d = guest->ring(1).descriptors;
  for (uint16_t i = 0; i < 600; ++i)
    d[i] = {guest->guest_address(guest->send_buffer(1, i)), 20, kNext, static_cast<uint16_t>(i + 1)};
  d[599].flags = 0;
  guest->ring(1).put_available(0);
  guest->ring(1).publish_available();
  const auto taken = take(*ports_["long"]);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].drop, Drop::rx_chain_too_long);
}

TEST_F(VhostHostile, HeaderOnlyIsAFrameOfNothing) {
  ring(1).descriptors[0] = {buffer(0), 12, 0, 0};
  ring(1).put_available(0);
  ring(1).publish_available();
  const auto taken = take(*port_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].drop, Drop::none);
  EXPECT_TRUE(taken[0].frame.empty());
}

TEST_F(VhostHostile, SendIndexThatJumpsBreaksTheRingUntilItIsSetUpAgain) {
  ring(1).available[1] = 257;
  const auto taken = take(*port_);
  ASSERT_EQ(taken.size(), 1u) << "counted once";
  EXPECT_EQ(taken[0].drop, Drop::rx_bad_descriptor);
  EXPECT_TRUE(take(*port_).empty());
  EXPECT_TRUE(eventually([&] { return !port_->is_up(); }));

  ring(1).available[1] = 0;
  EXPECT_EQ(guest_->stop_ring(1), 0u);
  guest_->start_ring(1);
  guest_->enable_ring(1, true);
  EXPECT_TRUE(eventually([&] { return port_->is_up(); }));
  EXPECT_TRUE(guest_->send(make_frame(60)));
  EXPECT_EQ(take(*port_).size(), 1u);
}

TEST_F(VhostHostile, ReceiveIndexThatJumpsBreaksTheRing) {
  ring(0).available[1] = static_cast<uint16_t>(ring(0).available_idx + 1000);
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::tx_bad_descriptor);
  EXPECT_TRUE(eventually([&] { return !port_->is_up(); }));
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::tx_not_ready);
}

TEST_F(VhostHostile, BadReceiveBuffersCostOneFrameEach) {
  VringDescriptor* d = ring(0).descriptors;
  const VringDescriptor good = d[0];
  const VringDescriptor bad[] = {
      {0x42, 2048, kWrite, 0},                // nowhere
      {good.address, 2048, 0, 0},             // not writable
      {good.address, 0, kWrite, 0},           // empty
      {good.address, 20, kWrite | kNext, 0},  // loop
      {good.address, 2048, kWrite | kNext, 999},
  };
  // All before the first frame: a burst of buffers is looked at in one go.
  std::ranges::copy(bad, d);
  ring(0).available[2 + std::size(bad)] = 5000;  // head beyond the ring
  for (size_t i = 0; i < std::size(bad) + 1; ++i)
    EXPECT_EQ(send(*port_, make_frame(1000)), Drop::tx_bad_descriptor) << i;
  EXPECT_EQ(ring(0).used_idx(), std::size(bad) + 1) << "all of them went back, empty";
  EXPECT_EQ(send(*port_, make_frame(1000)), Drop::none);
}

TEST_F(VhostHostile, CrumbledReceiveBuffersAreNotLookedAtForLong) {
  VringDescriptor* d = ring(0).descriptors;
  const uint64_t into = d[0].address;
  // A frame of 1000 bytes is worth 31 pieces; a chain of 200 is more than that, and one of 30 is not.
  for (uint16_t i = 0; i < 200; ++i) d[i] = {into, 40, kWrite | kNext, static_cast<uint16_t>(i + 1)};
  d[199].flags = kWrite;
  EXPECT_EQ(send(*port_, make_frame(1000)), Drop::tx_bad_descriptor);
  EXPECT_EQ(ring(0).used_idx(), 1) << "it went back, empty";
  for (uint16_t i = 200; i < 229; ++i) d[i] = {into, 40, kWrite | kNext, static_cast<uint16_t>(i + 1)};
  d[229] = {into, 40, kWrite, 0};
  ring(0).available[2 + 1] = 200;
  EXPECT_EQ(send(*port_, make_frame(1000)), Drop::none);
}

TEST_F(VhostHostile, SendersOfLargeFramesGetTheirShareOfATurn) {
  NullGuestOptions big;
  big.send_buffer = 70'000;
  add_port("large");
  auto guest = join("large", big);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(guest->send(make_frame(40'000)));
  EXPECT_EQ(take(*ports_["large"]).size(), 2u) << "the second goes beyond 64 KiB, and is the last";
  EXPECT_EQ(take(*ports_["large"]).size(), 2u);
  EXPECT_TRUE(take(*ports_["large"]).empty());
}

TEST_F(VhostHostile, BadBufferAmongMergedOnesReturnsThemAll) {
  ring(0).descriptors[1].address = 0x42;
  EXPECT_EQ(send(*port_, make_frame(100)), Drop::none);
  // Needs two buffers, the second of which is bad.
  NullGuestOptions sender;
  Bytes frame = make_frame(300);
  ring(0).descriptors[1] = {guest_->guest_address(guest_->send_buffer(1, 0)), 100, kWrite, 0};
  ring(0).descriptors[2].address = 0x42;
  EXPECT_EQ(send(*port_, frame), Drop::tx_bad_descriptor);
  EXPECT_EQ(ring(0).used_idx(), 3);
  EXPECT_EQ(ring(0).used_element(1).size, 0u);
  EXPECT_EQ(ring(0).used_element(2).size, 0u);
  EXPECT_EQ(send(*port_, frame), Drop::none);
}

TEST_F(VhostHostile, TruncatedMemoryBreaksThisPortAlone) {
  ASSERT_TRUE(guest_->send(make_frame(1500)));
  ASSERT_EQ(ftruncate(guest_->region_fd(1), 0), 0);  // the buffers, not the rings
  const auto taken = take(*port_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].drop, Drop::port_memory_gone);
  EXPECT_TRUE(take(*port_).empty());
  EXPECT_TRUE(eventually([&] { return !port_->is_connected() && told("bad").errors == 1; }));
  EXPECT_TRUE(guest_->was_hung_up_on());
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::tx_not_ready);

  // A new start with new memory.
  guest_ = join("bad");
  EXPECT_TRUE(guest_->send(make_frame(60)));
  EXPECT_EQ(take(*port_).size(), 1u);
}

TEST_F(VhostHostile, TruncatedMemoryUnderTheReceiversRing) {
  ASSERT_EQ(ftruncate(guest_->region_fd(0), 0), 0);
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::port_memory_gone);
  EXPECT_TRUE(eventually([&] { return !port_->is_connected(); }));
}

TEST_F(VhostHostile, SendersMemoryVanishesWhileAnotherReceives) {
  ASSERT_TRUE(guest_->send(make_frame(1500)));
  rcu_.online(0);
  burst_.clear();
  port_->rx(0, burst_);
  ASSERT_EQ(burst_.size(), 1);
  ASSERT_EQ(burst_[0].drop, Drop::none);
  ASSERT_EQ(ftruncate(guest_->region_fd(1), 0), 0);
  Packet* const packets[] = {&burst_[0]};
  other_->tx(0, packets);
  EXPECT_EQ(burst_[0].drop, Drop::none) << "the receiver got zeros for what is gone";
  port_->rx_done(0);
  rcu_.offline(0);
  EXPECT_TRUE(take(*port_).empty());
  EXPECT_TRUE(eventually([&] { return !port_->is_connected(); }));
  const auto received = good_->receive();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].frame.size(), 1500u);
}

TEST_F(VhostHostile, RandomGuestsHarmNobodyElse) {
  const bool is_long = std::getenv("WEFT_LONG") != nullptr;
  const uint64_t n = is_long ? 10'000'000 : 1'000'000;
  std::mt19937_64 rng(4711);
  const auto below = [&](uint64_t limit) { return rng() % limit; };
  uint64_t descriptors = 0, accepted = 0, dropped = 0;
  while (descriptors < n) {
    if (!port_->is_up()) {
      guest_.reset();
      ASSERT_TRUE(eventually([&] { return !port_->is_connected(); }));
      NullGuestOptions options;
      options.ring_size = static_cast<uint16_t>(1u << below(9));
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kMrgRxbuf);
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kEventIdx);
      if (below(2) == 0) options.features &= ~(uint64_t{1} << feature::kGuestTso4);
      options.send_buffer = 4096;
      guest_ = join("bad", options);
    }
    for (uint16_t index = 0; index < 2; ++index) {
      NullGuest::Ring& r = ring(index);
      const auto random_descriptor = [&]() -> VringDescriptor {
        ++descriptors;
        static constexpr uint32_t kSizes[] = {0, 1, 5, 12, 16, 32, 64, 160, 2048, 4096, 70000, 0xffffffff};
        VringDescriptor d;
        d.address = below(8) == 0 ? rng() : guest_->guest_address(guest_->send_buffer(1, below(r.size) & 0xffff));
        if (below(16) == 0) d.address += below(5000);
        d.size = below(4) == 0 ? kSizes[below(std::size(kSizes))] : static_cast<uint32_t>(1 + below(2000));
        d.flags =
            static_cast<uint16_t>(below(8) == 0 ? rng() : (index == 0 ? kWrite : 0) | (below(3) == 0 ? kNext : 0));
        if (below(6) == 0) d.flags |= kIndirect;
        d.next = static_cast<uint16_t>(below(20) == 0 ? rng() : below(r.size));
        return d;
      };
      for (uint16_t i = 0; i < r.size; ++i) {
        r.descriptors[i] = random_descriptor();
        // What the buffers hold: sometimes an indirect table, sometimes a header that asks for everything.
        uint8_t* buffer = guest_->send_buffer(1, i);
        if (below(2) == 0) {
          VringDescriptor table[8];
          for (VringDescriptor& d : table) d = random_descriptor();
          std::memcpy(buffer, table, sizeof table);
        } else {
          VirtioNetHeaderV1 h = tso4_header(static_cast<uint16_t>(below(3000)));
          h.flags = static_cast<uint8_t>(below(8));
          h.gso_type = static_cast<uint8_t>(below(4) == 0 ? rng() : below(2));
          if (below(4) == 0) h.csum_start = static_cast<uint16_t>(rng());
          if (below(4) == 0) h.csum_offset = static_cast<uint16_t>(rng());
          const Bytes frame = make_tcp4(below(3000));
          std::memcpy(buffer, &h, sizeof h);
          std::memcpy(buffer + sizeof h, frame.data(), frame.size());
        }
      }
      for (uint64_t i = 0; i < r.size; ++i)
        r.put_available(static_cast<uint16_t>(below(50) == 0 ? rng() : below(r.size)));
      r.available_idx = static_cast<uint16_t>(r.used_idx() + r.size);
      r.publish_available();
      if (below(200) == 0) __atomic_store_n(&r.available[1], static_cast<uint16_t>(rng()), __ATOMIC_RELEASE);
      r.available[2 + r.size] = static_cast<uint16_t>(rng());
    }
    for (int turn = 0; turn < 12; ++turn) {
      for (const Drop drop : forward(*port_, *port_)) ++(drop == Drop::none ? accepted : dropped);
    }
  }
  EXPECT_GT(accepted, 100u) << "some of it must make sense, or nothing is tested";
  EXPECT_GT(dropped, 100u);
}

}  // namespace
}  // namespace weft::dataplane::vhost::test
