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

constexpr uint64_t kNoMac = ~uint64_t{0};  // nobody's key

/// What the packets before in the burst have found out, and those of them that go the same way: packets of one flow
/// come together, and are given to egress together.
struct Recent {
  uint64_t source = kNoMac;       // learned on this port
  uint64_t destination = kNoMac;  // to be sent to `out`, and nothing else
  PortId out = kNoPort;
  uint16_t n_run = 0;
  std::array<Packet*, dataplane::kBurst> run;  // the first n_run go to `out`

  Recent() noexcept {}  // the array stays as it is

  /// Before anything else is sent, so that the order is kept.
  void end_run(Turn& turn) noexcept {
    if (n_run == 0) return;
    turn.egress.send({run.data(), n_run}, out);
    n_run = 0;
  }
};

bool is_member(const Turn& turn, PortId out) noexcept {
  const PortEntry* entry = turn.snapshot->port(out);
  return entry != nullptr && entry->network == turn.network_id;
}

void unicast(Turn& turn, Packet& p, const wire::EthernetHeader& eth, uint64_t destination, Recent& recent) noexcept {
  const PortId out = turn.fdb.lookup(turn.network_id, eth.destination, turn.now_s());
  if (out == turn.in_port) return turn.drop(p, Drop::l2_same_port);
  if (is_member(turn, out)) {
    if (turn.snapshot->ports[out].is_isolated && turn.in->is_isolated) return turn.drop(p, Drop::l2_isolated);
    recent.destination = destination;
    recent.out = out;
    return turn.egress.send(p, out);
  }
  if (turn.in->role == Role::guest && !turn.limits[turn.in_port].storm.take(turn.now_ns))
    return turn.drop(p, Drop::ingress_storm);
  turn.egress.flood(turn, p, *turn.network);
}

/// All that will be learned and looked up, so that the table's cache misses overlap.
void prefetch_entries(const Turn& turn, const Selection& in) noexcept {
  uint64_t source = kNoMac, destination = kNoMac;  // those of one flow come together
  for (const Packet* p : in) {
    const auto& eth = *reinterpret_cast<const wire::EthernetHeader*>(p->head);
    const wire::EthernetKeys macs(eth);
    if (macs.destination != destination) turn.fdb.prefetch(turn.network_id, eth.destination);
    if (macs.source != source) turn.fdb.prefetch(turn.network_id, eth.source);
    destination = macs.destination;
    source = macs.source;
  }
}

}  // namespace

void l2(Turn& turn, const Selection& in, Selection& to_router) noexcept {
  const NetworkEntry& network = *turn.network;
  const uint64_t gateway = network.has_gateway ? network.gateway_mac.key() : kNoMac;
  prefetch_entries(turn, in);
  Recent recent;
  for (Packet* p : in) {
    p->network = turn.network_id;
    const auto& eth = *reinterpret_cast<const wire::EthernetHeader*>(p->head);
    const wire::EthernetKeys macs(eth);
    if (macs.source == recent.source && macs.destination == recent.destination && p->l3 != L3::arp) [[likely]] {
      recent.run[recent.n_run++] = p;
      continue;
    }
    recent.end_run(turn);
    if (macs.source != recent.source) {
      if (macs.source == gateway) {
        // The gateway's own MAC comes from the host's seat alone, and is never learned.
        if (turn.in->role != Role::seat) {
          turn.drop(*p, Drop::l2_spoofed_gateway);
          continue;
        }
      } else {
        turn.fdb.learn(turn.network_id, eth.source, turn.in_port, turn.now_s());
        recent.source = macs.source;
        recent.destination = kNoMac;  // what was learned may be the destination, moved
      }
    }
    // All ARP, also unicast: nobody may tell a neighbour that he is the gateway.
    if (p->l3 == L3::arp && network.has_gateway && arp_on_network(turn, *p)) continue;
    if ((macs.destination & wire::EthernetKeys::kMulticast) != 0)
      multicast(turn, *p, eth.destination);
    else if (macs.destination == gateway)
      turn.in->role == Role::seat ? turn.drop(*p, Drop::l2_same_port) : to_router.add(*p);
    else
      unicast(turn, *p, eth, macs.destination, recent);
  }
  recent.end_run(turn);
}

}  // namespace weft::vswitch
