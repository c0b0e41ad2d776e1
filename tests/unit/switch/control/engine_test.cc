// SPDX-License-Identifier: BSD-3-Clause
//
// The engine with its worker's thread and ports of memory. The test's thread is the control thread.
#include "switch/engine.h"

#include "dataplane/memory_port.h"
#include "dataplane/wire/headers.h"
#include "switch/guest_limits.h"
#include "switch/udp_frame.h"
#include "tests/unit/switch/engine_harness.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using namespace std::chrono_literals;
using dataplane::Drop;
using dataplane::MemoryPort;
using wire::MacAddress;
using Bytes = std::vector<uint8_t>;
using test::Eal;
using test::Gaps;
using test::spin;
using test::wait_for;

const auto* const kEal = testing::AddGlobalTestEnvironment(new Eal);

constexpr NetworkId kRed = 0;
constexpr PortId kA = 0, kB = 1, kC = 2, kD = 3;

const MacAddress kGateway = MacAddress::from_u64(0x525400000100);

/// Of the station behind a port.
MacAddress mac_of(PortId port) { return MacAddress::from_u64(0x52540000000a + port); }

/// A frame of 60 bytes that carries `number`.
Bytes frame(MacAddress to, MacAddress from, uint64_t number) {
  Bytes bytes(60);
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(bytes.data());
  eth->destination = to;
  eth->source = from;
  eth->type = wire::be16(0x88b5);  // IEEE 802 local experimental
  std::memcpy(bytes.data() + sizeof *eth, &number, sizeof number);
  return bytes;
}

uint64_t number_in(const Bytes& frame) {
  uint64_t number = 0;
  std::memcpy(&number, frame.data() + sizeof(wire::EthernetHeader), sizeof number);
  return number;
}

