// SPDX-License-Identifier: BSD-3-Clause
//
// The neighbour table of the router: the MAC address of each IPv4 neighbour of each router interface, and the
// packets that wait for one (ARP: RFC 826, RFC 1122 §2.3.2, with the states of RFC 4861 §7.3.2). Owned by one
// worker: it alone resolves, learns and ticks. The control thread may list at any time. It sends and frees
// nothing itself: what is to be done goes to a NeighbourSink. No allocation after construction.
//
// States
//   incomplete  asked by broadcast, kTries times kRetry apart; packets wait
//   reachable   confirmed within reachable_ns
//   stale       confirmed longer ago; used at once, and asked by unicast as soon as it is used (then: probe)
//   probe       as stale, being asked; forgotten when no answer comes, and the next packet asks by broadcast
//   failed      did not answer; packets are refused for failed_ns, then it is asked again
//
// What a guest that scans a subnet of the router can do to others is bounded three times: each origin (the
// port a packet came in from) may start asking for so many new neighbours a second; each interface has so
// many incomplete entries, of which the oldest gives way; and an answer is taken even when its question has
// been given up (RFC 826 asks for that).
#pragma once

#include "dataplane/drops.h"
#include "dataplane/packet.h"
#include "dataplane/wire/addr.h"
#include "switch/fib.h"
#include "switch/keyed_hash.h"
#include "switch/mapped_array.h"
#include "switch/rate_limit.h"

#include <atomic>
#include <cstdint>

namespace weft::vswitch {

/// An owned packet that waits; never looked into here. Not null.
using HeldPacket = void*;

enum class NeighbourState : uint8_t { none, incomplete, reachable, stale, probe, failed };

/// "incomplete", "reachable", "stale" (also for probe), "failed".
[[nodiscard]] const char* to_string(NeighbourState state) noexcept;

/// Ask who has `address` on `interface`.
struct NeighbourRequest {
  InterfaceId interface;
  wire::Ipv4Address address;
  wire::MacAddress to;  // broadcast, or the address last known (RFC 1122 §2.3.2.1 (2), unicast poll)
};

/// What the table wants done. Called on the worker, from within the call that was given the sink; must not
/// call the table.
class NeighbourSink {
 public:
  virtual ~NeighbourSink() = default;
  virtual void send_request(const NeighbourRequest& request) noexcept = 0;
  /// The packet may go, to `mac`.
  virtual void release(HeldPacket packet, InterfaceId interface, const wire::MacAddress& mac) noexcept = 0;
  /// The packet is given up: resolve_queue_full, resolve_failed or port_removed.
  virtual void drop(HeldPacket packet, InterfaceId interface, dataplane::Drop reason) noexcept = 0;
};

class Neighbours {
 public:
  static constexpr uint64_t kMillisecond = 1'000'000;      // all times are nanoseconds of one monotonic clock
  static constexpr uint64_t kRetry = 1000 * kMillisecond;  // RFC 1122 §2.3.2.1: at most one request a second
  static constexpr uint8_t kTries = 3;
  static constexpr uint32_t kMaxHeldByOne = 8;

  struct Options {
    uint32_t entries = 65536;
    uint32_t entries_per_interface = 16384;
    uint32_t incomplete_per_interface = 4096;
    uint32_t held = 4096;  // packets waiting in all; at most 65534
    uint64_t reachable_ns = 30'000 * kMillisecond;
    uint64_t failed_ns = 3'000 * kMillisecond;
    uint64_t unused_ns = 600'000 * kMillisecond;     // a neighbour not used or heard for so long is forgotten
    uint32_t new_per_second = 512, new_burst = 512;  // by one origin
    uint64_t seed = 0;                               // random in production
  };

  enum class Verdict : uint16_t {
    known,    // send to `mac`
    wait,     // call hold() with an owned copy of the packet, now
    failed,   // drop as resolve_failed
    refused,  // drop as resolve_too_many: the origin asks for too many, or the table is full of others'
              // entries
  };
  struct Resolution {
    Verdict verdict;
    wire::MacAddress mac = {};  // when known
    bool asks = false;          // send a request, to `ask`: broadcast or unicast (also possible when known)
    wire::MacAddress ask = {};
  };

  /// What an ARP message says about its sender (RFC 826; the caller has checked that the sender's address is
  /// one that the interface's subnets allow).
  enum class Evidence : uint8_t {
    answer,    // a reply sent to us: the neighbour is reachable
    question,  // a request that asks for us: taken, to be confirmed when used
    gossip,    // anything else, as gratuitous ARP: changes what is there, makes nothing new
  };

