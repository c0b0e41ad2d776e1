// SPDX-License-Identifier: BSD-3-Clause
//
// Weft's vhost-user ports with nothing between them: two sockets, one worker thread that passes each guest's frames to
// the other. What a switch costs is what it takes longer than this; and any front end can be tried against it.
//
//   vhost-pair SOCKET SOCKET [--cpu N] [--client] [--queues N]
// Prints `ready` when the sockets are there; ends on SIGTERM or SIGINT with one line of counters.
#include "dataplane/rcu.h"
#include "dataplane/vhost/port.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include <sched.h>

namespace {

using namespace weft::dataplane;
using vhost::VhostUserPort;

struct Counts {
  uint64_t received = 0, sent = 0, dropped = 0;
};

/// Passes one burst on.
void turn(VhostUserPort& from, VhostUserPort& to, uint16_t queue, Burst& burst, Counts& counts) noexcept {
  burst.clear();
  from.rx(queue, burst);
  std::array<Packet*, kBurst> alive;
  size_t n = 0;
  for (Packet& p : burst) {
    if (p.drop == Drop::none) alive[n++] = &p;
  }
  if (n != 0) to.tx(queue, {alive.data(), n});
  for (const Packet& p : burst) ++(p.drop == Drop::none ? counts.sent : counts.dropped);
  counts.received += burst.size();
  from.rx_done(queue);
}

int run(int argc, char** argv) {
  std::vector<std::string> sockets;
  int cpu = -1;
  vhost::PortConfig config;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--cpu") == 0 && i + 1 < argc)
      cpu = std::atoi(argv[++i]);
    else if (std::strcmp(argv[i], "--queues") == 0 && i + 1 < argc)
      config.queues = static_cast<uint16_t>(std::atoi(argv[++i]));
    else if (std::strcmp(argv[i], "--client") == 0)
      config.socket.mode = vhost::SocketMode::client;
    else
      sockets.emplace_back(argv[i]);
  }
  if (sockets.size() != 2) {
    std::fputs("usage: vhost-pair SOCKET SOCKET [--cpu N] [--client] [--queues N]\n", stderr);
    return 2;
  }
  boost::asio::io_context io;
  Rcu rcu(1);
  std::vector<std::unique_ptr<VhostUserPort>> ports;
  for (const std::string& socket : sockets) {
    config.socket.path = socket;
    ports.push_back(std::make_unique<VhostUserPort>(socket, config, vhost::PortCallbacks{}, io, rcu));
  }
  std::atomic<bool> is_stopping{false};
  Counts counts;
  std::thread worker([&] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpu < 0 ? 0 : cpu), &set);
    if (cpu >= 0 && sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity");
    Burst burst;
    rcu.online(0);
    while (!is_stopping.load(std::memory_order_relaxed)) {
      for (uint16_t q = 0; q < config.queues; ++q) {
        turn(*ports[0], *ports[1], q, burst, counts);
        turn(*ports[1], *ports[0], q, burst, counts);
      }
      rcu.quiescent(0);
    }
    rcu.offline(0);
  });
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
  std::puts("ready");
  std::fflush(stdout);
  io.run();
  is_stopping = true;
  worker.join();
  ports.clear();
  fmt::print("received {} sent {} dropped {}\n", counts.received, counts.sent, counts.dropped);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "vhost-pair: %s\n", e.what());
    return 1;
  }
}
