// SPDX-License-Identifier: BSD-3-Clause
//
// Offloads from every kind of port to every kind of port, through a whole switch: what the sender left undone arrives
// as it was left where the receiver takes it, and finished or cut where not. Every frame that arrives is compared,
// byte for byte, with what is built and summed up by hand (frames.h), and so is the virtio-net header before it.
#include "tests/stage/station_switch.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::vswitch::test {
namespace {

using dataplane::Drop;
using dataplane::test::expected_cuts;
using dataplane::test::FrameSpec;
using dataplane::test::get16;
using dataplane::test::make_frame;
using dataplane::test::pattern;
using dataplane::test::put16;
using dataplane::test::slow_sum;

// --- the rows: what is sent ---------------------------------------------------------------------------------------

enum class Way { l2, route, nat_out, nat_in };
constexpr const char* kWayNames[] = {"l2", "route", "nat_out", "nat_in"};

enum class Sum { finished, partial, none };  // none: UDP without a checksum (RFC 768)

struct Row {
  const char* name;
  FrameSpec spec;  // without addresses and payload
  size_t payload;
  Sum sum = Sum::finished;
  uint16_t gso_size = 0;
  bool has_ecn = false;
  size_t padding = 0;              // bytes behind the end of the IP packet
  uint8_t filler = 0;              // what they are
  bool is_l2_only = false;         // tagged, or flags that end a connection
  bool is_userspace_only = false;  // the kernel itself would cut it

