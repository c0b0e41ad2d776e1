// SPDX-License-Identifier: BSD-3-Clause
//
// One thing to tell the person who wrote a configuration: where, about which key, and what would be right.
#pragma once

#include "config/model.h"

#include <string>
#include <vector>

namespace weft::config {

struct Diagnostic {
  Location where;
  std::string key;      // "networks[0].ips[0].prefix", or "<ip prefix>" in XML; empty: the file as a whole
  std::string message;  // what was found and what would be right

  /// "file:line:column: key: message", in one line whatever the file contained.
  [[nodiscard]] std::string to_string() const;
};

/// One diagnostic a line, each ended by a newline.
std::string to_string(const std::vector<Diagnostic>& diagnostics);

}  // namespace weft::config
