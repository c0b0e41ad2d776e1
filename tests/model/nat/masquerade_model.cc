// SPDX-License-Identifier: BSD-3-Clause
//
// Random traffic of many guests through the masquerade, beside a reference of std::maps that says what a
// translator with endpoint-independent mapping and address- and port-dependent filtering must do with each
// packet. Which outside port a new mapping gets is the translator's choice; everything else is determined.
#include "dataplane/wire/headers.h"
#include "nat/masquerade.h"

#include <compare>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace weft::nat {
namespace {

using dataplane::Drop;
using wire::be16;
using wire::Ipv4Address;

struct Endpoint {
  Ipv4Address address;
  uint16_t port;
  auto operator<=>(const Endpoint&) const = default;
};

/// RFC 1071, written down once more so that nothing is checked by itself.
uint16_t plain_checksum(const std::vector<uint8_t>& bytes, size_t from, size_t to, uint32_t sum) {
  for (size_t i = from; i < to; ++i) sum += uint32_t{bytes[i]} << ((i - from) % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

/// A frame of `protocol`; for ICMP an echo request when the destination port is 0, a reply when the source
/// port is.
std::vector<uint8_t> make(uint8_t protocol, Endpoint source, Endpoint destination,
                          const std::vector<uint8_t>& payload) {
  const size_t l4_size = protocol == 6 ? 20 : 8;
  std::vector<uint8_t> b(14 + 20 + l4_size + payload.size());
  std::copy(payload.begin(), payload.end(), b.begin() + static_cast<ptrdiff_t>(34 + l4_size));
  auto& ip = *reinterpret_cast<wire::Ipv4Header*>(b.data() + 14);
  ip.version_ihl = 0x45;
  ip.total_length = be16(static_cast<uint16_t>(b.size() - 14));
  ip.ttl = 64;
  ip.protocol = protocol;
  ip.source = source.address;
  ip.destination = destination.address;
  ip.checksum = be16(plain_checksum(b, 14, 34, 0));
  const uint32_t pseudo = (source.address.host() >> 16) + (source.address.host() & 0xffff) +
                          (destination.address.host() >> 16) + (destination.address.host() & 0xffff) + protocol +
                          static_cast<uint32_t>(b.size() - 34);
  if (protocol == 1) {
    auto& icmp = *reinterpret_cast<wire::IcmpHeader*>(b.data() + 34);
    const bool is_request = destination.port == 0;
    icmp.type = is_request ? 8 : 0;
    icmp.id = be16(is_request ? source.port : destination.port);
    icmp.checksum = be16(plain_checksum(b, 34, b.size(), 0));
    return b;
  }
  auto& udp = *reinterpret_cast<wire::UdpHeader*>(b.data() + 34);
  udp.source_port = be16(source.port);
  udp.destination_port = be16(destination.port);
  if (protocol == 17) {
    udp.length = be16(static_cast<uint16_t>(b.size() - 34));
    const uint16_t c = plain_checksum(b, 34, b.size(), pseudo);
    udp.checksum = be16(c == 0 ? 0xffff : c);
  } else {
    auto& tcp = *reinterpret_cast<wire::TcpHeader*>(b.data() + 34);
    tcp.data_offset = 0x50;
    tcp.flags = wire::TcpHeader::kAck;
    tcp.checksum = be16(plain_checksum(b, 34, b.size(), pseudo));
  }
  return b;
}

dataplane::Packet parsed(std::vector<uint8_t>& b) {
  dataplane::Packet p{};
  p.head = b.data();
  p.size = static_cast<uint32_t>(b.size());
  p.head_size = static_cast<uint16_t>(b.size());
  p.l3_offset = 14;
  p.l3 = dataplane::L3::ipv4;
  p.l4_offset = 34;
  p.l4_protocol = b[23];
  return p;
}

/// Source port or identifier of a translated packet.
uint16_t source_port(const std::vector<uint8_t>& b) {
  return b[23] == 1 ? static_cast<uint16_t>(b[38] << 8 | b[39]) : static_cast<uint16_t>(b[34] << 8 | b[35]);
}

class Model {
 public:
  static constexpr UplinkId kUplink = 9;
  explicit Model(uint32_t seed) : rng_(seed) {
    for (uint8_t i = 0; i < 3; ++i) pool_.push_back(Ipv4Address(203, 0, 113, static_cast<uint8_t>(10 + i)));
  }

  void run(int n_steps) {
    for (int i = 0; i < n_steps && !testing::Test::HasFatalFailure(); ++i) {
      const uint32_t what = random(1000);
      if (what < 600) {
        send_out();
      } else if (what < 900) {
        send_in();
      } else if (what < 990) {
        now_ms_ += random(3000);
        expire();
        if (random(2) == 0) nat_.tick(now_ms_);
      } else if (what < 998) {
        now_ms_ += 1000 * random(400);
        expire();
      } else if (what == 998) {
        const auto network = static_cast<uint16_t>(random(3));
        nat_.flush_network(network);
        std::erase_if(sessions_, [&](const auto& s) { return std::get<1>(s.first) == network; });
        forget_unused_mappings();
      } else {
        compare_tables();
      }
    }
    compare_tables();
  }

 private:
  using Inside = std::tuple<uint8_t, uint16_t, Endpoint>;         // protocol, network, guest
  using Key = std::tuple<uint8_t, uint16_t, Endpoint, Endpoint>;  // … and remote
  uint32_t random(uint32_t n) { return static_cast<uint32_t>(rng_() % n); }
  static uint64_t timeout_s(uint8_t protocol, bool is_answered) {
    return protocol == 1 ? 60 : protocol == 17 ? 300 : is_answered ? 7440 : 240;
  }
  static uint64_t tick(uint64_t ms) { return ms / 1000; }

  Endpoint remote(uint8_t protocol) {
    return {Ipv4Address(198, 51, 100, static_cast<uint8_t>(random(6))),
            protocol == 1 ? uint16_t{0} : static_cast<uint16_t>(50 + random(3))};
  }
  std::vector<uint8_t> payload() {
    std::vector<uint8_t> p(random(40));
    for (auto& b : p) b = static_cast<uint8_t>(rng_());
    return p;
  }

  void send_out() {
    const uint8_t protocol = std::array<uint8_t, 3>{6, 17, 1}[random(3)];
    const auto network = static_cast<uint16_t>(random(3));
    // Some ports are below 1024, many are shared by several guests.
    const Endpoint guest{Ipv4Address(192, 168, 122, static_cast<uint8_t>(random(12))),
                         static_cast<uint16_t>(random(3) == 0 ? 900 + random(8) : 40000 + random(8))};
    const Endpoint peer = remote(protocol);
    const auto data = payload();
    auto b = make(protocol, guest, peer, data);
    auto p = parsed(b);
    const OutContext context{network, kUplink, pool_, {}, {}};
    const Drop drop = nat_.translate_out(p, context, now_ms_);
    ASSERT_EQ(drop, Drop::none) << dataplane::drop_name(drop);

    const Endpoint outside{reinterpret_cast<wire::Ipv4Header*>(b.data() + 14)->source, source_port(b)};
    ASSERT_EQ(b, make(protocol, outside, peer, data)) << "only the source endpoint and checksums may differ";
    const Inside inside{protocol, network, guest};
    const auto mapping = mappings_.find(inside);
    if (mapping != mappings_.end()) {
      ASSERT_EQ(outside, mapping->second) << "endpoint-independent mapping";
    } else {
      ASSERT_TRUE(owners_.try_emplace({protocol, outside}, inside).second) << "an outside endpoint of its own";
      mappings_[inside] = outside;
      if (protocol != 1) {
        ASSERT_GE(outside.port, 1024);
      }
      const auto [paired, is_new] = pairs_.try_emplace({network, guest.address}, outside.address);
      ASSERT_EQ(paired->second, outside.address) << "paired pooling";
    }
    auto [s, is_new] = sessions_.try_emplace(Key{protocol, network, guest, peer});
    s->second.last_ms = now_ms_;
  }

  void send_in() {
    const uint8_t protocol = std::array<uint8_t, 3>{6, 17, 1}[random(3)];
    // Mostly from somebody who may: an endpoint of some session; else anyone to any port.
    Endpoint outside{pool_[random(3)], static_cast<uint16_t>(random(65536))};
    Endpoint peer = remote(protocol);
    if (!sessions_.empty() && random(4) != 0) {
      auto s = sessions_.begin();
      std::advance(s, random(static_cast<uint32_t>(std::min<size_t>(sessions_.size(), 400))));
      if (std::get<0>(s->first) == protocol) {
        outside = mappings_.at({protocol, std::get<1>(s->first), std::get<2>(s->first)});
        if (random(3) != 0) peer = std::get<3>(s->first);
      }
    }
    const auto data = payload();
    auto b = make(protocol, peer, outside, data);
    const auto before = b;
    auto p = parsed(b);
    const InResult result = nat_.translate_in(p, kUplink, now_ms_);

    const auto owner = owners_.find({protocol, outside});
    if (owner == owners_.end()) {
      ASSERT_NE(result.drop, Drop::none);
      ASSERT_EQ(b, before);
      return;
    }
    const auto& [unused, network, guest] = owner->second;
    const auto s = sessions_.find(Key{protocol, network, guest, peer});
    if (s == sessions_.end()) {
      ASSERT_EQ(result.drop, Drop::nat_filtered);
      ASSERT_EQ(b, before);
      return;
    }
    ASSERT_EQ(result.drop, Drop::none);
    ASSERT_EQ(result.network, network);
    ASSERT_EQ(b, make(protocol, peer, guest, data)) << "as it would have come without a translator, bit for bit";
    s->second.last_ms = now_ms_;
    s->second.is_answered = true;
  }

  void expire() {
    std::erase_if(sessions_, [&](const auto& s) {
      return tick(now_ms_) - tick(s.second.last_ms) > timeout_s(std::get<0>(s.first), s.second.is_answered);
    });
    // The translator ends a session when it is due or found expired; here, where mappings are to be compared,
    // at once.
    while (nat_.tick(now_ms_)) {
    }
    forget_unused_mappings();
  }

  void forget_unused_mappings() {
    while (nat_.tick(now_ms_)) {
    }
    std::set<Inside> used;
    for (const auto& [key, s] : sessions_) used.insert({std::get<0>(key), std::get<1>(key), std::get<2>(key)});
    std::erase_if(mappings_, [&](const auto& m) { return !used.contains(m.first); });
    std::erase_if(owners_, [&](const auto& o) { return !used.contains(o.second); });
  }

  void compare_tables() {
    ASSERT_EQ(nat_.n_sessions(), sessions_.size());
    ASSERT_EQ(nat_.table().n_mappings(), mappings_.size());
    std::map<Key, Endpoint> seen;
    ConnectionInfo some[64];
    for (uint32_t cursor = 0; cursor != kNone;) {
      const size_t n = nat_.snapshot(cursor, some, now_ms_);
      for (size_t i = 0; i < n; ++i) {
        const auto& c = some[i];
        seen[{c.protocol, c.network, {c.source, c.source_port}, {c.destination, c.destination_port}}] = {c.nat_address,
                                                                                                         c.nat_port};
      }
    }
    ASSERT_EQ(seen.size(), sessions_.size());
    for (const auto& [key, outside] : seen) {
      ASSERT_TRUE(sessions_.contains(key));
      ASSERT_EQ(outside, mappings_.at({std::get<0>(key), std::get<1>(key), std::get<2>(key)}));
    }
  }

  struct Known {
    uint64_t last_ms = 0;
    bool is_answered = false;
  };
  static Masquerade::Config config() {
    Masquerade::Config c;
    c.table.max_sessions = 20'000;
    c.table.seed = {5, 6};
    c.random_key = {7, 8};
    return c;
  }
  std::mt19937_64 rng_;
  uint64_t now_ms_ = 5'000'000'000'000;  // beyond 32 bits of seconds
  std::vector<Ipv4Address> pool_;
  Masquerade nat_{config()};
  std::map<Key, Known> sessions_;
  std::map<Inside, Endpoint> mappings_;
  std::map<std::pair<uint8_t, Endpoint>, Inside> owners_;
  std::map<std::pair<uint16_t, Ipv4Address>, Ipv4Address> pairs_;
};

class MasqueradeModel : public testing::TestWithParam<uint32_t> {};

TEST_P(MasqueradeModel, does_what_the_maps_say) { Model(GetParam()).run(60'000); }

INSTANTIATE_TEST_SUITE_P(Seeds, MasqueradeModel, testing::Range(1U, 9U));

}  // namespace
}  // namespace weft::nat
