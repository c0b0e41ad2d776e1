// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/memory.h"

#include "dataplane/vhost/memory_guard.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace weft::dataplane::vhost {
namespace {

constexpr uint64_t kPage = 4096;

bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) noexcept {
  return a < b ? b - a < a_size : a - b < b_size;
}

/// Regions of hugetlbfs can be mapped and unmapped only in whole pages of theirs.
uint64_t mapping_page(int fd) noexcept {
  struct statfs fs {};
  if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0) return static_cast<uint64_t>(fs.f_bsize);
  return kPage;
}

std::string describe(const MemoryRegion& r) {
  return fmt::format("memory region {:#x} + {:#x}", r.guest_address, r.size);
}

}  // namespace

class GuestMemory::Mapping {
 public:
  Mapping(void* base, size_t size, std::atomic<bool>& gone) : base_(base), size_(size), guard_(base, size, gone) {}
  /// Nobody touches the range any more, so the guard may outlive it by a moment; were it to go first, its
  /// entry could be reused while the range is still mapped, which is just as harmless.
  ~Mapping() { munmap(base_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] uint8_t* at(uint64_t offset) const noexcept { return static_cast<uint8_t*>(base_) + offset; }

 private:
  void* base_;
  size_t size_;
  MemoryGuard guard_;
};

GuestMemory::~GuestMemory() = default;

tl::expected<void, std::string> GuestMemory::add(const MemoryRegion& r, int fd, std::atomic<bool>& gone) {
  const auto fail = [&](std::string_view what) { return tl::unexpected(fmt::format("{}: {}", describe(r), what)); };
  if (regions_.size() == kMaxRegions) return fail(fmt::format("more than {} regions", kMaxRegions));
  if (r.size == 0) return fail("empty");
  if (((r.guest_address | r.user_address | r.file_offset | r.size) & (kPage - 1)) != 0) return fail("not page-aligned");
  uint64_t end;
  if (__builtin_add_overflow(r.guest_address, r.size, &end) || __builtin_add_overflow(r.user_address, r.size, &end) ||
      __builtin_add_overflow(r.file_offset, r.size, &end) || end > uint64_t{1} << 62)
    return fail("too large");
  for (const Region& other : regions_) {
    if (overlaps(r.guest_address, r.size, other.guest, other.size)) return fail("overlaps another in the guest");
    if (overlaps(r.user_address, r.size, other.user, other.size)) return fail("overlaps another in the front end");
  }
  struct stat st {};
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return fail("its descriptor is no memory file");
  if (static_cast<uint64_t>(st.st_size) < end)
    return fail(fmt::format("reaches beyond its file of {} bytes", st.st_size));

  const uint64_t page = mapping_page(fd);
  const uint64_t size = (end + page - 1) / page * page;
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) return fail(fmt::format("mmap: {}", std::strerror(errno)));
  madvise(base, size, MADV_DONTDUMP);
  auto mapping = std::make_shared<Mapping>(base, size, gone);

  const auto place = std::ranges::upper_bound(regions_, r.guest_address, {}, &Region::guest) - regions_.begin();
  regions_.insert(regions_.begin() + place, {r.guest_address, r.size, mapping->at(r.file_offset), r.user_address});
  mappings_.insert(mappings_.begin() + place, std::move(mapping));
  return {};
}

GuestMemory::Result GuestMemory::map(std::span<const MemoryRegion> regions, std::span<const UniqueFd> fds,
                                     std::atomic<bool>& gone) {
  auto memory = std::make_shared<GuestMemory>();
  for (size_t i = 0; i < regions.size(); ++i) {
    if (auto done = memory->add(regions[i], fds[i].get(), gone); !done) return tl::unexpected(done.error());
  }
  return memory;
}

GuestMemory::Result GuestMemory::with(const MemoryRegion& region, const UniqueFd& fd, std::atomic<bool>& gone) const {
  auto memory = std::make_shared<GuestMemory>(*this);
  if (auto done = memory->add(region, fd.get(), gone); !done) return tl::unexpected(done.error());
  return memory;
}

std::vector<GuestMemory::Region>::const_iterator GuestMemory::find(const MemoryRegion& region) const noexcept {
  return std::ranges::find_if(regions_, [&](const Region& r) {
    return is_same({r.guest, r.size, r.user, region.file_offset}, region);
  });
}

bool GuestMemory::has(const MemoryRegion& region) const noexcept { return find(region) != regions_.end(); }

GuestMemory::Result GuestMemory::without(const MemoryRegion& region) const {
  const auto found = find(region);
  if (found == regions_.end()) return tl::unexpected(describe(region) + ": no such region to remove");
  auto memory = std::make_shared<GuestMemory>(*this);
  const auto place = found - regions_.begin();
  memory->regions_.erase(memory->regions_.begin() + place);
  memory->mappings_.erase(memory->mappings_.begin() + place);
  return memory;
}

const GuestMemory::Region* GuestMemory::find(uint64_t address, uint64_t size) const noexcept {
  auto after = std::ranges::upper_bound(regions_, address, {}, &Region::guest);
  if (after == regions_.begin()) return nullptr;
  const Region& r = *--after;
  const uint64_t offset = address - r.guest;
  return offset < r.size && size <= r.size - offset ? &r : nullptr;
}

uint8_t* GuestMemory::from_user(uint64_t address, uint64_t size) const noexcept {
  for (const Region& r : regions_) {
    const uint64_t offset = address - r.user;
    if (offset < r.size && size <= r.size - offset) return r.host + offset;
  }
  return nullptr;
}

std::optional<uint64_t> GuestMemory::to_guest(const uint8_t* host) const noexcept {
  for (const Region& r : regions_) {
    const auto offset = reinterpret_cast<uintptr_t>(host) - reinterpret_cast<uintptr_t>(r.host);
    if (offset < r.size) return r.guest + offset;
  }
  return std::nullopt;
}

}  // namespace weft::dataplane::vhost
