// SPDX-License-Identifier: BSD-3-Clause
//
// The connection table and masquerade at 1 k, 50 k and 1 M sessions: look-ups that hit and miss, new
// sessions, and a whole packet. Keys come in random order, as packets of many guests do. Pin it: taskset -c 1
// bench_conntrack
#include "nat/masquerade.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

namespace weft::nat {
namespace {

constexpr uint64_t kNow = 1'000'000;
constexpr Tick kTick = tick_of(kNow);

Masquerade::Config config() {
  Masquerade::Config c;
  c.table.max_sessions = 1 << 21;
  c.table.seed = {0x1234567890abcdef, 0xfedcba0987654321};
  c.random_key = {1, 2};
  return c;
}

/// Session i: an endpoint of its own, one remote.
FlowKey key(uint32_t i) {
  return {wire::Ipv4Address(0x0a000000 + i / 200),
          wire::Ipv4Address(198, 51, 100, 7),
          wire::be16(static_cast<uint16_t>(2000 + i % 200)),
          wire::be16(53),
          17,
          Side::inside,
          1};
}

/// A UDP packet of session i in a buffer of its own.
struct UdpPacket {
  UdpPacket() {
    p.head = bytes;
    p.size = p.head_size = sizeof bytes;
    p.l3_offset = 14;
    p.l3 = dataplane::L3::ipv4;
    p.l4_offset = 34;
    p.l4_protocol = 17;
    auto& ip = *reinterpret_cast<wire::Ipv4Header*>(bytes + 14);
    ip.version_ihl = 0x45;
    ip.total_length = wire::be16(sizeof bytes - 14);
    ip.ttl = 64;
    ip.protocol = 17;
  }
  void set(uint32_t i) {
    const FlowKey k = key(i);
    auto& ip = *reinterpret_cast<wire::Ipv4Header*>(bytes + 14);
    auto& udp = *reinterpret_cast<wire::UdpHeader*>(bytes + 34);
    ip.source = k.local;
    ip.destination = k.remote;
    udp.source_port = k.local_port;
    udp.destination_port = k.remote_port;
    udp.checksum = wire::be16(0x1234);
  }
  alignas(64) uint8_t bytes[64] = {};
  dataplane::Packet p{};
};

struct Filled {
  explicit Filled(uint32_t n) : nat(config()) {
    for (uint32_t i = 0; i < 100; ++i) pool.push_back(wire::Ipv4Address(0xcb007100 + i));
    context.pool = pool;
    UdpPacket packet;
    for (uint32_t i = 0; i < n; ++i) {
      packet.set(i);
      if (nat.translate_out(packet.p, context, kNow) != dataplane::Drop::none) std::abort();
    }
    while (nat.tick(kNow)) {
    }
    nat.maintain();
    for (uint32_t i = 0; i < n; ++i) order.push_back(i);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }
  std::vector<wire::Ipv4Address> pool;
  OutContext context{1, 1, {}, {}, {}};
  Masquerade nat;
  std::vector<uint32_t> order;
};

void hash_key(benchmark::State& state) {
  FlowKey k = key(1);
  const HashSeed seed{1, 2};
  for (auto _ : state) benchmark::DoNotOptimize(k.local_port = wire::be16(static_cast<uint16_t>(hash(k, seed))));
}
BENCHMARK(hash_key);

/// Session look-up by key, straight on the table.
template <bool kIsHit>
void find(benchmark::State& state) {
  const auto n = static_cast<uint32_t>(state.range(0));
  Filled f(n);
  auto& table = const_cast<Conntrack&>(f.nat.table());
  uint32_t i = 0;
  for (auto _ : state) {
    FlowKey k = key(f.order[i]);
    if constexpr (!kIsHit) k.remote_port = wire::be16(54);
    Session* s = table.find(k, kTick);
    if ((s != nullptr) != kIsHit) std::abort();
    benchmark::DoNotOptimize(s);
    if (++i == n) i = 0;
  }
}
BENCHMARK(find<true>)->Name("find_hit")->Arg(1'000)->Arg(50'000)->Arg(1'000'000);
BENCHMARK(find<false>)->Name("find_miss")->Arg(1'000)->Arg(50'000)->Arg(1'000'000);

/// A packet of a known connection, rewritten whole.
void translate_out(benchmark::State& state) {
  const auto n = static_cast<uint32_t>(state.range(0));
  Filled f(n);
  UdpPacket packet;
  uint32_t i = 0;
  for (auto _ : state) {
    packet.set(f.order[i]);
    benchmark::DoNotOptimize(f.nat.translate_out(packet.p, f.context, kNow));
    if (++i == n) i = 0;
  }
}
BENCHMARK(translate_out)->Arg(1'000)->Arg(50'000)->Arg(1'000'000);

/// First packets: n new sessions with a mapping each into an empty table, growth included.
void insert(benchmark::State& state) {
  const auto n = static_cast<uint32_t>(state.range(0));
  std::vector<wire::Ipv4Address> pool;
  for (uint32_t i = 0; i < 100; ++i) pool.push_back(wire::Ipv4Address(0xcb007100 + i));
  const OutContext context{1, 1, pool, {}, {}};
  UdpPacket packet;
  for (auto _ : state) {
    state.PauseTiming();
    auto nat = std::make_unique<Masquerade>(config());
    state.ResumeTiming();
    for (uint32_t i = 0; i < n; ++i) {
      packet.set(i);
      if (nat->translate_out(packet.p, context, kNow) != dataplane::Drop::none) std::abort();
    }
    state.PauseTiming();
    nat.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * n);
}
BENCHMARK(insert)->Arg(1'000)->Arg(50'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weft::nat

BENCHMARK_MAIN();
