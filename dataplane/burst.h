// SPDX-License-Identifier: BSD-3-Clause
//
// Up to 32 packets received from one port queue, and the memory they live in. A worker has one Burst and uses it
// over and over: port.rx fills it, the stages take its packets, port.rx_done gives the sender its buffers back.
#pragma once

#include "dataplane/packet.h"

#include <array>
#include <cstdint>
#include <memory>

namespace weft::dataplane {

inline constexpr uint16_t kBurst = 32;

class Burst {
 public:
  /// Room before a head, for headers that stages put in front (an ICMP error's, a VLAN tag).
  static constexpr uint16_t kHeadroom = 64;
  static constexpr uint16_t kSlotSize = 384;  // headroom, kHeaderCopy, and room for a reply built in place
  /// Most pieces one frame may come in; Linux guests use at most 19.
  static constexpr uint16_t kMaxSegments = 256;
  static constexpr uint16_t kSegmentArena = 2048;
  /// What one burst may ask of its worker before others get their turn, in bytes to be copied: a full one of Ethernet
  /// frames fits. The frame that goes beyond is the last.
  static constexpr uint32_t kMostWork = 64 * 1024;
  /// What a descriptor costs, and a frame that a TSO frame is cut into, when a byte copied costs one.
  static constexpr uint32_t kPieceWork = 128, kCutWork = 512;
  /// A receive buffer for ports whose frames come by a system call: a whole frame and its virtio-net header.
  static constexpr uint32_t kRxBuffer = 65536 + 64;

  Burst();
  ~Burst();
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  void clear() noexcept {
    size_ = 0;
    n_segments_ = 0;
    work_ = 0;
  }
  [[nodiscard]] uint16_t size() const noexcept { return size_; }
  [[nodiscard]] bool full() const noexcept { return size_ == kBurst; }
  Packet& operator[](uint16_t i) noexcept { return packets_[i]; }
  Packet* begin() noexcept { return packets_.data(); }
  Packet* end() noexcept { return packets_.data() + size_; }

  /// The next packet, with an empty head at the start of its slot's data and no payload; precondition !full().
  /// Every other field is reset. A port that could not make a frame sets `drop` and leaves it in the burst, so that
  /// it is counted.
  Packet& add() noexcept {
    Packet& p = packets_[size_];
    // Field by field, which the compiler makes a few wide stores of: a whole Packet it would build beside and copy, and
    // the copy would have to wait for its parts.
    p.head = slot(size_);
    p.payload = segments_.get() + n_segments_;
    p.size = 0;
    p.head_size = p.n_payload = 0;
    p.offload.checksum = Checksum::unknown;
    p.offload.gso = Gso::none;
    p.offload.csum_start = p.offload.csum_offset = p.offload.gso_size = p.offload.gso_ecn = 0;
    p.l3_offset = 0;
    p.l3 = L3::other;
    p.l4_offset = p.l4_protocol = 0;
    p.in_port = p.out_port = kNoPort;
    p.network = kNoNetwork;
    p.drop = Drop::none;
    p.rx_cookie = p.out_interface = 0;
    p.next_hop = 0;
    ++size_;
    return p;
  }
  /// Takes back the last add().
  void undo_add() noexcept { --size_; }

  /// Appends a payload piece to the packet most recently added. False when the frame has kMaxSegments already.
  bool append_segment(Packet& p, const uint8_t* data, uint32_t size) noexcept {
    if (p.n_payload == kMaxSegments || n_segments_ == kSegmentArena) return false;
    segments_[n_segments_++] = {data, size};
    ++p.n_payload;
    p.size += size;
    work_ += size;
    return true;
  }
  /// What a frame costs beside the copying of its payload, sent or not, in bytes that could be copied meanwhile.
  void charge(uint32_t bytes) noexcept { work_ += bytes; }
  /// Whether another packet of kMaxSegments pieces still fits, and the sender's share of the turn is not used up; a port
  /// stops its burst when not. Nobody's frames, however large or badly made, may delay those of others for long.
  [[nodiscard]] bool has_segment_room() const noexcept {
    return n_segments_ + kMaxSegments <= kSegmentArena && work_ < kMostWork;
  }

  /// First data byte of slot i; kHeadroom bytes lie before it, kSlotSize - kHeadroom from it.
  uint8_t* slot(uint16_t i) noexcept { return slots_.get() + size_t{i} * kSlotSize + kHeadroom; }
  /// Buffer i of kRxBuffer bytes; memory that is touched only by those who use it.
  uint8_t* rx_buffer(uint16_t i) noexcept { return rx_buffers_ + size_t{i} * kRxBuffer; }

 private:
  struct FreeAligned {
    void operator()(uint8_t* p) const noexcept;
  };
  std::array<Packet, kBurst> packets_{};
  uint16_t size_ = 0;
  uint16_t n_segments_ = 0;
  uint32_t work_ = 0;
  std::unique_ptr<uint8_t, FreeAligned> slots_;
  std::unique_ptr<Segment[]> segments_;
  uint8_t* rx_buffers_;  // mmapped, kBurst * kRxBuffer
};

}  // namespace weft::dataplane
