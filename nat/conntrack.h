// SPDX-License-Identifier: BSD-3-Clause
//
// The IPv4 connection table: sessions, each found by its inside and its outside key through one index, and
// the mappings they share. It knows about time, memory and identity, nothing about packets: masquerade.h
// does.
//
// Owned by one worker: everything but n_sessions() and maintain() is that worker's. All memory is reserved as
// address space at the start and costs something once it is used: 76 bytes a session and 13…29 of index, 32 a
// mapping and 13…29 of index.
#pragma once

#include "dataplane/drops.h"
#include "dataplane/wire/checksum.h"
#include "nat/hash_index.h"
#include "nat/lazy_array.h"
#include "nat/port_pool.h"
#include "nat/session.h"
#include "nat/timer_wheel.h"

#include <atomic>
#include <cstdint>
#include <span>

namespace weft::nat {

class Conntrack {
 public:
  struct Config {
    uint32_t max_sessions = 1 << 20;  // at most 2^28
    uint32_t max_addresses = 1024;    // outside addresses in use at once, at most 65535
    Timeouts timeouts;
    HashSeed seed{};  // production: from getrandom(); the same for all shards, so that they choose alike
    Shard shard;      // the part of all connections that this table has
  };
  /// Throws std::bad_alloc; std::invalid_argument for sizes outside the above.
  explicit Conntrack(const Config& config);

  // --- sessions
  // -------------------------------------------------------------------------------------------------
  /// The live session of this key, or nullptr. One found expired or flushed is ended on the spot.
  [[nodiscard]] Session* find(const FlowKey& key, Tick now) noexcept;
  /// Makes a session on a mapping of the same endpoints; precondition: find(inside) gave nullptr. Nullptr:
  /// full.
  Session* add(const FlowKey& inside, Mapping& mapping, State state, Tick now) noexcept;
  /// A packet of the session came: it lives on, in this state.
  void refresh(Session& session, State state, Tick now) noexcept {
    if (session.last_seen != now) session.last_seen = now;
    if (session.state != state) change_state(session, state, now);
  }
  /// The session changes to a state with a shorter timeout, and ends no later than it would have.
  void shorten(Session& session, State state, Tick now) noexcept;
  void end(Session& session) noexcept;

  // --- mappings
  // -------------------------------------------------------------------------------------------------
  /// The mapping of this key (Mapping::inside_key, outside_key), or nullptr. It has at least one session, but
  /// that may have expired.
  [[nodiscard]] Mapping* find_mapping(const FlowKey& key) noexcept;
  /// Makes a mapping with a port from the pool; precondition: find_mapping(inside) gave nullptr. A mapping
  /// without sessions must get one, or be given up with drop_unused(), before anything else is done here.
  /// Drops: nat_no_port, nat_table_full.
  dataplane::Drop add_mapping(const FlowKey& inside, UplinkId uplink, wire::Ipv4Address outside_address,
                              PortRange ports, PortRandom& random, Mapping*& mapping) noexcept;
  void drop_unused(Mapping& mapping) noexcept;

  // --- housekeeping
  // ---------------------------------------------------------------------------------------------
  /// A bounded amount of expiry, sweeping and index growth. True: there is more to do.
  bool tick(Tick now) noexcept;
  /// Voids every session and mapping of the network or uplink at once, by epoch; tick() sweeps them out.
  void flush_network(dataplane::NetworkId network) noexcept;
  void flush_uplink(UplinkId uplink) noexcept;
  /// See Masquerade::snapshot.
  size_t snapshot(uint32_t& cursor, std::span<ConnectionInfo> into, Tick now) const noexcept;

  // --- any thread
  // -----------------------------------------------------------------------------------------------
  [[nodiscard]] uint32_t n_sessions() const noexcept { return n_sessions_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint32_t n_sessions(dataplane::NetworkId network) const noexcept {
    return networks_[network].n_sessions.load(std::memory_order_relaxed);
  }
  // --- control
  // --------------------------------------------------------------------------------------------------
  /// Gives back memory that growth left behind.
  void maintain() noexcept;

  // --- worker, for tests and reports
  // ----------------------------------------------------------------------------
  [[nodiscard]] uint32_t n_mappings() const noexcept { return n_mappings_; }
  [[nodiscard]] uint32_t n_addresses() const noexcept { return ports_.n_addresses(); }
  [[nodiscard]] const HashSeed& seed() const noexcept { return seed_; }
  [[nodiscard]] uint16_t timeout(State s) const noexcept { return timeouts_[static_cast<size_t>(s)]; }

 private:
  static constexpr uint32_t kExpirePerTick = 32;
  static constexpr uint32_t kSweepPerTick = 256;  // records looked at
  static constexpr uint32_t kEndPerSweep = 32;
  static constexpr uint32_t kMovePerTick = 16;  // index buckets
  static constexpr uint32_t kScanPerSnapshot = 4096;
  struct Network {
    std::atomic<uint32_t> n_sessions;  // worker: rw, others: ro
    uint16_t epoch;
  };

  [[nodiscard]] uint16_t epoch_of(dataplane::NetworkId network, UplinkId uplink) const noexcept {
    return static_cast<uint16_t>(networks_[network].epoch + uplink_epochs_[uplink]);
  }
  [[nodiscard]] bool is_stale(const Session& s) const noexcept {
    return s.epoch != epoch_of(s.inside.realm, s.outside.realm);
  }
  [[nodiscard]] bool is_stale(const Mapping& m) const noexcept { return m.epoch != epoch_of(m.network, m.uplink); }
  [[nodiscard]] bool is_expired(const Session& s, Tick now) const noexcept {
    return static_cast<int32_t>(now - s.last_seen) > timeout(s.state);
  }
  [[nodiscard]] Tick due(const Session& s) const noexcept { return s.last_seen + timeout(s.state) + 1; }
  [[nodiscard]] uint32_t id_of(const Session& s) const noexcept { return static_cast<uint32_t>(&s - sessions_.data()); }
  [[nodiscard]] uint32_t id_of(const Mapping& m) const noexcept { return static_cast<uint32_t>(&m - mappings_.data()); }
  [[nodiscard]] uint64_t session_hash(uint32_t value) const noexcept;  // of an index value
  [[nodiscard]] uint64_t mapping_hash(uint32_t value) const noexcept;
  void change_state(Session& session, State state, Tick now) noexcept;
  void retire(Mapping& mapping) noexcept;
  void free(Mapping& mapping) noexcept;
  bool sweep() noexcept;
  void count(dataplane::NetworkId network, uint32_t change) noexcept;

  HashSeed seed_;
  std::array<uint16_t, kStates> timeouts_;
  LazyArray<Session> sessions_;
  LazyArray<Mapping> mappings_;
  HashIndex session_index_;  // → id * 2 + side
  HashIndex mapping_index_;
  TimerWheel wheel_;
  PortPool ports_;
  LazyArray<Network> networks_;
  LazyArray<uint16_t> uplink_epochs_;
  uint32_t n_sessions_used_ = 0;  // records ever used; those above have never been touched
  uint32_t n_mappings_used_ = 0;
  uint32_t free_session_ = kNone;
  uint32_t free_mapping_ = kNone;
  uint32_t n_mappings_ = 0;
  uint32_t sweep_at_ = kNone;  // next record to sweep, downwards; kNone: nothing was flushed
  std::atomic<uint32_t> n_sessions_{0};
};

}  // namespace weft::nat
