// SPDX-License-Identifier: BSD-3-Clause
//
// For fuzz targets: properties that must hold, whatever the build type.
#pragma once

#include "dns/message.h"

#include <cstdio>
#include <cstdlib>

namespace weft::dns {

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// The message is a response that can be read to its last byte.
inline void check_response(std::span<const uint8_t> message) {
  Reader reader(message);
  const auto header = reader.header();
  check(header && (header->flags & flag::kResponse) != 0, "a response");
  for (unsigned i = 0; i < header->counts[0]; ++i) check(reader.question().has_value(), "its questions are readable");
  const unsigned n = unsigned{header->counts[1]} + header->counts[2] + header->counts[3];
  for (unsigned i = 0; i < n; ++i) check(reader.record().has_value(), "its records are readable");
  check(reader.offset() == message.size(), "nothing is left over");
}

}  // namespace weft::dns
