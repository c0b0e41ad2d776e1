// SPDX-License-Identifier: BSD-3-Clause
//
// Guest memory is lent: its owner can truncate the file at any moment, and the next access by a worker ends
// in SIGBUS. The guard's handler then maps zero pages over the whole region, sets the owner's flag, and the
// access is repeated and succeeds: the port is broken, the process and every other port go on.
//
// Theory of operation. Registered ranges stand in a table of atomics that only grows; the handler, which may
// interrupt any thread anywhere, scans it without a lock. A fault outside every range goes to the handler
// that was there before, by default the end of the process. A signal handler cannot be passed anything, so
// the table is the one static object of this folder.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weft::dataplane::vhost {

class MemoryGuard {
 public:
  /// Covers [begin, begin + size) of a mapping (both multiples of its page size) until destroyed; `gone` is
  /// set when its memory has vanished and must outlive this. The first one ever made installs the handler.
  /// Control thread.
  MemoryGuard(void* begin, size_t size, std::atomic<bool>& gone);
  /// No thread may touch the range any more.
  ~MemoryGuard();
  MemoryGuard(const MemoryGuard&) = delete;
  MemoryGuard& operator=(const MemoryGuard&) = delete;

  struct Entry;  // public for the handler only

 private:
  Entry* entry_;
};

}  // namespace weft::dataplane::vhost
