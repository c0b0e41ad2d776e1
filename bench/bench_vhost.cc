// SPDX-License-Identifier: BSD-3-Clause
//
// What the rings cost: one thread plays two null guests and, between them, the switch without any switching: receive
// from one port, send to the other. `cycles` counts the switch's part alone, per frame, in TSC ticks.
#include "bench/null_guest.h"
#include "dataplane/rcu.h"
#include "dataplane/vhost/port.h"

#include <filesystem>
#include <thread>

#include <benchmark/benchmark.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <x86intrin.h>

namespace {

using namespace weft::dataplane;
using vhost::PortConfig;
using vhost::VhostUserPort;
using weft::bench::NullGuest;
using weft::bench::NullGuestOptions;

/// Bits of an argument: what rings the guests have.
constexpr int64_t kPacked = 1, kInOrder = 2;

/// Two ports with a guest each, ready to run; the control thread has nothing left to do but is there.
class TwoGuests {
 public:
  TwoGuests(size_t frame_size, bool rewrites, int64_t rings = 0)
      : directory_(std::filesystem::temp_directory_path() / ("bench-vhost-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
    PortConfig config_a, config_b;
    config_a.socket.path = directory_ / "a";
    config_b.socket.path = directory_ / "b";
    a = std::make_unique<VhostUserPort>("a", config_a, vhost::PortCallbacks{}, io_, rcu_);
    b = std::make_unique<VhostUserPort>("b", config_b, vhost::PortCallbacks{}, io_, rcu_);
    control_ = std::thread([this] { io_.run(); });
    guest_a = join(config_a.socket.path, frame_size, rewrites, rings);
    guest_b = join(config_b.socket.path, frame_size, rewrites, rings);
  }
  ~TwoGuests() {
    work_.reset();
    io_.stop();
    control_.join();
    a.reset();
    b.reset();
    std::filesystem::remove_all(directory_);
  }
  std::unique_ptr<VhostUserPort> a, b;
  std::unique_ptr<NullGuest> guest_a, guest_b;

 private:
  static std::unique_ptr<NullGuest> join(const std::string& path, size_t frame_size, bool rewrites, int64_t rings) {
    NullGuestOptions options;
    options.is_packed = (rings & kPacked) != 0;
    options.is_in_order = (rings & kInOrder) != 0;
    options.path = path;
    options.wants_calls = false;
    const size_t buffer = frame_size <= 1600 ? 2048 : frame_size + 64;
    options.send_buffer = options.receive_buffer = static_cast<uint32_t>(buffer);
    auto guest = std::make_unique<NullGuest>(options);
    guest->connect();
    guest->handshake();
    std::vector<uint8_t> frame(frame_size, 0x5a);
    frame[12] = 0x88;
    frame[13] = 0xb5;
    guest->lay_out({&frame, 1});
    guest->set_rewriting(rewrites);
    return guest;
  }
  std::filesystem::path directory_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  Rcu rcu_{1};
  std::thread control_;
};

/// One burst from `from` to `to`; how many were sent.
size_t turn(VhostUserPort& from, VhostUserPort& to, Burst& burst) {
  burst.clear();
  from.rx(0, burst);
  std::array<Packet*, kBurst> packets;
  for (uint16_t i = 0; i < burst.size(); ++i) packets[i] = &burst[i];
  to.tx(0, {packets.data(), burst.size()});
  from.rx_done(0);
  return burst.size();
}

/// Arguments: frame size, whether guests write every frame anew, frames a burst, what rings.
void forward(benchmark::State& state) {
  TwoGuests setup(static_cast<size_t>(state.range(0)), state.range(1) != 0, state.range(3));
  const auto n = static_cast<uint16_t>(state.range(2));
  Burst burst;
  uint64_t cycles = 0, frames = 0;
  for (auto _ : state) {
    setup.guest_a->poll_send(n);
    setup.guest_b->poll_send(n);
    const uint64_t start = __rdtsc();
    frames += turn(*setup.a, *setup.b, burst);
    frames += turn(*setup.b, *setup.a, burst);
    cycles += __rdtsc() - start;
    setup.guest_a->poll_receive(n);
    setup.guest_b->poll_receive(n);
  }
  state.SetItemsProcessed(static_cast<int64_t>(frames));
  state.counters["cycles"] = static_cast<double>(cycles) / static_cast<double>(frames);
}
BENCHMARK(forward)
    ->ArgNames({"size", "rewrites", "burst", "rings"})
    ->ArgsProduct({{64, 512, 1518}, {0, 1}, {32}, {0, kPacked, kInOrder, kPacked | kInOrder}})
    ->ArgsProduct({{64}, {0}, {1, 4}, {0, kPacked}})
    ->ArgsProduct({{32768}, {0}, {32}, {0, kPacked}});

/// An empty turn: what polling a quiet port costs.
void poll_empty(benchmark::State& state) {
  TwoGuests setup(64, false, state.range(0));
  Burst burst;
  for (auto _ : state) {
    burst.clear();
    setup.a->rx(0, burst);
    benchmark::DoNotOptimize(burst);
    setup.a->rx_done(0);
  }
}
BENCHMARK(poll_empty)->ArgName("rings")->Arg(0)->Arg(kPacked);

}  // namespace

BENCHMARK_MAIN();
