// SPDX-License-Identifier: BSD-3-Clause
#include "switch/resolver.h"

#include "dataplane/wire/headers.h"
#include "switch/egress.h"
#include "switch/guest_limits.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::OwnedPool;
using dataplane::Packet;
using wire::ArpPacket;
using wire::EthernetHeader;
using wire::Ipv4Address;
using wire::MacAddress;

namespace {

struct InterfaceAddress {
  MacAddress mac;
  Ipv4Address ip;
};

/// The address the router asks from: of the subnet that `target` is in (RFC 1122 §3.3.4.3).
InterfaceAddress address_towards(const Snapshot& snapshot, InterfaceId interface, Ipv4Address target) noexcept {
  const bool is_uplink = is_uplink_interface(interface);
  const auto& addresses =
      is_uplink ? snapshot.uplinks[uplink_of_interface(interface)].addresses : snapshot.networks[interface].addresses;
  const MacAddress mac =
      is_uplink ? snapshot.uplinks[uplink_of_interface(interface)].mac : snapshot.networks[interface].gateway_mac;
  for (const auto& a : addresses)
    if (a.contains(target)) return {mac, a.address};
  return {mac, addresses.empty() ? Ipv4Address() : addresses.front().address};
}

bool is_translated(const Turn& turn, const Packet& p) noexcept {
  if (turn.network == nullptr) return p.network != kNoNetwork;
  return turn.network->mode == ForwardMode::nat && is_uplink_interface(p.out_interface);
}

bool exists(const Snapshot& snapshot, InterfaceId interface) noexcept {
  return is_uplink_interface(interface) ? uplink_of_interface(interface) < snapshot.uplinks.size()
                                        : snapshot.network(interface) != nullptr;
}

}  // namespace

void transmit(Turn& turn, Packet& p, InterfaceId interface, const MacAddress& mac) noexcept {
  auto* eth = reinterpret_cast<EthernetHeader*>(p.head);
  eth->destination = mac;
  if (is_uplink_interface(interface)) {
    const UplinkEntry& uplink = turn.snapshot->uplinks[uplink_of_interface(interface)];
    eth->source = uplink.mac;
    if (uplink.port == kNoPort) return turn.drop(p, Drop::route_uplink_down);
    return turn.egress.send(turn, p, uplink.port);
  }
  const NetworkEntry& network = turn.snapshot->networks[interface];
  eth->source = network.gateway_mac;
  const PortId out = turn.fdb.lookup(interface, mac, turn.now_s());
  const PortEntry* entry = turn.snapshot->port(out);
  if (entry != nullptr && entry->network == interface) {
    // By way of the gateway, too, isolated ports do not reach each other.
    const PortEntry* from = turn.snapshot->port(p.in_port);
    if (entry->is_isolated && from != nullptr && from->is_isolated && from->network == interface)
      return turn.drop(p, Drop::l2_isolated);
    return turn.egress.send(turn, p, out);
  }
  // Unknown unicast, whoever routed it here: the port it came in from pays for the flood.
  if (p.in_port != kNoPort && !turn.limits[p.in_port].storm.take(turn.now_ns)) return turn.drop(p, Drop::ingress_storm);
  turn.egress.flood(turn, p, network);
}

void resolve(Turn& turn, const Selection& in) noexcept {
  for (Packet* p : in) turn.resolver.resolve(turn, *p);
}

void Resolver::learned(Turn& turn, InterfaceId interface, Ipv4Address address, const MacAddress& mac,
                       Neighbours::Evidence evidence) noexcept {
  turn_ = &turn;
  turn.neighbours.learned(interface, address, mac, evidence, turn.now_ns, *this);
  if (turn.handoff != nullptr && turn.limits[turn.in_port].news.take(turn.now_ns))
    turn.handoff->tell({interface, evidence, address, mac});
}

void Resolver::heard(Turn& turn, const NeighbourNews& news) noexcept {
  if (!exists(*turn.snapshot, news.interface)) return;
  turn_ = &turn;
  turn.neighbours.learned(news.interface, news.address, news.mac, news.evidence, turn.now_ns, *this);
}

