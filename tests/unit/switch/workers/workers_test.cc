// SPDX-License-Identifier: BSD-3-Clause
//
// Several workers on threads of their own, with ports of memory: traffic through L2, routing and masquerade while
// everything changes that can change. The test's thread is the control thread. Run under ThreadSanitizer by
// `tools/test --long`. Workers sleep until they are woken (sleeps_until_woken.cc): a wake-up that is lost fails a test.
#include "dataplane/memory_port.h"
#include "dataplane/tsan.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "switch/engine.h"
#include "tests/unit/switch/engine_harness.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using namespace std::chrono_literals;
using dataplane::Drop;
using dataplane::MemoryPort;
using wire::Ipv4Address;
using wire::MacAddress;
using Bytes = std::vector<uint8_t>;
using test::Eal;
using test::Gaps;
using test::spin;
using test::wait_for;

const auto* const kEal = testing::AddGlobalTestEnvironment(new Eal);

/// How much of everything: a quarter under ThreadSanitizer, twenty times in a long run.
size_t times(size_t n) {
#ifdef WEFT_TSAN
  n = std::max<size_t>(n / 4, 1);
#endif
  return std::getenv("WEFT_LONG") != nullptr ? n * 20 : n;
}

// Red is masqueraded and has A and B; blue with C and green with D are routed to each other.
constexpr NetworkId kRed = 0, kBlue = 1, kGreen = 2;
// When queues are spread anew those of the highest numbers move: others, which come and go, have lower ones.
constexpr PortId kOthers = 0, kWan = 20, kA = 21, kB = 22, kC = 23, kD = 24;
const MacAddress kUplink = MacAddress::from_u64(0x525400000200), kPeer = MacAddress::from_u64(0x525400000f01);
const Ipv4Address kOutside{203, 0, 113, 2}, kNextHop{203, 0, 113, 1}, kFar{198, 51, 100, 5};

NetworkId network_of(PortId id) { return id == kC ? kBlue : id == kD ? kGreen : kRed; }
MacAddress gateway_mac(NetworkId n) { return MacAddress::from_u64(0x525400000100 + n); }
Ipv4Address gateway_ip(NetworkId n) { return {192, 168, static_cast<uint8_t>(n), 1}; }
/// Of the station behind a port.
MacAddress mac_of(PortId id) { return id == kWan ? kPeer : MacAddress::from_u64(0x52540000000a + id); }
Ipv4Address ip_of(PortId id) {
  return id == kWan ? kNextHop
                    : Ipv4Address(192, 168, static_cast<uint8_t>(network_of(id)), static_cast<uint8_t>(10 + id));
}

/// What a packet carries: the flow it is of, and its number there.
struct Content {
  uint32_t flow;
  uint32_t number;
};

Bytes udp(MacAddress to, MacAddress from, Ipv4Address source, Ipv4Address destination, uint16_t source_port,
          uint16_t destination_port, Content content) {
  Bytes bytes(14 + 20 + 8 + sizeof content);
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(bytes.data());
  *eth = {to, from, wire::be16(wire::ethertype::kIpv4)};
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(eth + 1);
  ip->version_ihl = 0x45;
  ip->total_length = wire::be16(static_cast<uint16_t>(bytes.size() - 14));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kUdp;
  ip->source = source;
  ip->destination = destination;
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* udp = reinterpret_cast<wire::UdpHeader*>(ip + 1);
  *udp = {wire::be16(source_port), wire::be16(destination_port), wire::be16(static_cast<uint16_t>(8 + sizeof content)),
          wire::be16(0)};
  std::memcpy(reinterpret_cast<uint8_t*>(udp + 1), &content, sizeof content);
  return bytes;
}

bool is_udp(const Bytes& b) { return b.size() >= 42 + sizeof(Content) && b[12] == 8 && b[13] == 0 && b[23] == 17; }
Content content_of(const Bytes& frame) {
  Content c{};
  std::memcpy(&c, frame.data() + 42, sizeof c);
  return c;
}

Bytes arp(uint16_t operation, MacAddress to, MacAddress from, Ipv4Address sender, Ipv4Address target) {
  Bytes bytes(14 + sizeof(wire::ArpPacket));
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(bytes.data());
  *eth = {to, from, wire::be16(wire::ethertype::kArp)};
  *reinterpret_cast<wire::ArpPacket*>(eth + 1) = {
      wire::be16(1), wire::be16(wire::ethertype::kIpv4), 6, 4, wire::be16(operation), from, sender, to, target};
  return bytes;
}

