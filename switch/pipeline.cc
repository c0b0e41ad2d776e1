// SPDX-License-Identifier: BSD-3-Clause
#include "switch/pipeline.h"

#include "dataplane/wire/headers.h"
#include "switch/stages.h"

namespace weft::vswitch {

using dataplane::Burst;
using dataplane::Drop;
using dataplane::OwnedMeta;
using dataplane::OwnedPool;
using dataplane::Packet;

namespace {
constexpr uint32_t kSweepBuckets = 2048;  // of the fdb, each tick

nat::Masquerade::Config masquerade_config(const Pipeline::Options& options) {
  nat::Masquerade::Config config;
  config.table.seed = {options.seed, options.seed * 0x9e3779b97f4a7c15};
  config.random_key = options.nat_key;
  return config;
}
}  // namespace

Pipeline::Pipeline(const Options& options, const std::atomic<const Snapshot*>& snapshot, Fdb& fdb, OwnedPool& owned)
    : published_(snapshot),
      worker_(options.worker),
      neighbours_({.seed = options.seed}),
      masquerade_(masquerade_config(options)),
      icmp_errors_({.seed = options.seed}),
      turn_{.counters = counters_,
            .owned = owned,
            .fdb = fdb,
            .neighbours = neighbours_,
            .masquerade = masquerade_,
            .limits = limits_,
            .icmp_errors = icmp_errors_,
            .mailbox = mailbox_,
            .egress = egress_,
            .resolver = resolver_} {}

const dataplane::QueueList& Pipeline::begin_turn() noexcept {
  turn_.snapshot = published_.load(std::memory_order_acquire);
  return turn_.snapshot->queues[worker_];
}

void Pipeline::set_source(const dataplane::RxQueue& from, uint64_t now_ns) noexcept {
  turn_.now_ns = now_ns;
  turn_.in_port = from.id;
  turn_.in = &turn_.snapshot->ports[from.id];
  turn_.uplink_id = turn_.in->uplink;
  turn_.network_id = turn_.in->network;
  turn_.network = turn_.snapshot->network(turn_.network_id);
}

void Pipeline::set_no_source(uint64_t now_ns) noexcept {
  turn_.now_ns = now_ns;
  turn_.in_port = kNoPort;
  turn_.in = nullptr;
  turn_.network = nullptr;
  turn_.network_id = kNoNetwork;
  turn_.uplink_id = kNoUplink;
}

void Pipeline::process(const dataplane::RxQueue& from, Burst& burst, uint64_t now_ns) noexcept {
  set_source(from, now_ns);
  Selection received(burst);
  uint64_t bytes = 0;
  received.filter([&](Packet& p) {
    p.in_port = from.id;
    bytes += p.size;
    if (p.drop == Drop::none) [[likely]]
      return true;
    turn_.drop(p, p.drop);  // the port could not make a frame of it
    return false;
  });
  auto& counters = counters_[from.id];
  counters.rx_packets.add(burst.size());
  counters.rx_bytes.add(bytes);

  if (turn_.network != nullptr)
    from_network(received);
  else if (turn_.uplink_id != kNoUplink)
    from_uplink(received);
  else
    for (Packet* p : received) turn_.drop(*p, Drop::ingress_port_down);
  egress_.flush(turn_);
  resolver_.flush(turn_);
  mailbox_.flush();
}

void Pipeline::from_network(Selection& packets) noexcept {
  Selection to_router, to_route, to_nat_out, to_resolve;
  parse(turn_, packets);
  ingress(turn_, packets);
  l2(turn_, packets, to_router);
  if (to_router.empty()) return;
  local(turn_, to_router, to_route);
  route(turn_, to_route, to_nat_out, to_resolve);
  nat_out(turn_, to_nat_out, to_resolve);
  resolve(turn_, to_resolve);
}

void Pipeline::from_uplink(Selection& packets) noexcept {
  Selection to_nat_in, to_route, to_nat_out, to_resolve;
  parse(turn_, packets);
  uplink_input(turn_, packets, to_nat_in, to_route);
  nat_in(turn_, to_nat_in, to_route);
  route(turn_, to_route, to_nat_out, to_resolve);
  resolve(turn_, to_resolve);
}

void Pipeline::inject(Packet& p, const OwnedMeta& meta) noexcept {
  const NetworkEntry* network = turn_.snapshot->network(meta.network);
  if (network == nullptr) return turn_.drop(p, Drop::port_removed);
  const auto* eth = reinterpret_cast<const wire::EthernetHeader*>(p.head);
  if (eth->destination.is_multicast()) return egress_.flood(turn_, p, *network);
  transmit(turn_, p, interface_of_network(meta.network), eth->destination);
}

uint32_t Pipeline::mailbox(uint64_t now_ns) noexcept {
  set_no_source(now_ns);
  uint32_t work = mailbox_.run_jobs();
  if (masquerade_.tick(turn_.now_ms())) ++work;  // expiry, a little each turn; a backlog keeps the worker awake
  rte_mbuf* taken[dataplane::kBurst];
  uint16_t n = 0;
  injected_.clear();
  while (!injected_.full() && injected_.has_segment_room()) {
    rte_mbuf* m = mailbox_.from_control();
    if (m == nullptr) break;
    taken[n++] = m;
    Packet& p = OwnedPool::load(m, injected_);
    counters_[p.in_port].released.add(1);
    inject(p, OwnedPool::meta(m));
  }
  if (n != 0) {
    egress_.flush(turn_);
    for (uint16_t i = 0; i < n; ++i) OwnedPool::free(taken[i]);
  }
  resolver_.flush(turn_);  // what a job made or released
  mailbox_.flush();
  return work + n;
}

void Pipeline::tick(uint64_t now_ns) noexcept {
  set_no_source(now_ns);
  resolver_.tick(turn_);
  resolver_.flush(turn_);
  if (worker_ == 0) turn_.fdb.sweep(turn_.now_s(), kSweepBuckets);
}

}  // namespace weft::vswitch
