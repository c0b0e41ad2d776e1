// SPDX-License-Identifier: BSD-3-Clause
//
// What one network knows by itself: the gateway, the configured hosts, DHCP reservations and leased names,
// forward and reverse; and which other names never leave the network. Built from a LocalZoneConfig, changed
// lease by lease. Control thread only; answer() neither allocates nor throws, so it can move to a worker's
// copy.
//
// Whose name it is, highest first: reservation (also without a lease) > dns.hosts > the gateway > localhost >
// a client's own name. A name belongs wholly to its highest owner, so a guest cannot add an address to a
// configured name, and a client whose `n` or `n.domain` is configured is not published at all. Two clients
// with one name: the last one wins, in each address family.
#pragma once

#include "dataplane/wire/addr.h"
#include "dns/message.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace weft::dns {

/// Seconds. Positive local answers are 0, as libvirt's are: a lease may move any moment. Negative ones carry
/// a SOA with a few seconds, so that a resolver in the guest does not ask again for every packet.
inline constexpr uint32_t kLocalTtl = 0;
inline constexpr uint32_t kLocalNegativeTtl = 5;

struct LocalZoneConfig {
  /// One of the network's `ips`: the gateway's address, the subnet's prefix length, and localPtr.
  struct Subnet {
    wire::IpAddress address;
    uint8_t prefix = 0;
    bool local_ptr = false;  // addresses of this subnet are never asked upstream
  };
  /// dns.hosts: names as written. One without a dot is also known under the domain; the first gives the PTR.
  struct Host {
    wire::IpAddress address;
    std::vector<std::string> names;
  };
  /// A DHCP reservation with name and address. Only the first label counts; it is known as `n` and
  /// `n.domain`.
  struct Reservation {
    std::string name;
    wire::IpAddress address;
  };

  std::string domain;                    // "" = none
  bool local_only = false;               // unknown names under the domain: NXDOMAIN
  bool forward_plain_names = true;       // no: unknown names without a dot: NXDOMAIN
  bool isolated = false;                 // no upstream: what is not local is REFUSED
  std::string gateway_name = "gateway";  // A/AAAA/PTR of every subnet's address; "" = not published
  std::vector<Subnet> subnets;
  std::vector<Host> hosts;
  std::vector<Reservation> reservations;
};

class LocalZone {
 public:
  /// Names that are no domain names are left out (the configuration has refused them before).
  explicit LocalZone(const LocalZoneConfig& config) { reconfigure(config); }

  /// Replaces everything configured; leased names stay and are judged anew.
  void reconfigure(const LocalZoneConfig& config);

  /// `name` as the client or the reservation gave it: a domain part is cut off; allowed are letters, digits,
  /// '-' and
  /// '_', the first a letter or digit. Replaces the address's former name; another address of the same
  /// family that had the name loses it. False: the name is empty or not allowed, and the address has none
  /// now; or it is configured for something else, and stays hidden while it is.
  bool set_lease(std::string_view name, const wire::IpAddress& address);
  /// The lease has ended. Nothing happens for an unknown address.
  void remove_lease(const wire::IpAddress& address);
  [[nodiscard]] size_t n_leases() const noexcept { return lease_names_.size(); }

  /// Writes the response into `out` (whose size is the client's limit, ≥ 512) and returns its size, or 0: ask
  /// upstream.
  [[nodiscard]] size_t answer(const Query& query, std::span<uint8_t> out) const noexcept;

 private:
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
  };
  template <class V>
  using NameMap = std::unordered_map<std::string, V, KeyHash, std::equal_to<>>;  // key: Name::key() of a lower() name
  enum class Owner : uint8_t { kReservation, kHost, kGateway, kLocalhost };
  struct Entry {
    Owner owner;
    std::vector<wire::IpAddress> addresses;
  };
  struct Lease {
    std::optional<wire::IpAddress> v4, v6;
  };
  struct ReverseZone {
    Name zone;
    LocalZoneConfig::Subnet subnet;
  };
  struct Found {
    const std::vector<wire::IpAddress>* fixed = nullptr;
    const Lease* lease = nullptr;
    explicit operator bool() const noexcept { return fixed != nullptr || lease != nullptr; }
  };

  void add_name(Owner owner, std::string_view text, const wire::IpAddress& address, bool with_ptr);
  bool add_fixed(Owner owner, const Name& name, const wire::IpAddress& address);
  [[nodiscard]] Found find(const Name& lower) const noexcept;
  [[nodiscard]] bool lease_hidden(std::string_view label) const noexcept;
  [[nodiscard]] bool ptr_of(const wire::IpAddress& address, Name& name) const noexcept;
  [[nodiscard]] size_t answer_reverse(const Query& query, const Name& lower, std::span<uint8_t> out) const noexcept;
  [[nodiscard]] size_t negative(const Query& query, uint16_t rcode, const Name& zone,
                                std::span<uint8_t> out) const noexcept;

  LocalZoneConfig config_;
  Name domain_;  // lower case; the root: none
  NameMap<Entry> fixed_;
  std::unordered_set<std::string, KeyHash, std::equal_to<>> non_terminals_;  // under the domain, above a fixed name
  std::unordered_map<wire::IpAddress, Name> fixed_ptr_;
  std::vector<ReverseZone> reverse_;  // of the subnets with local_ptr
  NameMap<Lease> leases_;             // key: the lower-case label
  std::unordered_map<wire::IpAddress, std::string> lease_names_;
};

/// The address a reverse name stands for (RFC 1035 §3.5, RFC 3596 §2.5); nullopt unless it is a complete one.
std::optional<wire::IpAddress> address_of_reverse_name(const Name& name) noexcept;
/// "1.122.168.192.in-addr.arpa" or the ip6.arpa form; with `prefix`, only as many whole labels as it covers.
Name reverse_name(const wire::IpAddress& address, unsigned prefix = 128) noexcept;

}  // namespace weft::dns
