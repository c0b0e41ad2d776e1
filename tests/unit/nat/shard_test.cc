// SPDX-License-Identifier: BSD-3-Clause
//
// Shards: what each gives out is its own, and where a packet belongs.
#include "nat/shard.h"

#include "nat/masquerade.h"
#include "tests/unit/nat/frame.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace weft::nat::test {
namespace {

constexpr wire::Ipv4Address kAddress{203, 0, 113, 1};

TEST(Shard, with_one_there_is_nothing_to_choose) {
  for (uint32_t port = 0; port < 65536; ++port) ASSERT_TRUE(Shard().has(static_cast<uint16_t>(port)));
}

TEST(Shard, both_parities_of_a_pair_belong_together) {
  for (const uint16_t n : std::initializer_list<uint16_t>{2, 3, 7})
    for (uint32_t port = 0; port < 65536; port += 2)
      ASSERT_EQ(shard_of_port(static_cast<uint16_t>(port), n), shard_of_port(static_cast<uint16_t>(port + 1), n));
}

TEST(ShardedPorts, every_port_is_given_once_and_by_its_own_shard) {
  for (const uint16_t n : std::initializer_list<uint16_t>{2, 3, 7, 32}) {
    std::vector<bool> taken(65536);
    size_t n_taken = 0;
    for (uint16_t s = 0; s < n; ++s) {
      PortPool pool(1, {1, 2}, {s, n});
      PortRandom random({3, 4});
      while (const auto t = pool.take(1, kAddress, 17, 40001, {1024, 65535}, random)) {
        ASSERT_EQ(shard_of_port(t->port, n), s);
        ASSERT_GE(t->port, 1024);
        ASSERT_FALSE(taken[t->port]);
        taken[t->port] = true;
        ++n_taken;
      }
    }
    EXPECT_EQ(n_taken, 65536u - 1024u) << n << " shards";
  }
}

TEST(ShardedPorts, a_port_of_the_shard_is_kept_and_parity_while_there_is_one) {
  const Shard shard{1, 3};
  PortPool pool(1, {1, 2}, shard);
  PortRandom random({3, 4});
  const uint16_t wanted = 30003;
  ASSERT_TRUE(shard.has(wanted));
  EXPECT_EQ(pool.take(1, kAddress, 17, wanted, {1024, 65535}, random)->port, wanted);
  const int n_odd = (65536 - 1024) / 2 / 3;
  for (int i = 1; i < n_odd; ++i)
    ASSERT_EQ(pool.take(1, kAddress, 17, wanted, {1024, 65535}, random)->port % 2, 1) << i;
}

TEST(ShardedPorts, a_changed_port_is_spread_over_the_whole_range) {
  PortPool pool(1, {1, 2}, {2, 5});
  PortRandom random({3, 4});
  std::array<int, 16> n{};
  for (int i = 0; i < 16'000; ++i) {
    const auto t = pool.take(1, kAddress, 6, 80, {}, random);
    ASSERT_TRUE(t);
    ++n[(t->port - 1024U) * 16 / 64512];
    pool.release(t->slot, 6, t->port);
  }
  EXPECT_TRUE(std::all_of(n.begin(), n.end(), [](int k) { return k > 850 && k < 1150; }));
}

TEST(ShardedPorts, a_range_without_a_port_of_the_shard_has_none) {
  PortPool pool(1, {1, 2}, {1, 4});
  PortRandom random({3, 4});
  EXPECT_FALSE(pool.take(1, kAddress, 6, 80, {4000, 4001}, random));
  EXPECT_TRUE(pool.take(1, kAddress, 6, 80, {4000, 4003}, random));
}

TEST(ShardedPorts, a_port_of_another_shard_is_not_kept) {
  PortPool pool(1, {1, 2}, {0, 2});
  PortRandom random({3, 4});
  const auto t = pool.take(1, kAddress, 17, 4002, {}, random);
  ASSERT_TRUE(t);
  EXPECT_NE(t->port, 4002);
}

TEST(ShardedPorts, shards_do_not_choose_the_same_sequence) {
  const auto sequence = [](uint16_t shard) {
    Masquerade::Config config;
    config.table.shard = {shard, 2};
    config.random_key = {5, 6};
    Masquerade nat(config);
    std::vector<uint16_t> pairs;
    for (uint8_t guest = 10; guest < 30; ++guest) {
      // Below the range: each gets another.
      Frame f = udp({192, 168, 122, guest}, static_cast<uint16_t>(80 + 2 * shard), kServer, 53);
      EXPECT_EQ(nat.translate_out(f.packet, {kNetwork, kUplink, {}, kOutside, {}}, 1000), Drop::none);
      pairs.push_back(static_cast<uint16_t>(f.tins().rfind_pdu<Tins::UDP>().sport() / 4));
    }
    return pairs;
  };
  EXPECT_EQ(sequence(0), sequence(0));
  EXPECT_NE(sequence(0), sequence(1));
}

// --- packets
// ------------------------------------------------------------------------------------------------------

TEST(ShardOfPacket, is_that_of_the_local_port_from_either_side) {
  constexpr uint16_t n = 5, port = 40006;
  Frame out = udp(kGuest, port, kServer, 53), in = udp(kServer, 53, kOutside, port);
  EXPECT_EQ(shard_of(out.packet, Side::inside, n), shard_of_port(port, n));
  EXPECT_EQ(shard_of(in.packet, Side::outside, n), shard_of_port(port, n));
  Frame tcp_out = tcp(kGuest, port, kServer, 80, 2), tcp_in = tcp(kServer, 80, kOutside, port, 0x12);
  EXPECT_EQ(shard_of(tcp_out.packet, Side::inside, n), shard_of_port(port, n));
  EXPECT_EQ(shard_of(tcp_in.packet, Side::outside, n), shard_of_port(port, n));
  Frame request = icmp(kGuest, kServer, 8, port), reply = icmp(kServer, kOutside, 0, port);
  EXPECT_EQ(shard_of(request.packet, Side::inside, n), shard_of_port(port, n));
  EXPECT_EQ(shard_of(reply.packet, Side::outside, n), shard_of_port(port, n));
}

TEST(ShardOfPacket, of_an_error_is_that_of_what_it_quotes) {
  constexpr uint16_t n = 5, port = 40006;
  const auto error = [](wire::Ipv4Address from, wire::Ipv4Address to, const Frame& about) {
    const std::string quoted(about.bytes.begin() + 14, about.bytes.end());
    return Frame(ip(from, to) / Tins::ICMP(Tins::ICMP::TIME_EXCEEDED) / Tins::RawPDU(quoted));
  };
  Frame from_outside = error(kOtherServer, kOutside, udp(kOutside, port, kServer, 53));
  EXPECT_EQ(shard_of(from_outside.packet, Side::outside, n), shard_of_port(port, n));
  Frame from_inside = error(kGuest, kServer, udp(kServer, 53, kGuest, port));
  EXPECT_EQ(shard_of(from_inside.packet, Side::inside, n), shard_of_port(port, n));
}

TEST(ShardOfPacket, there_is_none_of_what_is_never_translated) {
  Frame sctp(ip(kGuest, kServer) / Tins::RawPDU("no protocol of ours"));
  sctp.packet.l4_protocol = 132;
  EXPECT_EQ(shard_of(sctp.packet, Side::inside, 3), std::nullopt);
  Frame redirect = icmp(kGuest, kServer, 5, 7);
  EXPECT_EQ(shard_of(redirect.packet, Side::inside, 3), std::nullopt);
  Frame later = udp(kGuest, 500, kServer, 53);
  later.packet.l4_offset = 0;
  EXPECT_EQ(shard_of(later.packet, Side::inside, 3), std::nullopt);
}

TEST(Shard, a_masquerade_of_an_impossible_shard_is_refused) {
  Masquerade::Config config;
  config.table.shard = {2, 2};
  EXPECT_THROW(Masquerade{config}, std::invalid_argument);
  config.table.shard = {0, 0};
  EXPECT_THROW(Masquerade{config}, std::invalid_argument);
  config.table.shard = {0, 33};
  EXPECT_THROW(Masquerade{config}, std::invalid_argument);
}

}  // namespace
}  // namespace weft::nat::test
