// SPDX-License-Identifier: BSD-3-Clause
//
// When is a session to be looked at again? A wheel of one slot a second, long enough for the longest timeout;
// whatever is due later waits in the farthest slot and is scheduled again from there. A packet never touches
// the wheel: the owner finds out, when a session is due, that it was used meanwhile, and schedules it anew.
// Owned by one worker.
#pragma once

#include "nat/lazy_array.h"
#include "nat/session.h"

#include <cstdint>

namespace weft::nat {

class TimerWheel {
 public:
  explicit TimerWheel(uint32_t max_ids) : links_(max_ids), slots_(kSlots) {}

  /// Puts an id that is not on the wheel at `due`; in the past means the next turn.
  void schedule(uint32_t id, Tick due, Tick now) noexcept {
    if (n_ids_++ == 0) turn_ = now;
    const auto ahead = static_cast<int32_t>(due - turn_);
    const uint32_t slot = (turn_ + (ahead < 0           ? 0
                                    : ahead >= kHorizon ? kHorizon
                                                        : static_cast<uint32_t>(ahead))) %
                          kSlots;
    Link& link = links_[id];
    link = {slots_[slot], 0, slot};
    if (link.next != 0) links_[link.next - 1].previous = id + 1;
    slots_[slot] = id + 1;
  }
  void cancel(uint32_t id) noexcept {
    --n_ids_;
    const Link& link = links_[id];
    (link.previous == 0 ? slots_[link.slot] : links_[link.previous - 1].next) = link.next;
    if (link.next != 0) links_[link.next - 1].previous = link.previous;
  }
  /// Seconds until the id is due.
  [[nodiscard]] Tick due(uint32_t id) const noexcept { return turn_ + (links_[id].slot - turn_) % kSlots; }

  /// Takes off what is due at `now`, at most `budget` ids, calling on_due(id) for each; on_due may schedule
  /// and cancel. True: there is more.
  template <class OnDue>
  bool advance(Tick now, uint32_t budget, OnDue on_due) noexcept {
    while (n_ids_ != 0 && static_cast<int32_t>(now - turn_) >= 0) {
      const uint32_t head = slots_[turn_ % kSlots];
      if (head == 0) {
        if (turn_ == now) return false;
        ++turn_;
        continue;
      }
      if (budget-- == 0) return true;
      cancel(head - 1);
      on_due(head - 1);
    }
    return false;
  }

 private:
  static constexpr uint32_t kSlots = 8192;  // seconds, a power of two; more than two hours
  static constexpr int32_t kHorizon = kSlots - 1;
  struct Link {
    uint32_t next, previous;  // id + 1; 0: none
    uint32_t slot;
  };
  LazyArray<Link> links_;
  LazyArray<uint32_t> slots_;  // first id + 1; 0: empty
  uint32_t n_ids_ = 0;
  Tick turn_ = 0;  // slots up to here are done, this one not yet
};

}  // namespace weft::nat
