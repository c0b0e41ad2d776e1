// SPDX-License-Identifier: BSD-3-Clause
//
// Header structs as the RFCs draw them, laid over frame bytes. All have alignment 1. `view<H>(bytes, offset)` is
// the only gate: it answers nullptr when the header does not lie wholly inside.
#pragma once

#include "dataplane/wire/addr.h"
#include "dataplane/wire/be.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace weft::wire {

/// The header H at `offset` of `bytes`, or nullptr when it is cut short.
template <class H>
[[nodiscard]] inline H* view(std::span<uint8_t> bytes, size_t offset) noexcept {
  static_assert(alignof(H) == 1);
  if (offset > bytes.size() || bytes.size() - offset < sizeof(H)) return nullptr;
  return reinterpret_cast<H*>(bytes.data() + offset);
}
template <class H>
[[nodiscard]] inline const H* view(std::span<const uint8_t> bytes, size_t offset) noexcept {
  static_assert(alignof(H) == 1);
  if (offset > bytes.size() || bytes.size() - offset < sizeof(H)) return nullptr;
  return reinterpret_cast<const H*>(bytes.data() + offset);
}

namespace ethertype {
inline constexpr uint16_t kIpv4 = 0x0800;
inline constexpr uint16_t kArp = 0x0806;
inline constexpr uint16_t kRarp = 0x8035;
inline constexpr uint16_t kVlan = 0x8100;  // IEEE 802.1Q C-tag
inline constexpr uint16_t kQinq = 0x88a8;  // IEEE 802.1ad S-tag
inline constexpr uint16_t kIpv6 = 0x86dd;
inline constexpr uint16_t kFirst = 0x0600;  // below: an IEEE 802.3 length
}  // namespace ethertype

namespace ipproto {
inline constexpr uint8_t kIcmp = 1;
inline constexpr uint8_t kIgmp = 2;
inline constexpr uint8_t kTcp = 6;
inline constexpr uint8_t kUdp = 17;
inline constexpr uint8_t kIpv6 = 41;
inline constexpr uint8_t kGre = 47;
inline constexpr uint8_t kEsp = 50;
inline constexpr uint8_t kIcmpv6 = 58;
inline constexpr uint8_t kSctp = 132;
inline constexpr uint8_t kUdpLite = 136;
}  // namespace ipproto

/// IEEE 802.3 / Ethernet II.
struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  be16 type;
};
static_assert(sizeof(EthernetHeader) == 14);

/// A header's two addresses as MacAddress::key() has them, by one load each.
struct EthernetKeys {
  static constexpr uint64_t kMask = 0xffffffffffff, kMulticast = 1, kBroadcast = kMask;
  uint64_t destination, source;
  explicit EthernetKeys(const EthernetHeader& header) noexcept {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
    std::memcpy(&destination, bytes, sizeof destination);
    std::memcpy(&source, bytes + sizeof(MacAddress), sizeof source);
    destination &= kMask;
    source &= kMask;
  }
};

/// IEEE 802.1Q tag, following the two MAC addresses' type field.
struct VlanTag {
  be16 tci;   // PCP 3, DEI 1, VID 12
  be16 type;  // of what follows
  [[nodiscard]] uint16_t vid() const noexcept { return tci.host() & 0xfff; }
};
static_assert(sizeof(VlanTag) == 4);

/// RFC 826 for Ethernet and IPv4.
struct ArpPacket {
  static constexpr uint16_t kRequest = 1, kReply = 2;
  be16 hardware_type;  // 1
  be16 protocol_type;  // 0x0800
  uint8_t hardware_size;
  uint8_t protocol_size;
  be16 operation;
  MacAddress sender_mac;
  Ipv4Address sender_ip;
  MacAddress target_mac;
  Ipv4Address target_ip;
  [[nodiscard]] bool is_ethernet_ipv4() const noexcept {
    return hardware_type.host() == 1 && protocol_type.host() == ethertype::kIpv4 && hardware_size == 6 &&
           protocol_size == 4;
  }
};
static_assert(sizeof(ArpPacket) == 28);

/// RFC 791 §3.1.
struct Ipv4Header {
  static constexpr uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffsetMask = 0x1fff;
  uint8_t version_ihl;
  uint8_t tos;
  be16 total_length;  // bytes, header included
  be16 id;
  be16 fragment;  // flags 3, offset 13 in units of 8 bytes
  uint8_t ttl;
  uint8_t protocol;
  be16 checksum;
  Ipv4Address source;
  Ipv4Address destination;

  [[nodiscard]] uint8_t version() const noexcept { return version_ihl >> 4; }
  /// Bytes, options included.
  [[nodiscard]] size_t header_size() const noexcept { return static_cast<size_t>(version_ihl & 0xf) * 4; }
  [[nodiscard]] bool is_fragment() const noexcept { return (fragment.host() & (kMoreFragments | kOffsetMask)) != 0; }
  [[nodiscard]] bool is_later_fragment() const noexcept { return (fragment.host() & kOffsetMask) != 0; }
};
static_assert(sizeof(Ipv4Header) == 20);

/// RFC 8200 §3.
struct Ipv6Header {
  be32 version_class_flow;
  be16 payload_length;  // bytes after this header
  uint8_t next_header;
  uint8_t hop_limit;
  Ipv6Address source;
  Ipv6Address destination;
  [[nodiscard]] uint8_t version() const noexcept { return static_cast<uint8_t>(version_class_flow.host() >> 28); }
};
static_assert(sizeof(Ipv6Header) == 40);

/// RFC 768.
struct UdpHeader {
  be16 source_port;
  be16 destination_port;
  be16 length;    // bytes, header included
  be16 checksum;  // 0: none (IPv4 only)
};
static_assert(sizeof(UdpHeader) == 8);

/// RFC 9293 §3.1.
struct TcpHeader {
  static constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32, kEce = 64, kCwr = 128;
  be16 source_port;
  be16 destination_port;
  be32 sequence;
  be32 acknowledgement;
  uint8_t data_offset;  // high 4 bits, words of 4 bytes
  uint8_t flags;
  be16 window;
  be16 checksum;
  be16 urgent;
  [[nodiscard]] size_t header_size() const noexcept { return static_cast<size_t>(data_offset >> 4) * 4; }
};
static_assert(sizeof(TcpHeader) == 20);

/// RFC 792; `rest` is the identifier and sequence of an echo, the next-hop MTU of a too-big (RFC 1191), …
struct IcmpHeader {
  static constexpr uint8_t kEchoReply = 0, kUnreachable = 3, kSourceQuench = 4, kRedirect = 5, kEcho = 8,
                           kTimeExceeded = 11, kParameterProblem = 12, kTimestamp = 13, kTimestampReply = 14;
  uint8_t type;
  uint8_t code;
  be16 checksum;
  be16 id;
  be16 sequence;
  /// An error message: it quotes the packet that caused it (RFC 1122 §3.2.2).
  [[nodiscard]] bool is_error() const noexcept {
    return type == kUnreachable || type == kSourceQuench || type == kRedirect || type == kTimeExceeded ||
           type == kParameterProblem;
  }
};
static_assert(sizeof(IcmpHeader) == 8);

}  // namespace weft::wire
