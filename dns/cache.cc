// SPDX-License-Identifier: BSD-3-Clause
#include "dns/cache.h"

#include <algorithm>

namespace weft::dns {

std::string question_key(const UpstreamQuestion& q) {
  std::string key(q.question.name.lower().key());
  for (const uint16_t v : {q.question.type, q.question.klass}) {
    key += static_cast<char>(v >> 8);
    key += static_cast<char>(v);
  }
  key += static_cast<char>((q.dnssec_ok ? 1 : 0) | (q.checking_disabled ? 2 : 0));
  return key;
}

uint32_t cache_lifetime(std::span<const uint8_t> canonical, const Question& question,
                        const CacheLimits& limits) noexcept {
  Reader reader(canonical);
  const auto header = reader.header();
  if (!header || !reader.question() || (header->flags & flag::kTruncated) != 0) return 0;
  const uint16_t code = header->flags & flag::kRcodeMask;
  if (code == rcode::kServFail) return limits.servfail_ttl_s;
  if (code != rcode::kNoError && code != rcode::kNxDomain) return 0;

  uint32_t least = limits.max_ttl_s;
  bool answers_type = false, has_soa = false;
  for (size_t section = 1; section < 4; ++section) {
    for (size_t i = 0; i < header->counts[section]; ++i) {
      const auto record = reader.record();
      if (!record) return 0;
      least = std::min(least, record->ttl);
      if (section == 1 && (record->type == question.type || question.type == type::kAny)) answers_type = true;
      if (section == 2 && record->type == type::kSoa) has_soa = true;  // its TTL is at most its minimum already
    }
  }
  if (code == rcode::kNoError && answers_type) return least;
  return has_soa ? std::min(least, limits.max_negative_ttl_s) : 0;
}

std::optional<Cache::Hit> Cache::find(const UpstreamQuestion& question, uint64_t now_ms) {
  const std::string key = question_key(question);
  const auto it = index_.find(key);
  if (it == index_.end()) {
    ++stats_.misses;
    return std::nullopt;
  }
  const auto entry = it->second;
  if (now_ms >= entry->expires_ms) {
    ++stats_.expired;
    ++stats_.misses;
    erase(entry);
    return std::nullopt;
  }
  ++stats_.hits;
  order_.splice(order_.begin(), order_, entry);
  return Hit{entry->message, static_cast<uint32_t>((now_ms - entry->inserted_ms) / 1000)};
}

void Cache::insert(const UpstreamQuestion& question, std::span<const uint8_t> canonical, uint64_t now_ms) {
  std::string key = question_key(question);
  if (const auto old = index_.find(key); old != index_.end()) erase(old->second);
  const uint32_t lifetime = cache_lifetime(canonical, question.question, limits_);
  if (lifetime == 0 || canonical.size() > limits_.max_message) return;

  order_.push_front(Entry{.key = std::move(key),
                          .message = {canonical.begin(), canonical.end()},
                          .inserted_ms = now_ms,
                          .expires_ms = now_ms + uint64_t{lifetime} * 1000});
  index_.emplace(order_.front().key, order_.begin());
  ++stats_.inserted;
  ++stats_.entries;
  stats_.bytes += order_.front().cost();
  while (!order_.empty() && (stats_.entries > limits_.max_entries || stats_.bytes > limits_.max_bytes)) {
    ++stats_.evicted;
    erase(std::prev(order_.end()));
  }
}

void Cache::erase(Order::iterator entry) {
  stats_.bytes -= entry->cost();
  --stats_.entries;
  index_.erase(entry->key);
  order_.erase(entry);
}

void Cache::clear() {
  index_.clear();
  order_.clear();
  stats_.entries = stats_.bytes = 0;
}

}  // namespace weft::dns
