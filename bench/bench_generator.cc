// SPDX-License-Identifier: BSD-3-Clause
//
// What the generator itself costs: one thread plays two of its stations and, between them, the switch without any
// switching. `cycles` counts the generator's part alone, per frame sent and received, in TSC ticks. What it costs more
// than the switch under test it cannot show of it.
#include "bench/generator/station.h"
#include "bench/generator/tsc.h"
#include "dataplane/rcu.h"
#include "dataplane/vhost/port.h"

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include <benchmark/benchmark.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <unistd.h>

namespace weft::bench {
namespace {

using dataplane::Burst;
using dataplane::Packet;
using dataplane::vhost::VhostUserPort;

/// What a station does with each frame, as `weft bench`'s options ask for it.
enum Work : int { plain, rewriting, patching, checking };

/// One port and its guest.
class Seat {
 public:
  Seat(const std::string& path, boost::asio::io_context& io, dataplane::Rcu& rcu) : path_(path) {
    dataplane::vhost::PortConfig config;
    config.socket.path = path;
    port = std::make_unique<VhostUserPort>(path, config, dataplane::vhost::PortCallbacks{}, io, rcu);
  }
  void join(unsigned number, Work work, bool is_packed) {
    NullGuestOptions o;
    o.path = path_;
    o.can_kick = o.wants_calls = false;
    o.is_packed = is_packed;
    guest_ = std::make_unique<NullGuest>(o);
    Load load;
    load.ends = {mac_of(number, 0), mac_of(1 - number, 0), wire::Ipv4Address(198, 18, 0, 1),
                 wire::Ipv4Address(198, 18, 1, 1)};
    load.n_flows = work == patching ? 100'000 : 256;
    load.n_macs = work == patching ? 100'000 : 1;
    load.rewrites = work == rewriting;
    load.stamps = work == checking;
    station = std::make_unique<Station>(*guest_, load, Limits{});
    guest_->connect();
    guest_->handshake();
  }
  std::unique_ptr<VhostUserPort> port;
  std::unique_ptr<Station> station;

 private:
  std::string path_;
  std::unique_ptr<NullGuest> guest_;
};

void pass(VhostUserPort& from, VhostUserPort& to, Burst& burst) {
  burst.clear();
  from.rx(0, burst);
  std::array<Packet*, dataplane::kBurst> packets;
  for (uint16_t i = 0; i < burst.size(); ++i) packets[i] = &burst[i];
  to.tx(0, {packets.data(), burst.size()});
  from.rx_done(0);
}

void generate(benchmark::State& state) {
  const auto folder = std::filesystem::temp_directory_path() / ("bench-generator-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  boost::asio::io_context io;
  const auto work_guard = boost::asio::make_work_guard(io);
  dataplane::Rcu rcu(1);
  {
    Seat a(folder / "a", io, rcu), b(folder / "b", io, rcu);
    std::thread control([&io] { io.run(); });
    const auto work = static_cast<Work>(state.range(0));
    a.join(0, work, state.range(1) != 0);
    b.join(1, work, state.range(1) != 0);
    a.station->expect_from(*b.station);
    b.station->expect_from(*a.station);
    Burst burst;
    uint64_t cycles = 0;
    for (auto _ : state) {
      uint64_t start = ticks();
      a.station->send(start);
      b.station->send(start);
      cycles += ticks() - start;
      pass(*a.port, *b.port, burst);
      pass(*b.port, *a.port, burst);
      start = ticks();
      a.station->receive();
      b.station->receive();
      cycles += ticks() - start;
    }
    const auto frames = static_cast<double>(a.station->counts().received + b.station->counts().received);
    state.SetItemsProcessed(static_cast<int64_t>(frames));
    state.counters["cycles"] = static_cast<double>(cycles) / frames;
    io.stop();
    control.join();
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(generate)->ArgNames({"work", "packed"})->ArgsProduct({{plain, rewriting, patching, checking}, {0, 1}});

}  // namespace
}  // namespace weft::bench

BENCHMARK_MAIN();
