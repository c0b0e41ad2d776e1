// SPDX-License-Identifier: BSD-3-Clause
//
// Hunts for lost wake-ups: a worker that sleeps whenever there is nothing, a guest that kicks only when it was asked
// to, single frames at random gaps, so that arming meets sending in every way.
#include "tests/unit/dataplane/vhost/harness.h"

#include <tuple>

namespace weft::dataplane::vhost::test {
namespace {

/// A driver's own decision (virtio 1.2 §2.7.10, §2.8.10) after it has made one more entry available.
class Driver {
 public:
  Driver(NullGuest& guest, bool has_event_idx) : guest_(guest), ring_(guest.ring(1)), has_event_idx_(has_event_idx) {}

  /// False: no room.
  bool send(const Bytes& frame) {
    const PackedPosition before = ring_.next_available;
    NullGuest::SendOptions options;
    options.kicks = false;
    if (!guest_.send(frame, options)) return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (ring_.is_packed() ? must_kick_packed(before, ring_.next_available) : must_kick_split()) {
      guest_.kick(1);
      ++n_kicks;
    }
    return true;
  }
  uint64_t n_kicks = 0;

 private:
  bool must_kick_split() const {
    if (!has_event_idx_) return (__atomic_load_n(ring_.used, __ATOMIC_RELAXED) & kUsedNoNotify) == 0;
    uint16_t event;
    std::memcpy(&event, ring_.used + 4 + 8 * ring_.size, sizeof event);
    return static_cast<uint16_t>(ring_.available_idx - event - 1) < 1;
  }
  bool must_kick_packed(PackedPosition before, PackedPosition now) const {
    uint32_t word;
    std::memcpy(&word, ring_.device_event, sizeof word);
    const uint32_t flags = word >> 16;
    if (flags != PackedEvent::kAtPosition) return flags != PackedEvent::kDisable;
    const PackedPosition event = PackedPosition::from_bits(static_cast<uint16_t>(word));
    const auto since = [&](PackedPosition at) {
      return now.index - at.index + (at.wrap != now.wrap ? static_cast<int>(ring_.size) : 0);
    };
    return since(event) > 0 && since(event) <= since(before);
  }

  NullGuest& guest_;
  NullGuest::Ring& ring_;
  const bool has_event_idx_;
};

class VhostWakeups : public PortTest, public ::testing::WithParamInterface<std::tuple<RingKind, bool>> {};

TEST_P(VhostWakeups, NoneIsLost) {
  const auto& [kind, has_event_idx] = GetParam();
  kind_ = kind;
  VhostUserPort& port = add_port("vm");
  NullGuestOptions options;
  options.ring_size = 8;
  if (!has_event_idx) options.features &= ~(uint64_t{1} << feature::kEventIdx);
  auto guest = join("vm", options);

  std::atomic<bool> stop{false};
  std::atomic<uint64_t> sleeps{0}, early{0}, too_long{0};  // early: there was something when it armed
  std::thread worker([&] {
    std::mt19937 rng(1);
    while (!stop) {
      for (auto polls = rng() % 8; polls != 0 && take(port).empty(); --polls) {
      }
      if (port.arm(0)) {
        ++early;
        port.disarm(0);
        EXPECT_FALSE(take(port).empty());
        continue;
      }
      ++sleeps;
      if (!events_.wait(5000) && !stop) ++too_long;
      port.disarm(0);
    }
  });

  const int n = std::getenv("WEFT_LONG") != nullptr ? 500'000 : 2'000;
  Driver driver(*guest, has_event_idx);
  const Bytes frame = make_frame(60);
  std::mt19937 rng(2);
  for (int i = 0; i < n && too_long == 0; ++i) {
    for (auto gap = rng() % 4 == 0 ? rng() % 20000 : rng() % 500; gap != 0; --gap) __builtin_ia32_pause();
    while (!driver.send(frame) && too_long == 0) std::this_thread::yield();
    // Most of the time it waits for the answer, as a ping would; else the next frame meets whatever there is.
    const bool waits = rng() % 4 != 0;
    while (waits && !guest->ring(1).has_used() && too_long == 0) std::this_thread::yield();
  }
  stop = true;
  guest->kick(1);
  worker.join();
  EXPECT_EQ(too_long, 0u) << "a frame lay there and the worker slept";
  EXPECT_GT(sleeps, 10u) << "or nothing is tested";
  EXPECT_LE(driver.n_kicks, 2 * (sleeps + early) + 5) << "nobody is kicked who is awake";
}

std::string name_of_both(const ::testing::TestParamInfo<std::tuple<RingKind, bool>>& param) {
  const auto& [kind, has_event_idx] = param.param;
  return std::string(kind.name) + (has_event_idx ? "WithEventIndex" : "WithFlags");
}
INSTANTIATE_TEST_SUITE_P(Rings, VhostWakeups, ::testing::Combine(::testing::ValuesIn(kRingKinds), ::testing::Bool()),
                         name_of_both);

}  // namespace
}  // namespace weft::dataplane::vhost::test
