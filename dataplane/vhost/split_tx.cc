// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/offload.h"
#include "dataplane/vhost/ring_ops.h"
#include "dataplane/vhost/split_ring.h"
#include "dataplane/virtio_net_header.h"

#include <algorithm>

namespace weft::dataplane::vhost {
namespace {

/// Most receive buffers one frame may be merged from.
constexpr uint16_t kMaxMerged = 256;

/// Writes a frame front to back over a list of pieces, which has room for it.
struct Writer {
  const PieceList& list;
  uint16_t piece = 0;
  uint32_t offset = 0;

  void put(const uint8_t* from, size_t size) noexcept {
    while (size != 0) {
      const Piece& to = list.pieces[piece];
      const size_t n = std::min<size_t>(size, to.size - offset);
      std::memmove(to.data + offset, from, n);  // see put()
      from += n;
      size -= n;
      offset += static_cast<uint32_t>(n);
      if (offset == to.size) {
        ++piece;
        offset = 0;
      }
    }
  }
};

/// Sending into one ring, one burst.
class Sender {
 public:
  Sender(RingView& ring, uint16_t waiting) noexcept : ring_(ring), waiting_(waiting) {}

  /// Reads and prefetches the next buffers for up to `n` ≤ kBurst frames.
  void look_ahead(size_t n) noexcept {
    n_ahead_ = static_cast<uint16_t>(has(n) ? n : waiting_);
    next_ahead_ = 0;
    prefetch_used(ring_, n_ahead_);
    ahead_.look(ring_, n_ahead_);
  }

  [[nodiscard]] bool is_ahead_used_up() const noexcept { return next_ahead_ >= n_ahead_; }

  /// Writes frames that need nothing done into buffers that hold one each, until there is one that is not like that.
  /// How many: nearly always all.
  uint16_t send_plain(std::span<Packet* const> packets) noexcept {
    // Everything in locals: the compiler must take every store into guest memory for one to this object or the ring.
    const uint32_t header_size = ring_.features.header_size;
    const uint16_t first = next_ahead_, mask = static_cast<uint16_t>(ring_.size - 1);
    const auto n = static_cast<uint16_t>(first < n_ahead_ ? std::min<size_t>(packets.size(), n_ahead_ - first) : 0);
    uint8_t* const elements = ring_.used + 4;
    uint16_t at = ring_.used_idx, i = 0;
    for (; i < n; ++i) {
      const Packet& p = *packets[i];
      const Piece& to = ahead_.plain[first + i];
      const uint32_t needed = header_size + p.size;
      if (to.data == nullptr || to.size < needed || p.offload.checksum != Checksum::unknown) [[unlikely]]
        break;
      write_plain_header(to.data, header_size);
      write_frame(to.data + header_size, p);
      const VringUsedElement element{ahead_.ids[first + i], needed};
      std::memcpy(elements + sizeof element * (at++ & mask), &element, sizeof element);
    }
    ring_.used_idx = at;
    ring_.last_available = static_cast<uint16_t>(ring_.last_available + i);
    waiting_ = static_cast<uint16_t>(waiting_ - i);
    next_ahead_ = static_cast<uint16_t>(first + i);
    return i;
  }

  Drop send(Packet& p) noexcept {
    if (!ring_.features.offloads.takes(p.offload)) [[unlikely]] {
      if (p.offload.gso != Gso::none) return send_cut(p);
      finish_checksum(p);
    }
    return put(p);
  }

 private:
  /// Whether `n` entries are there; looks at the guest's index again when fewer are known.
  bool has(size_t n) noexcept {
    if (n <= waiting_) return true;
    const uint16_t waiting = n_waiting(ring_, UINT16_MAX);
    if (waiting <= ring_.size) waiting_ = waiting;  // else it makes no sense, as the next call will find
    return n <= waiting_;
  }

  Drop send_cut(const Packet& whole) noexcept {
    GsoCutter cutter(
        whole, ring_.features.offloads.checksum ? GsoCutter::Checksums::leave_partial : GsoCutter::Checksums::finish);
    // No cut at all: the headers are no longer what the offload says.
    if (cutter.n_frames() == 0) return Drop::tx_error;
    if (!has(cutter.n_frames())) return Drop::tx_ring_full;  // all of it or nothing
    while (Packet* cut = cutter.next()) {
      if (const Drop d = put(*cut); d != Drop::none) return d;
    }
    return Drop::none;
  }

