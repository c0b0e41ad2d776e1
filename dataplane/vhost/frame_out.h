// SPDX-License-Identifier: BSD-3-Clause
//
// Sending frames into a guest's receive ring, one burst: one algorithm for split and packed rings, which differ in how
// the next buffers are found and given back. Shared by split_tx.cc and packed_tx.cc. Worker.
//
// `Buffers` is one of them, over the buffers the guest has made available:
//   void look_ahead(n)                      reads and prefetches the next n ≤ kBurst, all at once
//   bool is_ahead_used_up()                 none of those is left
//   Piece next_plain()                      the next one, if it was looked at and is one plain buffer; data nullptr:
//   not void give_plain(size)                   gives it back with `size` bytes in it uint16_t fill_plain(most, write)
//   as both for one after the other while write(i, Piece) returns the bytes it
//                                           wrote; ends where that is 0 or the next is not plain
//   bool has(n)                             are there n?
//   void begin_gather(); Walk gather(list, Taken&)
//                                           appends the pieces of the next one and then of those behind it
//   void give(Taken, size)                  gives the next one back, as gathered
#pragma once

#include "dataplane/burst.h"
#include "dataplane/offload.h"
#include "dataplane/vhost/ring_ops.h"
#include "dataplane/virtio_net_header.h"

#include <algorithm>
#include <span>
#include <utility>

namespace weft::dataplane::vhost {

/// Most receive buffers one frame may be merged from.
inline constexpr uint16_t kMaxMerged = 256;

/// Most pieces of receive buffers that are looked at for one frame of `needed` bytes: a driver's longest chain, and no
/// crumbs. A receiver may not cost its senders' worker more than a frame is worth.
inline uint16_t most_pieces(uint32_t needed) noexcept {
  return static_cast<uint16_t>(std::min<uint32_t>(kMaxPieces, 24 + needed / 128));
}

/// Writes a frame front to back over a list of pieces, which has room for it.
struct PieceWriter {
  const PieceList& list;
  uint16_t piece = 0;
  uint32_t offset = 0;

