// SPDX-License-Identifier: BSD-3-Clause
//
// One running virtqueue as a worker sees it: plain copies of everything it needs, and its own position. The
// control thread fills a RingView, publishes a pointer to it (port.h), and after unpublishing touches it
// again only when a grace period has passed; between the two it belongs to the worker that serves the queue.
// Layouts: virtio 1.2 §2.7 (split) and §2.8 (packed, packed_layout.h).
#pragma once

#include "dataplane/burst.h"
#include "dataplane/offload.h"
#include "dataplane/vhost/dirty_log.h"
#include "dataplane/vhost/memory.h"
#include "dataplane/vhost/packed_record.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

namespace weft::dataplane::vhost {

/// virtio 1.2 §2.7.5; little-endian, as is every host this runs on.
struct VringDescriptor {
  static constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4;
  uint64_t address;  // guest-physical
  uint32_t size;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(VringDescriptor) == 16);

/// virtio 1.2 §2.7.8.
struct VringUsedElement {
  uint32_t id;
  uint32_t size;
};

/// Available ring: flags, idx, ring[size], used_event. All 16 bits.
inline constexpr size_t vring_available_bytes(size_t size) noexcept { return 4 + 2 * size + 2; }
/// Used ring: flags, idx (16 bits each), ring[size] of elements, avail_event (16 bits).
inline constexpr size_t vring_used_bytes(size_t size) noexcept { return 4 + sizeof(VringUsedElement) * size + 2; }
inline constexpr uint16_t kAvailNoInterrupt = 1;
inline constexpr uint16_t kUsedNoNotify = 1;
inline constexpr uint32_t kMaxRingSize = 32768;

/// The negotiated features that matter for each packet.
struct RingFeatures {
  bool event_idx = false;
  bool mergeable = false;  // MRG_RXBUF
  bool in_order = false;   // IN_ORDER
  uint16_t header_size = 12;
  /// What the guest may leave undone as a sender (CSUM, HOST_*), or takes undone as a receiver (GUEST_*).
  OffloadSet offloads;
};

/// Where a ring's writes are to be marked while its guest migrates; see ring_log.h.
struct RingLog {
  const DirtyLog* pages = nullptr;  // nullptr, as nearly always: nobody asks
  bool has_buffers = false;         // what is written to the guest's buffers is to be marked (LOG_ALL)
  bool has_used = false;            // what is written to the used ring is (VHOST_VRING_F_LOG)
  uint64_t used_address = 0;        // guest-physical, of the used ring's first byte
};

/// A piece of a buffer, here.
struct Piece {
  uint8_t* data;
  uint32_t size;
};

/// Entries of a split ring that were looked at and not taken yet, from last_available on (split_ops.h).
struct EntriesAhead {
  std::array<uint16_t, kBurst> ids;
  std::array<Piece, kBurst> plain;  // data == nullptr: not one plain buffer, or not guest memory
  uint16_t next = 0, n = 0;

  EntriesAhead() noexcept {}  // the arrays are filled before they are read
  [[nodiscard]] bool is_used_up() const noexcept { return next >= n; }
};

struct alignas(64) RingView {
  RingView(const GuestMemory& m, std::atomic<bool>& gone) noexcept : translate(m), memory_gone(&gone) {}

  // --- written before publishing, then read only
  const VringDescriptor* descriptors = nullptr;
  uint16_t* available = nullptr;  // flags, idx, ring …, used_event
  uint8_t* used = nullptr;        // flags, idx, elements …, avail_event
  PackedRing packed;              // with slots it is a packed ring, which has none of the three above
  PackedRecord* record = nullptr;
  uint32_t size = 0;  // ≤ kMaxRingSize; of a split ring a power of two
  RingFeatures features;
  std::atomic<int> call_fd{-1};  // a non-blocking eventfd; -1: the guest polls. Control may change it meanwhile
  bool has_kick = false;         // the guest can kick; otherwise it must be polled
  int trouble_fd = -1;           // eventfd to the control thread: look at is_broken and memory_gone
  RingLog log;

  // --- the worker's
  uint16_t last_available = 0;  // next entry to take
  uint16_t seen_available = 0;  // the guest's index when it was last read: entries before it are there
  uint16_t used_idx = 0;        // next entry to give back
  uint16_t published_idx = 0;   // what the guest has been shown of used_idx
  EntriesAhead ahead;
  PackedPosition next;       // of a packed ring: next slot to take
  PackedPosition published;  // next slot the guest will be told of
  uint16_t n_used = 0;       // elements in the record it has not been told of
  bool reported = false;     // trouble_fd has been written
  Translator translate;

  [[nodiscard]] bool is_packed() const noexcept { return packed.slots != nullptr; }

  /// Set by the worker when the guest's ring makes no sense any more; read by control. A broken ring is dead
  /// until the front end sets it up again.
  std::atomic<bool> is_broken{false};
  const std::atomic<bool>* memory_gone;  // set by the memory guard, one for all rings of a device

  /// Held by a worker while it sends, where there are several. Alone in its line: those who wait read it all the time.
  alignas(64) std::atomic<bool> is_taken{false};
};

}  // namespace weft::dataplane::vhost
