// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::L3;

namespace {

L3 l3_of(uint16_t ethertype) noexcept {
  switch (ethertype) {
    case wire::ethertype::kIpv4:
      return L3::ipv4;
    case wire::ethertype::kIpv6:
      return L3::ipv6;
    case wire::ethertype::kArp:
      return L3::arp;
    default:
      return L3::other;
  }
}

}  // namespace

void parse(Turn& turn, Selection& packets) noexcept {
  packets.filter([&](dataplane::Packet& p) {
    const auto* eth = wire::view<wire::EthernetHeader>(p.head_bytes(), 0);
    if (eth == nullptr) [[unlikely]] {
      turn.drop(p, Drop::parse_short_ethernet);
      return false;
    }
    const uint64_t source = wire::EthernetKeys(*eth).source;
    if ((source & wire::EthernetKeys::kMulticast) != 0 || source == 0) [[unlikely]] {
      turn.drop(p, Drop::parse_bad_source_mac);
      return false;
    }
    // VLAN-tagged frames are switched like any other, as a bridge without VLAN filtering does; only the router looks
    // further, and it speaks no tags.
    p.l3_offset = sizeof *eth;
    p.l3 = l3_of(eth->type.host());
    return true;
  });
}

}  // namespace weft::vswitch
