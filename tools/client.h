// SPDX-License-Identifier: BSD-3-Clause
//
// The control socket from the asking side: one request a line, one answer a line, JSON both. What the
// requests and results are is written beside each command in commands.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

namespace weft::tools {

/// A command ended otherwise than well: what to tell on stderr and with which code to leave (the contract: 1
/// the switch refused, 2 wrong usage or configuration, 3 no switch to talk to).
struct Failure : std::runtime_error {
  Failure(int exit, const std::string& message) : std::runtime_error(message), exit_code(exit) {}
  int exit_code;
};

inline constexpr int kExitDone = 0;
inline constexpr int kExitRefused = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNoSwitch = 3;

inline constexpr const char* kDefaultSocket = "/run/weft/weft.sock";

/// Asks the weftd that listens on `socket_path` and returns its `result`.
/// Throws Failure: kExitNoSwitch when nobody listens, the permission is missing, or the answer does not come
/// whole within `timeout`; what the switch says (1 or 2) when it answers with an error.
[[nodiscard]] nlohmann::json ask(const std::string& socket_path, const std::string& command, const nlohmann::json& args,
                                 std::chrono::milliseconds timeout = std::chrono::seconds(30));

}  // namespace weft::tools
