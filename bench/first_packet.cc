// SPDX-License-Identifier: BSD-3-Clause
//
// The first packet after a silence: two guests that sleep, a switch that sleeps, and the time from the first guest's
// decision to send until the second one has been woken and has the frame. Beside it, in turn, what two threads need
// that wake each other by two eventfds, which is the same number of wake-ups without a switch. Prints one JSON line.
//
//   first-packet --socket A --socket B [--socket MORE …] [--packets 2000] [--gap-us 2000] [--rounds 10]
//                [--cpu N] [--peer-cpu N] [--hold]
//
// Further sockets get guests that are connected and silent. --hold: all are silent; prints `holding` and stays until
// its input ends.
#include "bench/null_guest.h"
#include "bench/ring_talk.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <boost/program_options.hpp>
#include <fmt/format.h>

#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

namespace {

namespace options = boost::program_options;
using weft::bench::NullGuest;
using weft::bench::NullGuestOptions;
using weft::dataplane::UniqueFd;
using Clock = std::chrono::steady_clock;
using Times = std::vector<uint64_t>;

constexpr int kPatienceMs = 5000;

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity");
}

uint64_t ns_since(Clock::time_point start) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
}

uint64_t percentile(Times times, size_t percent) {
  std::sort(times.begin(), times.end());
  return times[std::min(times.size() - 1, times.size() * percent / 100)];
}

void write_one(int fd) {
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0) throw std::runtime_error("eventfd");
}

void wait_for(int fd) {
  pollfd p{fd, POLLIN, 0};
  if (poll(&p, 1, kPatienceMs) != 1) throw std::runtime_error("nobody woke this guest within 5 s");
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0) throw std::runtime_error("eventfd");
}

/// A thread that sleeps as a worker does, and answers.
class PingPong {
 public:
  explicit PingPong(int cpu) : ask_(eventfd(0, EFD_NONBLOCK)), answer_(eventfd(0, EFD_NONBLOCK)) {
    thread_ = std::thread([this, cpu] {
      if (cpu >= 0) pin(cpu);
      const UniqueFd epoll(epoll_create1(0));
      epoll_event event{};
      event.events = EPOLLIN | EPOLLET;
      epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ask_.get(), &event);
      while (epoll_wait(epoll.get(), &event, 1, -1) == 1 && !stopping_) write_one(answer_.get());
    });
  }
  ~PingPong() {
    stopping_ = true;
    write_one(ask_.get());
    thread_.join();
  }
  uint64_t once() {
    const auto start = Clock::now();
    write_one(ask_.get());
    wait_for(answer_.get());
    return ns_since(start);
  }

 private:
  UniqueFd ask_, answer_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

std::vector<uint8_t> make_frame(size_t to, size_t from) {
  std::vector<uint8_t> frame(60);
  const auto put_mac = [&](size_t at, size_t guest) {
    const uint8_t mac[] = {2, 0, 0, 0, static_cast<uint8_t>(guest >> 8), static_cast<uint8_t>(guest)};
    std::memcpy(frame.data() + at, mac, sizeof mac);
  };
  put_mac(0, to);
  put_mac(6, from);
  frame[12] = 0x88;
  frame[13] = 0xb5;  // IEEE 802 local experimental
  return frame;
}