/// What the station behind `id` answers, if it is a question for it.
std::optional<Bytes> arp_answer(PortId id, const Bytes& frame) {
  if (frame.size() < 14 + sizeof(wire::ArpPacket) || frame[12] != 8 || frame[13] != 6) return std::nullopt;
  const auto& question = *reinterpret_cast<const wire::ArpPacket*>(frame.data() + 14);
  if (question.operation.host() != wire::ArpPacket::kRequest || question.target_ip != ip_of(id)) return std::nullopt;
  return arp(wire::ArpPacket::kReply, question.sender_mac, mac_of(id), ip_of(id), question.sender_ip);
}

/// For nobody but the forwarding database.
Bytes strange(MacAddress to, MacAddress from) {
  Bytes bytes(60);
  *reinterpret_cast<wire::EthernetHeader*>(bytes.data()) = {to, from, wire::be16(0x88b5)};  // local experimental
  return bytes;
}

/// Packets of some flows into one port and out of another, from a thread of its own: in batches, each of which must
/// come out, all of it and each flow in order. The station behind the port they come out of answers ARP.
class Flows {
 public:
  using Make = std::function<Bytes(Content)>;
  static constexpr uint32_t kFlows = 8, kBatch = 24;

  Flows(MemoryPort& from, MemoryPort& to, PortId to_id, Make make)
      : from_(from), to_(to), to_id_(to_id), make_(std::move(make)), thread_([this] { run(); }) {}
  ~Flows() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] uint64_t n_batches() const { return n_batches_; }
  [[nodiscard]] bool is_whole() const { return is_whole_; }

 private:
  void push(uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t flow = i % kFlows;
      from_.push(make_({flow, next_[flow]++}));
    }
  }
  /// How many came; false: one that was not the next of its flow.
  bool take(uint32_t& n) {
    for (const auto& f : to_.take_sent()) {
      if (const auto answer = arp_answer(to_id_, f.bytes)) to_.push(*answer);
      if (!is_udp(f.bytes)) continue;
      const Content c = content_of(f.bytes);
      if (c.flow >= kFlows || c.number != expected_[c.flow]++) return false;
      ++n;
    }
    return true;
  }
  bool pass() {
    push(kBatch);
    uint32_t n = 0;
    bool is_in_order = true;
    const bool all = wait_for([&] { return !(is_in_order = take(n)) || n >= kBatch; });
    EXPECT_TRUE(is_in_order) << "out of order at port " << to_id_;
    EXPECT_TRUE(all) << n << " came out of port " << to_id_;
    return all && is_in_order && n == kBatch;
  }
  void run() {
    while (is_whole_ && !stopping_) {
      is_whole_ = pass();
      ++n_batches_;
    }
  }
  MemoryPort& from_;
  MemoryPort& to_;
  PortId to_id_;
  Make make_;
  std::array<uint32_t, kFlows> next_{}, expected_{};
  std::atomic<bool> stopping_{false}, is_whole_{true};
  std::atomic<uint64_t> n_batches_{0};
  std::thread thread_;
};

