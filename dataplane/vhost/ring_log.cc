// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/ring_log.h"

#include "dataplane/packet.h"
#include "dataplane/vhost/packed_ops.h"
#include "dataplane/vhost/split_ops.h"

#include <algorithm>
#include <span>

namespace weft::dataplane::vhost {
namespace {

/// No used element says more of a frame of ours; a guest that writes to its own used ring gets no more done.
constexpr uint32_t kMaxElement = kMaxFrame + 64;  // its header, and a tag or two

/// Marks the first `size` bytes of the chain that starts at descriptor `head`. It was walked before, when it was
/// written to, and is bounded the same way.
void log_chain(RingView& ring, uint32_t head, uint32_t size) noexcept {
  const VringDescriptor* table = ring.descriptors;
  uint32_t n_table = ring.size, index = head;
  bool is_indirect = false;
  for (uint16_t steps = 0; size != 0 && index < n_table && steps <= kMaxPieces; ++steps) {
    const VringDescriptor d = load_once(&table[index]);
    if ((d.flags & VringDescriptor::kIndirect) != 0) {
      if (is_indirect) return;
      table = reinterpret_cast<const VringDescriptor*>(ring.translate(d.address, d.size));
      if (table == nullptr) return;
      n_table = d.size / sizeof(VringDescriptor);
      index = 0;
      is_indirect = true;
      continue;
    }
    const uint32_t here = std::min(size, d.size);
    ring.log.pages->mark(d.address, here);
    size -= here;
    if ((d.flags & VringDescriptor::kNext) == 0) return;
    index = d.next;
  }
}

/// The same of a packed ring's buffer that begins in `slot`.
void log_slot_chain(RingView& ring, uint32_t slot, uint32_t size) noexcept {
  const auto mark = [&](uint64_t address, uint32_t bytes) {
    const uint32_t here = std::min(size, bytes);
    ring.log.pages->mark(address, here);
    size -= here;
  };
  for (uint16_t steps = 0; size != 0 && slot < ring.packed.size && steps <= kMaxPieces; ++steps) {
    const PackedDescriptor d = load_once(&ring.packed.slots[slot]);
    if ((d.flags & PackedDescriptor::kIndirect) != 0) {
      const uint8_t* const table = ring.translate(d.address, d.size);
      for (uint32_t at = 0;
           table != nullptr && size != 0 && at + sizeof(PackedDescriptor) <= d.size && steps <= kMaxPieces;
           at += sizeof(PackedDescriptor), ++steps) {
        const VringDescriptor entry = load_once(reinterpret_cast<const VringDescriptor*>(table + at));
        mark(entry.address, entry.size);
      }
      return;
    }
    mark(d.address, d.size);
    if ((d.flags & PackedDescriptor::kNext) == 0) return;
    slot = slot + 1 == ring.packed.size ? 0 : slot + 1;
  }
}

/// `size` bytes from `data` on, within one region of the guest's memory, have been written.
void log_memory(const RingView& ring, const void* data, size_t size) noexcept {
  if (const auto address = ring.translate.to_guest(static_cast<const uint8_t*>(data)))
    ring.log.pages->mark(*address, size);
}

}  // namespace

void log_buffers(RingView& ring, uint16_t begin, uint16_t end) noexcept {
  if (!ring.log.has_buffers) return;
  for (uint16_t i = begin; i != end; ++i) {
    VringUsedElement e;
    std::memcpy(&e, ring.used + 4 + sizeof e * (i & (ring.size - 1)), sizeof e);
    log_chain(ring, e.id, std::min(e.size, kMaxElement));
  }
}

void log_used_elements(const RingView& ring, uint16_t begin, uint16_t end) noexcept {
  const size_t n = static_cast<uint16_t>(end - begin), first = begin & (ring.size - 1);
  const size_t before_wrap = std::min<size_t>(n, ring.size - first);
  log_used(ring, 2, sizeof(uint16_t));
  log_used(ring, 4 + sizeof(VringUsedElement) * first, sizeof(VringUsedElement) * before_wrap);
  if (n > before_wrap) log_used(ring, 4, sizeof(VringUsedElement) * (n - before_wrap));
}

void log_used(const RingView& ring, size_t offset, size_t size) noexcept {
  if (ring.log.has_used) ring.log.pages->mark(ring.log.used_address + offset, size);
}

void log_slot_buffers(RingView& ring) noexcept {
  if (!ring.log.has_buffers) return;
  for (const PackedUsed& u : std::span(ring.record->used).first(ring.n_used))
    log_slot_chain(ring, u.slot, std::min(u.size, kMaxElement));
}

void log_slots(const RingView& ring) noexcept {
  if (!ring.log.has_used) return;
  for (const PackedUsed& u : std::span(ring.record->used).first(ring.n_used))
    log_memory(ring, &ring.packed.slots[u.slot], sizeof(PackedDescriptor));
}

void log_start(const RingView& ring) noexcept {
  if (!ring.is_packed()) return log_used(ring, 0, sizeof(uint16_t));
  log_used(ring, 0, sizeof(PackedEvent));
  // A step that was cut off may have been finished.
  if (ring.log.has_used) log_memory(ring, ring.packed.slots, sizeof(PackedDescriptor) * ring.packed.size);
}

}  // namespace weft::dataplane::vhost
