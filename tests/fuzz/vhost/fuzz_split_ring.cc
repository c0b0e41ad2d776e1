// SPDX-License-Identifier: BSD-3-Clause
//
// The split ring against a guest whose whole memory is the input: rings at fixed places, all else as it comes, one
// burst received and sent back. Input: features (one byte), then the memory, in 64 KiB of which the rest is zero.
#include "dataplane/vhost/split_ring.h"
#include "tests/fuzz/vhost/ring_guest.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

using namespace weft::dataplane;
using namespace weft::dataplane::vhost;

namespace {

constexpr uint32_t kRing = 16;

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
  split_tx(tx, check_burst(burst, guest.bytes));
  split_rx_done(rx);
  if (guest.gone || !guest.log_is_kept()) std::abort();
  return 0;
}
