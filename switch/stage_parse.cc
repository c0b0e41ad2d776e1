// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::L3;

void parse(Turn& turn, const Selection& in, Selection& out) noexcept {
  for (dataplane::Packet* p : in) {
    const auto* eth = wire::view<wire::EthernetHeader>(p->head_bytes(), 0);
    if (eth == nullptr) {
      turn.drop(*p, Drop::parse_short_ethernet);
      continue;
    }
    if (eth->source.is_multicast() || eth->source.is_zero()) {
      turn.drop(*p, Drop::parse_bad_source_mac);
      continue;
    }
    // VLAN-tagged frames are switched like any other, as a bridge without VLAN filtering does; only the router looks
    // further, and it speaks no tags.
    p->l3_offset = sizeof *eth;
    switch (eth->type.host()) {
      case wire::ethertype::kIpv4:
        p->l3 = L3::ipv4;
        break;
      case wire::ethertype::kIpv6:
        p->l3 = L3::ipv6;
        break;
      case wire::ethertype::kArp:
        p->l3 = L3::arp;
        break;
      default:
        p->l3 = L3::other;
        break;
    }
    out.add(*p);
  }
}

}  // namespace weft::vswitch
