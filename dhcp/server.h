// SPDX-License-Identifier: BSD-3-Clause
//
// The DHCPv4 server of one network: bytes in, bytes out, no clock, no socket, no thread of its own. The control thread
// owns it and calls everything here.
//
// Theory of operation. A client is known by its client identifier (option 61), else by its MAC. Its address is, in this
// order: its reservation, its lease, what it asks for, the offer it holds, and the first free address after a hash of
// its MAC; so it comes back to the same address even when everything was forgotten. An OFFER holds its address for a
// minute in memory; an ACK makes a lease, which must be durable before the ACK leaves:
//
//   handle() → Outcome{reply, change} → the store commits the change → committed(change), send the reply
//                                     → the store fails              → revert(change), send nothing
//
// The table holds the lease from handle() on, so no address is given twice while a commit is under way. The server is
// authoritative (RFC 2131 §4.3.2): it confirms what a returning client claims when that is free, and refuses the rest.
#pragma once

#include "dhcp/lease.h"
#include "dhcp/message.h"
#include "dhcp/scope.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft::dhcp {

/// How a request arrived.
struct RequestContext {
  wire::MacAddress source_mac;       ///< of the frame; a relay's or router's when it is not the client itself
  wire::Ipv4Address source_ip;       ///< 0.0.0.0 from clients without an address
  wire::Ipv4Address destination_ip;  ///< the server's own address: the client spoke to us alone
  PortId port = kNoPort;             ///< where it came in
};

enum class Verdict : uint8_t {
  reply,      ///< send `reply` to `destination`
  silent,     ///< nothing to say; `reason` tells why
  malformed,  ///< no DHCP message a server may read; `reason` tells why
};

/// Where a reply goes (RFC 2131 §4.1). Its source is the server's address, port 67.
struct Destination {
  bool broadcast = false;  ///< ff:ff:ff:ff:ff:ff and 255.255.255.255
  wire::MacAddress mac;
  wire::Ipv4Address ip;
  uint16_t port = kClientPort;  ///< 67 for a relay
};

struct Outcome {
  Verdict verdict = Verdict::silent;
  MessageType type = MessageType::bootp;  ///< of the reply; bootp also for none
  std::string_view reason;                ///< static text: why silent, malformed or NAK
  std::vector<uint8_t> reply;             ///< the UDP payload, 300 … 1472 bytes; empty unless verdict is reply
  Destination destination;
  /// Must be durable before the reply is sent. Also comes with `silent` (RELEASE, DECLINE).
  std::optional<LeaseChange> change;
};

/// What happened, by number of messages.
struct Stats {
  uint64_t discovers = 0, requests = 0, declines = 0, releases = 0, informs = 0, bootps = 0, unknown = 0;
  uint64_t offers = 0, acks = 0, naks = 0, bootp_replies = 0;
  uint64_t malformed = 0;
  uint64_t silent = 0;         ///< well-formed, not answered, for any reason (the next ones included)
  uint64_t no_address = 0;     ///< every address of the pool is taken
  uint64_t port_cap = 0;       ///< the port holds as many addresses as one port may
  uint64_t foreign_relay = 0;  ///< relayed from a subnet that is not ours
  uint64_t foreign_port = 0;   ///< RELEASE or DECLINE of a lease held on another port
  uint64_t offers_evicted = 0, quarantine_evicted = 0;
  uint64_t reverted = 0;  ///< changes the store could not keep
};

/// Chances are passed in, so that a test repeats.
struct ServerOptions {
  Limits limits;
  uint64_t seed = 0;  ///< of hash tables and of the spread of renewal times; random in production
  /// Is this address seen in use by somebody other than `client`? The switch answers from what it knows of its
  /// neighbours; no packet is sent and nobody waits. Empty: never.
  std::function<bool(wire::Ipv4Address address, wire::MacAddress client)> address_in_use;
};

class Server {
 public:
  Server(Scope scope, ServerOptions options);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  /// Answers one UDP payload sent to port 67. Constant time but for hash tables and a tree of expiry times.
  [[nodiscard]] Outcome handle(std::span<const uint8_t> payload, const RequestContext& context, TimePoint now);

  /// The store has kept `change`. Call once for each change, in the order of their making.
  void committed(const LeaseChange& change);
  /// The store has not kept `change` (or its queue refused it): the lease goes back to what is durable, and its reply
  /// must not be sent. A removal stays removed: the address is free, and a row left behind is overwritten or expires.
  void revert(const LeaseChange& change);

  /// Ends at most `limit` leases whose time is over, oldest first, and lets offers and quarantines lapse. Call about
  /// once a second, and again while it returns `limit` changes. Nothing is lost if a returned change is not kept.
  [[nodiscard]] std::vector<LeaseChange> expire(TimePoint now, size_t limit = 256);

  /// Takes over leases kept by the store, at start. Returns the removals of those that have no place here (expired,
  /// outside the subnet, the server's own address).
  [[nodiscard]] std::vector<LeaseChange> restore(std::span<const Lease> leases, TimePoint now);

  /// A changed configuration: leases stay as long as they lie in the subnet (their clients learn of the change when
  /// they renew). Returns the removals of the others. The network must be the same.
  [[nodiscard]] std::vector<LeaseChange> reconfigure(Scope scope);

  /// The port is gone and its number may be given to another: its offers lapse, its leases count for no port.
  void forget_port(PortId port);

  [[nodiscard]] const Scope& scope() const noexcept;
  [[nodiscard]] const Stats& stats() const noexcept;
  [[nodiscard]] size_t lease_count() const noexcept;
  /// Grows whenever a lease, its hostname or a published name may have changed.
  [[nodiscard]] uint64_t version() const noexcept;

  /// By address. The pointer is good until the next call that is not const.
  [[nodiscard]] const Lease* find(wire::Ipv4Address address) const;
  /// All leases, in no order.
  void for_each_lease(const std::function<void(const Lease&)>& visit) const;
  [[nodiscard]] std::vector<Lease> leases() const;

  /// The name shown for a lease: the reservation's, else what the client calls itself. May be empty.
  [[nodiscard]] std::string_view shown_name(const Lease& lease) const;
  /// The single-label name DNS may answer for this lease, or empty. A reservation's name belongs to its host alone; a
  /// client's own name is published when it is a host name (RFC 952, RFC 1123 §2.1, and '_' inside), is no
  /// reservation's and no DNS host's name, and no other client claimed it later.
  [[nodiscard]] std::string_view published_name(const Lease& lease) const;
  /// The lease that `name` (one label, any case) is published for, or nullptr.
  [[nodiscard]] const Lease* find_name(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::dhcp
