// SPDX-License-Identifier: BSD-3-Clause
//
// What ports whose other end is the kernel share: one frame as an iovec, and what an errno means for a frame.
// Frames are read to where they stay until they are sent, and written from where they are: what is copied, the
// kernel copies. Worker.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/packet.h"
#include "dataplane/virtio_net_header.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/uio.h>

namespace weft::dataplane {

/// Most pieces of a frame to be written: header, head, payload.
inline constexpr size_t kMaxIov = Burst::kMaxSegments + 2;
/// Receiving takes three: the header, the slot, and the receive buffer for what the slot does not hold.
using RxIov = std::array<iovec, 3>;

inline void fill_rx_iov(RxIov& iov, VirtioNetHeader& header, Burst& burst, uint16_t slot) noexcept {
  iov[0] = {&header, sizeof header};
  iov[1] = {burst.slot(slot), kHeaderCopy};
  iov[2] = {burst.rx_buffer(slot), Burst::kRxBuffer};
}

/// Describes the frame of `size` bytes (without the virtio-net header) that was read into the slot and buffer
/// of the packet last added; `slot` is its index.
inline void set_received(Packet& packet, Burst& burst, uint16_t slot, uint32_t size) noexcept {
  packet.head_size = static_cast<uint16_t>(std::min<uint32_t>(size, kHeaderCopy));
  packet.size = packet.head_size;
  if (size > kHeaderCopy) burst.append_segment(packet, burst.rx_buffer(slot), size - kHeaderCopy);
  if (size > kMaxFrame) packet.drop = Drop::rx_too_big;
}

/// Fills iov[0 … n) with what is to be written for the frame; returns n ≤ kMaxIov. The header must live as
/// long.
inline size_t fill_tx_iov(iovec* iov, VirtioNetHeader& header, const Packet& packet) noexcept {
  header = from_offload(packet, OffloadSet::kernel());
  size_t n = 0;
  iov[n++] = {&header, sizeof header};
  iov[n++] = {packet.head, packet.head_size};
  for (const Segment& s : packet.payload_segments()) iov[n++] = {const_cast<uint8_t*>(s.data), s.size};
  return n;
}

/// Why the kernel did not take a frame.
inline Drop tx_drop(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
      return Drop::tx_ring_full;
    case EMSGSIZE:
      return Drop::egress_too_big;
    case EIO:       // a tap that is down
    case EBADFD:    // a tap whose netdev was removed
    case ENETDOWN:  // packet socket: the netdev is down
    case ENXIO:     // packet socket: the netdev was removed
    case ENODEV:
      return Drop::tx_not_ready;
    default:
      return Drop::tx_error;
  }
}

}  // namespace weft::dataplane
