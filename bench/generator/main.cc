// SPDX-License-Identifier: BSD-3-Clause
//
// weft-bench, which `weft bench` runs: options in, one report out.
#include "bench/generator/modes.h"

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/resource.h>

namespace {

using namespace weft::bench;

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    throw Failure(kExitUsage, "--cpu: there is no CPU " + std::to_string(cpu) + " to run on");
}

/// Many guests need many descriptors.
void raise_fd_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Report run(const Options& o) {
  switch (o.mode) {
    case Mode::throughput:
      return measure_throughput(o);
    case Mode::latency:
      return measure_latency(o);
    case Mode::search:
      return search_rate(o);
    case Mode::nat:
      return measure_nat(o);
    case Mode::wake:
      return measure_wake(o);
    case Mode::hold:
      return hold(o);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto options = parse_options({argv + 1, argv + argc});
    if (!options) return std::fflush(stdout) == 0 ? kExitDone : kExitFailed;
    if (options->cpu) pin(*options->cpu);
    raise_fd_limit();
    const Report report = run(*options);
    const std::string text = options->is_json ? report.json.dump(2) + "\n" : report.text;
    std::fputs(text.c_str(), stdout);
    // A full disk or a closed pipe must not look like success.
    return std::fflush(stdout) == 0 ? kExitDone : kExitFailed;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "weft bench: %s\n", failure.what());
    return failure.exit_code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weft bench: %s\n", e.what());
    return kExitFailed;
  }
}
