// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"
#include "switch/egress.h"
#include "switch/ip_input.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::L3;
using dataplane::Packet;
using wire::MacAddress;

namespace {

/// 01:80:c2:00:00:00 … 0f stay on their link (IEEE 802.1Q §8.6.3, table 8-1): bridge protocol data units, pause, LACP.
bool is_reserved_group(const MacAddress& mac) noexcept { return (mac.to_u64() & ~uint64_t{0xf}) == 0x0180c2000000; }

/// A DHCP client's message to any server (RFC 2131 §4.1): the switch's server hears it, as do all others.
bool is_dhcp_broadcast(const Turn& turn, Packet& p) noexcept {
  if (!turn.network->serves_dhcp || p.l3 != L3::ipv4 || turn.in->role == Role::seat) return false;
  const auto* ip = wire::view<wire::Ipv4Header>(p.head_bytes(), p.l3_offset);
  if (ip == nullptr || ip->protocol != wire::ipproto::kUdp || ip->is_fragment()) return false;
  const auto* udp = wire::view<wire::UdpHeader>(p.head_bytes(), p.l3_offset + ip->header_size());
  return udp != nullptr && udp->destination_port.host() == 67 && check_ipv4(p) == Drop::none;
}

void multicast(Turn& turn, Packet& p, const MacAddress& destination) noexcept {
  if (is_reserved_group(destination)) return turn.drop(p, Drop::l2_reserved_multicast);
  if (destination.is_broadcast() && is_dhcp_broadcast(turn, p)) {
    turn.counters[p.in_port].copies.add(1);
    punt(turn, p);
    p.drop = Drop::none;  // the copy's fate; the frame itself goes on
  }
  turn.egress.flood(turn, p, *turn.network);
}

/// What the packets before in the burst have found out: those of one flow come together.
struct Recent {
  uint64_t source = 0;       // learned on this port; no station has the MAC 0
  uint64_t destination = 0;  // and where it is
  PortId out = kNoPort;
};

PortId look_up(Turn& turn, const MacAddress& destination, Recent& recent) noexcept {
  const uint64_t mac = destination.key();
  if (mac != recent.destination) {
    recent.destination = mac;
    recent.out = turn.fdb.lookup(turn.network_id, destination, turn.now_s());
  }
  return recent.out;
}

void learn(Turn& turn, const MacAddress& source, Recent& recent) noexcept {
  const uint64_t mac = source.key();
  if (mac == recent.source) return;
  recent = {.source = mac};  // what is learned may be the destination, moved
  turn.fdb.learn(turn.network_id, source, turn.in_port, turn.now_s());
}

void unicast(Turn& turn, Packet& p, const MacAddress& destination, Recent& recent) noexcept {
  const PortId out = look_up(turn, destination, recent);
  if (out == turn.in_port) return turn.drop(p, Drop::l2_same_port);
  const PortEntry* entry = turn.snapshot->port(out);
  if (entry != nullptr && entry->network == turn.network_id) {
    if (entry->is_isolated && turn.in->is_isolated) return turn.drop(p, Drop::l2_isolated);
    return turn.egress.send(turn, p, out);
  }
  if (turn.in->role == Role::guest && !turn.limits[turn.in_port].storm.take(turn.now_ns))
    return turn.drop(p, Drop::ingress_storm);
  turn.egress.flood(turn, p, *turn.network);
}

}  // namespace

void l2(Turn& turn, const Selection& in, Selection& to_router) noexcept {
  const NetworkEntry& network = *turn.network;
  MacAddress before{};
  for (Packet* p : in) {
    const MacAddress& destination = reinterpret_cast<wire::EthernetHeader*>(p->head)->destination;
    if (destination == before) continue;
    before = destination;
    turn.fdb.prefetch(turn.network_id, destination);
  }
  Recent recent;
  for (Packet* p : in) {
    p->network = turn.network_id;
    const auto* eth = reinterpret_cast<const wire::EthernetHeader*>(p->head);
    const MacAddress destination = eth->destination;
    if (network.has_gateway && eth->source == network.gateway_mac) {
      // The gateway's own MAC comes from the host's seat alone, and is never learned.
      if (turn.in->role != Role::seat) {
        turn.drop(*p, Drop::l2_spoofed_gateway);
        continue;
      }
    } else {
      learn(turn, eth->source, recent);
    }
    // All ARP, also unicast: nobody may tell a neighbour that he is the gateway.
    if (p->l3 == L3::arp && network.has_gateway && arp_on_network(turn, *p)) continue;
    if (destination.is_multicast())
      multicast(turn, *p, destination);
    else if (network.has_gateway && destination == network.gateway_mac)
      turn.in->role == Role::seat ? turn.drop(*p, Drop::l2_same_port) : to_router.add(*p);
    else
      unicast(turn, *p, destination, recent);
  }
}

}  // namespace weft::vswitch
