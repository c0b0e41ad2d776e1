// SPDX-License-Identifier: BSD-3-Clause
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::Packet;

void nat_in(Turn& turn, const Selection& in, Selection& to_route) noexcept {
  for (Packet* p : in) {
    const nat::InResult r = turn.masquerade.translate_in(*p, turn.uplink_id, turn.now_ms());
    if (r.drop != Drop::none) {
      turn.drop(*p, r.drop);
      continue;
    }
    p->network = r.network;
    to_route.add(*p);
  }
}

void nat_out(Turn& turn, const Selection& in, Selection& to_resolve) noexcept {
  if (in.empty()) return;
  const NetworkEntry& network = *turn.network;
  const auto& addresses = turn.snapshot->uplinks[network.uplink].addresses;
  const nat::OutContext context{
      .network = turn.network_id,
      .uplink = network.uplink,
      .pool = network.nat_addresses,
      .uplink_address = addresses.empty() ? wire::Ipv4Address() : addresses.front().address,
      .ports = {network.nat_port_start, network.nat_port_end},
  };
  for (Packet* p : in) {
    if (const Drop drop = turn.masquerade.translate_out(*p, context, turn.now_ms()); drop != Drop::none)
      turn.drop(*p, drop);
    else
      to_resolve.add(*p);
  }
}

}  // namespace weft::vswitch