  [[nodiscard]] bool has_way(Way way) const {
    return way == Way::l2 || (!spec.is_v6 && spec.n_tags == 0 && !is_l2_only);
  }
  [[nodiscard]] bool is_tso() const { return gso_size != 0 && payload > gso_size; }
};

const Row kRows[] = {
    // Finished by the sender: nobody touches the transport checksum but for addresses.
    {.name = "tcp4", .payload = 1000},
    {.name = "tcp4 odd, options", .spec = {.ip_options = 8, .tcp_options = 12}, .payload = 777},
    {.name = "udp4 empty", .spec = {.is_udp = true}, .payload = 0},
    {.name = "udp4 as large as the MTU", .spec = {.is_udp = true}, .payload = 1472},
    {.name = "udp4 without checksum", .spec = {.is_udp = true}, .payload = 99, .sum = Sum::none},
    {.name = "tcp6", .spec = {.is_v6 = true}, .payload = 1001},
    {.name = "udp6", .spec = {.is_v6 = true, .is_udp = true}, .payload = 31},
    {.name = "udp4 padded", .spec = {.is_udp = true}, .payload = 3, .padding = 15},
    {.name = "tcp4 padded with rubbish", .payload = 1, .padding = 5, .filler = 0xaa},
    // Partial checksums; sizes around the end of the head that is copied, and odd ones.
    {.name = "tcp4 partial, no payload", .payload = 0, .sum = Sum::partial},
    {.name = "tcp4 partial, one byte", .payload = 1, .sum = Sum::partial},
    {.name = "tcp4 partial, just in the head", .payload = 138, .sum = Sum::partial},
    {.name = "tcp4 partial, a byte behind it", .payload = 139, .sum = Sum::partial},
    {.name = "tcp4 partial, odd, all options",
     .spec = {.ip_options = 40, .tcp_options = 40},
     .payload = 1379,
     .sum = Sum::partial},
    {.name = "tcp4 partial, FIN", .spec = {.flags = 0x19}, .payload = 64, .sum = Sum::partial, .is_l2_only = true},
    {.name = "udp4 partial", .spec = {.is_udp = true}, .payload = 512, .sum = Sum::partial},
    {.name = "udp4 partial, odd", .spec = {.is_udp = true}, .payload = 1471, .sum = Sum::partial},
    {.name = "udp4 partial, padded", .spec = {.is_udp = true}, .payload = 7, .sum = Sum::partial, .padding = 11},
    {.name = "udp4 partial, padded with rubbish",
     .spec = {.is_udp = true},
     .payload = 8,
     .sum = Sum::partial,
     .padding = 10,
     .filler = 0x55},
    {.name = "tcp4 partial, rubbish behind the head",
     .payload = 500,
     .sum = Sum::partial,
     .padding = 33,
     .filler = 0x99},
    {.name = "tcp6 partial", .spec = {.is_v6 = true}, .payload = 1440, .sum = Sum::partial},
    {.name = "tcp6 partial, hop-by-hop",
     .spec = {.is_v6 = true, .ip_options = 16, .tcp_options = 12},
     .payload = 901,
     .sum = Sum::partial},
    {.name = "udp6 partial", .spec = {.is_v6 = true, .is_udp = true}, .payload = 1231, .sum = Sum::partial},
    {.name = "udp6 partial, padded with rubbish",
     .spec = {.is_v6 = true, .is_udp = true},
     .payload = 2,
     .sum = Sum::partial,
     .padding = 9,
     .filler = 0x77},
    {.name = "tcp4 partial, tagged", .spec = {.n_tags = 1}, .payload = 600, .sum = Sum::partial},
    {.name = "udp4 partial, two tags", .spec = {.is_udp = true, .n_tags = 2}, .payload = 601, .sum = Sum::partial},
    {.name = "udp6 partial, tagged",
     .spec = {.is_v6 = true, .is_udp = true, .n_tags = 1},
     .payload = 33,
     .sum = Sum::partial},
    // TSO.
    {.name = "tso4",
     .spec = {.tcp_options = 12, .flags = 0x18},
     .payload = 8 * 1448,
     .sum = Sum::partial,
     .gso_size = 1448},
    {.name = "tso4, one byte left", .payload = 2921, .sum = Sum::partial, .gso_size = 1460},
    {.name = "tso4, odd size", .spec = {.flags = 0x18}, .payload = 9000, .sum = Sum::partial, .gso_size = 1447},
    {.name = "tso4, nothing to cut", .payload = 1000, .sum = Sum::partial, .gso_size = 1460},
    {.name = "tso4, exactly one", .payload = 1400, .sum = Sum::partial, .gso_size = 1400},
    {.name = "tso4, wholly in the head", .payload = 100, .sum = Sum::partial, .gso_size = 48},
    {.name = "tso4, all options",
     .spec = {.ip_options = 40, .tcp_options = 40},
     .payload = 5000,
     .sum = Sum::partial,
     .gso_size = 1360},
    {.name = "tso4, id and sequence wrap",
     .spec = {.id = 0xffff, .sequence = 0xfffffff0},
     .payload = 5000,
     .sum = Sum::partial,
     .gso_size = 1448},
    {.name = "tso4, CWR",
     .spec = {.flags = 0xd8},
     .payload = 4500,
     .sum = Sum::partial,
     .gso_size = 1448,
     .has_ecn = true},
    {.name = "tso4, FIN",
     .spec = {.flags = 0x19},
     .payload = 3000,
     .sum = Sum::partial,
     .gso_size = 1448,
     .is_l2_only = true},
    {.name = "tso4, padded with rubbish",
     .payload = 3000,
     .sum = Sum::partial,
     .gso_size = 1448,
     .padding = 100,
     .filler = 0x33},
    {.name = "tso4, large", .payload = 65000, .sum = Sum::partial, .gso_size = 1460},
    // A netdev takes no TSO frame of 64 KiB with its Ethernet header.
    {.name = "tso4, largest", .payload = 65535 - 40, .sum = Sum::partial, .gso_size = 1460, .is_userspace_only = true},
    {.name = "tso4, tagged", .spec = {.n_tags = 1}, .payload = 4000, .sum = Sum::partial, .gso_size = 1456},
    {.name = "tso4, two tags",
     .spec = {.n_tags = 2},
     .payload = 4000,
     .sum = Sum::partial,
     .gso_size = 1452,
     .is_userspace_only = true},
    {.name = "tso6",
     .spec = {.is_v6 = true, .tcp_options = 12, .flags = 0x18},
     .payload = 10001,
     .sum = Sum::partial,
     .gso_size = 1428},
    {.name = "tso6, CWR",
     .spec = {.is_v6 = true, .flags = 0x98},
     .payload = 5000,
     .sum = Sum::partial,
     .gso_size = 1440,
     .has_ecn = true},
    {.name = "tso6, tagged",
     .spec = {.is_v6 = true, .n_tags = 1},
     .payload = 5000,
     .sum = Sum::partial,
     .gso_size = 1436},
    {.name = "tso6, hop-by-hop",
     .spec = {.is_v6 = true, .ip_options = 8},
     .payload = 4000,
     .sum = Sum::partial,
     .gso_size = 1400,
     .is_userspace_only = true},
    {.name = "tso6, padded with rubbish",
     .spec = {.is_v6 = true},
     .payload = 3000,
     .sum = Sum::partial,
     .gso_size = 1440,
     .padding = 7,
     .filler = 0x11},
};

VirtioNetHeader header_for(const FrameSpec& spec, uint16_t gso_size, bool has_ecn) {
  VirtioNetHeader h{.flags = VirtioNetHeader::kNeedsCsum,
                    .csum_start = static_cast<uint16_t>(spec.l4()),
                    .csum_offset = static_cast<uint16_t>(spec.checksum_offset())};
  if (gso_size == 0) return h;
  h.gso_type = spec.is_v6 ? VirtioNetHeader::kGsoTcp6 : VirtioNetHeader::kGsoTcp4;
  if (has_ecn) h.gso_type |= VirtioNetHeader::kGsoEcn;
  h.gso_size = gso_size;
  h.hdr_len = static_cast<uint16_t>(spec.headers());
  return h;
}

Bytes bytes_of(FrameSpec spec, Sum sum) {
  spec.is_partial = sum == Sum::partial;
  Bytes bytes = make_frame(spec);
  if (sum == Sum::none) put16(bytes, spec.l4() + spec.checksum_offset(), 0);
  return bytes;
}

/// The frame as its sender hands it over.
Handed sent_by_hand(const Row& row, const FrameSpec& spec) {
  Handed frame{bytes_of(spec, row.sum)};
  frame.bytes.insert(frame.bytes.end(), row.padding, row.filler);
  if (row.sum == Sum::partial) frame.header = header_for(spec, row.gso_size, row.has_ecn);
  return frame;
}

/// What a receiver that takes so much must get of it; `spec` is what the way has made of the headers.
std::vector<Handed> expected_by_hand(const Row& row, const FrameSpec& spec, OffloadSet takes, Way way) {
  if (row.sum != Sum::partial) {
    Handed whole{bytes_of(spec, row.sum)};
    // Padding of a finished frame is the bridge's to keep and the router's to remove.
    if (way == Way::l2) whole.bytes.insert(whole.bytes.end(), row.padding, row.filler);
    return {whole};
  }
  const Sum rest = takes.checksum ? Sum::partial : Sum::finished;
  const VirtioNetHeader of_one = takes.checksum ? header_for(spec, 0, false) : VirtioNetHeader{};
  if (!row.is_tso()) return {{bytes_of(spec, rest), of_one}};
  if ((spec.is_v6 ? takes.tso6 : takes.tso4) && (takes.ecn || !row.has_ecn))
    return {{bytes_of(spec, Sum::partial), header_for(spec, row.gso_size, row.has_ecn)}};
  std::vector<Handed> cuts;
  for (Bytes& cut : expected_cuts(spec, row.gso_size, rest == Sum::partial)) cuts.push_back({std::move(cut), of_one});
  return cuts;
}

// --- what arrived ---------------------------------------------------------------------------------------------------

/// "" when they are the same; hdr_len is a hint and DATA_VALID asks for nothing.
std::string difference(const Handed& got, const Handed& want) {
  const auto text = [](const VirtioNetHeader& h) {
    return fmt::format("flags {} gso {}/{} csum {}+{}", h.flags & VirtioNetHeader::kNeedsCsum, h.gso_type, h.gso_size,
                       h.csum_start, h.csum_offset);
  };
  if (text(got.header) != text(want.header))
    return fmt::format("virtio-net header {}, expected {}", text(got.header), text(want.header));
  if (got.bytes.size() != want.bytes.size())
    return fmt::format("{} bytes, expected {}", got.bytes.size(), want.bytes.size());
  for (size_t i = 0; i < got.bytes.size(); ++i)
    if (got.bytes[i] != want.bytes[i])
      return fmt::format("byte {} is {:#x}, expected {:#x}", i, got.bytes[i], want.bytes[i]);
  return "";
}

/// Reads the frame with nothing but what is in it, and completes and checks its transport checksum.
bool is_sound(const Handed& frame) {
  const Bytes& b = frame.bytes;
  size_t l3 = 14;
  while (get16(b, l3 - 2) == 0x8100 || get16(b, l3 - 2) == 0x88a8) l3 += 4;
  const bool is_v6 = get16(b, l3 - 2) == 0x86dd;
  size_t l4 = l3 + (is_v6 ? 40 : (b[l3] & 0xf) * 4), end = l3 + (is_v6 ? 40u + get16(b, l3 + 4) : get16(b, l3 + 2));
  uint8_t protocol = b[l3 + (is_v6 ? 6 : 9)];
  if (is_v6 && protocol == 0) {
    protocol = b[l4];
    l4 += (b[l4 + 1] + 1u) * 8u;
  }
  if (end > b.size() || l4 > end) return false;
  if (!is_v6 && slow_sum(std::span(b).subspan(l3, l4 - l3)) != 0xffff) return false;
  const size_t field = l4 + (protocol == 17 ? 6 : 16);
  const Bytes rest{0, protocol, static_cast<uint8_t>((end - l4) >> 8), static_cast<uint8_t>(end - l4)};
  const uint32_t pseudo = slow_sum(rest, slow_sum(std::span(b).subspan(l3 + (is_v6 ? 8 : 12), is_v6 ? 32 : 8)));
  if ((frame.header.flags & VirtioNetHeader::kNeedsCsum) != 0)
    return frame.header.csum_start == l4 && end == b.size() && get16(b, field) == pseudo;
  if (protocol == 17 && get16(b, field) == 0) return true;
  return slow_sum(std::span(b).subspan(l4, end - l4), pseudo) == 0xffff;
}

constexpr const char* kRemote = "198.51.100.5";  // beyond the uplink

constexpr OffloadSet kCsum{.checksum = true}, kCsumTso4{.checksum = true, .tso4 = true},
    kCsumTso6{.checksum = true, .tso6 = true}, kAll{.checksum = true, .tso4 = true, .tso6 = true},
    kAllEcn{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true};
struct NamedSet {
  const char* name;
  OffloadSet set;
};
constexpr NamedSet kSets[] = {{"none", OffloadSet::none()}, {"csum", kCsum}, {"tso4", kCsumTso4},
                              {"tso6", kCsumTso6},          {"all", kAll},   {"ecn", kAllEcn}};

class OffloadMatrix : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    all_ = std::make_unique<All>();
    All& a = *all_;
    std::vector<VhostStation*> guests;
    const auto vhost = [&](std::vector<std::unique_ptr<Station>>& to, const std::string& name, OffloadSet takes,
                           VhostStation::Rings rings = VhostStation::Rings::split) {
      auto s = std::make_unique<VhostStation>(name, takes, a.control, rings);
      guests.push_back(s.get());
      to.push_back(std::move(s));
    };
    a.senders.push_back(std::make_unique<MemoryStation>("smemory", kAllEcn));
    a.senders.push_back(std::make_unique<TapStation>("stap"));
    a.senders.push_back(std::make_unique<NetdevStation>("snetdev"));
    vhost(a.senders, "svhost", kAllEcn);
    vhost(a.senders, "spacked", kAllEcn, VhostStation::Rings::packed);
    for (const NamedSet& s : kSets) {
      a.receivers.push_back(std::make_unique<MemoryStation>(fmt::format("memory_{}", s.name), s.set));
      vhost(a.receivers, fmt::format("vhost_{}", s.name), s.set);
    }
    vhost(a.receivers, "packed_none", OffloadSet::none(), VhostStation::Rings::packed);
    vhost(a.receivers, "packed_ecn", kAllEcn, VhostStation::Rings::packed);
    vhost(a.receivers, "unmerged_csum", kCsum, VhostStation::Rings::unmerged);
    vhost(a.receivers, "unmerged_ecn", kAllEcn, VhostStation::Rings::unmerged);
    a.receivers.push_back(std::make_unique<TapStation>("rtap"));
    a.receivers.push_back(std::make_unique<NetdevStation>("rnetdev"));
    a.control.start();
    for (VhostStation* g : guests) g->shake_hands();
    a.control.stop();
  }
  static void TearDownTestSuite() { all_.reset(); }

  static std::vector<Station*> senders() { return pointers(all_->senders); }
  static std::vector<Station*> receivers() { return pointers(all_->receivers); }
  static bool is_kernels(const Station& s) { return s.name().ends_with("tap") || s.name().ends_with("netdev"); }

  /// All rows from one station to another.
  void pass_rows(StationSwitch& net, Station& from, Station& to, Way way) {
    if (way == Way::nat_in) open_sessions(net, to, from);
    for (const Row& row : kRows) {
      if (!row.has_way(way) || (row.is_userspace_only && (is_kernels(from) || is_kernels(to)))) continue;
      SCOPED_TRACE(
          fmt::format("{} from {} to {} by {}", row.name, from.name(), to.name(), kWayNames[static_cast<size_t>(way)]));
      FrameSpec sent = row.spec, arrives = row.spec;
      sent.payload = arrives.payload = pattern(row.payload, ++seed_);
      address(net, from, to, way, sent, arrives);
      from.send(sent_by_hand(row, sent));
      const auto want = expected_by_hand(row, arrives, to.takes(), way);
      const auto got = net.collect(to, want.size());
      ASSERT_EQ(got.size(), want.size()) << "frames;" << net.drop_names();
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(difference(got[i], want[i]), "") << "frame " << i;
        ASSERT_TRUE(is_sound(got[i])) << "frame " << i;
      }
    }
  }

  void expect_quiet(StationSwitch& net) {
    net.run();
    for (Station* s : senders()) EXPECT_EQ(s->take().size(), 0u) << s->name();
    for (Station* s : receivers()) EXPECT_EQ(s->take().size(), 0u) << s->name();
    EXPECT_EQ(net.totals().dropped, 0u) << net.drop_names();
    EXPECT_EQ(net.totals().imbalance(), 0);
  }

 private:
  struct All {
    VhostControl control;
    std::vector<std::unique_ptr<Station>> senders, receivers;
  };
  static std::vector<Station*> pointers(const std::vector<std::unique_ptr<Station>>& stations) {
    std::vector<Station*> all;
    for (const auto& s : stations) all.push_back(s.get());
    return all;
  }

  /// Addresses before and behind the switch.
  static void address(const StationSwitch& net, const Station& from, const Station& to, Way way, FrameSpec& sent,
                      FrameSpec& arrives) {
    const Place &a = net.place(from), &b = net.place(to);
    const bool is_nat = way == Way::nat_out || way == Way::nat_in;
    const char* gateway = way == Way::nat_in ? StationSwitch::kUplinkMac : StationSwitch::kGatewayMac;
    const char* leaves = way == Way::route     ? StationSwitch::kGreenGatewayMac
                         : way == Way::nat_out ? StationSwitch::kUplinkMac
                                               : StationSwitch::kGatewayMac;
    sent.macs = macs(way == Way::l2 ? b.mac : gateway, a.mac);
    arrives.macs = way == Way::l2 ? sent.macs : macs(b.mac, leaves);
    if (sent.is_v6) return;
    if (way != Way::l2) arrives.ttl = static_cast<uint8_t>(sent.ttl - 1);
    // Guests keep their ports through NAT when these are free: each has one of its own.
    const Place& guest = way == Way::nat_in ? b : a;
    const auto port = static_cast<uint16_t>(40000 + number_of(guest.ip) % 256);
    sent.source = arrives.source = number_of(way == Way::nat_in ? kRemote : a.ip);
    sent.destination = arrives.destination = number_of(is_nat ? kRemote : b.ip);
    sent.source_port = arrives.source_port = port;
    if (way == Way::nat_out) arrives.source = number_of(StationSwitch::kUplinkIp);
    if (way != Way::nat_in) return;
    sent.destination = number_of(StationSwitch::kUplinkIp);
    arrives.destination = number_of(guest.ip);
    sent.source_port = arrives.source_port = sent.is_udp ? 53 : 80;
    sent.destination_port = arrives.destination_port = port;
  }

  /// The guest writes to the remote first, by UDP and TCP.
  static void open_sessions(StationSwitch& net, Station& guest, Station& uplink) {
    for (const bool is_udp : {false, true}) {
      FrameSpec spec{.is_udp = is_udp}, there = spec;
      address(net, guest, uplink, Way::nat_out, spec, there);
      guest.send({make_frame(spec)});
      const auto got = net.collect(uplink, 1);
      ASSERT_EQ(got.size(), 1u) << net.drop_names();
      ASSERT_EQ(got[0].bytes, make_frame(there));
    }
  }

  static inline std::unique_ptr<All> all_;
  uint32_t seed_ = 0;
};

