// SPDX-License-Identifier: BSD-3-Clause
//
// Guests that start, stop, change and return; and what the protocol promises meanwhile.
#include "tests/unit/dataplane/vhost/harness.h"

#include <optional>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

namespace weft::dataplane::vhost::test {
namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

class VhostLifecycle : public PortTest, public ::testing::WithParamInterface<RingKind> {
 protected:
  VhostLifecycle() { kind_ = GetParam(); }
  void SetUp() override { port_ = &add_port("vm"); }
  /// One frame each way.
  void expect_traffic(NullGuest& guest) {
    const Bytes frame = make_frame(300, 5);
    ASSERT_TRUE(guest.send(frame));
    const auto taken = take(*port_);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken[0].frame, frame);
    EXPECT_EQ(send(*port_, make_frame(100, 6)), Drop::none);
    const auto received = guest.receive();
    ASSERT_EQ(received.size(), 1u);
    EXPECT_EQ(received[0].frame, make_frame(100, 6));
  }
  VhostUserPort* port_ = nullptr;
};

TEST_P(VhostLifecycle, LinkComesUpWithTheLastRingAndIsTold) {
  auto guest = make_guest("vm");
  guest->connect();
  guest->negotiate();
  guest->send_memory_table();
  guest->start_ring(0);
  guest->start_ring(1);
  guest->enable_ring(0, true);
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_FALSE(port_->is_up());
  guest->enable_ring(1, true);
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_TRUE(port_->is_up());
  EXPECT_TRUE(eventually([&] { return told("vm").ups == 1; }));
  EXPECT_EQ(told("vm").downs, 0);
  expect_traffic(*guest);
  guest->disconnect();
  EXPECT_TRUE(eventually([&] { return told("vm").downs == 1; }));
  EXPECT_EQ(told("vm").errors, 0) << "leaving is no error";
}

TEST_P(VhostLifecycle, OfferedFeaturesAreThoseThatAreBuilt) {
  auto guest = make_guest("vm");
  guest->connect();
  const uint64_t features = guest->get_u64(RequestType::get_features);
  for (const unsigned n : {feature::kCsum, feature::kGuestCsum, feature::kGuestTso4, feature::kHostTso6,
                           feature::kMrgRxbuf, feature::kIndirectDesc, feature::kEventIdx, feature::kVersion1,
                           feature::kProtocolFeatures, feature::kRingPacked, feature::kInOrder, feature::kLogAll})
    EXPECT_NE(features & bit(n), 0u) << n;
  EXPECT_EQ(guest->get_u64(RequestType::get_queue_num), 1u);
}

TEST_P(VhostLifecycle, EnableBeforeEverythingElseIsRemembered) {
  auto guest = make_guest("vm");
  guest->connect();
  guest->enable_ring(0, true);
  guest->enable_ring(1, true);
  guest->negotiate();
  guest->send_memory_table();
  guest->start_ring(0);
  guest->start_ring(1);
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_TRUE(port_->is_up());
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, WithoutProtocolFeaturesRingsAreBornEnabled) {
  NullGuestOptions options;
  options.features &= ~bit(feature::kProtocolFeatures);
  auto guest = join("vm", options);
  EXPECT_TRUE(port_->is_up());
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, GuestWithMoreRingsThanAreServedWorksWithOnePair) {
  NullGuestOptions options;
  options.n_pairs = 4;
  auto guest = join("vm", options);
  EXPECT_TRUE(port_->is_up());
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, SendQueueTheGuestDoesNotUseFallsBackToOneItDoes) {
  PortConfig config;
  config.socket.path = path("mq");
  config.queues = 4;
  VhostUserPort& port = add_port("mq", config);
  NullGuestOptions options;
  options.n_pairs = 4;
  auto guest = join("mq", options);
  EXPECT_EQ(guest->get_u64(RequestType::get_queue_num), 4u);
  guest->enable_ring(4, false);  // as ethtool -L does
  guest->enable_ring(5, false);
  (void)guest->get_u64(RequestType::get_features);
  const auto send_on = [&](uint16_t queue) {
    burst_.clear();
    Packet& p = burst_.add();
    p.size = p.head_size = 60;
    Packet* const packets[] = {&p};
    port.tx(queue, packets);
    return p.drop;
  };
  EXPECT_EQ(send_on(3), Drop::none);
  EXPECT_EQ(guest->receive(3).size(), 1u);
  EXPECT_EQ(send_on(2), Drop::none);
  EXPECT_EQ(guest->receive(0).size(), 1u);
  EXPECT_TRUE(guest->receive(2).empty());
  NullGuest::SendOptions on_pair3;
  on_pair3.pair = 3;
  EXPECT_TRUE(guest->send(make_frame(60), on_pair3));
  EXPECT_EQ(take(port, 3).size(), 1u);
}

