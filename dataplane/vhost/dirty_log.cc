// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/dirty_log.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <sys/mman.h>
#include <sys/stat.h>

namespace weft::dataplane::vhost {

DirtyLog::Result DirtyLog::map(const UniqueFd& fd, uint64_t size, uint64_t offset, std::atomic<bool>& gone) {
  const auto fail = [](std::string_view what) { return tl::unexpected(fmt::format("the log: {}", what)); };
  uint64_t end;
  if (size == 0) return fail("empty");
  if (__builtin_add_overflow(size, offset, &end) || end > uint64_t{1} << 62) return fail("too large");
  struct stat st {};
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return fail("its descriptor is no memory file");
  if (static_cast<uint64_t>(st.st_size) < end)
    return fail(fmt::format("{} bytes from {} on reach beyond its file of {} bytes", size, offset, st.st_size));
  constexpr uint64_t kPage = uint64_t{1} << kPageShift;
  const uint64_t mapped = (end + kPage - 1) / kPage * kPage;
  // From the file's beginning: an offset need not be a multiple of a page.
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (base == MAP_FAILED) return fail(fmt::format("mmap: {}", std::strerror(errno)));
  return std::shared_ptr<const DirtyLog>(new DirtyLog(base, mapped, offset, size, gone));
}

DirtyLog::DirtyLog(void* base, size_t mapped, uint64_t offset, uint64_t size, std::atomic<bool>& gone)
    : base_(base),
      mapped_(mapped),
      bits_(static_cast<uint8_t*>(base) + offset),
      size_(size),
      guard_(base, mapped, gone) {}

DirtyLog::~DirtyLog() { munmap(base_, mapped_); }

}  // namespace weft::dataplane::vhost
