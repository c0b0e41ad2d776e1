// SPDX-License-Identifier: BSD-3-Clause
//
// The whole way of a packet, on a switch of a masqueraded network with a seat, a routed one, an isolated one and an
// uplink. The input is a series of operations:
//   frame    0 x6 x5 x4 x3 port:3   a virtio-net header (10 bytes), size (2 bytes, little-endian, clipped to what is
//            left), the frame. x3: its IPv4, UDP, TCP and ICMP checksums are put right; x4: the worker turns only when
//            something else makes it; x5: a short frame comes 64 times; x6: from a sender that negotiated nothing.
//   other    1 code:3 low:4
//     code 0  time passes: a byte of milliseconds, shifted left by `low`
//          1  a byte of settings, published anew (settings(), below)
//          2  the control thread takes what was handed to it, and answers
//          3  a port's driver comes up (low & 8) or goes down
//          4  the control thread makes a frame for network low & 3: size and frame as above
//          5  the masquerade forgets network low & 3, or (low & 4) the uplink
// Beyond what sanitizers see: the counting law holds whenever time passes or settings change; frames reach only ports
// that their network may reach; what leaves by the uplink has a sound IPv4 header and no source that is to stay inside;
// time alone makes the switch send nothing but ARP; at last nothing is held.
#include "dataplane/virtio_net_header.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "switch/udp_frame.h"
#include "tests/stage/test_switch.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace {

using namespace weft;
using namespace weft::vswitch;
using dataplane::Drop;
using dataplane::MemoryFrame;
using dataplane::MemoryPort;
using dataplane::OffloadSet;
using dataplane::VirtioNetHeader;
using wire::Ipv4Header;

constexpr const char* kConfig = R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
networks:
  - name: masked
    forward: {mode: nat, nat: {address: {start: 203.0.113.10, end: 203.0.113.10}}}
    bridge: {name: seat}
    ips: [{address: 192.168.100.1, prefix: 24, dhcp: {ranges: [{start: 192.168.100.100, end: 192.168.100.199}]}}]
  - name: routed
    forward: {mode: route}
    bridge: {host: no}
    mtu: {size: 1400}
    ips: [{address: 192.168.101.1, prefix: 24}]
    routes: [{address: 198.18.0.0, prefix: 15, gateway: 192.168.101.20}]
  - name: alone
    bridge: {host: no}
    ips: [{address: 192.168.102.1, prefix: 24, dhcp: {ranges: [{start: 192.168.102.100, end: 192.168.102.199}]}}]
ports:
  - {name: m1, network: masked, tap: {name: m1}}
  - {name: m2, network: masked, tap: {name: m2}}
  - {name: r1, network: routed, tap: {name: r1}}
  - {name: r2, network: routed, tap: {name: r2}}
  - {name: a1, network: alone, tap: {name: a1}}
  - {name: a2, network: alone, tap: {name: a2}}
)";

/// Where a frame is, or may go: the networks of kConfig by NetworkId, and outside.
enum Place : uint8_t { kMasked = 1, kRouted = 2, kAlone = 4, kOutside = 8, kAnywhere = 15 };

struct Seat {
  const char* name;
  Place place;
};
/// By PortId.
constexpr std::array<Seat, 8> kPorts{{{"wan", kOutside},
                                      {"seat", kMasked},
                                      {"m1", kMasked},
                                      {"m2", kMasked},
                                      {"r1", kRouted},
                                      {"r2", kRouted},
                                      {"a1", kAlone},
                                      {"a2", kAlone}}};

