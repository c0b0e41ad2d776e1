// SPDX-License-Identifier: BSD-3-Clause
//
// Leases and the switch's own small state, kept in an SQLite database (WAL, synchronous=FULL): what commit() has
// answered survives kill -9 and power loss. One object, one thread: the store thread (see store_thread.h), and before
// that starts, whoever opens it.
//
// Tables (user_version 1):
//   lease(network, address, mac, client_id, hostname, expiry, serial)   key: network, address
//   state(key, value)                                                   generated MACs, uuids
#pragma once

#include "dhcp/lease.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace weft::dhcp {

class LeaseStore {
 public:
  struct Opened;

  /// Opens or creates the database (mode 0600; its folder must exist), brings an older layout up to date, and checks
  /// its integrity. A damaged one is renamed to `<path>.corrupt-<n>` with its journal, a new one is begun, and the
  /// result's `warning` says so: log it as an error. Fails with one line when the path cannot be used: no permission,
  /// no space, held by another process, or written by a newer version.
  [[nodiscard]] static tl::expected<Opened, std::string> open(const std::filesystem::path& path);

  LeaseStore(LeaseStore&&) noexcept;
  LeaseStore& operator=(LeaseStore&&) noexcept;
  ~LeaseStore();

  /// All leases, by network id.
  [[nodiscard]] tl::expected<std::map<std::string, std::vector<Lease>>, std::string> load();

  /// One transaction and one fsync for all of them, in order; none is kept when it fails (disk full, I/O error: the
  /// text says which). May be called again after a failure.
  [[nodiscard]] tl::expected<void, std::string> commit(std::span<const LeaseChange> changes);

  /// Forgets every lease of a network that was undefined.
  [[nodiscard]] tl::expected<void, std::string> remove_network(std::string_view network);

  /// The switch's own state. put() is durable when it returns.
  [[nodiscard]] tl::expected<std::optional<std::string>, std::string> get(std::string_view key);
  [[nodiscard]] tl::expected<void, std::string> put(std::string_view key, std::string_view value);
  [[nodiscard]] tl::expected<void, std::string> erase(std::string_view key);

 private:
  struct Impl;
  explicit LeaseStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct LeaseStore::Opened {
  LeaseStore store;
  std::string warning;  ///< not empty: something was damaged and has been put aside; leases were lost
};

}  // namespace weft::dhcp
