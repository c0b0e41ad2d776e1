// SPDX-License-Identifier: BSD-3-Clause
//
// A hunt for wake-ups that get lost. Both sides that may sleep say so and then look again; if either lacks its fence,
// both can miss what the other did, but only when they do it within some ten nanoseconds of each other. The hunt goes
// there: it follows the moment at which the worker falls asleep, earlier when it was found asleep and later when it was
// found awake, and so nearly every packet comes at about the worst time.
//
// The worker of this program sleeps until it is woken (sleeps_until_woken.cc): a wake-up that is lost stays lost.
#include "bench/ring_talk.h"
#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "dataplane/tap_port.h"
#include "tests/unit/switch/guests/guest_lab.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

namespace weft::vswitch::test {
namespace {

using dataplane::monotonic_ns;
namespace feature = dataplane::vhost::feature;

constexpr NetworkId kRed = 0;
constexpr uint64_t kPatienceNs = 5'000'000'000;

/// A hunt goes on for so many tries, but on a machine that is busy otherwise no longer than some seconds.
class Hunt {
 public:
  explicit Hunt(size_t usual)
      : tries_(kIsSanitized    ? usual / 4
               : is_long_run() ? usual * 60
                               : usual),
        until_ns_(monotonic_ns() + (is_long_run() ? 30 : 2) * uint64_t{1'000'000'000}) {}
  bool goes_on() { return n_ < tries_ && monotonic_ns() < until_ns_ && ++n_ != 0; }
  [[nodiscard]] size_t n() const { return n_; }

 private:
  size_t tries_, n_ = 0;
  uint64_t until_ns_;
};

/// Follows the moment at which the other side falls asleep. In nanoseconds since it was last seen awake.
class Moment {
 public:
  Moment(uint64_t seed, uint64_t first_ns, uint64_t step_ns, uint64_t spread_ns)
      : random_(seed), center_ns_(first_ns), step_ns_(step_ns), spread_ns_(spread_ns) {}
  /// When to come next: about then, and sometimes at any time.
  uint64_t next() {
    is_near_ = !random_.one_in(32);
    if (!is_near_) return random_.below(4 * center_ns_ + 1);
    return center_ns_ - std::min(center_ns_, spread_ns_ / 2) + random_.below(spread_ns_);
  }
  void found(bool was_asleep) {
    if (!is_near_) return;
    ++(was_asleep ? n_asleep_ : n_awake_);
    if (was_asleep)
      center_ns_ -= std::min(center_ns_, step_ns_);
    else
      center_ns_ += step_ns_;
  }
  /// How often it was found asleep and awake, of the times it was looked for.
  void print(const char* what) const {
    std::printf("%s: %llu asleep, %llu awake, at last about %llu ns\n", what,
                static_cast<unsigned long long>(n_asleep_), static_cast<unsigned long long>(n_awake_),
                static_cast<unsigned long long>(center_ns_));
  }
  /// It was where the two meet: neither is rare.
  [[nodiscard]] bool was_there() const {
    return n_asleep_ + n_awake_ < 5000 || std::min(n_asleep_, n_awake_) * 20 > n_asleep_ + n_awake_;
  }

 private:
  Random random_;
  uint64_t center_ns_, step_ns_, spread_ns_;
  bool is_near_ = true;
  uint64_t n_asleep_ = 0, n_awake_ = 0;
};

void spin_until(uint64_t ns) {
  while (monotonic_ns() < ns) {
  }
}

/// Spins; false: it was lost.
template <class Condition>
bool arrives(Condition condition) {
  const uint64_t deadline = monotonic_ns() + kPatienceNs;
  while (!condition())
    if (monotonic_ns() > deadline) return false;
  return true;
}

struct Kind {
  const char* name;
  bool has_event_idx;
  bool is_packed = false;
};

class Wakeups : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    GuestLab::Options options;
    options.sleeps_when_idle = worker_sleeps_;
    if (const auto cpus = two_cpus()) {
      options.worker_cpu = cpus->first;
      pin_this_thread(cpus->second);
    }
    lab_ = std::make_unique<GuestLab>(options);
    for (PortId& id : ids_) id = lab_->add_port(kRed);
    lab_->publish();
    lab_->start();
    NullGuestOptions o;
    o.is_packed = GetParam().is_packed;
    if (!GetParam().has_event_idx) o.features &= ~(uint64_t{1} << feature::kEventIdx);
    a_ = lab_->join(ids_[0], o);
    b_ = lab_->join(ids_[1], o);
    a_->lay_out(std::vector<Bytes>{numbered_frame(ids_[1], ids_[0], 1, 60)});
    b_->lay_out(std::vector<Bytes>{numbered_frame(ids_[0], ids_[1], 2, 60)});
    for (NullGuest* g : {a_.get(), b_.get()})
      for (uint16_t i = 0; i < 2; ++i) bench::decline_calls(g->ring(i), has_event_idx());
    // Both are known: nothing is flooded any more.
    ASSERT_TRUE(pass(*a_, *b_) && pass(*b_, *a_));
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
    lab_.reset();
  }
  [[nodiscard]] bool has_event_idx() const { return GetParam().has_event_idx; }