  /// Control. Throws std::bad_alloc.
  explicit Neighbours(const Options& options);
  /// Precondition: nothing is held any more (remove_interface of all), or nobody minds losing the handles.
  ~Neighbours();
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  // --- worker --------------------------------------------------------------------------------------------
  /// The MAC address of next hop `address` on `interface`, for a packet that came in from `origin` (kNoPort:
  /// from the switch itself). May start asking. The sink only gets packets that had waited for an entry that
  /// must give way.
  Resolution resolve(InterfaceId interface, wire::Ipv4Address address, dataplane::PortId origin, uint64_t now_ns,
                     NeighbourSink& sink) noexcept {
    const uint32_t index = find(interface, address);
    if (index != kNone) [[likely]] {
      Entry& e = entries_[index];
      e.used_tick = tick_of(now_ns);
      if (e.state() == NeighbourState::reachable && now_ns - e.confirmed() <= options_.reachable_ns) [[likely]]
        return {Verdict::known, e.mac(), false, {}};
    }
    return resolve_slowly(index, interface, address, origin, now_ns, sink);
  }

  /// After `wait`, in the same turn: keeps the packet until the neighbour answers or fails. The latest packet
  /// is the one that is kept (RFC 1122 §2.3.2.2): when the entry is full it takes the place of the entry's
  /// oldest, when there is no place at all that of one for another neighbour that has been asked for longer
  /// and has more of them waiting.
  void hold(InterfaceId interface, wire::Ipv4Address address, HeldPacket packet, NeighbourSink& sink) noexcept;

  /// An ARP message came from `address` at `mac` on `interface`. Releases what waited, in order.
  void learned(InterfaceId interface, wire::Ipv4Address address, const wire::MacAddress& mac, Evidence evidence,
               uint64_t now_ns, NeighbourSink& sink) noexcept;

  /// Something that is proof of two-way communication came from the neighbour (RFC 4861 §7.3.1): a known
  /// entry with this very MAC is reachable again. Anything else is ignored.
  void confirm(InterfaceId interface, wire::Ipv4Address address, const wire::MacAddress& mac, uint64_t now_ns) noexcept;

  /// Sends what is due again, gives up what does not answer, forgets what nobody uses. Call some ten times a
  /// second; does at most `budget` of each.
  void tick(uint64_t now_ns, NeighbourSink& sink, uint32_t budget = 256) noexcept;

  /// Forgets one neighbour, or all of an interface; drops what waits for them (port_removed).
  void forget(InterfaceId interface, wire::Ipv4Address address, NeighbourSink& sink) noexcept;
  void remove_interface(InterfaceId interface, NeighbourSink& sink) noexcept;

