// SPDX-License-Identifier: BSD-3-Clause
//
// The leases of one network, found by address, by client, by name and by the order in which they end. Part of the
// server (control thread). Knows no configuration: what may be given to whom is the server's business.
#pragma once

#include "dhcp/lease.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weft::dhcp {

/// A seeded hash for keys that guests choose: who does not know the seed cannot make them collide on purpose.
struct SeededHash {
  uint64_t seed = 0;
  [[nodiscard]] size_t operator()(std::string_view key) const noexcept;
};

/// What a client is known by: its client identifier, else its MAC.
struct Client {
  wire::MacAddress mac;
  std::string_view client_id;  // may be empty
};
[[nodiscard]] std::string client_key(const Client& client);

class LeaseTable {
 public:
  explicit LeaseTable(uint64_t seed);

  [[nodiscard]] const Lease* find(wire::Ipv4Address address) const;
  /// The client's lease: of the same client identifier; else of the same MAC, when one of the two has no identifier
  /// (the boot loader and the system it boots often differ in that). Of several the one put last.
  [[nodiscard]] const Lease* find(const Client& client) const;
  /// Only by what the client is known by.
  [[nodiscard]] const Lease* find_exactly(const Client& client) const;
  /// The lease that claimed a host label last.
  [[nodiscard]] const Lease* find_name(std::string_view label) const;

  /// Puts a lease, replacing the one of its address. `client`'s lease at another address must have been erased.
  /// `claims_name`: the client has just said its name; the last to say it has it.
  void put(Lease lease, bool claims_name);
  /// Erases the lease of an address and returns it.
  std::optional<Lease> erase(wire::Ipv4Address address);

  // --- durability: which lease of an address the store has ---------------------------------------------------------
  /// The lease of `address` has been put, but is not durable yet. `previous`: the durable one it replaced, if any.
  void mark_pending(wire::Ipv4Address address, std::optional<Lease> previous);
  void committed(const LeaseChange& change);
  /// When the current lease of the address is the one put by `change`: forgets the pending state and returns true; then
  /// `durable` is what the store has, if anything.
  [[nodiscard]] bool take_reverted(const LeaseChange& change, std::optional<Lease>& durable);

  /// The lease that ends first, or nullptr when none ever ends.
  [[nodiscard]] const Lease* first_to_expire() const;

  [[nodiscard]] size_t size() const noexcept { return entries_.size(); }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [address, entry] : entries_) visit(entry.lease);
  }
  /// The lease is now known at another port.
  void set_port(wire::Ipv4Address address, PortId port);

 private:
  struct Entry {
    Lease lease;
    bool pending = false;
    std::unique_ptr<Lease> durable;  // while pending: what the store has for this address
  };
  void unlink(const Lease& lease);

  template <class Value>
  using KeyMap = std::unordered_map<std::string, Value, SeededHash>;

  std::unordered_map<wire::Ipv4Address, Entry> entries_;
  KeyMap<wire::Ipv4Address> by_client_;
  KeyMap<std::vector<wire::Ipv4Address>> by_mac_;  // the last put is last
  KeyMap<wire::Ipv4Address> by_name_;              // lower-case label
  std::set<std::pair<int64_t, wire::Ipv4Address>> by_expiry_;
};

}  // namespace weft::dhcp
