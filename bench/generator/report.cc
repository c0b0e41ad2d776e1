// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/modes.h"

#include <cmath>

#include <fmt/format.h>

namespace weft::bench {

std::string human_rate(double per_second) {
  if (per_second >= 1e6) return fmt::format("{:.3f} M", per_second / 1e6);
  if (per_second >= 1e3) return fmt::format("{:.2f} k", per_second / 1e3);
  return fmt::format("{:.1f} ", per_second);
}

Report begin_report(const Options& o) {
  Report r;
  r.json["mode"] = mode_name(o.mode);
  r.json["guests"] = o.sockets.size();
  r.json["size"] = o.size;
  r.json["tso"] = o.is_segmented;
  r.json["flows"] = o.flows();
  r.json["macs"] = o.n_macs;
  r.json["one-way"] = o.is_one_way;
  r.json["rewrite"] = o.rewrites;
  r.json["packed"] = o.is_packed;
  r.json["in-order"] = o.is_in_order;
  r.json["burst"] = o.burst;
  r.json["offered-pps"] = o.pps;
  r.text = fmt::format("{}: {} guests, {} B{}, {} flow{}, {} MAC address{} a guest{}{}{}, {} s\n", mode_name(o.mode),
                       o.sockets.size(), o.size, o.is_segmented ? " TCP segments to be cut" : "", o.flows(),
                       o.flows() == 1 ? "" : "s", o.n_macs, o.n_macs == 1 ? "" : "es", o.is_one_way ? ", one way" : "",
                       std::string(o.is_packed ? ", packed rings" : "") + (o.is_in_order ? ", in order" : "") +
                           (o.rewrites ? ", every frame written anew" : ""),
                       o.pps > 0 ? fmt::format(", {}frames/s each", human_rate(o.pps)) : "", o.seconds);
  return r;
}

namespace {

void line(Report& r, const char* title, const std::string& value) {
  r.text += fmt::format("  {:<12} {}\n", title, value);
}

/// Whose limit it was.
void add_verdict(Report& r, const Options& o, const Measured& m) {
  const bool is_paced = o.pps > 0;
  const bool is_generators = is_paced ? m.is_behind() : m.starved_share() < kStarvedEnough;
  r.json["starved"] = std::round(m.starved_share() * 1e4) / 1e4;
  r.json["generator-limited"] = is_generators;
  std::string what;
  if (is_paced)
    what = is_generators ? fmt::format("the generator was the limit: {} frames were not offered in time", m.late)
                         : "the load was offered as asked for";
  else
    what = is_generators ? "the generator was the limit: this says what it can, not what the switch can"
                         : "the switch was the limit";
  line(r, "starved", fmt::format("{:.3f}  {}", m.starved_share(), what));
}

}  // namespace

void add_rates(Report& r, const Options& o, const Measured& m) {
  const double bits = 8.0 * o.size;
  r.json["seconds"] = m.seconds;
  r.json["mpps"] = m.pps() / 1e6;
  r.json["gbps"] = m.pps() * bits / 1e9;
  r.json["sent"] = m.sent;
  r.json["refused"] = m.refused;
  r.json["received"] = m.arrived;
  r.json["other"] = m.other;
  r.json["loss"] = m.loss();
  line(r, "received", fmt::format("{}frames/s  {:.2f} Gb/s", human_rate(m.pps()), m.pps() * bits / 1e9));
  line(r, "lost",
       fmt::format("{:.4f} %  {} of {}{}", 100 * m.loss(), m.sent + m.refused - std::min(m.arrived, m.sent),
                   m.sent + m.refused, m.refused != 0 ? fmt::format(", {} refused by a full ring", m.refused) : ""));
  add_verdict(r, o, m);
  if (!m.is_checked) return;
  r.json["sequence"] = {{"in-order", m.sequence.in_order},
                        {"late", m.sequence.late},
                        {"twice", m.sequence.twice},
                        {"missing", m.sequence.missing}};
  line(r, "order",
       fmt::format("{} in order, {} late, {} twice, {} missing within their flow", m.sequence.in_order, m.sequence.late,
                   m.sequence.twice, m.sequence.missing));
}

void add_latency(Report& r, const char* title, const char* key, const Histogram& h, double ticks_per_second,
                 bool has_buckets) {
  const double ns = 1e9 / ticks_per_second;
  const auto at = [&](double fraction) { return static_cast<double>(h.percentile(fraction)) * ns; };
  auto& j = r.json[key];
  j["count"] = h.total();
  j["min"] = std::round(static_cast<double>(h.min()) * ns);
  j["mean"] = std::round(h.mean() * ns);
  j["p50"] = std::round(at(0.5));
  j["p90"] = std::round(at(0.9));
  j["p99"] = std::round(at(0.99));
  j["p99.9"] = std::round(at(0.999));
  j["max"] = std::round(static_cast<double>(h.max()) * ns);
  if (has_buckets) {
    auto& buckets = j["buckets"] = nlohmann::ordered_json::array();  // [up to ns, count]
    h.for_each([&](uint64_t highest, uint64_t count) {
      buckets.push_back({std::round(static_cast<double>(highest) * ns), count});
    });
  }
  line(r, title,
       fmt::format("µs  p50 {:.2f}  p90 {:.2f}  p99 {:.2f}  p99.9 {:.2f}  max {:.2f}  mean {:.2f}  of {}",
                   at(0.5) / 1e3, at(0.9) / 1e3, at(0.99) / 1e3, at(0.999) / 1e3,
                   static_cast<double>(h.max()) * ns / 1e3, h.mean() * ns / 1e3, h.total()));
}

}  // namespace weft::bench
