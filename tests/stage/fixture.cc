// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/fixture.h"

namespace weft::vswitch::test {

void SwitchTest::push(const std::string& port_name, Tins::PDU& frame, dataplane::Offload offload) {
  push(port_name, frame.serialize(), offload);
}

Tins::EthernetII SwitchTest::sent_one(const std::string& port_name) {
  auto frames = sent(port_name);
  if (frames.size() != 1) {
    ADD_FAILURE() << frames.size() << " frames left " << port_name << ", expected 1";
    return {};
  }
  return Tins::EthernetII(frames[0].bytes.data(), static_cast<uint32_t>(frames[0].bytes.size()));
}

void SwitchTest::learn(const std::string& port_name, const std::string& mac) {
  Tins::EthernetII frame = ethernet("ff:ff:ff:ff:ff:ff", mac);
  frame.payload_type(0x88b5);  // IEEE 802 local experimental
  frame /= Tins::RawPDU(std::string(50, 'x'));
  push(port_name, frame);
  run();
  forget_sent();
}

void SwitchTest::TearDown() {
  if (model_.ports.empty()) return;
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