TEST_F(OffloadMatrix, ThroughOneNetwork) {
  StationSwitch net(senders(), receivers(), Beyond::same_network);
  for (Station* from : senders())
    for (Station* to : receivers()) pass_rows(net, *from, *to, Way::l2);
  expect_quiet(net);
}

TEST_F(OffloadMatrix, ThroughTheRouter) {
  StationSwitch net(senders(), receivers(), Beyond::other_network);
  for (Station* from : senders())
    for (Station* to : receivers()) pass_rows(net, *from, *to, Way::route);
  expect_quiet(net);
}

TEST_F(OffloadMatrix, OutThroughMasquerade) {
  for (Station* to : receivers()) {
    StationSwitch net(senders(), {to}, Beyond::uplink);
    for (Station* from : senders()) pass_rows(net, *from, *to, Way::nat_out);
    expect_quiet(net);
  }
}

TEST_F(OffloadMatrix, BackInThroughMasquerade) {
  for (Station* from : senders()) {
    StationSwitch net(receivers(), {from}, Beyond::uplink);
    for (Station* to : receivers()) pass_rows(net, *from, *to, Way::nat_in);
    expect_quiet(net);
  }
}

/// Written to each from the one place; whom it goes to first must not matter to the others.
TEST_F(OffloadMatrix, FloodedToAllAtOnce) {
  StationSwitch net(senders(), receivers(), Beyond::same_network);
  for (Station* from : senders()) {
    for (const Row& row : kRows) {
      if (row.is_userspace_only) continue;
      SCOPED_TRACE(fmt::format("{} from {}", row.name, from->name()));
      FrameSpec spec = row.spec;
      spec.payload = pattern(row.payload, 7);
      spec.macs = macs("52:54:00:00:0f:ff", net.place(*from).mac);
      net.deliver(*from, sent_by_hand(row, spec));
      for (auto& list : {senders(), receivers()}) {
        for (Station* to : list) {
          if (to == from) continue;
          SCOPED_TRACE(to->name());
          const auto want = expected_by_hand(row, spec, to->takes(), Way::l2);
          const auto got = net.collect(*to, want.size());
          ASSERT_EQ(got.size(), want.size()) << net.drop_names();
          // One that had to be finished for somebody may come finished to all.
          const auto finished = expected_by_hand(row, spec, row.is_tso() ? to->takes() : OffloadSet::none(), Way::l2);
          for (size_t i = 0; i < got.size(); ++i) {
            const std::string wrong = difference(got[i], want[i]);
            ASSERT_TRUE(wrong.empty() || difference(got[i], finished[i]).empty()) << wrong;
          }
        }
      }
    }
  }
  expect_quiet(net);
}

