// SPDX-License-Identifier: BSD-3-Clause
//
// The generator's frames, made once and patched when they are sent. Sizes count the frame check sequence, as on a wire
// and in every published figure; it is never in memory, so a frame of 64 takes 60 bytes. Pure; any thread.
#pragma once

#include "dataplane/virtio_net_header.h"
#include "dataplane/wire/addr.h"
#include "dataplane/wire/headers.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace weft::bench {

inline constexpr size_t kFrameCheck = 4;
inline constexpr unsigned kSmallest = 64, kLargest = 9018, kLargestSegmented = 65535;
/// Flows that share an address: one for each source port from kFirstPort on.
inline constexpr uint32_t kPortsPerHost = 60'000;
inline constexpr uint16_t kFirstPort = 1024;
inline constexpr uint32_t kMostFlows = 1 << 20, kMostMacs = 1 << 20;

/// MAC address `index` (below 2^24) of guest `guest` (below 256).
[[nodiscard]] wire::MacAddress mac_of(unsigned guest, uint32_t index) noexcept;

struct Endpoints {
  wire::MacAddress source_mac, destination_mac;
  wire::Ipv4Address source, destination;
  uint16_t destination_port = 4000;
};

/// UDP over IPv4 of flow 0, without a UDP checksum, zeros as payload.
[[nodiscard]] std::vector<uint8_t> make_udp_frame(const Endpoints& ends, unsigned size);
/// A TCP segment to be cut: its checksum covers the pseudo-header only, as a guest leaves it.
[[nodiscard]] std::vector<uint8_t> make_tcp_frame(const Endpoints& ends, unsigned size);
/// What a guest writes before that segment: cut to `gso_size` bytes of payload and finish the checksum.
[[nodiscard]] dataplane::VirtioNetHeaderV1 segmentation_header(uint16_t gso_size) noexcept;

/// What distinguishes a frame of one flow from one of another. Written over a frame of flow 0, it leaves the IPv4
/// checksum right: what the addresses gain the identification loses.
struct Patch {
  uint8_t mac[3] = {};        // last three bytes of both MAC addresses
  uint8_t host = 0;           // added to the last byte of the source
  wire::be16 source_port{0};  // of UDP or TCP
  uint16_t remote = 0;        // added to the last two bytes of the destination
};
static_assert(sizeof(Patch) == 8);

/// Flow `flow` of a guest with `n_macs` addresses.
[[nodiscard]] Patch patch_of(uint32_t flow, uint32_t n_macs) noexcept;
/// Session `number` of an endless row in which none comes back before 3.9 × 10^9 others.
[[nodiscard]] Patch session_patch(uint64_t number) noexcept;

/// What the patched fields are based on.
struct PatchBase {
  uint8_t host = 0;     // last byte of the source address
  uint16_t remote = 0;  // last two bytes of the destination address
  PatchBase() = default;
  explicit PatchBase(const Endpoints& ends) noexcept
      : host(static_cast<uint8_t>(ends.source.host())), remote(static_cast<uint16_t>(ends.destination.host())) {}
};

inline void apply_macs(const Patch& patch, uint8_t* frame) noexcept {
  std::memcpy(frame + 3, patch.mac, 3);
  std::memcpy(frame + 9, patch.mac, 3);
}
inline void apply_flow(const Patch& patch, const PatchBase& base, uint8_t* frame) noexcept {
  constexpr size_t kIp = sizeof(wire::EthernetHeader);
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(frame + kIp);
  ip->id = wire::be16(static_cast<uint16_t>(0xffff - patch.host - patch.remote));
  frame[kIp + 15] = static_cast<uint8_t>(base.host + patch.host);
  const wire::be16 remote(static_cast<uint16_t>(base.remote + patch.remote));
  std::memcpy(frame + kIp + 18, &remote, 2);
  std::memcpy(frame + kIp + 20, &patch.source_port, 2);
}

/// What a stamped frame carries at the start of its UDP payload.
struct Stamp {
  static constexpr size_t kOffset = 42;
  uint32_t flow;
  uint32_t number;  // of the flow's frames, from 0
  uint64_t ticks;   // when it was sent
};
static_assert(Stamp::kOffset + sizeof(Stamp) <= kSmallest - kFrameCheck);

/// IPv4 carrying UDP or TCP: the generator's own, and not what the switch says on its own account.
[[nodiscard]] inline bool is_traffic(const uint8_t* frame) noexcept {
  return frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 &&
         (frame[23] == wire::ipproto::kUdp || frame[23] == wire::ipproto::kTcp);
}

/// Turns a UDP frame round: MAC addresses, addresses and ports change places. Checksums stay right.
void turn_round(uint8_t* frame) noexcept;

// --- ARP -----------------------------------------------------------------------------------------------------------
using ArpFrame = std::array<uint8_t, kSmallest - kFrameCheck>;
[[nodiscard]] ArpFrame make_arp_request(wire::MacAddress mac, wire::Ipv4Address own, wire::Ipv4Address wanted);
/// The answer to a request for anything but the asker's own address; nullopt when `frame` is something else.
[[nodiscard]] std::optional<ArpFrame> make_arp_reply(std::span<const uint8_t> frame, wire::MacAddress mac);
/// Whose MAC address an ARP reply about `address` tells.
[[nodiscard]] std::optional<wire::MacAddress> read_arp_reply(std::span<const uint8_t> frame, wire::Ipv4Address address);

}  // namespace weft::bench
