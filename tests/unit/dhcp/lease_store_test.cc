// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/lease_store.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft::dhcp {
namespace {

namespace fs = std::filesystem;

class LeaseStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "weft-lease-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ / "state.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  LeaseStore open() {
    auto opened = LeaseStore::open(path_);
    if (!opened) throw std::runtime_error(opened.error());
    EXPECT_EQ(opened->warning, "");
    return std::move(opened->store);
  }
  void run_sql(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  fs::path folder_, path_;
};

Lease lease(uint8_t last, uint64_t serial) {
  Lease l;
  l.address = wire::Ipv4Address(192, 168, 122, last);
  l.mac = wire::MacAddress::from_u64(0x525400000000 | last);
  l.client_id = std::string("\x01\0\xff'", 4);
  l.hostname = "vm\"'; --";
  l.expiry = 1'700'003'600;
  l.serial = serial;
  return l;
}

/// Empty when it was kept, else why not.
std::string why(const tl::expected<void, std::string>& result) { return result ? "" : result.error(); }

LeaseChange put(std::string network, Lease l) { return {std::move(network), l.serial, {}, std::move(l)}; }

TEST_F(LeaseStoreTest, KeepsWhatWasCommitted) {
  {
    LeaseStore store = open();
    ASSERT_EQ(why(store.commit(std::vector{put("a", lease(2, 1)), put("a", lease(3, 2)), put("b", lease(2, 1))})), "");
  }
  const auto all = open().load();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ(all->at("a"), (std::vector{lease(2, 1), lease(3, 2)}));
  EXPECT_EQ(all->at("b"), std::vector{lease(2, 1)});
}

TEST_F(LeaseStoreTest, AppliesChangesInTheirOrder) {
  LeaseStore store = open();
  Lease later = lease(2, 5);
  later.hostname = "later";
  later.expiry = 0;
  LeaseChange moved = put("a", lease(9, 6));
  moved.removed = {lease(3, 0).address};
  ASSERT_EQ(why(store.commit(std::vector{put("a", lease(2, 1)), put("a", lease(3, 2)), put("a", later), moved})), "");
  EXPECT_EQ(store.load()->at("a"), (std::vector{later, lease(9, 6)}));
  ASSERT_EQ(why(store.commit(std::vector{LeaseChange{"a", 7, {later.address, lease(200, 0).address}, {}}})), "");
  EXPECT_EQ(store.load()->at("a"), std::vector{lease(9, 6)});
}

TEST_F(LeaseStoreTest, ForgetsANetwork) {
  LeaseStore store = open();
  ASSERT_EQ(why(store.commit(std::vector{put("a", lease(2, 1)), put("b", lease(2, 1))})), "");
  ASSERT_EQ(why(store.remove_network("a")), "");
  EXPECT_EQ(store.load()->count("a"), 0u);
  EXPECT_EQ(store.load()->count("b"), 1u);
}

TEST_F(LeaseStoreTest, KeepsTheSwitchsOwnState) {
  {
    LeaseStore store = open();
    EXPECT_EQ(store.get("mac/default").value(), std::nullopt);
    ASSERT_EQ(why(store.put("mac/default", "52:54:00:aa:bb:cc")), "");
    ASSERT_EQ(why(store.put("mac/default", "52:54:00:dd:ee:ff")), "");
    ASSERT_EQ(why(store.put("empty", "")), "");
    ASSERT_EQ(why(store.put("gone", "x")), "");
    ASSERT_EQ(why(store.erase("gone")), "");
  }
  LeaseStore store = open();
  EXPECT_EQ(store.get("mac/default").value(), "52:54:00:dd:ee:ff");
  EXPECT_EQ(store.get("empty").value(), "");
  EXPECT_EQ(store.get("gone").value(), std::nullopt);
}

TEST_F(LeaseStoreTest, IsPrivate) {
  const LeaseStore store = open();
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(LeaseStoreTest, SyncsEveryCommitInWalMode) {
  const LeaseStore store = open();
  EXPECT_TRUE(fs::exists(path_.string() + "-wal"));
}

TEST_F(LeaseStoreTest, PutsADamagedDatabaseAsideAndSaysSo) {
  for (int n = 1; n <= 2; ++n) {
    std::ofstream(path_) << "this is no database, but it is long enough to be taken for one by its size alone";
    const auto opened = LeaseStore::open(path_);
    ASSERT_TRUE(opened) << opened.error();
    const std::string aside = path_.string() + ".corrupt-" + std::to_string(n);
    EXPECT_NE(opened->warning.find(aside), std::string::npos) << opened->warning;
    EXPECT_TRUE(fs::exists(aside));
    fs::remove(path_);
    fs::remove(path_.string() + "-wal");
    fs::remove(path_.string() + "-shm");
  }
}

TEST_F(LeaseStoreTest, FindsDamageInsideTheTables) {
  {
    LeaseStore store = open();
    std::vector<LeaseChange> many;
    for (int i = 0; i < 250; ++i) many.push_back(put("network", lease(static_cast<uint8_t>(i), 1)));
    ASSERT_EQ(why(store.commit(many)), "");
  }
  const auto size = fs::file_size(path_);
  ASSERT_GT(size, 8192u);
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    const std::string garbage(static_cast<size_t>(size) - 4096, '\x5a');
    file.write(garbage.data(), static_cast<std::streamsize>(garbage.size()));
  }
  auto opened = LeaseStore::open(path_);
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_NE(opened->warning, "");
  EXPECT_EQ(fs::file_size(path_.string() + ".corrupt-1"), size) << "nothing is thrown away";
  EXPECT_TRUE(opened->store.commit(std::vector{put("a", lease(2, 1))}));
}

TEST_F(LeaseStoreTest, LeavesANewerVersionsDatabaseAlone) {
  { open(); }
  run_sql("PRAGMA user_version=99");
  const auto opened = LeaseStore::open(path_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find("newer version"), std::string::npos) << opened.error();
  EXPECT_FALSE(fs::exists(path_.string() + ".corrupt-1"));
}

TEST_F(LeaseStoreTest, NamesThePathItCannotUse) {
  path_ = folder_ / "absent" / "state.db";
  const auto opened = LeaseStore::open(path_);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find(path_.string()), std::string::npos);
  EXPECT_NE(opened.error().find("No such file"), std::string::npos) << opened.error();
}

