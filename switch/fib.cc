// SPDX-License-Identifier: BSD-3-Clause
#include "switch/fib.h"

#include <algorithm>
#include <utility>

namespace weft::vswitch {

Fib::Fib(std::vector<Route> routes) : routes_(std::move(routes)) {
  // Outer prefixes before those within them; of one prefix the best route first.
  std::vector<uint32_t> order(routes_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    const Route& x = routes_[a];
    const Route& y = routes_[b];
    if (x.prefix.network() != y.prefix.network()) return x.prefix.network() < y.prefix.network();
    if (x.prefix.length != y.prefix.length) return x.prefix.length < y.prefix.length;
    return x.metric < y.metric;
  });

  const auto begin_interval = [this](uint32_t start, uint32_t route) {
    if (!starts_.empty() && starts_.back() == start) {  // a longer prefix with the same first address
      route_of_.back() = route;
      return;
    }
    starts_.push_back(start);
    route_of_.push_back(route);
  };
  begin_interval(0, kNone);
  std::vector<uint32_t> open;  // prefixes that hold the present address, the longest last
  const auto close_until = [&](uint64_t start) {
    while (!open.empty()) {
      const uint64_t end = uint64_t{routes_[open.back()].prefix.broadcast().host()} + 1;
      if (end > start) break;
      open.pop_back();
      if (end <= 0xffffffff) begin_interval(static_cast<uint32_t>(end), open.empty() ? kNone : open.back());
    }
  };
  const Route* previous = nullptr;
  for (const uint32_t i : order) {
    const Route& route = routes_[i];
    const bool is_worse = previous != nullptr && previous->prefix.network() == route.prefix.network() &&
                          previous->prefix.length == route.prefix.length;
    if (is_worse) continue;
    previous = &route;
    const uint32_t start = route.prefix.network().host();
    close_until(start);
    begin_interval(start, i);
    open.push_back(i);
  }
  close_until(uint64_t{1} << 32);
}

}  // namespace weft::vswitch
