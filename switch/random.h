// SPDX-License-Identifier: BSD-3-Clause
//
// Randomness that no guest can foresee, from the kernel. Any thread.
#pragma once

#include <cstdint>
#include <system_error>

#include <sys/random.h>

namespace weft::vswitch {

inline uint64_t random_u64() {
  uint64_t v;
  if (getrandom(&v, sizeof v, 0) != sizeof v) throw std::system_error(errno, std::generic_category(), "getrandom");
  return v;
}

}  // namespace weft::vswitch
