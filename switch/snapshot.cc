// SPDX-License-Identifier: BSD-3-Clause
#include "switch/snapshot.h"

#include <algorithm>

namespace weft::vswitch {

bool Snapshot::is_host_address(wire::Ipv4Address a) const noexcept {
  return std::binary_search(host_addresses.begin(), host_addresses.end(), a);
}

bool Snapshot::is_switch_address(wire::Ipv4Address a) const noexcept {
  return std::binary_search(switch_addresses.begin(), switch_addresses.end(), a);
}

}  // namespace weft::vswitch
