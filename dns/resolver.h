// SPDX-License-Identifier: BSD-3-Clause
//
// One network's DNS service, as guests and the host see it: reads the query, answers from the local zone,
// else from the cache, else asks upstream. Transports hand it message bytes and get message bytes back.
// Control thread.
#pragma once

#include "dns/cache.h"
#include "dns/local_zone.h"
#include "dns/upstream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>

namespace weft::dns {

/// Who asks, as far as fairness goes: a port's id, a hash of an address. Limits are kept per key.
using ClientKey = uint64_t;

struct ResolverLimits {
  size_t max_pending_per_client = 128;  // queries waiting for upstream; more are answered SERVFAIL
  CacheLimits cache;
};

struct ResolverStats {
  uint64_t queries = 0;
  uint64_t ignored = 0;  // no query at all: too short, or a response
  uint64_t errors = 0;   // FORMERR, NOTIMP, BADVERS
  uint64_t refused = 0;  // class or type we do not serve, isolated network, no server
  uint64_t local = 0;
  uint64_t cached = 0;
  uint64_t forwarded = 0;
  uint64_t failed = 0;      // upstream did not answer in time
  uint64_t overloaded = 0;  // a limit was reached: SERVFAIL
};

class Resolver {
 public:
  /// Called once with the response, or with an empty span when the query is to be ignored. The bytes are
  /// valid until it returns or starts another query. It must not destroy the Resolver.
  using Reply = std::function<void(std::span<const uint8_t> response)>;
  /// Milliseconds of a clock that only moves forward.
  using Clock = std::function<uint64_t()>;

  /// `upstream` may be null (isolated networks): what is not local is then REFUSED.
  Resolver(const LocalZoneConfig& zone, std::unique_ptr<Upstream> upstream, Clock now_ms, ResolverLimits limits = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Handles one message. `reply` is called before this returns when the answer is local, cached or an error;
  /// later when upstream is asked; and never when the Resolver is destroyed first.
  void query(std::span<const uint8_t> message, Transport transport, ClientKey client, Reply reply);

  /// Leases are set and removed here; they take effect at once.
  [[nodiscard]] LocalZone& zone() noexcept { return zone_; }
  /// Replaces the configured part of the zone; leases, cache and queries under way stay.
  void reconfigure(const LocalZoneConfig& zone) { zone_.reconfigure(zone); }
  /// Other servers from now on: the cache is emptied; queries under way are cancelled and answered SERVFAIL.
  void set_upstream(std::unique_ptr<Upstream> upstream);

  [[nodiscard]] const ResolverStats& stats() const noexcept { return stats_; }
  [[nodiscard]] Cache& cache() noexcept { return cache_; }

 private:
  struct Pending;
  void ask_upstream(const Query& query, Transport transport, ClientKey client, Reply reply);
  void finish(uint64_t ticket, const UpstreamResult& result);
  void send(const Query& query, Transport transport, std::span<const uint8_t> canonical, uint32_t age,
            const Reply& reply);
  void send_empty(const Query& query, uint16_t rcode, const Reply& reply);

  ResolverLimits limits_;
  Clock now_ms_;
  LocalZone zone_;
  Cache cache_;
  ResolverStats stats_;
  uint64_t next_ticket_ = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Pending>> pending_;
  std::unordered_map<ClientKey, size_t> pending_of_;
  std::vector<uint8_t> buffer_;         // a response being written
  std::unique_ptr<Upstream> upstream_;  // last: destroyed first, so no completion finds half a Resolver
};

}  // namespace weft::dns
