// SPDX-License-Identifier: BSD-3-Clause
//
// The whole pipeline between memory ports that replay frames for ever and forget what they are sent: what the stages
// and tables cost a packet, without rings, kernel or guests. Every run of the loop is one turn of the worker: a burst
// from each port. Items are packets. The last ones put two workers beside one: run them with nothing else on the
// machine.
#include "config/load.h"
#include "dataplane/memory_port.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "dataplane/worker.h"
#include "switch/model.h"
#include "switch/pipeline.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <rte_eal.h>

#include <sched.h>

namespace weft::vswitch {
namespace {

using dataplane::MemoryFrame;
using dataplane::MemoryPort;
using wire::Ipv4Address;
using wire::MacAddress;

constexpr const char* kConfig = R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: inside
    forward: {mode: nat}
    bridge: {host: no}
    ips: [{address: 192.168.122.1, prefix: 24}]
ports:
  - {name: a, network: inside, tap: {name: a}}
  - {name: b, network: inside, tap: {name: b}}
)";

const MacAddress kGateway = MacAddress::from_u64(0x525400000100);
const MacAddress kUplink = MacAddress::from_u64(0x525400000200);
const MacAddress kPeer = MacAddress::from_u64(0x525400000f01);
MacAddress guest_mac(char port, uint32_t i) { return MacAddress::from_u64(0x020000000000 | uint64_t(port) << 32 | i); }

std::vector<uint8_t> make_udp(MacAddress from, MacAddress to, Ipv4Address source, Ipv4Address destination,
                              uint16_t source_port, size_t size) {
  std::vector<uint8_t> frame(size);
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(frame.data());
  *eth = {to, from, wire::be16(wire::ethertype::kIpv4)};
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(eth + 1);
  ip->version_ihl = 0x45;
  ip->total_length = wire::be16(static_cast<uint16_t>(size - sizeof *eth));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kUdp;
  ip->source = source;
  ip->destination = destination;
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* udp = reinterpret_cast<wire::UdpHeader*>(ip + 1);
  *udp = {wire::be16(source_port), wire::be16(4000), wire::be16(static_cast<uint16_t>(size - 34)), wire::be16(0)};
  return frame;
}

std::vector<uint8_t> make_arp_reply(MacAddress from, MacAddress to, Ipv4Address sender, Ipv4Address target) {
  std::vector<uint8_t> frame(42);
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(frame.data());
  *eth = {to, from, wire::be16(wire::ethertype::kArp)};
  auto* arp = reinterpret_cast<wire::ArpPacket*>(eth + 1);
  *arp = {
      wire::be16(1), wire::be16(wire::ethertype::kIpv4), 6, 4, wire::be16(wire::ArpPacket::kReply), from, sender, to,
      target};
  return frame;
}

/// A switch with two guests and an uplink. With two workers each serves a guest, and the first the uplink.
class Bench {
 public:
  explicit Bench(uint16_t n_workers = 1) : n_workers_(n_workers) {
    static const bool eal = [] {
      cpu_set_t allowed;  // the EAL pins this thread; others are to run anywhere
      sched_getaffinity(0, sizeof allowed, &allowed);
      std::vector<std::string> words = {"bench", "--no-huge", "--no-shconf",    "--no-pci",
                                        "-m",    "64",        "--no-telemetry", "--log-level=3"};
      std::vector<char*> arguments;
      for (auto& w : words) arguments.push_back(w.data());
      const bool is_up = rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
      sched_setaffinity(0, sizeof allowed, &allowed);
      return is_up;
    }();
    if (!eal) throw std::runtime_error("no EAL");
    static int pools = 0;
    owned_ = std::make_unique<dataplane::OwnedPool>(("bench" + std::to_string(pools++)).c_str(), 512);
    const auto config = config::load(kConfig, "bench.yaml").config;
    model_.uplinks.push_back({0, config.uplinks[0], kUplink});
    model_.networks.push_back({.id = 0, .config = config.networks[0], .gateway_mac = kGateway, .uplink = 0});
    add({.name = "wan", .role = Role::uplink, .uplink = 0});
    add({.name = "a", .network = 0});
    add({.name = "b", .network = 0});
    snapshot_ = build_snapshot(model_);
    snapshot_->queues.resize(n_workers);
    for (auto& list : snapshot_->queues) list.generation = 1;
    for (auto& p : model_.ports)
      snapshot_->queues[p->name == "b" ? n_workers - 1u : 0u].queues.push_back({p->port.get(), p->id, 0});
    published_ = snapshot_.get();
    if (n_workers > 1) handoffs_ = std::make_unique<Handoffs>(n_workers);
    for (uint16_t w = 0; w < n_workers; ++w) {
      pipelines_.push_back(std::make_unique<Pipeline>(
          Pipeline::Options{.worker = w, .seed = 1, .handoffs = handoffs_.get()}, published_, fdb_, *owned_));
      workers_.push_back(
          std::make_unique<dataplane::Worker>(dataplane::Worker::Options{.index = w}, rcu_, *pipelines_.back()));
    }
    port("wan").push(make_arp_reply(kPeer, kUplink, {203, 0, 113, 1}, {203, 0, 113, 2}));
    for (int i = 0; i < 4; ++i)
      for (auto& worker : workers_) worker->turn(now_ns_ += 1000);
    port("wan").replay({});
  }
  MemoryPort& port(const std::string& name) { return static_cast<MemoryPort&>(*model_.port(name)->port); }
  uint32_t turn() { return workers_.front()->turn(now_ns_ += 1000); }

