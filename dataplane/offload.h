// SPDX-License-Identifier: BSD-3-Clause
//
// What a port does for a frame whose receiver cannot take it as it is: finish the transport checksum, cut a
// TSO frame into frames of its segment size. Pure functions of packet bytes; any thread.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/packet.h"

#include <array>
#include <cstdint>

namespace weft::dataplane {

/// What one side of a port can do itself: a receiver says what it takes unfinished, a sender what it may
/// leave unfinished. The fields follow virtio's features (CSUM, TSO4, TSO6, TSO_ECN).
struct OffloadSet {
  bool checksum = false;
  bool tso4 = false;
  bool tso6 = false;
  bool ecn = false;
  /// The sender's word that a checksum was verified is believed: the kernel's is, a guest's is not.
  bool data_valid = false;

  static constexpr OffloadSet none() noexcept { return {}; }
  /// Everything, as the kernel behind a tap or a packet socket takes and gives it.
  static constexpr OffloadSet kernel() noexcept { return {true, true, true, true, true}; }

  /// Whether a receiver takes a frame with this left to do: nothing need be finished or cut.
  [[nodiscard]] constexpr bool takes(const Offload& o) const noexcept {
    if (o.checksum == Checksum::partial && !checksum) return false;
    if (o.gso == Gso::none) return true;
    return (o.gso == Gso::tcp4 ? tso4 : tso6) && (o.gso_ecn == 0 || ecn);
  }
};

/// Finishes a partial checksum in place (in the head) and marks the packet `unknown`. Does nothing to others.
/// A sum that comes out as 0 is stored as 0xffff: for UDP 0 would mean "none" (RFC 768), to others it is the
/// same.
void finish_checksum(Packet& packet) noexcept;

/// Cuts a TSO frame (virtio 1.2 §5.1.6.2): each cut has the headers with lengths, IPv4 id, TCP sequence and
/// flags of its own (FIN and PSH only on the last, CWR only on the first). The source frame must outlive the
/// cutter; a cut's payload refers to it. The frame keeps the invariants of Packet; one that no longer does
/// (its headers do not lie where the offload says) gives no cut at all: n_frames() is 0.
class GsoCutter {
 public:
  /// What the receiver can do itself: with `finish`, checksums are finished in each cut, else they stay
  /// partial.
  enum class Checksums { finish, leave_partial };
  GsoCutter(const Packet& whole, Checksums checksums) noexcept;
  GsoCutter(const GsoCutter&) = delete;
  GsoCutter& operator=(const GsoCutter&) = delete;
  /// The next cut, or nullptr after the last. The returned packet is valid until the next call. Its in_port,
  /// network and layer offsets are the source's.
  Packet* next() noexcept;
  /// How many frames it will make in all.
  [[nodiscard]] uint16_t n_frames() const noexcept { return n_frames_; }

 private:
  void take_payload(uint32_t size) noexcept;
  void write_headers(uint32_t payload) noexcept;

  const Packet& whole_;
  Checksums checksums_;
  uint16_t l3_offset_ = 0;
  uint16_t headers_size_ = 0;  // Ethernet … TCP
  uint32_t done_ = 0;          // payload bytes cut so far
  uint32_t payload_size_ = 0;  // in all
  uint16_t n_frames_ = 0;
  uint16_t index_ = 0;
  int32_t piece_ = -1;     // where done_ stands: -1 the rest of the source's head, else an index of its payload
  uint32_t in_piece_ = 0;  // bytes of that piece that are taken
  Packet cut_{};
  std::array<uint8_t, Burst::kSlotSize> head_;             // of the current cut; written by next()
  std::array<Segment, Burst::kMaxSegments + 1> segments_;  // one more: the rest of the source's head
};

}  // namespace weft::dataplane
