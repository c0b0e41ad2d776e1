// SPDX-License-Identifier: BSD-3-Clause
//
// Any text as a configuration: load() ends, throws nothing, and what it accepts is written and read back
// unchanged.
#include "config/load.h"
#include "config/yaml_out.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft::config;
  const Loaded loaded = load({reinterpret_cast<const char*>(data), size}, "f", Support::kWholeSchema);
  (void)to_string(loaded.errors);
  if (!loaded.ok()) return 0;
  const std::string text = to_yaml(loaded.config);
  const Loaded again = load(text, "again", Support::kWholeSchema);
  if (!again.ok() || !(again.config == loaded.config)) {
    std::fprintf(stderr, "does not come back:\n%s\n%s", text.c_str(), to_string(again.errors).c_str());
    std::abort();
  }
  return 0;
}
