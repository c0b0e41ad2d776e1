// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/store_thread.h"

#include <csignal>
#include <filesystem>
#include <future>

#include <gtest/gtest.h>

#include <sys/resource.h>

namespace weft::dhcp {
namespace {

namespace fs = std::filesystem;

class StoreThreadTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "weft-store-thread-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  LeaseStore open() { return std::move(LeaseStore::open(folder_ / "state.db").value().store); }

  /// The control thread's side: completions are run when the test says so.
  StoreThread::Post collect() {
    return [this](std::vector<Completion> batch) {
      const std::lock_guard lock(mutex_);
      batches_.push_back(std::move(batch));
      arrived_.notify_all();
    };
  }
  void wait_for(size_t completions) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] {
      size_t n = 0;
      for (const auto& batch : batches_) n += batch.size();
      return n >= completions;
    });
  }

  std::vector<Completion> all() {
    const std::lock_guard lock(mutex_);
    std::vector<Completion> completions;
    for (const auto& batch : batches_) completions.insert(completions.end(), batch.begin(), batch.end());
    return completions;
  }

  fs::path folder_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::vector<Completion>> batches_;
};

LeaseChange put(uint8_t last, uint64_t serial) {
  Lease l;
  l.address = wire::Ipv4Address(192, 168, 122, last);
  l.mac = wire::MacAddress::from_u64(last);
  l.serial = serial;
  return {"net", serial, {}, l};
}

TEST_F(StoreThreadTest, AnswersEachChangeOnceItIsDurable) {
  int done = 0;
  {
    StoreThread thread(open(), collect());
    for (uint8_t i = 1; i <= 20; ++i)
      ASSERT_TRUE(thread.submit(put(i, i), [&, i](const LeaseChange& change, const std::string& error) {
        EXPECT_EQ(change.serial, i);
        EXPECT_EQ(error, "");
        ++done;
      }));
    wait_for(20);
    EXPECT_EQ(thread.counters().committed, 20u);
  }
  uint64_t last = 0;
  for (const auto& batch : batches_)
    for (const auto& completion : batch) {
      EXPECT_GT(completion.change.serial, last) << "in the order of submission";
      last = completion.change.serial;
      completion.run();
    }
  EXPECT_EQ(done, 20);
  EXPECT_EQ(open().load()->at("net").size(), 20u);
}

TEST_F(StoreThreadTest, WhatGathersIsOneTransaction) {
  std::promise<void> gate;
  StoreThread thread(open(), collect());
  ASSERT_TRUE(thread.run([&](LeaseStore&) { gate.get_future().wait(); }));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(thread.submit(put(static_cast<uint8_t>(i), 1), {}));
  gate.set_value();
  wait_for(200);
  EXPECT_LE(thread.counters().transactions, 2u) << "one for those that were there, one perhaps for one that was not";
}

TEST_F(StoreThreadTest, AFullQueueIsRefused) {
  std::promise<void> started, gate;
  StoreThread thread(open(), collect(), 3);
  ASSERT_TRUE(thread.run([&](LeaseStore&) {
    started.set_value();
    gate.get_future().wait();
  }));
  started.get_future().wait();
  for (uint8_t i = 0; i < 3; ++i) EXPECT_TRUE(thread.submit(put(i, 1), {}));
  EXPECT_FALSE(thread.submit(put(9, 1), {}));
  EXPECT_EQ(thread.counters().refused, 1u);
  gate.set_value();
  wait_for(3);
  EXPECT_TRUE(thread.submit(put(9, 1), {}));
  wait_for(4);
}

TEST_F(StoreThreadTest, EndsOnlyWhenEverythingIsKept) {
  {
    StoreThread thread(open(), collect());
    for (uint8_t i = 0; i < 100; ++i) ASSERT_TRUE(thread.submit(put(i, 1), {}));
  }
  EXPECT_EQ(open().load()->at("net").size(), 100u);
}

TEST_F(StoreThreadTest, AFailedTransactionFailsAllItsChanges) {
  std::promise<void> gate;
  StoreThread thread(open(), collect());
  ASSERT_TRUE(thread.run([&](LeaseStore&) { gate.get_future().wait(); }));
  for (uint8_t i = 0; i < 5; ++i) ASSERT_TRUE(thread.submit(put(i, 1), {}));
  // No file may grow any more, as on a full disk.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit none{4096, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  gate.set_value();
  wait_for(5);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  for (const auto& completion : all()) EXPECT_NE(completion.error, "");
  EXPECT_EQ(thread.counters().failed, 5u);
  ASSERT_TRUE(thread.submit(put(6, 1), {}));
  wait_for(6);
  EXPECT_EQ(all().back().error, "") << "there is room again";
}

}  // namespace
}  // namespace weft::dhcp