TEST_P(VhostLifecycle, WithoutMultiqueueOnlyTheFirstPairCounts) {
  PortConfig config;
  config.socket.path = path("mq");
  config.queues = 2;
  VhostUserPort& port = add_port("mq", config);
  NullGuestOptions options;
  options.n_pairs = 2;
  options.protocol_features = protocol_feature::kReplyAck;
  auto guest = join("mq", options);
  EXPECT_TRUE(port.is_up());
  NullGuest::SendOptions on_pair1;
  on_pair1.pair = 1;
  EXPECT_TRUE(guest->send(make_frame(60), on_pair1));
  EXPECT_TRUE(take(port, 1).empty());
}

TEST_P(VhostLifecycle, BaseIsThePositionReachedAndTheRingComesBack) {
  auto guest = join("vm");
  for (int i = 0; i < 5; ++i) expect_traffic(*guest);
  EXPECT_EQ(guest->stop_ring(0), kind_.base_after(5));
  EXPECT_EQ(guest->stop_ring(1), kind_.base_after(5));
  EXPECT_FALSE(port_->is_up());
  EXPECT_EQ(events_.n(), 1) << "the kick descriptor is no longer waited for";
  EXPECT_TRUE(guest->send(make_frame(60)));
  EXPECT_TRUE(take(*port_).empty()) << "a stopped ring is not read";
  for (const uint16_t ring : {uint16_t{0}, uint16_t{1}}) guest->start_ring(ring);
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_TRUE(port_->is_up());
  EXPECT_EQ(take(*port_).size(), 1u) << "what was sent meanwhile";
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, DriverThatResetsItsRingsStartsFromZero) {
  auto guest = join("vm");
  for (int round = 0; round < 20; ++round) {
    expect_traffic(*guest);
    guest->stop_ring(0);
    guest->stop_ring(1);
    guest->reset_rings();
    guest->start_ring(0);
    guest->start_ring(1);
    (void)guest->get_u64(RequestType::get_features);
    ASSERT_TRUE(port_->is_up());
  }
}

TEST_P(VhostLifecycle, AnswerToGetVringBaseWaitsForTheWorker) {
  auto guest = join("vm");
  ASSERT_TRUE(guest->send(make_frame(1000)));
  rcu_.online(0);
  burst_.clear();
  port_->rx(0, burst_);
  ASSERT_EQ(burst_.size(), 1);
  guest->send_message(RequestType::get_vring_base, bytes_of(VringState{1, 0}));
  // The worker is in the ring: no answer, however long we wait.
  EXPECT_THROW((void)guest->receive_answer(50), std::runtime_error);
  EXPECT_FALSE(guest->ring(1).has_used());
  port_->rx_done(0);
  rcu_.quiescent(0);
  const auto answer = guest->receive_answer();
  rcu_.offline(0);
  ASSERT_TRUE(answer);
  VringState state;
  std::memcpy(&state, answer->data(), sizeof state);
  EXPECT_EQ(state.value, kind_.base_after(1));
  EXPECT_TRUE(guest->ring(1).has_used()) << "nothing is in flight after the answer";
}

