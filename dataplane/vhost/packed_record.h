// SPDX-License-Identifier: BSD-3-Clause
//
// Where packed rings stand, kept where it outlives this process: a small file a port, mapped, one record a ring. Files
// belong into a folder in memory (/run): what is on a disk is written back from time to time, and the next store into
// such a page may wait for the disk.
//
// Theory of operation. A split ring says in guest memory how far its device is; a packed one does not, and a front end
// tells a new back end where the ring was when it was started, not where the old one left it. So the worker keeps the
// position here, by plain stores, and in steps that can be cut off anywhere by the process's end:
//   1. the burst's used elements, then one word: (position, position after them, how many)
//   2. the elements into the guest's ring, the first one's flags last: from here on the guest knows of them
//   3. the word again: (position after them, the same, none)
// Who finds a word with elements looks at the first one's slot. Its flags say used: the guest knew (2 was done), and
// has perhaps made the slot available again since; only 3 is missing. They don't: no element counts for the guest yet,
// it waits at that slot and changes none of those behind it, and 2 may be done, again or for the first time, from the
// record. Either way nothing of the burst is lost or done twice. (A burst that was on its way to another guest, which
// has it, while its sender's ring had not come to 1, is received again: that much can be delivered twice, as with split
// rings.)
//
// Is the guest's ring still the one the record is about? The front end knows resets it was there for: it asks for the
// ring's base when it stops a ring, which ends the record. For a reset while no back end was there three things are
// compared: where the ring lies in the front end, its size and the base the front end names must be the same; the
// device's event suppression area must not be zero, which it is when a driver has made its ring anew and never is while
// a ring of ours runs (kPackedMark); and the slots before and at the position must be as such slots can be. Otherwise
// the ring begins at the base.
#pragma once

#include "dataplane/vhost/packed_layout.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace weft::dataplane::vhost {

/// What the device has done with one buffer, before the guest is told.
struct PackedUsed {
  uint32_t size;  // bytes written to it
  uint16_t id;
  uint16_t slot;  // of the ring, where it is told
};
static_assert(sizeof(PackedUsed) == 8);

/// How a burst of used elements moves a ring's position.
struct PackedStep {
  PackedPosition from, to;
  uint16_t n_used = 0;  // none: from == to
};

/// One ring's. Control writes the first part while no worker has the ring, the worker the rest. Anything may be in it:
/// it comes from a file.
struct alignas(64) PackedRecord {
  /// Most elements of one step: those of one frame merged from most buffers, and again as many.
  static constexpr uint16_t kMaxUsed = 512;

  uint64_t descriptors = 0;  // where the ring is in the front end's memory
  uint32_t size = 0;         // 0: the record says nothing
  uint16_t base = 0;         // what the front end named at the start
  uint64_t step = 0;         // a PackedStep in one word, so that one store changes it whole
  std::array<PackedUsed, kMaxUsed> used;

  /// Stays between the stores before and after it. It is the compiler that must not move it: of a process that ends,
  /// all stores up to some place in the program have been made.
  void store(const PackedStep& s) noexcept {
    const uint64_t word = s.from.bits() | uint64_t{s.to.bits()} << 16 | uint64_t{s.n_used} << 32;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    __atomic_store_n(&step, word, __ATOMIC_RELAXED);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  [[nodiscard]] PackedStep load() const noexcept {
    const uint64_t word = __atomic_load_n(&step, __ATOMIC_RELAXED);
    return {PackedPosition::from_bits(static_cast<uint16_t>(word)),
            PackedPosition::from_bits(static_cast<uint16_t>(word >> 16)), static_cast<uint16_t>(word >> 32)};
  }
};

/// A packed ring in guest memory, whole.
struct PackedRing {
  PackedDescriptor* slots = nullptr;
  uint32_t size = 0;
  PackedEvent* driver_event = nullptr;
  PackedEvent* device_event = nullptr;
};

/// Writes used elements into a ring, the first one's flags last; `first` is the position of the first. Any thread to
/// which the ring belongs.
inline void write_used(const PackedRing& ring, PackedPosition first, const PackedUsed* used, uint16_t n) noexcept {
  using Word [[gnu::may_alias]] = uint64_t;
  const auto store = [&](const PackedUsed& u, bool is_first) {
    const PackedPosition at{u.slot, first.wrap != (u.slot < first.index)};
    // Of a used descriptor WRITE says that its size means something (virtio 1.2 §2.8.4).
    const auto flags = static_cast<uint16_t>(at.used_flags() | (u.size != 0 ? PackedDescriptor::kWrite : 0));
    const uint64_t word = u.size | uint64_t{u.id} << 32 | uint64_t{flags} << 48;
    __atomic_store_n(reinterpret_cast<Word*>(&ring.slots[u.slot].size), word,
                     is_first ? __ATOMIC_RELEASE : __ATOMIC_RELAXED);
  };
  for (uint16_t i = 1; i < n; ++i) store(used[i], /*is_first=*/false);
  store(used[0], /*is_first=*/true);
}

/// The device's event area is never zero while a ring of ours runs: with kEnable this is in its position, which then
/// means nothing.
inline constexpr uint16_t kPackedMark = 0xffff;

/// Ends a step that was cut off (see above) and returns where the ring stands, or nothing when the record is about
/// another ring or an earlier life of it. `descriptors` and `base` as the front end names them. Control, while no
/// worker has the ring.
[[nodiscard]] std::optional<PackedPosition> resume(PackedRecord& record, const PackedRing& ring, uint64_t descriptors,
                                                   uint16_t base) noexcept;
/// The record is about this ring from now on.
void begin(PackedRecord& record, const PackedRing& ring, uint64_t descriptors, uint16_t base,
           PackedPosition position) noexcept;

/// The records of one port's rings. Control makes and destroys it; workers write to the records of rings they serve.
class PackedRecords {
 public:
  /// For `n_rings` rings, in the file `path`, which is made when it is not there and cleared when it is of another
  /// kind; without a path in memory that ends with the process. Throws std::runtime_error, in one line, when the file
  /// cannot be had.
  PackedRecords(std::string path, uint16_t n_rings);
  /// Removes the file when it says nothing about any ring.
  ~PackedRecords();
  PackedRecords(const PackedRecords&) = delete;
  PackedRecords& operator=(const PackedRecords&) = delete;

  [[nodiscard]] PackedRecord& operator[](uint16_t ring) noexcept { return records_[ring]; }

 private:
  std::string path_;
  void* mapping_;
  size_t bytes_;
  std::span<PackedRecord> records_;
};

}  // namespace weft::dataplane::vhost
