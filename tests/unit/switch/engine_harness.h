// SPDX-License-Identifier: BSD-3-Clause
//
// What tests of a whole engine with workers on threads of their own share: the EAL, and ways to wait. One source file
// of a program says `const auto* const kEal = testing::AddGlobalTestEnvironment(new Eal);`.
#pragma once

#include "dataplane/worker.h"

#include <chrono>
#include <cstdint>
#include <iterator>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <rte_eal.h>

#include <sched.h>

namespace weft::vswitch::test {

class Eal : public testing::Environment {
 public:
  void SetUp() override {
    cpu_set_t allowed;  // the EAL pins this thread; its children are to run anywhere
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    char arguments[][16] = {"engine_test", "--no-huge", "--no-shconf",    "--no-pci",
                            "-m",          "64",        "--no-telemetry", "--log-level=3"};
    char* argv[std::size(arguments)];
    for (size_t i = 0; i < std::size(arguments); ++i) argv[i] = arguments[i];
    ASSERT_GE(rte_eal_init(static_cast<int>(std::size(argv)), argv), 0);
    ASSERT_EQ(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  }
  void TearDown() override { rte_eal_cleanup(); }
};

/// Without a loop and without sleeping: what is waited for takes microseconds. A minute is for sanitizers on a busy
/// machine.
template <class F>
bool wait_for(F&& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

inline void spin(uint64_t ns) {
  const uint64_t end = dataplane::monotonic_ns() + ns;
  while (dataplane::monotonic_ns() < end) {
  }
}

/// How long to leave the workers alone: mostly about as long as they poll before they sleep.
class Gaps {
 public:
  uint64_t operator()() {
    constexpr uint64_t kIdle = dataplane::Worker::kIdleNs;
    switch (random_() % 8) {
      case 0:
        return 0;
      case 1:
        return random_() % (4 * kIdle);
      default:
        return kIdle - 30'000 + random_() % 50'000;  // what is done next takes a while too
    }
  }

 private:
  std::minstd_rand random_{20240611};
};

}  // namespace weft::vswitch::test
