// SPDX-License-Identifier: BSD-3-Clause
//
// Frames for tests of the translator: built by libtins, seen as a Packet, read back by libtins.
#pragma once

#include "dataplane/packet.h"
#include "dataplane/wire/headers.h"
#include "nat/masquerade.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tins/tins.h>

namespace weft::nat::test {

using dataplane::Drop;

/// A frame and the Packet that parse would make of it.
class Frame {
 public:
  explicit Frame(Tins::IP ip, size_t padding = 0) {
    Tins::EthernetII frame = Tins::EthernetII("52:54:00:00:00:02", "52:54:00:00:00:01") / ip;
    bytes = frame.serialize();
    bytes.resize(14 + frame.rfind_pdu<Tins::IP>().tot_len() + padding);  // libtins pads to 60 bytes
    parse();
  }
  explicit Frame(std::vector<uint8_t> b) : bytes(std::move(b)) { parse(); }
  Frame(const Frame& o) : bytes(o.bytes), packet(o.packet) { parse(); }
  Frame& operator=(const Frame&) = delete;

  /// Sets the packet's fields by the bytes; keeps its offload.
  void parse() {
    const dataplane::Offload offload = packet.offload;
    packet = {};
    packet.offload = offload;
    packet.head = bytes.data();
    packet.size = static_cast<uint32_t>(bytes.size());
    packet.head_size = static_cast<uint16_t>(std::min<size_t>(bytes.size(), dataplane::kHeaderCopy));
    segment = {bytes.data() + packet.head_size, packet.size - packet.head_size};
    packet.payload = &segment;
    packet.n_payload = segment.size != 0 ? 1 : 0;
    packet.l3_offset = 14;
    packet.l3 = dataplane::L3::ipv4;
    packet.l4_protocol = ip().protocol;
    packet.l4_offset = ip().is_later_fragment() ? uint16_t{0} : static_cast<uint16_t>(14 + ip().header_size());
  }
  /// Turns the checksum field into a pseudo-header sum, as a Linux guest sends it.
  void make_partial() {
    auto& o = packet.offload;
    o.checksum = dataplane::Checksum::partial;
    o.csum_start = packet.l4_offset;
    o.csum_offset = ip().protocol == 6 ? 16 : ip().protocol == 17 ? 6 : 2;
    uint32_t sum = 0;
    if (ip().protocol != 1) {
      sum = (ip().source.host() >> 16) + (ip().source.host() & 0xffff) + (ip().destination.host() >> 16) +
            (ip().destination.host() & 0xffff) + ip().protocol + packet.size - packet.l4_offset;
      while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    }
    checksum_field() = wire::be16(static_cast<uint16_t>(sum));
  }
  /// Finishes a partial checksum as the receiver would: sums everything from csum_start.
  void finish_partial() {
    const auto& o = packet.offload;
    uint32_t sum = 0;
    for (size_t i = o.csum_start; i < bytes.size(); ++i)
      sum += uint32_t{bytes[i]} << ((i - o.csum_start) % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    auto result = static_cast<uint16_t>(~sum);
    if (result == 0 && ip().protocol == 17) result = 0xffff;
    checksum_field() = wire::be16(result);
    packet.offload = {};
  }
  wire::be16& checksum_field() {
    const size_t offset = ip().protocol == 6 ? 16 : ip().protocol == 17 ? 6 : 2;
    return *reinterpret_cast<wire::be16*>(bytes.data() + packet.l4_offset + offset);
  }
  wire::Ipv4Header& ip() { return *reinterpret_cast<wire::Ipv4Header*>(bytes.data() + 14); }
  [[nodiscard]] Tins::EthernetII tins() const {
    return Tins::EthernetII(bytes.data(), static_cast<uint32_t>(bytes.size()));
  }

  std::vector<uint8_t> bytes;
  dataplane::Packet packet{};
  dataplane::Segment segment{};
};

/// True when libtins, computing every checksum anew, gets the same bytes.
inline testing::AssertionResult checksums_are_right(const Frame& f) {
  auto again = f.tins().serialize();
  again.resize(f.bytes.size());
  if (again == f.bytes) return testing::AssertionSuccess();
  auto result = testing::AssertionFailure() << "bytes differ from libtins' at";
  for (size_t i = 0; i < again.size(); ++i) {
    if (again[i] != f.bytes[i]) result << " " << i;
  }
  return result;
}

inline constexpr wire::Ipv4Address kGuest{192, 168, 122, 10}, kOtherGuest{192, 168, 122, 11}, kOutside{203, 0, 113, 2},
    kServer{198, 51, 100, 7}, kOtherServer{198, 51, 100, 8};
inline constexpr dataplane::NetworkId kNetwork = 3;
inline constexpr UplinkId kUplink = 1;

inline std::string text(wire::Ipv4Address a) { return a.to_string(); }

inline Tins::IP ip(wire::Ipv4Address source, wire::Ipv4Address destination) {
  Tins::IP p(text(destination), text(source));
  p.ttl(63);
  p.id(0x1234);
  return p;
}

inline Frame udp(wire::Ipv4Address source, uint16_t source_port, wire::Ipv4Address destination,
                 uint16_t destination_port, const std::string& payload = "hello") {
  return Frame(ip(source, destination) / Tins::UDP(destination_port, source_port) / Tins::RawPDU(payload));
}

inline Frame tcp(wire::Ipv4Address source, uint16_t source_port, wire::Ipv4Address destination,
                 uint16_t destination_port, uint8_t flags, const std::string& payload = "") {
  Tins::TCP t(destination_port, source_port);
  t.flags(flags);
  t.seq(0x01020304);
  t.ack_seq(0x0a0b0c0d);
  t.window(64240);
  if (payload.empty()) return Frame(ip(source, destination) / t);
  return Frame(ip(source, destination) / t / Tins::RawPDU(payload));
}

inline Frame icmp(wire::Ipv4Address source, wire::Ipv4Address destination, uint8_t type, uint16_t id,
                  const std::string& payload = "abcdefgh") {
  Tins::ICMP i(static_cast<Tins::ICMP::Flags>(type));
  i.id(id);
  i.sequence(1);
  return Frame(ip(source, destination) / i / Tins::RawPDU(payload));
}

/// An ICMP error about `about`, quoting at most `n` bytes of it.
inline Frame icmp_error(wire::Ipv4Address source, wire::Ipv4Address destination, uint8_t type, uint8_t code,
                        const Frame& about, size_t n = 28) {
  Tins::ICMP i(static_cast<Tins::ICMP::Flags>(type));
  i.code(code);
  n = std::min(n, about.bytes.size() - 14);
  return Frame(ip(source, destination) / i / Tins::RawPDU(about.bytes.data() + 14, static_cast<uint32_t>(n)));
}

/// The quotation of an ICMP error.
inline std::vector<uint8_t> quotation(const Frame& f) { return {f.bytes.begin() + 14 + 20 + 8, f.bytes.end()}; }

/// A translator with one network behind one address.
struct Bench {
  explicit Bench(Masquerade::Config config = default_config()) : nat(config) {}
  static Masquerade::Config default_config() {
    Masquerade::Config c;
    c.table.max_sessions = 4096;
    c.table.seed = {1, 2};
    c.random_key = {3, 4};
    return c;
  }

  Drop out(Frame& f) { return nat.translate_out(f.packet, context, now_ms); }
  Drop in(Frame& f) {
    const InResult r = nat.translate_in(f.packet, context.uplink, now_ms);
    network = r.network;
    return r.drop;
  }
  void wait_s(uint64_t s) { now_ms += s * 1000; }
  /// All housekeeping that is due.
  void settle() {
    while (nat.tick(now_ms)) {
    }
  }
  [[nodiscard]] std::vector<ConnectionInfo> connections() const {
    std::vector<ConnectionInfo> all;
    ConnectionInfo some[16];
    for (uint32_t cursor = 0; cursor != kNone;) {
      const size_t n = nat.snapshot(cursor, some, now_ms);
      all.insert(all.end(), some, some + n);
    }
    return all;
  }

  wire::Ipv4Address pool[1] = {kOutside};
  OutContext context{kNetwork, kUplink, pool, {}, {}};
  dataplane::NetworkId network = dataplane::kNoNetwork;
  uint64_t now_ms = 1'000'000;
  Masquerade nat;
};

}  // namespace weft::nat::test
