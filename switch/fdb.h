// SPDX-License-Identifier: BSD-3-Clause
//
// The forwarding database: which port a MAC address of a network was last seen at. One table for all
// networks, shared by all workers: they learn from every frame and look every frame up; the control thread
// adds and removes ports and networks, and lists. Lock-free: entries are two atomic words, written only when
// something changed.
//
// Theory of operation
// - Open addressing. A bucket is one cache line of four (key, value) slots; an entry lies in the kWindow
//   buckets from its home bucket on, so every operation is bounded by kWindow cache lines. A slot that was
//   never used has key 0 and ends the search; a freed slot keeps its key until it is used again.
// - key   = network:16 | mac:48.
//   value = port:16 | last seen, seconds:24 | port epoch:12 | network epoch:11 | referenced:1. An entry is
//   valid while its epochs are those its port and its network have now and it is not older than the ageing
//   time, so removing a port or a network is one store however many entries they had. Port epoch 0 means
//   free (value 0) or being written.
// - Replacing a slot: the value is claimed by compare-and-swap, the key written, the value written. A
//   reader takes key, value and key again, and so never pairs a key with another key's value.
// - Shares. Every port has a ring of the keys it brought in, in order. Over its share a port gives up its
//   own oldest entry, a CLOCK algorithm: one seen again since gets another round, at most kSecondChances
//   times a learn. When the table or a window is full, a port may replace an entry of a port that has more
//   than twice as many as itself, and of no other: a port that sends from a million addresses takes nothing
//   from the others, and cannot keep them out.
// - The table starts small, so that few entries are close together in the cache and in the TLB, and doubles
//   within its reserved memory when three eighths full. Entries are moved on by sweep() and, a few with
//   each new entry, by learn(); until all are, a search that fails looks at the place by the old size too.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/wire/addr.h"
#include "switch/keyed_hash.h"
#include "switch/mapped_array.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

namespace weft::vswitch {

using dataplane::kNoPort;
using dataplane::NetworkId;
using dataplane::PortId;

class Fdb {
 public:
  struct Options {
    uint32_t entries = 2 * 1024 * 1024;  // in all networks together
    uint32_t per_port = 1024 * 1024;     // one port's share
    uint32_t ageing_seconds = 300;       // 1 … kMaxAgeing
    uint64_t seed = 0;                   // random in production, or guests choose who shares a bucket
  };
  static constexpr uint32_t kMaxAgeing = 1'000'000;  // IEEE 802.1Q §8.8.3
  static constexpr uint32_t kWindow = 8;             // buckets an entry may lie in
  static constexpr uint32_t kSlots = 4;              // of a bucket
  static constexpr int kSecondChances = 4;

  struct Entry {
    NetworkId network;
    wire::MacAddress mac;
    PortId port;
    uint32_t age_seconds;
  };

  /// All monotonic but `entries`, which counts what is stored, valid or not yet swept.
  struct Stats {
    uint64_t entries, learned, moved, aged, replaced, learn_failed;
  };

  /// Control. Reserves address space, touches little of it. Throws std::bad_alloc. Options out of range are
  /// clamped.
  explicit Fdb(const Options& options);
  ~Fdb();
  Fdb(const Fdb&) = delete;
  Fdb& operator=(const Fdb&) = delete;

  // --- any worker ----------------------------------------------------------------------------------------
  // now_seconds: a monotonic clock's, the same for all workers within a few seconds.

  /// Asks the cache for what lookup or learn of this address will read.
  void prefetch(NetworkId network, const wire::MacAddress& mac) const noexcept {
    __builtin_prefetch(&buckets_[home(key_of(network, mac), mask_.load(std::memory_order_relaxed))]);
  }

