// SPDX-License-Identifier: BSD-3-Clause
//
// The router's tables and the rate limits, one look-up at a time, in random order: routes by how many there are,
// neighbours by how many are known, buckets by whether they have a token. (The fdb and the connections have programs of
// their own.)
#include "switch/fib.h"
#include "switch/neighbours.h"
#include "switch/rate_limit.h"

#include <random>
#include <vector>

#include <benchmark/benchmark.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;
using wire::Ipv4Prefix;

constexpr size_t kLookups = 4096;

void fib_lookup(benchmark::State& state) {
  std::mt19937 random(1);
  std::vector<Route> routes{{.prefix = {Ipv4Address(0u), 0}, .next_hop = Ipv4Address(203, 0, 113, 1), .interface = 0}};
  for (int64_t i = 1; i < state.range(0); ++i) {
    const auto length = static_cast<uint8_t>(8 + random() % 25);
    routes.push_back({.prefix = {Ipv4Address(static_cast<uint32_t>(random())), length}, .interface = 1});
  }
  const Fib fib(routes);
  std::vector<Ipv4Address> wanted;
  for (size_t i = 0; i < kLookups; ++i) wanted.emplace_back(static_cast<uint32_t>(random()));
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(fib.lookup(wanted[i++ % kLookups]));
}
BENCHMARK(fib_lookup)->ArgName("routes")->Arg(2)->Arg(50)->Arg(1'000)->Arg(100'000);

/// Nothing of it happens here: all are known.
class NoSink final : public NeighbourSink {
 public:
  void send_request(const NeighbourRequest&) noexcept override {}
  void release(HeldPacket, InterfaceId, const wire::MacAddress&) noexcept override {}
  void drop(HeldPacket, InterfaceId, dataplane::Drop) noexcept override {}
};

void neighbour_known(benchmark::State& state) {
  constexpr uint64_t kNow = 1'000'000'000;
  NoSink sink;
  Neighbours neighbours({.seed = 1});
  std::mt19937 random(2);
  const auto n = static_cast<uint32_t>(state.range(0));
  for (uint32_t i = 0; i < n; ++i)
    neighbours.learned(0, Ipv4Address(0x0a000000 + i), wire::MacAddress::from_u64(0x020000000000 + i),
                       Neighbours::Evidence::question, kNow, sink);
  for (uint32_t i = 0; i < n; ++i)
    neighbours.learned(0, Ipv4Address(0x0a000000 + i), wire::MacAddress::from_u64(0x020000000000 + i),
                       Neighbours::Evidence::answer, kNow, sink);
  std::vector<Ipv4Address> wanted;
  for (size_t i = 0; i < kLookups; ++i) wanted.emplace_back(static_cast<uint32_t>(0x0a000000 + random() % n));
  size_t i = 0;
  for (auto _ : state) {
    const auto r = neighbours.resolve(0, wanted[i++ % kLookups], 1, kNow, sink);
    if (r.verdict != Neighbours::Verdict::known) state.SkipWithError("a neighbour is not known");
    benchmark::DoNotOptimize(r);
  }
}
BENCHMARK(neighbour_known)->ArgName("neighbours")->Arg(1)->Arg(250)->Arg(16'000);

/// `range(0)`: whether the bucket has tokens.
void bucket_take(benchmark::State& state) {
  const bool has_tokens = state.range(0) != 0;
  TokenBucket bucket(1'000'000, 1000);
  uint64_t now = 1'000'000'000;
  while (!has_tokens && bucket.take(now)) {
  }
  for (auto _ : state) {
    if (has_tokens) now += 2'000;
    benchmark::DoNotOptimize(bucket.take(now));
  }
}
BENCHMARK(bucket_take)->ArgName("has_tokens")->Arg(1)->Arg(0);

void bucket_take_burst(benchmark::State& state) {
  TokenBucket bucket(1'000'000, 1000);
  uint64_t now = 1'000'000'000;
  for (auto _ : state) benchmark::DoNotOptimize(bucket.take(now += 20'000, 32));
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(bucket_take_burst);

void icmp_error_limit(benchmark::State& state) {
  IcmpErrorLimit limit({.seed = 1});
  uint64_t now = 1'000'000'000;
  uint32_t to = 0;
  for (auto _ : state) benchmark::DoNotOptimize(limit.take(Ipv4Address(0x0a000000 + (to++ & 0xffff)), now += 1'000));
}
BENCHMARK(icmp_error_limit);

}  // namespace
}  // namespace weft::vswitch

BENCHMARK_MAIN();
