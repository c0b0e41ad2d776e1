// SPDX-License-Identifier: BSD-3-Clause
//
// The forwarding database as a worker uses it: bursts of 32 frames, each learned from and looked up, with and
// without prefetching the burst first; stations in random order.
#include "switch/fdb.h"

#include <algorithm>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

using weft::vswitch::Fdb;
using weft::wire::MacAddress;

constexpr uint32_t kNow = 1000;
constexpr size_t kBurst = 32;

/// `n` stations, learned, and the order in which they are met.
struct Stations {
  explicit Stations(size_t n) : fdb({.seed = 1}) {
    std::mt19937_64 random(2);
    fdb.add_port(1);
    for (size_t i = 0; i < n; ++i) {
      macs.push_back(MacAddress::from_u64((random() & 0xfcffffffffff) | 0x020000000000));
      fdb.learn(1, macs.back(), 1, kNow);
    }
    for (int i = 0; i < 40; ++i) fdb.sweep(kNow, 1 << 21);
    met.resize(std::max<size_t>(kBurst, n) / kBurst * kBurst);
    for (MacAddress& m : met) m = macs[random() % n];
  }
  Fdb fdb;
  std::vector<MacAddress> macs, met;
};

void sizes(benchmark::internal::Benchmark* b) { b->Arg(256)->Arg(20'000)->Arg(100'000)->Arg(1'000'000); }

void lookup(benchmark::State& state) {
  const Stations s(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) benchmark::DoNotOptimize(s.fdb.lookup(1, s.met[at + i], kNow));
    at = at + kBurst == s.met.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}
BENCHMARK(lookup)->Apply(sizes);

void lookup_prefetched(benchmark::State& state) {
  const Stations s(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) s.fdb.prefetch(1, s.met[at + i]);
    for (size_t i = 0; i < kBurst; ++i) benchmark::DoNotOptimize(s.fdb.lookup(1, s.met[at + i], kNow));
    at = at + kBurst == s.met.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}
BENCHMARK(lookup_prefetched)->Apply(sizes);

void learn_known(benchmark::State& state) {
  Stations s(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) s.fdb.learn(1, s.met[at + i], 1, kNow);
    at = at + kBurst == s.met.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}
BENCHMARK(learn_known)->Apply(sizes);

/// Both, of unrelated addresses: what a switched frame costs.
void learn_and_lookup(benchmark::State& state) {
  Stations s(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    const size_t other = s.met.size() - kBurst - at;
    for (size_t i = 0; i < kBurst; ++i) {
      s.fdb.prefetch(1, s.met[at + i]);
      s.fdb.prefetch(1, s.met[other + i]);
    }
    for (size_t i = 0; i < kBurst; ++i) {
      s.fdb.learn(1, s.met[at + i], 1, kNow);
      benchmark::DoNotOptimize(s.fdb.lookup(1, s.met[other + i], kNow));
    }
    at = at + kBurst == s.met.size() ? 0 : at + kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}
BENCHMARK(learn_and_lookup)->Apply(sizes);

/// A port that sends from ever new addresses, over its share: the slow path at its slowest.
void learn_storm(benchmark::State& state) {
  Fdb fdb({.per_port = static_cast<uint32_t>(state.range(0)), .seed = 1});
  fdb.add_port(1);
  uint64_t n = 0;
  const auto next = [&n] { return MacAddress::from_u64(0x020000000000 | (++n & 0xffffffffff)); };
  for (int64_t i = 0; i < state.range(0); ++i) fdb.learn(1, next(), 1, kNow);
  for (auto _ : state) fdb.learn(1, next(), 1, kNow);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(learn_storm)->Arg(1'000)->Arg(1'000'000);

}  // namespace

BENCHMARK_MAIN();
