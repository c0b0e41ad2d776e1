// SPDX-License-Identifier: BSD-3-Clause
//
// What the server sends: the fixed part (RFC 2131 table 3), the options, and where it goes (§4.1).
#include "dhcp/server_impl.h"

#include <algorithm>
#include <array>

namespace weft::dhcp {
namespace {

constexpr size_t kIpUdpSize = 28;

/// The most bytes of UDP payload this client takes (option 57, RFC 2132 §9.10) and the network carries whole.
size_t reply_limit(const Message& message, const Scope& scope) noexcept {
  if (message.type() == MessageType::bootp) return kMinMessageSize;
  size_t limit = kDefaultReplySize;
  if (const auto wanted = message.max_size())
    limit = std::max<size_t>(limit, *wanted - std::min<size_t>(*wanted, kIpUdpSize));
  if (scope.mtu)
    limit = std::min<size_t>(limit, std::max<size_t>(*scope.mtu, kDefaultReplySize + kIpUdpSize) - kIpUdpSize);
  return limit;
}

void copy_request(MessageHeader& out, const MessageHeader& in) noexcept {
  out.op = kBootReply;
  out.htype = in.htype;
  out.hlen = in.hlen;
  out.xid = in.xid;
  out.flags = wire::be16(in.flags.host() & kFlagBroadcast);
  out.giaddr = in.giaddr;
  out.chaddr = in.chaddr;
}

/// Options of the request that come back as they were: the relay's own, which goes last (RFC 3046 §2.2), the client
/// identifier (RFC 6842) and subnet selection (RFC 3011). In the order in which they get room.
constexpr std::array<uint8_t, 3> kEchoed = {option::kRelayAgent, option::kClientId, option::kSubnetSelection};

/// Room that the echoes leave: type, server, times, mask, broadcast, router, DNS and MTU take 55 bytes.
constexpr size_t kEssentialSize = 64;

/// Which of kEchoed fit, and their size together. A client that sends more than a reply can hold loses echoes, not its
/// configuration.
struct Echoes {
  std::array<bool, kEchoed.size()> fits{};
  size_t size = 0;
};
Echoes plan_echoes(const Message& message, size_t limit) noexcept {
  Echoes echoes;
  const size_t room = limit - std::min(limit, kFixedSize + 1 + kEssentialSize);
  for (size_t i = 0; i < kEchoed.size(); ++i) {
    if (!message.has(kEchoed[i])) continue;
    const size_t size = option_size(message.option(kEchoed[i]).size());
    echoes.fits[i] = echoes.size + size <= room;
    if (echoes.fits[i]) echoes.size += size;
  }
  return echoes;
}

}  // namespace

Outcome Server::Impl::reply(const Request& r, const ReplyPlan& plan) {
  MessageBuilder out(reply_limit(r.message, scope));
  MessageHeader& header = out.header();
  copy_request(header, r.header());
  header.ciaddr = plan.ciaddr;
  header.yiaddr = plan.yiaddr;
  header.siaddr = scope.boot_server.value_or(scope.server);
  std::copy_n(scope.boot_file.begin(), std::min(scope.boot_file.size(), header.file.size() - 1), header.file.begin());

  out.reserve(plan_echoes(r.message, reply_limit(r.message, scope)).size);
  if (plan.type != MessageType::bootp) {
    out.add_u8(option::kMessageType, static_cast<uint8_t>(plan.type));
    out.add(option::kServerId, scope.server);
    ++(plan.type == MessageType::offer ? stats.offers : stats.acks);
  } else {
    ++stats.bootp_replies;
  }
  add_configuration(out, r, plan);
  return finish(r, plan.type, out);
}

void Server::Impl::add_configuration(MessageBuilder& out, const Request& r, const ReplyPlan& plan) const {
  const Message& asked = r.message;
  if (plan.seconds) {
    out.add_u32(option::kLeaseTime, *plan.seconds);
    if (plan.timers && *plan.seconds != kInfinite) {
      // RFC 2131 §4.4.5. Guests that booted together drift apart: each renewal comes up to 1/16 of the time earlier.
      const uint32_t early = plan.fuzz % (*plan.seconds / 16 + 1);
      out.add_u32(option::kRenewalTime, *plan.seconds / 2 - early);
      out.add_u32(option::kRebindingTime, static_cast<uint32_t>(uint64_t{*plan.seconds} * 7 / 8) - early);
    }
  }
  out.add(option::kSubnetMask, subnet.netmask());
  out.add(option::kBroadcast, subnet.broadcast());
  if (scope.send_router && asked.requests(option::kRouter)) out.add(option::kRouter, scope.server);
  if (scope.send_dns && asked.requests(option::kDns)) out.add(option::kDns, scope.server);
  if (!scope.domain.empty() && asked.requests(option::kDomainName)) out.add(option::kDomainName, scope.domain);
  if (scope.mtu && asked.requests(option::kMtu)) out.add_u16(option::kMtu, *scope.mtu);
  if (plan.hostname.empty()) return;
  if (asked.requests(option::kHostName)) out.add(option::kHostName, plan.hostname);
  if (!r.fqdn) return;
  std::string name(plan.hostname);
  if (!scope.domain.empty()) name.append(".").append(scope.domain);
  if (const std::string value = make_fqdn(r.fqdn->flags, name); !value.empty()) out.add(option::kFqdn, value);
}

Outcome Server::Impl::nak(const Request& r, std::string_view why) {
  ++stats.naks;
  MessageBuilder out(reply_limit(r.message, scope));
  copy_request(out.header(), r.header());
  // Through a relay too: the client has no address a NAK could be sent to (RFC 2131 §4.3.2).
  out.header().flags = wire::be16(kFlagBroadcast);
  out.reserve(plan_echoes(r.message, reply_limit(r.message, scope)).size);
  out.add_u8(option::kMessageType, static_cast<uint8_t>(MessageType::nak));
  out.add(option::kServerId, scope.server);
  out.add(option::kMessage, why);
  Outcome outcome = finish(r, MessageType::nak, out);
  outcome.reason = why;
  return outcome;
}

Outcome Server::Impl::finish(const Request& r, MessageType type, MessageBuilder& out) const {
  out.reserve(0);
  const Echoes echoes = plan_echoes(r.message, reply_limit(r.message, scope));
  for (size_t i = kEchoed.size(); i-- > 0;)
    if (echoes.fits[i]) out.add(kEchoed[i], r.message.option(kEchoed[i]));
  Outcome outcome;
  outcome.verdict = Verdict::reply;
  outcome.type = type;
  outcome.destination = destination(r, type, out.header());
  const auto bytes = out.finish();
  outcome.reply.assign(bytes.begin(), bytes.end());
  return outcome;
}

Destination Server::Impl::destination(const Request& r, MessageType type, const MessageHeader& sent) const {
  if (!r.header().giaddr.is_zero()) return {false, r.context.source_mac, r.header().giaddr, kServerPort};
  const Destination everybody{true, wire::MacAddress::broadcast(), wire::Ipv4Address(0xffffffff), kClientPort};
  if (type == MessageType::nak) return everybody;
  if (is_host_address(sent.ciaddr)) return {false, sent.chaddr, sent.ciaddr, kClientPort};
  if (r.message.wants_broadcast() || sent.yiaddr.is_zero()) return everybody;
  return {false, sent.chaddr, sent.yiaddr, kClientPort};
}

}  // namespace weft::dhcp