  /// Packets a second that came out while every worker turned on a CPU of its own, of the last `n_workers` of `cpus`.
  double run_on(const std::vector<int>& cpus, uint64_t ns) {
    const uint64_t before = n_sent();
    std::atomic<bool> is_over{false};
    std::atomic<uint16_t> n_ready{0};
    std::vector<std::thread> threads;
    for (uint16_t w = 0; w < n_workers_; ++w)
      threads.emplace_back([&, w] {
        cpu_set_t cpu;
        CPU_ZERO(&cpu);
        CPU_SET(static_cast<size_t>(cpus[cpus.size() - n_workers_ + w]), &cpu);
        sched_setaffinity(0, sizeof cpu, &cpu);
        ++n_ready;
        while (n_ready != n_workers_) {
        }
        while (!is_over.load(std::memory_order_relaxed)) workers_[w]->turn(dataplane::monotonic_ns());
      });
    const uint64_t start = dataplane::monotonic_ns();
    std::this_thread::sleep_for(std::chrono::nanoseconds(ns));
    is_over = true;
    const uint64_t end = dataplane::monotonic_ns();
    for (auto& thread : threads) thread.join();
    return static_cast<double>(n_sent() - before) * 1e9 / static_cast<double>(end - start);
  }

 private:
  void add(PortRecord record) {
    record.id = static_cast<PortId>(model_.ports.size());
    record.port = std::make_unique<MemoryPort>(dataplane::MemoryOptions{.queues = n_workers_});
    fdb_.add_port(record.id);
    model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  }
  uint64_t n_sent() const {
    uint64_t n = 0;
    for (const auto& pipeline : pipelines_)
      for (const auto& p : model_.ports) n += pipeline->counters()[p->id].tx_packets.get();
    return n;
  }

