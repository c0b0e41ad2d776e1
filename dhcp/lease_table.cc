// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/lease_table.h"

#include "dhcp/names.h"

#include <algorithm>
#include <cstring>

namespace weft::dhcp {
namespace {

uint64_t mix(uint64_t a, uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

std::string mac_key(wire::MacAddress mac) {
  return {reinterpret_cast<const char*>(mac.bytes.data()), mac.bytes.size()};
}

std::string client_key(const Lease& lease) { return dhcp::client_key(Client{lease.mac, lease.client_id}); }

}  // namespace

size_t SeededHash::operator()(std::string_view key) const noexcept {
  uint64_t hash = seed ^ 0x9e3779b97f4a7c15;
  const size_t size = key.size();
  for (;; key.remove_prefix(8)) {
    uint64_t word = 0;
    std::memcpy(&word, key.data(), std::min<size_t>(key.size(), 8));
    hash = mix(hash ^ word, seed | 0xa0761d6478bd642f);
    if (key.size() <= 8) break;
  }
  return static_cast<size_t>(mix(hash ^ size, 0xe7037ed1a0b428db));
}

std::string client_key(const Client& client) {
  // The first letter keeps an identifier of six bytes from passing for a MAC.
  std::string key(1, client.client_id.empty() ? 'm' : 'i');
  return client.client_id.empty() ? key.append(mac_key(client.mac)) : key.append(client.client_id);
}

LeaseTable::LeaseTable(uint64_t seed)
    : by_client_(0, SeededHash{seed}), by_mac_(0, SeededHash{seed}), by_name_(0, SeededHash{seed}) {}

const Lease* LeaseTable::find(wire::Ipv4Address address) const {
  const auto it = entries_.find(address);
  return it == entries_.end() ? nullptr : &it->second.lease;
}

const Lease* LeaseTable::find(const Client& client) const {
  auto it = by_client_.find(dhcp::client_key(client));
  if (it == by_client_.end() && !client.client_id.empty()) it = by_client_.find(dhcp::client_key({client.mac, {}}));
  if (it != by_client_.end()) return find(it->second);
  if (!client.client_id.empty()) return nullptr;
  const auto same_mac = by_mac_.find(mac_key(client.mac));
  return same_mac == by_mac_.end() ? nullptr : find(same_mac->second.back());
}

const Lease* LeaseTable::find_exactly(const Client& client) const {
  const auto it = by_client_.find(dhcp::client_key(client));
  return it == by_client_.end() ? nullptr : find(it->second);
}

const Lease* LeaseTable::find_name(std::string_view label) const {
  const auto it = by_name_.find(lower_case(label));
  return it == by_name_.end() ? nullptr : find(it->second);
}

void LeaseTable::put(Lease lease, bool claims_name) {
  const auto address = lease.address;
  const std::string name = lower_case(host_label(lease.hostname));
  const auto [it, is_new] = entries_.try_emplace(address);
  if (!is_new) {
    const auto owner = by_name_.find(name);
    const bool had_name = owner != by_name_.end() && owner->second == address;
    unlink(it->second.lease);
    claims_name = claims_name || had_name;
  }
  it->second.lease = std::move(lease);
  const Lease& kept = it->second.lease;
  by_client_[client_key(kept)] = address;
  by_mac_[mac_key(kept.mac)].push_back(address);
  if (kept.expiry != 0) by_expiry_.emplace(kept.expiry, address);
  if (!name.empty()) {
    if (claims_name)
      by_name_[name] = address;
    else
      by_name_.try_emplace(name, address);
  }
}

std::optional<Lease> LeaseTable::erase(wire::Ipv4Address address) {
  const auto it = entries_.find(address);
  if (it == entries_.end()) return std::nullopt;
  unlink(it->second.lease);
  std::optional<Lease> lease(std::move(it->second.lease));
  entries_.erase(it);
  return lease;
}

void LeaseTable::unlink(const Lease& lease) {
  const auto forget = [&](KeyMap<wire::Ipv4Address>& map, const std::string& key) {
    const auto it = map.find(key);
    if (it != map.end() && it->second == lease.address) map.erase(it);
  };
  forget(by_client_, client_key(lease));
  forget(by_name_, lower_case(host_label(lease.hostname)));
  if (const auto it = by_mac_.find(mac_key(lease.mac)); it != by_mac_.end()) {
    std::erase(it->second, lease.address);
    if (it->second.empty()) by_mac_.erase(it);
  }
  by_expiry_.erase({lease.expiry, lease.address});
}

void LeaseTable::mark_pending(wire::Ipv4Address address, std::optional<Lease> previous) {
  Entry& entry = entries_.at(address);
  // When a change was pending already, what the store has is still what it had before that.
  if (!entry.pending && previous) entry.durable = std::make_unique<Lease>(std::move(*previous));
  entry.pending = true;
}

void LeaseTable::committed(const LeaseChange& change) {
  for (const auto address : change.removed) {
    const auto it = entries_.find(address);
    if (it != entries_.end() && it->second.lease.serial > change.serial) it->second.durable.reset();
  }
  if (!change.put) return;
  const auto it = entries_.find(change.put->address);
  if (it == entries_.end() || !it->second.pending) return;
  Entry& entry = it->second;
  if (entry.lease.serial == change.serial) {
    entry.pending = false;
    entry.durable.reset();
  } else if (entry.lease.serial > change.serial) {
    entry.durable = std::make_unique<Lease>(*change.put);
  }
}

bool LeaseTable::take_reverted(const LeaseChange& change, std::optional<Lease>& durable) {
  if (!change.put) return false;
  const auto it = entries_.find(change.put->address);
  if (it == entries_.end() || !it->second.pending || it->second.lease.serial != change.serial) return false;
  if (it->second.durable) durable = std::move(*it->second.durable);
  it->second.pending = false;
  it->second.durable.reset();
  return true;
}

const Lease* LeaseTable::first_to_expire() const {
  return by_expiry_.empty() ? nullptr : find(by_expiry_.begin()->second);
}

void LeaseTable::set_port(wire::Ipv4Address address, PortId port) {
  if (const auto it = entries_.find(address); it != entries_.end()) it->second.lease.port = port;
}

}  // namespace weft::dhcp
