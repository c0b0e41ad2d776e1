// SPDX-License-Identifier: BSD-3-Clause
#include "dns/local_zone.h"

#include <algorithm>
#include <charconv>

namespace weft::dns {
namespace {

bool is_alnum(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// The label under which a DHCP name is published: domain cut off, lower case; empty when it is not allowed.
std::string dhcp_label(std::string_view name) {
  name = name.substr(0, name.find('.'));
  if (name.empty() || name.size() > Name::kMaxLabel || !is_alnum(name[0])) return {};
  std::string label;
  for (const char c : name) {
    if (!is_alnum(c) && c != '-' && c != '_') return {};
    label += static_cast<char>(fold_case(static_cast<uint8_t>(c)));
  }
  return label;
}

Name name_of(std::string_view text) noexcept { return Name::from_text(text).value_or(Name{}); }

/// The bits of an address in network order.
std::span<const uint8_t> bytes_of(const wire::IpAddress& address, std::array<uint8_t, 16>& store) noexcept {
  if (address.is_v6()) {
    store = address.v6().bytes;
    return store;
  }
  const uint32_t v = address.v4().host();
  for (size_t i = 0; i < 4; ++i) store[i] = static_cast<uint8_t>(v >> (24 - 8 * i));
  return std::span(store).first(4);
}

/// The OPT record of our answers; none for clients without EDNS.
std::optional<Edns> edns_for(const Query& query) noexcept {
  if (!query.edns) return std::nullopt;
  return Edns{.dnssec_ok = query.edns->dnssec_ok};
}

bool contains(const LocalZoneConfig::Subnet& subnet, const wire::IpAddress& address) noexcept {
  if (subnet.address.is_v4() != address.is_v4()) return false;
  std::array<uint8_t, 16> a, b;
  const auto x = bytes_of(subnet.address, a), y = bytes_of(address, b);
  for (size_t bit = 0; bit < std::min<size_t>(subnet.prefix, x.size() * 8); bit += 8) {
    const size_t n = std::min<size_t>(8, subnet.prefix - bit);
    if (((x[bit / 8] ^ y[bit / 8]) >> (8 - n)) != 0) return false;
  }
  return true;
}

}  // namespace

std::optional<wire::IpAddress> address_of_reverse_name(const Name& name) noexcept {
  static const Name v4_zone = name_of("in-addr.arpa"), v6_zone = name_of("ip6.arpa");
  const size_t n = name.n_labels();
  Name rest = name;
  if (n == 6 && name.is_under(v4_zone)) {
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; ++i, rest = rest.parent()) {
      const std::string_view digits = rest.first_label();
      unsigned octet = 256;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), octet);
      const bool canonical = digits.size() == 1 || digits[0] != '0';
      if (error != std::errc{} || end != digits.data() + digits.size() || octet > 255 || !canonical)
        return std::nullopt;
      v |= octet << (8 * i);
    }
    return wire::Ipv4Address(v);
  }
  if (n == 34 && name.is_under(v6_zone)) {
    wire::Ipv6Address a;
    for (size_t i = 0; i < 32; ++i, rest = rest.parent()) {
      const std::string_view digit = rest.first_label();
      uint8_t nibble = 0;
      const auto [end, error] = std::from_chars(digit.data(), digit.data() + digit.size(), nibble, 16);
      if (error != std::errc{} || digit.size() != 1) return std::nullopt;
      a.bytes[15 - i / 2] = static_cast<uint8_t>(a.bytes[15 - i / 2] | nibble << (i % 2 * 4));
    }
    return a;
  }
  return std::nullopt;
}

Name reverse_name(const wire::IpAddress& address, unsigned prefix) noexcept {
  std::array<uint8_t, 16> store;
  const auto bytes = bytes_of(address, store);
  char text[80];
  size_t size = 0;
  const auto append = [&](std::string_view s) { size += s.copy(text + size, sizeof text - size); };
  if (address.is_v4()) {
    for (size_t i = std::min<size_t>(prefix / 8, 4); i-- > 0;) {
      size = static_cast<size_t>(std::to_chars(text + size, text + sizeof text, bytes[i]).ptr - text);
      append(".");
    }
    append("in-addr.arpa");
  } else {
    for (size_t i = std::min<size_t>(prefix / 4, 32); i-- > 0;) {
      const char digit[] = {"0123456789abcdef"[bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15], '.'};
      append({digit, 2});
    }
    append("ip6.arpa");
  }
  return name_of({text, size});
}

