// SPDX-License-Identifier: BSD-3-Clause
#include "nat/conntrack.h"

#include <algorithm>

namespace weft::nat {

using dataplane::Drop;
using dataplane::NetworkId;

uint64_t Conntrack::session_hash(uint32_t value) const noexcept {
  const Session& s = sessions_[value / 2];
  return hash(value % 2 == 0 ? s.inside : s.outside, seed_);
}

uint64_t Conntrack::mapping_hash(uint32_t value) const noexcept {
  const Mapping& m = mappings_[value / 2];
  return hash(value % 2 == 0 ? m.inside_key() : m.outside_key(), seed_);
}

void Conntrack::count(NetworkId network, uint32_t change) noexcept {
  n_sessions_.store(n_sessions() + change, std::memory_order_relaxed);
  networks_[network].n_sessions.store(n_sessions(network) + change, std::memory_order_relaxed);
}

// --- sessions
// -----------------------------------------------------------------------------------------------------

Session* Conntrack::find(const FlowKey& key, Tick now) noexcept {
  const uint64_t h = hash(key, seed_);
  // A flushed session and its successor may have a key in common until the sweep: end the dead, go on.
  for (;;) {
    const uint32_t value = session_index_.find(h, [&](uint32_t v) {
      const Session& s = sessions_[v / 2];
      return (v % 2 == 0 ? s.inside : s.outside) == key;
    });
    if (value == HashIndex::kNotFound) return nullptr;
    Session& s = sessions_[value / 2];
    if (!is_expired(s, now) && !is_stale(s)) [[likely]]
      return &s;
    end(s);
  }
}

Session* Conntrack::add(const FlowKey& inside, Mapping& mapping, State state, Tick now) noexcept {
  const FlowKey outside{mapping.outside_address, inside.remote, mapping.outside_port, inside.remote_port,
                        inside.protocol,         Side::outside, mapping.uplink};
  if (find(outside, now) != nullptr) return nullptr;  // cannot be: the outside endpoint is this mapping's alone

  uint32_t id = free_session_;
  if (id == kNone) {
    if (n_sessions_used_ == sessions_.size()) return nullptr;
    id = n_sessions_used_;
  }
  Session& s = sessions_[id];
  const uint32_t next_free = s.mapping;
  wire::ChecksumDelta address, l4;
  address.replace(inside.local, outside.local);
  // ICMP has no pseudo-header (RFC 792): its checksum doesn't see the addresses.
  if (inside.protocol != wire::ipproto::kIcmp) l4 = address;
  l4.replace16(inside.local_port.raw(), outside.local_port.raw());
  s = {inside, outside, address.folded(), l4.folded(), id_of(mapping), 0, 0, 0, now, mapping.epoch, state, 0};

  const auto hash_of = [this](uint32_t v) { return session_hash(v); };
  const uint64_t inside_hash = hash(inside, seed_);
  bool is_in = session_index_.insert(inside_hash, id * 2, hash_of);
  if (is_in && !session_index_.insert(hash(outside, seed_), id * 2 + 1, hash_of)) {
    session_index_.erase(inside_hash, id * 2);
    is_in = false;
  }
  if (!is_in) {
    s.state = State::free;
    s.mapping = next_free;
    return nullptr;
  }
  if (id == free_session_) {
    free_session_ = next_free;
  } else {
    ++n_sessions_used_;
  }
  ++mapping.n_sessions;
  wheel_.schedule(id, due(s), now);
  count(inside.realm, 1);
  return &s;
}

void Conntrack::change_state(Session& s, State state, Tick now) noexcept {
  s.state = state;
  const uint32_t id = id_of(s);
  if (static_cast<int32_t>(wheel_.due(id) - due(s)) > 0) {
    wheel_.cancel(id);
    wheel_.schedule(id, due(s), now);
  }
}

void Conntrack::shorten(Session& s, State state, Tick now) noexcept {
  const Tick longest = now + timeout(state) + 1;
  const Tick end = static_cast<int32_t>(due(s) - longest) < 0 ? due(s) : longest;
  s.last_seen = end - timeout(state) - 1;
  change_state(s, state, now);
}

void Conntrack::end(Session& s) noexcept {
  const uint32_t id = id_of(s);
  session_index_.erase(hash(s.inside, seed_), id * 2);
  session_index_.erase(hash(s.outside, seed_), id * 2 + 1);
  wheel_.cancel(id);
  count(s.inside.realm, -1U);
  Mapping& m = mappings_[s.mapping];
  if (--m.n_sessions == 0) free(m);
  s.state = State::free;
  s.mapping = free_session_;
  free_session_ = id;
}

// --- mappings
// -----------------------------------------------------------------------------------------------------

Mapping* Conntrack::find_mapping(const FlowKey& key) noexcept {
  const uint64_t h = hash(key, seed_);
  const uint32_t value = mapping_index_.find(h, [&](uint32_t v) {
    const Mapping& m = mappings_[v / 2];
    return (v % 2 == 0 ? m.inside_key() : m.outside_key()) == key;
  });
  if (value == HashIndex::kNotFound) return nullptr;
  Mapping& m = mappings_[value / 2];
  if (!is_stale(m)) [[likely]]
    return &m;
  retire(m);
  return nullptr;
}

Drop Conntrack::add_mapping(const FlowKey& inside, UplinkId uplink, wire::Ipv4Address outside_address, PortRange ports,
                            PortRandom& random, Mapping*& mapping) noexcept {
  uint32_t id = free_mapping_;
  if (id == kNone) {
    if (n_mappings_used_ == mappings_.size()) return Drop::nat_table_full;
    id = n_mappings_used_;
  }
  const auto taken = ports_.take(uplink, outside_address, inside.protocol, inside.local_port.host(), ports, random);
  if (!taken) return Drop::nat_no_port;

  Mapping& m = mappings_[id];
  const uint32_t next_free = m.next_free;
  m = {};
  m.inside_address = inside.local;
  m.outside_address = outside_address;
  m.inside_port = inside.local_port;
  m.outside_port = wire::be16(taken->port);
  m.network = inside.realm;
  m.uplink = uplink;
  m.protocol = inside.protocol;
  m.epoch = epoch_of(m.network, uplink);
  m.address_slot = taken->slot;

  const auto hash_of = [this](uint32_t v) { return mapping_hash(v); };
  const uint64_t inside_hash = mapping_hash(id * 2);
  bool is_in = mapping_index_.insert(inside_hash, id * 2, hash_of);
  if (is_in && !mapping_index_.insert(mapping_hash(id * 2 + 1), id * 2 + 1, hash_of)) {
    mapping_index_.erase(inside_hash, id * 2);
    is_in = false;
  }
  if (!is_in) {
    ports_.release(taken->slot, m.protocol, taken->port);
    m.next_free = next_free;
    return Drop::nat_table_full;
  }
  if (id == free_mapping_) {
    free_mapping_ = next_free;
  } else {
    ++n_mappings_used_;
  }
  ++n_mappings_;
  mapping = &m;
  return Drop::none;
}

void Conntrack::drop_unused(Mapping& m) noexcept {
  if (m.n_sessions == 0) free(m);
}

void Conntrack::retire(Mapping& m) noexcept {
  const uint32_t id = id_of(m);
  mapping_index_.erase(mapping_hash(id * 2), id * 2);
  mapping_index_.erase(mapping_hash(id * 2 + 1), id * 2 + 1);
  ports_.release(m.address_slot, m.protocol, m.outside_port.host());
  m.is_retired = true;
}

void Conntrack::free(Mapping& m) noexcept {
  if (!m.is_retired) retire(m);
  m.next_free = free_mapping_;
  free_mapping_ = id_of(m);
  --n_mappings_;
}

// --- housekeeping
// -------------------------------------------------------------------------------------------------

bool Conntrack::tick(Tick now) noexcept {
  bool more = wheel_.advance(now, kExpirePerTick, [&](uint32_t id) {
    Session& s = sessions_[id];
    wheel_.schedule(id, due(s), now);
    if (is_expired(s, now) || is_stale(s)) end(s);
  });
  more |= sweep();
  if (session_index_.is_growing()) {
    session_index_.move(kMovePerTick, [this](uint32_t v) { return session_hash(v); });
    more |= session_index_.is_growing();
  }
  if (mapping_index_.is_growing()) {
    mapping_index_.move(kMovePerTick, [this](uint32_t v) { return mapping_hash(v); });
    more |= mapping_index_.is_growing();
  }
  return more;
}

bool Conntrack::sweep() noexcept {
  if (sweep_at_ == kNone) return false;
  for (uint32_t n_seen = 0, n_ended = 0; sweep_at_ > 0 && n_seen < kSweepPerTick && n_ended < kEndPerSweep; ++n_seen) {
    Session& s = sessions_[--sweep_at_];
    if (s.state == State::free || !is_stale(s)) continue;
    end(s);
    ++n_ended;
  }
  if (sweep_at_ != 0) return true;
  sweep_at_ = kNone;
  return false;
}

void Conntrack::flush_network(NetworkId network) noexcept {
  ++networks_[network].epoch;
  sweep_at_ = n_sessions_used_;
}

void Conntrack::flush_uplink(UplinkId uplink) noexcept {
  ++uplink_epochs_[uplink];
  sweep_at_ = n_sessions_used_;
}

size_t Conntrack::snapshot(uint32_t& cursor, std::span<ConnectionInfo> into, Tick now) const noexcept {
  size_t n = 0;
  for (uint32_t n_seen = 0; n < into.size() && n_seen < kScanPerSnapshot; ++n_seen, ++cursor) {
    if (cursor >= n_sessions_used_) {
      cursor = kNone;
      break;
    }
    const Session& s = sessions_[cursor];
    if (s.state == State::free || is_stale(s) || is_expired(s, now)) continue;
    into[n++] = {s.inside.realm,
                 s.outside.realm,
                 s.inside.protocol,
                 s.state,
                 s.inside.local,
                 s.inside.remote,
                 s.outside.local,
                 s.inside.local_port.host(),
                 s.inside.protocol == wire::ipproto::kIcmp ? uint16_t{0} : s.inside.remote_port.host(),
                 s.outside.local_port.host(),
                 due(s) - now,
                 uint64_t{s.packets_out} + s.packets_in,
                 s.bytes};
  }
  return n;
}

void Conntrack::maintain() noexcept {
  session_index_.reclaim();
  mapping_index_.reclaim();
}

}  // namespace weft::nat
