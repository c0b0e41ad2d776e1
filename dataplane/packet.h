// SPDX-License-Identifier: BSD-3-Clause
//
// A packet as the stages see it: headers in a slot of the worker's own memory, the payload still where the sender
// has it. It lives exactly as long as its burst. Owned by one worker; one cache line.
#pragma once

#include "dataplane/drops.h"

#include <array>
#include <cstdint>
#include <span>

namespace weft::dataplane {

/// Identifies a port for as long as it exists; index into the snapshot's port table.
using PortId = uint16_t;
inline constexpr PortId kNoPort = 0xffff;
inline constexpr size_t kMaxPorts = 4096;

/// Identifies a network (one broadcast domain each, until VLANs divide it); index into the snapshot's network table.
using NetworkId = uint16_t;
inline constexpr NetworkId kNoNetwork = 0xffff;

/// Largest frame any port takes in: 64 KiB of IP and an Ethernet header.
inline constexpr uint32_t kMaxFrame = 65535 + 14;
/// Bytes of a frame copied into the slot on receive; a frame up to this size is copied whole.
inline constexpr uint16_t kHeaderCopy = 192;

/// A piece of payload, in memory that somebody else (a guest) may be writing: read it once, never trust it twice.
struct Segment {
  const uint8_t* data;
  uint32_t size;  // bytes
};

/// State of the transport checksum. 16 bits wide as all fields of Packet: a byte store would alias everything.
enum class Checksum : uint16_t {
  unknown,  // finished by its sender, not verified by anyone; to be passed on as it is
  valid,    // finished, and known to be right (VIRTIO_NET_HDR_F_DATA_VALID)
  partial,  // holds the pseudo-header sum; to be finished over [csum_start, len) (VIRTIO_NET_HDR_F_NEEDS_CSUM)
};

/// A frame that stands for several, to be cut at `gso_size` bytes of TCP payload (virtio 1.2 §5.1.6.2).
enum class Gso : uint16_t { none, tcp4, tcp6 };

/// What a sender left for a later hop to do. Offsets are from the first byte of the frame.
struct Offload {
  Checksum checksum = Checksum::unknown;
  Gso gso = Gso::none;
  uint16_t csum_start = 0;   // where summing begins
  uint16_t csum_offset = 0;  // of the checksum field, from csum_start
  uint16_t gso_size = 0;     // TCP payload bytes a cut frame carries
  uint16_t gso_ecn = 0;      // 1: CWR is to be set on the first cut only (VIRTIO_NET_HDR_GSO_ECN)
};

/// What parse found at l3_offset.
enum class L3 : uint16_t { other, arp, ipv4, ipv6 };

/// Field invariant kept by ports at rx: when checksum is partial, csum_start + csum_offset + 2 ≤ head_size and
/// csum_start < size; when gso is not none, checksum is partial, gso_size ≠ 0, and the TCP header lies in the head.
struct alignas(64) Packet {
  uint8_t* head;     // first byte of the frame, in the slot (headroom before it)
  Segment* payload;  // what follows the head, in order; in the burst's own arena
  uint32_t size;     // of the frame: head_size + Σ payload sizes
  uint16_t head_size;
  uint16_t n_payload;
  Offload offload;

  uint16_t l3_offset;
  L3 l3;
  uint16_t l4_offset;    // 0: no transport header in the head (not IP, later fragment, cut short)
  uint16_t l4_protocol;  // IANA protocol number
  PortId in_port;
  PortId out_port;
  NetworkId network;
  Drop drop;               // none while it is alive
  uint16_t rx_cookie;      // the receiving port's own
  uint16_t out_interface;  // set by route: the router interface it leaves by, and
  uint32_t next_hop;       // the neighbour there, IPv4 in host order

  /// Cuts the frame to `new_size` ≤ size bytes (Ethernet padding, the tail of a quoted packet).
  void trim(uint32_t new_size) noexcept {
    if (new_size <= head_size) {
      head_size = static_cast<uint16_t>(new_size);
      n_payload = 0;
    } else {
      uint32_t left = new_size - head_size;
      uint16_t n = 0;
      for (; left != 0; ++n) {
        if (payload[n].size > left) payload[n].size = left;
        left -= payload[n].size;
      }
      n_payload = n;
    }
    size = new_size;
  }

  [[nodiscard]] std::span<uint8_t> head_bytes() noexcept { return {head, head_size}; }
  [[nodiscard]] std::span<const uint8_t> head_bytes() const noexcept { return {head, head_size}; }
  [[nodiscard]] std::span<const Segment> payload_segments() const noexcept { return {payload, n_payload}; }
};
static_assert(sizeof(Packet) == 64);

}  // namespace weft::dataplane
