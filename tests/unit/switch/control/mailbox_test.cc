// SPDX-License-Identifier: BSD-3-Clause
#include "switch/mailbox.h"

#include "switch/guest_limits.h"

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <poll.h>
#include <unistd.h>

namespace weft::vswitch {
namespace {

/// The mailbox never looks into a packet: any address will do.
class Packets {
 public:
  rte_mbuf* operator[](size_t i) { return reinterpret_cast<rte_mbuf*>(&bytes_.at(i)); }

 private:
  std::array<char, 8192> bytes_{};
};

class MailboxTest : public testing::Test {
 protected:
  /// Whether the control thread would wake; its event is taken.
  bool has_event() {
    pollfd p{mailbox_.event_fd(), POLLIN, 0};
    if (poll(&p, 1, 0) != 1) return false;
    uint64_t n = 0;
    return read(mailbox_.event_fd(), &n, sizeof n) == sizeof n;
  }
  /// Posts until it is refused; how many were taken.
  size_t fill_with_jobs() {
    size_t n = 0;
    while (n < 10'000 && mailbox_.post([] {}, [] {})) ++n;
    return n;
  }
  size_t fill_to_control() {
    size_t n = 0;
    while (n < 8000 && mailbox_.to_control(packets_[n])) ++n;
    return n;
  }
  size_t fill_from_control() {
    size_t n = 0;
    while (n < 8000 && mailbox_.inject(packets_[n])) ++n;
    return n;
  }
  Packets packets_;
  Mailbox mailbox_;
};

// ---- jobs ----------------------------------------------------------------------------------------------------------

TEST_F(MailboxTest, AJobRunsWhenTheWorkerTakesIt) {
  bool has_run = false;
  ASSERT_TRUE(mailbox_.post([&] { has_run = true; }, nullptr));
  EXPECT_FALSE(has_run);
  mailbox_.run_jobs();
  EXPECT_TRUE(has_run);
}

TEST_F(MailboxTest, AJobIsDoneWhenControlTakesItBack) {
  bool is_done = false;
  ASSERT_TRUE(mailbox_.post([] {}, [&] { is_done = true; }));
  mailbox_.run_jobs();
  EXPECT_FALSE(is_done);
  mailbox_.finish_jobs();
  EXPECT_TRUE(is_done);
}

TEST_F(MailboxTest, AJobThatHasNotRunIsNotDone) {
  bool is_done = false;
  ASSERT_TRUE(mailbox_.post([] {}, [&] { is_done = true; }));
  mailbox_.finish_jobs();
  EXPECT_FALSE(is_done);
}

TEST_F(MailboxTest, AJobRunsOnce) {
  int n_run = 0, n_done = 0;
  ASSERT_TRUE(mailbox_.post([&] { ++n_run; }, [&] { ++n_done; }));
  for (int i = 0; i < 3; ++i) {
    mailbox_.run_jobs();
    mailbox_.finish_jobs();
  }
  EXPECT_EQ(n_run, 1);
  EXPECT_EQ(n_done, 1);
}

TEST_F(MailboxTest, JobsRunAndAreDoneInOrder) {
  std::string order;
  for (const char c : {'a', 'b', 'c'})
    ASSERT_TRUE(mailbox_.post([&, c] { order += c; }, [&, c] { order += static_cast<char>(c - 'a' + 'A'); }));
  mailbox_.run_jobs();
  mailbox_.finish_jobs();
  EXPECT_EQ(order, "abcABC");
}

TEST_F(MailboxTest, TheWorkerLearnsHowManyJobsItRan) {
  EXPECT_EQ(mailbox_.run_jobs(), 0u);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(mailbox_.post([] {}, nullptr));
  EXPECT_EQ(mailbox_.run_jobs(), 3u);
}

TEST_F(MailboxTest, AJobMayHaveNothingToDoAfterwards) {
  ASSERT_TRUE(mailbox_.post([] {}, nullptr));
  mailbox_.run_jobs();
  EXPECT_NO_THROW(mailbox_.finish_jobs());
}

TEST_F(MailboxTest, AJobThatIsDoneMayPostTheNext) {
  int n_run = 0;
  std::function<void()> next = [&] {
    if (n_run == 100) return;
    EXPECT_TRUE(mailbox_.post([&] { ++n_run; }, next));
  };
  next();
  while (mailbox_.run_jobs() != 0) mailbox_.finish_jobs();
  EXPECT_EQ(n_run, 100);
}

TEST_F(MailboxTest, OnlySoManyJobsMayWait) { EXPECT_EQ(fill_with_jobs(), 32u); }

TEST_F(MailboxTest, ARefusedJobNeverRuns) {
  fill_with_jobs();
  bool has_run = false;
  mailbox_.post([&] { has_run = true; }, nullptr);
  mailbox_.run_jobs();
  mailbox_.finish_jobs();
  EXPECT_FALSE(has_run);
}

TEST_F(MailboxTest, JobsThatHaveRunAndAreNotDoneWaitToo) {
  fill_with_jobs();
  mailbox_.run_jobs();
  EXPECT_FALSE(mailbox_.post([] {}, nullptr));
}

TEST_F(MailboxTest, JobsThatAreDoneMakeRoom) {
  fill_with_jobs();
  mailbox_.run_jobs();
  mailbox_.finish_jobs();
  EXPECT_EQ(fill_with_jobs(), 32u);
}

TEST_F(MailboxTest, JobsThatNeverRanEndWithIt) {
  const auto held = std::make_shared<int>(5);
  {
    Mailbox mailbox;
    ASSERT_TRUE(mailbox.post([held] {}, [held] {}));
    mailbox.run_jobs();
    ASSERT_TRUE(mailbox.post([held] {}, [held] {}));
  }
  EXPECT_EQ(held.use_count(), 1);
}

// ---- packets for the control thread ---------------------------------------------------------------------------------

TEST_F(MailboxTest, PacketsForControlComeInOrder) {
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(mailbox_.to_control(packets_[i]));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(mailbox_.take(), packets_[i]);
  EXPECT_EQ(mailbox_.take(), nullptr);
}

TEST_F(MailboxTest, AFullQueueToControlHoldsAsManyAsItsLimit) { EXPECT_EQ(fill_to_control(), limits::kToControl); }

TEST_F(MailboxTest, AFullQueueToControlKeepsWhatItHas) {
  const size_t n = fill_to_control();
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(mailbox_.take(), packets_[i]);
  EXPECT_EQ(mailbox_.take(), nullptr);
}

TEST_F(MailboxTest, ATakenPacketMakesRoomInTheQueueToControl) {
  fill_to_control();
  mailbox_.take();
  EXPECT_TRUE(mailbox_.to_control(packets_[0]));
}

// ---- packets of the control thread
// ------------------------------------------------------------------------------------

TEST_F(MailboxTest, InjectedPacketsComeInOrder) {
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(mailbox_.inject(packets_[i]));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(mailbox_.from_control(), packets_[i]);
  EXPECT_EQ(mailbox_.from_control(), nullptr);
}

TEST_F(MailboxTest, AFullQueueFromControlHoldsAsManyAsItsLimit) {
  EXPECT_EQ(fill_from_control(), limits::kFromControl);
}

TEST_F(MailboxTest, ATakenPacketMakesRoomInTheQueueFromControl) {
  fill_from_control();
  mailbox_.from_control();
  EXPECT_TRUE(mailbox_.inject(packets_[0]));
}

TEST_F(MailboxTest, TheTwoWaysAreApart) {
  ASSERT_TRUE(mailbox_.inject(packets_[0]));
  EXPECT_EQ(mailbox_.take(), nullptr);
}

// ---- events --------------------------------------------------------------------------------------------------------

TEST_F(MailboxTest, NothingForControlIsNoEvent) {
  mailbox_.flush();
  EXPECT_FALSE(has_event());
}

TEST_F(MailboxTest, APacketForControlIsAnEventAfterTheFlush) {
  ASSERT_TRUE(mailbox_.to_control(packets_[0]));
  EXPECT_FALSE(has_event());
  mailbox_.flush();
  EXPECT_TRUE(has_event());
}

TEST_F(MailboxTest, AJobThatHasRunIsAnEventAfterTheFlush) {
  ASSERT_TRUE(mailbox_.post([] {}, nullptr));
  mailbox_.run_jobs();
  mailbox_.flush();
  EXPECT_TRUE(has_event());
}

TEST_F(MailboxTest, AJobThatWaitsIsNoEvent) {
  ASSERT_TRUE(mailbox_.post([] {}, nullptr));
  mailbox_.flush();
  EXPECT_FALSE(has_event());
}

TEST_F(MailboxTest, ThingsOfOneFlushAreOneEvent) {
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(mailbox_.to_control(packets_[i]));
  mailbox_.flush();
  mailbox_.flush();
  EXPECT_TRUE(has_event());
  EXPECT_FALSE(has_event());
}

TEST_F(MailboxTest, ARefusedPacketIsNoEvent) {
  fill_to_control();
  mailbox_.flush();
  ASSERT_TRUE(has_event());
  EXPECT_FALSE(mailbox_.to_control(packets_[0]));
  mailbox_.flush();
  EXPECT_FALSE(has_event());
}

// ---- two threads ---------------------------------------------------------------------------------------------------

TEST_F(MailboxTest, BetweenTwoThreadsNothingIsLostOrOvertaken) {
  constexpr size_t kThings = 100'000;
  std::atomic<bool> is_control_done{false};
  size_t n_injected = 0, n_sent = 0, n_run = 0, n_disorder = 0;
  std::thread worker([&] {
    while (n_sent < kThings || !is_control_done.load(std::memory_order_acquire)) {
      if (n_sent < kThings && mailbox_.to_control(packets_[n_sent % 8000])) ++n_sent;
      if (rte_mbuf* p = mailbox_.from_control()) n_disorder += p != packets_[n_injected++ % 8000];
      if (mailbox_.run_jobs() == 0) std::this_thread::yield();
      mailbox_.flush();
    }
  });
  size_t n_taken = 0, n_given = 0, n_posted = 0, n_done = 0, n_wrong = 0;
  while (n_taken < kThings || n_given < kThings || n_done < kThings) {
    if (rte_mbuf* p = mailbox_.take()) n_wrong += p != packets_[n_taken++ % 8000];
    if (n_given < kThings && mailbox_.inject(packets_[n_given % 8000])) ++n_given;
    if (n_posted < kThings && mailbox_.post([&] { ++n_run; }, [&] { ++n_done; })) ++n_posted;
    mailbox_.finish_jobs();
    std::this_thread::yield();
  }
  is_control_done.store(true, std::memory_order_release);
  worker.join();
  while (rte_mbuf* p = mailbox_.from_control()) n_disorder += p != packets_[n_injected++ % 8000];
  EXPECT_EQ(n_wrong + n_disorder, 0u);
  EXPECT_EQ(n_injected, kThings);
  EXPECT_EQ(n_run, kThings);
}

}  // namespace
}  // namespace weft::vswitch