TEST_P(VhostLifecycle, HangingUpWaitsForTheWorkerBeforeMemoryGoes) {
  auto guest = join("vm");
  const Bytes frame = make_frame(1000);
  ASSERT_TRUE(guest->send(frame));
  rcu_.online(0);
  burst_.clear();
  port_->rx(0, burst_);
  ASSERT_EQ(burst_.size(), 1);
  guest.reset();
  ASSERT_TRUE(eventually([&] { return told("vm").downs == 1; }));
  const Segment segment = burst_[0].payload[0];
  EXPECT_EQ(0, std::memcmp(segment.data, frame.data() + kHeaderCopy, segment.size)) << "still mapped";
  port_->rx_done(0);
  rcu_.quiescent(0);
  rcu_.offline(0);
  EXPECT_TRUE(eventually([&] { return !port_->is_connected(); }));
}

TEST_P(VhostLifecycle, MemoryTableChangesUnderARunningRing) {
  auto guest = join("vm");
  std::atomic<bool> stop{false};
  std::atomic<size_t> dropped{0};  // sent while the guest's receive ring was stopped
  std::thread worker([&] {
    Burst burst;
    rcu_.online(1);
    while (!stop) {
      burst.clear();
      port_->rx(0, burst);
      std::vector<Packet*> alive;
      for (Packet& p : burst) alive.push_back(&p);
      if (!alive.empty()) port_->tx(0, alive);
      for (const Packet& p : burst) {
        if (p.drop == Drop::none) continue;
        EXPECT_EQ(p.drop, Drop::tx_not_ready);
        ++dropped;
      }
      port_->rx_done(0);
      rcu_.quiescent(1);
    }
    rcu_.offline(1);
  });
  size_t sent = 0, received = 0;
  for (int i = 0; i < 200; ++i) {
    if (guest->send(make_frame(700, static_cast<uint8_t>(i)))) ++sent;
    guest->send_memory_table();
    (void)guest->get_u64(RequestType::get_features);
    for (const auto& r : guest->receive()) {
      EXPECT_EQ(r.frame.size(), 700u);
      ++received;
    }
  }
  EXPECT_TRUE(eventually([&] {
    received += guest->receive().size();
    return received + dropped == sent;
  }));
  stop = true;
  worker.join();
  EXPECT_EQ(sent, 200u);
  EXPECT_LT(dropped, 100u);
  EXPECT_EQ(told("vm").downs, 0) << "the link never went down";
}

TEST_P(VhostLifecycle, MemoryThatNoLongerHoldsTheRingStopsItUntilItDoes) {
  auto guest = join("vm");
  Bytes table(8 + sizeof(MemoryRegion));
  table[0] = 1;
  const MemoryRegion r = guest->region(1);
  std::memcpy(table.data() + 8, &r, sizeof r);
  const int fd = guest->region_fd(1);
  EXPECT_EQ(guest->acknowledged(RequestType::set_mem_table, table, {&fd, 1}), 0u);
  EXPECT_FALSE(port_->is_up());
  guest->send_memory_table();
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_TRUE(port_->is_up());
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, MemorySlotsComeAndGoOneByOne) {
  NullGuestOptions options;
  options.protocol_features |= protocol_feature::kConfigureMemSlots;
  options.n_regions = 20;
  auto guest = make_guest("vm", options);
  guest->connect();
  guest->negotiate();
  EXPECT_EQ(guest->get_u64(RequestType::get_max_mem_slots), kMaxRegions);
  for (size_t i = 0; i < guest->n_regions(); ++i) {
    Bytes payload(8);
    const MemoryRegion r = guest->region(i);
    payload.insert(payload.end(), bytes_of(r).begin(), bytes_of(r).end());
    const int fd = guest->region_fd(i);
    ASSERT_EQ(guest->acknowledged(RequestType::add_mem_reg, payload, {&fd, 1}), 0u) << i;
  }
  for (const uint16_t ring : {uint16_t{0}, uint16_t{1}}) {
    guest->start_ring(ring);
    guest->enable_ring(ring, true);
  }
  (void)guest->get_u64(RequestType::get_features);
  for (int i = 0; i < 40; ++i) expect_traffic(*guest);
  Bytes payload(8);
  const MemoryRegion r = guest->region(19);
  payload.insert(payload.end(), bytes_of(r).begin(), bytes_of(r).end());
  EXPECT_EQ(guest->acknowledged(RequestType::rem_mem_reg, payload), 0u);
  EXPECT_TRUE(port_->is_up());
  EXPECT_EQ(guest->acknowledged(RequestType::rem_mem_reg, payload), 1u) << "there is none any more";
  EXPECT_TRUE(guest->was_hung_up_on());
}