constexpr uint8_t reach(uint8_t from) {
  uint8_t to = from;
  if (from & kMasked) to |= kOutside;
  if (from & kRouted) to |= kOutside;
  if (from & kOutside) to |= kMasked | kRouted;
  return to;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// As a sender of good will would leave them; whatever is no whole packet stays as it is.
void put_checksums_right(std::span<uint8_t> frame, bool is_partial) {
  const auto* eth = wire::view<wire::EthernetHeader>(frame, 0);
  auto* ip = wire::view<Ipv4Header>(frame, sizeof *eth);
  if (ip == nullptr || eth->type.host() != wire::ethertype::kIpv4) return;
  const size_t header = ip->header_size(), room = frame.size() - sizeof *eth;
  if (header < sizeof *ip || header > room) return;
  ip->checksum = {};
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, header));
  const size_t total = std::min<size_t>(ip->total_length.host(), room);
  if (is_partial || total < header || ip->is_fragment()) return;
  const auto l4 = frame.subspan(sizeof *eth + header, total - header);
  wire::be16* field = nullptr;
  wire::ChecksumSum sum;
  if (ip->protocol == wire::ipproto::kIcmp) {
    if (auto* icmp = wire::view<wire::IcmpHeader>(l4, 0)) field = &icmp->checksum;
  } else {
    sum.add_pseudo(ip->source, ip->destination, ip->protocol, static_cast<uint16_t>(l4.size()));
    if (ip->protocol == wire::ipproto::kUdp)
      if (auto* udp = wire::view<wire::UdpHeader>(l4, 0)) field = &udp->checksum;
    if (ip->protocol == wire::ipproto::kTcp)
      if (auto* tcp = wire::view<wire::TcpHeader>(l4, 0)) field = &tcp->checksum;
  }
  if (field == nullptr) return;
  *field = {};
  sum.add(l4.data(), l4.size());
  *field = wire::be16::from_raw(sum.checksum());
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    const auto b = take(1);
    return b.empty() ? 0 : b[0];
  }
  std::span<const uint8_t> take(size_t n) {
    const auto taken = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::vector<uint8_t> frame() {
    const size_t low = byte(), size = low | size_t{byte()} << 8;
    const auto bytes = take(size);
    return {bytes.begin(), bytes.end()};
  }

 private:
  std::span<const uint8_t> rest_;
};

class Fuzzed {
 public:
  Fuzzed();
  void run(Input input);

 private:
  void operation(Input& input);
  void frame(uint8_t op, Input& input);
  void settings(uint8_t bits);
  void answer();
  void check(bool is_time_alone = false);
  void check_law();
  void check_uplink(const MemoryFrame& frame);
  void finish();

  test::TestSwitch switch_;
  std::array<MemoryPort*, kPorts.size()> ports_{};
  std::array<std::unique_ptr<dataplane::Port>, kPorts.size()> absent_;
  uint8_t settings_ = 0;
  uint8_t from_ = 0;  // Places of what came in since the last check
};

Fuzzed::Fuzzed() {
  // Receivers of all kinds: the kernel, one that is slow, ones whose senders give their frames in pieces.
  switch_.options_["wan"].takes = OffloadSet::kernel();
  switch_.options_["seat"].takes = OffloadSet::kernel();
  switch_.options_["m2"].tx_room = 3;
  switch_.options_["m2"].takes.checksum = true;
  switch_.options_["r1"].piece_size = 300;
  switch_.options_["r2"].piece_size = 64;
  switch_.options_["r2"].takes = {.checksum = true, .tso4 = true};
  switch_.configure(kConfig);
  for (size_t i = 0; i < kPorts.size(); ++i) {
    require(switch_.id(kPorts[i].name) == i, "ids of the ports");
    ports_[i] = &switch_.port(kPorts[i].name);
  }
}

void Fuzzed::run(Input input) {
  switch_.restart();
  switch_.resolve("wan", "203.0.113.1", "52:54:00:00:0f:01", "203.0.113.2", test::TestSwitch::kUplinkMac);
  switch_.resolve("m1", "192.168.100.10", "52:54:00:00:00:0a", "192.168.100.1", test::TestSwitch::kGatewayMac);
  switch_.resolve("r1", "192.168.101.20", "52:54:00:00:00:14", "192.168.101.1", "52:54:00:00:01:01");
  switch_.resolve("a1", "192.168.102.30", "52:54:00:00:00:1e", "192.168.102.1", "52:54:00:00:01:02");
  while (!input.empty()) operation(input);
  finish();
}

