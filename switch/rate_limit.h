// SPDX-License-Identifier: BSD-3-Clause
//
// Rate limits: how many packets a second of some kind may pass (a port's broadcasts, ICMP errors, packets for
// the switch itself). Each belongs to one worker, or to the control thread.
#pragma once

#include "dataplane/wire/addr.h"
#include "switch/keyed_hash.h"

#include <array>
#include <cstdint>

namespace weft::vswitch {

/// A rate, for any number of buckets that share it. A bucket is one number, the time at which it will be full
/// again (the generic cell rate algorithm, ITU-T I.371 annex A): a packet takes `interval` of time, and
/// passes when the bucket then still is less than `burst` packets from full. Zero is a full bucket. Time is
/// nanoseconds of any monotonic clock; one that goes back gives nothing away.
class Rate {
 public:
  static constexpr uint64_t kUnlimited = 0;

  /// Passes everything.
  constexpr Rate() noexcept = default;
  /// `per_second` packets in the long run (kUnlimited, or 1 … 10^9), up to `burst` (at least 1) of them at
  /// once.
  constexpr Rate(uint64_t per_second, uint32_t burst) noexcept
      : interval_ns_(per_second == kUnlimited ? 0 : kSecond / (per_second < kSecond ? per_second : kSecond)),
        burst_ns_(interval_ns_ * (burst == 0 ? 1 : burst)) {}

  /// Takes up to `n` tokens from the bucket and returns how many.
  constexpr uint32_t take(uint64_t& full_at_ns, uint64_t now_ns, uint32_t n) const noexcept {
    if (interval_ns_ == 0) return n;
    const uint64_t from_ns = full_at_ns < now_ns ? now_ns : full_at_ns;
    const uint64_t used_ns = from_ns - now_ns;
    const uint64_t tokens = used_ns >= burst_ns_ ? 0 : (burst_ns_ - used_ns) / interval_ns_;
    const uint32_t granted = tokens < n ? static_cast<uint32_t>(tokens) : n;
    full_at_ns = from_ns + granted * interval_ns_;
    return granted;
  }

  /// Takes one token; false when there is none.
  constexpr bool take(uint64_t& full_at_ns, uint64_t now_ns) const noexcept {
    if (!has_token(full_at_ns, now_ns)) return false;
    full_at_ns = (full_at_ns < now_ns ? now_ns : full_at_ns) + interval_ns_;
    return true;
  }

  [[nodiscard]] constexpr bool has_token(uint64_t full_at_ns, uint64_t now_ns) const noexcept {
    const uint64_t used_ns = full_at_ns > now_ns ? full_at_ns - now_ns : 0;
    return used_ns + interval_ns_ <= burst_ns_;
  }

 private:
  static constexpr uint64_t kSecond = 1'000'000'000;
  uint64_t interval_ns_ = 0;
  uint64_t burst_ns_ = 0;
};

/// A rate with a bucket of its own, full at first.
class TokenBucket {
 public:
  /// Passes everything.
  constexpr TokenBucket() noexcept = default;
  /// As Rate's.
  constexpr TokenBucket(uint64_t per_second, uint32_t burst) noexcept : rate_(per_second, burst) {}

  /// Takes one packet's token; false when there is none, and then nothing is taken.
  constexpr bool take(uint64_t now_ns) noexcept { return rate_.take(full_at_ns_, now_ns); }
  /// Takes up to `n` tokens and returns how many: for a burst of packets at once.
  constexpr uint32_t take(uint64_t now_ns, uint32_t n) noexcept { return rate_.take(full_at_ns_, now_ns, n); }

 private:
  Rate rate_;
  uint64_t full_at_ns_ = 0;
};

/// Limits the ICMP errors the router makes (RFC 1812 §4.3.2.8): in all, so that a scan through the switch
/// does not make it a source of traffic, and for each destination, so that one of them cannot use up what is
/// meant for all. Destinations share `kBuckets` buckets by a keyed hash.
class IcmpErrorLimit {
 public:
  static constexpr size_t kBuckets = 1024;
  struct Options {
    uint32_t per_second = 1000, burst = 50;            // in all
    uint32_t per_second_to_one = 1, burst_to_one = 6;  // to one destination
    uint64_t seed = 0;
  };

  explicit IcmpErrorLimit(const Options& options) noexcept
      : all_(options.per_second, options.burst),
        rate_to_one_(options.per_second_to_one, options.burst_to_one),
        hash_(options.seed) {}

  /// Whether an error may go to `destination` (the sender of the offending packet) now.
  bool take(wire::Ipv4Address destination, uint64_t now_ns) noexcept {
    uint64_t& to_one = full_at_ns_[bucket_of(destination)];
    return rate_to_one_.has_token(to_one, now_ns) && all_.take(now_ns) && rate_to_one_.take(to_one, now_ns);
  }

 private:
  [[nodiscard]] size_t bucket_of(wire::Ipv4Address destination) const noexcept {
    return hash_(destination.value.raw()) % kBuckets;
  }

  TokenBucket all_;
  Rate rate_to_one_;
  KeyedHash hash_;
  std::array<uint64_t, kBuckets> full_at_ns_{};
};

}  // namespace weft::vswitch
