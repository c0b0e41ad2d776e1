// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/memory_port.h"

#include "tests/unit/dataplane/frames.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include <poll.h>

namespace weft::dataplane {
namespace {

using namespace test;

class FakeEvents : public EventSet {
 public:
  void add(int fd, PortId port, uint16_t queue) override { added.push_back({fd, port, queue}); }
  void remove(int fd) noexcept override { removed.push_back(fd); }
  struct Added {
    int fd;
    PortId port;
    uint16_t queue;
  };
  std::vector<Added> added;
  std::vector<int> removed;
};

void send(MemoryPort& port, Packet& packet) {
  Packet* const one = &packet;
  port.tx(0, {&one, 1});
}

TEST(MemoryPort, GivesWhatWasPushedInOrderWithHeadAndPayload) {
  MemoryPort port({.piece_size = 100});
  const Bytes small = pattern(60), large = pattern(5000, 3);
  port.push(small);
  port.push(large, {.checksum = Checksum::valid});
  EXPECT_EQ(port.n_waiting(), 2u);
  Burst burst;
  port.rx(0, burst);
  ASSERT_EQ(burst.size(), 2);
  EXPECT_EQ(flatten(burst[0]), small);
  EXPECT_EQ(burst[0].n_payload, 0);
  EXPECT_EQ(flatten(burst[1]), large);
  EXPECT_EQ(burst[1].head_size, kHeaderCopy);
  EXPECT_EQ(burst[1].n_payload, 49);
  EXPECT_EQ(burst[1].size, 5000u);
  EXPECT_EQ(burst[1].offload.checksum, Checksum::valid);
  EXPECT_TRUE(port.is_burst_out());
  const Segment payload = burst[1].payload[0];
  port.rx_done(0);
  EXPECT_FALSE(port.is_burst_out());
  EXPECT_EQ(port.n_rx_done(), 1u);
  EXPECT_EQ(payload.data[0], 0xdd) << "what is used too late is seen";
}

TEST(MemoryPort, BurstsEndAtThirtyTwoAndWhenSegmentsRunOut) {
  MemoryPort port({.piece_size = 10});
  for (int i = 0; i < 40; ++i) port.push(pattern(64));
  Burst burst;
  port.rx(0, burst);
  EXPECT_EQ(burst.size(), 32);
  burst.clear();
  port.rx(0, burst);
  EXPECT_EQ(burst.size(), 8);
  const Bytes many = pattern(192 + 2560);  // 256 pieces
  for (int i = 0; i < 10; ++i) port.push(many);
  int n = 0;
  for (int bursts = 0; n < 10 && bursts < 10; ++bursts) {
    burst.clear();
    port.rx(0, burst);
    ASSERT_GT(burst.size(), 0);
    for (Packet& p : burst) ASSERT_EQ(flatten(p), many);
    n += burst.size();
    port.rx_done(0);
  }
  EXPECT_EQ(n, 10);
}

TEST(MemoryPort, GivesFramesThatNoFrameCouldBeMadeOf) {
  MemoryPort port;
  port.push({.bytes = {}, .drop = Drop::rx_bad_descriptor});
  Burst burst;
  port.rx(0, burst);
  ASSERT_EQ(burst.size(), 1);
  EXPECT_EQ(burst[0].drop, Drop::rx_bad_descriptor);
}

TEST(MemoryPort, FinishesChecksumsItsReceiverCannot) {
  FrameSpec spec{.payload = pattern(700)};
  const Bytes finished = make_frame(spec);
  spec.is_partial = true;
  const Bytes partial = make_frame(spec);
  Burst burst;
  MemoryPort plain, takes({.takes = {.checksum = true}});
  send(plain, add_packet(burst, partial, partial_offload(spec)));
  send(takes, add_packet(burst, partial, partial_offload(spec)));
  const auto a = plain.take_sent(), b = takes.take_sent();
  ASSERT_EQ(a.size(), 1u);
  EXPECT_EQ(a[0].bytes, finished);
  EXPECT_EQ(a[0].offload.checksum, Checksum::unknown);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(b[0].bytes, partial);
  EXPECT_EQ(b[0].offload.csum_start, 34);
}

TEST(MemoryPort, CutsTsoFramesItsReceiverCannotTake) {
  FrameSpec spec{.payload = pattern(4000)};
  spec.is_partial = true;
  const Bytes whole = make_frame(spec);
  Burst burst;
  MemoryPort plain, checksums({.takes = {.checksum = true}}), all({.takes = OffloadSet::kernel()});
  send(plain, add_packet(burst, whole, partial_offload(spec, 1460)));
  send(checksums, add_packet(burst, whole, partial_offload(spec, 1460)));
  send(all, add_packet(burst, whole, partial_offload(spec, 1460)));
  const auto a = plain.take_sent(), b = checksums.take_sent(), c = all.take_sent();
  ASSERT_EQ(a.size(), 3u);
  EXPECT_EQ(a[2].bytes.size(), 54u + 1080);
  EXPECT_EQ(a[0].offload.checksum, Checksum::unknown);
  ASSERT_EQ(b.size(), 3u);
  EXPECT_EQ(b[0].offload.checksum, Checksum::partial);
  ASSERT_EQ(c.size(), 1u);
  EXPECT_EQ(c[0].bytes, whole);
  EXPECT_EQ(c[0].offload.gso_size, 1460);
}

TEST(MemoryPort, IsFullWhenItsRoomIsTaken) {
  MemoryPort port({.tx_room = 3});
  Burst burst;
  const Bytes frame = pattern(64);
  std::array<Packet*, 4> packets{};
  for (auto& p : packets) p = &add_packet(burst, frame);
  port.tx(0, packets);
  EXPECT_EQ(packets[2]->drop, Drop::none);
  EXPECT_EQ(packets[3]->drop, Drop::tx_ring_full);
  EXPECT_EQ(port.take_sent().size(), 3u);
  packets[3]->drop = Drop::none;
  send(port, *packets[3]);
  EXPECT_EQ(packets[3]->drop, Drop::none);
  // Room for two more, three cuts: not one of them is sent.
  FrameSpec spec{.payload = pattern(4000)};
  spec.is_partial = true;
  const Bytes whole = make_frame(spec);
  Packet& tso = add_packet(burst, whole, partial_offload(spec, 1460));
  send(port, tso);
  EXPECT_EQ(tso.drop, Drop::tx_ring_full);
  EXPECT_EQ(port.n_sent(), 1u);
}

TEST(MemoryPort, IsNotReadyWhenDown) {
  MemoryPort port;
  port.set_up(false);
  EXPECT_FALSE(port.is_up());
  Burst burst;
  const Bytes frame = pattern(64);
  Packet& p = add_packet(burst, frame);
  send(port, p);
  EXPECT_EQ(p.drop, Drop::tx_not_ready);
}

TEST(MemoryPort, WakesAWorkerThatArmedIt) {
  MemoryPort port({.queues = 2});
  FakeEvents events;
  port.attach(7, 1, events);
  ASSERT_EQ(events.added.size(), 1u);
  EXPECT_EQ(events.added[0].port, 7);
  EXPECT_EQ(events.added[0].queue, 1);
  pollfd readable{events.added[0].fd, POLLIN, 0};
  port.push(pattern(64), {}, 1);
  EXPECT_EQ(poll(&readable, 1, 0), 0) << "not armed: not told";
  EXPECT_TRUE(port.arm(1)) << "there is input already";
  Burst burst;
  port.rx(1, burst);
  EXPECT_FALSE(port.arm(1));
  port.push(pattern(64), {}, 1);
  EXPECT_EQ(poll(&readable, 1, 0), 1);
  port.detach();
  EXPECT_EQ(events.removed, std::vector<int>{events.added[0].fd});
}

TEST(MemoryPort, ReplaysForEverAndForgetsWhatIsSent) {
  MemoryPort port;
  const Bytes a = pattern(64), b = pattern(1518, 4), c = pattern(300, 8);
  port.replay({{.bytes = a}, {.bytes = b}, {.bytes = c}}, 4);
  Burst burst;
  for (int i = 0; i < 3; ++i) {
    burst.clear();
    port.rx(0, burst);
    ASSERT_EQ(burst.size(), 4);
    EXPECT_EQ(flatten(burst[0]), i == 0 ? a : i == 1 ? b : c);
    std::memset(burst[0].head, 0, 14);  // as a stage may
    std::array<Packet*, 4> packets{&burst[0], &burst[1], &burst[2], &burst[3]};
    port.tx(0, packets);
    port.rx_done(0);
  }
  EXPECT_EQ(port.n_discarded(), 12u);
  EXPECT_EQ(port.n_discarded_bytes(), 4u * (64 + 1518 + 300));
  EXPECT_EQ(port.n_sent(), 0u);
}

}  // namespace
}  // namespace weft::dataplane
