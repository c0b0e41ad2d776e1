// SPDX-License-Identifier: BSD-3-Clause
//
// Any text as <network> XML: the import ends, throws nothing, and what it accepts comes back unchanged
// through XML and through YAML.
#include "config/libvirt_xml.h"
#include "config/load.h"
#include "config/yaml_out.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft::config;
  const ImportResult r = import_network({reinterpret_cast<const char*>(data), size}, "f", Support::kWholeSchema);
  (void)to_string(r.errors);
  if (!r.ok()) return 0;
  Config c;
  c.networks.push_back(*r.network);
  c.uplinks = r.uplinks;
  const std::string yaml = to_yaml(c), xml = to_libvirt_xml(*r.network);
  complete(c);
  const Loaded by_yaml = load(yaml, "again", Support::kWholeSchema);
  const ImportResult by_xml = import_network(xml, "again", Support::kWholeSchema);
  Config again;
  if (by_xml.network) again.networks.push_back(*by_xml.network);
  again.uplinks = by_xml.uplinks;
  complete(again);
  if (!by_yaml.ok() || !(by_yaml.config == c) || !by_xml.ok() || !(again == c)) {
    std::fprintf(stderr, "does not come back:\n%s%s\n%s%s", yaml.c_str(), to_string(by_yaml.errors).c_str(),
                 xml.c_str(), to_string(by_xml.errors).c_str());
    std::abort();
  }
  return 0;
}
