// SPDX-License-Identifier: BSD-3-Clause
//
// What the tests of the DHCP server share: a client that writes requests with libtins, a reading of the server's
// replies with libtins, and a lab that plays the store.
#pragma once

#include "dhcp/server.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tins/dhcp.h>

namespace weft::dhcp {

inline wire::Ipv4Address ip(std::string_view text) { return *wire::Ipv4Address::parse(text); }
inline wire::MacAddress mac(unsigned last) { return wire::MacAddress::from_u64(0x525400000000 | last); }
inline TimePoint at(int64_t seconds) { return TimePoint(std::chrono::seconds(1'700'000'000 + seconds)); }

using Bytes = std::vector<uint8_t>;

/// A request being written; nothing is in it that is not asked for.
class Ask {
 public:
  Ask(unsigned mac_number, MessageType type) : Ask(mac_number) {
    if (type != MessageType::bootp) pdu_.type(static_cast<Tins::DHCP::Flags>(type));
  }
  explicit Ask(unsigned mac_number) {
    pdu_.opcode(Tins::BootP::BOOTREQUEST);
    pdu_.htype(1);
    pdu_.hlen(6);
    pdu_.xid(0x12345678);
    pdu_.padding(0x8000);  // libtins' name for the flags field
    pdu_.chaddr(Tins::HWAddress<6>(mac(mac_number).bytes.data()));
    context_.source_mac = mac(mac_number);
    context_.destination_ip = wire::Ipv4Address(0xffffffff);
    context_.port = 1;
  }
  Ask& unicast_flag() { return pdu_.padding(0), *this; }
  Ask& ciaddr(std::string_view a) { return pdu_.ciaddr(Tins::IPv4Address(std::string(a))), *this; }
  Ask& giaddr(std::string_view a) { return pdu_.giaddr(Tins::IPv4Address(std::string(a))), *this; }
  Ask& option(uint8_t code, const std::string& value) {
    pdu_.add_option(Tins::DHCP::option(code, value.begin(), value.end()));
    return *this;
  }
  Ask& address(uint8_t code, std::string_view a) {
    const auto parsed = ip(a);
    return option(code, std::string(reinterpret_cast<const char*>(&parsed), 4));
  }
  Ask& wants(std::string_view a) { return address(option::kRequestedAddress, a); }
  Ask& server(std::string_view a) { return address(option::kServerId, a); }
  Ask& lease_time(uint32_t s) {
    const wire::be32 value(s);
    return option(option::kLeaseTime, std::string(reinterpret_cast<const char*>(&value), 4));
  }
  Ask& name(const std::string& n) { return option(option::kHostName, n); }
  Ask& client_id(const std::string& id) { return option(option::kClientId, id); }
  Ask& list(std::initializer_list<uint8_t> codes) {
    return option(option::kParameterList, std::string(codes.begin(), codes.end()));
  }
  Ask& port(PortId p) { return context_.port = p, *this; }
  /// Sent to the server's own address from `source`.
  Ask& to_server(std::string_view source) {
    context_.source_ip = ip(source);
    context_.destination_ip = ip("192.168.122.1");
    return *this;
  }
  Ask& from_mac(wire::MacAddress m) { return context_.source_mac = m, *this; }

  [[nodiscard]] Bytes bytes() const {
    Tins::DHCP copy(pdu_);
    copy.end();
    return copy.serialize();
  }
  [[nodiscard]] const RequestContext& context() const { return context_; }

 private:
  Tins::DHCP pdu_;
  RequestContext context_;
};

/// A reply as a client of another make reads it.
struct Answer {
  Outcome outcome;
  std::shared_ptr<Tins::DHCP> pdu;  // null when there is no reply

  [[nodiscard]] MessageType type() const { return outcome.type; }
  [[nodiscard]] bool replied() const { return outcome.verdict == Verdict::reply; }
  [[nodiscard]] std::string address() const { return pdu ? pdu->yiaddr().to_string() : ""; }
  [[nodiscard]] std::optional<std::string> option(uint8_t code) const {
    const auto* found = pdu ? pdu->search_option(static_cast<Tins::DHCP::OptionTypes>(code)) : nullptr;
    if (found == nullptr) return std::nullopt;
    return std::string(reinterpret_cast<const char*>(found->data_ptr()), found->data_size());
  }
  [[nodiscard]] std::optional<uint32_t> number(uint8_t code) const {
    const auto value = option(code);
    if (!value) return std::nullopt;
    uint32_t n = 0;
    for (const char c : *value) n = n << 8 | static_cast<uint8_t>(c);
    return n;
  }
  [[nodiscard]] std::string ip_option(uint8_t code) const {
    const auto n = number(code);
    return n ? wire::Ipv4Address(*n).to_string() : "";
  }
  [[nodiscard]] std::vector<uint8_t> codes() const {
    std::vector<uint8_t> list;
    if (pdu)
      for (const auto& o : pdu->options()) {
        if (o.option() == option::kEnd) break;  // libtins goes on into the padding
        list.push_back(o.option());
      }
    return list;
  }
  /// "OFFER 192.168.122.5", "NAK wrong network", "silent", "malformed".
  [[nodiscard]] std::string said() const {
    if (outcome.verdict == Verdict::malformed) return "malformed";
    if (outcome.verdict == Verdict::silent) return "silent";
    switch (outcome.type) {
      case MessageType::offer:
        return "OFFER " + address();
      case MessageType::ack:
        return "ACK " + address();
      case MessageType::nak:
        return "NAK " + option(option::kMessage).value_or("");
      default:
        return "BOOTP " + address();
    }
  }
};

inline Scope default_scope() {
  Scope scope;
  scope.network = "net";
  scope.server = ip("192.168.122.1");
  scope.prefix_length = 24;
  scope.ranges = {{ip("192.168.122.100"), ip("192.168.122.150"), 3600}};
  scope.domain = "lab.test";
  return scope;
}

inline StaticHost host(std::optional<unsigned> mac_number, std::string name, std::string_view address,
                       std::optional<uint32_t> seconds = {}) {
  return {mac_number ? std::optional(mac(*mac_number)) : std::nullopt, std::move(name), ip(address), seconds};
}

/// A server whose store keeps everything at once, and a clock.
struct Lab {
  explicit Lab(Scope scope = default_scope(), ServerOptions options = {})
      : server(std::move(scope), std::move(options)) {}

  Answer tell(const Ask& ask) { return tell(ask.bytes(), ask.context()); }
  Answer tell(const Bytes& bytes, const RequestContext& context) {
    Answer answer{server.handle(bytes, context, at(now)), nullptr};
    if (answer.outcome.change) server.committed(*answer.outcome.change);
    if (answer.replied())
      answer.pdu =
          std::make_shared<Tins::DHCP>(answer.outcome.reply.data(), static_cast<uint32_t>(answer.outcome.reply.size()));
    return answer;
  }
  std::string say(const Ask& ask) { return tell(ask).said(); }

  Answer discover(unsigned m) { return tell(Ask(m, MessageType::discover)); }
  /// DISCOVER, OFFER, REQUEST, and the answer to that.
  Answer boot(unsigned m, const std::string& name = "", PortId port = 1) {
    Ask first(m, MessageType::discover);
    first.port(port);
    if (!name.empty()) first.name(name);
    const auto offer = tell(first);
    if (!offer.replied()) return offer;
    Ask second(m, MessageType::request);
    second.port(port).wants(offer.address()).server(server.scope().server.to_string());
    if (!name.empty()) second.name(name);
    return tell(second);
  }
  std::string published(std::string_view address) {
    const Lease* lease = server.find(ip(address));
    return lease == nullptr ? "no lease" : std::string(server.published_name(*lease));
  }

  Server server;
  int64_t now = 0;
};

}  // namespace weft::dhcp
