// SPDX-License-Identifier: BSD-3-Clause
//
// What the server does with each kind of message (RFC 2131 §4.3).
#include "dhcp/server_impl.h"

#include <algorithm>

namespace weft::dhcp {
namespace {

/// The subnet a relay or client asks to be served from, when it says so apart from giaddr (RFC 3011, RFC 3527).
std::optional<wire::Ipv4Address> selected_subnet(const Message& message) noexcept {
  if (const auto subnet = message.address_option(option::kSubnetSelection)) return subnet;
  auto rest = message.option(option::kRelayAgent);
  while (rest.size() >= 2 && rest.size() - 2 >= rest[1]) {
    if (rest[0] == option::kRelayLinkSelection && rest[1] == 4)
      return wire::Ipv4Address(rest[2], rest[3], rest[4], rest[5]);
    rest = rest.subspan(size_t{2} + rest[1]);
  }
  return std::nullopt;
}

std::string_view as_text(std::span<const uint8_t> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Outcome Server::Impl::handle(std::span<const uint8_t> payload, const RequestContext& context, TimePoint now) {
  lapse(now);
  const auto parsed = Message::parse(payload);
  if (!parsed) {
    ++stats.malformed;
    return {Verdict::malformed, MessageType::bootp, to_string(parsed.error()), {}, {}, {}};
  }
  const Message& message = *parsed;
  const auto giaddr = message.header().giaddr;
  const auto selected = selected_subnet(message);
  if ((!giaddr.is_zero() && !is_host_address(giaddr)) || (selected && !subnet.contains(*selected))) {
    ++stats.foreign_relay;
    return silent("relayed from a subnet that is not served");
  }

  Request r{message, context, now, {message.header().chaddr, as_text(message.option(option::kClientId))}, {}, {}, {}};
  r.key = client_key(r.client);
  r.fqdn = parse_fqdn(message.option(option::kFqdn));
  r.name = r.fqdn && !r.fqdn->name.empty() ? r.fqdn->name : printable_name(message.option(option::kHostName));
  r.host = host_of(r.client, r.name);
  r.lease = leases.find(r.client);

  switch (message.type()) {
    case MessageType::discover:
      ++stats.discovers;
      return discover(r);
    case MessageType::request:
      ++stats.requests;
      return request(r);
    case MessageType::decline:
      ++stats.declines;
      return decline(r);
    case MessageType::release:
      ++stats.releases;
      return release(r);
    case MessageType::inform:
      ++stats.informs;
      return inform(r);
    case MessageType::bootp:
      ++stats.bootps;
      return bootp(r);
    default:
      ++stats.unknown;
      return silent("message type that no client sends");
  }
}

Outcome Server::Impl::silent(std::string_view why) {
  ++stats.silent;
  return {Verdict::silent, MessageType::bootp, why, {}, {}, {}};
}

uint32_t Server::Impl::lease_seconds(const Request& r, wire::Ipv4Address address) const {
  uint32_t seconds = scope.default_lease_seconds;
  if (const Range* range = pool.range_of(address)) seconds = range->lease_seconds;
  if (r.host != nullptr && r.host->lease_seconds) seconds = *r.host->lease_seconds;
  if (seconds == 0) seconds = kInfinite;
  // A shorter time than configured is the client's to choose, within reason; a longer one is not.
  if (const auto wanted = r.message.lease_time())
    seconds = std::min(seconds, std::max(*wanted, limits.min_lease_seconds));
  return seconds;
}

/// The host name the client is told: its reservation's, the one it says, or the one it said before.
std::string_view Server::Impl::reply_name(const Request& r) const {
  if (r.host != nullptr && !host_label(r.host->name).empty()) return host_label(r.host->name);
  if (!r.name.empty()) return host_label(r.name);
  return r.lease == nullptr ? std::string_view{} : host_label(r.lease->hostname);
}

Outcome Server::Impl::discover(const Request& r) {
  std::optional<wire::Ipv4Address> address;
  bool is_new = false;
  if (reservation_available(r)) {
    address = r.host->address;
  } else if (r.lease != nullptr && pool.range_of(r.lease->address) != nullptr &&
             (reservation_of(r.lease->address) == nullptr || reservation_of(r.lease->address) == r.host)) {
    address = r.lease->address;
  } else {
    const Hold* held = offers.find(r.key);
    if (held == nullptr && port_is_full(r.context.port)) {
      ++stats.port_cap;
      return silent("the port holds as many addresses as it may");
    }
    is_new = true;
    const auto asked = r.message.address_option(option::kRequestedAddress);
    if (asked && is_free_for(*asked, r) && !seen_in_use(*asked, r.client))
      address = asked;
    else if (held != nullptr && is_free_for(held->address, r))
      address = held->address;
    else
      address = find_free(r);
  }
  if (!address) {
    ++stats.no_address;
    return silent("no address available");
  }
  if (is_new) put_offer(*address, r);

  ReplyPlan plan{MessageType::offer, *address, {}, lease_seconds(r, *address), true, 0, {}};
  // Before the lease exists only a configured name is certain; a client that asks by option 81 is answered by it.
  if ((r.host != nullptr && !r.host->name.empty()) || r.fqdn) plan.hostname = reply_name(r);
  return reply(r, plan);
}

Outcome Server::Impl::request(const Request& r) {
  const auto asked = r.message.address_option(option::kRequestedAddress);
  const auto ciaddr = r.header().ciaddr;
  if (asked) {
    if (const auto chosen = r.message.address_option(option::kServerId)) {
      if (*chosen != scope.server) {
        // It goes to another server's offer; ours need not be held any longer. Authoritative: there is no other.
        if (const Hold* held = offers.find(r.key)) drop_offer(held->address);
        return nak(r, "wrong server-ID");
      }
      return confirm(r, *asked, State::selecting);
    }
    if (r.lease != nullptr && r.lease->address != *asked) return nak(r, "wrong address");
    return confirm(r, *asked, State::init_reboot);
  }
  if (ciaddr.is_zero()) {
    ++stats.malformed;
    return {Verdict::malformed, MessageType::bootp, "REQUEST that names no address", {}, {}, {}};
  }
  if (r.lease != nullptr && r.lease->address != ciaddr) {
    // Rebinding reaches every server; this may be another's lease. Asked alone, we know it is wrong.
    if (r.context.destination_ip != scope.server) return silent("rebinds a lease that is not ours");
    return nak(r, "lease not found");
  }
  return confirm(r, ciaddr, State::renewing);
}

std::string_view Server::Impl::refusal(const Request& r, wire::Ipv4Address address, State state) const {
  if (!subnet.contains(address)) return "wrong network";
  const StaticHost* reserved_for = reservation_of(address);
  const bool is_own_reservation = reserved_for != nullptr && reserved_for == r.host;
  if (!is_host_address(address) || (pool.range_of(address) == nullptr && !is_own_reservation))
    return "address not available";
  // Sure that a DISCOVER will get the reservation, or this would never end.
  if (state != State::selecting && reservation_available(r) && r.host->address != address)
    return "static lease available";
  if (reserved_for != nullptr && !is_own_reservation) return "address reserved";
  const Lease* holder = leases.find(address);
  if (holder != nullptr && holder != r.lease && !(is_own_reservation && reservation_available(r)))
    return "address in use";
  if (quarantine.find(address) != nullptr) return "address in use";
  const Hold* offer = offers.find(address);
  if (offer != nullptr && offer->key != r.key && offer->mac != r.client.mac) return "address in use";
  if (holder == nullptr && offer == nullptr && !is_own_reservation && seen_in_use(address, r.client))
    return "address in use";
  return {};
}

Outcome Server::Impl::confirm(const Request& r, wire::Ipv4Address address, State state) {
  if (const auto why = refusal(r, address, state); !why.empty()) {
    Outcome outcome = nak(r, why);
    // The client stops using what it is refused (RFC 2131 §4.4.5), so it is free for whom it is meant.
    if (r.lease != nullptr && r.lease->address == address) {
      drop_lease(address);
      outcome.change = removal(address);
    }
    return outcome;
  }
  const bool is_more = r.lease == nullptr && reservation_of(address) == nullptr && offers.find(address) == nullptr;
  if (is_more && port_is_full(r.context.port)) {
    ++stats.port_cap;
    return silent("the port holds as many addresses as it may");
  }
  const uint32_t seconds = lease_seconds(r, address);
  const std::string hostname(reply_name(r));
  ReplyPlan plan{MessageType::ack, address, r.header().ciaddr, seconds, true, 0, hostname};
  if (state == State::renewing) plan.fuzz = static_cast<uint32_t>(random());
  Outcome outcome = reply(r, plan);
  outcome.change = grant(r, address, seconds);
  return outcome;
}

LeaseChange Server::Impl::grant(const Request& r, wire::Ipv4Address address, uint32_t seconds) {
  Lease lease;
  lease.address = address;
  lease.mac = r.client.mac;
  lease.client_id = r.client.client_id;
  lease.hostname = r.name;
  lease.port = r.context.port;
  if (seconds != kInfinite) lease.expiry = r.now.time_since_epoch().count() + seconds;
  LeaseChange change = new_change();
  lease.serial = change.serial;
  if (r.lease != nullptr) {
    // What the client does not repeat still holds.
    if (lease.hostname.empty()) lease.hostname = r.lease->hostname;
    if (lease.client_id.empty() && r.lease->address == address) lease.client_id = r.lease->client_id;
  }
  const Lease* replaced = leases.find(address);
  std::optional<Lease> previous;
  if (replaced != nullptr) previous = *replaced;

  // One client, one lease.
  const auto drop_other = [&](const Lease* other) {
    if (other == nullptr || other->address == address) return;
    change.removed.push_back(other->address);
    drop_lease(change.removed.back());
  };
  drop_other(r.lease);
  drop_other(leases.find_exactly({lease.mac, lease.client_id}));
  drop_offer(address);
  if (const Hold* held = offers.find(r.key)) drop_offer(held->address);
  put_lease(lease, !r.name.empty());
  leases.mark_pending(address, std::move(previous));
  change.put = std::move(lease);
  return change;
}

Outcome Server::Impl::release(const Request& r) {
  const auto server = r.message.address_option(option::kServerId);
  if (server && *server != scope.server) return silent("RELEASE to another server");
  if (r.lease == nullptr || r.lease->address != r.header().ciaddr) return silent("RELEASE of an unknown lease");
  if (r.lease->port != kNoPort && r.lease->port != r.context.port) {
    ++stats.foreign_port;
    return silent("RELEASE of a lease held on another port");
  }
  const auto address = r.lease->address;
  drop_lease(address);
  Outcome outcome = silent("RELEASE done");
  outcome.change = removal(address);
  return outcome;
}

Outcome Server::Impl::decline(const Request& r) {
  const auto server = r.message.address_option(option::kServerId);
  if (server && *server != scope.server) return silent("DECLINE to another server");
  const auto address = r.message.address_option(option::kRequestedAddress);
  const bool is_leased = address && r.lease != nullptr && r.lease->address == *address;
  const Hold* offer = offers.find(r.key);
  const bool is_offered = address && offer != nullptr && offer->address == *address;
  if (!is_leased && !is_offered) return silent("DECLINE of an unknown lease");
  if (is_leased && r.lease->port != kNoPort && r.lease->port != r.context.port) {
    ++stats.foreign_port;
    return silent("DECLINE of a lease held on another port");
  }
  drop_lease(*address);
  drop_offer(*address);
  put_quarantine(*address, r.client.mac, r.context.port, r.now);
  Outcome outcome = silent("DECLINE done");
  if (is_leased) outcome.change = removal(*address);
  return outcome;
}

Outcome Server::Impl::inform(const Request& r) {
  // The client has an address from elsewhere and wants the rest (RFC 2131 §4.3.5); some leave ciaddr empty.
  const auto address = r.header().ciaddr.is_zero() ? r.context.source_ip : r.header().ciaddr;
  if (!is_host_address(address)) return silent("INFORM from an address that is not of this subnet");
  ReplyPlan plan{MessageType::ack, {}, address, std::nullopt, false, 0, reply_name(r)};
  const bool asks_time = r.message.has(option::kParameterList) && r.message.requests(option::kLeaseTime);
  if (asks_time && r.lease != nullptr && r.lease->address == address) {
    const int64_t left = r.lease->expiry - r.now.time_since_epoch().count();
    plan.seconds =
        r.lease->expiry == 0 ? kInfinite : static_cast<uint32_t>(std::clamp<int64_t>(left, 0, kInfinite - 1));
  }
  return reply(r, plan);
}

Outcome Server::Impl::bootp(const Request& r) {
  // RFC 951 has no way to give an address back, so only a reservation will do.
  if (!reservation_available(r)) return silent("BOOTP without a reservation");
  const auto address = r.host->address;
  const std::string hostname(reply_name(r));
  Outcome outcome = reply(r, {MessageType::bootp, address, r.header().ciaddr, std::nullopt, false, 0, hostname});
  outcome.change = grant(r, address, kInfinite);
  return outcome;
}

}  // namespace weft::dhcp