  /// The port the address was last seen at, kNoPort when that is unknown or too long ago. Another worker may
  /// be removing that port at this moment: the caller asks its snapshot whether the port is (still) a member
  /// of `network`.
  [[nodiscard]] PortId lookup(NetworkId network, const wire::MacAddress& mac, uint32_t now_seconds) const noexcept {
    const uint64_t key = key_of(network, mac);
    const size_t mask = mask_.load(std::memory_order_acquire);
    const Slot* slot = find(key, mask);
    if (slot == nullptr) [[unlikely]] {
      slot = find_by_old_size(key, mask);
      if (slot == nullptr) return kNoPort;
    }
    const uint64_t value = slot->value.load(std::memory_order_acquire);
    if (!is_valid(value, network, now_seconds) || slot->key.load(std::memory_order_relaxed) != key) [[unlikely]]
      return kNoPort;
    return port_of(value);
  }

  /// A frame from `mac` came in from `port`. Precondition: neither multicast nor zero; `port` was added. Does
  /// nothing when there is no room for it (see above; counted as learn_failed).
  void learn(NetworkId network, const wire::MacAddress& mac, PortId port, uint32_t now_seconds) noexcept {
    const uint64_t key = key_of(network, mac);
    const Slot* slot = find(key, mask_.load(std::memory_order_acquire));
    if (slot != nullptr) [[likely]] {
      const uint64_t value = slot->value.load(std::memory_order_relaxed);
      if (((value ^ fresh_value(network, port, now_seconds)) & ~kReferenced) == 0) [[likely]]
        return;
    }
    learn_change(key, network, port, now_seconds);
  }

  // --- any worker, better one
  // ----------------------------------------------------------------------------------------
  /// Looks at up to `budget` buckets from where the last call stopped: frees what is too old or of a port or
  /// network that is gone, and carries growth on. Memory never used is skipped at no cost. Returns the
  /// entries freed. The whole table must be passed at least once a month (ages are 24 bits of seconds).
  uint32_t sweep(uint32_t now_seconds, uint32_t budget) noexcept;

  // --- control -------------------------------------------------------------------------------------------
  /// Before the first learn from `port`. Throws std::bad_alloc.
  void add_port(PortId port);
  /// All entries of the port are invalid from now on, their room free to use. Workers may still be calling
  /// learn for it.
  void remove_port(PortId port) noexcept;
  /// All entries of the network are invalid from now on (also: `network` may be given to a new network).
  void remove_network(NetworkId network) noexcept;
  /// Calls f(const Entry&) for every valid entry, in no order, while workers go on.
  template <typename F>
  void for_each(uint32_t now_seconds, F&& f) const;
  [[nodiscard]] Stats stats() const noexcept;
  /// Entries stored for the port, valid or not yet swept.
  [[nodiscard]] uint32_t entries_of(PortId port) const noexcept {
    return static_cast<uint32_t>(accounts_[port % dataplane::kMaxPorts].load(std::memory_order_relaxed));
  }
  /// Bytes of address space reserved for entries, the bound of what the table itself can ever occupy.
  [[nodiscard]] size_t table_bytes() const noexcept { return buckets_.size_bytes(); }
  /// Bytes in use for entries at the present size.
  [[nodiscard]] size_t current_bytes() const noexcept {
    return (mask_.load(std::memory_order_relaxed) + 1) * sizeof(Bucket);
  }

 private:
  struct Slot {
    std::atomic<uint64_t> key;
    std::atomic<uint64_t> value;
  };
  struct alignas(64) Bucket {
    Slot slots[kSlots];
  };
  /// The keys a port brought in, oldest first: those of its entries, and some whose entries are gone. Whoever
  /// brings in for the port holds `is_busy`; nobody waits for it but the control thread.
  struct Ring {
    explicit Ring(uint32_t capacity) : keys(capacity) {}
    [[nodiscard]] bool is_full() const noexcept { return size == keys.length(); }
    void push(uint64_t key) noexcept {
      size_t at = first + size++;
      if (at >= keys.length()) at -= keys.length();
      keys[at] = key;
    }
    uint64_t pop() noexcept {
      const uint64_t key = keys[first];
      if (++first == keys.length()) first = 0;
      --size;
      return key;
    }

    std::atomic<bool> is_busy{false};
    size_t first = 0, size = 0;
    MappedArray<uint64_t> keys;
  };