  uint16_t n_workers_;
  Model model_;
  Fdb fdb_{Fdb::Options{}};
  std::unique_ptr<dataplane::OwnedPool> owned_;
  dataplane::Rcu rcu_{2};
  std::unique_ptr<Snapshot> snapshot_;
  std::atomic<const Snapshot*> published_{nullptr};
  std::unique_ptr<Handoffs> handoffs_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
  std::vector<std::unique_ptr<dataplane::Worker>> workers_;
  uint64_t now_ns_ = dataplane::monotonic_ns();
};

/// Both guests write to each other, from `n_macs` addresses each.
void fill_l2(Bench& bench, uint32_t n_macs, uint16_t burst) {
  for (const auto& [from, to] : {std::pair{'a', 'b'}, std::pair{'b', 'a'}}) {
    std::vector<MemoryFrame> frames;
    for (uint32_t i = 0; i < n_macs; ++i)
      frames.push_back({make_udp(guest_mac(from, i), guest_mac(to, i), {192, 168, 122, 10}, {192, 168, 122, 11},
                                 static_cast<uint16_t>(i), 60),
                        {}});
    bench.port(std::string(1, from)).replay(std::move(frames), burst);
  }
}

/// A guest sends `n_flows` UDP flows out through the masquerade.
void fill_nat(Bench& bench, char guest, uint32_t n_flows) {
  std::vector<MemoryFrame> frames;
  for (uint32_t i = 0; i < n_flows; ++i)
    frames.push_back({make_udp(guest_mac(guest, 0), kGateway, {192, 168, 122, static_cast<uint8_t>(guest)},
                               Ipv4Address((198u << 24 | 51u << 16 | 100u << 8) + i / 50'000),  // NOLINT
                               static_cast<uint16_t>(2'000 + i % 50'000), 60),
                      {}});
  bench.port(std::string(1, guest)).replay(std::move(frames), 32);
}

void run(benchmark::State& state, Bench& bench) {
  uint64_t packets = 0;
  for (auto _ : state) packets += bench.turn();
  state.SetItemsProcessed(static_cast<int64_t>(packets));
}

/// Two guests with `range(0)` MAC addresses each, both directions; bursts of `range(1)`.
void l2(benchmark::State& state) {
  Bench bench;
  fill_l2(bench, static_cast<uint32_t>(state.range(0)), static_cast<uint16_t>(state.range(1)));
  run(state, bench);
}
BENCHMARK(l2)->ArgNames({"macs", "burst"})->Args({1, 32})->Args({1, 1})->Args({256, 32})->Args({20'000, 32});

/// One guest sends `range(0)` UDP flows out through the masquerade.
void nat_out(benchmark::State& state) {
  Bench bench;
  fill_nat(bench, 'a', static_cast<uint32_t>(state.range(0)));
  run(state, bench);
}
BENCHMARK(nat_out)->ArgName("flows")->Arg(1)->Arg(1'000)->Arg(50'000);

/// Two workers, with a guest's port each, beside one that has both: what the workers cost, for no generator takes part.
/// They take turns, a fifth of a second each, so that what else the machine does meets both; the ratio is the median's.
template <class Fill>
void two_workers(benchmark::State& state, Fill fill) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpus.push_back(cpu);
  if (cpus.size() < 2) return state.SkipWithError("needs two CPUs");
  Bench one(1), two(2);
  fill(one);
  fill(two);
  constexpr uint64_t kRound = 200'000'000;
  std::vector<double> alone, together, ratios;
  for (auto _ : state) {
    alone.push_back(one.run_on(cpus, kRound));
    together.push_back(two.run_on(cpus, kRound));
    ratios.push_back(together.back() / alone.back());
  }
  const auto median = [](std::vector<double>& v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  state.counters["one_mpps"] = median(alone) / 1e6;
  state.counters["two_mpps"] = median(together) / 1e6;
  state.counters["ratio"] = median(ratios);
}
BENCHMARK_CAPTURE(two_workers, l2, [](Bench& b) { fill_l2(b, 1, 32); })->Iterations(9)->Unit(benchmark::kMillisecond);
/// Half of the packets are of connections that the other worker owns.
BENCHMARK_CAPTURE(two_workers, nat_out,
                  [](Bench& b) {
                    fill_nat(b, 'a', 1'000);
                    fill_nat(b, 'b', 1'000);
                  })
    ->Iterations(9)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weft::vswitch

BENCHMARK_MAIN();
