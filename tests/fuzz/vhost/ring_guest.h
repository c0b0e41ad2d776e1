// SPDX-License-Identifier: BSD-3-Clause
//
// A guest for the fuzz targets of the rings: its memory is the input, its dirty log covers the first half of it.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/dirty_log.h"
#include "dataplane/vhost/memory.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace weft::dataplane::vhost {

inline constexpr size_t kMemory = 65536;
inline constexpr uint64_t kGuestBase = 0x10000;
inline constexpr uint64_t kLogBytes = 3;  // 24 pages: the guest's second half lies beyond

struct Guest {
  Guest() : fd(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (ftruncate(fd.get(), kMemory) != 0) std::abort();
    const MemoryRegion region{kGuestBase, kMemory, 0, 0};
    memory = *GuestMemory::map({&region, 1}, {&fd, 1}, gone);
    bytes = memory->from_user(0, kMemory);
    const UniqueFd file(memfd_create("fuzz-log", MFD_CLOEXEC));
    if (ftruncate(file.get(), 4096) != 0) std::abort();
    log = *DirtyLog::map(file, kLogBytes, 0, gone);
    log_bytes = static_cast<const uint8_t*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.get(), 0));
  }
  /// Nothing behind the log was written to.
  [[nodiscard]] bool log_is_kept() const { return log_bytes[kLogBytes] == 0 && log_bytes[kLogBytes + 1] == 0; }
  UniqueFd fd;
  std::atomic<bool> gone{false};
  std::shared_ptr<const GuestMemory> memory;
  uint8_t* bytes;
  std::shared_ptr<const DirtyLog> log;
  const uint8_t* log_bytes;
};

/// The frames of a burst are within the guest's memory and what their sizes say.
inline std::vector<Packet*> check_burst(Burst& burst, const uint8_t* memory) {
  std::vector<Packet*> alive;
  for (Packet& p : burst) {
    if (p.drop != Drop::none) continue;
    uint64_t sum = p.head_size;
    for (const Segment& s : p.payload_segments()) {
      if (s.data < memory || s.data + s.size > memory + kMemory) std::abort();
      sum += s.size;
    }
    if (sum != p.size || p.size > kMaxFrame || p.head_size > kHeaderCopy) std::abort();
    if (p.size > p.head_size && p.head_size != kHeaderCopy) std::abort();
    alive.push_back(&p);
  }
  return alive;
}

}  // namespace weft::dataplane::vhost