class WorkersTest : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    Engine::Options options;
    options.cpus.assign(GetParam(), std::nullopt);
    options.nat_key = {1, 2};
    engine_ = std::make_unique<Engine>(io_, options, [](auto, const auto&) { return Drop::none; });
  }
  void TearDown() override {
    engine_->stop();
    run_loop();
    EXPECT_EQ(engine_->totals().imbalance(), 0) << "received + injected + copies = sent + consumed + held + drops";
    engine_->publish(std::make_unique<Snapshot>());
    for (auto& [id, port] : ports_) engine_->remove_port(id, *port);
    engine_.reset();
  }

  MemoryPort& add(PortId id, uint16_t queues = 1) {
    auto port = std::make_unique<MemoryPort>(dataplane::MemoryOptions{.queues = queues});
    engine_->add_port(id, *port);
    return *(ports_[id] = std::move(port));
  }
  /// As the daemon does it.
  void remove(PortId id) {
    const std::unique_ptr<MemoryPort> port = std::move(ports_.at(id));
    ports_.erase(id);
    publish();
    engine_->remove_port(id, *port);
  }
  void publish() {
    auto s = std::make_unique<Snapshot>();
    std::vector<Route> inside;
    for (NetworkId n = kRed; n <= kGreen; ++n) {
      NetworkEntry& network = s->networks.emplace_back();
      network.exists = network.has_gateway = true;
      network.mode = n == kRed ? ForwardMode::nat : ForwardMode::route;
      network.gateway_mac = gateway_mac(n);
      network.addresses = {{gateway_ip(n), 24}};
      network.uplink = 0;
      inside.push_back({{Ipv4Address(192, 168, static_cast<uint8_t>(n), 0), 24}, {}, n, 0, RouteKind::connected});
    }
    s->inside = Fib(std::move(inside));
    UplinkEntry& uplink = s->uplinks.emplace_back();
    uplink.mac = kUplink;
    uplink.addresses = {{kOutside, 24}};
    uplink.fib = Fib({{{Ipv4Address(203, 0, 113, 0), 24}, {}, interface_of_uplink(0), 0, RouteKind::connected},
                      {{}, kNextHop, interface_of_uplink(0), 0, RouteKind::static_}});
    for (const auto& [id, port] : ports_) {
      if (id >= s->ports.size()) s->ports.resize(id + 1u);
      s->ports[id].port = port.get();
      if (id == kWan) {
        s->ports[id].role = Role::uplink;
        s->ports[id].uplink = 0;
        uplink.port = id;
      } else {
        s->ports[id].network = network_of(id);
        s->networks[network_of(id)].members.push_back(id);
      }
    }
    engine_->publish(std::move(s));
  }
  MemoryPort& port(PortId id) { return *ports_.at(id); }
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
  /// Runs a job on each worker, and waits for them.
  void on_every_worker(const std::function<void(Pipeline&)>& work) {
    size_t n_done = 0;
    for (uint16_t w = 0; w < engine_->n_workers(); ++w)
      ASSERT_TRUE(engine_->run_on_worker(
          w, [&, w] { work(engine_->pipeline(w)); }, [&] { ++n_done; }));
    ASSERT_TRUE(loop_until([&] { return n_done == engine_->n_workers(); }));
  }
  /// Tells the router of the station behind the port, and waits until every worker knows it.
  void introduce(PortId id) {
    const bool is_wan = id == kWan;
    const NetworkId network = network_of(id);
    const InterfaceId interface = is_wan ? interface_of_uplink(0) : interface_of_network(network);
    port(id).push(arp(wire::ArpPacket::kReply, is_wan ? kUplink : gateway_mac(network), mac_of(id), ip_of(id),
                      is_wan ? kOutside : gateway_ip(network)));
    ASSERT_TRUE(wait_for([&] {
      size_t n_know = 0;
      for (uint16_t w = 0; w < engine_->n_workers(); ++w)
        engine_->pipeline(w).neighbours().for_each(0, [&](const Neighbours::Listed& n) {
          n_know += n.interface == interface && n.address == ip_of(id) && n.mac == mac_of(id);
        });
      return n_know == engine_->n_workers();
    })) << id;
  }
  void start_with(std::initializer_list<PortId> ids) {
    for (const PortId id : ids) add(id);
    publish();
    engine_->start();
    for (const PortId id : ids) introduce(id);
    for (const PortId id : ids) (void)port(id).take_sent();
  }

  // The ways of a flow.
  Flows::Make within_red() {
    return [](Content c) {
      return udp(mac_of(kB), mac_of(kA), ip_of(kA), ip_of(kB), static_cast<uint16_t>(4000 + c.flow), 53, c);
    };
  }
  static Bytes out_by_masquerade(PortId from, Content c) {
    return udp(gateway_mac(kRed), mac_of(from), ip_of(from), kFar,
               static_cast<uint16_t>(5000 + 100 * from + 2 * c.flow), 53, c);
  }
  static Bytes back_by_masquerade(PortId to, Content c) {
    return udp(kUplink, kPeer, kFar, kOutside, 53, static_cast<uint16_t>(5000 + 100 * to + 2 * c.flow), c);
  }
  Flows::Make routed(PortId from, PortId to) {
    return [from, to](Content c) {
      return udp(gateway_mac(network_of(from)), mac_of(from), ip_of(from), ip_of(to),
                 static_cast<uint16_t>(4000 + c.flow), 53, c);
    };
  }

  boost::asio::io_context io_;
  std::map<PortId, std::unique_ptr<MemoryPort>> ports_;
  std::unique_ptr<Engine> engine_;
};

