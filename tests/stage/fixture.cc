// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/fixture.h"

#include "config/load.h"
#include "switch/guest_limits.h"

#include <stdexcept>

#include <rte_eal.h>

namespace weft::vswitch::test {

using dataplane::MemoryPort;
using dataplane::PortTotals;

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

SwitchTest::~SwitchTest() = default;

PortId SwitchTest::add_port(PortRecord record) {
  auto memory = std::make_unique<MemoryPort>(options_[record.name]);
  memory_[record.name] = memory.get();
  record.id = static_cast<PortId>(model_.ports.size());
  record.port = std::move(memory);
  fdb_->add_port(record.id);
  model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  return model_.ports.back()->id;
}

void SwitchTest::configure(const std::string& yaml) {
  start_eal();
  const auto loaded = config::load(yaml, "test.yaml");
  for (const auto& e : loaded.errors) ADD_FAILURE() << e.to_string();
  const config::Config& c = loaded.config;
  static int pools = 0;
  owned_ =
      std::make_unique<dataplane::OwnedPool>(("stage" + std::to_string(pools++)).c_str(), limits::kOwnedReserve + 512);
  fdb_ = std::make_unique<Fdb>(Fdb::Options{});
  for (const auto& u : c.uplinks) {
    const auto n = static_cast<UplinkId>(model_.uplinks.size());
    model_.uplinks.push_back({n, u, wire::MacAddress::from_u64(0x525400000200 + n)});
    add_port({.name = u.name, .role = Role::uplink, .uplink = n});
  }
  for (const auto& network : c.networks) {
    const auto n = static_cast<NetworkId>(model_.networks.size());
    model_.networks.push_back(
        {.id = n, .config = network, .gateway_mac = wire::MacAddress::from_u64(0x525400000100 + n)});
    if (network.bridge.host.value_or(false)) add_port({.name = network.bridge.name, .role = Role::seat, .network = n});
  }
  connect_uplinks(model_);
  for (const auto& p : c.ports) add_port({.name = p.name, .network = model_.network(p.network)->id, .config = p});

  snapshot_ = std::make_unique<Snapshot>();
  snapshot_->queues.resize(1);
  published_ = snapshot_.get();
  pipeline_ = std::make_unique<Pipeline>(Pipeline::Options{}, published_, *fdb_, *owned_);
  worker_ = std::make_unique<dataplane::Worker>(dataplane::Worker::Options{}, rcu_, *pipeline_);
  publish();
}

void SwitchTest::publish() {
  auto next = build_snapshot(model_);
  next->queues.resize(1);
  for (PortId p = 0; p < next->ports.size(); ++p)
    if (next->ports[p].port != nullptr) next->queues[0].queues.push_back({next->ports[p].port, p, 0});
  next->queues[0].generation = ++generation_;
  published_ = next.get();
  if (worker_) worker_->turn(now_ns_);  // takes the new one before the old one goes
  snapshot_ = std::move(next);
}

void SwitchTest::push(const std::string& port_name, Tins::PDU& frame, dataplane::Offload offload) {
  push(port_name, frame.serialize(), offload);
}

void SwitchTest::push(const std::string& port_name, const std::vector<uint8_t>& bytes, dataplane::Offload offload) {
  port(port_name).push(bytes, offload);
}

void SwitchTest::run() {
  while (worker_->turn(now_ns_) != 0) {
  }
}

void SwitchTest::advance(uint64_t ms) {
  now_ns_ += ms * 1'000'000;
  run();
}

Tins::EthernetII SwitchTest::sent_one(const std::string& port_name) {
  auto frames = sent(port_name);
  if (frames.size() != 1) {
    ADD_FAILURE() << frames.size() << " frames left " << port_name << ", expected 1";
    return {};
  }
  return Tins::EthernetII(frames[0].bytes.data(), static_cast<uint32_t>(frames[0].bytes.size()));
}

uint64_t SwitchTest::drops(const std::string& port_name, dataplane::Drop drop) {
  return pipeline_->counters()[id(port_name)].drops[static_cast<size_t>(drop)].get();
}

PortTotals SwitchTest::totals() {
  PortTotals t;
  for (const auto& p : model_.ports) {
    t.add(pipeline_->counters()[p->id]);
    t.add(control_counters_[p->id]);
  }
  t.add(pipeline_->counters()[kNoPort]);
  return t;
}

size_t SwitchTest::take_punted() {
  size_t n = 0;
  while (rte_mbuf* m = pipeline_->mail().take()) {
    auto& counters = control_counters_[dataplane::OwnedPool::meta(m).in_port];
    counters.released.add(1);
    counters.consumed.add(1);
    dataplane::OwnedPool::free(m);
    ++n;
  }
  return n;
}

void SwitchTest::learn(const std::string& port_name, const std::string& mac) {
  Tins::EthernetII frame = ethernet("ff:ff:ff:ff:ff:ff", mac);
  frame.payload_type(0x88b5);  // IEEE 802 local experimental
  frame /= Tins::RawPDU(std::string(50, 'x'));
  push(port_name, frame);
  run();
  for (auto& [name, memory] : memory_) (void)memory->take_sent();
}

void SwitchTest::resolve(const std::string& port_name, const std::string& ip, const std::string& mac,
                         const std::string& router_ip, const std::string& router_mac) {
  auto request = arp_request(ip, mac, router_ip);
  push(port_name, request);
  run();
  Tins::EthernetII reply = ethernet(router_mac, mac) / arp_reply(router_ip, ip, router_mac, mac);
  push(port_name, reply);
  run();
  for (auto& [name, memory] : memory_) (void)memory->take_sent();
}

void SwitchTest::TearDown() {
  if (!pipeline_) return;
  run();
  take_punted();
  EXPECT_EQ(totals().imbalance(), 0) << "received + injected + copies = sent + consumed + held + drops";
}

Tins::EthernetII ethernet(const std::string& destination_mac, const std::string& source_mac) {
  return Tins::EthernetII(Tins::HWAddress<6>(destination_mac), Tins::HWAddress<6>(source_mac));
}

Tins::ARP arp_reply(const std::string& target_ip, const std::string& sender_ip, const std::string& target_mac,
                    const std::string& sender_mac) {
  Tins::ARP arp(target_ip, sender_ip, Tins::HWAddress<6>(target_mac), Tins::HWAddress<6>(sender_mac));
  arp.opcode(Tins::ARP::REPLY);
  return arp;
}

Tins::EthernetII arp_request(const std::string& sender_ip, const std::string& sender_mac,
                             const std::string& target_ip) {
  Tins::EthernetII frame = ethernet("ff:ff:ff:ff:ff:ff", sender_mac);
  Tins::ARP arp = arp_reply(target_ip, sender_ip, "00:00:00:00:00:00", sender_mac);
  arp.opcode(Tins::ARP::REQUEST);
  frame /= arp;
  return frame;
}

Tins::EthernetII udp(const std::string& source_mac, const std::string& destination_mac, const std::string& source_ip,
                     const std::string& destination_ip, uint16_t source_port, uint16_t destination_port,
                     const std::string& payload) {
  return ethernet(destination_mac, source_mac) / Tins::IP(destination_ip, source_ip) /
         Tins::UDP(destination_port, source_port) / Tins::RawPDU(payload);
}

Tins::EthernetII echo(const std::string& source_mac, const std::string& destination_mac, const std::string& source_ip,
                      const std::string& destination_ip, uint8_t ttl) {
  Tins::IP ip(destination_ip, source_ip);
  ip.ttl(ttl);
  Tins::ICMP icmp(Tins::ICMP::ECHO_REQUEST);
  icmp.id(7);
  icmp.sequence(1);
  return ethernet(destination_mac, source_mac) / ip / icmp / Tins::RawPDU("0123456789abcdef");
}

}  // namespace weft::vswitch::test
