// SPDX-License-Identifier: BSD-3-Clause
//
// From the model to YAML: canonical and minimal (keys in the documented order, defaults left out), and
// loading the text gives the same model again.
#pragma once

#include "config/model.h"

#include <string>

namespace weft::config {

/// A whole file: switch, uplinks, networks, ports, each left out when it is all defaults.
std::string to_yaml(const Config& config);

/// A file with only this network: "networks:" and one item.
std::string to_yaml(const Network& network);

}  // namespace weft::config
