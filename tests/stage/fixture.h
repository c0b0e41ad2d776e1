// SPDX-License-Identifier: BSD-3-Clause
//
// A whole pipeline without threads, kernel or guests: configuration in YAML, memory ports for its ports and uplinks,
// time in the test's hand. A test pushes frames in, turns the worker, and looks at what came out, at the drops, and at
// the counting law.
#pragma once

#include "dataplane/memory_port.h"
#include "dataplane/worker.h"
#include "switch/model.h"
#include "switch/pipeline.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tins/tins.h>

namespace weft::vswitch::test {

/// The EAL, once a process.
void start_eal();

class SwitchTest : public ::testing::Test {
 protected:
  /// MACs the fixture gives: gateways 52:54:00:00:01:NN, uplinks 52:54:00:00:02:NN by their ids.
  static constexpr const char* kGatewayMac = "52:54:00:00:01:00";
  static constexpr const char* kUplinkMac = "52:54:00:00:02:00";

  ~SwitchTest() override;

  /// Builds the switch. Every port, uplink and seat of the configuration becomes a memory port of its name.
  void configure(const std::string& yaml);
  dataplane::MemoryPort& port(const std::string& name) { return *memory_.at(name); }

  void push(const std::string& port_name, Tins::PDU& frame, dataplane::Offload offload = {});
  void push(const std::string& port_name, const std::vector<uint8_t>& bytes, dataplane::Offload offload = {});
  /// Turns the worker until nothing is left to do.
  void run();
  /// Lets time pass, with a tick at its end.
  void advance(uint64_t ms);
  /// Frames that went out of the port since the last call.
  std::vector<dataplane::MemoryFrame> sent(const std::string& port_name) { return port(port_name).take_sent(); }
  /// The one frame that went out, as Tins reads it; fails the test when there is not exactly one.
  Tins::EthernetII sent_one(const std::string& port_name);
  [[nodiscard]] uint64_t drops(const std::string& port_name, dataplane::Drop drop);
  [[nodiscard]] dataplane::PortTotals totals();
  [[nodiscard]] PortId id(const std::string& name) { return model_.port(name)->id; }
  void publish();
  Pipeline& pipeline() { return *pipeline_; }
  Fdb& fdb() { return *fdb_; }
  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }
  /// Packets handed to the control thread; they are consumed.
  size_t take_punted();

  /// Makes `mac` known at a port by a frame of its own to nowhere.
  void learn(const std::string& port_name, const std::string& mac);
  /// Answers the gateway's or uplink's question, so that the address can be sent to.
  void resolve(const std::string& port_name, const std::string& ip, const std::string& mac,
               const std::string& router_ip, const std::string& router_mac);

  Model model_;
  std::map<std::string, dataplane::MemoryOptions> options_;  // of ports, before configure()

 private:
  void TearDown() override;
  PortId add_port(PortRecord record);

  std::map<std::string, dataplane::MemoryPort*> memory_;
  std::unique_ptr<dataplane::OwnedPool> owned_;
  std::unique_ptr<Fdb> fdb_;
  dataplane::Rcu rcu_{1};
  std::unique_ptr<Snapshot> snapshot_;
  std::atomic<const Snapshot*> published_{nullptr};
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<dataplane::Worker> worker_;
  dataplane::CounterBlock control_counters_;
  uint64_t now_ns_ = 1'000'000'000'000;
  uint64_t generation_ = 0;
};

/// Shorthands for frames. Tins wants the destination first.
Tins::EthernetII ethernet(const std::string& destination_mac, const std::string& source_mac);
Tins::ARP arp_reply(const std::string& target_ip, const std::string& sender_ip, const std::string& target_mac,
                    const std::string& sender_mac);
Tins::EthernetII arp_request(const std::string& sender_ip, const std::string& sender_mac, const std::string& target_ip);
Tins::EthernetII udp(const std::string& source_mac, const std::string& destination_mac, const std::string& source_ip,
                     const std::string& destination_ip, uint16_t source_port, uint16_t destination_port,
                     const std::string& payload = "weft");
Tins::EthernetII echo(const std::string& source_mac, const std::string& destination_mac, const std::string& source_ip,
                      const std::string& destination_ip, uint8_t ttl = 64);

}  // namespace weft::vswitch::test
