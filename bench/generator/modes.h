// SPDX-License-Identifier: BSD-3-Clause
//
// What can be measured, each in a file of its own (mode_*.cc), and what comes out: facts for people and one JSON
// document for programs, with the same figures.
#pragma once

#include "bench/generator/crew.h"
#include "bench/generator/options.h"

#include <string>

#include <nlohmann/json.hpp>

namespace weft::bench {

struct Report {
  nlohmann::ordered_json json;
  std::string text;
};

/// Each throws Failure.
[[nodiscard]] Report measure_throughput(const Options& options);
[[nodiscard]] Report measure_latency(const Options& options);
[[nodiscard]] Report search_rate(const Options& options);
[[nodiscard]] Report measure_nat(const Options& options);
[[nodiscard]] Report measure_wake(const Options& options);
[[nodiscard]] Report hold(const Options& options);

// --- parts of reports (report.cc) ----------------------------------------------------------------------------------
/// What was sent: a line that says all that was asked for.
[[nodiscard]] Report begin_report(const Options& options);
/// Rates, loss, and whether the generator was the limit. `frame_bits`: of one frame, for Gb/s.
void add_rates(Report& report, const Options& options, const Measured& measured);
/// Percentiles in microseconds (text) and nanoseconds (JSON) under `key`, with the buckets when `has_buckets`.
void add_latency(Report& report, const char* title, const char* key, const Histogram& in_ticks, double ticks_per_second,
                 bool has_buckets);
/// "12.34 M", three figures after the point at most.
[[nodiscard]] std::string human_rate(double per_second);

/// Below this share of starved looks an unpaced run tells about the generator.
inline constexpr double kStarvedEnough = 0.9;

}  // namespace weft::bench
