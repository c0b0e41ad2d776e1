// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/ring_log.h"

#include "dataplane/packet.h"
#include "dataplane/vhost/ring_ops.h"

#include <algorithm>

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

void log_bytes(const RingView& ring, const uint8_t* data, size_t size) noexcept {
  if (!ring.log.has_buffers) return;
  if (const auto address = ring.translate.to_guest(data)) ring.log.pages->mark(*address, size);
}

}  // namespace weft::dataplane::vhost