  static constexpr int kSeenShift = 16;
  static constexpr int kPortEpochShift = 40;
  static constexpr int kNetworkEpochShift = 52;
  static constexpr uint64_t kSeenMask = 0xffffff;
  static constexpr uint64_t kPortEpochMask = 0xfff;
  static constexpr uint64_t kNetworkEpochMask = 0x7ff;
  static constexpr uint64_t kReferenced = uint64_t{1} << 63;
  static constexpr uint64_t kEpochBits = kPortEpochMask << kPortEpochShift | kNetworkEpochMask << kNetworkEpochShift;
  static constexpr uint64_t kClaimed = 1;  // no port epoch: valid for nobody
  /// Buckets of a piece of the table for which one bit says whether anything was ever put there: a page.
  static constexpr size_t kPieceBuckets = 4096 / sizeof(Bucket);

  static uint64_t key_of(NetworkId network, const wire::MacAddress& mac) noexcept {
    uint32_t low;
    uint16_t high;
    std::memcpy(&low, mac.bytes.data(), 4);
    std::memcpy(&high, mac.bytes.data() + 4, 2);
    return uint64_t{network} << 48 | uint64_t{high} << 32 | low;
  }
  static NetworkId network_of(uint64_t key) noexcept { return static_cast<NetworkId>(key >> 48); }
  static wire::MacAddress mac_of(uint64_t key) noexcept {
    wire::MacAddress mac;
    std::memcpy(mac.bytes.data(), &key, 6);
    return mac;
  }
  static PortId port_of(uint64_t value) noexcept { return static_cast<PortId>(value); }
  static uint64_t port_epoch_of(uint64_t value) noexcept { return value >> kPortEpochShift & kPortEpochMask; }
  /// Seconds since the entry was last seen; negative when another worker's clock is a little ahead.
  static int32_t age_of(uint64_t value, uint32_t now_seconds) noexcept {
    const uint32_t difference = now_seconds - static_cast<uint32_t>(value >> kSeenShift);
    return static_cast<int32_t>(difference << 8) >> 8;
  }

  [[nodiscard]] size_t home(uint64_t key, size_t mask) const noexcept { return hash_(key) & mask; }

  [[nodiscard]] const Slot* find(uint64_t key, size_t mask) const noexcept {
    const size_t first = home(key, mask);
    for (size_t i = 0; i < kWindow; ++i) {
      const Bucket& bucket = buckets_[(first + i) & mask];
      for (const Slot& slot : bucket.slots) {
        const uint64_t k = slot.key.load(std::memory_order_acquire);
        if (k == key) return &slot;
        if (k == 0) return nullptr;
      }
    }
    return nullptr;
  }
  [[nodiscard]] const Slot* find_by_old_size(uint64_t key, size_t mask) const noexcept {
    const size_t old_mask = old_mask_.load(std::memory_order_acquire);
    return old_mask == mask ? nullptr : find(key, old_mask);
  }

  [[nodiscard]] uint64_t current_epochs(NetworkId network, PortId port) const noexcept {
    return uint64_t{port_epochs_[port].load(std::memory_order_relaxed)} << kPortEpochShift |
           uint64_t{network_epochs_[network].load(std::memory_order_relaxed)} << kNetworkEpochShift;
  }
  [[nodiscard]] uint64_t fresh_value(NetworkId network, PortId port, uint32_t now_seconds) const noexcept {
    return current_epochs(network, port) | (now_seconds & kSeenMask) << kSeenShift | port;
  }
  [[nodiscard]] bool is_valid(uint64_t value, NetworkId network, uint32_t now_seconds) const noexcept {
    return ((value ^ current_epochs(network, port_of(value))) & kEpochBits) == 0 &&
           age_of(value, now_seconds) <= static_cast<int32_t>(ageing_);
  }

