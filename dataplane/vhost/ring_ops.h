// SPDX-License-Identifier: BSD-3-Clause
//
// What all sides of all rings share: reading guest memory exactly once, the pieces a frame lies in, reporting trouble.
// Internal to the files that take frames in and send them out. Worker.
#pragma once

#include "dataplane/vhost/fd.h"
#include "dataplane/vhost/ring.h"
#include "dataplane/vhost/ring_log.h"

#include <array>
#include <cstring>

namespace weft::dataplane::vhost {

/// A 16-bit ring field, which the guest may be writing.
inline uint16_t load_once(const uint16_t* field) noexcept { return __atomic_load_n(field, __ATOMIC_RELAXED); }

/// A descriptor of any alignment, read once: the barriers keep the compiler from reading it again after the checks.
template <class Descriptor>
inline Descriptor load_once(const Descriptor* source) noexcept {
  uint64_t words[2];
  static_assert(sizeof(Descriptor) == sizeof words);
  std::memcpy(words, source, sizeof words);
  asm volatile("" : "+r"(words[0]), "+r"(words[1]));
  Descriptor d;
  std::memcpy(&d, words, sizeof d);
  return d;
}

inline constexpr uintptr_t kCacheLine = 64;

/// Fetches the lines of [data, data + size), to be read (0) or written (1). Any pointer will do.
template <int kIsWrite>
inline void prefetch(const void* data, size_t size) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  for (uintptr_t line = begin & ~(kCacheLine - 1); line < begin + size; line += kCacheLine)
    __builtin_prefetch(reinterpret_cast<const void*>(line), kIsWrite);
}

/// Fetches where a frame begins: its virtio-net header and it hardly ever fit into one line. Any pointer will do.
template <int kIsWrite>
inline void prefetch_frame(const uint8_t* data) noexcept {
  __builtin_prefetch(data, kIsWrite);
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(data) + kCacheLine), kIsWrite);
}

/// Small copies inline, in 16-byte pieces of which the last may overlap: no call, no bytes beyond `size`.
inline void copy_small(uint8_t* to, const uint8_t* from, size_t size) noexcept {
  struct Words {
    uint64_t words[2];
  };
  const auto piece = [&](size_t at) {
    Words w;
    std::memcpy(&w, from + at, sizeof w);
    std::memcpy(to + at, &w, sizeof w);
  };
  if (size > 32 && size <= 64) {  // most frames
    piece(0);
    piece(16);
    piece(size - 32);
    piece(size - 16);
  } else if (size >= 16) {
    for (size_t at = 0; at + 16 < size; at += 16) std::memcpy(to + at, from + at, 16);
    std::memcpy(to + size - 16, from + size - 16, 16);
  } else if (size >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + size - 8, from + size - 8, 8);
  } else {
    for (size_t at = 0; at < size; ++at) to[at] = from[at];
  }
}

/// Wakes the control thread, once a ring: it will look at is_broken and memory_gone.
inline void report_trouble(RingView& ring) noexcept {
  if (ring.reported) return;
  ring.reported = true;
  if (ring.trouble_fd >= 0) signal_eventfd(ring.trouble_fd);
}

inline void break_ring(RingView& ring) noexcept {
  ring.is_broken.store(true, std::memory_order_relaxed);
  report_trouble(ring);
}

inline bool is_memory_gone(const RingView& ring) noexcept { return ring.memory_gone->load(std::memory_order_acquire); }

/// Most pieces a chain, or a frame's merged buffers together, may have. Enough for 64 KiB in pieces of 128
/// bytes.
inline constexpr uint16_t kMaxPieces = 512;

struct PieceList {
  std::array<Piece, kMaxPieces> pieces;
  uint16_t most = kMaxPieces;
  uint16_t n = 0;
  uint64_t total = 0;  // bytes

  PieceList() noexcept {}  // the array stays as it is: it is filled before it is read
};

enum class Walk {
  ok,
  bad,       // not a chain, or not of what it should be
  too_long,  // more pieces than the list may have
  none,      // nothing is available
  broken,    // where the next one begins cannot be said
};

/// Appends the piece that a descriptor, of a ring or of a table, names.
template <class Descriptor>
inline Walk add_piece(RingView& ring, const Descriptor& d, bool is_writable, uint16_t max, PieceList& list) noexcept {
  if (((d.flags & Descriptor::kWrite) != 0) != is_writable || d.size == 0) return Walk::bad;
  uint8_t* data = ring.translate(d.address, d.size);
  if (data == nullptr) return Walk::bad;
  if (list.n == max) return Walk::too_long;
  list.pieces[list.n++] = {data, d.size};
  list.total += d.size;
  return Walk::ok;
}

}  // namespace weft::dataplane::vhost
