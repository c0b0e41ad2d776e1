// SPDX-License-Identifier: BSD-3-Clause
//
// The packed ring against a guest whose whole memory is the input: rings at fixed places, all else as it comes, two
// bursts received and sent back. Input: features (one byte), ring sizes less one (one byte each), positions (two bytes
// each), then the memory, in 64 KiB of which the rest is zero.
#include "dataplane/vhost/dirty_log.h"
#include "dataplane/vhost/packed_ring.h"

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
constexpr size_t kRingBytes = 8192;
constexpr uint64_t kGuestBase = 0x10000;
constexpr size_t kPreamble = 7;
constexpr uint64_t kLogBytes = 3;  // 24 pages: the guest's second half lies beyond

/// Both rings first: slots, then the two event areas.
void place(RingView& ring, PackedRecord& record, uint8_t* memory, size_t index, const uint8_t* input,
           const DirtyLog& log) {
  const uint8_t features = input[0];
  uint8_t* at = memory + index * kRingBytes;
  ring.size = 1u + input[1 + index];
  ring.packed = {reinterpret_cast<PackedDescriptor*>(at), ring.size,
                 reinterpret_cast<PackedEvent*>(at + kRingBytes - 8),
                 reinterpret_cast<PackedEvent*>(at + kRingBytes - 4)};
  uint16_t bits;
  std::memcpy(&bits, input + 3 + 2 * index, sizeof bits);
  ring.next = PackedPosition::from_bits(bits);
  ring.next.index = static_cast<uint16_t>(ring.next.index % ring.size);
  ring.published = ring.next;
  ring.record = &record;
  begin(record, ring.packed, 1, bits, ring.next);
  ring.features.event_idx = (features & 1) != 0;
  ring.features.mergeable = (features & 2) != 0;
  ring.features.in_order = (features & 4) != 0;
  ring.features.header_size = 12;
  ring.features.offloads = {(features & 8) != 0, (features & 16) != 0, (features & 32) != 0, (features & 64) != 0,
                            false};
  if ((features & 128) != 0) ring.log = {&log, true, true, kGuestBase + (index + 1) * kRingBytes - 4};
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

/// The frames of a burst are within the guest's memory and what their sizes say.
std::vector<Packet*> check_burst(Burst& burst, const uint8_t* memory) {
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

/// What is told of at the end of a burst leaves the ring at a position from which another back end would go on.
void check_ring(const RingView& ring, PackedRecord& record) {
  if (ring.n_used != 0 || ring.next != ring.published || ring.next.index >= ring.size) std::abort();
  const PackedStep step = record.load();
  if (step.n_used != 0 || step.from != step.to || step.to != ring.published) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Guest guest;
  static Burst burst;
  static PackedRecord records[2];
  if (size < kPreamble) return 0;
  std::memset(guest.bytes, 0, kMemory);
  std::memcpy(guest.bytes, data + kPreamble, std::min(size - kPreamble, kMemory));
  RingView rx(*guest.memory, guest.gone), tx(*guest.memory, guest.gone);
  place(rx, records[0], guest.bytes, 0, data, *guest.log);
  place(tx, records[1], guest.bytes, 1, data, *guest.log);
  for (int turn = 0; turn < 2; ++turn) {
    burst.clear();
    packed_rx(rx, burst);
    packed_tx(tx, check_burst(burst, guest.bytes));
    packed_rx_done(rx);
    check_ring(rx, records[0]);
    check_ring(tx, records[1]);
    (void)packed_arm(rx);
    packed_disarm(rx);
  }
  if (guest.gone || !guest.log_is_kept()) std::abort();
  return 0;
}
