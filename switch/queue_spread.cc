// SPDX-License-Identifier: BSD-3-Clause
#include "switch/queue_spread.h"

#include <algorithm>

namespace weft::vswitch {

std::vector<size_t> QueueSpread::loads(bool of_first_queues) const {
  std::vector<size_t> n(n_workers_);
  for (const auto& [queue, place] : places_)
    if (place.is_counted && (queue.queue == 0) == of_first_queues) ++n[place.worker];
  return n;
}

uint16_t QueueSpread::add(Queue queue) {
  const auto n = loads(queue.queue == 0);
  // Among equals another one for each queue of a port.
  auto best = static_cast<uint16_t>((queue.port + queue.queue) % n_workers_);
  for (uint16_t w = 0; w < n_workers_; ++w)
    if (n[w] < n[best]) best = w;
  places_[queue] = {best, true};
  return best;
}

void QueueSpread::remove_port(dataplane::PortId port) {
  std::erase_if(places_, [port](const auto& entry) { return entry.first.port == port; });
}

std::vector<QueueSpread::Move> QueueSpread::serve(std::span<const Queue> queues) {
  for (auto& [queue, place] : places_) place.is_counted = false;
  for (const Queue& q : queues) places_.at(q).is_counted = true;
  std::vector<Move> moves;
  balance(/*first_queues=*/true, moves);
  balance(/*first_queues=*/false, moves);
  return moves;
}

void QueueSpread::balance(bool first_queues, std::vector<Move>& moves) {
  auto n = loads(first_queues);
  for (;;) {
    const auto least = static_cast<uint16_t>(std::min_element(n.begin(), n.end()) - n.begin());
    const auto most = static_cast<uint16_t>(std::max_element(n.begin(), n.end()) - n.begin());
    if (n[most] <= n[least] + 1) return;
    // The one that came last, by number: those that have been there longest stay.
    const auto it = std::find_if(places_.rbegin(), places_.rend(), [&](const auto& entry) {
      return entry.second.is_counted && entry.second.worker == most && (entry.first.queue == 0) == first_queues;
    });
    moves.push_back({it->first, most, least});
    it->second.worker = least;
    --n[most];
    ++n[least];
  }
}

}  // namespace weft::vswitch