bool LocalZone::add_fixed(Owner owner, const Name& name, const wire::IpAddress& address) {
  const auto it = fixed_.try_emplace(std::string(name.lower().key()), Entry{owner, {}}).first;
  if (it->second.owner != owner) return false;
  auto& addresses = it->second.addresses;
  if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
  if (domain_.is_root() || !name.is_under(domain_)) return true;
  for (Name up = name.lower().parent(); up.is_under(domain_); up = up.parent()) non_terminals_.emplace(up.key());
  return true;
}

void LocalZone::add_name(Owner owner, std::string_view text, const wire::IpAddress& address, bool with_ptr) {
  const auto name = Name::from_text(text);
  if (!name || name->is_root()) return;
  bool owned = add_fixed(owner, *name, address);
  Name full = *name;
  if (name->n_labels() == 1 && !domain_.is_root() && owner != Owner::kLocalhost) {
    if (const auto joined = Name::join(*name, domain_)) {
      owned = add_fixed(owner, *joined, address);
      full = *joined;
    }
  }
  if (with_ptr && owned) fixed_ptr_.try_emplace(address, full);
}

void LocalZone::reconfigure(const LocalZoneConfig& config) {
  config_ = config;
  domain_ = name_of(config.domain).lower();
  fixed_.clear();
  fixed_ptr_.clear();
  non_terminals_.clear();
  reverse_.clear();
  // In the order of precedence: what comes first keeps the name.
  for (const auto& r : config.reservations) add_name(Owner::kReservation, dhcp_label(r.name), r.address, true);
  for (const auto& host : config.hosts) {
    for (size_t i = 0; i < host.names.size(); ++i) add_name(Owner::kHost, host.names[i], host.address, i == 0);
  }
  for (const auto& subnet : config.subnets) {
    if (!config.gateway_name.empty()) add_name(Owner::kGateway, config.gateway_name, subnet.address, true);
    if (subnet.local_ptr) reverse_.push_back({reverse_name(subnet.address, subnet.prefix), subnet});
  }
  // RFC 6761 §6.3: never asked upstream.
  wire::Ipv6Address loopback6;
  loopback6.bytes[15] = 1;
  add_name(Owner::kLocalhost, "localhost", wire::Ipv4Address(127, 0, 0, 1), true);
  add_name(Owner::kLocalhost, "localhost", loopback6, true);
}

bool LocalZone::set_lease(std::string_view name, const wire::IpAddress& address) {
  remove_lease(address);
  std::string label = dhcp_label(name);
  if (label.empty()) return false;
  const Name as_name = name_of(label);
  Lease& lease = leases_[std::string(as_name.key())];
  auto& held = address.is_v4() ? lease.v4 : lease.v6;
  if (held) lease_names_.erase(*held);  // the last one wins
  held = address;
  lease_names_.insert_or_assign(address, label);
  return !lease_hidden(label);
}

void LocalZone::remove_lease(const wire::IpAddress& address) {
  const auto it = lease_names_.find(address);
  if (it == lease_names_.end()) return;
  const Name as_name = name_of(it->second);
  lease_names_.erase(it);
  const auto lease = leases_.find(as_name.key());
  if (lease == leases_.end()) return;
  (address.is_v4() ? lease->second.v4 : lease->second.v6).reset();
  if (!lease->second.v4 && !lease->second.v6) leases_.erase(lease);
}

bool LocalZone::lease_hidden(std::string_view label) const noexcept {
  const Name plain = name_of(label);
  if (fixed_.contains(plain.key())) return true;
  const auto full = Name::join(plain, domain_);
  return full && fixed_.contains(full->key());
}

LocalZone::Found LocalZone::find(const Name& lower) const noexcept {
  if (const auto it = fixed_.find(lower.key()); it != fixed_.end()) return {.fixed = &it->second.addresses};
  if (lower.is_root()) return {};
  const Name rest = lower.parent();
  if (!rest.is_root() && (domain_.is_root() || !(rest == domain_))) return {};
  const auto plain = Name::from_text(lower.first_label());
  if (!plain || plain->n_labels() != 1) return {};
  const auto it = leases_.find(plain->key());
  if (it == leases_.end() || lease_hidden(lower.first_label())) return {};
  return {.lease = &it->second};
}

