// SPDX-License-Identifier: BSD-3-Clause
//
// An array of its largest size from the start, in address space only: a page costs memory once it is touched,
// all elements are zero until then. So tables grow without a copy or a pause, and an idle daemon stays small.
// Made and destroyed by the control thread, used by its owner.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

#include <sys/mman.h>

namespace weft::nat {

template <class T>
class LazyArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  /// Throws std::bad_alloc when there is no such address space.
  explicit LazyArray(size_t n) : n_(n) {
    if (n == 0) return;
    void* p = mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(p);
  }
  ~LazyArray() {
    if (data_ != nullptr) munmap(data_, n_ * sizeof(T));
  }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;

  T& operator[](size_t i) noexcept { return data_[i]; }
  const T& operator[](size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] size_t size() const noexcept { return n_; }
  /// Gives the memory of the first `n` elements back; they are zero again. A system call.
  void release(size_t n) noexcept {
    if (n != 0) madvise(data_, n * sizeof(T), MADV_DONTNEED);
  }

 private:
  T* data_ = nullptr;
  size_t n_;
};

}  // namespace weft::nat