void Fuzzed::operation(Input& input) {
  const uint8_t op = input.byte(), low = op & 15;
  if ((op & 0x80) == 0) return frame(op, input);
  switch (op >> 4 & 7) {
    case 0: {
      switch_.run();
      check();
      switch_.advance(uint64_t{input.byte()} << low);
      check_law();
      return check(/*is_time_alone=*/true);
    }
    case 1:
      settings(input.byte());
      check_law();
      return check();
    case 2:
      return answer();
    case 3:
      ports_[low & 7]->set_up((low & 8) != 0);
      return;
    case 4: {
      auto frame = input.frame();
      if (frame.size() < sizeof(wire::EthernetHeader)) return;
      switch_.inject(std::move(frame), low & 3);
      if ((low & 3) < 3) from_ |= static_cast<uint8_t>(1 << (low & 3));
      switch_.run();
      return check();
    }
    case 5:
      if (low & 4)
        switch_.pipeline().masquerade().flush_uplink(0);
      else
        switch_.pipeline().masquerade().flush_network(low & 3);
      return;
    default:
      return;
  }
}

void Fuzzed::frame(uint8_t op, Input& input) {
  const uint8_t id = op & 7;
  VirtioNetHeader header;
  const auto bytes = input.take(sizeof header);
  if (!bytes.empty()) std::memcpy(&header, bytes.data(), bytes.size());
  MemoryFrame frame{input.frame(), {}, Drop::none};
  if (op & 0x08) put_checksums_right(frame.bytes, (header.flags & VirtioNetHeader::kNeedsCsum) != 0);

  const OffloadSet sender = op & 0x40 ? OffloadSet::none()
                            : kPorts[id].place == kOutside
                                ? OffloadSet::kernel()
                                : OffloadSet{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true};
  dataplane::Segment rest;
  dataplane::Packet packet = test::packet_over(frame.bytes, rest);
  if (!dataplane::to_offload(header, sender, packet)) frame.drop = Drop::rx_bad_offload;
  frame.offload = packet.offload;

  const int n = (op & 0x20) != 0 && frame.bytes.size() <= 128 ? 64 : 1;
  for (int i = 0; i < n; ++i) ports_[id]->push(frame);
  from_ |= kPorts[id].place;
  if (op & 0x10) return;
  switch_.run();
  check();
}

/// Bits: m1, the seat and the uplink are absent; r2's link is down; the ports of the isolated network are isolated of
/// each other; the pool is larger; the routed network's MTU is small; the host has an address elsewhere.
void Fuzzed::settings(uint8_t bits) {
  settings_ = bits;
  Model& model = switch_.model_;
  const auto set_absent = [&](const char* name, bool is_absent) {
    const PortId id = switch_.id(name);
    auto& port = model.ports[id]->port;
    if (is_absent == (port == nullptr)) return;
    std::swap(port, absent_[id]);
    if (is_absent) return switch_.fdb().remove_port(id);
    switch_.fdb().add_port(id);
    if (ports_[id]->n_waiting() != 0) from_ |= kPorts[id].place;
  };
  set_absent("m1", (bits & 1) != 0);
  set_absent("seat", (bits & 2) != 0);
  set_absent("wan", (bits & 4) != 0);
  model.port("r2")->config.link_up = (bits & 8) == 0;
  model.network("alone")->config.isolated = (bits & 16) != 0;
  model.network("masked")->config.forward.nat.address->end = wire::Ipv4Address(203, 0, 113, (bits & 32) != 0 ? 12 : 10);
  model.network("routed")->config.mtu = static_cast<uint16_t>((bits & 64) != 0 ? 576 : 1400);
  model.host_addresses.clear();
  if (bits & 128) model.host_addresses.emplace_back(uint8_t{198}, uint8_t{51}, uint8_t{100}, uint8_t{7});
  switch_.publish();
  switch_.run();
}

