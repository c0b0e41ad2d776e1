// SPDX-License-Identifier: BSD-3-Clause
//
// Two workers that send to one guest at a time.
#include "tests/unit/dataplane/vhost/harness.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

namespace weft::dataplane::vhost::test {
namespace {

class VhostWriters : public PortTest {
 protected:
  static constexpr uint32_t kFrames = 6'000;

  /// A frame of `size` bytes that names its writer and number.
  static Bytes numbered(size_t size, uint32_t writer, uint32_t number) {
    Bytes frame = make_frame(size, static_cast<uint8_t>(writer * 100 + number));
    std::memcpy(frame.data() + 14, &writer, sizeof writer);
    std::memcpy(frame.data() + 18, &number, sizeof number);
    return frame;
  }
  static size_t size_of(uint32_t number) { return 60 + number % 7 * 200; }

  /// Worker `w` sends its frames in bursts. Those that find no room are dropped, as a worker drops them.
  void write(VhostUserPort& port, uint16_t w) {
    Burst burst;
    std::array<Bytes, kBurst> frames;
    rcu_.online(w);
    for (uint32_t next = 0; next < kFrames;) {
      burst.clear();
      std::array<Packet*, kBurst> packets;
      uint16_t n = 0;
      for (; n < 1 + next % kBurst && next < kFrames; ++n, ++next) {
        frames[n] = numbered(size_of(next), w, next);
        Packet& p = burst.add();
        p.head_size = static_cast<uint16_t>(std::min<size_t>(frames[n].size(), kHeaderCopy));
        p.size = p.head_size;
        std::memcpy(p.head, frames[n].data(), p.head_size);
        if (frames[n].size() > p.head_size)
          burst.append_segment(p, frames[n].data() + p.head_size,
                               static_cast<uint32_t>(frames[n].size() - p.head_size));
        packets[n] = &p;
      }
      port.tx(w, {packets.data(), n});
      const auto n_taken = std::count_if(burst.begin(), burst.end(), [](auto& p) { return p.drop == Drop::none; });
      n_sent_[w] += static_cast<uint32_t>(n_taken);
      if (n_taken < n) std::this_thread::yield();
      rcu_.quiescent(w);
    }
    rcu_.offline(w);
    ++n_done_;
  }

  /// Takes what both workers send at a time, and checks every byte and each one's order.
  void take_all(NullGuest& guest, uint16_t n_pairs) {
    std::array<uint32_t, 2> n_received{}, expected{};
    for (bool is_last = false; !is_last;) {
      is_last = n_done_ == 2;
      for (uint16_t pair = 0; pair < n_pairs; ++pair)
        for (const auto& r : guest.receive(pair)) {
          uint32_t writer, number;
          std::memcpy(&writer, r.frame.data() + 14, sizeof writer);
          std::memcpy(&number, r.frame.data() + 18, sizeof number);
          ASSERT_LT(writer, 2u);
          ASSERT_GE(number, expected[writer]);
          expected[writer] = number + 1;
          ++n_received[writer];
          ASSERT_EQ(r.frame, numbered(size_of(number), writer, number));
        }
    }
    for (uint32_t w = 0; w < 2; ++w) {
      EXPECT_EQ(n_received[w], n_sent_[w]) << "all that was taken arrives";
      EXPECT_GT(n_sent_[w], 64u);
    }
  }
  void run(uint16_t port_pairs, uint16_t guest_pairs) {
    VhostUserPort& port = add_port("to", {.queues = port_pairs});
    NullGuestOptions options;
    options.n_pairs = guest_pairs;
    options.ring_size = 64;
    auto guest = join("to", options);
    ASSERT_TRUE(eventually([&] { return port.is_up(); }));
    std::array<std::thread, 2> writers;
    for (uint16_t w = 0; w < 2; ++w) writers[w] = std::thread([&, w] { write(port, w); });
    take_all(*guest, guest_pairs);
    for (auto& writer : writers) writer.join();
  }

  std::array<std::atomic<uint32_t>, 2> n_sent_{};
  std::atomic<int> n_done_{0};
};

TEST_F(VhostWriters, TwoWorkersIntoOneRingLoseAndChangeNothing) { run(1, 1); }

TEST_F(VhostWriters, TwoWorkersHaveARingEachWhereThereAreTwo) { run(2, 2); }

TEST_F(VhostWriters, TwoWorkersShareTheOneRingAGuestOfTwoUses) { run(2, 1); }

}  // namespace
}  // namespace weft::dataplane::vhost::test