void Resolver::resolve(Turn& turn, Packet& p) noexcept {
  turn_ = &turn;
  const Ipv4Address hop(p.next_hop);
  const auto r = turn.neighbours.resolve(p.out_interface, hop, p.in_port, turn.now_ns, *this);
  switch (r.verdict) {
    case Neighbours::Verdict::known:
      transmit(turn, p, p.out_interface, r.mac);
      break;
    case Neighbours::Verdict::failed:
      // A translated packet is not what its sender sent: nothing can be quoted to it.
      is_translated(turn, p) ? turn.drop(p, Drop::resolve_failed)
                             : reject(turn, p, Drop::resolve_failed, kHostUnreachable);
      break;
    case Neighbours::Verdict::refused:
      turn.drop(p, Drop::resolve_too_many);
      break;
    case Neighbours::Verdict::wait: {
      rte_mbuf* m = turn.owned.n_free() > limits::kOwnedReserve ? turn.owned.copy(p) : nullptr;
      if (m == nullptr) {
        turn.drop(p, Drop::resolve_no_memory);
        break;
      }
      turn.counters[p.in_port].held.add(1);
      turn.neighbours.hold(p.out_interface, hop, m, *this);
      break;
    }
  }
  if (r.asks) send_request({p.out_interface, hop, r.ask});
}

void Resolver::tick(Turn& turn) noexcept {
  turn_ = &turn;
  turn.neighbours.tick(turn.now_ns, *this);
}

void Resolver::send_request(const NeighbourRequest& request) noexcept {
  Turn& turn = *turn_;
  if (made_.full() || !exists(*turn.snapshot, request.interface)) return;  // it is asked again in a second
  const InterfaceAddress own = address_towards(*turn.snapshot, request.interface, request.address);
  Packet& p = made_.add();
  p.head_size = sizeof(EthernetHeader) + sizeof(ArpPacket);
  p.size = p.head_size;
  auto* eth = reinterpret_cast<EthernetHeader*>(p.head);
  eth->type = wire::be16(wire::ethertype::kArp);
  auto* arp = reinterpret_cast<ArpPacket*>(p.head + sizeof *eth);
  arp->hardware_type = wire::be16(1);
  arp->protocol_type = wire::be16(wire::ethertype::kIpv4);
  arp->hardware_size = 6;
  arp->protocol_size = 4;
  arp->operation = wire::be16(ArpPacket::kRequest);
  arp->sender_mac = own.mac;
  arp->sender_ip = own.ip;
  arp->target_mac = {};
  arp->target_ip = request.address;
  turn.injected(p);
  if (request.to.is_multicast() && !is_uplink_interface(request.interface)) {
    eth->destination = request.to;
    eth->source = own.mac;
    turn.egress.flood(turn, p, turn.snapshot->networks[request.interface]);
  } else {
    transmit(turn, p, request.interface, request.to);
  }
}

void Resolver::release(HeldPacket packet, InterfaceId interface, const MacAddress& mac) noexcept {
  auto* m = static_cast<rte_mbuf*>(packet);
  if (n_released_ == kMaxReleased) return drop(packet, interface, Drop::resolve_queue_full);
  released_[n_released_++] = {m, interface, mac};
}

void Resolver::drop(HeldPacket packet, InterfaceId /*interface*/, Drop reason) noexcept {
  auto* m = static_cast<rte_mbuf*>(packet);
  auto& counters = turn_->counters[OwnedPool::meta(m).in_port];
  counters.released.add(1);
  counters.drops[static_cast<size_t>(reason)].add(1);
  OwnedPool::free(m);
}

void Resolver::send_released(Turn& turn) noexcept {
  uint16_t next = 0;
  while (next < n_released_) {
    const uint16_t first = next;
    loaded_.clear();
    while (next < n_released_ && !loaded_.full() && loaded_.has_segment_room()) {
      const Released& r = released_[next++];
      Packet& p = OwnedPool::load(r.packet, loaded_);
      turn.counters[p.in_port].released.add(1);
      if (exists(*turn.snapshot, r.interface))
        transmit(turn, p, r.interface, r.mac);
      else
        turn.drop(p, Drop::port_removed);
    }
    turn.egress.flush(turn);
    for (uint16_t i = first; i < next; ++i) OwnedPool::free(released_[i].packet);
  }
  n_released_ = 0;
}

void Resolver::flush(Turn& turn) noexcept {
  if (made_.size() != 0) {
    turn.egress.flush(turn);
    made_.clear();
  }
  if (n_released_ != 0) send_released(turn);
}

}  // namespace weft::vswitch
