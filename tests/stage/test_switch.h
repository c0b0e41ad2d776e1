// SPDX-License-Identifier: BSD-3-Clause
//
// A whole switch without threads, kernel or guests: configuration in YAML, memory ports for its ports and uplinks,
// time in the caller's hand. Neither GoogleTest nor Tins: fuzz targets drive it too. It has as many workers as
// WEFT_TEST_WORKERS says, one by default; they take turns, and ports go round among them by their ids.
#pragma once

#include "dataplane/memory_port.h"
#include "dataplane/owned.h"
#include "dataplane/worker.h"
#include "switch/model.h"
#include "switch/pipeline.h"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace weft::vswitch::test {

/// The EAL, once a process.
void start_eal();

/// The frame as a packet, as a port would give it; `rest` is the payload behind its head.
[[nodiscard]] dataplane::Packet packet_over(std::span<uint8_t> frame, dataplane::Segment& rest);

/// ARP from {mac, ip} to {target_mac, target_ip}: the answer, or the question whose answer that would be.
enum class Arp { question, answer };
[[nodiscard]] std::vector<uint8_t> arp_frame(Arp what, const std::string& mac, const std::string& ip,
                                             const std::string& target_mac, const std::string& target_ip);

class TestSwitch {
 public:
  /// MACs it gives: gateways 52:54:00:00:01:NN, uplinks 52:54:00:00:02:NN by their ids.
  static constexpr const char* kGatewayMac = "52:54:00:00:01:00";
  static constexpr const char* kUplinkMac = "52:54:00:00:02:00";

  /// Before configure(): a port of any kind, in place of the memory port of that name.
  void give(const std::string& port_name, std::unique_ptr<dataplane::Port> port) {
    given_[port_name] = std::move(port);
  }
  /// Builds the switch. Every port, uplink and seat of the configuration becomes a memory port of its name. Throws
  /// std::runtime_error when the configuration is wrong.
  void configure(const std::string& yaml);
  /// Tables, counters and time as configure() left them; ports, configuration and memory stay. Nothing is held.
  void restart();
  dataplane::MemoryPort& port(const std::string& name) { return *memory_.at(name); }

  void push(const std::string& port_name, const std::vector<uint8_t>& bytes, dataplane::Offload offload = {});
  /// Turns the workers until nothing is left to do.
  void run();
  /// Turns one worker once.
  uint32_t turn(uint16_t w) { return lanes_.at(w)->worker->turn(now_ns_); }
  /// Lets time pass, with a tick at its end.
  void advance(uint64_t ms);
  /// Frames that went out of the port since the last call.
  std::vector<dataplane::MemoryFrame> sent(const std::string& port_name) { return port(port_name).take_sent(); }
  void forget_sent();
  [[nodiscard]] uint64_t drops(const std::string& port_name, dataplane::Drop drop);
  [[nodiscard]] dataplane::PortTotals totals();
  [[nodiscard]] PortId id(const std::string& name) { return model_.port(name)->id; }
  /// A new snapshot of the model; `edit` may make it one that build_snapshot would not.
  void publish(const std::function<void(Snapshot&)>& edit = {});
  /// Of the first worker, and of each.
  Pipeline& pipeline() { return *lanes_.front()->pipeline; }
  Pipeline& pipeline(uint16_t w) { return *lanes_.at(w)->pipeline; }
  [[nodiscard]] uint16_t n_workers() const { return n_workers_; }
  /// That serves the port.
  [[nodiscard]] uint16_t worker_of(const std::string& port_name) { return worker_of(id(port_name)); }
  [[nodiscard]] Handoffs& handoffs() { return *handoffs_; }
  Fdb& fdb() { return *fdb_; }
  dataplane::OwnedPool& owned() { return *owned_; }
  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }

  /// What the control thread makes of a packet handed to it: Drop::none consumes it.
  using Punted = std::function<dataplane::Drop(const std::vector<uint8_t>& frame, const dataplane::OwnedMeta& meta)>;
  /// Takes the packets handed to the control thread; returns how many.
  size_t take_punted(const Punted& verdict = {});
  /// A frame that the control thread made for a network. False: no room.
  bool inject(std::vector<uint8_t> frame, NetworkId network);

  /// Answers the gateway's or uplink's question, so that the address can be sent to.
  void resolve(const std::string& port_name, const std::string& ip, const std::string& mac,
               const std::string& router_ip, const std::string& router_mac);

  Model model_;
  // Before configure():
  std::map<std::string, dataplane::MemoryOptions> options_;  // of ports
  uint16_t n_workers_ = workers_asked_for();

 private:
  struct Lane {
    std::unique_ptr<Pipeline> pipeline;
    std::unique_ptr<dataplane::Worker> worker;
  };
  static uint16_t workers_asked_for();
  [[nodiscard]] uint16_t worker_of(PortId port) const { return static_cast<uint16_t>(port % n_workers_); }
  PortId add_port(PortRecord record);
  uint32_t turn();

  std::map<std::string, dataplane::MemoryPort*> memory_;
  std::map<std::string, std::unique_ptr<dataplane::Port>> given_;
  std::unique_ptr<dataplane::OwnedPool> owned_;
  std::unique_ptr<Fdb> fdb_;
  dataplane::Rcu rcu_{nat::kMaxShards};
  std::unique_ptr<Snapshot> snapshot_;
  std::atomic<const Snapshot*> published_{nullptr};
  std::unique_ptr<Handoffs> handoffs_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<dataplane::CounterBlock> control_counters_;
  dataplane::Burst punted_;
  uint64_t now_ns_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace weft::vswitch::test
