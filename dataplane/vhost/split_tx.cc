// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/frame_out.h"
#include "dataplane/vhost/split_ops.h"
#include "dataplane/vhost/split_ring.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// See frame_out.h.
class SplitBuffers {
 public:
  using Taken = uint16_t;  // the id of a chain's head

  SplitBuffers(RingView& ring, uint16_t waiting) noexcept : ring_(ring), waiting_(waiting) {}

  void look_ahead(uint16_t /*n*/) noexcept {
    vhost::look_ahead<VringDescriptor::kWrite>(ring_, has(kBurst) ? kBurst : waiting_);
  }
  bool is_ahead_used_up() const noexcept { return ring_.ahead.is_used_up(); }
  Piece next_plain() const noexcept {
    const EntriesAhead& ahead = ring_.ahead;
    return ahead.is_used_up() ? Piece{nullptr, 0} : ahead.plain[ahead.next];
  }
  void give_plain(uint32_t size) noexcept { give(ring_.ahead.ids[ring_.ahead.next], size); }

  template <class Write>
  uint16_t fill_plain(uint16_t most, Write write) noexcept {
    // Everything in locals: the compiler must take every store into guest memory for one to this object or the ring.
    EntriesAhead& ahead = ring_.ahead;
    const uint16_t first = ahead.next, mask = static_cast<uint16_t>(ring_.size - 1);
    const uint16_t n = ahead.is_used_up() ? uint16_t{0} : std::min(most, static_cast<uint16_t>(ahead.n - first));
    uint8_t* const elements = ring_.used + 4;
    uint16_t at = ring_.used_idx, i = 0;
    for (; i < n; ++i) {
      const Piece to = ahead.plain[first + i];
      const uint32_t written = to.data != nullptr ? write(i, to) : 0;
      if (written == 0) [[unlikely]]
        break;
      const VringUsedElement element{ahead.ids[first + i], written};
      std::memcpy(elements + sizeof element * (at++ & mask), &element, sizeof element);
    }
    ring_.used_idx = at;
    ring_.last_available = static_cast<uint16_t>(ring_.last_available + i);
    waiting_ = static_cast<uint16_t>(waiting_ - i);
    ahead.next = static_cast<uint16_t>(first + i);
    return i;
  }

  /// Looks at the guest's index again when fewer are known.
  bool has(size_t n) noexcept {
    if (n <= waiting_) return true;
    const uint16_t waiting = n_waiting(ring_, UINT16_MAX);
    if (waiting <= ring_.size) waiting_ = waiting;  // else it makes no sense, as the next call will find
    return n <= waiting_;
  }

  void begin_gather() noexcept { n_gathered_ = 0; }
  Walk gather(PieceList& list, uint16_t& id) noexcept {
    if (!has(n_gathered_ + 1u)) return Walk::none;
    id = available_entry(ring_, n_gathered_++);
    return id < ring_.size ? walk_chain(ring_, id, /*is_writable=*/true, list.most, list) : Walk::bad;
  }
  void give(uint16_t id, uint32_t size) noexcept {
    put_used(ring_, id, size);
    ++ring_.last_available;
    --waiting_;
    ++ring_.ahead.next;
  }

 private:
  RingView& ring_;
  uint16_t waiting_;
  uint16_t n_gathered_ = 0;
};

}  // namespace

uint16_t split_tx(RingView& ring, std::span<Packet* const> packets) noexcept {
  if (is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, Drop::port_memory_gone);
    return 0;
  }
  const uint16_t waiting = n_waiting(ring, static_cast<uint16_t>(std::min<size_t>(packets.size(), kBurst)));
  if (ring.is_broken.load(std::memory_order_relaxed) || waiting > ring.size) [[unlikely]] {
    break_ring(ring);
    // An index read from zeros makes no sense either.
    drop_all(packets, is_memory_gone(ring) ? Drop::port_memory_gone : Drop::tx_bad_descriptor);
    return 0;
  }
  prefetch_used(ring, static_cast<uint16_t>(std::min<size_t>(packets.size(), kBurst)));
  const uint16_t sent = Sender<SplitBuffers>(ring, waiting).send_all(packets);
  if (is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, Drop::port_memory_gone);
    return 0;
  }
  publish_used(ring);
  prefetch_available(ring);
  return sent;
}

}  // namespace weft::dataplane::vhost