INSTANTIATE_TEST_SUITE_P(Some, WorkersTest, testing::Values(2, 3),
                         [](const auto& run) { return std::to_string(run.param) + "_workers"; });

// ---- order ---------------------------------------------------------------------------------------------------------

TEST_P(WorkersTest, EveryFlowComesOutWholeAndInOrder) {
  start_with({kWan, kA, kB, kC, kD});
  for (uint32_t flow = 0; flow < Flows::kFlows; ++flow) port(kA).push(out_by_masquerade(kA, {flow, 0}));
  ASSERT_TRUE(wait_for([&] { return port(kWan).n_sent() == Flows::kFlows; }));
  (void)port(kWan).take_sent();

  Flows l2(port(kA), port(kB), kB, within_red());
  Flows out(port(kB), port(kWan), kWan, [](Content c) { return out_by_masquerade(kB, c); });
  Flows back(port(kWan), port(kA), kA, [](Content c) { return back_by_masquerade(kA, c); });
  Flows there(port(kC), port(kD), kD, routed(kC, kD));
  Flows and_back(port(kD), port(kC), kC, routed(kD, kC));
  for (Flows* flows : {&l2, &out, &back, &there, &and_back})
    ASSERT_TRUE(wait_for([&] { return flows->n_batches() >= times(500) || !flows->is_whole(); }));
  for (Flows* flows : {&l2, &out, &back, &there, &and_back}) {
    flows->stop();
    EXPECT_TRUE(flows->is_whole());
  }
  uint32_t n_sessions = 0;
  for (uint16_t w = 0; w < engine_->n_workers(); ++w) {
    EXPECT_NE(engine_->pipeline(w).masquerade().n_sessions(), 0u) << "every worker owns some";
    n_sessions += engine_->pipeline(w).masquerade().n_sessions();
  }
  EXPECT_EQ(n_sessions, 2 * Flows::kFlows);
}

TEST_P(WorkersTest, TheQueuesOfOnePortAreServedByAllWorkers) {
  for (const PortId id : {kWan, kA, kB}) add(id, id == kA ? uint16_t{4} : uint16_t{1});
  publish();
  engine_->start();
  for (const PortId id : {kWan, kA, kB}) introduce(id);
  (void)port(kB).take_sent();
  std::set<uint16_t> workers;
  for (uint16_t q = 0; q < 4; ++q) workers.insert(engine_->worker_of(kA, q));
  EXPECT_GE(workers.size(), 2u);
  const uint32_t n = static_cast<uint32_t>(times(2000));
  for (uint32_t i = 0; i < n; ++i)
    for (uint16_t q = 0; q < 4; ++q) port(kA).push(within_red()({q, i}), {}, q);
  ASSERT_TRUE(wait_for([&] { return port(kB).n_sent() == 4 * n; })) << port(kB).n_sent();
  std::array<uint32_t, 4> expected{};
  for (const auto& f : port(kB).take_sent()) {
    const Content c = content_of(f.bytes);
    ASSERT_EQ(c.number, expected[c.flow]++);
  }
}

// ---- changes -------------------------------------------------------------------------------------------------------

