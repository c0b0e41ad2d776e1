// SPDX-License-Identifier: BSD-3-Clause
//
// The switch's process ends by SIGKILL at any moment, again and again, while a guest sends and receives; the next one
// goes on. Nothing is lost, nothing but one burst comes twice, no ring gets stuck.
#include "tests/unit/dataplane/vhost/harness.h"

#include <csignal>

#include <sys/prctl.h>
#include <sys/wait.h>

namespace weft::dataplane::vhost::test {
namespace {

using Clock = std::chrono::steady_clock;

/// A process with one port, which sends every frame back.
class EchoProcess {
 public:
  EchoProcess(std::string socket, std::string positions)
      : socket_(std::move(socket)), positions_(std::move(positions)) {}
  ~EchoProcess() { kill_it(); }
  void start() {
    pid_ = fork();
    if (pid_ == 0) run();
    if (pid_ < 0) throw std::runtime_error("fork");
  }
  void kill_it() noexcept {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  [[noreturn]] void run() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    boost::asio::io_context io;
    Rcu rcu(1);
    TestEvents events;
    PortConfig config;
    config.socket.path = socket_;
    config.positions = positions_;
    VhostUserPort port("echo", config, {}, io, rcu);
    port.attach(1, 0, events);
    std::thread control([&] { io.run(); });
    Burst burst;
    rcu.online(0);
    for (;;) {
      burst.clear();
      port.rx(0, burst);
      std::array<Packet*, kBurst> packets;
      size_t n = 0;
      for (Packet& p : burst) packets[n++] = &p;
      if (n != 0) port.tx(0, {packets.data(), n});
      port.rx_done(0);
      rcu.quiescent(0);
    }
  }
  const std::string socket_, positions_;
  pid_t pid_ = -1;
};

class VhostKill : public ::testing::TestWithParam<RingKind> {};
INSTANTIATE_TEST_SUITE_P(Rings, VhostKill, ::testing::ValuesIn(kRingKinds), name_of);

TEST_P(VhostKill, EverythingComesAndAtMostABurstTwice) {
  const auto folder = std::filesystem::temp_directory_path() / ("weft-kill-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  EchoProcess echo(folder / "vm.sock", folder / "vm.rings");
  NullGuestOptions options;
  options.path = folder / "vm.sock";
  options.is_packed = GetParam().is_packed;
  options.is_in_order = GetParam().is_in_order;
  options.send_ring_size = 64;
  options.ring_size = 256;  // always room for all that is on its way, twice
  options.can_kick = options.wants_calls = false;
  NullGuest guest(options);
  std::mt19937 rng(11);

  uint32_t sent = 0, next = 0, again = 0;  // again: of what came before, since the last start
  const auto exchange = [&](bool sends) {
    Bytes frame = make_frame(200);
    while (sends && sent - next < 100) {
      std::memcpy(frame.data() + 60, &sent, sizeof sent);
      NullGuest::SendOptions plain;
      plain.kicks = false;
      if (!guest.send(frame, plain)) break;
      ++sent;
    }
    for (const auto& r : guest.receive()) {
      uint32_t number;
      ASSERT_EQ(r.frame.size(), frame.size());
      std::memcpy(&number, r.frame.data() + 60, sizeof number);
      if (number == next) {
        ++next;
        continue;
      }
      ASSERT_LT(number, next) << "lost";
      ASSERT_GE(number + kBurst, next);
      ASSERT_LE(++again, kBurst) << "more than a burst came twice";
    }
  };

  const int n_kills = std::getenv("WEFT_LONG") != nullptr ? 1000 : 40;
  for (int i = 0; i < n_kills && !HasFatalFailure(); ++i) {
    echo.start();
    guest.connect();
    guest.handshake();
    again = 0;
    const uint32_t before = next;
    const auto hang = Clock::now() + std::chrono::seconds(10);
    while (next == before && !HasFatalFailure()) {
      ASSERT_LT(Clock::now(), hang) << "a ring is stuck after " << i << " kills";
      exchange(/*sends=*/true);
    }
    const auto end = Clock::now() + std::chrono::microseconds(rng() % 2000);
    while (Clock::now() < end && !HasFatalFailure()) exchange(/*sends=*/true);
    echo.kill_it();
    exchange(/*sends=*/false);
    guest.disconnect();
  }
  echo.start();
  guest.connect();
  guest.handshake();
  again = 0;
  EXPECT_TRUE(eventually([&] {
    exchange(/*sends=*/false);
    return next == sent || HasFatalFailure();
  })) << next
      << " of " << sent;
  echo.kill_it();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace weft::dataplane::vhost::test
