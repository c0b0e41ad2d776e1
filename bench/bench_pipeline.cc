// SPDX-License-Identifier: BSD-3-Clause
//
// The whole pipeline between memory ports that replay frames for ever and forget what they are sent: what the stages
// and tables cost a packet, without rings, kernel or guests. Every run of the loop is one turn of the worker: a burst
// from each port. Items are packets.
#include "config/load.h"
#include "dataplane/memory_port.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "dataplane/worker.h"
#include "switch/model.h"
#include "switch/pipeline.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <rte_eal.h>

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

/// A pipeline with two guests and an uplink.
class Bench {
 public:
  Bench() {
    static const bool eal = [] {
      std::vector<std::string> words = {"bench", "--no-huge", "--no-shconf",    "--no-pci",
                                        "-m",    "64",        "--no-telemetry", "--log-level=3"};
      std::vector<char*> arguments;
      for (auto& w : words) arguments.push_back(w.data());
      return rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
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
    snapshot_->queues.resize(1);
    snapshot_->queues[0].generation = 1;
    for (auto& p : model_.ports) snapshot_->queues[0].queues.push_back({p->port.get(), p->id, 0});
    published_ = snapshot_.get();
    pipeline_ = std::make_unique<Pipeline>(Pipeline::Options{.seed = 1}, published_, fdb_, *owned_);
    worker_ = std::make_unique<dataplane::Worker>(dataplane::Worker::Options{}, rcu_, *pipeline_);
    port("wan").push(make_arp_reply(kPeer, kUplink, {203, 0, 113, 1}, {203, 0, 113, 2}));
    turn();
  }
  MemoryPort& port(const std::string& name) { return static_cast<MemoryPort&>(*model_.port(name)->port); }
  uint32_t turn() { return worker_->turn(now_ns_ += 1000); }

 private:
  void add(PortRecord record) {
    record.id = static_cast<PortId>(model_.ports.size());
    record.port = std::make_unique<MemoryPort>();
    fdb_.add_port(record.id);
    model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  }

  Model model_;
  Fdb fdb_{Fdb::Options{}};
  std::unique_ptr<dataplane::OwnedPool> owned_;
  dataplane::Rcu rcu_{1};
  std::unique_ptr<Snapshot> snapshot_;
  std::atomic<const Snapshot*> published_{nullptr};
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<dataplane::Worker> worker_;
  uint64_t now_ns_ = 1'000'000'000;
};

void run(benchmark::State& state, Bench& bench) {
  uint64_t packets = 0;
  for (auto _ : state) packets += bench.turn();
  state.SetItemsProcessed(static_cast<int64_t>(packets));
}

/// Two guests with `range(0)` MAC addresses each, both directions; bursts of `range(1)`.
void l2(benchmark::State& state) {
  Bench bench;
  const auto n = static_cast<uint32_t>(state.range(0));
  for (const auto& [from, to] : {std::pair{'a', 'b'}, std::pair{'b', 'a'}}) {
    std::vector<MemoryFrame> frames;
    for (uint32_t i = 0; i < n; ++i)
      frames.push_back({make_udp(guest_mac(from, i), guest_mac(to, i), {192, 168, 122, 10}, {192, 168, 122, 11},
                                 static_cast<uint16_t>(i), 60),
                        {}});
    bench.port(std::string(1, from)).replay(std::move(frames), static_cast<uint16_t>(state.range(1)));
  }
  run(state, bench);
}
BENCHMARK(l2)->ArgNames({"macs", "burst"})->Args({1, 32})->Args({1, 1})->Args({256, 32})->Args({20'000, 32});

/// One guest sends `range(0)` UDP flows out through the masquerade.
void nat_out(benchmark::State& state) {
  Bench bench;
  std::vector<MemoryFrame> frames;
  for (uint32_t i = 0; i < static_cast<uint32_t>(state.range(0)); ++i)
    frames.push_back({make_udp(guest_mac('a', 0), kGateway, {192, 168, 122, 10},
                               Ipv4Address((198u << 24 | 51u << 16 | 100u << 8) + i / 50'000),  // NOLINT
                               static_cast<uint16_t>(2'000 + i % 50'000), 60),
                      {}});
  bench.port("a").replay(std::move(frames), 32);
  run(state, bench);
}
BENCHMARK(nat_out)->ArgName("flows")->Arg(1)->Arg(1'000)->Arg(50'000);

}  // namespace
}  // namespace weft::vswitch

BENCHMARK_MAIN();
