// SPDX-License-Identifier: BSD-3-Clause
//
// Answers of upstream servers, whole messages by question: positive and negative (RFC 2308), bounded in
// entries and bytes, least recently used out first. One per network, so networks with different servers share
// nothing. The clock is the caller's. Control thread.
#pragma once

#include "dns/upstream.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weft::dns {

struct CacheLimits {
  size_t max_entries = 10000;
  size_t max_bytes = 8u << 20;  // messages, keys and an estimate of the bookkeeping
  size_t max_message = 16384;   // larger answers are not kept
  uint32_t max_ttl_s = 86400;
  uint32_t max_negative_ttl_s = 3600;  // RFC 2308 §5 advises one to three hours
  uint32_t servfail_ttl_s = 1;         // RFC 9520 §3.2: at least a second, so a failing name is not hammered
};

struct CacheStats {
  uint64_t hits = 0, misses = 0, inserted = 0, evicted = 0, expired = 0;
  size_t entries = 0, bytes = 0;
};

/// Seconds a canonical answer may be kept: the least TTL of its records; for NXDOMAIN and NODATA also the
/// SOA's minimum, and nothing without SOA (RFC 2308 §5). 0: not at all (TC, TTL 0, other rcodes, malformed).
uint32_t cache_lifetime(std::span<const uint8_t> canonical, const Question& question,
                        const CacheLimits& limits) noexcept;

class Cache {
 public:
  struct Hit {
    std::span<const uint8_t> message;  // canonical (reply.h); valid until the next insert or clear
    uint32_t age_s = 0;                // to be taken off every TTL
  };

  explicit Cache(CacheLimits limits = {}) : limits_(limits) {}

  std::optional<Hit> find(const UpstreamQuestion& question, uint64_t now_ms);
  /// Keeps `canonical` as long as cache_lifetime allows; replaces what was there.
  void insert(const UpstreamQuestion& question, std::span<const uint8_t> canonical, uint64_t now_ms);
  void clear();
  [[nodiscard]] const CacheStats& stats() const noexcept { return stats_; }

 private:
  struct Entry {
    std::string key;
    std::vector<uint8_t> message;
    uint64_t inserted_ms;
    uint64_t expires_ms;
    [[nodiscard]] size_t cost() const noexcept { return key.size() + message.size() + 160; }
  };
  using Order = std::list<Entry>;  // front: used last
  void erase(Order::iterator entry);

  CacheLimits limits_;
  CacheStats stats_;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> index_;  // keys lie in the entries
};

/// The bytes under which a question is kept and coalesced: lower-case name, type, class, DO and CD.
std::string question_key(const UpstreamQuestion& question);

}  // namespace weft::dns
