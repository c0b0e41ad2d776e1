// SPDX-License-Identifier: BSD-3-Clause
//
// The checks every IPv4 packet passes before the router reads it. Pure; worker.
#pragma once

#include "dataplane/packet.h"

namespace weft::vswitch {

/// Checks an IPv4 packet (l3 is ipv4) as RFC 1812 §5.2.2 asks: lengths, version, checksum, source, no source route.
/// Cuts Ethernet padding off, and finds the transport header: l4_protocol is set, and l4_offset when the header lies in
/// the head and this is no later fragment. Returns Drop::none, or why it must be dropped.
[[nodiscard]] dataplane::Drop check_ipv4(dataplane::Packet& packet) noexcept;

}  // namespace weft::vswitch
