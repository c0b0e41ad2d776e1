// SPDX-License-Identifier: BSD-3-Clause
//
// The first frame after a pause: the sender kicks, the switch wakes, the receiver is interrupted. Beside it, in turn,
// two eventfds and a thread that waits in epoll where the switch's worker would be: what the kernel itself takes to
// wake two. Also `hold`: guests that are there and do nothing.
#include "bench/generator/modes.h"
#include "bench/generator/tsc.h"
#include "dataplane/unique_fd.h"

#include <atomic>
#include <cstdio>
#include <random>
#include <thread>

#include <fmt/format.h>

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace weft::bench {
namespace {

using dataplane::UniqueFd;

void signal(int fd) {
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) != sizeof one) throw Failure(kExitFailed, "an eventfd cannot be written");
}

/// Sleeps until the eventfd is written, and clears it; false: nothing for a second.
bool wait_for(int fd) {
  pollfd p{fd, POLLIN, 0};
  if (poll(&p, 1, 1000) <= 0) return false;
  uint64_t n;
  return read(fd, &n, sizeof n) == sizeof n;
}

/// Answers each write to `ping` with one to `pong`.
class PingPong {
 public:
  explicit PingPong(std::optional<int> cpu) : ping_(eventfd(0, EFD_NONBLOCK)), pong_(eventfd(0, EFD_NONBLOCK)) {
    thread_ = std::thread([this] { answer(); });
    if (!cpu) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(*cpu), &set);
    pthread_setaffinity_np(thread_.native_handle(), sizeof set, &set);
  }
  ~PingPong() {
    stopping_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const auto n = write(ping_.get(), &one, sizeof one);
    thread_.join();
  }
  /// Ticks there and back.
  uint64_t once() {
    const uint64_t start = ticks();
    signal(ping_.get());
    if (!wait_for(pong_.get())) throw Failure(kExitFailed, "the ping-pong of eventfds has stopped");
    return ticks() - start;
  }

 private:
  void answer() {
    UniqueFd epoll(epoll_create1(0));
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ping_.get(), &event);
    while (!stopping_) {
      if (epoll_wait(epoll.get(), &event, 1, -1) != 1) continue;
      uint64_t n;
      if (read(ping_.get(), &n, sizeof n) == sizeof n) signal(pong_.get());
    }
  }
  UniqueFd ping_, pong_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// Ticks from the kick until the receiver, woken, has the frame; nullopt: it never came.
std::optional<uint64_t> frame_once(Crew& crew) {
  Station& to = crew.station(1);
  const int call = crew.guest(1).ring(0).call.get();
  const uint64_t received = to.counts().received;
  crew.guest(1).take_calls(0);
  const uint64_t start = ticks();
  crew.station(0).send(start);
  crew.guest(0).kick(1);
  while (to.counts().received == received) {
    if (!wait_for(call)) return std::nullopt;
    to.receive();
  }
  return ticks() - start;
}

void pause(double mean_ms, std::mt19937& random) {
  std::uniform_real_distribution<double> gap(0.5 * mean_ms, 1.5 * mean_ms);
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(gap(random)));
}

}  // namespace

Report measure_wake(const Options& given) {
  Options o = given;
  o.burst = 1;
  Crew crew(o, Crew::Signals::interrupted);
  for (unsigned i = 0; i < 2; ++i) crew.add_station(i, switching_load(o, i));
  crew.connect();
  // Both speak once, so that nothing is flooded later.
  for (unsigned i : {1u, 0u}) {
    crew.station(i).send(ticks());
    crew.guest(i).kick(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  for (unsigned i : {0u, 1u}) crew.station(i).receive();

  PingPong ping_pong(o.switch_cpu);
  Histogram frames, eventfds;
  uint64_t n_lost = 0;
  std::mt19937 random(1);
  const uint64_t end = ticks() + static_cast<uint64_t>(o.seconds * crew.ticks_per_second());
  while (ticks() < end) {
    pause(o.gap_ms, random);
    if (const auto took = frame_once(crew))
      frames.record(*took);
    else
      ++n_lost;
    pause(o.gap_ms, random);
    eventfds.record(ping_pong.once());
  }
  crew.check_connected();
  if (frames.total() == 0) throw Failure(kExitFailed, "no frame came through the switch");
  Report r = begin_report(o);
  const double hz = crew.ticks_per_second();
  add_latency(r, "frame", "frame-ns", frames, hz, /*has_buckets=*/true);
  add_latency(r, "eventfds", "eventfd-ns", eventfds, hz, /*has_buckets=*/true);
  const double ratio = static_cast<double>(frames.percentile(0.99)) /
                       static_cast<double>(std::max<uint64_t>(1, eventfds.percentile(0.99)));
  r.json["lost"] = n_lost;
  r.json["p99-ratio"] = ratio;
  r.text +=
      fmt::format("  {:<12} p99 {:.2f} × that of the eventfds; {} frames never woke anybody\n", "ratio", ratio, n_lost);
  return r;
}

Report hold(const Options& o) {
  Crew crew(o, Crew::Signals::interrupted);
  crew.connect();
  std::puts("ready");
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::duration<double>(o.seconds));
  crew.check_connected();
  Report r;
  r.json = {{"mode", "hold"}, {"guests", o.sockets.size()}};
  r.text = fmt::format("{} guests were held for {} s\n", o.sockets.size(), o.seconds);
  return r;
}

}  // namespace weft::bench
