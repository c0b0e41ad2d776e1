// SPDX-License-Identifier: BSD-3-Clause
//
// The split ring against a guest whose whole memory is the input: rings at fixed places, all else as it comes, one
// burst received and sent back. Input: features (one byte), then the memory, in 64 KiB of which the rest is zero.
#include "dataplane/vhost/dirty_log.h"
#include "dataplane/vhost/split_ring.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include <sys/mman.h>

using namespace weft::dataplane;
using namespace weft::dataplane::vhost;

namespace {

constexpr size_t kMemory = 65536;
constexpr uint32_t kRing = 16;
constexpr uint64_t kGuestBase = 0x10000;
constexpr uint64_t kLogBytes = 3;  // 24 pages: the guest's second half lies beyond

/// Both rings first: descriptors, available, used; 512 bytes each ring.
void place(RingView& ring, uint8_t* memory, size_t index, uint8_t features, const DirtyLog& log) {
  uint8_t* at = memory + index * 1024;
  ring.descriptors = reinterpret_cast<const VringDescriptor*>(at);
  ring.available = reinterpret_cast<uint16_t*>(at + 256);
  ring.used = at + 512;
  ring.size = kRing;
  ring.features.event_idx = (features & 1) != 0;
  ring.features.mergeable = (features & 2) != 0;
  ring.features.header_size = (features & 4) != 0 ? 12 : 10;
  ring.features.offloads = {(features & 8) != 0, (features & 16) != 0, (features & 32) != 0, (features & 64) != 0,
                            false};
  if ((features & 128) != 0) ring.log = {&log, true, true, kGuestBase + index * 1024 + 512};
}

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Guest guest;
  static Burst burst;
  if (size < 1) return 0;
  std::memset(guest.bytes, 0, kMemory);
  std::memcpy(guest.bytes, data + 1, std::min(size - 1, kMemory));
  RingView rx(*guest.memory, guest.gone), tx(*guest.memory, guest.gone);
  place(rx, guest.bytes, 0, data[0], *guest.log);
  place(tx, guest.bytes, 1, data[0], *guest.log);
  burst.clear();
  split_rx(rx, burst);
  std::vector<Packet*> alive;
  for (Packet& p : burst) {
    if (p.drop != Drop::none) continue;
    uint64_t sum = p.head_size;
    for (const Segment& s : p.payload_segments()) {
      if (s.data < guest.bytes || s.data + s.size > guest.bytes + kMemory) std::abort();
      sum += s.size;
    }
    if (sum != p.size || p.size > kMaxFrame || p.head_size > kHeaderCopy) std::abort();
    if (p.size > p.head_size && p.head_size != kHeaderCopy) std::abort();
    alive.push_back(&p);
  }
  split_tx(tx, alive);
  split_rx_done(rx);
  if (guest.gone || !guest.log_is_kept()) std::abort();
  return 0;
}
