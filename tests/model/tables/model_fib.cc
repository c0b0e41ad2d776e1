// SPDX-License-Identifier: BSD-3-Clause
//
// Random routing tables beside a linear search.
#include "switch/fib.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;

const Route* search(const std::vector<Route>& routes, Ipv4Address address) {
  const Route* best = nullptr;
  for (const Route& r : routes) {
    if (!r.prefix.contains(address)) continue;
    if (best == nullptr || r.prefix.length > best->prefix.length ||
        (r.prefix.length == best->prefix.length && r.metric < best->metric))
      best = &r;
  }
  return best;
}

void run(uint64_t seed) {
  std::mt19937_64 random(seed);
  const size_t n = seed % 5 == 0 ? 2000 : random() % 40;
  const uint32_t spread = seed % 2 == 0 ? 0xffffffff : 0x00000fff;  // prefixes within each other, mostly
  std::vector<Route> routes;
  for (size_t i = 0; i < n; ++i) {
    Route r;
    r.prefix.address = Ipv4Address(static_cast<uint32_t>(random()) & spread);
    r.prefix.length = static_cast<uint8_t>(random() % 33);
    if (random() % 8 == 0) r.prefix.address = Ipv4Address(~uint32_t{0} - static_cast<uint32_t>(random() % 4));
    r.metric = static_cast<uint32_t>(random() % 3);
    r.interface = static_cast<InterfaceId>(i);
    routes.push_back(r);
    if (random() % 4 == 0) {  // the same once more
      r.metric = static_cast<uint32_t>(random() % 3);
      routes.push_back(r);
    }
  }
  const Fib fib(routes);
  const auto check = [&](uint32_t host) {
    const Route* expected = search(routes, Ipv4Address(host));
    const Route* found = fib.lookup(Ipv4Address(host));
    ASSERT_EQ(found == nullptr, expected == nullptr) << "seed " << seed << " " << Ipv4Address(host).to_string();
    if (found != nullptr) {
      ASSERT_EQ(*found, *expected) << "seed " << seed << " " << Ipv4Address(host).to_string();
    }
  };
  for (const Route& r : routes) {
    for (const uint32_t edge : {r.prefix.network().host(), r.prefix.broadcast().host()}) {
      for (const uint32_t host : {edge - 1, edge, edge + 1}) check(host);
    }
  }
  for (int i = 0; i < 500; ++i) check(static_cast<uint32_t>(random()) & spread);
}

TEST(ModelFib, FindsWhatALinearSearchFinds) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    run(seed);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weft::vswitch
