// SPDX-License-Identifier: BSD-3-Clause
//
// Kills a process that commits leases at random moments, and looks whether everything it acknowledged is there. The
// child writes each lease to a pipe once its completion has run, as weftd would send the ACK. WEFT_LONG=1: 100 rounds.
#include "dhcp/store_thread.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

namespace weft::dhcp {
namespace {

namespace fs = std::filesystem;

struct Acknowledged {
  uint32_t address;
  uint64_t serial;
};

LeaseChange change(uint32_t address, uint64_t serial) {
  Lease lease;
  lease.address = wire::Ipv4Address(address);
  lease.mac = wire::MacAddress::from_u64(address);
  lease.hostname = "vm" + std::to_string(address);
  lease.serial = serial;
  return {"net", serial, {}, lease};
}

/// Puts leases as fast as the store takes them, until it is killed.
[[noreturn]] void run_child(const fs::path& path, int pipe_fd, uint64_t first_serial, uint64_t seed) {
  auto opened = LeaseStore::open(path);
  if (!opened || !opened->warning.empty()) _exit(3);
  StoreThread thread(
      std::move(opened->store),
      [&](std::vector<Completion> batch) {
        for (const Completion& c : batch) {
          if (!c.error.empty()) _exit(4);
          const Acknowledged record{c.change.put->address.host(), c.change.serial};
          if (write(pipe_fd, &record, sizeof record) != sizeof record) _exit(5);
        }
      },
      64);
  std::mt19937_64 rng(seed);
  for (uint64_t serial = first_serial;;) {
    const auto address = static_cast<uint32_t>(0x0a000000 + rng() % 500);
    if (thread.submit(change(address, serial), {}))
      ++serial;
    else
      std::this_thread::yield();
  }
}

TEST(LeaseStoreKill, NoAcknowledgedLeaseIsLost) {
  const char* is_long = std::getenv("WEFT_LONG");
  const int rounds = is_long != nullptr && std::string_view(is_long) == "1" ? 100 : 25;
  std::string pattern = (fs::temp_directory_path() / "weft-lease-kill-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const fs::path folder = pattern, path = folder / "state.db";

  std::map<uint32_t, uint64_t> newest;  // of what was acknowledged, by address
  uint64_t serial = 1, acknowledged = 0;
  std::mt19937_64 rng(20240501);
  for (int round = 0; round < rounds; ++round) {
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(fds[0]);
      run_child(path, fds[1], serial, rng());
    }
    close(fds[1]);
    // From before the database is open to well into the commits; the pipe is read on meanwhile, or the child would
    // stop.
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(rng() % 120'000);
    std::thread killer([&] {
      std::this_thread::sleep_until(end);
      kill(child, SIGKILL);
    });
    Acknowledged record;
    while (read(fds[0], &record, sizeof record) == sizeof record) {
      newest[record.address] = std::max(newest[record.address], record.serial);
      serial = std::max(serial, record.serial);
      ++acknowledged;
    }
    killer.join();
    close(fds[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);

    auto opened = LeaseStore::open(path);
    ASSERT_TRUE(opened) << opened.error();
    ASSERT_EQ(opened->warning, "");
    const auto all = opened->store.load();
    ASSERT_TRUE(all);
    std::map<uint32_t, Lease> kept;
    if (const auto net = all->find("net"); net != all->end())
      for (const Lease& lease : net->second) kept[lease.address.host()] = lease;
    for (const auto& [address, at_least] : newest) {
      ASSERT_TRUE(kept.contains(address)) << "round " << round;
      ASSERT_GE(kept[address].serial, at_least) << "round " << round;
      ASSERT_EQ(kept[address].hostname, "vm" + std::to_string(address));
      serial = std::max(serial, kept[address].serial);
    }
    ++serial;
  }
  EXPECT_GT(acknowledged, static_cast<uint64_t>(rounds)) << "the test must have tested something";
  std::printf("%d kills, %llu acknowledged leases\n", rounds, static_cast<unsigned long long>(acknowledged));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace weft::dhcp
