// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"
#include "switch/ip_input.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::L3;
using dataplane::Packet;
using wire::Ipv4Header;

namespace {

void uplink_ipv4(Turn& turn, Packet& p, Selection& to_nat_in, Selection& to_route) noexcept {
  const UplinkEntry& uplink = turn.snapshot->uplinks[turn.uplink_id];
  const auto* eth = reinterpret_cast<const wire::EthernetHeader*>(p.head);
  if (eth->destination != uplink.mac) return turn.drop(p, Drop::uplink_not_ours);
  if (const Drop bad = check_ipv4(p); bad != Drop::none) return turn.drop(p, bad);
  const auto* ip = reinterpret_cast<const Ipv4Header*>(p.head + p.l3_offset);
  if (uplink.owns(ip->destination)) {
    if (is_echo_request(p)) return answer_echo(turn, p);
    // The TTL is looked at before the translation, so that an error quotes what its receiver sent.
    if (ip->ttl <= 1) return reject(turn, p, Drop::route_ttl, kTimeExceeded);
    return to_nat_in.add(p);
  }
  to_route.add(p);
}

}  // namespace

void uplink_input(Turn& turn, const Selection& in, Selection& to_nat_in, Selection& to_route) noexcept {
  for (Packet* p : in) {
    switch (p->l3) {
      case L3::arp:
        arp_on_uplink(turn, *p);
        break;
      case L3::ipv4:
        uplink_ipv4(turn, *p, to_nat_in, to_route);
        break;
      case L3::ipv6:
        turn.drop(*p, Drop::ip6_not_routed);
        break;
      case L3::other:
        turn.drop(*p, Drop::router_unknown_ethertype);
        break;
    }
  }
}

}  // namespace weft::vswitch
