// SPDX-License-Identifier: BSD-3-Clause
#include "switch/pipeline.h"

#include "dataplane/wire/headers.h"
#include "switch/stages.h"

#include <algorithm>

namespace weft::vswitch {

using dataplane::Burst;
using dataplane::Drop;
using dataplane::OwnedMeta;
using dataplane::OwnedPool;
using dataplane::OwnedStage;
using dataplane::Packet;

namespace {
constexpr uint32_t kSweepBuckets = 2048;  // of the fdb, each tick

nat::Masquerade::Config masquerade_config(const Pipeline::Options& options) {
  nat::Masquerade::Config config;
  config.table.seed = {options.seed, options.seed * 0x9e3779b97f4a7c15};
  if (options.handoffs != nullptr) config.table.shard = {options.worker, options.handoffs->n_workers()};
  config.random_key = options.nat_key;
  return config;
}

/// Workers share the rate of ICMP errors the router makes; each has its own account of their receivers.
IcmpErrorLimit::Options icmp_error_options(const Pipeline::Options& options) noexcept {
  IcmpErrorLimit::Options o{.seed = options.seed};
  const uint32_t n = options.handoffs != nullptr ? options.handoffs->n_workers() : 1;
  o.per_second = std::max(1U, o.per_second / n);
  o.burst = std::max(1U, o.burst / n);
  return o;
}
}  // namespace

Pipeline::Pipeline(const Options& options, const std::atomic<const Snapshot*>& snapshot, Fdb& fdb, OwnedPool& owned)
    : published_(snapshot),
      worker_(options.worker),
      neighbours_({.seed = options.seed}),
      masquerade_(masquerade_config(options)),
      icmp_errors_(icmp_error_options(options)),
      turn_{.counters = counters_,
            .owned = owned,
            .fdb = fdb,
            .neighbours = neighbours_,
            .masquerade = masquerade_,
            .limits = limits_,
            .icmp_errors = icmp_errors_,
            .mailbox = mailbox_,
            .egress = egress_,
            .resolver = resolver_,
            .worker = options.worker} {
  if (options.handoffs == nullptr) return;
  handoff_.emplace(*options.handoffs, worker_);
  turn_.handoff = &*handoff_;
}

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
  if (handoff_) handoff_->flush();
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
  if (handoff_) handoff_->keep_own(turn_, to_nat_out, OwnedStage::nat_out);
  nat_out(turn_, to_nat_out, to_resolve);
  resolve(turn_, to_resolve);
}

void Pipeline::from_uplink(Selection& packets) noexcept {
  Selection to_nat_in, to_route, to_nat_out, to_resolve;
  parse(turn_, packets);
  uplink_input(turn_, packets, to_nat_in, to_route);
  if (handoff_) handoff_->keep_own(turn_, to_nat_in, OwnedStage::nat_in);
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

uint32_t Pipeline::take_injected() noexcept {
  rte_mbuf* taken[dataplane::kBurst];
  uint16_t n = 0;
  taken_.clear();
  while (!taken_.full() && taken_.has_segment_room()) {
    rte_mbuf* m = mailbox_.from_control();
    if (m == nullptr) break;
    taken[n++] = m;
    Packet& p = OwnedPool::load(m, taken_);
    counters_[p.in_port].released.add(1);
    inject(p, OwnedPool::meta(m));
  }
  if (n != 0) {
    egress_.flush(turn_);
    for (uint16_t i = 0; i < n; ++i) OwnedPool::free(taken[i]);
  }
  return n;
}

uint32_t Pipeline::take_handed_over(uint64_t now_ns) noexcept {
  Handoffs& all = handoff_->all();
  uint32_t n = 0;
  for (uint16_t from = 0; from < all.n_workers(); ++from) {
    if (from == worker_) continue;
    auto& way = all.way(from, worker_);
    n += take_news(way.news);
    n += take_packets(way.packets, now_ns);
  }
  if (n != 0) set_no_source(now_ns);
  return n;
}

uint32_t Pipeline::take_news(dataplane::SpscRing<NeighbourNews>& ring) noexcept {
  constexpr uint32_t kAtOnce = 64;  // each may release some packets
  NeighbourNews news;
  uint32_t n = 0;
  for (; n < kAtOnce && ring.pop(news); ++n) resolver_.heard(turn_, news);
  if (n != 0) resolver_.flush(turn_);
  return n;
}

/// All that was there when it began, so that no worker falls behind another that has more queues to serve.
uint32_t Pipeline::take_packets(HandoffRing& ring, uint64_t now_ns) noexcept {
  const uint64_t end = ring.end();
  uint32_t n = 0;
  while (const OwnedMeta* next = ring.peek(end)) {
    const OwnedMeta like = *next;
    Selection handed;
    taken_.clear();
    do {
      handed.add(ring.load(taken_));
      next = ring.peek(end);
    } while (next != nullptr && !taken_.full() && next->stage == like.stage && next->in_port == like.in_port &&
             next->network == like.network);
    counters_[like.in_port].released.add(handed.size());
    n += handed.size();
    resume(like, handed, now_ns);
    egress_.flush(turn_);
    resolver_.flush(turn_);
    ring.free();
  }
  return n;
}

/// Packets that went through the stages before on another worker. Meanwhile their port, network or uplink may have
/// gone.
void Pipeline::resume(const OwnedMeta& like, Selection& packets, uint64_t now_ns) noexcept {
  Selection to_route, to_nat_out, to_resolve;
  const PortEntry* port = turn_.snapshot->port(like.in_port);
  set_no_source(now_ns);
  turn_.in_port = like.in_port;
  turn_.in = port;
  if (like.stage == OwnedStage::nat_in) {
    turn_.uplink_id = port != nullptr ? port->uplink : kNoUplink;
  } else {
    turn_.network_id = like.network;
    turn_.network = turn_.snapshot->network(like.network);
  }
  packets.filter([&](Packet& p) {
    const bool goes_on = like.stage == OwnedStage::nat_in
                             ? turn_.uplink_id != kNoUplink
                             : turn_.network != nullptr && turn_.network->mode == ForwardMode::nat &&
                                   turn_.network->uplink != kNoUplink &&
                                   p.out_interface == interface_of_uplink(turn_.network->uplink);
    if (!goes_on) turn_.drop(p, Drop::port_removed);
    return goes_on;
  });
  if (like.stage == OwnedStage::nat_in) {
    nat_in(turn_, packets, to_route);
    route(turn_, to_route, to_nat_out, to_resolve);
  } else {
    nat_out(turn_, packets, to_resolve);
  }
  resolve(turn_, to_resolve);
}

uint32_t Pipeline::mailbox(uint64_t now_ns) noexcept {
  set_no_source(now_ns);
  uint32_t work = mailbox_.run_jobs();
  if (masquerade_.tick(turn_.now_ms())) ++work;  // expiry, a little each turn; a backlog keeps the worker awake
  work += take_injected();
  if (handoff_) work += take_handed_over(now_ns);
  resolver_.flush(turn_);  // what a job made or released
  mailbox_.flush();
  return work;
}

void Pipeline::tick(uint64_t now_ns) noexcept {
  set_no_source(now_ns);
  resolver_.tick(turn_);
  resolver_.flush(turn_);
  if (worker_ == 0) turn_.fdb.sweep(turn_.now_s(), kSweepBuckets);
}

}  // namespace weft::vswitch
