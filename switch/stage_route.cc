// SPDX-License-Identifier: BSD-3-Clause
//
// The router's decision (RFC 1812 §5.2): where a packet goes, and whether the forward mode of the networks it passes
// between lets it. Refusals are told to the sender as libvirt's rules do (ICMP port unreachable).
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::Packet;
using wire::Ipv4Address;
using wire::Ipv4Header;

namespace {

struct Decision {
  const Route* route = nullptr;
  bool is_masqueraded = false;
  Drop drop = Drop::none;
  IcmpError error = kNetUnreachable;
  bool is_told = true;  // whether the sender learns of the drop
};

Decision refuse(Drop why, IcmpError error) { return {nullptr, false, why, error, true}; }
Decision refuse_silently(Drop why) { return {nullptr, false, why, kNetUnreachable, false}; }

bool is_forwardable(Ipv4Address a) noexcept {
  return !a.is_multicast() && !a.is_broadcast() && !a.is_link_local() && !a.is_zero() && !a.is_loopback();
}

/// Towards a network: from a network, or from an uplink.
Decision decide_inside(const Turn& turn, const Packet& p, const Route& route, Ipv4Address destination) noexcept {
  const NetworkEntry& target = turn.snapshot->networks[route.interface];
  // Directed broadcasts are not forwarded (RFC 2644).
  if (target.is_subnet_broadcast(destination)) return refuse_silently(Drop::route_not_forwardable);
  if (turn.network == nullptr) {
    const bool is_reply = p.network == route.interface;  // nat_in found the connection
    const bool is_routed = target.mode == ForwardMode::route && target.uplink == turn.uplink_id;
    if (!is_reply && !is_routed) return refuse(Drop::route_forbidden, kPortUnreachable);
    return {&route};
  }
  const bool is_allowed = route.interface == turn.network_id ||
                          (turn.network->mode == ForwardMode::route && target.mode == ForwardMode::route);
  if (!is_allowed) return refuse(Drop::route_forbidden, kPortUnreachable);
  return {&route};
}

/// Out of the machine, from a network.
Decision decide_outside(const Turn& turn, Ipv4Address destination) noexcept {
  const NetworkEntry& network = *turn.network;
  if (network.mode == ForwardMode::none) return refuse(Drop::route_forbidden, kPortUnreachable);
  if (network.uplink == kNoUplink) return refuse(Drop::route_no_uplink, kNetUnreachable);
  const UplinkEntry& uplink = turn.snapshot->uplinks[network.uplink];
  if (uplink.port == kNoPort) return refuse(Drop::route_uplink_down, kNetUnreachable);
  const Route* route = uplink.fib.lookup(destination);
  if (route == nullptr) return refuse(Drop::route_no_route, kNetUnreachable);
  if (uplink.is_subnet_broadcast(destination)) return refuse_silently(Drop::route_not_forwardable);
  return {route, network.mode == ForwardMode::nat};
}

Decision decide(const Turn& turn, const Packet& p, const Ipv4Header& ip) noexcept {
  if (!is_forwardable(ip.destination)) return refuse_silently(Drop::route_not_forwardable);
  // Reverse path (RFC 2827, RFC 3704 §2.2): what comes from a network has a source of it, its static routes included;
  // what comes from outside has none of ours.
  const Route* back = turn.snapshot->inside.lookup(ip.source);
  if (turn.network != nullptr) {
    if (back == nullptr || back->interface != turn.in_interface() || turn.network->owns(ip.source) ||
        turn.network->is_subnet_broadcast(ip.source))
      return refuse_silently(Drop::route_bad_source);
  } else if (back != nullptr) {
    return refuse_silently(Drop::route_bad_source);
  }
  const Route* inside = turn.snapshot->inside.lookup(ip.destination);
  if (inside != nullptr) return decide_inside(turn, p, *inside, ip.destination);
  if (turn.network != nullptr) return decide_outside(turn, ip.destination);
  return refuse_silently(Drop::route_no_route);  // from an uplink, for nobody here: not ours to pass on
}

uint16_t mtu_of(const Snapshot& snapshot, InterfaceId interface) noexcept {
  return is_uplink_interface(interface) ? snapshot.uplinks[uplink_of_interface(interface)].mtu
                                        : snapshot.networks[interface].mtu;
}

/// Whether the packet, or each cut of a TSO frame, fits a link.
bool fits(const Packet& p, uint16_t mtu) noexcept {
  if (p.offload.gso == dataplane::Gso::none) return p.size - p.l3_offset <= mtu;
  const auto* tcp = reinterpret_cast<const wire::TcpHeader*>(p.head + p.l4_offset);
  return p.l4_offset - p.l3_offset + tcp->header_size() + p.offload.gso_size <= mtu;
}

void decrement_ttl(Ipv4Header& ip) noexcept {
  wire::ChecksumDelta delta;
  const auto word = [&] { return wire::be16(static_cast<uint16_t>(ip.ttl << 8 | ip.protocol)).raw(); };
  const uint16_t before = word();
  --ip.ttl;
  delta.replace16(before, word());
  ip.checksum = wire::checksum_apply(ip.checksum, delta.folded());
}

}  // namespace

void route(Turn& turn, const Selection& in, Selection& to_nat_out, Selection& to_resolve) noexcept {
  for (Packet* p : in) {
    auto* ip = reinterpret_cast<Ipv4Header*>(p->head + p->l3_offset);
    const Decision d = decide(turn, *p, *ip);
    if (d.drop != Drop::none) {
      d.is_told ? reject(turn, *p, d.drop, d.error) : turn.drop(*p, d.drop);
      continue;
    }
    if (ip->ttl <= 1) {
      reject(turn, *p, Drop::route_ttl, kTimeExceeded);
      continue;
    }
    if (const uint16_t mtu = mtu_of(*turn.snapshot, d.route->interface); !fits(*p, mtu)) {
      // Also without DF: the switch does not fragment, and hosts heed the message either way. A translated packet is
      // not what its sender sent, so nothing can be quoted to it.
      const bool is_translated = turn.network == nullptr && p->network != kNoNetwork;
      is_translated ? turn.drop(*p, Drop::route_too_big) : reject(turn, *p, Drop::route_too_big, too_big(mtu));
      continue;
    }
    decrement_ttl(*ip);
    p->out_interface = d.route->interface;
    p->next_hop = d.route->next_hop.value_or(ip->destination).host();
    (d.is_masqueraded ? to_nat_out : to_resolve).add(*p);
  }
}

}  // namespace weft::vswitch