TEST_P(WorkersTest, NothingIsLostWhileEverythingChanges) {
  start_with({kWan, kA, kB, kC, kD});
  Flows l2(port(kA), port(kB), kB, within_red());
  Flows out(port(kB), port(kWan), kWan, [](Content c) { return out_by_masquerade(kB, c); });
  Flows there(port(kC), port(kD), kD, routed(kC, kD));
  Flows and_back(port(kD), port(kC), kC, routed(kD, kC));
  const std::array<Flows*, 4> all = {&l2, &out, &there, &and_back};
  const auto are_whole = [&] { return std::all_of(all.begin(), all.end(), [](auto* f) { return f->is_whole(); }); };

  std::minstd_rand random(11);
  uint64_t station = 0x020000000000;
  size_t n_moves = 0;
  std::map<PortId, uint16_t> places;
  for (size_t round = 0; round < times(150) && are_whole(); ++round) {
    // A port comes or goes, with frames under way.
    const auto id = static_cast<PortId>(kOthers + random() % 8);
    if (!ports_.contains(id)) add(id, static_cast<uint16_t>(1 + random() % 3));
    for (int i = 0; i < 48; ++i)
      port(id).push(strange(mac_of(i % 3 == 0 ? kB : kA), MacAddress::from_u64(station += 2)), {},
                    static_cast<uint16_t>(random() % port(id).n_queues()));
    publish();
    if (random() % 2 == 0) remove(id);
    for (const PortId still : {kWan, kA, kB, kC, kD}) {
      const uint16_t place = engine_->worker_of(still, 0);
      n_moves += places.contains(still) && places[still] != place;
      places[still] = place;
    }
    // Connections are flushed and listed, everything is read.
    const bool flushes = round % 3 == 0;
    on_every_worker([&](Pipeline& p) {
      if (flushes) p.masquerade().flush_network(kRed);
      uint32_t cursor = 0;
      std::array<nat::ConnectionInfo, 16> some;
      p.masquerade().snapshot(cursor, some, dataplane::monotonic_ns() / 1'000'000);
    });
    const uint64_t now = dataplane::monotonic_ns();
    size_t n_stations = 0, n_neighbours = 0;
    engine_->fdb().for_each(static_cast<uint32_t>(now / 1'000'000'000), [&](const Fdb::Entry&) { ++n_stations; });
    for (uint16_t w = 0; w < engine_->n_workers(); ++w) {
      engine_->pipeline(w).neighbours().for_each(now, [&](const Neighbours::Listed&) { ++n_neighbours; });
      engine_->pipeline(w).masquerade().maintain();
    }
    EXPECT_GE(n_stations, 4u);
    EXPECT_GE(n_neighbours, 5u * engine_->n_workers());
    (void)engine_->totals();
    (void)port(kA).take_sent();
    ASSERT_TRUE(engine_->inject(strange(mac_of(kC), gateway_mac(kBlue)), kBlue));
    // And packets go on.
    for (Flows* flows : all) {
      const uint64_t before = flows->n_batches();
      ASSERT_TRUE(wait_for([&] { return flows->n_batches() != before || !are_whole(); })) << round;
    }
  }
  for (Flows* flows : all) {
    flows->stop();
    EXPECT_TRUE(flows->is_whole());
  }
  EXPECT_GT(n_moves, 0u) << "queues have moved under traffic";
}

// ---- wake-ups ------------------------------------------------------------------------------------------------------

TEST_P(WorkersTest, AQueueThatMovesIsHeardByItsNewWorker) {
  constexpr PortId kMover = 50;  // the highest number is the first to move
  start_with({kB});
  add(kMover);
  publish();
  std::minstd_rand random(5);
  Gaps gap;
  uint32_t number = 0;
  size_t n_moves = 0;
  for (size_t round = 0; n_moves < times(300); ++round) {
    ASSERT_LT(round, times(300) * 50);
    const auto id = static_cast<PortId>(kOthers + random() % 8);
    const uint16_t before = engine_->worker_of(kMover, 0);
    if (!ports_.contains(id)) {
      add(id);
      publish();
    } else {
      remove(id);
    }
    n_moves += engine_->worker_of(kMover, 0) != before;
    spin(gap());
    port(kMover).push(udp(mac_of(kB), mac_of(kMover), ip_of(kMover), ip_of(kB), 4000, 53, {0, ++number}));
    ASSERT_TRUE(wait_for([&] { return port(kB).n_sent() != 0; })) << round;
    ASSERT_EQ(content_of(port(kB).take_sent()[0].bytes).number, number);
  }
}

TEST_P(WorkersTest, EveryPacketThatIsHandedToASleepingWorkerGoesOut) {
  start_with({kWan, kB});
  Gaps gap;
  for (uint32_t i = 1; i <= times(10'000); ++i) {
    spin(gap());
    port(kB).push(out_by_masquerade(kB, {i % Flows::kFlows, i}));
    uint32_t number = 0;
    ASSERT_TRUE(wait_for([&] {
      for (const auto& f : port(kWan).take_sent()) {
        if (const auto answer = arp_answer(kWan, f.bytes)) port(kWan).push(*answer);
        if (is_udp(f.bytes)) number = content_of(f.bytes).number;
      }
      return number != 0;
    })) << i;
    ASSERT_EQ(number, i);
  }
}

}  // namespace
}  // namespace weft::vswitch