class VhostMemorySlots : public PortTest {
 protected:
  void SetUp() override { port_ = &add_port("vm"); }
  VhostUserPort* port_ = nullptr;
};

/// A guest whose memory grows region by region to all there may be, and shrinks again, while frames flow from the
/// newest.
TEST_F(VhostMemorySlots, ComeAndGoUnderTraffic) {
  NullGuestOptions options;
  options.protocol_features |= protocol_feature::kConfigureMemSlots;
  auto guest = join("vm", options);
  std::atomic<bool> stop{false};
  std::atomic<size_t> dropped{0};  // sent while the guest's receive ring was stopped
  std::thread worker([&] {
    Burst burst;
    rcu_.online(1);
    while (!stop) {
      burst.clear();
      port_->rx(0, burst);
      std::vector<Packet*> alive;
      for (Packet& p : burst) {
        EXPECT_EQ(p.drop, Drop::none);
        alive.push_back(&p);
      }
      if (!alive.empty()) port_->tx(0, alive);
      for (const Packet& p : burst) dropped += p.drop != Drop::none;
      port_->rx_done(0);
      rcu_.quiescent(1);
    }
    rcu_.offline(1);
  });

  constexpr uint64_t kSize = 1 << 21, kFirst = uint64_t{1} << 40;
  struct Slot {
    UniqueFd fd;
    uint8_t* base;
    MemoryRegion region;
  };
  std::vector<Slot> slots;
  NullGuest::Ring& ring = guest->ring(1);
  size_t sent = 0, received = 0;
  const auto change = [&](RequestType type, const Slot& slot) {
    Bytes payload(8);
    payload.insert(payload.end(), bytes_of(slot.region).begin(), bytes_of(slot.region).end());
    const int fd = slot.fd.get();
    if (type == RequestType::add_mem_reg) return guest->acknowledged(type, payload, {&fd, 1});
    return guest->acknowledged(type, payload);
  };
  const auto collect = [&] {
    for (const auto& r : guest->receive()) {
      EXPECT_EQ(r.frame, make_frame(900, static_cast<uint8_t>(r.frame[100] - make_frame(101, 0)[100])));
      ++received;
    }
  };
  const auto send_from = [&](const Slot& slot) {
    const Bytes frame = make_frame(900, static_cast<uint8_t>(sent));
    std::memcpy(slot.base + 12, frame.data(), frame.size());
    const auto d = static_cast<uint16_t>(sent++ % ring.size);
    ring.descriptors[d] = {slot.region.guest_address, static_cast<uint32_t>(12 + frame.size()), 0, 0};
    ring.put_available(d);
    ring.publish_available();
    // Its memory may go next: the switch shall have read it.
    ASSERT_TRUE(eventually([&] { return ring.used_idx() == ring.available_idx; })) << sent;
  };
  for (size_t i = guest->n_regions(); i < kMaxRegions; ++i) {
    Slot slot{UniqueFd(memfd_create("slot", MFD_CLOEXEC)), nullptr, {kFirst + i * 2 * kSize, kSize, 0, 0}};
    ASSERT_EQ(ftruncate(slot.fd.get(), kSize), 0);
    slot.base = static_cast<uint8_t*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, slot.fd.get(), 0));
    slot.region.user_address = reinterpret_cast<uint64_t>(slot.base);
    ASSERT_EQ(change(RequestType::add_mem_reg, slot), 0u) << i;
    send_from(slot);
    if (!slots.empty()) send_from(slots[i * 7 % slots.size()]);
    slots.push_back(std::move(slot));
    collect();
  }
  while (!slots.empty()) {
    ASSERT_EQ(change(RequestType::rem_mem_reg, slots.back()), 0u);
    munmap(slots.back().base, kSize);
    slots.pop_back();
    if (!slots.empty()) send_from(slots.front());
    collect();
  }
  EXPECT_TRUE(eventually([&] {
    collect();
    return received + dropped == sent;
  })) << received
      << " + " << dropped << " of " << sent;
  stop = true;
  worker.join();
  EXPECT_LT(dropped, sent / 10);
  EXPECT_EQ(told("vm").downs, 0);
}

