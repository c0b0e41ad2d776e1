// SPDX-License-Identifier: BSD-3-Clause
#include "switch/egress.h"

#include <new>

#include <sys/mman.h>

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::Packet;

void Egress::Unmap::operator()(Bucket* p) const noexcept { munmap(p, dataplane::kMaxPorts * sizeof(Bucket)); }

Egress::Egress() {
  void* p = mmap(nullptr, dataplane::kMaxPorts * sizeof(Bucket), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  buckets_.reset(static_cast<Bucket*>(p));
}

void Egress::send(Turn& turn, Packet& packet, PortId out) noexcept {
  if (turn.snapshot->port(out) == nullptr) return turn.drop(packet, Drop::egress_port_gone);
  send(packet, out);
}

void Egress::flood(Turn& turn, Packet& packet, const NetworkEntry& network) noexcept {
  const PortEntry* from = turn.snapshot->port(packet.in_port);
  const bool is_isolated = from != nullptr && from->is_isolated;
  uint32_t n = 0;
  for (const PortId member : network.members) {
    if (member == packet.in_port || (is_isolated && turn.snapshot->ports[member].is_isolated)) continue;
    add(member, packet);
    ++n;
  }
  if (n == 0) return turn.drop(packet, Drop::l2_no_member);
  if (n > 1) turn.counters[packet.in_port].copies.add(n - 1);
}

void Egress::write_out(Turn& turn, PortId out, Bucket& bucket) noexcept {
  const std::span<Packet* const> packets(bucket.packets.data(), bucket.size);
  turn.snapshot->ports[out].port->tx(turn.worker, packets);
  uint64_t n = 0, bytes = 0;
  for (Packet* p : packets) {
    if (p->drop == Drop::none) {
      ++n;
      bytes += p->size;
    } else {
      turn.drop(*p, p->drop);
      p->drop = Drop::none;  // this copy's fate; another port may take the next
    }
  }
  auto& counters = turn.counters[out];
  counters.tx_packets.add(n);
  counters.tx_bytes.add(bytes);
  bucket.size = 0;
}

void Egress::flush(Turn& turn) noexcept {
  for (uint16_t i = 0; i < n_used_; ++i) write_out(turn, used_[i], buckets_[used_[i]]);
  n_used_ = 0;
}

}  // namespace weft::vswitch
