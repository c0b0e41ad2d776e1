// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/frame_out.h"
#include "dataplane/vhost/packed_ops.h"
#include "dataplane/vhost/packed_ring.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// See frame_out.h.
class PackedBuffers {
 public:
  using Taken = PackedBuffer;

  explicit PackedBuffers(RingView& ring) noexcept : ring_(ring) {}

  void look_ahead(uint16_t n) noexcept {
    make_room();
    next_ahead_ = 0;
    ahead_.look(ring_, ring_.next, n);
  }
  bool is_ahead_used_up() const noexcept { return next_ahead_ >= ahead_.n; }
  Piece next_plain() const noexcept { return next_ahead_ < ahead_.n ? ahead_.plain[next_ahead_] : Piece{nullptr, 0}; }
  void give_plain(uint32_t size) noexcept { put_used_slot(ring_, {ahead_.ids[next_ahead_++], 1}, size); }

  template <class Write>
  uint16_t fill_plain(uint16_t most, Write write) noexcept {
    // In locals: the compiler must take every store into guest memory for one to this object or the ring.
    const uint16_t first = next_ahead_;
    const auto n = std::min(most, static_cast<uint16_t>(ahead_.n - first));
    PackedUsed* const used = ring_.record->used.data() + ring_.n_used;
    const uint32_t size = ring_.packed.size;
    uint32_t slot = ring_.next.index;
    uint16_t i = 0;
    for (; i < n; ++i) {
      const Piece& to = ahead_.plain[first + i];
      const uint32_t written = to.data != nullptr ? write(i, to) : 0;
      if (written == 0) [[unlikely]]
        break;
      used[i] = {written, ahead_.ids[first + i], static_cast<uint16_t>(slot)};
      slot = slot + 1 == size ? 0 : slot + 1;
    }
    ring_.n_used = static_cast<uint16_t>(ring_.n_used + i);
    ring_.next.advance(i, size);
    next_ahead_ = static_cast<uint16_t>(first + i);
    return i;
  }

  /// Each takes a slot at least.
  bool has(size_t n) const noexcept {
    PackedPosition at = ring_.next;
    for (; n != 0 && is_available(ring_, at); --n) at.advance(1, ring_.packed.size);
    return n == 0;
  }

  void begin_gather() noexcept {
    make_room();
    gathered_ = ring_.next;
  }
  Walk gather(PieceList& list, PackedBuffer& buffer) noexcept {
    if (is_broken_) return Walk::broken;
    if (!is_available(ring_, gathered_)) return Walk::none;
    const Walk walked = walk_slots(ring_, gathered_, /*is_writable=*/true, list.most, list, buffer);
    if (walked == Walk::broken) {
      is_broken_ = true;
      break_ring(ring_);
    }
    return walked;
  }
  void give(const PackedBuffer& buffer, uint32_t size) noexcept {
    put_used_slot(ring_, buffer, size);
    // What was looked at ahead lies in a slot each from where the ring stood then.
    if (buffer.n_slots == 1 && next_ahead_ < ahead_.n)
      ++next_ahead_;
    else
      next_ahead_ = ahead_.n;
  }

 private:
  /// For one frame merged from most buffers, and for what was looked at ahead.
  void make_room() noexcept {
    static_assert(PackedRecord::kMaxUsed >= kMaxMerged + kBurst);
    if (ring_.n_used + kMaxMerged + kBurst > PackedRecord::kMaxUsed) publish_slots(ring_);
  }

  RingView& ring_;
  uint16_t next_ahead_ = 0;
  NextSlots<PackedDescriptor::kWrite> ahead_;
  PackedPosition gathered_;
  bool is_broken_ = false;
};

}  // namespace

uint16_t packed_tx(RingView& ring, std::span<Packet* const> packets) noexcept {
  const bool is_broken = ring.is_broken.load(std::memory_order_relaxed);
  if (is_broken || is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, is_broken ? Drop::tx_bad_descriptor : Drop::port_memory_gone);
    return 0;
  }
  const uint16_t sent = Sender<PackedBuffers>(ring).send_all(packets);
  if (is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, Drop::port_memory_gone);
    return 0;
  }
  publish_slots(ring);
  return sent;
}

}  // namespace weft::dataplane::vhost
