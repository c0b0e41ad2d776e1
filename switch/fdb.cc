// SPDX-License-Identifier: BSD-3-Clause
#include "switch/fdb.h"

#include <cassert>

namespace weft::vswitch {

namespace {

using dataplane::kMaxPorts;

constexpr uint32_t kSweptByLearn = 2;  // buckets, with each new entry while the table grows
constexpr int kMaxRingSteps = 16;      // of keys whose entries are gone, skipped by one learn

}  // namespace

// --- counting ------------------------------------------------------------------------------------

bool Fdb::reserve(PortId port, uint64_t epoch) noexcept {
  std::atomic<uint64_t>& account = accounts_[port];
  uint64_t a = account.load(std::memory_order_relaxed);
  do {
    if (a >> 32 != epoch) return false;
  } while (!account.compare_exchange_weak(a, a + 1, std::memory_order_relaxed));
  total_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Fdb::release(uint64_t value) noexcept {
  const uint64_t epoch = port_epoch_of(value);
  if (epoch == 0) return;
  std::atomic<uint64_t>& account = accounts_[port_of(value)];
  uint64_t a = account.load(std::memory_order_relaxed);
  do {
    if (a >> 32 != epoch || (a & 0xffffffff) == 0) return;
  } while (!account.compare_exchange_weak(a, a - 1, std::memory_order_relaxed));
  total_.fetch_sub(1, std::memory_order_relaxed);
}

// --- learning ------------------------------------------------------------------------------------

void Fdb::learn_change(uint64_t key, NetworkId network, PortId port, uint32_t now_seconds) noexcept {
  assert((key & 0xffffffffffff) != 0 && (key & 1) == 0);  // first octet sent is the lowest
  if (port >= kMaxPorts) return;
  const size_t mask = mask_.load(std::memory_order_acquire);
  const uint64_t fresh = fresh_value(network, port, now_seconds);
  auto* slot = const_cast<Slot*>(find(key, mask));
  if (slot != nullptr) {
    uint64_t value = slot->value.load(std::memory_order_acquire);
    if (port_of(value) == port && is_counted(value)) {
      const bool is_current = is_valid(value, network, now_seconds);
      if (is_current && age_of(value, now_seconds) <= 0) return;  // another worker's clock is ahead
      slot->value.compare_exchange_strong(value, is_current ? fresh | kReferenced : fresh, std::memory_order_release,
                                          std::memory_order_relaxed);
      return;
    }
  } else if (auto* old = const_cast<Slot*>(find_by_old_size(key, mask)); old != nullptr) {
    uint64_t value = old->value.load(std::memory_order_acquire);
    if (value != kClaimed && old->value.compare_exchange_strong(value, 0)) release(value);
  }
  if (!insert(slot, key, fresh, now_seconds)) learn_failed_.fetch_add(1, std::memory_order_relaxed);
}

/// Brings an entry in for the port of `fresh`: in `own`, the slot that has this key already, or in one it
/// finds.
bool Fdb::insert(Slot* own, uint64_t key, uint64_t fresh, uint32_t now_seconds) noexcept {
  const PortId port = port_of(fresh);
  Ring* ring = rings_[port].load(std::memory_order_acquire);
  if (ring == nullptr || ring->is_busy.exchange(true, std::memory_order_acquire)) return false;
  bool done = false;
  if (make_room_in_share(*ring, port, now_seconds) && reserve(port, port_epoch_of(fresh))) {
    done = place(*ring, own, key, fresh, now_seconds);
    if (done)
      ring->push(key);
    else
      release(fresh);
  }
  ring->is_busy.store(false, std::memory_order_release);
  const size_t mask = mask_.load(std::memory_order_relaxed);
  if (old_mask_.load(std::memory_order_relaxed) != mask)
    sweep(now_seconds, kSweptByLearn);
  else if (mask != max_mask_ && total_.load(std::memory_order_relaxed) > (mask + 1) * kSlots * 3 / 8)
    begin_growth();
  return done;
}

/// The entry is counted already, so being over max_entries_ means that another has to go.
bool Fdb::place(Ring& ring, Slot* own, uint64_t key, uint64_t fresh, uint32_t now_seconds) noexcept {
  const PortId port = port_of(fresh);
  const bool at_capacity = total_.load(std::memory_order_relaxed) > max_entries_;
  Choice target =
      own != nullptr ? Choice{own, own->value.load(std::memory_order_acquire)} : find_room(key, now_seconds);
  if (target.slot == nullptr) {
    target = find_victim(key, port, kWindow, now_seconds);
    if (target.slot == nullptr) return false;
  } else if (at_capacity && !is_counted(target.value)) {
    if (!evict(find_victim(key, port, 2 * kWindow, now_seconds), now_seconds) &&
        !give_up_oldest(ring, port, Need::entry, now_seconds))
      return false;
  }

  if (!claim(target)) return false;
  const uint64_t old_key = target.slot->key.load(std::memory_order_relaxed);
  if (own != nullptr && old_key != key) {  // it went to another address before it was claimed
    own->value.store(target.value, std::memory_order_release);
    return false;
  }
  const bool was_valid = is_valid(target.value, network_of(old_key), now_seconds);
  fill(*target.slot, key, fresh);
  release(target.value);
  if (was_valid && own == nullptr) replaced_.fetch_add(1, std::memory_order_relaxed);
  (was_valid && own != nullptr ? moved_ : learned_).fetch_add(1, std::memory_order_relaxed);
  return true;
}

/// The first slot of the key's window that holds nothing valid.
Fdb::Choice Fdb::find_room(uint64_t key, uint32_t now_seconds) noexcept {
  const size_t mask = mask_.load(std::memory_order_acquire);
  const size_t first = home(key, mask);
  for (size_t i = 0; i < kWindow; ++i) {
    for (Slot& slot : buckets_[(first + i) & mask].slots) {
      const uint64_t k = slot.key.load(std::memory_order_acquire);
      const uint64_t value = slot.value.load(std::memory_order_acquire);
      if (value != kClaimed && (k == 0 || !is_valid(value, network_of(k), now_seconds))) return {&slot, value};
    }
  }
  return {};
}

/// The entry of the buckets from the key's home on that `port` may replace: the oldest of the port that has
/// most in all, if those are more than twice as many as its own; else the oldest of its own.
Fdb::Choice Fdb::find_victim(uint64_t key, PortId port, uint32_t n_buckets, uint32_t now_seconds) noexcept {
  const size_t mask = mask_.load(std::memory_order_acquire);
  const size_t first = home(key, mask);
  const uint64_t own_count = entries_of(port);
  Choice best;
  uint64_t best_count = 0;
  int32_t best_age = 0;
  for (size_t i = 0; i < n_buckets; ++i) {
    for (Slot& slot : buckets_[(first + i) & mask].slots) {
      const uint64_t value = slot.value.load(std::memory_order_acquire);
      if (!is_counted(value)) continue;
      const bool is_own = port_of(value) == port;
      const uint64_t count = is_own ? 1 : entries_of(port_of(value));
      if (!is_own && count <= 2 * own_count) continue;
      const int32_t age = age_of(value, now_seconds);
      if (best.slot != nullptr && (count < best_count || (count == best_count && age <= best_age))) continue;
      best = {&slot, value};
      best_count = count;
      best_age = age;
    }
  }
  return best;
}

bool Fdb::evict(const Choice& victim, uint32_t now_seconds) noexcept {
  uint64_t value = victim.value;
  if (victim.slot == nullptr || !victim.slot->value.compare_exchange_strong(value, 0)) return false;
  const NetworkId network = network_of(victim.slot->key.load(std::memory_order_relaxed));
  (is_valid(value, network, now_seconds) ? replaced_ : aged_).fetch_add(1, std::memory_order_relaxed);
  release(value);
  return true;
}

bool Fdb::claim(const Choice& choice) noexcept {
  uint64_t value = choice.value;
  return value != kClaimed && choice.slot->value.compare_exchange_strong(value, kClaimed);
}

void Fdb::fill(Slot& claimed, uint64_t key, uint64_t value) noexcept {
  const size_t piece = static_cast<size_t>(reinterpret_cast<char*>(&claimed) - reinterpret_cast<char*>(&buckets_[0])) /
                       (kPieceBuckets * sizeof(Bucket));
  std::atomic<uint64_t>& touched = touched_[piece / 64];
  const uint64_t bit = uint64_t{1} << piece % 64;
  if ((touched.load(std::memory_order_relaxed) & bit) == 0) touched.fetch_or(bit, std::memory_order_relaxed);
  claimed.key.store(key, std::memory_order_release);
  claimed.value.store(value, std::memory_order_release);
}

// --- shares --------------------------------------------------------------------------------------

bool Fdb::make_room_in_share(Ring& ring, PortId port, uint32_t now_seconds) noexcept {
  if (entries_of(port) >= per_port_) return give_up_oldest(ring, port, Need::entry, now_seconds);
  return !ring.is_full() || give_up_oldest(ring, port, Need::ring_room, now_seconds);
}

/// Takes keys from the ring: those whose entries are gone for nothing, the first other one with its entry.
/// When only room in the ring is needed entries are spared, until it seems that there is none to be had
/// otherwise.
bool Fdb::give_up_oldest(Ring& ring, PortId port, Need need, uint32_t now_seconds) noexcept {
  const size_t mask = mask_.load(std::memory_order_acquire);
  int chances = need == Need::entry ? kSecondChances : kMaxRingSteps - 1;
  for (int step = 0; step < kMaxRingSteps && ring.size != 0; ++step) {
    const uint64_t key = ring.pop();
    auto* slot = const_cast<Slot*>(find(key, mask));
    if (slot == nullptr) slot = const_cast<Slot*>(find_by_old_size(key, mask));
    uint64_t value = slot == nullptr ? 0 : slot->value.load(std::memory_order_acquire);
    if (port_of(value) != port || !is_counted(value)) {  // aged, or moved to another port
      if (need == Need::ring_room) return true;
      continue;
    }
    const bool is_spared = need == Need::ring_room || (value & kReferenced) != 0;
    if (is_spared && is_valid(value, network_of(key), now_seconds) && chances-- > 0) {
      if (need == Need::entry) slot->value.compare_exchange_strong(value, value & ~kReferenced);
      ring.push(key);
      continue;
    }
    if (evict({slot, value}, now_seconds)) return true;
  }
  return false;
}

// --- sweeping and growing ------------------------------------------------------------------------

void Fdb::begin_growth() noexcept {
  if (is_turning_.exchange(true, std::memory_order_acquire)) return;
  const size_t mask = mask_.load(std::memory_order_relaxed);
  if (mask != max_mask_ && old_mask_.load(std::memory_order_relaxed) == mask) {
    cursor_.store(0, std::memory_order_relaxed);
    mask_.store(mask * 2 + 1, std::memory_order_release);
  }
  is_turning_.store(false, std::memory_order_release);
}

uint32_t Fdb::sweep(uint32_t now_seconds, uint32_t budget) noexcept {
  // While the table grows only the part by the old size needs to be passed.
  const size_t end = old_mask_.load(std::memory_order_acquire) + 1;
  uint32_t freed = 0;
  for (; budget != 0; --budget) {
    size_t index = cursor_.fetch_add(1, std::memory_order_relaxed);
    while (index < end && index % kPieceBuckets == 0 && !is_touched(index / kPieceBuckets)) {
      size_t expected = index + 1;
      if (!cursor_.compare_exchange_strong(expected, index + kPieceBuckets + 1, std::memory_order_relaxed))
        return freed;
      index += kPieceBuckets;
    }
    if (index >= end) {
      end_pass(end);
      break;
    }
    freed += sweep_bucket(index, now_seconds);
  }
  return freed;
}

/// Another worker may still be at one of the last buckets: then what it moves is not found for that long.
void Fdb::end_pass(size_t end) noexcept {
  if (is_turning_.exchange(true, std::memory_order_acquire)) return;
  if (cursor_.load(std::memory_order_relaxed) >= end && old_mask_.load(std::memory_order_relaxed) + 1 == end) {
    old_mask_.store(mask_.load(std::memory_order_relaxed), std::memory_order_release);
    cursor_.store(0, std::memory_order_relaxed);
  }
  is_turning_.store(false, std::memory_order_release);
}

uint32_t Fdb::sweep_bucket(size_t index, uint32_t now_seconds) noexcept {
  const size_t mask = mask_.load(std::memory_order_relaxed);
  uint32_t freed = 0;
  for (Slot& slot : buckets_[index].slots) {
    const uint64_t key = slot.key.load(std::memory_order_acquire);
    if (key == 0) break;
    uint64_t value = slot.value.load(std::memory_order_acquire);
    if (value == 0 || value == kClaimed) continue;
    if (is_valid(value, network_of(key), now_seconds)) {
      if (!is_in_window(index, key, mask)) migrate(slot, key, value, now_seconds);
      continue;
    }
    if (!slot.value.compare_exchange_strong(value, 0)) continue;
    if (is_counted(value)) aged_.fetch_add(1, std::memory_order_relaxed);
    release(value);
    ++freed;
  }
  return freed;
}

/// Copies an entry to its place by the new size, then frees the old slot, so that it can be found at any
/// moment.
void Fdb::migrate(Slot& slot, uint64_t key, uint64_t value, uint32_t now_seconds) noexcept {
  Choice target;
  bool is_copied = false;
  if (auto* there = const_cast<Slot*>(find(key, mask_.load(std::memory_order_relaxed))); there != nullptr)
    target = {there, there->value.load(std::memory_order_acquire)};
  else
    target = find_room(key, now_seconds);
  if (target.slot != nullptr && !is_counted(target.value) && claim(target)) {
    fill(*target.slot, key, value);
    is_copied = true;
  }
  uint64_t expected = value;
  if (slot.value.compare_exchange_strong(expected, 0)) {
    // No copy: there is a newer entry already, or (hardly ever) no room. It will be learned again.
    if (!is_copied) release(value);
  } else if (is_copied) {
    // Another worker refreshed, moved or freed it since, so the copy is out of date; unless it was refreshed
    // too, when there are two entries, to be counted as such.
    expected = value;
    if (!target.slot->value.compare_exchange_strong(expected, 0)) reserve(port_of(value), port_epoch_of(value));
  }
}

}  // namespace weft::vswitch
