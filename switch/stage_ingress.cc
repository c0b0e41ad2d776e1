// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/headers.h"
#include "switch/stages.h"

namespace weft::vswitch {

void ingress(Turn& turn, Selection& packets) noexcept {
  packets.filter([&](dataplane::Packet& p) {
    // Broadcast here; unknown unicast shares the bucket, and is known to be unknown only in l2.
    const auto* eth = reinterpret_cast<const wire::EthernetHeader*>(p.head);
    if (!eth->destination.is_broadcast()) [[likely]]
      return true;
    if (turn.in->role != Role::guest || turn.limits[turn.in_port].storm.take(turn.now_ns)) return true;
    turn.drop(p, dataplane::Drop::ingress_storm);
    return false;
  });
}

}  // namespace weft::vswitch