  void put(const uint8_t* from, size_t size) noexcept {
    while (size != 0) {
      const Piece& to = list.pieces[piece];
      const size_t n = std::min<size_t>(size, to.size - offset);
      std::memmove(to.data + offset, from, n);  // see write_frame()
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

/// The frame as it is, into one buffer that holds it.
inline void write_frame(uint8_t* to, const Packet& p) noexcept {
  copy_small(to, p.head, p.head_size);
  to += p.head_size;
  // memmove: a guest may name the memory it sends from as its receive buffer, too, and get its frame back by way of
  // the router. It costs no more than memcpy.
  for (const Segment& s : p.payload_segments()) {
    std::memmove(to, s.data, s.size);
    to += s.size;
  }
}

template <class Buffers>
class Sender {
 public:
  template <class... Args>
  explicit Sender(RingView& ring, Args&&... args) noexcept : ring_(ring), buffers_(ring, std::forward<Args>(args)...) {}

  /// Sends frames in order and sets the drop of those that were not; how many were.
  uint16_t send_all(std::span<Packet* const> packets) noexcept {
    uint16_t sent = 0;
    for (size_t first = 0; first < packets.size(); first += kBurst) {
      const auto batch = packets.subspan(first, std::min<size_t>(kBurst, packets.size() - first));
      for (size_t i = 0; i < batch.size();) {
        // At first, and after merged buffers and cuts.
        if (buffers_.is_ahead_used_up()) buffers_.look_ahead(static_cast<uint16_t>(batch.size() - i));
        const uint16_t n = send_plain(batch.subspan(i));
        sent = static_cast<uint16_t>(sent + n);
        i += n;
        if (i == batch.size() || (n != 0 && buffers_.is_ahead_used_up())) continue;
        Packet& p = *batch[i++];
        p.drop = send(p);
        if (p.drop == Drop::none) ++sent;
      }
    }
    return sent;
  }

 private:
  /// Writes frames that need nothing done into buffers that hold one each, until there is one that is not like that.
  /// How many: nearly always all.
  uint16_t send_plain(std::span<Packet* const> packets) noexcept {
    const uint32_t header_size = ring_.features.header_size;
    const auto n = static_cast<uint16_t>(packets.size());
    return buffers_.fill_plain(n, [packets, header_size](uint16_t i, const Piece& to) noexcept -> uint32_t {
      const Packet& p = *packets[i];
      const uint32_t needed = header_size + p.size;
      if (to.size < needed || p.offload.checksum != Checksum::unknown) [[unlikely]]
        return 0;
      write_plain_header(to.data, header_size);
      write_frame(to.data + header_size, p);
      return needed;
    });
  }

  Drop send(Packet& p) noexcept {
    if (!ring_.features.offloads.takes(p.offload)) [[unlikely]] {
      if (p.offload.gso != Gso::none) return send_cut(p);
      finish_checksum(p);
    }
    return put(p);
  }

  Drop send_cut(const Packet& whole) noexcept {
    GsoCutter cutter(
        whole, ring_.features.offloads.checksum ? GsoCutter::Checksums::leave_partial : GsoCutter::Checksums::finish);
    // No cut at all: the headers are no longer what the offload says.
    if (cutter.n_frames() == 0) return Drop::tx_error;
    if (!buffers_.has(cutter.n_frames())) return Drop::tx_ring_full;  // all of it or nothing
    while (Packet* cut = cutter.next()) {
      if (const Drop d = put(*cut); d != Drop::none) return d;
    }
    return Drop::none;
  }

  /// The frame as it is, into one buffer if that is enough.
  Drop put(const Packet& p) noexcept {
    const uint16_t header_size = ring_.features.header_size;
    const uint32_t needed = header_size + p.size;
    const Piece to = buffers_.next_plain();
    if (to.data == nullptr || to.size < needed) return put_spread(p, needed);
    write_header(to.data, header_size, p, ring_.features.offloads, 1);
    write_frame(to.data + header_size, p);
    buffers_.give_plain(needed);
    return Drop::none;
  }

  /// The general case: chained buffers, and several of them when the guest merges.
  Drop put_spread(const Packet& p, uint32_t needed) noexcept {
    const RingFeatures& f = ring_.features;
    const auto most = static_cast<uint16_t>(f.mergeable ? std::min<uint32_t>(kMaxMerged, ring_.size) : 1);
    PieceList list;
    list.most = most_pieces(needed);
    std::array<typename Buffers::Taken, kMaxMerged> taken;
    std::array<uint32_t, kMaxMerged> sizes;
    uint16_t n = 0;
    buffers_.begin_gather();
    while (list.total < needed) {
      if (n == most) return Drop::tx_no_room;
      const uint64_t before = list.total;
      switch (buffers_.gather(list, taken[n])) {
        case Walk::ok:
          break;
        case Walk::none:
          return Drop::tx_ring_full;
        case Walk::broken:
          return Drop::tx_bad_descriptor;
        case Walk::too_long:
          if (n != 0) return Drop::tx_no_room;
          [[fallthrough]];
        case Walk::bad:
          // Nothing can ever be written there: back to the guest, empty, with what was gathered before it.
          for (uint16_t i = 0; i <= n; ++i) buffers_.give(taken[i], 0);
          return Drop::tx_bad_descriptor;
      }
      sizes[n] = static_cast<uint32_t>(std::min<uint64_t>(list.total - before, needed - before));
      // The header may not be split over merged buffers (virtio 1.2 §5.1.6.3.1).
      if (n == 0 && list.total < f.header_size) return Drop::tx_no_room;
      ++n;
    }

    uint8_t header[sizeof(VirtioNetHeaderV1)];
    write_header(header, f.header_size, p, f.offloads, n);
    PieceWriter writer{list};
    writer.put(header, f.header_size);
    writer.put(p.head, p.head_size);
    for (const Segment& s : p.payload_segments()) writer.put(s.data, s.size);
    for (uint16_t i = 0; i < n; ++i) buffers_.give(taken[i], sizes[i]);
    return Drop::none;
  }

  RingView& ring_;
  Buffers buffers_;
};

inline void drop_all(std::span<Packet* const> packets, Drop why) noexcept {
  for (Packet* p : packets) p->drop = why;
}

}  // namespace weft::dataplane::vhost
