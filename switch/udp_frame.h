// SPDX-License-Identifier: BSD-3-Clause
//
// Whole UDP/IPv4 frames, as the control thread reads and makes them for the switch's own services. Pure functions.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/wire/addr.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weft::vswitch {

struct UdpEndpoint {
  wire::MacAddress mac;
  wire::Ipv4Address ip;
  uint16_t port = 0;  // host order
};

/// A received datagram; `payload` lies in the frame.
struct UdpFrame {
  UdpEndpoint source, destination;
  std::span<const uint8_t> payload;
};

/// Reads an Ethernet frame with unfragmented IPv4, which check_ipv4 (ip_input.h) has passed, and UDP in it. `checksum`
/// tells whether the UDP checksum is to be believed: unknown ones are verified, valid and partial ones are not. nullopt
/// when anything is wrong.
[[nodiscard]] std::optional<UdpFrame> read_udp_frame(std::span<const uint8_t> frame, dataplane::Checksum checksum);

/// Makes a frame with complete checksums (a DHCP client may read it off a raw socket), TTL 64 and `tos`.
[[nodiscard]] std::vector<uint8_t> make_udp_frame(const UdpEndpoint& source, const UdpEndpoint& destination,
                                                  std::span<const uint8_t> payload, uint8_t tos);

}  // namespace weft::vswitch