size_t n_tries() { return getenv("WEFT_LONG") != nullptr ? 1'000'000 : 20'000; }

class EngineTest : public testing::Test {
 protected:
  void SetUp() override { make(true); }
  void make(bool sleeps_when_idle) {
    engine_.reset();
    Engine::Options options;
    options.cpus = {std::nullopt};
    options.sleeps_when_idle = sleeps_when_idle;
    engine_ = std::make_unique<Engine>(
        io_, options, [this](std::span<const uint8_t> bytes, const auto& meta) { return on_punt_(bytes, meta); });
  }
  void TearDown() override {
    engine_->stop();
    run_loop();
    EXPECT_EQ(engine_->totals().imbalance(), 0) << "received + injected + copies = sent + consumed + held + drops";
    engine_->publish(std::make_unique<Snapshot>());
    for (auto& [id, port] : ports_) engine_->remove_port(id, *port);
    engine_.reset();
  }

  MemoryPort& add(PortId id, dataplane::MemoryOptions options = {}) {
    auto port = std::make_unique<MemoryPort>(options);
    engine_->add_port(id, *port);
    return *(ports_[id] = std::move(port));
  }
  /// All ports that there are, guests of one network.
  void publish() {
    auto snapshot = std::make_unique<Snapshot>();
    NetworkEntry& network = snapshot->networks.emplace_back(network_);
    for (const auto& [id, port] : ports_) {
      if (id >= snapshot->ports.size()) snapshot->ports.resize(id + 1u);
      snapshot->ports[id] = {.port = port.get(), .network = kRed};
      network.members.push_back(id);
    }
    engine_->publish(std::move(snapshot));
  }
  /// As the daemon does it.
  void remove(PortId id) {
    const std::unique_ptr<MemoryPort> port = std::move(ports_.at(id));
    ports_.erase(id);
    publish();
    engine_->remove_port(id, *port);
  }
  MemoryPort& port(PortId id) { return *ports_.at(id); }
  /// Makes the station behind a port known; what others hear of it is taken.
  void learn(PortId id) {
    port(id).push(frame(MacAddress::broadcast(), mac_of(id), 0));
    for (auto& [other, p] : ports_) {
      if (other == id) continue;
      ASSERT_TRUE(wait_for([&, p = p.get()] { return p->n_sent() != 0; }));
      (void)p->take_sent();
    }
  }
  void start_with(std::initializer_list<PortId> ids) {
    for (const PortId id : ids) add(id);
    publish();
    engine_->start();
    for (const PortId id : ids) learn(id);
  }
  /// What waits on the control thread's loop.
  void run_loop() {
    io_.restart();
    while (io_.poll() != 0) {
    }
  }
  template <class F>
  bool loop_until(F&& is_so) {
    return wait_for([&] {
      run_loop();
      return is_so();
    });
  }
  uint64_t drops(PortId id, Drop drop) { return engine_->totals_of(id).drops[static_cast<size_t>(drop)]; }

  boost::asio::io_context io_;
  NetworkEntry network_{.exists = true, .gateway_mac = kGateway};
  std::map<PortId, std::unique_ptr<MemoryPort>> ports_;
  Engine::PuntHandler on_punt_ = [](auto, const auto&) { return Drop::none; };
  std::unique_ptr<Engine> engine_;
};

// ---- running -------------------------------------------------------------------------------------------------------

TEST_F(EngineTest, AnEngineThatNeverStartedEnds) { EXPECT_EQ(engine_->n_workers(), 1); }

TEST_F(EngineTest, StoppingTwiceIsStoppingOnce) {
  engine_->start();
  engine_->stop();
  engine_->stop();
}

TEST_F(EngineTest, PublishingBeforeTheStartWaitsForNobody) {
  add(kA);
  publish();
  EXPECT_NE(engine_->snapshot().port(kA), nullptr);
}

TEST_F(EngineTest, AFrameGoesToTheStationsPort) {
  start_with({kA, kB, kC});
  port(kA).push(frame(mac_of(kB), mac_of(kA), 7));
  ASSERT_TRUE(wait_for([&] { return port(kB).n_sent() == 1; }));
  EXPECT_EQ(port(kB).take_sent()[0].bytes, frame(mac_of(kB), mac_of(kA), 7));
  EXPECT_EQ(port(kC).n_sent(), 0u);
}

TEST_F(EngineTest, AWorkerThatNeverSleepsForwardsToo) {
  make(false);
  start_with({kA, kB});
  port(kA).push(frame(mac_of(kB), mac_of(kA), 7));
  EXPECT_TRUE(wait_for([&] { return port(kB).n_sent() == 1; }));
}

TEST_F(EngineTest, EveryQueueOfAPortIsServed) {
  add(kA, {.queues = 4});
  add(kB);
  publish();
  engine_->start();
  for (uint16_t q = 0; q < 4; ++q) port(kA).push(frame(MacAddress::broadcast(), mac_of(kA), q), {}, q);
  EXPECT_TRUE(wait_for([&] { return port(kB).n_sent() == 4; }));
}

TEST_F(EngineTest, WhatAPortCountedStaysWhenItIsGone) {
  start_with({kA, kB});
  remove(kA);
  EXPECT_EQ(engine_->totals_of(kA).rx_packets, 1u);
}

TEST_F(EngineTest, AStationOfARemovedPortIsForgotten) {
  start_with({kA, kB, kC});
  remove(kC);
  add(kD);
  publish();
  port(kA).push(frame(mac_of(kC), mac_of(kA), 7));
  EXPECT_TRUE(wait_for([&] { return port(kB).n_sent() == 1 && port(kD).n_sent() == 1; })) << "it is flooded again";
}

TEST_F(EngineTest, AnIdThatIsUsedAgainInheritsNoStations) {
  start_with({kA, kB, kC});
  remove(kC);
  add(kC);
  publish();
  port(kA).push(frame(mac_of(kC), mac_of(kA), 7));
  EXPECT_TRUE(wait_for([&] { return port(kB).n_sent() == 1 && port(kC).n_sent() == 1; })) << "it is flooded again";
}

// ---- ports come and go ---------------------------------------------------------------------------------------------

/// Frames both ways between A and B from a thread of its own, each way in batches that are waited for.
class Flow {
 public:
  Flow(MemoryPort& a, MemoryPort& b) : a_(a), b_(b), thread_([this] { run(); }) {}
  ~Flow() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] uint64_t n_batches() const { return n_batches_; }
  [[nodiscard]] bool is_whole() const { return is_whole_; }

 private:
  static constexpr size_t kBatch = 8;
  bool pass(MemoryPort& from, MemoryPort& to, MacAddress source, MacAddress destination) {
    const uint64_t first = next_;
    for (size_t i = 0; i < kBatch; ++i) from.push(frame(destination, source, next_++));
    if (!wait_for([&] { return to.n_sent() >= kBatch; })) return false;
    const auto sent = to.take_sent();
    if (sent.size() != kBatch) return false;
    for (size_t i = 0; i < kBatch; ++i)
      if (number_in(sent[i].bytes) != first + i) return false;
    return true;
  }
  void run() {
    while (is_whole_ && !stopping_) {
      is_whole_ = pass(a_, b_, mac_of(kA), mac_of(kB)) && pass(b_, a_, mac_of(kB), mac_of(kA));
      ++n_batches_;
    }
  }
  MemoryPort& a_;
  MemoryPort& b_;
  uint64_t next_ = 1;
  std::atomic<bool> stopping_{false}, is_whole_{true};
  std::atomic<uint64_t> n_batches_{0};
  std::thread thread_;
};

