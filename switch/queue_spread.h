// SPDX-License-Identifier: BSD-3-Clause
//
// Which worker serves which receive queue. Spread evenly by number: the first queues of all ports among themselves, and
// so the others, of which a guest may use none. A queue stays where it is as long as the balance allows. Pure; control.
#pragma once

#include "dataplane/packet.h"

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace weft::vswitch {

class QueueSpread {
 public:
  struct Queue {
    dataplane::PortId port;
    uint16_t queue;
    auto operator<=>(const Queue&) const = default;
  };
  struct Move {
    Queue queue;
    uint16_t from, to;
  };

  explicit QueueSpread(uint16_t n_workers) : n_workers_(n_workers) {}

  /// A queue that will be served: gives it to the worker that has least.
  uint16_t add(Queue queue);
  void remove_port(dataplane::PortId port);
  /// These are served from now on, and no others; all have been added. Returns those that are to change their worker
  /// for the sake of balance, and takes them as moved.
  std::vector<Move> serve(std::span<const Queue> queues);
  /// A queue could not move: it is where it was.
  void undo(const Move& move) { places_.at(move.queue).worker = move.from; }

  [[nodiscard]] uint16_t worker_of(Queue queue) const { return places_.at(queue).worker; }

 private:
  struct Place {
    uint16_t worker;
    bool is_counted;  // it is served, or new
  };
  [[nodiscard]] std::vector<size_t> loads(bool of_first_queues) const;
  void balance(bool first_queues, std::vector<Move>& moves);

  uint16_t n_workers_;
  std::map<Queue, Place> places_;
};

}  // namespace weft::vswitch
