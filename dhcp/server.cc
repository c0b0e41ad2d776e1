// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/server.h"

#include "dhcp/server_impl.h"

#include <algorithm>

namespace weft::dhcp {
namespace {

/// How many addresses seen in use by others are passed over for one DISCOVER.
constexpr int kMaxProbes = 32;

constexpr uint32_t kMinPortCap = 16;

/// The sdbm hash of a MAC, as dnsmasq places clients in a range: a guest that moves here from libvirt's own network
/// keeps its address even when its lease does not come along.
uint32_t mac_hash(wire::MacAddress mac) noexcept {
  uint32_t hash = 0;
  for (const uint8_t b : mac.bytes) hash = b + (hash << 6) + (hash << 16) - hash;
  return hash == 0 ? 1 : hash;
}

}  // namespace

Server::Impl::Impl(Scope new_scope, ServerOptions options)
    : limits(options.limits),
      address_in_use(std::move(options.address_in_use)),
      seed(options.seed),
      random(options.seed),
      pool(new_scope),
      leases(options.seed),
      offers(limits.offers, limits.offer_seconds, options.seed),
      quarantine(limits.quarantined, limits.quarantine_seconds, options.seed) {
  read_scope(std::move(new_scope));
  recount();
}

void Server::Impl::read_scope(Scope new_scope) {
  scope = std::move(new_scope);
  subnet = {scope.server, scope.prefix_length};
  pool = AddressPool(scope);
  host_by_mac.clear();
  host_by_address.clear();
  host_by_name.clear();
  taken_names.clear();
  for (size_t i = 0; i < scope.hosts.size(); ++i) {
    const StaticHost& host = scope.hosts[i];
    if (host.mac) host_by_mac.try_emplace(*host.mac, i);
    if (is_host_address(host.address)) host_by_address.try_emplace(host.address, i);
    if (const auto label = host_label(host.name); !label.empty()) host_by_name.try_emplace(lower_case(label), i);
  }
  for (const std::string& name : scope.taken_names) taken_names.try_emplace(lower_case(host_label(name)), true);
  port_cap = limits.addresses_per_port != 0 ? limits.addresses_per_port : std::max(pool.size() / 4, kMinPortCap);
  ++version;
}

void Server::Impl::recount() {
  held_by_port.clear();
  leases.for_each([&](const Lease& lease) { count(lease.address, lease.port, 1); });
  for (const Hold& hold : offers.all()) count(hold.address, hold.port, 1);
  for (const Hold& hold : quarantine.all()) count(hold.address, hold.port, 1);
  leases.for_each([&](const Lease& lease) { refresh_pool(lease.address); });
  for (const Hold& hold : offers.all()) refresh_pool(hold.address);
  for (const Hold& hold : quarantine.all()) refresh_pool(hold.address);
  for (const auto& [address, index] : host_by_address) refresh_pool(address);
}

bool Server::Impl::is_host_address(wire::Ipv4Address a) const noexcept {
  return subnet.contains(a) && a != scope.server && a != subnet.network() && a != subnet.broadcast();
}

const StaticHost* Server::Impl::reservation_of(wire::Ipv4Address a) const {
  const auto it = host_by_address.find(a);
  return it == host_by_address.end() ? nullptr : &scope.hosts[it->second];
}

const StaticHost* Server::Impl::host_of(const Client& client, std::string_view name) const {
  if (const auto it = host_by_mac.find(client.mac); it != host_by_mac.end()) return &scope.hosts[it->second];
  // A name is enough only for a reservation that asks for no MAC.
  const auto it = host_by_name.find(lower_case(host_label(name)));
  return it == host_by_name.end() || scope.hosts[it->second].mac ? nullptr : &scope.hosts[it->second];
}

bool Server::Impl::is_free_for(wire::Ipv4Address a, const Request& r) const {
  if (!is_host_address(a) || pool.range_of(a) == nullptr) return false;
  if (leases.find(a) != nullptr || reservation_of(a) != nullptr || quarantine.find(a) != nullptr) return false;
  const Hold* offer = offers.find(a);
  return offer == nullptr || offer->key == r.key;
}

bool Server::Impl::seen_in_use(wire::Ipv4Address a, const Client& client) const {
  return address_in_use && address_in_use(a, client.mac);
}

bool Server::Impl::reservation_available(const Request& r) const {
  if (r.host == nullptr || reservation_of(r.host->address) != r.host) return false;
  if (quarantine.find(r.host->address) != nullptr) return false;
  const Lease* holder = leases.find(r.host->address);
  // The same station under another client identifier (its boot loader, say) makes way for itself.
  return holder == nullptr || holder == r.lease || (r.host->mac && holder->mac == *r.host->mac);
}

std::optional<wire::Ipv4Address> Server::Impl::find_free(const Request& r) const {
  const uint32_t hash = mac_hash(r.client.mac);
  int probes = 0;
  for (size_t i = 0; i < pool.ranges().size(); ++i) {
    const Range& range = pool.ranges()[i];
    const uint32_t size = range.end.host() - range.start.host() + 1;
    uint32_t offset = hash % size;
    for (; probes < kMaxProbes; ++probes) {
      const auto candidate = pool.next_free(i, wire::Ipv4Address(range.start.host() + offset));
      if (!candidate) break;
      if (!seen_in_use(*candidate, r.client)) return candidate;
      offset = (candidate->host() - range.start.host() + 1) % size;
    }
  }
  return std::nullopt;
}

bool Server::Impl::port_is_full(PortId port) const {
  const auto it = held_by_port.find(port);
  return it != held_by_port.end() && it->second >= port_cap;
}

void Server::Impl::count(wire::Ipv4Address a, PortId port, int by) {
  if (port == kNoPort || reservation_of(a) != nullptr) return;
  const auto it = held_by_port.try_emplace(port, 0).first;
  it->second += static_cast<uint32_t>(by);
  if (it->second == 0) held_by_port.erase(it);
}

void Server::Impl::refresh_pool(wire::Ipv4Address a) {
  pool.set_free(a, leases.find(a) == nullptr && offers.find(a) == nullptr && quarantine.find(a) == nullptr &&
                       reservation_of(a) == nullptr);
}

void Server::Impl::put_lease(Lease lease, bool claims_name) {
  const auto address = lease.address;
  if (const Lease* before = leases.find(address)) count(address, before->port, -1);
  count(address, lease.port, 1);
  leases.put(std::move(lease), claims_name);
  refresh_pool(address);
  ++version;
}

std::optional<Lease> Server::Impl::drop_lease(wire::Ipv4Address a) {
  auto lease = leases.erase(a);
  if (!lease) return lease;
  count(a, lease->port, -1);
  refresh_pool(a);
  ++version;
  return lease;
}

void Server::Impl::put_offer(wire::Ipv4Address a, const Request& r) {
  if (const Hold* before = offers.find(r.key)) drop_offer(before->address);
  if (offers.full() && offers.oldest() != nullptr) {
    drop_offer(offers.oldest()->address);
    ++stats.offers_evicted;
  }
  offers.add({a, r.client.mac, r.key, r.context.port, {}}, r.now);
  count(a, r.context.port, 1);
  refresh_pool(a);
}

void Server::Impl::drop_offer(wire::Ipv4Address a) {
  if (const auto hold = offers.erase(a)) {
    count(a, hold->port, -1);
    refresh_pool(a);
  }
}

void Server::Impl::put_quarantine(wire::Ipv4Address a, wire::MacAddress mac, PortId port, TimePoint now) {
  drop_quarantine(a);
  if (quarantine.full() && quarantine.oldest() != nullptr) {
    drop_quarantine(quarantine.oldest()->address);
    ++stats.quarantine_evicted;
  }
  quarantine.add({a, mac, {}, port, {}}, now);
  count(a, port, 1);
  refresh_pool(a);
}

void Server::Impl::drop_quarantine(wire::Ipv4Address a) {
  if (const auto hold = quarantine.erase(a)) {
    count(a, hold->port, -1);
    refresh_pool(a);
  }
}

void Server::Impl::lapse(TimePoint now) {
  while (const Hold* hold = offers.lapsed(now)) drop_offer(hold->address);
  while (const Hold* hold = quarantine.lapsed(now)) drop_quarantine(hold->address);
}

LeaseChange Server::Impl::new_change() { return {scope.network, ++serial, {}, std::nullopt}; }

LeaseChange Server::Impl::removal(wire::Ipv4Address a) {
  LeaseChange change = new_change();
  change.removed.push_back(a);
  return change;
}

const StaticHost* Server::Impl::configured_host(const Lease& lease) const {
  if (const auto it = host_by_mac.find(lease.mac); it != host_by_mac.end()) return &scope.hosts[it->second];
  // A reservation by name is matched by the name the client gave; who had the address before it was made is not meant.
  const StaticHost* host = reservation_of(lease.address);
  if (host == nullptr || host->mac) return nullptr;
  return lower_case(host_label(host->name)) == lower_case(host_label(lease.hostname)) ? host : nullptr;
}

const Lease* Server::Impl::lease_of(const StaticHost& host) const {
  const Lease* lease = leases.find(host.address);
  if (lease != nullptr && configured_host(*lease) == &host) return lease;
  // Its address was not free for it: it has another.
  lease = host.mac ? leases.find(Client{*host.mac, {}}) : nullptr;
  return lease != nullptr && configured_host(*lease) == &host ? lease : nullptr;
}

std::string_view Server::Impl::published_name(const Lease& lease) const {
  if (const StaticHost* host = configured_host(lease); host != nullptr && !host_label(host->name).empty()) {
    const auto label = host_label(host->name);
    const bool is_first_of_name = &scope.hosts[host_by_name.at(lower_case(label))] == host;
    const Lease* holder = lease_of(*host);  // of several leases under one MAC, only one carries the name
    return is_first_of_name && holder != nullptr && holder->address == lease.address ? label : std::string_view{};
  }
  const auto label = host_label(lease.hostname);
  if (label.empty()) return {};
  const std::string name = lower_case(label);
  if (host_by_name.contains(name) || taken_names.contains(name)) return {};
  const Lease* owner = leases.find_name(name);
  return owner != nullptr && owner->address == lease.address ? label : std::string_view{};
}

// --- Server -------------------------------------------------------------------------------------------------------

Server::Server(Scope scope, ServerOptions options)
    : impl_(std::make_unique<Impl>(std::move(scope), std::move(options))) {}
Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

Outcome Server::handle(std::span<const uint8_t> payload, const RequestContext& context, TimePoint now) {
  return impl_->handle(payload, context, now);
}

void Server::committed(const LeaseChange& change) { impl_->leases.committed(change); }

void Server::revert(const LeaseChange& change) {
  ++impl_->stats.reverted;
  std::optional<Lease> durable;
  if (!impl_->leases.take_reverted(change, durable)) return;
  impl_->drop_lease(change.put->address);
  if (!durable) return;
  // Its client may have been given another address since; a client has one lease.
  if (impl_->leases.find_exactly({durable->mac, durable->client_id}) != nullptr) return;
  impl_->put_lease(std::move(*durable), false);
}

std::vector<LeaseChange> Server::expire(TimePoint now, size_t limit) {
  impl_->lapse(now);
  std::vector<LeaseChange> changes;
  for (const Lease* lease = impl_->leases.first_to_expire();
       lease != nullptr && lease->expired(now) && changes.size() < limit; lease = impl_->leases.first_to_expire()) {
    const auto address = lease->address;
    impl_->drop_lease(address);
    changes.push_back(impl_->removal(address));
  }
  return changes;
}

std::vector<LeaseChange> Server::restore(std::span<const Lease> kept, TimePoint now) {
  std::vector<Lease> by_age(kept.begin(), kept.end());
  std::sort(by_age.begin(), by_age.end(), [](const Lease& a, const Lease& b) { return a.serial < b.serial; });
  if (!by_age.empty()) impl_->serial = std::max(impl_->serial, by_age.back().serial);
  std::vector<LeaseChange> changes;
  for (Lease& lease : by_age) {
    const auto address = lease.address;
    if (lease.expired(now) || !impl_->is_host_address(address)) {
      changes.push_back(impl_->removal(address));
      continue;
    }
    // A removal that was not kept leaves an older lease of the same client behind.
    if (const Lease* other = impl_->leases.find_exactly({lease.mac, lease.client_id})) {
      const auto old_address = other->address;
      impl_->drop_lease(old_address);
      changes.push_back(impl_->removal(old_address));
    }
    lease.port = kNoPort;
    impl_->put_lease(std::move(lease), true);
  }
  return changes;
}

std::vector<LeaseChange> Server::reconfigure(Scope scope) {
  impl_->read_scope(std::move(scope));
  std::vector<wire::Ipv4Address> outside;
  impl_->leases.for_each([&](const Lease& lease) {
    if (!impl_->is_host_address(lease.address)) outside.push_back(lease.address);
  });
  std::vector<LeaseChange> changes;
  for (const auto address : outside) {
    impl_->leases.erase(address);
    changes.push_back(impl_->removal(address));
  }
  // What was offered may be another's now, and an offer is cheap to repeat.
  while (const Hold* hold = impl_->offers.oldest()) impl_->offers.erase(hold->address);
  impl_->recount();
  return changes;
}

void Server::forget_port(PortId port) {
  std::vector<wire::Ipv4Address> offered, leased;
  for (const Hold& hold : impl_->offers.all())
    if (hold.port == port) offered.push_back(hold.address);
  for (const auto address : offered) impl_->drop_offer(address);
  impl_->leases.for_each([&](const Lease& lease) {
    if (lease.port == port) leased.push_back(lease.address);
  });
  for (const auto address : leased) impl_->leases.set_port(address, kNoPort);
  impl_->quarantine.forget_port(port);
  impl_->held_by_port.erase(port);
}

const Scope& Server::scope() const noexcept { return impl_->scope; }
const Stats& Server::stats() const noexcept { return impl_->stats; }
size_t Server::lease_count() const noexcept { return impl_->leases.size(); }
uint64_t Server::version() const noexcept { return impl_->version; }
const Lease* Server::find(wire::Ipv4Address address) const { return impl_->leases.find(address); }

void Server::for_each_lease(const std::function<void(const Lease&)>& visit) const { impl_->leases.for_each(visit); }

std::vector<Lease> Server::leases() const {
  std::vector<Lease> all;
  all.reserve(impl_->leases.size());
  impl_->leases.for_each([&](const Lease& lease) { all.push_back(lease); });
  return all;
}

std::string_view Server::shown_name(const Lease& lease) const {
  const StaticHost* host = impl_->configured_host(lease);
  return host == nullptr || host->name.empty() ? std::string_view(lease.hostname) : host->name;
}

std::string_view Server::published_name(const Lease& lease) const { return impl_->published_name(lease); }

const Lease* Server::find_name(std::string_view name) const {
  const std::string label = lower_case(name);
  const auto it = impl_->host_by_name.find(label);
  const Lease* lease = it == impl_->host_by_name.end() ? impl_->leases.find_name(label)
                                                       : impl_->lease_of(impl_->scope.hosts[it->second]);
  return lease != nullptr && !impl_->published_name(*lease).empty() ? lease : nullptr;
}

}  // namespace weft::dhcp
