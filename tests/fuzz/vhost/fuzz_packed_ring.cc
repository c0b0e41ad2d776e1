// SPDX-License-Identifier: BSD-3-Clause
//
// The packed ring against a guest whose whole memory is the input: rings at fixed places, all else as it comes, two
// bursts received and sent back. Input: features (one byte), ring sizes less one (one byte each), positions (two bytes
// each), then the memory, in 64 KiB of which the rest is zero.
#include "dataplane/vhost/packed_ring.h"
#include "tests/fuzz/vhost/ring_guest.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

using namespace weft::dataplane;
using namespace weft::dataplane::vhost;

namespace {

constexpr size_t kRingBytes = 8192;
constexpr size_t kPreamble = 7;

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
