// SPDX-License-Identifier: BSD-3-Clause
#include "switch/udp_frame.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <cstring>

namespace weft::vswitch {

using dataplane::Checksum;
using wire::EthernetHeader;
using wire::Ipv4Header;
using wire::UdpHeader;

namespace {

uint16_t udp_checksum(const Ipv4Header& ip, const uint8_t* datagram, size_t size) {
  wire::ChecksumSum sum;
  sum.add_pseudo(ip.source, ip.destination, wire::ipproto::kUdp, static_cast<uint16_t>(size));
  sum.add(datagram, size);
  return sum.checksum();
}

}  // namespace

std::optional<UdpFrame> read_udp_frame(std::span<const uint8_t> frame, Checksum checksum) {
  const auto* eth = wire::view<EthernetHeader>(frame, 0);
  if (eth == nullptr || eth->type.host() != wire::ethertype::kIpv4) return std::nullopt;
  const auto* ip = wire::view<Ipv4Header>(frame, sizeof *eth);
  if (ip == nullptr || ip->version() != 4 || ip->header_size() < sizeof *ip || ip->is_fragment() ||
      ip->protocol != wire::ipproto::kUdp)
    return std::nullopt;
  const size_t l4 = sizeof *eth + ip->header_size();
  const auto* udp = wire::view<UdpHeader>(frame, l4);
  if (udp == nullptr) return std::nullopt;
  const size_t size = udp->length.host();
  if (size < sizeof *udp || size > frame.size() - l4 || size + ip->header_size() > ip->total_length.host())
    return std::nullopt;
  if (checksum == Checksum::unknown && udp->checksum.raw() != 0 && udp_checksum(*ip, frame.data() + l4, size) != 0)
    return std::nullopt;
  return UdpFrame{{eth->source, ip->source, udp->source_port.host()},
                  {eth->destination, ip->destination, udp->destination_port.host()},
                  frame.subspan(l4 + sizeof *udp, size - sizeof *udp)};
}

std::vector<uint8_t> make_udp_frame(const UdpEndpoint& source, const UdpEndpoint& destination,
                                    std::span<const uint8_t> payload, uint8_t tos) {
  constexpr size_t kHeaders = sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(UdpHeader);
  std::vector<uint8_t> frame(kHeaders + payload.size());
  auto* eth = reinterpret_cast<EthernetHeader*>(frame.data());
  eth->destination = destination.mac;
  eth->source = source.mac;
  eth->type = wire::be16(wire::ethertype::kIpv4);
  auto* ip = reinterpret_cast<Ipv4Header*>(eth + 1);
  ip->version_ihl = 0x45;
  ip->tos = tos;
  ip->total_length = wire::be16(static_cast<uint16_t>(frame.size() - sizeof *eth));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kUdp;
  ip->source = source.ip;
  ip->destination = destination.ip;
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* udp = reinterpret_cast<UdpHeader*>(ip + 1);
  udp->source_port = wire::be16(source.port);
  udp->destination_port = wire::be16(destination.port);
  udp->length = wire::be16(static_cast<uint16_t>(sizeof *udp + payload.size()));
  if (!payload.empty()) std::memcpy(udp + 1, payload.data(), payload.size());
  const uint16_t sum = udp_checksum(*ip, reinterpret_cast<const uint8_t*>(udp), sizeof *udp + payload.size());
  udp->checksum = wire::be16::from_raw(sum == 0 ? 0xffff : sum);
  return frame;
}

}  // namespace weft::vswitch