/// As the services do: a datagram for them is answered to where it came from, or to all.
void Fuzzed::answer() {
  std::vector<std::pair<std::vector<uint8_t>, NetworkId>> answers;
  switch_.take_punted([&](const std::vector<uint8_t>& frame, const dataplane::OwnedMeta& meta) {
    require(meta.network < 3, "what is handed to control came from a network");
    const auto datagram = read_udp_frame(frame, meta.offload.checksum);
    if (!datagram) return Drop::local_dhcp_bad;
    require(datagram->destination.port == 53 || datagram->destination.port == 67, "only services are handed over");
    const bool is_dhcp = datagram->destination.port == 67;
    const UdpEndpoint us{switch_.model_.networks[meta.network].gateway_mac,
                         wire::Ipv4Address(192, 168, static_cast<uint8_t>(100 + meta.network), 1),
                         datagram->destination.port};
    UdpEndpoint to = datagram->source;
    if (is_dhcp) to = {wire::MacAddress::broadcast(), wire::Ipv4Address(0xffffffff), 68};
    answers.emplace_back(make_udp_frame(us, to, datagram->payload, 0), meta.network);
    return Drop::none;
  });
  for (auto& [frame, network] : answers) {
    switch_.inject(std::move(frame), network);
    from_ |= static_cast<uint8_t>(1 << network);
  }
  switch_.run();
  check();
}

void Fuzzed::check_uplink(const MemoryFrame& frame) {
  const auto* eth = wire::view<wire::EthernetHeader>(std::span(frame.bytes), 0);
  require(eth->source == switch_.model_.uplinks[0].mac, "the uplink's own MAC");
  if (eth->type.host() == wire::ethertype::kArp) return;
  require(eth->type.host() == wire::ethertype::kIpv4, "only IPv4 is routed");
  const auto* ip = wire::view<Ipv4Header>(std::span(frame.bytes), sizeof *eth);
  require(ip != nullptr && ip->version() == 4 && ip->header_size() >= sizeof *ip &&
              sizeof *eth + ip->header_size() <= frame.bytes.size() && wire::checksum(ip, ip->header_size()) == 0 &&
              sizeof *eth + ip->total_length.host() == frame.bytes.size(),
          "a sound IPv4 header");
  const uint32_t subnet = ip->source.host() >> 8;
  require(subnet != 0xc0a864 && subnet != 0xc0a866, "inside addresses stay inside");
}

void Fuzzed::check(bool is_time_alone) {
  const uint8_t to = is_time_alone ? uint8_t{kAnywhere} : reach(from_);
  from_ = 0;
  for (size_t i = 0; i < ports_.size(); ++i) {
    for (const MemoryFrame& frame : ports_[i]->take_sent()) {
      const auto* eth = wire::view<wire::EthernetHeader>(std::span(frame.bytes), 0);
      require(eth != nullptr && frame.bytes.size() <= dataplane::kMaxFrame, "size of a frame sent");
      require((kPorts[i].place & to) != 0, "reach of a frame");
      require(!is_time_alone || eth->type.host() == wire::ethertype::kArp, "time alone sends ARP only");
      if (kPorts[i].place == kOutside) check_uplink(frame);
    }
  }
}

void Fuzzed::check_law() {
  require(switch_.totals().imbalance() == 0, "received + injected + copies = sent + consumed + held + drops");
}

/// All ports come back and everything that waits comes to its end.
void Fuzzed::finish() {
  for (MemoryPort* port : ports_) port->set_up(true);
  if (settings_ != 0) settings(0);
  switch_.run();
  check();
  check_law();
  for (int seconds = 0; switch_.owned().n_in_use() != 0; ++seconds) {
    require(seconds < 100, "held packets come to an end");
    switch_.take_punted();
    switch_.advance(1000);
    check(/*is_time_alone=*/true);
  }
  check_law();
  require(switch_.totals().held == 0, "nothing is held without memory");
}

}  // namespace

/// Every input makes a switch of its own, in the memory of the last one's.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Fuzzed fuzzed;
  fuzzed.run(Input(data, size));
  return 0;
}
