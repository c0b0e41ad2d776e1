// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/memory.h"

#include <csignal>

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace weft::dataplane::vhost {
namespace {

constexpr uint64_t kPage = 4096;

UniqueFd make_file(uint64_t size) {
  UniqueFd fd(memfd_create("guest", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  return fd;
}

class VhostMemory : public ::testing::Test {
 protected:
  std::string error_of(const MemoryRegion& region, uint64_t file_size) {
    const UniqueFd fds[] = {make_file(file_size)};
    const auto memory = GuestMemory::map({&region, 1}, fds, gone_);
    return memory ? "" : memory.error();
  }
  std::atomic<bool> gone_{false};
};

TEST_F(VhostMemory, AddressesAreTranslatedOnlyWhenAllBytesLieInOneRegion) {
  const MemoryRegion regions[] = {{0x200000, 2 * kPage, 0x7f0000200000, kPage},
                                  {0x100000, 2 * kPage, 0x7f0000000000, 0},
                                  {0x100000 + 2 * kPage, kPage, 0x7f0000300000, 0}};
  const UniqueFd fds[] = {make_file(3 * kPage), make_file(2 * kPage), make_file(kPage)};
  const uint8_t marker = 0x5a;
  ASSERT_EQ(pwrite(fds[0].get(), &marker, 1, static_cast<off_t>(kPage) + 100), 1);
  const auto memory = GuestMemory::map(regions, fds, gone_);
  ASSERT_TRUE(memory) << memory.error();
  Translator translate(**memory);

  ASSERT_NE(translate(0x200064, 1), nullptr);
  EXPECT_EQ(*translate(0x200064, 1), marker) << "the file offset counts";
  EXPECT_EQ((*memory)->from_user(0x7f0000200064, 1), translate(0x200064, 1));
  EXPECT_NE(translate(0x200000, 2 * kPage), nullptr);
  EXPECT_EQ(translate(0x200000, 2 * kPage + 1), nullptr);
  EXPECT_EQ(translate(0x200000 + 2 * kPage, 1), nullptr);
  EXPECT_EQ(translate(0x1fffff, 2), nullptr);
  EXPECT_NE(translate(0x100000 + 2 * kPage - 1, 1), nullptr);
  EXPECT_EQ(translate(0x100000 + 2 * kPage - 1, 2), nullptr) << "contiguous in the guest, but not here";
  EXPECT_EQ(translate(0, 1), nullptr);
  EXPECT_EQ(translate(~uint64_t{0}, 1), nullptr);
  EXPECT_EQ(translate(0x200001, ~uint64_t{0}), nullptr) << "the end must not wrap";
  EXPECT_EQ((*memory)->from_user(0x7f0000200000 + 2 * kPage, 1), nullptr);
}

TEST_F(VhostMemory, RegionsThatMakeNoSenseAreRefused) {
  EXPECT_EQ(error_of({0, kPage, 0, 0}, kPage), "");
  EXPECT_NE(error_of({0, 0, 0, 0}, kPage), "") << "empty";
  EXPECT_NE(error_of({0, 2 * kPage, 0, 0}, kPage), "") << "larger than its file";
  EXPECT_NE(error_of({0, kPage, 0, kPage}, kPage), "") << "offset beyond its file";
  EXPECT_NE(error_of({100, kPage, 0, 0}, kPage), "") << "misaligned";
  EXPECT_NE(error_of({0, kPage, 0, ~(kPage - 1)}, kPage), "") << "offset + size wraps";
  EXPECT_NE(error_of({~(kPage - 1), 2 * kPage, 0, 0}, 2 * kPage), "") << "guest address wraps";
  EXPECT_NE(error_of({0, kPage, ~(kPage - 1), 0}, kPage), "") << "user address wraps";

  const MemoryRegion overlapping[] = {{0, 2 * kPage, 0x10000, 0}, {kPage, kPage, 0x20000, 0}};
  const UniqueFd fds[] = {make_file(2 * kPage), make_file(kPage)};
  EXPECT_FALSE(GuestMemory::map(overlapping, fds, gone_));
  const MemoryRegion overlapping_user[] = {{0, 2 * kPage, 0x10000, 0}, {0x100000, kPage, 0x11000, 0}};
  EXPECT_FALSE(GuestMemory::map(overlapping_user, fds, gone_));
}

TEST_F(VhostMemory, OnlyFilesAreMemory) {
  const MemoryRegion region{0, kPage, 0, 0};
  UniqueFd fds[1];
  fds[0].reset(eventfd(0, EFD_CLOEXEC));
  EXPECT_FALSE(GuestMemory::map({&region, 1}, fds, gone_));
}

TEST_F(VhostMemory, RegionsComeAndGoWithoutDisturbingTheOthers) {
  const UniqueFd a = make_file(kPage), b = make_file(kPage);
  const GuestMemory none;
  auto one = none.with({0x1000, kPage, 0x10000, 0}, a, gone_);
  ASSERT_TRUE(one);
  auto two = (*one)->with({0x8000, kPage, 0x20000, 0}, b, gone_);
  ASSERT_TRUE(two);
  uint8_t* const at = (*two)->from_user(0x10000, 1);
  EXPECT_EQ(at, (*one)->from_user(0x10000, 1)) << "mapped once";
  EXPECT_FALSE((*two)->with({0x8000, kPage, 0x30000, 0}, b, gone_));
  auto rest = (*two)->without({0x8000, kPage, 0x20000, 0});
  ASSERT_TRUE(rest);
  EXPECT_FALSE((*rest)->without({0x8000, kPage, 0x20000, 0}));
  one = two = tl::unexpected(std::string());
  *at = 1;  // still mapped: `rest` holds it
  EXPECT_EQ((*rest)->regions().size(), 1u);
}

TEST_F(VhostMemory, TableHasALimit) {
  const UniqueFd fd = make_file(kPage);
  auto memory = std::make_shared<const GuestMemory>();
  for (size_t i = 0; i < kMaxRegions; ++i) {
    auto more = memory->with({i * kPage, kPage, i * kPage, 0}, fd, gone_);
    ASSERT_TRUE(more) << more.error();
    memory = *more;
  }
  EXPECT_FALSE(memory->with({kMaxRegions * kPage, kPage, kMaxRegions * kPage, 0}, fd, gone_));
  EXPECT_NE(memory->find(77 * kPage, kPage), nullptr);
}

TEST_F(VhostMemory, TruncatedFileReadsAsZerosAndSaysSo) {
  const MemoryRegion region{0, 4 * kPage, 0, 0};
  const UniqueFd fds[] = {make_file(4 * kPage)};
  auto memory = GuestMemory::map({&region, 1}, fds, gone_);
  ASSERT_TRUE(memory);
  volatile uint8_t* p = (*memory)->from_user(3 * kPage, 1);
  *p = 42;
  ASSERT_EQ(ftruncate(fds[0].get(), 0), 0);
  EXPECT_EQ(*p, 0);
  EXPECT_TRUE(gone_.load());
  *p = 7;
  EXPECT_EQ(*p, 7) << "writes go to memory of our own";
}

TEST_F(VhostMemory, OneRegionsEndLeavesTheOthersAlone) {
  std::atomic<bool> other_gone{false};
  const MemoryRegion region{0, kPage, 0, 0};
  const UniqueFd first[] = {make_file(kPage)}, second[] = {make_file(kPage)};
  auto a = GuestMemory::map({&region, 1}, first, gone_);
  auto b = GuestMemory::map({&region, 1}, second, other_gone);
  ASSERT_TRUE(a && b);
  volatile uint8_t* q = (*b)->from_user(0, 1);
  *q = 9;
  ASSERT_EQ(ftruncate(first[0].get(), 0), 0);
  EXPECT_EQ(*static_cast<volatile uint8_t*>((*a)->from_user(0, 1)), 0);
  EXPECT_TRUE(gone_.load());
  EXPECT_FALSE(other_gone.load());
  EXPECT_EQ(*q, 9);
}

/// Lends memory, so that the handler is there, then truncates a file of its own under its own feet.
[[noreturn]] void fault_elsewhere() {
  std::atomic<bool> gone{false};
  const MemoryRegion region{0, kPage, 0, 0};
  const UniqueFd lent[] = {make_file(kPage)};
  const auto memory = GuestMemory::map({&region, 1}, lent, gone);
  const UniqueFd own = make_file(kPage);
  auto* p = static_cast<volatile uint8_t*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, own.get(), 0));
  if (ftruncate(own.get(), 0) == 0) (void)*p;
  _exit(0);
}

TEST(VhostMemoryDeathTest, FaultsElsewhereStillEndTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(fault_elsewhere(), ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace weft::dataplane::vhost
