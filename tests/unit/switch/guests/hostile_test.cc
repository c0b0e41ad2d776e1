// SPDX-License-Identifier: BSD-3-Clause
//
// Guests that misbehave in every way at once, on the same worker as two that do not. Nothing crashes, nothing leaks,
// every packet is accounted for, and the two lose nothing and get nothing wrong.
#include "tests/unit/switch/guests/guest_lab.h"
#include "tests/unit/switch/guests/hostile_guest.h"

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;

constexpr NetworkId kRed = 0, kBlue = 1;

size_t count_fds() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

/// Mappings of this process, and those of guests' memory among them.
struct Mappings {
  size_t all = 0, of_guests = 0;
  Mappings() {
    std::ifstream in("/proc/self/maps");
    for (std::string line; std::getline(in, line);) {
      ++all;
      if (line.find("memfd:null-guest") != std::string::npos || line.find("memfd:hostile") != std::string::npos)
        ++of_guests;
    }
  }
};

/// Two guests that send each other numbered frames of all sizes, from a thread of their own.
class GoodPair {
 public:
  GoodPair(GuestLab& lab, PortId a, PortId b) : sides_{{{lab.join(a), a}, {lab.join(b), b}}} {
    thread_ = std::thread([this] { run(); });
  }
  ~GoodPair() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] uint64_t n_received() const { return n_received_; }
  [[nodiscard]] const std::string& complaint() const { return complaint_; }  // after stop()

 private:
  static constexpr uint64_t kWindow = 64;  // under way at a time, each way
  struct Side {
    std::unique_ptr<NullGuest> guest;
    PortId id;
    uint64_t next = 0;      // to send
    uint64_t expected = 0;  // from the other
  };

  bool pass(Side& from, Side& to) {
    bool moved = false;
    while (!stopping_ && from.next - to.expected < kWindow) {
      const size_t size = 60 + from.next * 37 % 1455;
      if (!from.guest->send(numbered_frame(to.id, from.id, from.next, size))) break;
      ++from.next;
      moved = true;
    }
    for (const auto& received : to.guest->receive()) {
      const auto number = number_of(received.frame, to.id, from.id);
      if (!number)
        complaint_ = "a frame that nobody sent, or that was changed on its way";
      else if (*number != to.expected)
        complaint_ = "expected frame " + std::to_string(to.expected) + ", got " + std::to_string(*number);
      ++to.expected;
      ++n_received_;
      moved = true;
    }
    return moved;
  }
  void run() {
    auto last = std::chrono::steady_clock::now();
    while (complaint_.empty()) {
      const bool moved = pass(sides_[0], sides_[1]) | pass(sides_[1], sides_[0]);
      const auto now = std::chrono::steady_clock::now();
      if (moved) last = now;
      if (stopping_ && sides_[0].next == sides_[1].expected && sides_[1].next == sides_[0].expected) return;
      if (now - last > std::chrono::seconds(20)) complaint_ = "lost a frame: nothing came for 20 s";
      std::this_thread::yield();
    }
  }

  std::array<Side, 2> sides_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> n_received_{0};
  std::string complaint_;
  std::thread thread_;
};

TEST(HostileGuests, HarmOnlyThemselves) {
  const uint64_t seed = test_seed();
  const bool is_full = is_long_run() || !kIsSanitized;
  const uint64_t n_descriptors = is_full ? 10'000'000 : 1'000'000, n_messages = is_full ? 100'000 : 10'000;

  GuestLab lab({});
  const PortId bad[] = {lab.add_port(kRed, 2), lab.add_port(kRed, 2)};
  const PortId good[] = {lab.add_port(kBlue), lab.add_port(kBlue)};
  lab.publish();
  lab.start();
  // Once before counting: what the libraries keep for themselves is there then.
  lab.join(bad[0]).reset();
  ASSERT_TRUE(wait_until([&] { return !lab.on_control([&] { return lab.port(bad[0]).is_connected(); }); }));
  const size_t fds_before = count_fds();
  const Mappings mappings_before;

  HostileGuest::Tally tally;
  uint64_t received = 0;
  {
    GoodPair pair(lab, good[0], good[1]);
    HostileGuest a(lab.path(bad[0]), bad[0], bad[1], seed), b(lab.path(bad[1]), bad[1], bad[0], seed + 1);
    while (tally.descriptors < n_descriptors || tally.messages < n_messages) {
      a.act();
      b.act();
      tally = a.tally();
      tally.descriptors += b.tally().descriptors;
      tally.messages += b.tally().messages;
      tally.lives += b.tally().lives;
      tally.truncations += b.tally().truncations;
    }
    pair.stop();
    EXPECT_EQ(pair.complaint(), "");
    received = pair.n_received();
  }
  std::printf("%llu descriptors, %llu messages, %llu lives, %llu truncations; the good pair got %llu frames\n",
              static_cast<unsigned long long>(tally.descriptors), static_cast<unsigned long long>(tally.messages),
              static_cast<unsigned long long>(tally.lives), static_cast<unsigned long long>(tally.truncations),
              static_cast<unsigned long long>(received));
  EXPECT_GT(received, n_messages);
  EXPECT_GT(tally.truncations, 10u);

  // All of them are gone, and so is what they lent.
  for (const PortId id : {bad[0], bad[1], good[0], good[1]})
    EXPECT_TRUE(wait_until([&] { return !lab.on_control([&] { return lab.port(id).is_connected(); }); })) << id;
  EXPECT_TRUE(wait_until([&] { return count_fds() == fds_before; })) << count_fds() << " fds, before " << fds_before;
  const Mappings mappings;
  EXPECT_EQ(mappings.of_guests, 0u);
  if (!kIsSanitized) {
    EXPECT_LE(mappings.all, mappings_before.all + 16) << "heaps of threads may come, no more";
  }

  EXPECT_EQ(lab.imbalance(), 0);
  for (const PortId id : good) EXPECT_EQ(lab.totals_of(id).dropped, 0u);
  // Some of it must make sense, and every kind of nonsense occur, or nothing was tested.
  dataplane::PortTotals bads;
  for (const PortId id : bad) bads.add(lab.totals_of(id));
  std::printf("of the bad ones' %llu packets %llu were sent;", static_cast<unsigned long long>(bads.rx_packets),
              static_cast<unsigned long long>(bads.tx_packets));
  for (size_t d = 1; d < dataplane::kDrops; ++d)
    if (bads.drops[d] != 0)
      std::printf(" %s %llu", dataplane::drop_name(static_cast<Drop>(d)).data(),
                  static_cast<unsigned long long>(bads.drops[d]));
  std::printf("\n");
  EXPECT_GT(bads.rx_packets, n_descriptors / 100);
  EXPECT_GT(bads.tx_packets, n_descriptors / 5000);
  for (const Drop d :
       {Drop::rx_short_header, Drop::rx_bad_descriptor, Drop::rx_chain_too_long, Drop::rx_too_big, Drop::rx_bad_offload,
        Drop::port_memory_gone, Drop::tx_bad_descriptor, Drop::tx_no_room, Drop::tx_ring_full, Drop::tx_not_ready})
    EXPECT_GT(bads.drops[static_cast<size_t>(d)], 0u) << dataplane::drop_name(d);
}

}  // namespace
}  // namespace weft::vswitch::test
