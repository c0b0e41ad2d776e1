// SPDX-License-Identifier: BSD-3-Clause
//
// Correct configurations at random, every key of the schema among them, for tests that say "for all".
#pragma once

#include "config/model.h"

#include <random>

namespace weft::config::testing {

/// A configuration that load() would accept with Support::kWholeSchema, not yet completed.
Config random_config(std::mt19937_64& rng);

/// A network as <network> XML can say it: nothing that only weft knows.
Network random_libvirt_network(std::mt19937_64& rng);

}  // namespace weft::config::testing