  // --- any thread ----------------------------------------------------------------------------------------
  struct Listed {
    InterfaceId interface;
    wire::Ipv4Address address;
    wire::MacAddress mac;  // zero when not known
    NeighbourState state;
  };
  /// Calls f(const Listed&) for every entry, in no order, while the worker goes on.
  template <typename F>
  void for_each(uint64_t now_ns, F&& f) const;
  [[nodiscard]] uint32_t n_entries() const noexcept { return n_entries_.load(std::memory_order_relaxed); }
  /// Packets waiting.
  [[nodiscard]] uint32_t n_held() const noexcept { return n_held_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kNone =
      0;  // index 0 is nobody, in entries and in held packets: zeroed memory is an empty list
  static constexpr size_t kOrigins = 4096;

  /// A packet that waits, or a free place for one.
  struct Held {
    HeldPacket packet;
    uint32_t next;
  };

  struct Links {
    uint32_t previous, next;
  };
  /// One cache line. Other threads read the atomic words: identity, mac_state, identity again. An entry that
  /// is reused has no identity while its mac_state changes hands.
  struct alignas(64) Entry {
    std::atomic<uint64_t> identity;      // kInUse | interface:16 | address:32; 0: free
    std::atomic<uint64_t> mac_state;     // mac:48 | state:8
    std::atomic<uint64_t> confirmed_ns;  // when last known to be reachable
    uint64_t due_ns;                     // when to ask again, give up, or stop refusing
    uint32_t used_tick;                  // when a packet used it, or it was heard of
    uint32_t hash_next;
    Links timer;       // in asking_ (incomplete, probe), failed_ (failed) or the free list
    Links incomplete;  // in its interface's list, when incomplete
    uint16_t held_first, held_last;
    uint8_t n_held;
    uint8_t tries;

    [[nodiscard]] NeighbourState state() const noexcept {
      return static_cast<NeighbourState>(mac_state.load(std::memory_order_relaxed) >> 48);
    }
    [[nodiscard]] wire::MacAddress mac() const noexcept {
      return wire::MacAddress::from_u64(mac_state.load(std::memory_order_relaxed) & 0xffffffffffff);
    }
    [[nodiscard]] uint64_t confirmed() const noexcept { return confirmed_ns.load(std::memory_order_relaxed); }
  };
  static_assert(sizeof(Entry) == 64);

  struct List {
    uint32_t first, last;
  };
  struct PerInterface {
    List incomplete;  // in the order they were first asked for
    uint32_t n_incomplete, n_entries;
  };

  static constexpr uint64_t kInUse = uint64_t{1} << 63;
  static uint64_t identity_of(InterfaceId interface, wire::Ipv4Address address) noexcept {
    return kInUse | uint64_t{interface} << 32 | address.value.raw();
  }
  static InterfaceId interface_of(uint64_t identity) noexcept { return static_cast<InterfaceId>(identity >> 32); }
  static wire::Ipv4Address address_of(uint64_t identity) noexcept {
    wire::Ipv4Address a;
    a.value = wire::be32::from_raw(static_cast<uint32_t>(identity));
    return a;
  }
  /// About a millisecond; wraps after 52 days, long after anything unused has been forgotten.
  static uint32_t tick_of(uint64_t now_ns) noexcept { return static_cast<uint32_t>(now_ns >> 20); }
  [[nodiscard]] size_t bucket_of(uint64_t identity) const noexcept { return hash_(identity) & bucket_mask_; }
  [[nodiscard]] uint32_t find(InterfaceId interface, wire::Ipv4Address address) const noexcept {
    const uint64_t identity = identity_of(interface, address);
    uint32_t i = buckets_[bucket_of(identity)];
    while (i != kNone && entries_[i].identity.load(std::memory_order_relaxed) != identity) i = entries_[i].hash_next;
    return i;
  }

  Resolution resolve_slowly(uint32_t index, InterfaceId interface, wire::Ipv4Address address, dataplane::PortId origin,
                            uint64_t now_ns, NeighbourSink& sink) noexcept;
  bool may_ask_new(dataplane::PortId origin, uint64_t now_ns) noexcept;
  void begin_asking(uint32_t index, NeighbourState state, const wire::MacAddress& mac, uint64_t now_ns,
                    NeighbourSink& sink) noexcept;
  void ask_again_or_give_up(uint32_t index, uint64_t now_ns, NeighbourSink& sink) noexcept;
  void settle(uint32_t index, NeighbourState state, const wire::MacAddress& mac) noexcept;

  uint32_t make(InterfaceId interface, wire::Ipv4Address address, uint64_t now_ns, NeighbourSink& sink) noexcept;
  bool give_way(InterfaceId interface, bool own_only, uint64_t now_ns, NeighbourSink& sink) noexcept;
  void destroy(uint32_t index, dataplane::Drop reason, NeighbourSink& sink) noexcept;
  void forget_unused(uint64_t now_ns, uint32_t budget, NeighbourSink& sink) noexcept;

  void append(List& list, Links Entry::*links, uint32_t index) noexcept;
  void remove(List& list, Links Entry::*links, uint32_t index) noexcept;

  void keep(Entry& e, HeldPacket packet) noexcept;
  HeldPacket take_oldest_held(Entry& e) noexcept;
  void drop_all_held(Entry& e, InterfaceId interface, dataplane::Drop reason, NeighbourSink& sink) noexcept;
  bool free_a_place(NeighbourSink& sink) noexcept;

  Options options_;
  KeyedHash hash_;
  size_t bucket_mask_;
  MappedArray<uint32_t> buckets_;  // first entry of each hash chain
  mutable MappedArray<Entry> entries_;
  MappedArray<PerInterface> interfaces_;
  List asking_{};  // ordered by due_ns, as the interval is one and the same
  List failed_{};  // likewise
  uint32_t free_ = kNone;
  std::atomic<uint32_t> n_made_{0};  // entries 1 … n_made_ have been in use
  std::atomic<uint32_t> n_entries_{0};
  uint32_t hand_ = 0;         // of the search for one that gives way
  uint32_t unused_hand_ = 0;  // of forget_unused

  MappedArray<Held> held_;
  uint32_t free_held_ = kNone;
  uint32_t n_held_made_ = 0;
  std::atomic<uint32_t> n_held_{0};

  Rate new_rate_;
  MappedArray<uint64_t> origins_;  // a bucket of new_rate_ each
};

template <typename F>
void Neighbours::for_each(uint64_t now_ns, F&& f) const {
  const uint32_t n = n_made_.load(std::memory_order_acquire);
  for (uint32_t i = 1; i <= n; ++i) {
    const Entry& e = entries_[i];
    const uint64_t identity = e.identity.load(std::memory_order_acquire);
    const uint64_t mac_state = e.mac_state.load(std::memory_order_acquire);
    const uint64_t confirmed_ns = e.confirmed();
    if (identity == 0 || e.identity.load(std::memory_order_relaxed) != identity) continue;
    auto state = static_cast<NeighbourState>(mac_state >> 48);
    if (state == NeighbourState::reachable && now_ns > confirmed_ns + options_.reachable_ns)
      state = NeighbourState::stale;
    f(Listed{interface_of(identity), address_of(identity), wire::MacAddress::from_u64(mac_state & 0xffffffffffff),
             state});
  }
}

}  // namespace weft::vswitch
