// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/test_switch.h"

#include "config/load.h"
#include "dataplane/wire/headers.h"
#include "switch/guest_limits.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include <rte_eal.h>

namespace weft::vswitch::test {

using dataplane::Drop;
using dataplane::MemoryPort;
using dataplane::OwnedPool;
using dataplane::Packet;
using dataplane::PortTotals;
using wire::Ipv4Address;
using wire::MacAddress;

void start_eal() {
  static const bool started = [] {
    std::vector<std::string> words = {"stage", "--no-huge", "--no-shconf",    "--no-pci",
                                      "-m",    "64",        "--no-telemetry", "--log-level=3"};
    std::vector<char*> arguments;
    for (auto& w : words) arguments.push_back(w.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) throw std::runtime_error("no EAL");
    return true;
  }();
  (void)started;
}

Packet packet_over(std::span<uint8_t> frame, dataplane::Segment& rest) {
  Packet p{};
  p.head = frame.data();
  p.head_size = static_cast<uint16_t>(std::min<size_t>(frame.size(), dataplane::kHeaderCopy));
  p.size = static_cast<uint32_t>(frame.size());
  rest = {frame.data() + p.head_size, p.size - p.head_size};
  p.payload = &rest;
  p.n_payload = rest.size != 0 ? 1 : 0;
  p.in_port = kNoPort;
  p.out_port = kNoPort;
  p.network = kNoNetwork;
  return p;
}

PortId TestSwitch::add_port(PortRecord record) {
  record.id = static_cast<PortId>(model_.ports.size());
  if (const auto given = given_.find(record.name); given != given_.end()) {
    record.port = std::move(given->second);
  } else {
    auto memory = std::make_unique<MemoryPort>(options_[record.name]);
    memory_[record.name] = memory.get();
    record.port = std::move(memory);
  }
  model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  return model_.ports.back()->id;
}

void TestSwitch::configure(const std::string& yaml) {
  start_eal();
  const auto loaded = config::load(yaml, "test.yaml");
  if (!loaded.errors.empty()) throw std::runtime_error(loaded.errors.front().to_string());
  const config::Config& c = loaded.config;
  static int pools = 0;
  owned_ = std::make_unique<OwnedPool>(("stage" + std::to_string(pools++)).c_str(), limits::kOwnedReserve + 512);
  for (const auto& u : c.uplinks) {
    const auto n = static_cast<UplinkId>(model_.uplinks.size());
    model_.uplinks.push_back({n, u, MacAddress::from_u64(0x525400000200 + n)});
    add_port({.name = u.name, .role = Role::uplink, .uplink = n});
  }
  for (const auto& network : c.networks) {
    const auto n = static_cast<NetworkId>(model_.networks.size());
    model_.networks.push_back({.id = n, .config = network, .gateway_mac = MacAddress::from_u64(0x525400000100 + n)});
    if (network.bridge.host.value_or(false)) add_port({.name = network.bridge.name, .role = Role::seat, .network = n});
  }
  connect_uplinks(model_);
  for (const auto& p : c.ports) add_port({.name = p.name, .network = model_.network(p.network)->id, .config = p});
  restart();
}

void TestSwitch::restart() {
  now_ns_ = 1'000'000'000'000;
  lanes_.clear();
  fdb_ = std::make_unique<Fdb>(Fdb::Options{});
  for (const auto& p : model_.ports) fdb_->add_port(p->id);
  control_counters_ = std::make_unique<dataplane::CounterBlock>();
  snapshot_ = std::make_unique<Snapshot>();
  snapshot_->queues.resize(n_workers_);
  published_ = snapshot_.get();
  handoffs_ = n_workers_ > 1 ? std::make_unique<Handoffs>(n_workers_) : nullptr;
  for (uint16_t w = 0; w < n_workers_; ++w) {
    auto& lane = *lanes_.emplace_back(std::make_unique<Lane>());
    lane.pipeline = std::make_unique<Pipeline>(Pipeline::Options{.worker = w, .handoffs = handoffs_.get()}, published_,
                                               *fdb_, *owned_);
    lane.worker = std::make_unique<dataplane::Worker>(dataplane::Worker::Options{.index = w}, rcu_, *lane.pipeline);
  }
  publish();
}

uint16_t TestSwitch::workers_asked_for() {
  const char* n = std::getenv("WEFT_TEST_WORKERS");
  return static_cast<uint16_t>(n != nullptr ? std::atoi(n) : 1);
}

uint32_t TestSwitch::turn() {
  uint32_t work = 0;
  for (const auto& lane : lanes_) work += lane->worker->turn(now_ns_);
  return work;
}

void TestSwitch::publish(const std::function<void(Snapshot&)>& edit) {
  auto next = build_snapshot(model_);
  if (edit) edit(*next);
  next->queues.resize(n_workers_);
  for (PortId p = 0; p < next->ports.size(); ++p)
    if (next->ports[p].port != nullptr) next->queues[worker_of(p)].queues.push_back({next->ports[p].port, p, 0});
  for (auto& list : next->queues) list.generation = ++generation_;
  published_ = next.get();
  turn();  // takes the new one before the old one goes
  snapshot_ = std::move(next);
}

void TestSwitch::push(const std::string& port_name, const std::vector<uint8_t>& bytes, dataplane::Offload offload) {
  port(port_name).push(bytes, offload);
}

void TestSwitch::run() {
  while (turn() != 0) {
  }
}

void TestSwitch::advance(uint64_t ms) {
  now_ns_ += ms * 1'000'000;
  run();
}

void TestSwitch::forget_sent() {
  for (auto& [name, memory] : memory_) (void)memory->take_sent();
}

uint64_t TestSwitch::drops(const std::string& port_name, Drop drop) {
  uint64_t n = 0;
  for (const auto& lane : lanes_) n += lane->pipeline->counters()[id(port_name)].drops[static_cast<size_t>(drop)].get();
  return n;
}

PortTotals TestSwitch::totals() {
  PortTotals t;
  std::vector<PortId> ids = {kNoPort};
  for (const auto& p : model_.ports) ids.push_back(p->id);
  for (const PortId id : ids) {
    for (const auto& lane : lanes_) t.add(lane->pipeline->counters()[id]);
    t.add((*control_counters_)[id]);
  }
  return t;
}

size_t TestSwitch::take_punted(const Punted& verdict) {
  size_t n = 0;
  const auto take = [this]() -> rte_mbuf* {
    for (const auto& lane : lanes_)
      if (rte_mbuf* m = lane->pipeline->mail().take(); m != nullptr) return m;
    return nullptr;
  };
  for (; rte_mbuf* m = take(); ++n) {
    const auto& meta = OwnedPool::meta(m);
    auto& counters = (*control_counters_)[meta.in_port];
    counters.released.add(1);
    Drop drop = Drop::none;
    if (verdict) {
      punted_.clear();
      const Packet& p = OwnedPool::load(m, punted_);
      std::vector<uint8_t> frame(p.head, p.head + p.head_size);
      for (const auto& piece : p.payload_segments()) frame.insert(frame.end(), piece.data, piece.data + piece.size);
      drop = verdict(frame, meta);
    }
    if (drop == Drop::none)
      counters.consumed.add(1);
    else
      counters.drops[static_cast<size_t>(drop)].add(1);
    OwnedPool::free(m);
  }
  return n;
}

bool TestSwitch::inject(std::vector<uint8_t> frame, NetworkId network) {
  dataplane::Segment rest;
  Packet p = packet_over(frame, rest);
  p.network = network;
  auto& counters = (*control_counters_)[kNoPort];
  counters.injected.add(1);
  rte_mbuf* m = owned_->copy(p);
  if (m == nullptr || !pipeline().mail().inject(m)) {
    OwnedPool::free(m);
    counters.drops[static_cast<size_t>(Drop::local_queue_full)].add(1);
    return false;
  }
  counters.held.add(1);
  return true;
}

std::vector<uint8_t> arp_frame(Arp what, const std::string& mac, const std::string& ip, const std::string& target_mac,
                               const std::string& target_ip) {
  std::vector<uint8_t> frame(sizeof(wire::EthernetHeader) + sizeof(wire::ArpPacket));
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(frame.data());
  auto* arp = reinterpret_cast<wire::ArpPacket*>(eth + 1);
  const bool asks = what == Arp::question;
  const MacAddress target = MacAddress::parse(target_mac).value();
  *eth = {asks ? MacAddress::broadcast() : target, MacAddress::parse(mac).value(), wire::be16(wire::ethertype::kArp)};
  *arp = {.hardware_type = wire::be16(1),
          .protocol_type = wire::be16(wire::ethertype::kIpv4),
          .hardware_size = 6,
          .protocol_size = 4,
          .operation = wire::be16(asks ? wire::ArpPacket::kRequest : wire::ArpPacket::kReply),
          .sender_mac = eth->source,
          .sender_ip = Ipv4Address::parse(ip).value(),
          .target_mac = asks ? MacAddress{} : target,
          .target_ip = Ipv4Address::parse(target_ip).value()};
  return frame;
}

void TestSwitch::resolve(const std::string& port_name, const std::string& ip, const std::string& mac,
                         const std::string& router_ip, const std::string& router_mac) {
  for (const Arp what : {Arp::question, Arp::answer}) {
    push(port_name, arp_frame(what, mac, ip, router_mac, router_ip));
    run();
  }
  forget_sent();
}

}  // namespace weft::vswitch::test
