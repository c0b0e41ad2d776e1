// SPDX-License-Identifier: BSD-3-Clause
//
// A big zeroed array whose pages cost nothing until they are written: room for the worst case of a table,
// resident memory for the case at hand. Made and destroyed by the control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include <sys/mman.h>

namespace weft::vswitch {

/// T must be usable from zero bytes (std::atomic of an integer, plain structs of these); nothing is
/// constructed.
template <typename T>
class MappedArray {
 public:
  MappedArray() noexcept = default;
  /// `huge`: for a table that is hit all over. What is written is then backed by pages of 2 MiB where the kernel has
  /// them (transparent huge pages at `madvise` or `always`), and an access seldom misses the TLB.
  enum class Pages { small, huge };
  /// Throws std::bad_alloc.
  explicit MappedArray(size_t length, Pages pages = Pages::small) : length_(length) {
    const size_t slack = pages == Pages::huge ? kHugePage : 0;  // huge pages are aligned
    void* p = ::mmap(nullptr, size_bytes() + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                     -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    auto* const begin = static_cast<uint8_t*>(p);
    const size_t before = slack == 0 ? 0 : kHugePage - reinterpret_cast<uintptr_t>(p) % kHugePage;
    if (slack != 0) {
      ::munmap(begin, before);
      const size_t in_pages = (size_bytes() + 4095) & ~size_t{4095};
      if (before != slack) ::munmap(begin + before + in_pages, slack - before);
      ::madvise(begin + before, size_bytes(), MADV_HUGEPAGE);
    }
    data_ = reinterpret_cast<T*>(begin + before);
  }
  ~MappedArray() {
    if (data_ != nullptr) ::munmap(data_, size_bytes());
  }
  MappedArray(MappedArray&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), length_(std::exchange(o.length_, 0)) {}
  MappedArray& operator=(MappedArray&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(length_, o.length_);
    return *this;
  }

  T& operator[](size_t i) noexcept { return data_[i]; }
  const T& operator[](size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] size_t length() const noexcept { return length_; }
  [[nodiscard]] size_t size_bytes() const noexcept { return length_ * sizeof(T); }
  [[nodiscard]] explicit operator bool() const noexcept { return data_ != nullptr; }
  /// All zero again, and its memory back with the kernel. Others may be reading and writing meanwhile.
  void forget_contents() noexcept {
    if (data_ != nullptr) ::madvise(data_, size_bytes(), MADV_DONTNEED);
  }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;
  T* data_ = nullptr;
  size_t length_ = 0;
};

}  // namespace weft::vswitch
