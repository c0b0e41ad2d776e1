// SPDX-License-Identifier: BSD-3-Clause
//
// The DHCPv4 server against whatever guests send. The input is a series of messages, each
//   flags (1 byte), size (2 bytes, little-endian, clipped to what is left), payload
// flags: 0x01 unicast to the server, 0x02 the store fails, 0x04 a minute passes first, 0x08 an hour, 0x30 port, 0x40
// the clock is set back ten minutes, 0x80 the answer of the store stays out.
#include "dhcp/server.h"

#include <cstdio>
#include <cstdlib>

namespace {

using namespace weft;
using namespace weft::dhcp;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

Scope scope() {
  Scope s;
  s.network = "n";
  s.server = wire::Ipv4Address(192, 168, 122, 1);
  s.ranges = {{wire::Ipv4Address(192, 168, 122, 100), wire::Ipv4Address(192, 168, 122, 120), 3600},
              {wire::Ipv4Address(192, 168, 122, 200), wire::Ipv4Address(192, 168, 122, 203), 0}};
  s.hosts = {{wire::MacAddress::from_u64(0x525400000001), "stat1", wire::Ipv4Address(192, 168, 122, 10), {}},
             {std::nullopt, "byname", wire::Ipv4Address(192, 168, 122, 101), {}}};
  s.domain = "lab.test";
  s.mtu = 1400;
  s.boot_file = "pxelinux.0";
  s.taken_names = {"gw"};
  return s;
}

/// A reply is a well-formed message of the size promised, to the one who asked.
void check_reply(const Outcome& o, std::span<const uint8_t> request) {
  require(o.reply.size() >= kMinMessageSize && o.reply.size() <= kMaxReplySize, "size of the reply");
  const auto& in = *reinterpret_cast<const MessageHeader*>(request.data());
  const auto& out = *reinterpret_cast<const MessageHeader*>(o.reply.data());
  require(out.op == kBootReply && out.cookie.host() == kMagicCookie, "op and cookie");
  require(out.xid == in.xid && out.chaddr == in.chaddr && out.giaddr == in.giaddr, "echoed fields");
  size_t at = kFixedSize;
  bool has_end = false;
  MessageType type = MessageType::bootp;
  while (at < o.reply.size() && !has_end) {
    const uint8_t code = o.reply[at++];
    has_end = code == option::kEnd;
    if (has_end || code == option::kPad) continue;
    require(at < o.reply.size() && o.reply[at] < o.reply.size() - at, "options are whole");
    if (code == option::kMessageType) type = static_cast<MessageType>(o.reply[at + 1]);
    at += 1u + o.reply[at];
  }
  require(has_end, "End");
  require(type == o.type, "type");
  require(o.destination.broadcast || !o.destination.mac.is_multicast() || !in.giaddr.is_zero(), "destination");
  const bool gives_address = o.type == MessageType::bootp || (o.type == MessageType::ack && !out.yiaddr.is_zero());
  require(!gives_address || (o.change && o.change->put && o.change->put->address == out.yiaddr), "lease of an ACK");
  require(o.type != MessageType::nak || (o.destination.broadcast || !in.giaddr.is_zero()), "NAK is broadcast");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Server server(scope(), {});
  std::span<const uint8_t> rest(data, size);
  int64_t now = 1'700'000'000;
  while (rest.size() >= 3) {
    const uint8_t flags = rest[0];
    const size_t length = std::min<size_t>(rest[1] | rest[2] << 8, rest.size() - 3);
    const auto payload = rest.subspan(3, length);
    rest = rest.subspan(3 + length);

    now += (flags & 0x04 ? 60 : 0) + (flags & 0x08 ? 3600 : 0) - (flags & 0x40 ? 600 : 0);
    const TimePoint time{std::chrono::seconds(now)};
    for (const LeaseChange& change : server.expire(time, 4)) server.committed(change);
    RequestContext context;
    context.source_mac = wire::MacAddress::from_u64(0x525400000099);
    context.destination_ip = flags & 0x01 ? server.scope().server : wire::Ipv4Address(0xffffffff);
    context.port = flags >> 4 & 3;
    const Outcome o = server.handle(payload, context, time);

    if (o.verdict == Verdict::reply)
      check_reply(o, payload);
    else
      require(o.reply.empty(), "silence is empty");
    require(o.verdict == Verdict::reply || !o.reason.empty(), "silence has a reason");
    if (o.change && !(flags & 0x80)) flags & 0x02 ? server.revert(*o.change) : server.committed(*o.change);
    server.for_each_lease([&](const Lease& lease) {
      const wire::Ipv4Prefix subnet{server.scope().server, server.scope().prefix_length};
      require(subnet.contains(lease.address) && lease.address != server.scope().server, "address of a lease");
      const auto name = server.published_name(lease);
      require(name.empty() || server.find_name(name) == &lease, "a published name is found");
      for (const char c : server.shown_name(lease)) require(c > ' ' && c < 0x7f, "a shown name is printable");
    });
  }
  return 0;
}
