// SPDX-License-Identifier: BSD-3-Clause
//
// The switch of test_switch.h as a GoogleTest fixture: a test pushes frames in, turns the worker, and looks at what
// came out, at the drops, and at the counting law.
#pragma once

#include "tests/stage/test_switch.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tins/tins.h>

namespace weft::vswitch::test {

/// A masqueraded network with two guests, and the uplink it leaves by.
inline constexpr const char* kRedBehindWan = R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: red
    forward: {mode: nat}
    bridge: {host: no}
    ips: [{address: 192.168.100.1, prefix: 24}]
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
)";

class SwitchTest : public ::testing::Test, protected TestSwitch {
 protected:
  using TestSwitch::push;
  void push(const std::string& port_name, Tins::PDU& frame, dataplane::Offload offload = {});
  /// The one frame that went out, as Tins reads it; fails the test when there is not exactly one.
  Tins::EthernetII sent_one(const std::string& port_name);
  /// Makes `mac` known at a port by a frame of its own to nowhere.
  void learn(const std::string& port_name, const std::string& mac);

 private:
  void TearDown() override;
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