TEST_F(EngineTest, PortsComeAndGo200TimesWhileOthersLoseNothing) {
  start_with({kA, kB, kD});
  Flow flow(port(kA), port(kB));
  for (uint64_t round = 1; round <= 200; ++round) {
    const uint64_t batches = flow.n_batches();
    MemoryPort& c = add(kC);
    c.push(frame(mac_of(kD), mac_of(kC), round));  // waits there when the workers first see the port
    publish();
    ASSERT_TRUE(wait_for([&] { return port(kD).n_sent() == 1; })) << round;
    ASSERT_EQ(number_in(port(kD).take_sent()[0].bytes), round);
    port(kD).push(frame(mac_of(kC), mac_of(kD), round));
    ASSERT_TRUE(wait_for([&] { return c.n_sent() == 1; })) << round;
    ASSERT_EQ(number_in(c.take_sent()[0].bytes), round);
    ASSERT_TRUE(wait_for([&] { return flow.n_batches() != batches || !flow.is_whole(); })) << round;
    // It goes while its frames are under way. They are for nobody: a source that is a group is dropped.
    for (int i = 0; i < 64; ++i) c.push(frame(mac_of(kD), MacAddress::broadcast(), 0));
    remove(kC);
    ASSERT_TRUE(flow.is_whole()) << round;
  }
  flow.stop();
  EXPECT_TRUE(flow.is_whole());
  EXPECT_EQ(port(kD).n_sent(), 0u);
}

// ---- wake-ups ------------------------------------------------------------------------------------------------------
// The worker of this program sleeps until it is woken (sleeps_until_woken.cc).

TEST_F(EngineTest, EveryFrameThatComesToASleepingWorkerIsForwarded) {
  start_with({kA, kB});
  Gaps gap;
  for (uint64_t i = 1; i <= n_tries(); ++i) {
    spin(gap());
    port(kA).push(frame(mac_of(kB), mac_of(kA), i));
    ASSERT_TRUE(wait_for([&] { return port(kB).n_sent() != 0; })) << i;
    ASSERT_EQ(number_in(port(kB).take_sent()[0].bytes), i);
  }
}

TEST_F(EngineTest, EveryJobForASleepingWorkerRuns) {
  engine_->start();
  Gaps gap;
  std::atomic<uint64_t> last{0};
  for (uint64_t i = 1; i <= n_tries() / 4; ++i) {
    spin(gap());
    ASSERT_TRUE(engine_->run_on_worker(
        0, [&last, i] { last = i; }, nullptr));
    ASSERT_TRUE(wait_for([&] { return last == i; })) << i;
    ASSERT_TRUE(loop_until([&] { return true; }));
    if (i % 16 == 0) {
      bool is_done = false;
      ASSERT_TRUE(engine_->run_on_worker(
          0, [] {}, [&] { is_done = true; }));
      ASSERT_TRUE(loop_until([&] { return is_done; })) << i;
    }
  }
}

TEST_F(EngineTest, EveryInjectedFrameLeavesASleepingWorker) {
  start_with({kA});
  Gaps gap;
  for (uint64_t i = 1; i <= n_tries() / 4; ++i) {
    spin(gap());
    ASSERT_TRUE(engine_->inject(frame(mac_of(kA), kGateway, i), kRed));
    ASSERT_TRUE(wait_for([&] { return port(kA).n_sent() != 0; })) << i;
    ASSERT_EQ(number_in(port(kA).take_sent()[0].bytes), i);
  }
}

TEST_F(EngineTest, EverySnapshotReachesASleepingWorker) {
  start_with({kA});
  Gaps gap;
  for (uint64_t i = 1; i <= n_tries() / 8; ++i) {
    add(kB).push(frame(mac_of(kA), mac_of(kB), i));
    spin(gap());
    publish();
    ASSERT_TRUE(wait_for([&] { return port(kA).n_sent() != 0; })) << i;
    ASSERT_EQ(number_in(port(kA).take_sent()[0].bytes), i);
    spin(gap());
    remove(kB);
  }
}