/// A frame that waits for its next hop's MAC is a copy; what is left to do waits with it.
TEST_F(OffloadMatrix, HeldWhileTheNeighbourIsAsked) {
  StationSwitch net(senders(), receivers(), Beyond::other_network);
  const Row rows[] = {{.name = "tso4", .payload = 20000, .sum = Sum::partial, .gso_size = 1448},
                      {.name = "udp4 partial", .spec = {.is_udp = true}, .payload = 1001, .sum = Sum::partial}};
  int host = 100;
  for (Station* to : receivers()) {
    for (const Row& row : rows) {
      SCOPED_TRACE(fmt::format("{} to {}", row.name, to->name()));
      Station& from = *senders()[static_cast<size_t>(host) % senders().size()];
      const std::string ip = fmt::format("192.168.101.{}", ++host);
      FrameSpec sent = row.spec, arrives = row.spec;
      sent.payload = arrives.payload = pattern(row.payload, 9);
      sent.macs = macs(StationSwitch::kGatewayMac, net.place(from).mac);
      arrives.macs = macs(net.place(*to).mac, StationSwitch::kGreenGatewayMac);
      sent.source = arrives.source = number_of(net.place(from).ip);
      sent.destination = arrives.destination = number_of(ip);
      arrives.ttl = 63;
      net.deliver(from, sent_by_hand(row, sent));
      for (Station* asked : receivers()) ASSERT_EQ(net.collect(*asked, 1).size(), 1u) << asked->name();
      net.deliver(*to,
                  {arp_frame(Arp::answer, net.place(*to).mac, ip, StationSwitch::kGreenGatewayMac, "192.168.101.1")});
      const auto want = expected_by_hand(row, arrives, to->takes(), Way::route);
      const auto got = net.collect(*to, want.size());
      ASSERT_EQ(got.size(), want.size()) << net.drop_names();
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(difference(got[i], want[i]), "") << "frame " << i;
    }
  }
  expect_quiet(net);
}

