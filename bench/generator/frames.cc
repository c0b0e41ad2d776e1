// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/frames.h"

#include "dataplane/wire/checksum.h"

#include <algorithm>
#include <stdexcept>

namespace weft::bench {

using namespace wire;

namespace {

constexpr size_t kHeaders = sizeof(EthernetHeader) + sizeof(Ipv4Header);

/// A frame with Ethernet and IPv4 headers.
std::vector<uint8_t> make_ipv4_frame(const Endpoints& ends, unsigned size, unsigned largest, uint8_t protocol) {
  if (size < kSmallest || size > largest) throw std::invalid_argument("frame size out of range");
  std::vector<uint8_t> frame(size - kFrameCheck);
  *reinterpret_cast<EthernetHeader*>(frame.data()) = {ends.destination_mac, ends.source_mac, be16(ethertype::kIpv4)};
  auto* ip = reinterpret_cast<Ipv4Header*>(frame.data() + sizeof(EthernetHeader));
  ip->version_ihl = 0x45;
  ip->total_length = be16(static_cast<uint16_t>(frame.size() - sizeof(EthernetHeader)));
  ip->id = be16(0xffff);  // what apply_flow() writes for flow 0
  ip->ttl = 64;
  ip->protocol = protocol;
  ip->source = ends.source;
  ip->destination = ends.destination;
  ip->checksum = be16::from_raw(checksum(ip, sizeof *ip));
  return frame;
}

ArpFrame make_arp(MacAddress to, const ArpPacket& packet) {
  ArpFrame frame{};
  auto* ethernet = reinterpret_cast<EthernetHeader*>(frame.data());
  *ethernet = {to, packet.sender_mac, be16(ethertype::kArp)};
  *reinterpret_cast<ArpPacket*>(ethernet + 1) = packet;
  return frame;
}

const ArpPacket* arp_in(std::span<const uint8_t> frame, uint16_t operation) {
  const auto* ethernet = view<EthernetHeader>(frame, 0);
  const auto* arp = view<ArpPacket>(frame, sizeof(EthernetHeader));
  if (arp == nullptr || ethernet->type.host() != ethertype::kArp || !arp->is_ethernet_ipv4()) return nullptr;
  return arp->operation.host() == operation ? arp : nullptr;
}

}  // namespace

MacAddress mac_of(unsigned guest, uint32_t index) noexcept {
  return MacAddress::from_u64(uint64_t{2} << 40 | uint64_t{guest & 0xff} << 32 | (index & 0xffffff));
}

std::vector<uint8_t> make_udp_frame(const Endpoints& ends, unsigned size) {
  auto frame = make_ipv4_frame(ends, size, kLargest, ipproto::kUdp);
  auto* udp = reinterpret_cast<UdpHeader*>(frame.data() + kHeaders);
  *udp = {be16(kFirstPort), be16(ends.destination_port), be16(static_cast<uint16_t>(frame.size() - kHeaders)), be16(0)};
  return frame;
}

std::vector<uint8_t> make_tcp_frame(const Endpoints& ends, unsigned size) {
  auto frame = make_ipv4_frame(ends, size, kLargestSegmented, ipproto::kTcp);
  auto* tcp = reinterpret_cast<TcpHeader*>(frame.data() + kHeaders);
  tcp->source_port = be16(kFirstPort);
  tcp->destination_port = be16(ends.destination_port);
  tcp->data_offset = sizeof *tcp / 4 << 4;
  tcp->flags = TcpHeader::kAck;
  tcp->window = be16(0xffff);
  // The sum over the pseudo-header (RFC 9293 §3.1), not complemented: virtio 1.2 §5.1.6.2.
  uint8_t pseudo[12] = {};
  std::memcpy(pseudo, &ends.source, 4);
  std::memcpy(pseudo + 4, &ends.destination, 4);
  pseudo[9] = ipproto::kTcp;
  const be16 length(static_cast<uint16_t>(frame.size() - kHeaders));
  std::memcpy(pseudo + 10, &length, 2);
  tcp->checksum = be16::from_raw(static_cast<uint16_t>(~checksum(pseudo, sizeof pseudo)));
  return frame;
}

dataplane::VirtioNetHeaderV1 segmentation_header(uint16_t gso_size) noexcept {
  using dataplane::VirtioNetHeader;
  dataplane::VirtioNetHeaderV1 h{};
  h.flags = VirtioNetHeader::kNeedsCsum;
  h.gso_type = VirtioNetHeader::kGsoTcp4;
  h.hdr_len = static_cast<uint16_t>(kHeaders + sizeof(TcpHeader));
  h.gso_size = gso_size;
  h.csum_start = static_cast<uint16_t>(kHeaders);
  h.csum_offset = offsetof(TcpHeader, checksum);
  return h;
}

Patch patch_of(uint32_t flow, uint32_t n_macs) noexcept {
  Patch p;
  const uint32_t mac = flow % std::max(n_macs, uint32_t{1});
  p.mac[0] = static_cast<uint8_t>(mac >> 16);
  p.mac[1] = static_cast<uint8_t>(mac >> 8);
  p.mac[2] = static_cast<uint8_t>(mac);
  p.host = static_cast<uint8_t>(flow / kPortsPerHost);
  p.source_port = be16(static_cast<uint16_t>(kFirstPort + flow % kPortsPerHost));
  return p;
}

Patch session_patch(uint64_t number) noexcept {
  Patch p = patch_of(static_cast<uint32_t>(number % kPortsPerHost), 1);
  p.remote = static_cast<uint16_t>(number / kPortsPerHost % 0xff00);
  return p;
}

void turn_round(uint8_t* frame) noexcept {
  const auto swap = [frame](size_t at, size_t size) {
    std::swap_ranges(frame + at, frame + at + size, frame + at + size);
  };
  swap(0, 6);
  swap(sizeof(EthernetHeader) + offsetof(Ipv4Header, source), 4);
  swap(kHeaders, 2);
}

ArpFrame make_arp_request(MacAddress mac, Ipv4Address own, Ipv4Address wanted) {
  return make_arp(MacAddress::broadcast(),
                  {be16(1), be16(ethertype::kIpv4), 6, 4, be16(ArpPacket::kRequest), mac, own, MacAddress(), wanted});
}

std::optional<ArpFrame> make_arp_reply(std::span<const uint8_t> frame, MacAddress mac) {
  const ArpPacket* asked = arp_in(frame, ArpPacket::kRequest);
  if (asked == nullptr || asked->sender_ip == asked->target_ip) return std::nullopt;
  return make_arp(asked->sender_mac, {be16(1), be16(ethertype::kIpv4), 6, 4, be16(ArpPacket::kReply), mac,
                                      asked->target_ip, asked->sender_mac, asked->sender_ip});
}

std::optional<MacAddress> read_arp_reply(std::span<const uint8_t> frame, Ipv4Address address) {
  const ArpPacket* told = arp_in(frame, ArpPacket::kReply);
  if (told == nullptr || told->sender_ip != address) return std::nullopt;
  return told->sender_mac;
}

}  // namespace weft::bench
