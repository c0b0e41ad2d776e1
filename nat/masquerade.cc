// SPDX-License-Identifier: BSD-3-Clause
#include "nat/masquerade.h"

#include "nat/icmp_error.h"
#include "nat/packet_view.h"
#include "nat/tcp_state.h"

namespace weft::nat {

using dataplane::Drop;
using dataplane::NetworkId;
using dataplane::Packet;

namespace {

constexpr PortRange kAnyIdentifier{0, 65535};

FlowKey inside_key(const PacketView& v, NetworkId network) noexcept {
  return {v.ip->source, v.ip->destination, v.source_port, v.destination_port, v.protocol, Side::inside, network};
}

FlowKey outside_key(const PacketView& v, UplinkId uplink) noexcept {
  return {v.ip->destination, v.ip->source, v.destination_port, v.source_port, v.protocol, Side::outside, uplink};
}

/// The state a session begins in with this packet from inside; nothing when it cannot begin one.
std::optional<State> first_state(const PacketView& v) noexcept {
  switch (v.protocol) {
    case wire::ipproto::kTcp:
      return tcp_first(v.tcp_flags);
    case wire::ipproto::kUdp:
      return State::udp;
    default:
      return v.icmp == IcmpKind::request ? std::optional(State::icmp_query) : std::nullopt;
  }
}

}  // namespace

/// What a packet does to its session beside being counted.
void Masquerade::follow(const PacketView& v, Side from, Session& s, Tick now) noexcept {
  if (v.protocol != wire::ipproto::kTcp) {
    // Both directions keep a UDP or ICMP session alive; from outside only its own peer can (RFC 4787 REQ-6).
    table_.refresh(s, s.state, now);
  } else if ((v.tcp_flags & wire::TcpHeader::kRst) != 0) {
    // It may be forged: it ends nothing, it only shortens (RFC 5961, RFC 7857 §2.1).
    table_.shorten(s, State::tcp_reset, now);
  } else {
    const TcpStep next = tcp_step({s.state, s.flags}, from, v.tcp_flags);
    s.flags = next.flags;
    table_.refresh(s, next.state, now);
  }
  ++(from == Side::inside ? s.packets_out : s.packets_in);
  s.bytes += v.ip_size;
}

wire::Ipv4Address Masquerade::paired_address(const FlowKey& inside, const OutContext& context) const noexcept {
  if (context.pool.empty()) return context.uplink_address;
  if (context.pool.size() == 1) return context.pool[0];
  const FlowKey guest{inside.local, {}, {}, {}, 0, Side::inside, inside.realm};
  const uint64_t h = hash(guest, table_.seed()) >> 32;
  return context.pool[h * context.pool.size() >> 32];
}

Drop Masquerade::open_session(const FlowKey& inside, State state, const OutContext& context, Tick now,
                              Session*& session) noexcept {
  const FlowKey endpoint{inside.local,    {},           inside.local_port, wire::be16(context.uplink),
                         inside.protocol, Side::inside, inside.realm};
  Mapping* mapping = table_.find_mapping(endpoint);
  if (mapping == nullptr) {
    const wire::Ipv4Address address = paired_address(inside, context);
    if (address.is_zero()) return Drop::route_no_uplink;
    const PortRange ports = inside.protocol == wire::ipproto::kIcmp ? kAnyIdentifier : context.ports;
    const Drop drop = table_.add_mapping(endpoint, context.uplink, address, ports, random_, mapping);
    if (drop != Drop::none) return drop;
  }
  session = table_.add(inside, *mapping, state, now);
  if (session != nullptr) return Drop::none;
  table_.drop_unused(*mapping);
  return Drop::nat_table_full;
}

Drop Masquerade::translate_out(Packet& packet, const OutContext& context, uint64_t now_ms) noexcept {
  PacketView v;
  if (const Drop drop = view_packet(packet, v); drop != Drop::none) return drop;
  const Tick now = tick_of(now_ms);
  if (v.icmp == IcmpKind::error) return error_out(packet, v, context, now);
  if (v.icmp == IcmpKind::reply) return Drop::nat_bad_state;  // no query ever came in
  if (v.protocol == wire::ipproto::kTcp && !tcp_flags_are_valid(v.tcp_flags)) return Drop::nat_bad_state;

  const FlowKey key = inside_key(v, context.network);
  Session* session = table_.find(key, now);
  if (session != nullptr && session->outside.realm != context.uplink) [[unlikely]] {
    table_.end(*session);  // the route changed: the other uplink has other addresses
    session = nullptr;
  }
  if (session == nullptr) {
    const auto state = first_state(v);
    if (!state) return Drop::nat_bad_state;
    if (const Drop drop = open_session(key, *state, context, now, session); drop != Drop::none) return drop;
  }
  follow(v, Side::inside, *session, now);
  rewrite_out(v, *session);
  return Drop::none;
}

InResult Masquerade::translate_in(Packet& packet, UplinkId uplink, uint64_t now_ms) noexcept {
  const auto dropped = [](Drop drop) { return InResult{drop, dataplane::kNoNetwork}; };
  PacketView v;
  if (const Drop drop = view_packet(packet, v); drop != Drop::none) return dropped(drop);
  const Tick now = tick_of(now_ms);
  if (v.icmp == IcmpKind::error) return error_in(packet, v, uplink, now);
  if (v.icmp == IcmpKind::request) return dropped(Drop::nat_no_mapping);
  if (v.protocol == wire::ipproto::kTcp && !tcp_flags_are_valid(v.tcp_flags)) return dropped(Drop::nat_bad_state);

  const FlowKey key = outside_key(v, uplink);
  Session* session = table_.find(key, now);
  if (session == nullptr) {
    const FlowKey endpoint{key.local, {}, key.local_port, {}, key.protocol, Side::outside, uplink};
    return dropped(table_.find_mapping(endpoint) != nullptr ? Drop::nat_filtered : Drop::nat_no_mapping);
  }
  follow(v, Side::outside, *session, now);
  rewrite_in(v, *session);
  return {Drop::none, session->inside.realm};
}

// An error neither makes nor keeps nor ends a session (RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6).

Drop Masquerade::error_out(Packet& packet, const PacketView& v, const OutContext& context, Tick now) noexcept {
  auto quote = view_error(packet, v, Side::inside);
  if (!quote || quote->ip->source != v.ip->destination) return Drop::nat_bad_icmp;
  quote->key.realm = context.network;
  const Session* session = table_.find(quote->key, now);
  if (session == nullptr || session->outside.realm != context.uplink) return Drop::nat_bad_icmp;
  rewrite_error_out(v, *quote, *session);
  return Drop::none;
}

InResult Masquerade::error_in(Packet& packet, const PacketView& v, UplinkId uplink, Tick now) noexcept {
  auto quote = view_error(packet, v, Side::outside);
  if (!quote || quote->ip->source != v.ip->destination) return {Drop::nat_bad_icmp, dataplane::kNoNetwork};
  quote->key.realm = uplink;
  const Session* session = table_.find(quote->key, now);
  if (session == nullptr) return {Drop::nat_bad_icmp, dataplane::kNoNetwork};
  rewrite_error_in(v, *quote, *session);
  return {Drop::none, session->inside.realm};
}

}  // namespace weft::nat