/// Headers that do not lie in the head: nothing can be finished or cut there, and it is said.
TEST_F(OffloadMatrix, OffloadsBehindTheHeadAreDroppedByName) {
  StationSwitch net(senders(), receivers(), Beyond::same_network);
  Station& to = *receivers().front();
  const Row rows[] = {
      {.name = "checksum field", .spec = {.is_v6 = true, .ip_options = 128}, .payload = 600, .sum = Sum::partial},
      {.name = "TCP options",
       .spec = {.is_v6 = true, .ip_options = 96, .tcp_options = 40},
       .payload = 5000,
       .sum = Sum::partial,
       .gso_size = 1200}};
  uint64_t n = 0;
  for (Station* from : senders()) {
    for (Row row : rows) {
      SCOPED_TRACE(fmt::format("{} from {}", row.name, from->name()));
      // The kernel itself cuts a TSO frame with extension headers, or refuses it.
      if (row.gso_size != 0 && is_kernels(*from)) continue;
      FrameSpec spec = row.spec;
      spec.payload = pattern(row.payload, 11);
      spec.macs = macs(net.place(to).mac, net.place(*from).mac);
      net.deliver(*from, sent_by_hand(row, spec));
      EXPECT_EQ(net.totals().drops[static_cast<size_t>(Drop::rx_bad_offload)], ++n);
      // The same, finished by its sender, is nobody's business but the receiver's.
      row.sum = Sum::finished;
      row.gso_size = 0;
      spec.payload.resize(500);
      from->send(sent_by_hand(row, spec));
      const auto got = net.collect(to, 1);
      ASSERT_EQ(got.size(), 1u) << net.drop_names();
      EXPECT_EQ(difference(got[0], {make_frame(spec)}), "");
    }
  }
}

}  // namespace
}  // namespace weft::vswitch::test
