// SPDX-License-Identifier: BSD-3-Clause
//
// From YAML text to the model, with every mistake found at once. Used on the control side only (weftd at
// start and on reload, weft for --check and import); no function here throws for what the text says.
#pragma once

#include "config/diagnostic.h"
#include "config/model.h"

#include <string>
#include <string_view>
#include <vector>

namespace weft::config {

/// Which keys are refused as "not supported yet".
enum class Support {
  kThisVersion,  // what the switch cannot do yet is an error
  kWholeSchema,  // everything the schema knows is fine: for tools that only translate
};

/// `config` is complete and may be used only when `errors` is empty. Notes never stand in the way: they say
/// what is accepted but done differently, or not at all (errors and notes are in the order of the file).
struct Loaded {
  Config config;
  std::vector<Diagnostic> errors;
  std::vector<Diagnostic> notes;
  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

/// Reads, validates and completes `text`; `file_name` is only for messages.
Loaded load(std::string_view text, std::string_view file_name, Support support = Support::kThisVersion);

/// The same for a file. A file that cannot be read is an error at line 0.
Loaded load_file(const std::string& path, Support support = Support::kThisVersion);

/// Fills in what was left out and depends on the rest; what is given stays. Idempotent; load() has done it
/// already.
/// - bridge.name: networks with a host seat get the first "virbrN" (or the template's) no network has
/// - bridge.host: yes when a name is given or the network has ips; always no in bridge mode
/// - lease of a range: an hour for IPv4, a day for IPv6
/// - address_mode of an uplink: host
void complete(Config& config);

/// Every rule that is about values rather than text, over a model from anywhere: load() has done it already;
/// the control side uses it for what is added at run time. Places come from the items' own `where`.
std::vector<Diagnostic> validate(const Config& config, Support support = Support::kThisVersion);

}  // namespace weft::config