  /// Everything learn does beyond finding that nothing has changed.
  void learn_change(uint64_t key, NetworkId network, PortId port, uint32_t now_seconds) noexcept;
  bool insert(Slot* own, uint64_t key, uint64_t fresh, uint32_t now_seconds) noexcept;
  bool place(Ring& ring, Slot* own, uint64_t key, uint64_t fresh, uint32_t now_seconds) noexcept;
  /// A slot and the value it was judged by.
  struct Choice {
    Slot* slot = nullptr;
    uint64_t value = 0;
  };
  Choice find_room(uint64_t key, uint32_t now_seconds) noexcept;
  Choice find_victim(uint64_t key, PortId port, uint32_t n_buckets, uint32_t now_seconds) noexcept;
  bool evict(const Choice& victim, uint32_t now_seconds) noexcept;
  bool claim(const Choice& choice) noexcept;
  void fill(Slot& claimed, uint64_t key, uint64_t value) noexcept;
  enum class Need : uint8_t { ring_room, entry };
  bool make_room_in_share(Ring& ring, PortId port, uint32_t now_seconds) noexcept;
  bool give_up_oldest(Ring& ring, PortId port, Need need, uint32_t now_seconds) noexcept;

  void begin_growth() noexcept;
  void end_pass(size_t end) noexcept;
  uint32_t sweep_bucket(size_t index, uint32_t now_seconds) noexcept;
  void migrate(Slot& slot, uint64_t key, uint64_t value, uint32_t now_seconds) noexcept;

  /// Counts one more entry of the port; false when the epoch is over.
  bool reserve(PortId port, uint64_t epoch) noexcept;
  /// Counts an entry with this value as gone, if it counts at all.
  void release(uint64_t value) noexcept;
  [[nodiscard]] bool is_counted(uint64_t value) const noexcept {
    return port_epoch_of(value) ==
           accounts_[port_of(value) % dataplane::kMaxPorts].load(std::memory_order_relaxed) >> 32;
  }
  [[nodiscard]] bool is_touched(size_t piece) const noexcept {
    return (touched_[piece / 64].load(std::memory_order_relaxed) >> (piece % 64) & 1) != 0;
  }
  [[nodiscard]] bool is_in_window(size_t bucket, uint64_t key, size_t mask) const noexcept {
    return ((bucket - home(key, mask)) & mask) < kWindow;
  }

  // Read by every packet; hardly ever written.
  mutable MappedArray<Bucket> buckets_;
  std::atomic<size_t> mask_;      // buckets in use - 1
  std::atomic<size_t> old_mask_;  // differs from mask_ while the table grows
  KeyedHash hash_;
  uint32_t ageing_;
  uint32_t max_entries_, per_port_;
  size_t max_mask_;
  MappedArray<std::atomic<uint16_t>> port_epochs_;     // by port; 1 … 0xfff, 0 for numbers no port can have
  MappedArray<std::atomic<uint16_t>> network_epochs_;  // by network; 0 … 0x7ff

  // Written when an entry comes or goes.
  MappedArray<std::atomic<uint64_t>> touched_;   // a bit for each piece of buckets_
  MappedArray<std::atomic<uint64_t>> accounts_;  // by port: epoch << 32 | entries of that epoch
  std::unique_ptr<std::atomic<Ring*>[]> rings_;  // by port; kept until the end once made
  alignas(64) std::atomic<uint64_t> total_{0};
  std::atomic<uint64_t> learned_{0}, moved_{0}, aged_{0}, replaced_{0}, learn_failed_{0};

  alignas(64) std::atomic<size_t> cursor_{0};  // the next bucket to sweep
  std::atomic<bool> is_turning_{false};        // somebody begins to grow, or ends a pass
};

template <typename F>
void Fdb::for_each(uint32_t now_seconds, F&& f) const {
  for (size_t i = 0; i < buckets_.length(); ++i) {
    if (i % kPieceBuckets == 0 && !is_touched(i / kPieceBuckets)) {
      i += kPieceBuckets - 1;
      continue;
    }
    for (const Slot& slot : buckets_[i].slots) {
      const uint64_t key = slot.key.load(std::memory_order_acquire);
      if (key == 0) break;
      const uint64_t value = slot.value.load(std::memory_order_acquire);
      if (!is_valid(value, network_of(key), now_seconds) || slot.key.load(std::memory_order_relaxed) != key) continue;
      const int32_t age = age_of(value, now_seconds);
      f(Entry{network_of(key), mac_of(key), port_of(value), age < 0 ? 0 : static_cast<uint32_t>(age)});
    }
  }
}

}  // namespace weft::vswitch