  /// The frame as it is, into one buffer if that is enough.
  Drop put(const Packet& p) noexcept {
    const uint16_t header_size = ring_.features.header_size;
    const uint32_t needed = header_size + p.size;
    if (next_ahead_ >= n_ahead_) return put_spread(p, needed);
    const Piece to = ahead_.plain[next_ahead_];
    if (to.data == nullptr || to.size < needed) return put_spread(p, needed);
    write_header(to.data, header_size, p, ring_.features.offloads, 1);
    write_frame(to.data + header_size, p);
    give(ahead_.ids[next_ahead_], needed);
    return Drop::none;
  }

  static void write_frame(uint8_t* to, const Packet& p) noexcept {
    copy_small(to, p.head, p.head_size);
    to += p.head_size;
    // memmove: a guest may name the memory it sends from as its receive buffer, too, and get its frame back by way of
    // the router. It costs no more than memcpy.
    for (const Segment& s : p.payload_segments()) {
      std::memmove(to, s.data, s.size);
      to += s.size;
    }
  }

  /// The general case: chained buffers, and several of them when the guest merges.
  Drop put_spread(const Packet& p, uint32_t needed) noexcept {
    const RingFeatures& f = ring_.features;
    const auto most = static_cast<uint16_t>(f.mergeable ? std::min<uint32_t>(kMaxMerged, ring_.size) : 1);
    PieceList list;
    std::array<uint16_t, kMaxMerged> ids;
    std::array<uint32_t, kMaxMerged> sizes;
    uint16_t n = 0;
    while (list.total < needed) {
      if (n == most) return Drop::tx_no_room;
      if (!has(n + 1u)) return Drop::tx_ring_full;
      ids[n] = available_entry(ring_, n);
      const uint64_t before = list.total;
      const Walk walked =
          ids[n] < ring_.size ? walk_chain(ring_, ids[n], /*is_writable=*/true, kMaxPieces, list) : Walk::bad;
      if (walked == Walk::too_long && n != 0) return Drop::tx_no_room;
      if (walked != Walk::ok) {
        // Nothing can ever be written there: back to the guest, empty, with what was gathered before it.
        for (uint16_t i = 0; i <= n; ++i) give(ids[i], 0);
        return Drop::tx_bad_descriptor;
      }
      sizes[n] = static_cast<uint32_t>(std::min<uint64_t>(list.total - before, needed - before));
      // The header may not be split over merged buffers (virtio 1.2 §5.1.6.3.1).
      if (n == 0 && list.total < f.header_size) return Drop::tx_no_room;
      ++n;
    }

    uint8_t header[sizeof(VirtioNetHeaderV1)];
    write_header(header, f.header_size, p, f.offloads, n);
    Writer writer{list};
    writer.put(header, f.header_size);
    writer.put(p.head, p.head_size);
    for (const Segment& s : p.payload_segments()) writer.put(s.data, s.size);
    for (uint16_t i = 0; i < n; ++i) give(ids[i], sizes[i]);
    return Drop::none;
  }

  /// The next available entry is done with.
  void give(uint16_t id, uint32_t size) noexcept {
    put_used(ring_, id, size);
    ++ring_.last_available;
    --waiting_;
    ++next_ahead_;
  }

  RingView& ring_;
  uint16_t waiting_;
  uint16_t n_ahead_ = 0, next_ahead_ = 0;
  NextEntries<VringDescriptor::kWrite> ahead_;
};

void drop_all(std::span<Packet* const> packets, Drop why) noexcept {
  for (Packet* p : packets) p->drop = why;
}

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
  uint16_t sent = 0;
  Sender sender(ring, waiting);
  for (size_t first = 0; first < packets.size(); first += kBurst) {
    const auto batch = packets.subspan(first, std::min<size_t>(kBurst, packets.size() - first));
    sender.look_ahead(batch.size());
    for (size_t i = 0;;) {
      const uint16_t n = sender.send_plain(batch.subspan(i));
      sent = static_cast<uint16_t>(sent + n);
      i += n;
      if (i == batch.size()) break;
      Packet& p = *batch[i++];
      p.drop = sender.send(p);
      if (p.drop == Drop::none) ++sent;
      if (sender.is_ahead_used_up()) sender.look_ahead(batch.size() - i);  // merged buffers, cuts
    }
  }
  prefetch_available(ring, kBurst);
  if (is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, Drop::port_memory_gone);
    return 0;
  }
  publish_used(ring);
  return sent;
}

}  // namespace weft::dataplane::vhost
