// SPDX-License-Identifier: BSD-3-Clause
//
// Guests that send to each other: throughput, latency, and the search for a rate without loss.
#include "bench/generator/modes.h"
#include "bench/generator/rate_search.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::bench {
namespace {

/// Guests that know whom to expect, connected and warmed up.
Crew ready_crew(const Options& o) {
  Crew crew(o, Crew::Signals::polled);
  const auto n = static_cast<unsigned>(o.sockets.size());
  for (unsigned i = 0; i < n; ++i) crew.add_station(i, switching_load(o, i));
  if (o.checks)
    for (unsigned i = 0; i < n; ++i) crew.station((i + 1) % n).expect_from(crew.station(i));
  crew.connect();
  crew.warm_up(o.warm_up, o.is_one_way);
  return crew;
}

void require_traffic(const Measured& m) {
  if (m.arrived == 0) throw Failure(kExitFailed, "no frame came through the switch");
}

}  // namespace

Report measure_throughput(const Options& o) {
  Crew crew = ready_crew(o);
  const Measured m = crew.measure(o.seconds, o.pps, o.is_one_way);
  require_traffic(m);
  Report r = begin_report(o);
  add_rates(r, o, m);
  return r;
}

Report measure_latency(const Options& o) {
  Crew crew = ready_crew(o);
  const Measured m = crew.measure(o.seconds, o.pps, o.is_one_way);
  require_traffic(m);
  Histogram all;
  for (size_t i = 0; i < crew.n_guests(); ++i) all.add(crew.station(i).latency());
  Report r = begin_report(o);
  add_rates(r, o, m);
  add_latency(r, "latency", "latency-ns", all, crew.ticks_per_second(), /*has_buckets=*/true);
  return r;
}

Report search_rate(const Options& o) {
  Crew crew = ready_crew(o);
  const auto n_senders = static_cast<double>(o.is_one_way ? 1 : crew.n_guests());
  const Measured free_run = crew.measure(std::min(o.seconds, 1.0), 0, o.is_one_way);
  require_traffic(free_run);
  // What goes through freely is an upper end: a closed loop is never slower than an open one without loss.
  const double highest = o.pps > 0 ? o.pps : 1.1 * free_run.pps() / n_senders;
  RateSearch search(highest, o.loss, o.resolution);
  Report r = begin_report(o);
  auto& trials = r.json["trials"] = nlohmann::ordered_json::array();
  bool is_generators = false;
  while (const auto rate = search.next()) {
    const Measured m = crew.measure(o.seconds, *rate, o.is_one_way);
    search.report(m.loss());
    is_generators = is_generators || m.is_behind();
    trials.push_back({{"pps", *rate}, {"loss", m.loss()}, {"late", m.late}});
    r.text += fmt::format("  {:>12}frames/s each: {:.5f} % lost{}\n", human_rate(*rate), 100 * m.loss(),
                          m.is_behind() ? ", not all offered in time" : "");
  }
  const double found = search.best() * n_senders;
  r.json["loss-allowed"] = o.loss;
  r.json["mpps"] = found / 1e6;
  r.json["gbps"] = found * 8 * o.size / 1e9;
  r.json["free-mpps"] = free_run.pps() / 1e6;
  r.json["generator-limited"] = is_generators;
  r.text += fmt::format("  {:<12} {}frames/s in all with at most {} % lost; {}frames/s run freely\n", "found",
                        human_rate(found), 100 * o.loss, human_rate(free_run.pps()));
  if (is_generators) r.text += "  the generator was the limit in some trials\n";
  return r;
}

}  // namespace weft::bench
