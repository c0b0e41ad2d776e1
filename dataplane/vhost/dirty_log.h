// SPDX-License-Identifier: BSD-3-Clause
//
// The dirty-page log: a bitmap the front end lends while its guest migrates, one bit a page of 4096 bytes of
// guest-physical memory. Whoever writes to the guest's memory sets the page's bit after the write, and the front end
// copies the page (again). Made and replaced by control; workers only mark. QEMU's docs/interop/vhost-user,
// "Migration".
#pragma once

#include "dataplane/vhost/fd.h"
#include "dataplane/vhost/memory_guard.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <tl/expected.hpp>

namespace weft::dataplane::vhost {

class DirtyLog {
 public:
  static constexpr unsigned kPageShift = 12;
  using Result = tl::expected<std::shared_ptr<const DirtyLog>, std::string>;

  /// Maps `size` bytes of the file from `offset` on; the descriptor stays the caller's. `gone` is set by the guard when
  /// the file is cut short later; it must outlive the log. Errors, in words: empty, larger than its file, no memory
  /// file, mmap's own. Control thread; a worker may be marking until a grace period has passed since the last ring
  /// that has the log was unpublished.
  static Result map(const UniqueFd& fd, uint64_t size, uint64_t offset, std::atomic<bool>& gone);
  ~DirtyLog();
  DirtyLog(const DirtyLog&) = delete;
  DirtyLog& operator=(const DirtyLog&) = delete;

  /// The `size` bytes of guest-physical memory from `address` on have been written. The write is visible before the
  /// mark is (each mark is a full barrier), so that a front end that finds the bit finds the bytes. Pages beyond the
  /// log are left out, and kept for has_missed(). Any worker.
  void mark(uint64_t address, uint64_t size) const noexcept {
    if (size == 0) return;
    uint64_t last;
    if (__builtin_add_overflow(address, size - 1, &last)) last = ~uint64_t{0};
    const uint64_t n = n_pages(), end = std::min((last >> kPageShift) + 1, n);
    if ((last >> kPageShift) >= n) [[unlikely]]
      missed_.store(true, std::memory_order_relaxed);
    // Not "is it set already?": the front end may have taken the bit, and be copying the page, before our write is
    // visible. The locked instruction is what orders the two.
    for (uint64_t page = address >> kPageShift; page < end; ++page)
      __atomic_fetch_or(bits_ + page / 8, static_cast<uint8_t>(1u << (page % 8)), __ATOMIC_SEQ_CST);
  }

  /// Whether a page was written that the log has no bit for. Any thread.
  [[nodiscard]] bool has_missed() const noexcept { return missed_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t n_pages() const noexcept { return size_ * 8; }

 private:
  DirtyLog(void* base, size_t mapped, uint64_t offset, uint64_t size, std::atomic<bool>& gone);

  void* base_;
  size_t mapped_;
  uint8_t* bits_;
  uint64_t size_;  // bytes
  MemoryGuard guard_;
  mutable std::atomic<bool> missed_{false};
};

}  // namespace weft::dataplane::vhost
