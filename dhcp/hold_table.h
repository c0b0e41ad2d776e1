// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses kept back for a fixed time: those offered to a client, and those declined. Bounded: the oldest gives way.
// Part of the server (control thread).
#pragma once

#include "dhcp/lease.h"
#include "dhcp/lease_table.h"

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

namespace weft::dhcp {

struct Hold {
  wire::Ipv4Address address;
  wire::MacAddress mac;
  std::string key;  // of the client it is held for; empty: for nobody
  PortId port = kNoPort;
  TimePoint until;
};

class HoldTable {
 public:
  HoldTable(uint32_t capacity, uint32_t seconds, uint64_t seed)
      : capacity_(capacity), seconds_(seconds), by_key_(0, SeededHash{seed}) {}

  [[nodiscard]] const Hold* find(wire::Ipv4Address address) const {
    const auto it = by_address_.find(address);
    return it == by_address_.end() ? nullptr : &*it->second;
  }
  [[nodiscard]] const Hold* find(const std::string& key) const {
    const auto it = by_key_.find(key);
    return it == by_key_.end() ? nullptr : &*it->second;
  }

  /// Holds an address that is not held, for a client that has no other. Make room first.
  void add(Hold hold, TimePoint now) {
    hold.until = now + std::chrono::seconds(seconds_);
    const auto it = order_.insert(order_.end(), std::move(hold));
    by_address_.emplace(it->address, it);
    if (!it->key.empty()) by_key_.emplace(it->key, it);
  }
  std::optional<Hold> erase(wire::Ipv4Address address) {
    const auto it = by_address_.find(address);
    if (it == by_address_.end()) return std::nullopt;
    const auto position = it->second;
    by_address_.erase(it);
    if (!position->key.empty()) by_key_.erase(position->key);
    std::optional<Hold> hold(std::move(*position));
    order_.erase(position);
    return hold;
  }

  [[nodiscard]] bool full() const noexcept { return order_.size() >= capacity_; }
  /// The oldest, or nullptr.
  [[nodiscard]] const Hold* oldest() const { return order_.empty() ? nullptr : &order_.front(); }
  /// The oldest, when its time is over. (Also when it ends later than one begun now: the clock was set back.)
  [[nodiscard]] const Hold* lapsed(TimePoint now) const {
    if (order_.empty()) return nullptr;
    const TimePoint until = order_.front().until;
    return until <= now || until > now + std::chrono::seconds(seconds_) ? &order_.front() : nullptr;
  }
  /// Nobody's from now on: the port is gone.
  void forget_port(PortId port) {
    for (Hold& hold : order_)
      if (hold.port == port) hold.port = kNoPort;
  }
  [[nodiscard]] const std::list<Hold>& all() const noexcept { return order_; }

 private:
  uint32_t capacity_;
  uint32_t seconds_;
  std::list<Hold> order_;  // begun first is first, so it ends first
  std::unordered_map<wire::Ipv4Address, std::list<Hold>::iterator> by_address_;
  std::unordered_map<std::string, std::list<Hold>::iterator, SeededHash> by_key_;
};

}  // namespace weft::dhcp
