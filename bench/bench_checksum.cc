// SPDX-License-Identifier: BSD-3-Clause
//
// The Internet checksum over frames of several sizes, at even and odd offsets, and its incremental update.
#include "dataplane/wire/checksum.h"

#include <vector>

#include <benchmark/benchmark.h>

namespace weft::wire {
namespace {

void sum(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> bytes(n, 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes.data());
    benchmark::DoNotOptimize(checksum(bytes.data(), n));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(sum)->Arg(20)->Arg(64)->Arg(512)->Arg(1460)->Arg(9000)->Arg(65535);

void sum_at_odd_offset(benchmark::State& state) {
  const auto n = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> bytes(n, 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes.data());
    ChecksumSum s;
    s.add_at(1, bytes.data(), n);
    benchmark::DoNotOptimize(s.checksum());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(sum_at_odd_offset)->Arg(1460);

void apply_delta(benchmark::State& state) {
  ChecksumDelta d;
  d.replace(Ipv4Address(192, 168, 122, 10), Ipv4Address(203, 0, 113, 2));
  const uint16_t delta = d.folded();
  be16 field(0x1234);
  for (auto _ : state) benchmark::DoNotOptimize(field = checksum_apply(field, delta));
}
BENCHMARK(apply_delta);

}  // namespace
}  // namespace weft::wire

BENCHMARK_MAIN();
