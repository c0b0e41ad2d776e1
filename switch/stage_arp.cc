// SPDX-License-Identifier: BSD-3-Clause
//
// Who answers ARP for the switch's addresses (RFC 826). The gateway's address is answered by the switch to every port
// but the host's seat, and is nobody else's to claim.
#include "dataplane/wire/headers.h"
#include "switch/egress.h"
#include "switch/resolver.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::Packet;
using wire::ArpPacket;
using wire::EthernetHeader;
using wire::MacAddress;

namespace {

ArpPacket* view_arp(Packet& p) noexcept {
  auto* arp = wire::view<ArpPacket>(p.head_bytes(), p.l3_offset);
  return arp != nullptr && arp->is_ethernet_ipv4() ? arp : nullptr;
}

/// Turns a request into the reply that `mac` has its target address, back out of the port it came in by.
void answer_arp(Turn& turn, Packet& p, ArpPacket& arp, const MacAddress& mac) noexcept {
  turn.consumed(p);
  auto* eth = reinterpret_cast<EthernetHeader*>(p.head);
  eth->destination = eth->source;
  eth->source = mac;
  arp.operation = wire::be16(ArpPacket::kReply);
  arp.target_mac = arp.sender_mac;
  std::swap(arp.sender_ip, arp.target_ip);
  arp.sender_mac = mac;
  p.trim(static_cast<uint32_t>(p.l3_offset + sizeof arp));
  p.offload = {};
  turn.injected(p);
  turn.egress.send(turn, p, p.in_port);
}

bool is_sound_sender(const ArpPacket& arp, const EthernetHeader& eth) noexcept {
  return arp.sender_mac == eth.source && !arp.sender_ip.is_multicast() && !arp.sender_ip.is_broadcast() &&
         !arp.sender_ip.is_loopback();
}

}  // namespace

bool arp_on_network(Turn& turn, Packet& p) noexcept {
  const NetworkEntry& network = *turn.network;
  const bool from_seat = turn.in->role == Role::seat;
  const auto* eth = reinterpret_cast<const EthernetHeader*>(p.head);
  const bool to_gateway = eth->destination == network.gateway_mac;
  ArpPacket* arp = view_arp(p);
  if (arp == nullptr) {
    turn.drop(p, Drop::local_arp_bad);
    return true;
  }
  if (from_seat) {
    // The host asks for its own address only to find out whether somebody else has it; that is ours to prevent.
    if (arp->operation.host() != ArpPacket::kRequest || !network.owns(arp->target_ip)) return false;
    turn.drop(p, Drop::local_arp_bad);
    return true;
  }
  if (network.owns(arp->sender_ip)) {
    turn.drop(p, Drop::local_arp_conflict);
    return true;
  }
  const bool asks_us = arp->operation.host() == ArpPacket::kRequest && network.owns(arp->target_ip);
  const bool is_answer = arp->operation.host() == ArpPacket::kReply && to_gateway;
  if (is_sound_sender(*arp, *eth) && network.contains(arp->sender_ip))
    turn.resolver.learned(turn, interface_of_network(turn.network_id), arp->sender_ip, arp->sender_mac,
                          is_answer ? Neighbours::Evidence::answer
                          : asks_us ? Neighbours::Evidence::question
                                    : Neighbours::Evidence::gossip);
  if (asks_us) {
    if (turn.limits[turn.in_port].local.take(turn.now_ns))
      answer_arp(turn, p, *arp, network.gateway_mac);
    else
      turn.drop(p, Drop::local_rate_limited);
    return true;
  }
  if (!to_gateway) return false;
  // The host keeps a neighbour table of its own: answers feed both.
  if (network.seat != kNoPort)
    turn.egress.send(turn, p, network.seat);
  else if (is_answer)
    turn.consumed(p);
  else
    turn.drop(p, Drop::local_arp_bad);
  return true;
}

void arp_on_uplink(Turn& turn, Packet& p) noexcept {
  const UplinkEntry& uplink = turn.snapshot->uplinks[turn.uplink_id];
  const auto* eth = reinterpret_cast<const EthernetHeader*>(p.head);
  ArpPacket* arp = view_arp(p);
  if (arp == nullptr) return turn.drop(p, Drop::local_arp_bad);
  if (uplink.owns(arp->sender_ip)) return turn.drop(p, Drop::local_arp_conflict);
  const bool is_answer = arp->operation.host() == ArpPacket::kReply && eth->destination == uplink.mac;
  const bool asks_us = arp->operation.host() == ArpPacket::kRequest && uplink.owns(arp->target_ip);
  const Route* to_sender = uplink.fib.lookup(arp->sender_ip);
  const bool is_on_link = to_sender != nullptr && to_sender->kind == RouteKind::connected;
  if (is_sound_sender(*arp, *eth) && is_on_link)
    turn.resolver.learned(turn, interface_of_uplink(turn.uplink_id), arp->sender_ip, arp->sender_mac,
                          is_answer ? Neighbours::Evidence::answer
                          : asks_us ? Neighbours::Evidence::question
                                    : Neighbours::Evidence::gossip);
  if (!asks_us) {
    if (is_answer || eth->destination.is_multicast()) return turn.consumed(p);
    return turn.drop(p, Drop::local_arp_bad);
  }
  if (!turn.limits[turn.in_port].local.take(turn.now_ns)) return turn.drop(p, Drop::local_rate_limited);
  answer_arp(turn, p, *arp, uplink.mac);
}

}  // namespace weft::vswitch