bool LocalZone::ptr_of(const wire::IpAddress& address, Name& name) const noexcept {
  if (const auto it = fixed_ptr_.find(address); it != fixed_ptr_.end()) {
    name = it->second;
    return true;
  }
  const auto it = lease_names_.find(address);
  if (it == lease_names_.end() || lease_hidden(it->second)) return false;
  const Name plain = name_of(it->second);
  name = Name::join(plain, domain_).value_or(plain);
  return true;
}

size_t LocalZone::negative(const Query& query, uint16_t code, const Name& zone, std::span<uint8_t> out) const noexcept {
  static const Name mailbox_label = name_of("hostmaster");
  Builder builder(out, query.id, response_flags(query.flags, flag::kAuthoritative, code), edns_for(query));
  builder.add_question(query.question);
  const Name mailbox = Name::join(mailbox_label, zone).value_or(zone);
  builder.add_soa(Section::kAuthority, zone, kLocalNegativeTtl, zone, mailbox);
  return builder.finish();
}

size_t LocalZone::answer_reverse(const Query& query, const Name& lower, std::span<uint8_t> out) const noexcept {
  const uint16_t asked = query.question.type;
  const auto address = address_of_reverse_name(lower);
  Name target;
  if (address && ptr_of(*address, target)) {
    if (asked != type::kPtr && asked != type::kAny) return negative(query, rcode::kNoError, lower, out);
    Builder builder(out, query.id, response_flags(query.flags, flag::kAuthoritative, rcode::kNoError), edns_for(query));
    builder.add_question(query.question);
    builder.add_name(Section::kAnswer, query.question.name, type::kPtr, kLocalTtl, target);
    return builder.finish();
  }
  for (const auto& [zone, subnet] : reverse_) {
    if (address) {
      if (contains(subnet, *address)) return negative(query, rcode::kNxDomain, zone, out);
      continue;
    }
    // Not an address. The zone of a subnet that ends inside a label holds others' addresses too.
    if (subnet.prefix % (subnet.address.is_v4() ? 8 : 4) != 0 || !lower.is_under(zone)) continue;
    const bool above_addresses = lower.n_labels() < (subnet.address.is_v4() ? 6u : 34u);  // RFC 8020: it exists
    return negative(query, above_addresses ? rcode::kNoError : rcode::kNxDomain, zone, out);
  }
  return 0;
}

size_t LocalZone::answer(const Query& query, std::span<uint8_t> out) const noexcept {
  const uint16_t asked = query.question.type;
  if (query.question.klass != klass::kIn) return write_empty(query, rcode::kRefused, 0, out);
  if (asked == type::kOpt) return write_empty(query, rcode::kFormErr, 0, out);
  if (asked >= type::kTkey && asked <= type::kMaila) return write_empty(query, rcode::kRefused, 0, out);

  const Name lower = query.question.name.lower();
  if (const Found found = find(lower)) {
    Builder builder(out, query.id, response_flags(query.flags, flag::kAuthoritative, rcode::kNoError), edns_for(query));
    builder.add_question(query.question);
    bool any = false;
    const auto add = [&](const wire::IpAddress& address) {
      if (asked != type::kAny && asked != (address.is_v4() ? type::kA : type::kAaaa)) return;
      any = true;
      builder.add_address(Section::kAnswer, query.question.name, kLocalTtl, address);
    };
    if (found.fixed != nullptr) std::for_each(found.fixed->begin(), found.fixed->end(), add);
    if (found.lease != nullptr && found.lease->v4) add(*found.lease->v4);
    if (found.lease != nullptr && found.lease->v6) add(*found.lease->v6);
    if (any) return builder.finish();
    const bool in_domain = !domain_.is_root() && lower.is_under(domain_);
    return negative(query, rcode::kNoError, in_domain ? domain_ : lower, out);
  }
  static const Name arpa = name_of("arpa");
  if (lower.is_under(arpa)) {
    if (const size_t size = answer_reverse(query, lower, out)) return size;
  }
  if (config_.local_only && !domain_.is_root() && lower.is_under(domain_)) {
    const bool exists = lower == domain_ || non_terminals_.contains(lower.key());
    return negative(query, exists ? rcode::kNoError : rcode::kNxDomain, domain_, out);
  }
  if (!config_.forward_plain_names && lower.n_labels() == 1) return negative(query, rcode::kNxDomain, Name{}, out);
  if (config_.isolated) return write_empty(query, rcode::kRefused, 0, out);
  return 0;
}

}  // namespace weft::dns