  /// Sends one frame as a driver does; whether the switch wanted a kick.
  bool send(NullGuest& from) {
    from.poll_send(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool kicks = bench::wants_kick(from.ring(1), has_event_idx());
    if (kicks) from.kick(1);
    return kicks;
  }
  bool pass(NullGuest& from, NullGuest& to) {
    send(from);
    return arrives([&] { return to.poll_receive(1) == 1; });
  }

  bool worker_sleeps_ = true;
  std::unique_ptr<GuestLab> lab_;
  PortId ids_[2];
  std::unique_ptr<NullGuest> a_, b_;
};

/// Of guests that sleep while the worker never does: a frame is there after about a microsecond.
class GuestWakeups : public Wakeups {
 protected:
  GuestWakeups() { worker_sleeps_ = false; }
};

TEST_P(Wakeups, EveryKickReachesTheWorker) {
  Moment moment(test_seed(), dataplane::Worker::kIdleNs, 60, 1200);
  for (Hunt hunt(20'000); hunt.goes_on();) {
    spin_until(monotonic_ns() + moment.next());
    moment.found(send(*a_));
    ASSERT_TRUE(arrives([&] { return b_->poll_receive(1) == 1; }))
        << "packet " << hunt.n() << " waits, and nobody was told";
  }
  moment.print("the worker");
  EXPECT_TRUE(moment.was_there());
}

/// The guest sleeps until it is interrupted, as one does that has nothing else to do.
TEST_P(GuestWakeups, EveryCallReachesTheGuest) {
  Moment moment(test_seed() + 1, 1000, 10, 400);
  NullGuest::Ring& r = b_->ring(0);
  for (Hunt hunt(60'000); hunt.goes_on();) {
    (void)b_->take_calls(0);  // before: the frame needs less time than this call
    const uint64_t at = monotonic_ns() + moment.next();
    send(*a_);
    spin_until(at);
    bench::ask_for_call(r, has_event_idx());
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool is_here = r.has_used();
    if (!is_here) {
      pollfd p{r.call.get(), POLLIN, 0};
      ASSERT_EQ(poll(&p, 1, kPatienceNs / 1'000'000), 1) << "packet " << hunt.n() << " is here, and nobody was told";
      ASSERT_TRUE(arrives([&] { return r.has_used(); }));
    }
    moment.found(is_here);
    bench::decline_calls(r, has_event_idx());
    ASSERT_EQ(b_->poll_receive(1), 1);
  }
  moment.print("the frame");
  EXPECT_TRUE(moment.was_there());
}

/// Both sleep: what a quiet network of real guests does all day.
TEST_P(Wakeups, OneSleeperWakesTheOther) {
  Moment moment(test_seed() + 2, dataplane::Worker::kIdleNs, 60, 1200);
  NullGuest *from = a_.get(), *to = b_.get();
  for (Hunt hunt(10'000); hunt.goes_on(); std::swap(from, to)) {
    spin_until(monotonic_ns() + moment.next());
    NullGuest::Ring& r = to->ring(0);
    (void)to->take_calls(0);
    bench::ask_for_call(r, has_event_idx());
    std::atomic_thread_fence(std::memory_order_seq_cst);
    moment.found(send(*from));
    pollfd p{r.call.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, kPatienceNs / 1'000'000), 1) << hunt.n();
    ASSERT_TRUE(arrives([&] { return r.has_used(); })) << hunt.n();
    bench::decline_calls(r, has_event_idx());
    ASSERT_EQ(to->poll_receive(1), 1);
  }
  moment.print("the worker");
  EXPECT_TRUE(moment.was_there());
}

const auto kKinds = testing::Values(Kind{"split", false}, Kind{"split_event_idx", true}, Kind{"packed", false, true},
                                    Kind{"packed_event_idx", true, true});
constexpr auto kName = [](const auto& tested) { return std::string(tested.param.name); };
INSTANTIATE_TEST_SUITE_P(Rings, Wakeups, kKinds, kName);
INSTANTIATE_TEST_SUITE_P(Rings, GuestWakeups, kKinds, kName);

// --- what control has to tell a worker

class ControlWakeups : public testing::Test {
 protected:
  void SetUp() override {
    GuestLab::Options options;
    if (const auto cpus = two_cpus()) {
      options.worker_cpu = cpus->first;
      pin_this_thread(cpus->second);
    }
    lab_ = std::make_unique<GuestLab>(options);
    lab_->start();
  }
  std::unique_ptr<GuestLab> lab_;
};

/// No port is there whose arming would bring a fence of its own. Whether the worker slept shows in the time it took.
TEST_F(ControlWakeups, EveryJobReachesTheWorker) {
  Moment moment(test_seed() + 3, dataplane::Worker::kIdleNs, 60, 1200);
  constexpr uint64_t kSleeperNs = 3'000;
  lab_->on_control([&] {
    std::atomic<uint64_t> last{0};
    for (Hunt hunt(20'000); hunt.goes_on();) {
      const uint64_t i = hunt.n();
      spin_until(monotonic_ns() + moment.next());
      const uint64_t posted = monotonic_ns();
      ASSERT_TRUE(lab_->engine().run_on_worker(
          0, [&last, i] { last.store(i, std::memory_order_release); }, nullptr));
      ASSERT_TRUE(arrives([&] { return last.load(std::memory_order_acquire) == i; })) << "job " << i;
      moment.found(monotonic_ns() - posted > kSleeperNs);
      lab_->engine().pipeline(0).mail().finish_jobs();
    }
  });
  moment.print("the worker");
}

// --- taps

/// A packet socket on the tap's netdev, in this program's own network namespace.
dataplane::UniqueFd packet_socket(const std::string& netdev) {
  dataplane::UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(netdev.c_str()));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

TEST_F(ControlWakeups, EveryFrameOfATapReachesTheWorker) {
  const PortId tap =
      lab_->add_port(kRed, std::make_unique<dataplane::TapPort>(dataplane::TapOptions{.name = "t0", .id = "port/t0"}));
  const PortId guest_id = lab_->add_port(kRed);
  lab_->publish();
  const auto guest = lab_->join(guest_id);
  const auto wire = packet_socket("t0");
  ASSERT_TRUE(wire.is_open());
  const Bytes frame = numbered_frame(guest_id, tap, 7, 60);
  ASSERT_TRUE(guest->send(numbered_frame(tap, guest_id, 1, 60)));
  ASSERT_TRUE(wait_until([&] { return lab_->totals_of(guest_id).tx_packets + lab_->totals_of(tap).tx_packets != 0; }));

  Moment moment(test_seed() + 4, dataplane::Worker::kIdleNs, 60, 4000);
  for (Hunt hunt(8'000); hunt.goes_on();) {
    spin_until(monotonic_ns() + moment.next());
    const uint64_t sent = monotonic_ns();
    ASSERT_EQ(::send(wire.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    ASSERT_TRUE(arrives([&] { return guest->poll_receive(1) == 1; })) << hunt.n();
    moment.found(monotonic_ns() - sent > 15'000);
  }
  moment.print("the worker");
}

}  // namespace
}  // namespace weft::vswitch::test

/// In a network namespace of the program's own, which is gone with it.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
    std::puts("SKIPPED: unit_switch_wakeups makes a network namespace and needs root");
    return 77;  // meson: skipped
  }
  // The kernel's own IPv6 chatter would come between the frames of the tests.
  weft::dataplane::write_net_sysctl("ipv6/conf/default/disable_ipv6", "1");
  return RUN_ALL_TESTS();
}