// ---- jobs ----------------------------------------------------------------------------------------------------------

TEST_F(EngineTest, AJobRunsOnTheWorkersThread) {
  engine_->start();
  std::thread::id ran_on;
  bool is_done = false;
  ASSERT_TRUE(engine_->run_on_worker(
      0, [&] { ran_on = std::this_thread::get_id(); }, [&] { is_done = true; }));
  ASSERT_TRUE(loop_until([&] { return is_done; }));
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST_F(EngineTest, AJobIsDoneOnTheControlThread) {
  engine_->start();
  std::thread::id done_on;
  ASSERT_TRUE(engine_->run_on_worker(
      0, [] {}, [&] { done_on = std::this_thread::get_id(); }));
  ASSERT_TRUE(loop_until([&] { return done_on != std::thread::id(); }));
  EXPECT_EQ(done_on, std::this_thread::get_id());
}

TEST_F(EngineTest, TooManyJobsAreRefused) {
  size_t n = 0;
  while (n < 1000 && engine_->run_on_worker(
                         0, [] {}, nullptr))
    ++n;
  EXPECT_EQ(n, 32u);
}

// ---- frames the switch makes ---------------------------------------------------------------------------------------

TEST_F(EngineTest, AnInjectedFrameGoesToTheStationsPort) {
  start_with({kA, kB});
  ASSERT_TRUE(engine_->inject(frame(mac_of(kB), kGateway, 7), kRed));
  ASSERT_TRUE(wait_for([&] { return port(kB).n_sent() == 1; }));
  EXPECT_EQ(port(kB).take_sent()[0].bytes, frame(mac_of(kB), kGateway, 7));
  EXPECT_EQ(port(kA).n_sent(), 0u);
}

TEST_F(EngineTest, AnInjectedBroadcastGoesToAll) {
  start_with({kA, kB});
  ASSERT_TRUE(engine_->inject(frame(MacAddress::broadcast(), kGateway, 7), kRed));
  EXPECT_TRUE(wait_for([&] { return port(kA).n_sent() == 1 && port(kB).n_sent() == 1; }));
}

TEST_F(EngineTest, AnInjectedFrameComesFromTheGateway) {
  start_with({kA});
  ASSERT_TRUE(engine_->inject(frame(mac_of(kA), mac_of(kD), 7), kRed));
  ASSERT_TRUE(wait_for([&] { return port(kA).n_sent() == 1; }));
  EXPECT_EQ(port(kA).take_sent()[0].bytes, frame(mac_of(kA), kGateway, 7));
}

TEST_F(EngineTest, AnInjectedFrameLongerThanTheHeadLeavesWhole) {
  start_with({kA});
  Bytes bytes = frame(mac_of(kA), kGateway, 7);
  for (size_t i = bytes.size(); i < 1500; ++i) bytes.push_back(static_cast<uint8_t>(i * 7));
  ASSERT_TRUE(engine_->inject(bytes, kRed));
  ASSERT_TRUE(wait_for([&] { return port(kA).n_sent() == 1; }));
  EXPECT_EQ(port(kA).take_sent()[0].bytes, bytes);
}

TEST_F(EngineTest, AFrameInjectedIntoANetworkThatIsGoneIsDropped) {
  start_with({kA});
  ASSERT_TRUE(engine_->inject(frame(mac_of(kA), kGateway, 7), 5));
  EXPECT_TRUE(wait_for([&] { return drops(kNoPort, Drop::port_removed) == 1; }));
}

TEST_F(EngineTest, AFullQueueRefusesInjectedFrames) {
  size_t n = 0;
  while (n < 10'000 && engine_->inject(frame(mac_of(kA), kGateway, n), kRed)) ++n;
  EXPECT_EQ(n, limits::kFromControl);
  EXPECT_EQ(drops(kNoPort, Drop::local_queue_full), 1u);
}

TEST_F(EngineTest, FramesInjectedBeforeTheStartLeaveAfterIt) {
  add(kA);
  publish();
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(engine_->inject(frame(MacAddress::broadcast(), kGateway, i), kRed));
  engine_->start();
  ASSERT_TRUE(wait_for([&] { return port(kA).n_sent() == 100; }));
  const auto sent = port(kA).take_sent();
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(number_in(sent[i].bytes), i);
}

// ---- packets for the switch itself ---------------------------------------------------------------------------------

class PuntTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    network_.has_gateway = network_.serves_dhcp = true;
    network_.addresses = {{wire::Ipv4Address(192, 168, 100, 1), 24}};
    on_punt_ = [this](std::span<const uint8_t> bytes, const dataplane::OwnedMeta& meta) {
      frames_.emplace_back(bytes.begin(), bytes.end());
      metas_.push_back(meta);
      return verdict_;
    };
    add(kA);
    add(kB);
    publish();
  }
  /// A DHCP client's, as far as the worker looks.
  static Bytes request(size_t size = 300, uint8_t mark = 1) {
    return make_udp_frame({mac_of(kB), {}, 68}, {MacAddress::broadcast(), wire::Ipv4Address(0xffffffff), 67},
                          Bytes(size, mark), 0);
  }
  Drop verdict_ = Drop::none;
  std::vector<Bytes> frames_;
  std::vector<dataplane::OwnedMeta> metas_;
};

