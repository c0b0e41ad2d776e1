// SPDX-License-Identifier: BSD-3-Clause
//
// `weft import`: the command line around config/libvirt_xml.h. Needs no switch and changes nothing.
#include "config/libvirt_xml.h"
#include "config/yaml_out.h"
#include "tools/client.h"
#include "tools/command.h"
#include "tools/print.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ostream>

#include <fmt/format.h>

namespace weft::tools {
namespace {

std::string read_file(const std::string& path) {
  try {
    std::ifstream file;
    file.exceptions(std::ios::badbit | std::ios::failbit);
    file.open(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  } catch (const std::ios_base::failure&) {  // a directory opens, and then fails to read
    throw Failure(kExitUsage, fmt::format("{}: cannot be read", path));
  }
}

void say(std::ostream& err, const std::vector<config::Diagnostic>& diagnostics, const char* kind) {
  for (const config::Diagnostic& d : diagnostics) err << kind << printable(d.to_string()) << "\n";
}

}  // namespace

int run_import(const Arguments& arguments, std::ostream& out, std::ostream& err) {
  config::Config config;
  bool is_good = true;
  for (const std::string& path : arguments.all("FILE.xml")) {
    config::ImportResult result = config::import_network(read_file(path), path);
    say(err, result.notes, "note: ");
    say(err, result.errors, "");
    if (!result.ok()) {
      is_good = false;
      continue;
    }
    config.networks.push_back(std::move(*result.network));
    for (config::Uplink& uplink : result.uplinks) {
      // Two networks may leave through the same device.
      if (std::ranges::find(config.uplinks, uplink) == config.uplinks.end()) {
        config.uplinks.push_back(std::move(uplink));
      }
    }
  }
  if (!is_good) return kExitUsage;

  // What each file said alone was right; together they may still clash (one name, one address twice).
  config::Config completed = config;
  config::complete(completed);
  const std::vector<config::Diagnostic> clashes = config::validate(completed);
  say(err, clashes, "");
  if (!clashes.empty()) return kExitUsage;
  out << config::to_yaml(config);
  return kExitDone;
}

}  // namespace weft::tools
