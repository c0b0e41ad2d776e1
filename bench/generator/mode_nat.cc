// SPDX-License-Identifier: BSD-3-Clause
//
// Round trips through an address translator: a guest inside, and one on an uplink that turns each frame round. Every
// frame counted has crossed the translator twice.
#include "bench/generator/modes.h"
#include "bench/generator/tsc.h"

#include <fmt/format.h>

namespace weft::bench {
namespace {

/// The MAC address of the inside guest's router, by ARP.
wire::MacAddress find_gateway(Crew& crew, const Options& o) {
  const auto mac = mac_of(0, 0);
  const auto deadline = ticks() + static_cast<uint64_t>(5 * crew.ticks_per_second());
  uint64_t next_try = 0;
  std::optional<wire::MacAddress> found;
  while (!found) {
    if (ticks() > deadline)
      throw Failure(kExitFailed,
                    fmt::format("{} does not answer ARP (--gateway, or --gateway-mac)", o.gateway.to_string()));
    if (ticks() > next_try) {
      crew.station(0).say(make_arp_request(mac, o.inside, o.gateway));
      next_try = ticks() + static_cast<uint64_t>(0.1 * crew.ticks_per_second());
    }
    crew.station(1).reflect();
    crew.station(0).listen([&](const uint8_t* frame, uint32_t size) {
      if (!found) found = read_arp_reply({frame, size}, o.gateway);
    });
  }
  return *found;
}

void turn_for(Crew& crew, double seconds) {
  const auto end = ticks() + static_cast<uint64_t>(seconds * crew.ticks_per_second());
  Station& inside = crew.station(0);
  Station& outside = crew.station(1);
  for (uint64_t now = ticks(); now < end; now = ticks()) {
    inside.send(now);
    outside.reflect();
    inside.receive();
  }
}

}  // namespace

Report measure_nat(const Options& o) {
  Crew crew(o, Crew::Signals::polled);
  Load load;
  load.ends = {mac_of(0, 0), o.gateway_mac.value_or(wire::MacAddress()), o.inside, o.remote};
  load.size = o.size;
  load.n_flows = o.flows();
  load.is_new_sessions = o.is_new_sessions;
  load.rewrites = o.rewrites;
  load.stamps = o.checks;
  crew.add_station(0, load).answer_arp(mac_of(0, 0));
  Load idle;
  idle.ends = {mac_of(1, 0), mac_of(0, 0), o.remote, o.inside};
  idle.size = o.size;
  crew.add_station(1, idle).answer_arp(mac_of(1, 0));
  if (o.checks) crew.station(0).expect_from(crew.station(0));
  crew.connect();
  if (!o.gateway_mac) crew.station(0).aim(find_gateway(crew, o));

  turn_for(crew, o.warm_up);
  crew.station(0).forget();
  if (o.pps > 0) crew.station(0).pace(crew.ticks_per_second() / o.pps, ticks());
  const StationCounts before = crew.station(0).counts();
  const uint64_t start = ticks();
  turn_for(crew, o.seconds);
  const StationCounts after = crew.station(0).counts();
  Measured m;
  m.seconds = static_cast<double>(ticks() - start) / crew.ticks_per_second();
  m.sent = after.sent - before.sent;
  m.received = m.arrived = after.received - before.received;
  m.other = after.other - before.other;
  m.polls = after.polls - before.polls;
  m.starved = after.starved - before.starved;
  m.refused = crew.station(0).pacer().refused();
  m.late = crew.station(0).pacer().late();
  m.is_checked = o.checks;
  m.sequence = crew.station(0).sequence();
  crew.check_connected();
  if (m.received == 0) throw Failure(kExitFailed, "no frame came back from the uplink");
  Report r = begin_report(o);
  r.json["new-sessions"] = o.is_new_sessions;
  add_rates(r, o, m);
  r.text += o.is_new_sessions ? "  each frame a session of its own; counted when it came back inside\n"
                              : "  counted when they came back inside, twice translated\n";
  return r;
}

}  // namespace weft::bench
