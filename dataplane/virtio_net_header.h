// SPDX-License-Identifier: BSD-3-Clause
//
// The header in front of every frame on a virtio-net ring, a tap with IFF_VNET_HDR and a packet socket with
// PACKET_VNET_HDR (virtio 1.2 §5.1.6), and its translation to and from Packet::offload. Pure; any thread.
#pragma once

#include "dataplane/offload.h"
#include "dataplane/packet.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace weft::dataplane {

/// Fields are little-endian (VERSION_1) or the guest's own order (legacy): the same on the machines weft runs
/// on. The memory it comes from may have any alignment and may change at any time: copy it, then look at the
/// copy.
struct VirtioNetHeader {
  static constexpr uint8_t kNeedsCsum = 1, kDataValid = 2;                                      // flags
  static constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoUfo = 3, kGsoTcp6 = 4, kGsoUdp = 5;  // gso_type
  static constexpr uint8_t kGsoEcn = 0x80;                                                      // or-ed to it
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;  // a hint, never believed
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(VirtioNetHeader) == 10);

/// With the count of buffers a received frame lies in: MRG_RXBUF, VERSION_1 or RING_PACKED (virtio 1.2
/// §5.1.6.1).
struct VirtioNetHeaderV1 : VirtioNetHeader {
  uint16_t num_buffers = 0;
};
static_assert(sizeof(VirtioNetHeaderV1) == 12);

/// The smallest segment size taken from a sender. Real ones are 48 bytes (Linux's least MSS) and above;
/// without a limit one 64 KiB frame could ask for 65 000 cuts.
inline constexpr uint16_t kMinGsoSize = 32;

/// The part of to_offload for a header that asks for something.
[[nodiscard]] bool to_offload_slow(const VirtioNetHeader& header, OffloadSet sender, Packet& packet) noexcept;

/// Whether a header with these first eight bytes leaves the frame as it stands: neither a checksum nor a cut to make,
/// nothing said about either.
[[nodiscard]] inline bool leaves_nothing_to_do(uint64_t begin) noexcept {
  constexpr uint64_t kFlags = VirtioNetHeader::kNeedsCsum | VirtioNetHeader::kDataValid, kGsoType = 0xff00;
  static_assert(VirtioNetHeader::kGsoNone == 0);
  return (begin & (kFlags | kGsoType)) == 0;
}

/// Translates what the sender put before the frame into packet.offload. The packet's head, head_size and size
/// are set and its head is the copy that stages will see. `sender` is what was negotiated with it. False: the
/// frame is to be dropped as rx_bad_offload. It is, when the header asks for what was not negotiated, or
/// points outside the frame, or when a finished checksum would overwrite anything but the checksum field of
/// the frame's own TCP, UDP or ICMPv6 header or of something encapsulated behind it: a checksum is finished
/// after all stages have seen the frame, so it must not be able to change what they decided by. What follows the
/// end of the IP packet in a frame that asks for something (Ethernet padding) is cut off.
[[nodiscard]] inline bool to_offload(const VirtioNetHeader& header, OffloadSet sender, Packet& packet) noexcept {
  packet.offload = Offload{};
  if ((header.flags & (VirtioNetHeader::kNeedsCsum | VirtioNetHeader::kDataValid)) == 0 &&
      header.gso_type == VirtioNetHeader::kGsoNone) [[likely]]
    return true;
  return to_offload_slow(header, sender, packet);
}

/// The header to put before a frame for a receiver that takes it as it is (receiver.takes(packet.offload)).
[[nodiscard]] inline VirtioNetHeader from_offload(const Packet& packet, OffloadSet receiver) noexcept {
  const Offload& o = packet.offload;
  VirtioNetHeader h;
  if (o.checksum == Checksum::valid && receiver.checksum) h.flags = VirtioNetHeader::kDataValid;
  if (o.checksum != Checksum::partial) return h;
  h.flags = VirtioNetHeader::kNeedsCsum;
  h.csum_start = o.csum_start;
  h.csum_offset = o.csum_offset;
  if (o.gso == Gso::none) return h;
  h.gso_type = o.gso == Gso::tcp4 ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
  if (o.gso_ecn != 0) h.gso_type |= VirtioNetHeader::kGsoEcn;
  h.gso_size = o.gso_size;
  const uint16_t data_offset = static_cast<uint16_t>(packet.head[o.csum_start + 12] >> 4);
  h.hdr_len = static_cast<uint16_t>(o.csum_start + data_offset * 4);
  return h;
}

/// Writes that header to `to`, of any alignment: header_size is 10, or 12 with num_buffers. In whole words: from parts
/// the processor could not forward them to the stores of the frame behind.
inline void write_header(uint8_t* to, uint16_t header_size, const Packet& packet, OffloadSet receiver,
                         uint16_t num_buffers) noexcept {
  uint64_t low = 0;
  uint32_t high = uint32_t{num_buffers} << 16;
  if (packet.offload.checksum != Checksum::unknown) {
    const VirtioNetHeader h = from_offload(packet, receiver);
    low = h.flags | uint64_t{h.gso_type} << 8 | uint64_t{h.hdr_len} << 16 | uint64_t{h.gso_size} << 32 |
          uint64_t{h.csum_start} << 48;
    high |= h.csum_offset;
  }
  std::memcpy(to, &low, sizeof low);
  if (header_size == sizeof(VirtioNetHeaderV1)) [[likely]]
    std::memcpy(to + sizeof low, &high, sizeof high);
  else
    std::memcpy(to + sizeof low, &high, sizeof(uint16_t));
}

/// The same for a frame with nothing left to do, in one buffer.
inline void write_plain_header(uint8_t* to, uint32_t header_size) noexcept {
  constexpr uint64_t kLow = 0;
  constexpr uint32_t kHigh = uint32_t{1} << 16;  // num_buffers
  std::memcpy(to, &kLow, sizeof kLow);
  if (header_size == sizeof(VirtioNetHeaderV1)) [[likely]]
    std::memcpy(to + sizeof kLow, &kHigh, sizeof kHigh);
  else
    std::memcpy(to + sizeof kLow, &kHigh, sizeof(uint16_t));
}

}  // namespace weft::dataplane
