// SPDX-License-Identifier: BSD-3-Clause
//
// Which dynamic addresses are free. Part of the server (control thread).
//
// Theory of operation. Each range has a bitmap, one bit an address, 1 = free, and above it a bitmap of its words, one
// bit a word that is not zero, and so on until one word is left. "The first free address from here on" then reads two
// words a level: at most six for 65 536 addresses, however full they are.
#pragma once

#include "dataplane/wire/addr.h"
#include "dhcp/scope.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace weft::dhcp {

/// A set of indices 0 … size-1 with a quick "next member".
class FreeMap {
 public:
  explicit FreeMap(uint32_t size);
  void set(uint32_t index, bool is_free) noexcept;
  [[nodiscard]] bool test(uint32_t index) const noexcept { return (levels_[0][index / 64] >> (index % 64) & 1) != 0; }
  /// The first member ≥ index.
  [[nodiscard]] std::optional<uint32_t> next(uint32_t index) const noexcept;

 private:
  std::vector<std::vector<uint64_t>> levels_;  // [0] holds the members
};

/// The ranges of a scope, clipped to its subnet's host addresses.
class AddressPool {
 public:
  explicit AddressPool(const Scope& scope);

  /// The range an address belongs to (the first, should ranges overlap), or nullptr.
  [[nodiscard]] const Range* range_of(wire::Ipv4Address address) const noexcept;

  /// Never makes free what is never given unasked: the server, and x.x.x.0 and x.x.x.255 within larger subnets, which
  /// some hosts and firewalls still take for a network's own.
  void set_free(wire::Ipv4Address address, bool is_free) noexcept;

  /// The first free address of range `index` from `start` on, wrapping around; `start` is inside the range.
  [[nodiscard]] std::optional<wire::Ipv4Address> next_free(size_t index, wire::Ipv4Address start) const noexcept;

  [[nodiscard]] const std::vector<Range>& ranges() const noexcept { return ranges_; }
  /// Addresses that can ever be given, each counted once.
  [[nodiscard]] uint32_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] bool excluded(uint32_t address) const noexcept;

  uint32_t server_;
  bool skip_class_c_edges_;
  std::vector<Range> ranges_;
  std::vector<FreeMap> maps_;  // one a range
  uint32_t size_ = 0;
};

}  // namespace weft::dhcp
