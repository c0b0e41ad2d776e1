// SPDX-License-Identifier: BSD-3-Clause
#include "switch/neighbours.h"

#include <algorithm>
#include <cassert>

namespace weft::vswitch {

namespace {

using dataplane::Drop;
using wire::Ipv4Address;
using wire::MacAddress;

constexpr uint32_t kGiveWaySteps = 64;  // entries looked at for one that gives way
constexpr uint32_t kHeldSteps = 32;     // neighbours looked at for one that has many packets waiting

bool is_asked(NeighbourState state) noexcept {
  return state == NeighbourState::incomplete || state == NeighbourState::probe;
}

}  // namespace

// --- resolving -----------------------------------------------------------------------------------

Neighbours::Resolution Neighbours::resolve_slowly(uint32_t index, InterfaceId interface, Ipv4Address address,
                                                  dataplane::PortId origin, uint64_t now_ns,
                                                  NeighbourSink& sink) noexcept {
  const NeighbourState state = index == kNone ? NeighbourState::none : entries_[index].state();
  const MacAddress mac = index == kNone ? MacAddress{} : entries_[index].mac();
  switch (state) {
    case NeighbourState::incomplete:
      return {Verdict::wait, {}};
    case NeighbourState::probe:
      return {Verdict::known, mac};
    case NeighbourState::reachable:  // no longer
    case NeighbourState::stale:
      begin_asking(index, NeighbourState::probe, mac, now_ns, sink);
      return {Verdict::known, mac, true, mac};
    case NeighbourState::failed:
      if (now_ns < entries_[index].due_ns) return {Verdict::failed, {}};
      break;
    case NeighbourState::none:
      break;
  }
  if (!may_ask_new(origin, now_ns)) return {Verdict::refused, {}};
  if (index == kNone) index = make(interface, address, now_ns, sink);
  if (index == kNone) return {Verdict::refused, {}};
  begin_asking(index, NeighbourState::incomplete, {}, now_ns, sink);
  return {Verdict::wait, {}, true, MacAddress::broadcast()};
}

bool Neighbours::may_ask_new(dataplane::PortId origin, uint64_t now_ns) noexcept {
  return origin >= dataplane::kMaxPorts || new_rate_.take(origins_[origin], now_ns);
}

/// The first request goes out now; tick() sends the others.
void Neighbours::begin_asking(uint32_t index, NeighbourState state, const MacAddress& mac, uint64_t now_ns,
                              NeighbourSink& sink) noexcept {
  if (state == NeighbourState::incomplete) {
    const PerInterface& of = interfaces_[interface_of(entries_[index].identity.load(std::memory_order_relaxed))];
    if (of.n_incomplete >= options_.incomplete_per_interface)
      destroy(of.incomplete.first, Drop::resolve_queue_full, sink);
  }
  Entry& e = entries_[index];
  settle(index, state, mac);
  e.tries = 1;
  e.due_ns = now_ns + kRetry;
  append(asking_, &Entry::timer, index);
}

/// Leaves whatever list the entry is in, and enters the state; the timer is the caller's to set.
void Neighbours::settle(uint32_t index, NeighbourState state, const MacAddress& mac) noexcept {
  Entry& e = entries_[index];
  PerInterface& of = interfaces_[interface_of(e.identity.load(std::memory_order_relaxed))];
  const NeighbourState old = e.state();
  if (is_asked(old)) remove(asking_, &Entry::timer, index);
  if (old == NeighbourState::failed) remove(failed_, &Entry::timer, index);
  if (old == NeighbourState::incomplete) {
    remove(of.incomplete, &Entry::incomplete, index);
    --of.n_incomplete;
  }
  if (state == NeighbourState::incomplete) {
    append(of.incomplete, &Entry::incomplete, index);
    ++of.n_incomplete;
  }
  e.mac_state.store(mac.to_u64() | uint64_t{static_cast<uint8_t>(state)} << 48, std::memory_order_release);
}

// --- learning ------------------------------------------------------------------------------------

void Neighbours::learned(InterfaceId interface, Ipv4Address address, const MacAddress& mac, Evidence evidence,
                         uint64_t now_ns, NeighbourSink& sink) noexcept {
  if (mac.is_multicast() || mac.is_zero()) return;
  uint32_t index = find(interface, address);
  if (index == kNone) {
    if (evidence == Evidence::gossip) return;
    index = make(interface, address, now_ns, sink);
    if (index == kNone) return;
  }
  Entry& e = entries_[index];
  e.used_tick = tick_of(now_ns);
  const NeighbourState state = e.state();
  const bool has_mac =
      state == NeighbourState::reachable || state == NeighbourState::stale || state == NeighbourState::probe;
  if (evidence == Evidence::answer) {
    e.confirmed_ns.store(now_ns, std::memory_order_relaxed);
    settle(index, NeighbourState::reachable, mac);
  } else if (!has_mac || e.mac() != mac) {
    settle(index, NeighbourState::stale, mac);  // RFC 4861 §7.2.3: to be confirmed when it is used
  }
  while (e.n_held != 0) sink.release(take_oldest_held(e), interface, mac);
}

void Neighbours::confirm(InterfaceId interface, Ipv4Address address, const MacAddress& mac, uint64_t now_ns) noexcept {
  const uint32_t index = find(interface, address);
  if (index == kNone) return;
  Entry& e = entries_[index];
  const NeighbourState state = e.state();
  if ((state != NeighbourState::reachable && state != NeighbourState::stale && state != NeighbourState::probe) ||
      e.mac() != mac)
    return;
  e.used_tick = tick_of(now_ns);
  if (state == NeighbourState::reachable && now_ns - e.confirmed() < options_.reachable_ns / 4) return;
  e.confirmed_ns.store(now_ns, std::memory_order_relaxed);
  if (state != NeighbourState::reachable) settle(index, NeighbourState::reachable, mac);
}

// --- time ----------------------------------------------------------------------------------------

void Neighbours::tick(uint64_t now_ns, NeighbourSink& sink, uint32_t budget) noexcept {
  for (uint32_t n = 0; n < budget && asking_.first != kNone && entries_[asking_.first].due_ns <= now_ns; ++n)
    ask_again_or_give_up(asking_.first, now_ns, sink);
  for (uint32_t n = 0; n < budget && failed_.first != kNone && entries_[failed_.first].due_ns <= now_ns; ++n)
    destroy(failed_.first, Drop::resolve_failed, sink);
  forget_unused(now_ns, budget, sink);
}

void Neighbours::ask_again_or_give_up(uint32_t index, uint64_t now_ns, NeighbourSink& sink) noexcept {
  Entry& e = entries_[index];
  const uint64_t identity = e.identity.load(std::memory_order_relaxed);
  const bool is_probe = e.state() == NeighbourState::probe;
  if (e.tries < kTries) {
    ++e.tries;
    e.due_ns = now_ns + kRetry;
    remove(asking_, &Entry::timer, index);
    append(asking_, &Entry::timer, index);
    sink.send_request({interface_of(identity), address_of(identity), is_probe ? e.mac() : MacAddress::broadcast()});
    return;
  }
  if (is_probe) {
    destroy(index, Drop::resolve_failed, sink);
    return;
  }
  settle(index, NeighbourState::failed, {});
  e.due_ns = now_ns + options_.failed_ns;
  append(failed_, &Entry::timer, index);
  drop_all_held(e, interface_of(identity), Drop::resolve_failed, sink);
}

void Neighbours::forget_unused(uint64_t now_ns, uint32_t budget, NeighbourSink& sink) noexcept {
  const uint32_t n_made = n_made_.load(std::memory_order_relaxed);
  for (uint32_t n = 0; n < std::min(budget, n_made); ++n) {
    unused_hand_ = unused_hand_ >= n_made ? 1 : unused_hand_ + 1;
    const Entry& e = entries_[unused_hand_];
    const NeighbourState state = e.state();
    if (e.identity.load(std::memory_order_relaxed) == 0 || is_asked(state) || state == NeighbourState::failed) continue;
    const uint32_t idle = tick_of(now_ns) - e.used_tick;
    if (idle > tick_of(options_.unused_ns) && idle < uint32_t{1} << 31)
      destroy(unused_hand_, Drop::resolve_failed, sink);
  }
}

// --- entries -------------------------------------------------------------------------------------

/// A new entry in no state. kNone when nobody gives way.
uint32_t Neighbours::make(InterfaceId interface, Ipv4Address address, uint64_t now_ns, NeighbourSink& sink) noexcept {
  PerInterface& of = interfaces_[interface];
  const bool is_own_only = of.n_entries >= options_.entries_per_interface;
  const bool is_full = n_entries_.load(std::memory_order_relaxed) == options_.entries;
  if ((is_own_only || is_full) && !give_way(interface, is_own_only, now_ns, sink)) return kNone;

  uint32_t index = free_;
  if (index != kNone) {
    free_ = entries_[index].timer.next;
  } else {
    index = n_made_.load(std::memory_order_relaxed) + 1;
    n_made_.store(index, std::memory_order_release);
  }
  Entry& e = entries_[index];
  const uint64_t identity = identity_of(interface, address);
  e.mac_state.store(0, std::memory_order_release);
  e.confirmed_ns.store(0, std::memory_order_relaxed);
  e.used_tick = tick_of(now_ns);
  e.timer = e.incomplete = {};
  e.held_first = e.held_last = 0;
  e.n_held = e.tries = 0;
  uint32_t& bucket = buckets_[bucket_of(identity)];
  e.hash_next = bucket;
  bucket = index;
  e.identity.store(identity, std::memory_order_release);
  ++of.n_entries;
  n_entries_.store(n_entries_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return index;
}

/// Makes room for one: what did not answer, else the least recently used of some. Those being asked for stay,
/// they are bounded by themselves and soon decided.
bool Neighbours::give_way(InterfaceId interface, bool own_only, uint64_t now_ns, NeighbourSink& sink) noexcept {
  if (!own_only && failed_.first != kNone) {
    destroy(failed_.first, Drop::resolve_failed, sink);
    return true;
  }
  const uint32_t n_made = n_made_.load(std::memory_order_relaxed);
  uint32_t best = kNone;
  uint32_t best_idle = 0;
  for (uint32_t n = 0; n < std::min(kGiveWaySteps, n_made); ++n) {
    hand_ = hand_ >= n_made ? 1 : hand_ + 1;
    const Entry& e = entries_[hand_];
    const uint64_t identity = e.identity.load(std::memory_order_relaxed);
    if (identity == 0 || is_asked(e.state()) || (own_only && interface_of(identity) != interface)) continue;
    const uint32_t idle = tick_of(now_ns) - e.used_tick;
    if (best != kNone && idle <= best_idle) continue;
    best = hand_;
    best_idle = idle;
  }
  if (best == kNone) return false;
  destroy(best, Drop::resolve_failed, sink);
  return true;
}

void Neighbours::destroy(uint32_t index, Drop reason, NeighbourSink& sink) noexcept {
  Entry& e = entries_[index];
  const uint64_t identity = e.identity.load(std::memory_order_relaxed);
  drop_all_held(e, interface_of(identity), reason, sink);
  e.identity.store(0, std::memory_order_release);
  PerInterface& of = interfaces_[interface_of(identity)];
  // As settle(), for which it would need its identity.
  if (is_asked(e.state())) remove(asking_, &Entry::timer, index);
  if (e.state() == NeighbourState::failed) remove(failed_, &Entry::timer, index);
  if (e.state() == NeighbourState::incomplete) {
    remove(of.incomplete, &Entry::incomplete, index);
    --of.n_incomplete;
  }
  e.mac_state.store(0, std::memory_order_release);

  uint32_t* link = &buckets_[bucket_of(identity)];
  while (*link != index) link = &entries_[*link].hash_next;
  *link = e.hash_next;
  e.timer.next = free_;
  free_ = index;
  --of.n_entries;
  n_entries_.store(n_entries_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

void Neighbours::forget(InterfaceId interface, Ipv4Address address, NeighbourSink& sink) noexcept {
  if (const uint32_t index = find(interface, address); index != kNone) destroy(index, Drop::port_removed, sink);
}

void Neighbours::remove_interface(InterfaceId interface, NeighbourSink& sink) noexcept {
  const uint32_t n_made = n_made_.load(std::memory_order_relaxed);
  for (uint32_t i = 1; i <= n_made && interfaces_[interface].n_entries != 0; ++i) {
    const uint64_t identity = entries_[i].identity.load(std::memory_order_relaxed);
    if (identity != 0 && interface_of(identity) == interface) destroy(i, Drop::port_removed, sink);
  }
}

void Neighbours::append(List& list, Links Entry::*links, uint32_t index) noexcept {
  entries_[index].*links = {list.last, kNone};
  if (list.last == kNone)
    list.first = index;
  else
    (entries_[list.last].*links).next = index;
  list.last = index;
}

void Neighbours::remove(List& list, Links Entry::*links, uint32_t index) noexcept {
  const Links at = entries_[index].*links;
  if (at.previous == kNone)
    list.first = at.next;
  else
    (entries_[at.previous].*links).next = at.next;
  if (at.next == kNone)
    list.last = at.previous;
  else
    (entries_[at.next].*links).previous = at.previous;
}

// --- packets that wait ---------------------------------------------------------------------------

void Neighbours::hold(InterfaceId interface, Ipv4Address address, HeldPacket packet, NeighbourSink& sink) noexcept {
  assert(packet != nullptr);
  const uint32_t index = find(interface, address);
  if (index == kNone || entries_[index].state() != NeighbourState::incomplete) {
    sink.drop(packet, interface, Drop::resolve_failed);
    return;
  }
  Entry& e = entries_[index];
  const bool is_full = n_held_.load(std::memory_order_relaxed) == options_.held;
  if (e.n_held == kMaxHeldByOne || (is_full && e.n_held != 0)) {
    sink.drop(take_oldest_held(e), interface, Drop::resolve_queue_full);
  } else if (is_full && !free_a_place(sink)) {
    sink.drop(packet, interface, Drop::resolve_queue_full);
    return;
  }
  keep(e, packet);
}

/// Drops the oldest packet of the neighbour that has most of them waiting, among those that have been asked
/// for longest.
bool Neighbours::free_a_place(NeighbourSink& sink) noexcept {
  uint32_t best = kNone;
  uint32_t index = asking_.first;
  for (uint32_t n = 0; n < kHeldSteps && index != kNone; ++n, index = entries_[index].timer.next) {
    if (entries_[index].n_held > (best == kNone ? 0 : entries_[best].n_held)) best = index;
  }
  if (best == kNone) return false;
  const uint64_t identity = entries_[best].identity.load(std::memory_order_relaxed);
  sink.drop(take_oldest_held(entries_[best]), interface_of(identity), Drop::resolve_queue_full);
  return true;
}

void Neighbours::keep(Entry& e, HeldPacket packet) noexcept {
  uint32_t place = free_held_;
  if (place != kNone)
    free_held_ = held_[place].next;
  else
    place = ++n_held_made_;
  held_[place] = {packet, kNone};
  if (e.n_held == 0)
    e.held_first = static_cast<uint16_t>(place);
  else
    held_[e.held_last].next = place;
  e.held_last = static_cast<uint16_t>(place);
  ++e.n_held;
  n_held_.store(n_held_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

HeldPacket Neighbours::take_oldest_held(Entry& e) noexcept {
  const uint32_t place = e.held_first;
  Held& held = held_[place];
  e.held_first = static_cast<uint16_t>(held.next);
  --e.n_held;
  held.next = free_held_;
  free_held_ = place;
  n_held_.store(n_held_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return held.packet;
}

void Neighbours::drop_all_held(Entry& e, InterfaceId interface, Drop reason, NeighbourSink& sink) noexcept {
  while (e.n_held != 0) sink.drop(take_oldest_held(e), interface, reason);
}

}  // namespace weft::vswitch
