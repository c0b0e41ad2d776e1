// SPDX-License-Identifier: BSD-3-Clause
//
// The whole switch without weftd, and null guests around it: an engine with one worker's thread and a control thread,
// vhost-user ports on real sockets, networks without gateway or services. What tests of guests that misbehave, delay
// or sleep are made of.
#pragma once

#include "bench/null_guest.h"
#include "dataplane/vhost/port.h"
#include "switch/engine.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace weft::vswitch::test {

using bench::NullGuest;
using bench::NullGuestOptions;
using Bytes = std::vector<uint8_t>;

/// Whether the long form of storms and hunts was asked for (WEFT_LONG), and whether sanitizers slow everything down.
[[nodiscard]] bool is_long_run();
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kIsSanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool kIsSanitized = false;
#endif

/// The seed of everything random in a test: WEFT_SEED, or a number of its own; printed.
[[nodiscard]] uint64_t test_seed();

/// Random numbers, fast: splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t operator()() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 … limit - 1; limit ≥ 1.
  uint64_t below(uint64_t limit) { return ((*this)() >> 32) * limit >> 32; }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <class T, size_t N>
  T pick(const T (&from)[N]) {
    return from[below(N)];
  }

 private:
  uint64_t state_;
};

/// The CPU for the worker and the one for the guests; nothing when there is only one CPU.
[[nodiscard]] std::optional<std::pair<int, int>> two_cpus();
void pin_this_thread(int cpu);

/// Waits without sleeping; false after twenty seconds.
template <class Condition>
bool wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

[[nodiscard]] wire::MacAddress mac_of(PortId port);
/// A frame between two ports of a local experimental type: `number` in its first bytes, a pattern made from it behind.
[[nodiscard]] Bytes numbered_frame(PortId to, PortId from, uint64_t number, size_t size);
/// The number of such a frame; nullopt when any byte of it is not as it was made.
[[nodiscard]] std::optional<uint64_t> number_of(const Bytes& frame, PortId to, PortId from);

class GuestLab {
 public:
  struct Options {
    bool sleeps_when_idle = true;
    std::optional<int> worker_cpu;
  };
  explicit GuestLab(const Options& options);
  ~GuestLab();
  GuestLab(const GuestLab&) = delete;
  GuestLab& operator=(const GuestLab&) = delete;

  /// A port in `network`; ids count from 0.
  PortId add_port(NetworkId network, uint16_t queues = 1);
  /// Any other port, which the lab then owns.
  PortId add_port(NetworkId network, std::unique_ptr<dataplane::Port> port);
  /// Shows the worker all ports there are.
  void publish();
  void start() { engine_->start(); }

  [[nodiscard]] std::string path(PortId port) const;
  dataplane::vhost::VhostUserPort& port(PortId id) {
    return dynamic_cast<dataplane::vhost::VhostUserPort&>(*ports_.at(id).port);
  }
  /// A guest on that port, that has shaken hands.
  std::unique_ptr<NullGuest> join(PortId id, NullGuestOptions options = {});
  Engine& engine() { return *engine_; }

  /// Runs `f` on the control thread and waits for its end.
  template <class F>
  auto on_control(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }
  [[nodiscard]] dataplane::PortTotals totals_of(PortId id) {
    return on_control([&] { return engine_->totals_of(id); });
  }
  /// 0 as soon as every packet is accounted for.
  [[nodiscard]] int64_t imbalance() {
    return on_control([&] { return engine_->totals().imbalance(); });
  }

 private:
  struct Entry {
    std::unique_ptr<dataplane::Port> port;
    NetworkId network;
  };
  std::filesystem::path directory_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::unique_ptr<Engine> engine_;
  std::map<PortId, Entry> ports_;
  std::thread control_;
};

}  // namespace weft::vswitch::test
