// SPDX-License-Identifier: BSD-3-Clause
//
// The inside of Server, shared by server.cc (state: what is held, by whom, how long), server_requests.cc (what each
// kind of message does) and server_reply.cc (what is sent back). Not for anybody else.
#pragma once

#include "dhcp/address_pool.h"
#include "dhcp/hold_table.h"
#include "dhcp/lease_table.h"
#include "dhcp/names.h"
#include "dhcp/server.h"

#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace weft::dhcp {

inline constexpr uint32_t kInfinite = 0xffffffff;  ///< option 51, RFC 2131 §3.3

/// One request, with what the server knows of its sender.
struct Request {
  const Message& message;
  const RequestContext& context;
  TimePoint now;

  Client client;     // views `message`
  std::string key;   // client_key(client)
  std::string name;  // what the client calls itself (option 81, else 12), printable; may be empty
  std::optional<ClientFqdn> fqdn;
  const StaticHost* host = nullptr;  // its reservation
  const Lease* lease = nullptr;      // its lease; not good any more after a change of the table

  [[nodiscard]] const MessageHeader& header() const noexcept { return message.header(); }
};

struct Server::Impl {
  Impl(Scope new_scope, ServerOptions new_options);

  // --- server.cc: state -----------------------------------------------------------------------------------------
  void read_scope(Scope new_scope);
  /// Rebuilds the pool and the ports' shares after the scope changed.
  void recount();

  [[nodiscard]] bool is_host_address(wire::Ipv4Address a) const noexcept;  // in the subnet, and neither end nor ours
  [[nodiscard]] const StaticHost* reservation_of(wire::Ipv4Address a) const;
  [[nodiscard]] const StaticHost* host_of(const Client& client, std::string_view name) const;
  /// The reservation a lease was made under, or nullptr; and the other way round.
  [[nodiscard]] const StaticHost* configured_host(const Lease& lease) const;
  [[nodiscard]] const Lease* lease_of(const StaticHost& host) const;
  [[nodiscard]] std::string_view published_name(const Lease& lease) const;

  /// May an address be newly given to this client? Not leased, offered to or reserved for others, or declined.
  [[nodiscard]] bool is_free_for(wire::Ipv4Address a, const Request& r) const;
  [[nodiscard]] bool seen_in_use(wire::Ipv4Address a, const Client& client) const;
  /// Can a reservation be honoured for this request's client now?
  [[nodiscard]] bool reservation_available(const Request& r) const;
  [[nodiscard]] std::optional<wire::Ipv4Address> find_free(const Request& r) const;

  /// Does the port hold as many dynamic addresses as it may?
  [[nodiscard]] bool port_is_full(PortId port) const;
  void count(wire::Ipv4Address a, PortId port, int by);
  void refresh_pool(wire::Ipv4Address a);

  void put_lease(Lease lease, bool claims_name);
  std::optional<Lease> drop_lease(wire::Ipv4Address a);
  void put_offer(wire::Ipv4Address a, const Request& r);
  void drop_offer(wire::Ipv4Address a);
  void put_quarantine(wire::Ipv4Address a, wire::MacAddress mac, PortId port, TimePoint now);
  void drop_quarantine(wire::Ipv4Address a);
  void lapse(TimePoint now);

  [[nodiscard]] LeaseChange new_change();
  [[nodiscard]] LeaseChange removal(wire::Ipv4Address a);

  // --- server_requests.cc ---------------------------------------------------------------------------------------
  [[nodiscard]] Outcome handle(std::span<const uint8_t> payload, const RequestContext& context, TimePoint now);
  [[nodiscard]] Outcome discover(const Request& r);
  [[nodiscard]] Outcome request(const Request& r);
  enum class State : uint8_t { selecting, init_reboot, renewing };  // RFC 2131 §4.3.2
  [[nodiscard]] Outcome confirm(const Request& r, wire::Ipv4Address address, State state);
  [[nodiscard]] Outcome release(const Request& r);
  [[nodiscard]] Outcome decline(const Request& r);
  [[nodiscard]] Outcome inform(const Request& r);
  [[nodiscard]] Outcome bootp(const Request& r);
  [[nodiscard]] std::string_view reply_name(const Request& r) const;
  [[nodiscard]] LeaseChange grant(const Request& r, wire::Ipv4Address address, uint32_t seconds);
  /// Why the address a client asks to be confirmed is refused, or empty.
  [[nodiscard]] std::string_view refusal(const Request& r, wire::Ipv4Address address, State state) const;
  /// Seconds, kInfinite for ever.
  [[nodiscard]] uint32_t lease_seconds(const Request& r, wire::Ipv4Address address) const;
  [[nodiscard]] Outcome silent(std::string_view why);

  // --- server_reply.cc ------------------------------------------------------------------------------------------
  struct ReplyPlan {
    MessageType type = MessageType::ack;
    wire::Ipv4Address yiaddr, ciaddr;
    std::optional<uint32_t> seconds;  // option 51; with `timers`, also 58 and 59
    bool timers = true;
    uint32_t fuzz = 0;          // random bits that bring 58 and 59 forward
    std::string_view hostname;  // option 12
  };
  [[nodiscard]] Outcome reply(const Request& r, const ReplyPlan& plan);
  [[nodiscard]] Outcome nak(const Request& r, std::string_view why);
  void add_configuration(MessageBuilder& out, const Request& r, const ReplyPlan& plan) const;
  [[nodiscard]] Outcome finish(const Request& r, MessageType type, MessageBuilder& out) const;
  [[nodiscard]] Destination destination(const Request& r, MessageType type, const MessageHeader& sent) const;

  Scope scope;
  wire::Ipv4Prefix subnet;
  const Limits limits;
  const std::function<bool(wire::Ipv4Address, wire::MacAddress)> address_in_use;
  const uint64_t seed;
  std::mt19937_64 random;

  // Reservations, by index into scope.hosts.
  std::unordered_map<wire::MacAddress, size_t> host_by_mac;
  std::unordered_map<wire::Ipv4Address, size_t> host_by_address;
  std::unordered_map<std::string, size_t> host_by_name;  // lower-case label
  std::unordered_map<std::string, bool> taken_names;     // of the network's DNS hosts, lower-case

  AddressPool pool;
  LeaseTable leases;
  HoldTable offers;
  HoldTable quarantine;
  std::unordered_map<PortId, uint32_t> held_by_port;  // dynamic addresses: leased, offered, declined
  uint32_t port_cap = 0;

  uint64_t serial = 0;
  uint64_t version = 0;
  Stats stats;
};

}  // namespace weft::dhcp