/// QEMU speaks of all memory once for each queue pair.
TEST_P(VhostLifecycle, MemoryAddedSeveralTimesIsThereUntilItIsRemovedAsOften) {
  PortConfig config;
  config.socket.path = path("mq");
  config.queues = 3;
  port_ = &add_port("mq", config);
  NullGuestOptions options;
  options.protocol_features |= protocol_feature::kConfigureMemSlots;
  auto guest = join("mq", options);
  const auto change = [&](RequestType type) {
    const MemoryRegion region = guest->region(1);
    Bytes payload(8);
    payload.insert(payload.end(), bytes_of(region).begin(), bytes_of(region).end());
    const int fd = guest->region_fd(1);
    if (type == RequestType::add_mem_reg) return guest->acknowledged(type, payload, {&fd, 1});
    return guest->acknowledged(type, payload);
  };
  EXPECT_EQ(change(RequestType::add_mem_reg), 0u);
  EXPECT_EQ(change(RequestType::add_mem_reg), 0u);
  expect_traffic(*guest);
  EXPECT_EQ(change(RequestType::rem_mem_reg), 0u);
  EXPECT_EQ(change(RequestType::rem_mem_reg), 0u);
  expect_traffic(*guest);
  EXPECT_EQ(change(RequestType::rem_mem_reg), 0u);
  EXPECT_TRUE(guest->send(make_frame(60)));
  const auto taken = take(*port_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].drop, Drop::rx_bad_descriptor) << "gone now";
  EXPECT_EQ(change(RequestType::add_mem_reg), 0u);
  guest->reclaim();
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, OneMemorySlotTooManyIsRefused) {
  NullGuestOptions options;
  options.protocol_features |= protocol_feature::kConfigureMemSlots;
  options.n_regions = 1;
  auto guest = join("vm", options);
  const UniqueFd fd(memfd_create("slot", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(fd.get(), 4096), 0);
  for (uint64_t i = 1; i <= kMaxRegions; ++i) {
    const MemoryRegion region{(uint64_t{1} << 40) + i * 8192, 4096, (uint64_t{1} << 41) + i * 8192, 0};
    Bytes payload(8);
    payload.insert(payload.end(), bytes_of(region).begin(), bytes_of(region).end());
    const int raw = fd.get();
    ASSERT_EQ(guest->acknowledged(RequestType::add_mem_reg, payload, {&raw, 1}), i == kMaxRegions ? 1u : 0u) << i;
  }
}

TEST_P(VhostLifecycle, MtuBeyondTheNetworksIsRefusedAndTheGuestGoesOn) {
  PortConfig config;
  config.socket.path = path("small");
  config.mtu = 1400;
  port_ = &add_port("small", config);
  NullGuestOptions options;
  options.features |= bit(feature::kMtu);
  options.protocol_features |= protocol_feature::kNetMtu;
  auto guest = join("small", options);
  const auto answer_to = [&](uint64_t mtu) { return guest->acknowledged(RequestType::net_set_mtu, bytes_of(mtu)); };
  EXPECT_EQ(answer_to(1400), 0u);
  EXPECT_EQ(answer_to(1399), 0u);
  EXPECT_EQ(answer_to(68), 0u);
  EXPECT_EQ(answer_to(1401), 1u);
  EXPECT_EQ(answer_to(9000), 1u);
  EXPECT_TRUE(port_->is_up());
  EXPECT_EQ(told("small").errors, 0);
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, AnyMtuWillDoForAPortWithoutOne) {
  auto guest = join("vm");
  EXPECT_EQ(guest->acknowledged(RequestType::net_set_mtu, bytes_of(uint64_t{65535})), 0u);
  EXPECT_EQ(guest->acknowledged(RequestType::net_set_mtu, bytes_of(uint64_t{68})), 0u);
}

TEST_P(VhostLifecycle, CallDescriptorIsSwappedWithoutLosingAnInterrupt) {
  auto guest = join("vm");
  EXPECT_EQ(guest->take_calls(0), 1u) << "once after the start, unconditionally";
  const UniqueFd call(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  guest->set_file(RequestType::set_vring_call, 0, call.get());
  (void)guest->get_u64(RequestType::get_features);
  uint64_t n = 0;
  EXPECT_EQ(read(call.get(), &n, sizeof n), 8) << "and once after the change";
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::none);
  EXPECT_EQ(read(call.get(), &n, sizeof n), 8);
  EXPECT_EQ(guest->take_calls(0), 0u);
  EXPECT_EQ(told("vm").downs, 0);
}

/// A guest moves an interrupt to another CPU by giving new descriptors while frames flow.
TEST_P(VhostLifecycle, CallDescriptorIsSwappedUnderTrafficWithoutADrop) {
  auto guest = join("vm");
  const size_t before = count_fds();
  for (int i = 0; i < 200; ++i) {
    const UniqueFd call(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    guest->set_file(RequestType::set_vring_call, 0, call.get());
    ASSERT_EQ(send(*port_, make_frame(60)), Drop::none) << i;
    ASSERT_TRUE(eventually([&] { return !guest->receive().empty(); }));
  }
  guest->stop_ring(1);
  EXPECT_TRUE(eventually([&] { return count_fds() <= before + 1; })) << count_fds() << " instead of " << before;
}

TEST_P(VhostLifecycle, RingThatStartsWakesASleepingWorkerWithoutAKick) {
  auto guest = make_guest("vm");
  EXPECT_TRUE(guest->send(make_frame(60)));  // before anything is connected: no kick descriptor yet
  EXPECT_FALSE(port_->arm(0));
  while (events_.wait(0)) {
  }
  guest->connect();
  guest->handshake();
  EXPECT_TRUE(events_.wait(5000));
  EXPECT_EQ(take(*port_).size(), 1u);
}

TEST_P(VhostLifecycle, PipeAsCallDescriptorIsRefused) {
  auto guest = join("vm");
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
  const UniqueFd reader(pipe_fds[0]), writer(pipe_fds[1]);
  const Bytes junk(65536);
  while (write(writer.get(), junk.data(), junk.size()) > 0) {
  }
  for (const auto type : {RequestType::set_vring_call, RequestType::set_vring_kick, RequestType::set_vring_err}) {
    const int fd = writer.get();
    EXPECT_EQ(guest->acknowledged(type, bytes_of(uint64_t{0}), {&fd, 1}), 1u);
    EXPECT_TRUE(guest->was_hung_up_on());
    ASSERT_TRUE(eventually([&] { return !port_->is_connected(); }));
    guest->reset_rings();
    guest->connect();
    guest->handshake();
  }
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, FullEventfdAsCallDescriptorBlocksNobody) {
  auto guest = join("vm");
  const UniqueFd call(eventfd(0, EFD_CLOEXEC));  // blocking
  const uint64_t nearly_full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(call.get(), &nearly_full, sizeof nearly_full), 8);
  guest->set_file(RequestType::set_vring_call, 0, call.get());
  (void)guest->get_u64(RequestType::get_features);
  EXPECT_EQ(send(*port_, make_frame(60)), Drop::none);
}

TEST_P(VhostLifecycle, RarpAnnouncesTheMac) {
  auto guest = join("vm");
  const uint8_t payload[8] = {0x52, 0x54, 0, 1, 2, 3, 0, 0};
  guest->send_message(RequestType::send_rarp, payload);
  EXPECT_TRUE(eventually([&] { return told("vm").announces == 1; }));
  EXPECT_EQ(told("vm").mac.to_string(), "52:54:00:01:02:03");
}

TEST_P(VhostLifecycle, RequestsAgainstTheRulesAreNackedAndCutOff) {
  struct Case {
    const char* what;
    RequestType type;
    Bytes payload;
  };
  const auto copy = [](const auto& value) { return Bytes(bytes_of(value).begin(), bytes_of(value).end()); };
  const Case cases[] = {
      {"feature not offered", RequestType::set_features, copy(bit(50))},
      {"protocol feature not offered", RequestType::set_protocol_features, copy(uint64_t{1} << 5)},
      {"ring of 0", RequestType::set_vring_num, copy(VringState{0, 0})},
      {"ring of 65536", RequestType::set_vring_num, copy(VringState{0, 65536})},
      {"ring 256", RequestType::set_vring_num, copy(VringState{256, 256})},
      {"MTU of nothing", RequestType::net_set_mtu, copy(uint64_t{0})},
      {"unknown request", static_cast<RequestType>(77), copy(uint64_t{0})},
      {"short payload", RequestType::set_features, Bytes(4)},
  };
  int errors = 0;
  for (const Case& c : cases) {
    auto guest = join("vm");
    EXPECT_EQ(guest->acknowledged(c.type, c.payload), 1u) << c.what;
    EXPECT_TRUE(guest->was_hung_up_on()) << c.what;
    ++errors;
    EXPECT_TRUE(eventually([&] { return told("vm").errors == errors && !port_->is_connected(); })) << c.what;
  }
  auto guest = join("vm");
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, SplitRingOfAnOddSizeIsRefused) {
  auto guest = join("vm");
  EXPECT_EQ(guest->acknowledged(RequestType::set_vring_num, bytes_of(VringState{0, 3})), kind_.is_packed ? 0u : 1u);
  EXPECT_EQ(guest->was_hung_up_on(kind_.is_packed ? 0 : 5000), !kind_.is_packed);
}

TEST_P(VhostLifecycle, HalfAMessageStallsNobody) {
  add_port("other");
  auto slow = make_guest("vm");
  slow->connect();
  const MessageHeader header{static_cast<uint32_t>(RequestType::set_features), MessageHeader::kVersion, 8};
  const auto bytes = bytes_of(header);
  slow->send_bytes(bytes.first(5));
  auto other = join("other");
  EXPECT_TRUE(ports_["other"]->is_up());
  slow->send_bytes(bytes.subspan(5));
  const uint64_t features = bench::linux_guest_features();
  slow->send_bytes(bytes_of(features).first(3));
  other->stop_ring(0);
  slow->send_bytes(bytes_of(features).subspan(3));
  EXPECT_NE(slow->get_u64(RequestType::get_features), 0u);
  EXPECT_EQ(port_->features(), features);
}

TEST_P(VhostLifecycle, DescriptorsBeyondWhatAMessageCarriesAreClosed) {
  const size_t before = count_fds();
  for (int round = 0; round < 10; ++round) {
    auto guest = make_guest("vm");
    guest->connect();
    const UniqueFd fd(eventfd(0, EFD_CLOEXEC));
    const std::vector<int> many(round % 2 == 0 ? 3 : 100, fd.get());
    guest->send_message(RequestType::get_features, {}, many);
    EXPECT_TRUE(guest->was_hung_up_on());
  }
  EXPECT_TRUE(eventually([&] { return count_fds() <= before; })) << count_fds() << " instead of " << before;
}

TEST_P(VhostLifecycle, OversizedPayloadIsCutOff) {
  auto guest = make_guest("vm");
  guest->connect();
  guest->send_bytes(bytes_of(MessageHeader{1, 1, 0x7fffffff}));
  EXPECT_TRUE(guest->was_hung_up_on());
}

TEST_P(VhostLifecycle, FloodOfRequestsThatRestartARingEndsInTheSamePlace) {
  auto guest = join("vm");
  for (int i = 0; i < 5000; ++i) guest->set_state(RequestType::set_vring_base, 0, kind_.base_after(0));
  (void)guest->get_u64(RequestType::get_features);
  expect_traffic(*guest);
}

TEST_P(VhostLifecycle, HundredReconnectsLeaveNothingBehind) {
  { auto guest = join("vm"); }
  ASSERT_TRUE(eventually([&] { return !port_->is_connected(); }));
  const size_t before = count_fds();
  for (int i = 0; i < 100; ++i) {
    auto guest = join("vm");
    expect_traffic(*guest);
    if (i % 3 == 0) guest->stop_ring(1);
  }
  EXPECT_TRUE(eventually([&] { return count_fds() <= before; })) << count_fds() << " instead of " << before;
  EXPECT_EQ(events_.n(), 1);
}

TEST_P(VhostLifecycle, RemovedPortLeavesNothingBehind) {
  remove_port("vm");
  const size_t before = count_fds();
  for (int i = 0; i < 10; ++i) {
    port_ = &add_port("vm");
    auto guest = join("vm");
    expect_traffic(*guest);
    remove_port("vm");
    EXPECT_TRUE(guest->was_hung_up_on());
    EXPECT_FALSE(std::filesystem::exists(path("vm")));
  }
  EXPECT_TRUE(eventually([&] { return count_fds() <= before; })) << count_fds() << " instead of " << before;
  EXPECT_EQ(events_.n(), 0);
}

TEST_P(VhostLifecycle, RandomMessagesInAnyOrderBreakNothing) {
  const bool is_long = std::getenv("WEFT_LONG") != nullptr;
  const int n = is_long ? 100'000 : 3000;
  std::mt19937_64 rng(99);
  const auto below = [&](uint64_t limit) { return rng() % limit; };
  const size_t before = count_fds();
  {
    std::unique_ptr<NullGuest> guest;
    for (int i = 0; i < n; ++i) {
      if (!guest) {
        guest = make_guest("vm");
        guest->connect();
        if (below(2) == 0) guest->handshake();
      }
      Bytes payload(below(4) == 0 ? below(300) : (below(2) == 0 ? 8 : 40));
      for (uint8_t& b : payload) b = static_cast<uint8_t>(below(3) == 0 ? rng() : below(2));
      if (payload.size() >= 8 && below(2) == 0) {
        const VringState state{static_cast<uint32_t>(below(3)), static_cast<uint32_t>(1u << below(10))};
        std::memcpy(payload.data(), &state, sizeof state);
      }
      std::vector<int> fds;
      for (uint64_t k = below(3) == 0 ? below(10) : 0; k != 0; --k)
        fds.push_back(below(2) == 0 ? guest->region_fd(0) : guest->ring(0).call.get());
      if (std::find(fds.begin(), fds.end(), -1) != fds.end()) fds.clear();
      try {
        guest->send_message(static_cast<RequestType>(below(45)), payload, fds,
                            static_cast<uint32_t>(below(20) == 0 ? rng() : 1));
        if (below(4) == 0) guest->send_memory_table();
      } catch (const std::system_error&) {
        guest.reset();  // cut off
      }
      if (below(30) == 0) guest.reset();
      take(*port_);
      send(*port_, make_frame(60));
    }
  }
  EXPECT_TRUE(eventually([&] { return !port_->is_connected() && count_fds() <= before; }));
  auto guest = join("vm");
  expect_traffic(*guest);
}

INSTANTIATE_TEST_SUITE_P(Rings, VhostLifecycle, ::testing::ValuesIn(kRingKinds), name_of);

}  // namespace
}  // namespace weft::dataplane::vhost::test