TEST_F(PuntTest, TheHandlerGetsTheWholeFrame) {
  engine_->start();
  port(kB).push(request(1000));
  ASSERT_TRUE(loop_until([&] { return frames_.size() == 1; }));
  EXPECT_EQ(frames_[0], request(1000));
}

TEST_F(PuntTest, AFrameInManyPiecesIsOneInTheHandler) {
  add(kC, {.piece_size = 7});
  publish();
  engine_->start();
  port(kC).push(request(1000));
  ASSERT_TRUE(loop_until([&] { return frames_.size() == 1; }));
  EXPECT_EQ(frames_[0], request(1000));
}

TEST_F(PuntTest, TheHandlerLearnsWhereItCameFrom) {
  engine_->start();
  port(kB).push(request());
  ASSERT_TRUE(loop_until([&] { return metas_.size() == 1; }));
  EXPECT_EQ(metas_[0].in_port, kB);
  EXPECT_EQ(metas_[0].network, kRed);
}

TEST_F(PuntTest, WhatTheHandlerTakesIsConsumed) {
  engine_->start();
  port(kB).push(request());
  ASSERT_TRUE(loop_until([&] { return engine_->totals_of(kB).consumed == 1; }));
  EXPECT_EQ(engine_->totals_of(kB).held, 0u);
}

TEST_F(PuntTest, WhatTheHandlerRefusesIsDroppedByName) {
  verdict_ = Drop::local_dhcp_bad;
  engine_->start();
  port(kB).push(request());
  ASSERT_TRUE(loop_until([&] { return drops(kB, Drop::local_dhcp_bad) == 1; }));
  EXPECT_EQ(engine_->totals_of(kB).held, 0u);
}

TEST_F(PuntTest, ManyAtOnceAllReachTheHandlerInOrder) {
  for (uint8_t i = 0; i < 200; ++i) port(kB).push(request(300, i));
  engine_->start();
  ASSERT_TRUE(loop_until([&] { return frames_.size() == 200; }));
  for (uint8_t i = 0; i < 200; ++i) EXPECT_EQ(frames_[i], request(300, i));
}

TEST_F(PuntTest, TheHandlerMayInject) {
  on_punt_ = [this](std::span<const uint8_t> bytes, const dataplane::OwnedMeta& meta) {
    frames_.emplace_back(bytes.begin(), bytes.end());
    engine_->inject(frame(MacAddress::broadcast(), kGateway, frames_.size()), meta.network);
    return Drop::none;
  };
  engine_->start();
  port(kB).push(request());
  ASSERT_TRUE(loop_until([&] { return port(kB).n_sent() == 1; }));
  EXPECT_EQ(number_in(port(kB).take_sent()[0].bytes), 1u);
}

TEST_F(PuntTest, JobsAndPacketsForTheSwitchDoNotHinderEachOther) {
  engine_->start();
  for (int i = 0; i < 20; ++i) {
    bool is_done = false;
    port(kB).push(request());
    ASSERT_TRUE(engine_->run_on_worker(
        0, [] {}, [&] { is_done = true; }));
    const size_t n = static_cast<size_t>(i) + 1;
    ASSERT_TRUE(loop_until([&] { return is_done && frames_.size() == n; })) << i;
  }
}

}  // namespace
}  // namespace weft::vswitch
