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

/// Sending into one ring, one burst. Looks at the next buffers all at once, so that their cache misses
/// overlap.
class Sender {
 public:
  Sender(RingView& ring, uint16_t waiting) noexcept : ring_(ring), waiting_(waiting) {}

  /// Reads and prefetches the next buffers for up to `n` ≤ kBurst frames.
  void look_ahead(size_t n) noexcept {
    n_ahead_ = static_cast<uint16_t>(std::min<size_t>(n, waiting_));
    next_ahead_ = 0;
    for (uint16_t i = 0; i < n_ahead_; ++i) ids_[i] = available_entry(ring_, i);
    for (uint16_t i = 0; i < n_ahead_; ++i) __builtin_prefetch(&ring_.descriptors[ids_[i] & (ring_.size - 1)]);
    for (uint16_t i = 0; i < n_ahead_; ++i) {
      ahead_[i].data = nullptr;
      if (ids_[i] >= ring_.size) [[unlikely]]
        continue;
      const VringDescriptor d = load_once(&ring_.descriptors[ids_[i]]);
      if (d.flags != VringDescriptor::kWrite) continue;
      ahead_[i] = {ring_.translate(d.address, d.size), d.size};
      prefetch_frame<1>(ahead_[i].data);
    }
  }

  Drop send(Packet& p) noexcept {
    if (!ring_.features.offloads.takes(p.offload)) [[unlikely]] {
      if (p.offload.gso != Gso::none) return send_cut(p);
      finish_checksum(p);
    }
    return put(p);
  }

 private:
  Drop send_cut(const Packet& whole) noexcept {
    GsoCutter cutter(
        whole, ring_.features.offloads.checksum ? GsoCutter::Checksums::leave_partial : GsoCutter::Checksums::finish);
    // No cut at all: the headers are no longer what the offload says.
    if (cutter.n_frames() == 0) return Drop::tx_error;
    if (cutter.n_frames() > waiting_) return Drop::tx_ring_full;  // all of it or nothing
    while (Packet* cut = cutter.next()) {
      if (const Drop d = put(*cut); d != Drop::none) return d;
    }
    return Drop::none;
  }

  /// The frame as it is, into one buffer if that is enough.
  Drop put(const Packet& p) noexcept {
    const uint16_t header_size = ring_.features.header_size;
    const uint32_t needed = header_size + p.size;
    if (next_ahead_ >= n_ahead_ || ahead_[next_ahead_].data == nullptr || ahead_[next_ahead_].size < needed)
        [[unlikely]]
      return put_spread(p, needed);

    uint8_t* to = ahead_[next_ahead_].data;
    write_header(to, header_size, p, ring_.features.offloads, 1);
    to += header_size;
    copy_small(to, p.head, p.head_size);
    to += p.head_size;
    // memmove: a guest may name the memory it sends from as its receive buffer, too, and get its frame back by way of
    // the router. It costs no more than memcpy.
    for (const Segment& s : p.payload_segments()) {
      std::memmove(to, s.data, s.size);
      to += s.size;
    }
    give(ids_[next_ahead_], needed);
    return Drop::none;
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
      if (n == waiting_) return Drop::tx_ring_full;
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
  std::array<uint16_t, kBurst> ids_;
  std::array<Piece, kBurst> ahead_;  // data == nullptr: not one plain buffer
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
  const uint16_t waiting = n_waiting(ring);
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
    for (Packet* p : batch) {
      const Drop d = sender.send(*p);
      if (d == Drop::none) [[likely]] {
        ++sent;
      } else {
        p->drop = d;
      }
    }
  }
  if (is_memory_gone(ring)) [[unlikely]] {
    report_trouble(ring);
    drop_all(packets, Drop::port_memory_gone);
    return 0;
  }
  publish_used(ring);
  return sent;
}

}  // namespace weft::dataplane::vhost