TEST_F(LeaseStoreTest, SkipsRowsThatAreNotLeases) {
  { open(); }
  run_sql(
      "INSERT INTO lease VALUES('a','fd00::5','52:54:00:00:00:01',x'','',0,1),('a','192.168.122.9','?',x'','',0,1),"
      "('a','192.168.122.8','52:54:00:00:00:01',x'','',0,1)");
  const auto all = open().load();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->at("a").size(), 1u);
}

TEST_F(LeaseStoreTest, AFullDiskIsAnErrorAndTheStoreLivesOn) {
  LeaseStore store = open();
  ASSERT_EQ(why(store.commit(std::vector{put("a", lease(2, 1))})), "");
  // A file may not grow any more: what a full disk is to a writer, without needing a disk to fill.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit none{4096, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  std::vector<LeaseChange> many;
  for (int i = 0; i < 250; ++i) many.push_back(put("network", lease(static_cast<uint8_t>(i), 1)));
  const auto failed = store.commit(many);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(failed);
  EXPECT_FALSE(failed.error().empty());
  EXPECT_EQ(store.load()->count("network"), 0u) << "all or nothing";
  ASSERT_EQ(why(store.commit(many)), "") << "there is room again";
  EXPECT_EQ(store.load()->at("network").size(), 250u);
  EXPECT_EQ(store.load()->at("a").size(), 1u);
}

TEST_F(LeaseStoreTest, AnotherWriterIsWaitedForAndThenAnError) {
  LeaseStore store = open();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto failed = store.commit(std::vector{put("a", lease(2, 1))});
  EXPECT_FALSE(failed);
  sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_EQ(why(store.commit(std::vector{put("a", lease(2, 1))})), "");
}

}  // namespace
}  // namespace weft::dhcp
