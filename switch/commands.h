// SPDX-License-Identifier: BSD-3-Clause
//
// What the commands of `weft` do inside weftd: JSON arguments in, JSON result out, keys as the command line documents
// them. Control thread.
#pragma once

#include "config/model.h"
#include "switch/control_server.h"

#include <string>

#include <nlohmann/json.hpp>

namespace weft::vswitch {

class Daemon;

/// Runs one command; `respond` is called once, now or later. Throws CommandError.
void run_command(Daemon& daemon, const std::string& command, const nlohmann::json& arguments,
                 const ControlServer::Respond& respond);

/// The port that `port-add` arguments describe (also as they are kept in the state). Throws CommandError.
[[nodiscard]] config::Port port_from_json(const nlohmann::json& arguments);

}  // namespace weft::vswitch