/// One frame from `a` to `b`, both rings' event index in use. `was_awake`: the switch wanted no kick.
uint64_t pass(NullGuest& a, NullGuest& b, bool& was_awake) {
  NullGuest::Ring& r = b.ring(0);
  (void)b.take_calls(0);
  weft::bench::ask_for_call(r, true);
  const auto start = Clock::now();
  a.poll_send(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  was_awake = !weft::bench::wants_kick(a.ring(1), true);
  if (!was_awake) a.kick(1);
  while (!r.has_used()) wait_for(r.call.get());
  const uint64_t time = ns_since(start);
  b.poll_receive(1);
  return time;
}

std::vector<std::unique_ptr<NullGuest>> join_all(const std::vector<std::string>& sockets) {
  std::vector<std::unique_ptr<NullGuest>> guests;
  for (size_t i = 0; i < sockets.size(); ++i) {
    NullGuestOptions o;
    o.path = sockets[i];
    guests.push_back(std::make_unique<NullGuest>(o));
    guests.back()->connect(20000);
    guests.back()->handshake();
    guests.back()->lay_out(std::vector<std::vector<uint8_t>>{make_frame(i ^ 1, i)});
  }
  // Every one has said something once.
  for (auto& g : guests) {
    g->poll_send(1);
    g->kick(1);
  }
  return guests;
}

int run(const options::variables_map& o) {
  const auto sockets = o["socket"].as<std::vector<std::string>>();
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  auto guests = join_all(sockets);
  if (o.count("hold") != 0) {
    std::puts("holding");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return 0;
  }
  if (sockets.size() < 2) throw std::invalid_argument("--socket: two are needed");
  if (o.count("cpu") != 0) pin(o["cpu"].as<int>());
  const std::chrono::microseconds gap(o["gap-us"].as<unsigned>());
  const auto rounds = o["rounds"].as<unsigned>(), packets = o["packets"].as<unsigned>();
  PingPong ping_pong(o.count("peer-cpu") != 0 ? o["peer-cpu"].as<int>() : -1);
  Times through, beside;
  unsigned n_awake = 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (auto& g : guests) g->poll_receive(256);  // what was flooded before all were known
  for (unsigned round = 0; round < rounds; ++round) {
    for (unsigned i = 0; i < packets / rounds; ++i) {
      std::this_thread::sleep_for(gap);
      bool was_awake;
      through.push_back(pass(*guests[i % 2], *guests[1 - i % 2], was_awake));
      if (was_awake) ++n_awake;
    }
    for (unsigned i = 0; i < packets / rounds; ++i) {
      std::this_thread::sleep_for(gap);
      beside.push_back(ping_pong.once());
    }
  }
  const auto p99 = percentile(through, 99), p99_beside = percentile(beside, 99);
  fmt::print(
      "{{\"packets\":{},\"guests\":{},\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"eventfd_p50_us\":{:.1f},"
      "\"eventfd_p99_us\":{:.1f},\"ratio_p50\":{:.2f},\"ratio_p99\":{:.2f},\"awake\":{}}}\n",
      through.size(), guests.size(), static_cast<double>(percentile(through, 50)) / 1e3, static_cast<double>(p99) / 1e3,
      static_cast<double>(percentile(beside, 50)) / 1e3, static_cast<double>(p99_beside) / 1e3,
      static_cast<double>(percentile(through, 50)) / static_cast<double>(percentile(beside, 50)),
      static_cast<double>(p99) / static_cast<double>(p99_beside), n_awake);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  options::options_description description("first-packet: the first packet after a silence, between sleeping guests");
  description.add_options()("socket", options::value<std::vector<std::string>>(), "vhost-user socket; at least twice")(
      "packets", options::value<unsigned>()->default_value(2000), "of each kind")(
      "gap-us", options::value<unsigned>()->default_value(2000), "silence before each, in microseconds")(
      "rounds", options::value<unsigned>()->default_value(10), "the two kinds take turns so often")(
      "cpu", options::value<int>(), "of the guests")("peer-cpu", options::value<int>(),
                                                     "of the other thread; the worker's, for a fair comparison")(
      "hold", "connect, say something once, and wait for the end of input")("help", "this text");
  try {
    options::variables_map o;
    options::store(options::parse_command_line(argc, argv, description), o);
    options::notify(o);
    if (o.count("help") != 0 || o.count("socket") == 0) {
      const std::string text = (std::ostringstream() << description).str();
      std::fputs(text.c_str(), stdout);
      return o.count("help") != 0 ? 0 : 2;
    }
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "first-packet: %s\n", e.what());
    return 1;
  }
}
