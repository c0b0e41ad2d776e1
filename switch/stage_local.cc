// SPDX-License-Identifier: BSD-3-Clause
//
// Who answers at the gateway's address: DHCP and DNS by the switch; everything else by the host through its seat, or,
// where the host has no seat, echo by the switch and nothing else.
#include "dataplane/owned.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "switch/egress.h"
#include "switch/guest_limits.h"
#include "switch/ip_input.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::L3;
using dataplane::Packet;
using wire::EthernetHeader;
using wire::IcmpHeader;
using wire::Ipv4Header;
using wire::UdpHeader;

void punt(Turn& turn, Packet& p) noexcept {
  if (p.size > limits::kLocalFrame) return turn.drop(p, Drop::local_no_service);
  if (!turn.limits[p.in_port].punt.take(turn.now_ns)) return turn.drop(p, Drop::local_rate_limited);
  rte_mbuf* m = turn.owned.copy(p);
  if (m == nullptr) return turn.drop(p, Drop::local_queue_full);
  if (!turn.mailbox.to_control(m)) {
    turn.owned.free(m);
    return turn.drop(p, Drop::local_queue_full);
  }
  turn.counters[p.in_port].held.add(1);
}

bool is_echo_request(const Packet& p) noexcept {
  return p.l4_protocol == wire::ipproto::kIcmp && p.l4_offset != 0 &&
         reinterpret_cast<const IcmpHeader*>(p.head + p.l4_offset)->type == IcmpHeader::kEcho &&
         !reinterpret_cast<const Ipv4Header*>(p.head + p.l3_offset)->is_fragment();
}

void answer_echo(Turn& turn, Packet& p) noexcept {
  if (!turn.limits[p.in_port].local.take(turn.now_ns)) return turn.drop(p, Drop::local_rate_limited);
  turn.consumed(p);
  auto* eth = reinterpret_cast<EthernetHeader*>(p.head);
  std::swap(eth->destination, eth->source);
  auto* ip = reinterpret_cast<Ipv4Header*>(p.head + p.l3_offset);
  std::swap(ip->source, ip->destination);
  ip->ttl = 64;
  ip->checksum = {};
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, ip->header_size()));
  auto* icmp = reinterpret_cast<IcmpHeader*>(p.head + p.l4_offset);
  wire::ChecksumDelta delta;
  delta.replace16(wire::be16(IcmpHeader::kEcho << 8).raw(), wire::be16(IcmpHeader::kEchoReply << 8).raw());
  icmp->type = IcmpHeader::kEchoReply;
  icmp->checksum = wire::checksum_apply(icmp->checksum, delta.folded());
  turn.injected(p);
  turn.egress.send(turn, p, p.in_port);
}

void reject(Turn& turn, Packet& p, Drop why, IcmpError error) noexcept {
  turn.drop(p, why);
  const auto source = reinterpret_cast<const Ipv4Header*>(p.head + p.l3_offset)->source;
  if (!may_send_icmp_error(p) || !turn.icmp_errors.take(source, turn.now_ns)) return;
  const auto& addresses =
      turn.network != nullptr ? turn.network->addresses : turn.snapshot->uplinks[turn.uplink_id].addresses;
  if (addresses.empty()) return;
  wire::Ipv4Address router = addresses.front().address;
  for (const auto& a : addresses)
    if (a.contains(source)) router = a.address;
  make_icmp_error(p, error, router);
  p.drop = Drop::none;
  turn.injected(p);
  turn.egress.send(turn, p, p.in_port);
}

namespace {

/// The switch's own services on UDP. 69 and 547 are its own too, though nothing answers there yet.
bool is_service(const Turn& turn, const Packet& p) noexcept {
  if (p.l4_protocol != wire::ipproto::kUdp || p.l4_offset == 0) return false;
  if (reinterpret_cast<const Ipv4Header*>(p.head + p.l3_offset)->is_fragment()) return false;
  switch (reinterpret_cast<const UdpHeader*>(p.head + p.l4_offset)->destination_port.host()) {
    case 53:
      return turn.network->serves_dns;
    case 67:
      return turn.network->serves_dhcp;
    default:
      return false;
  }
}

/// For an address of the switch or the host that is reached through this network.
void deliver(Turn& turn, Packet& p, bool is_gateway) noexcept {
  if (is_gateway && is_service(turn, p)) return punt(turn, p);
  if (turn.network->seat != kNoPort) return turn.egress.send(turn, p, turn.network->seat);
  if (is_echo_request(p)) return answer_echo(turn, p);
  reject(turn, p, Drop::local_no_service, kPortUnreachable);
}

/// An IP broadcast in a frame to the gateway alone: a DHCP client may send one; nothing else is answered, and nobody is
/// told (RFC 1122 §3.2.2).
void deliver_broadcast(Turn& turn, Packet& p) noexcept {
  const bool is_dhcp =
      is_service(turn, p) && reinterpret_cast<const UdpHeader*>(p.head + p.l4_offset)->destination_port.host() == 67;
  if (is_dhcp) return punt(turn, p);
  if (turn.network->seat != kNoPort) return turn.egress.send(turn, p, turn.network->seat);
  turn.drop(p, Drop::local_no_service);
}

void local_ipv4(Turn& turn, Packet& p, Selection& to_route) noexcept {
  if (const Drop bad = check_ipv4(p); bad != Drop::none) return turn.drop(p, bad);
  const auto destination = reinterpret_cast<const Ipv4Header*>(p.head + p.l3_offset)->destination;
  if (turn.network->owns(destination)) return deliver(turn, p, /*is_gateway=*/true);
  if (destination.is_broadcast() || turn.network->is_subnet_broadcast(destination)) return deliver_broadcast(turn, p);
  if (turn.network->seat != kNoPort && turn.snapshot->is_host_address(destination))
    return turn.egress.send(turn, p, turn.network->seat);
  if (turn.snapshot->is_switch_address(destination)) {
    if (is_echo_request(p)) return answer_echo(turn, p);
    return reject(turn, p, Drop::local_no_service, kPortUnreachable);
  }
  to_route.add(p);
}

}  // namespace

void local(Turn& turn, const Selection& in, Selection& to_route) noexcept {
  for (Packet* p : in) {
    switch (p->l3) {
      case L3::arp:
        arp_on_network(turn, *p);
        break;
      case L3::ipv4:
        local_ipv4(turn, *p, to_route);
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
