// SPDX-License-Identifier: BSD-3-Clause
#include "nat/icmp_error.h"

#include "dataplane/wire/checksum.h"

#include <algorithm>

namespace weft::nat {

using dataplane::Packet;
using wire::be16;
using wire::ChecksumDelta;
using wire::IcmpHeader;
using wire::Ipv4Header;
using wire::TcpHeader;
using wire::UdpHeader;

namespace {

constexpr size_t kQuotedL4 = 8;  // bytes every error quotes (RFC 792)

/// Whether the checksum of the whole message is right.
bool checksum_is_right(const Packet& packet, const PacketView& v) noexcept {
  size_t left = v.ip->total_length.host() - v.ip->header_size();  // a frame may end in padding
  size_t done = 0;
  wire::ChecksumSum sum;
  const auto add = [&](const uint8_t* data, size_t size) noexcept {
    size = std::min(size, left - done);
    sum.add_at(done, data, size);
    done += size;
  };
  add(v.l4, packet.head_size - packet.l4_offset);
  for (const auto& segment : packet.payload_segments()) add(segment.data, segment.size);
  return done == left && sum.fold() == 0xffff;
}

struct Ports {
  be16 source, destination;
};

/// Ports of the quoted packet; ICMP queries as PacketView has them.
std::optional<Ports> quoted_ports(const Ipv4Header& ip, const uint8_t* l4) noexcept {
  if (ip.protocol == wire::ipproto::kTcp || ip.protocol == wire::ipproto::kUdp) {
    const auto* udp = reinterpret_cast<const UdpHeader*>(l4);
    return Ports{udp->source_port, udp->destination_port};
  }
  if (ip.protocol != wire::ipproto::kIcmp) return std::nullopt;
  const auto* icmp = reinterpret_cast<const IcmpHeader*>(l4);
  const be16 type(static_cast<uint16_t>(icmp_request_type(icmp->type)));
  switch (icmp_kind(icmp->type)) {
    case IcmpKind::request:
      return Ports{icmp->id, type};
    case IcmpKind::reply:
      return Ports{type, icmp->id};
    default:
      return std::nullopt;  // nobody may answer an error with an error (RFC 1122 §3.2.2)
  }
}

/// Replaces a field and notes what that does to a checksum over it.
void replace(be16& field, be16 value, ChecksumDelta& delta) noexcept {
  delta.replace16(field.raw(), value.raw());
  field = value;
}
void replace(wire::Ipv4Address& field, wire::Ipv4Address value, ChecksumDelta& delta) noexcept {
  delta.replace(field, value);
  field = value;
}

/// The quoted transport checksum, if it is quoted and the protocol computed one.
be16* quoted_checksum(const Quote& q) noexcept {
  switch (q.ip->protocol) {
    case wire::ipproto::kTcp:
      return q.l4_size >= offsetof(TcpHeader, checksum) + 2 ? &reinterpret_cast<TcpHeader*>(q.l4)->checksum : nullptr;
    case wire::ipproto::kUdp: {
      auto& field = reinterpret_cast<UdpHeader*>(q.l4)->checksum;
      return field.raw() != 0 ? &field : nullptr;
    }
    default:
      return &reinterpret_cast<IcmpHeader*>(q.l4)->checksum;
  }
}

/// Replaces the quoted packet's endpoint at `address` and `port`; all of it is noted in `icmp`.
void rewrite_quote(const Quote& q, wire::Ipv4Address& address, be16& port, const FlowKey& to, uint16_t address_delta,
                   uint16_t l4_delta, ChecksumDelta& icmp) noexcept {
  replace(address, to.local, icmp);
  replace(q.ip->checksum, wire::checksum_apply(q.ip->checksum, address_delta), icmp);
  if (be16* field = quoted_checksum(q)) {
    be16 fixed = wire::checksum_apply(*field, l4_delta);
    if (q.ip->protocol == wire::ipproto::kUdp && fixed.raw() == 0) fixed = be16(0xffff);
    replace(*field, fixed, icmp);
  }
  replace(port, to.local_port, icmp);
}

be16& quoted_port(const Quote& q, bool is_source) noexcept {
  if (q.ip->protocol == wire::ipproto::kIcmp) return reinterpret_cast<IcmpHeader*>(q.l4)->id;
  auto* udp = reinterpret_cast<UdpHeader*>(q.l4);
  return is_source ? udp->source_port : udp->destination_port;
}

void fix_outer(const PacketView& v, const ChecksumDelta& outer, const ChecksumDelta& icmp) noexcept {
  v.ip->checksum = wire::checksum_apply(v.ip->checksum, outer.folded());
  auto& field = reinterpret_cast<IcmpHeader*>(v.l4)->checksum;
  if (!v.is_partial) field = wire::checksum_apply(field, icmp.folded());
}

}  // namespace

std::optional<Quote> view_error(Packet& packet, const PacketView& v, Side from) noexcept {
  const uint8_t type = reinterpret_cast<const IcmpHeader*>(v.l4)->type;
  if (type != IcmpHeader::kUnreachable && type != IcmpHeader::kTimeExceeded && type != IcmpHeader::kParameterProblem) {
    return std::nullopt;
  }
  // What is quoted ends with the message, and must lie in the head as far as it is read.
  const size_t end = std::min<size_t>(packet.head_size, size_t{packet.l3_offset} + v.ip->total_length.host());
  const auto head = packet.head_bytes().first(end);
  const size_t at = size_t{packet.l4_offset} + sizeof(IcmpHeader);
  auto* ip = wire::view<Ipv4Header>(head, at);
  if (ip == nullptr || ip->version() != 4 || ip->header_size() < sizeof(Ipv4Header)) return std::nullopt;
  const size_t l4_at = at + ip->header_size();
  if (ip->is_later_fragment() || ip->total_length.host() < ip->header_size() + kQuotedL4 || l4_at + kQuotedL4 > end) {
    return std::nullopt;
  }
  if (wire::checksum(ip, ip->header_size()) != 0) return std::nullopt;
  const auto l4_size = static_cast<uint32_t>(std::min(end - l4_at, ip->total_length.host() - ip->header_size()));
  uint8_t* l4 = packet.head + l4_at;
  const auto ports = quoted_ports(*ip, l4);
  if (!ports) return std::nullopt;
  if (!v.is_partial && !checksum_is_right(packet, v)) return std::nullopt;

  // From outside the quoted packet is one that went out: its source is ours. From inside it is one that came
  // in.
  if (from == Side::outside) {
    return Quote{ip,
                 l4,
                 l4_size,
                 {ip->source, ip->destination, ports->source, ports->destination, ip->protocol, Side::outside, 0}};
  }
  return Quote{
      ip, l4, l4_size, {ip->destination, ip->source, ports->destination, ports->source, ip->protocol, Side::inside, 0}};
}

void rewrite_error_out(const PacketView& v, const Quote& q, const Session& s) noexcept {
  ChecksumDelta icmp, outer;
  rewrite_quote(q, q.ip->destination, quoted_port(q, false), s.outside, s.address_delta, s.l4_delta, icmp);
  // Whoever inside sent it, a router too, is seen with the connection's address (RFC 5508 REQ-5c).
  replace(v.ip->source, s.outside.local, outer);
  fix_outer(v, outer, icmp);
}

void rewrite_error_in(const PacketView& v, const Quote& q, const Session& s) noexcept {
  ChecksumDelta icmp, outer;
  rewrite_quote(q, q.ip->source, quoted_port(q, true), s.inside, static_cast<uint16_t>(~s.address_delta),
                static_cast<uint16_t>(~s.l4_delta), icmp);
  replace(v.ip->destination, s.inside.local, outer);
  fix_outer(v, outer, icmp);
}

}  // namespace weft::nat
