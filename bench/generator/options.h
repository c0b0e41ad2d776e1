// SPDX-License-Identifier: BSD-3-Clause
//
// The command line of weft-bench.
#pragma once

#include "dataplane/wire/addr.h"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace weft::bench {

inline constexpr int kExitDone = 0, kExitFailed = 1, kExitUsage = 2, kExitNobody = 3;

/// The run ended otherwise than well: what to say, and the exit code.
struct Failure : std::runtime_error {
  Failure(int code, const std::string& what) : std::runtime_error(what), exit_code(code) {}
  int exit_code;
};

enum class Mode { throughput, latency, search, nat, wake, hold };

struct Options {
  Mode mode = Mode::throughput;
  std::vector<std::string> sockets;
  bool listens = false;
  double wait_s = 20;

  unsigned size = 64;
  bool is_segmented = false;
  uint32_t n_flows = 0;  // 0: as many as addresses, and at least 256
  uint32_t n_macs = 1;
  bool is_one_way = false;
  bool rewrites = false;
  bool checks = false;

  unsigned ring = 256, burst = 32, window = 0;
  bool is_packed = false, is_in_order = false;
  double pps = 0;  // of each guest that sends; 0: as fast as it goes

  double seconds = 5, warm_up = 1;
  double loss = 0, resolution = 0.01;  // search: shares
  double gap_ms = 2;                   // wake
  bool is_new_sessions = false;        // nat
  wire::Ipv4Address inside{192, 168, 122, 10}, gateway{192, 168, 122, 1}, remote{198, 19, 0, 1};
  std::optional<wire::MacAddress> gateway_mac;

  std::optional<int> cpu, switch_cpu;
  bool is_json = false;

  [[nodiscard]] uint32_t flows() const noexcept;
};

/// What was asked for; nullopt when that was help or the version, which have been printed. Throws Failure(kExitUsage).
[[nodiscard]] std::optional<Options> parse_options(const std::vector<std::string>& arguments);

[[nodiscard]] const char* mode_name(Mode mode) noexcept;

}  // namespace weft::bench
