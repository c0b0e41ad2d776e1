// SPDX-License-Identifier: BSD-3-Clause
//
// What a guest cannot do: take the whole pool, fill memory; and how leases and offers end.
#include "dhcp_test.h"

#include <set>

namespace weft::dhcp {
namespace {

TEST(DhcpLimits, OnePortCannotTakeThePool) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.2"), ip("192.168.122.254"), 3600}};  // 253 addresses, a quarter is 63
  Lab lab(scope);
  int given = 0;
  for (unsigned m = 1; m <= 253; ++m) given += lab.boot(m, "", 5).type() == MessageType::ack ? 1 : 0;
  EXPECT_EQ(given, 63);
  EXPECT_EQ(lab.server.stats().port_cap, 253u - 63u);
  EXPECT_EQ(lab.boot(300, "", 6).type(), MessageType::ack) << "another port";
  EXPECT_EQ(lab.boot(1, "", 5).type(), MessageType::ack) << "who has a lease keeps it";
}

TEST(DhcpLimits, ASmallPoolLeavesAPortSixteen) {
  Lab lab;  // 51 addresses
  int given = 0;
  for (unsigned m = 1; m <= 40; ++m) given += lab.boot(m).type() == MessageType::ack ? 1 : 0;
  EXPECT_EQ(given, 16);
}

TEST(DhcpLimits, OffersCountToo) {
  Lab lab;
  int offered = 0;
  for (unsigned m = 1; m <= 40; ++m) offered += lab.discover(m).replied() ? 1 : 0;
  EXPECT_EQ(offered, 16);
  lab.now = 60;
  EXPECT_TRUE(lab.discover(50).replied()) << "they lapse";
}

TEST(DhcpLimits, DeclinedAddressesCountToo) {
  Lab lab;
  unsigned rounds = 0;
  for (unsigned m = 1; m <= 40; ++m) {
    const auto ack = lab.boot(m);
    if (!ack.replied()) break;
    lab.tell(Ask(m, MessageType::decline).wants(ack.address()));
    ++rounds;
  }
  EXPECT_EQ(rounds, 16u) << "declining everything spoils a sixteenth of the pool, not all of it";
  EXPECT_EQ(lab.boot(100, "", 2).type(), MessageType::ack);
}

TEST(DhcpLimits, RequestsOutOfTheBlueCountToo) {
  Lab lab;
  int given = 0;
  for (unsigned m = 0; m < 40; ++m)
    given +=
        lab.tell(Ask(m + 1, MessageType::request).wants("192.168.122." + std::to_string(100 + m))).replied() ? 1 : 0;
  EXPECT_EQ(given, 16);
}

TEST(DhcpLimits, ReservationsDoNotCount) {
  Scope scope = default_scope();
  for (unsigned m = 1; m <= 30; ++m) scope.hosts.push_back(host(m, "", "192.168.122." + std::to_string(10 + m)));
  Lab lab(scope);
  for (unsigned m = 1; m <= 30; ++m) EXPECT_EQ(lab.boot(m).type(), MessageType::ack);
  EXPECT_EQ(lab.boot(99).type(), MessageType::ack);
}

TEST(DhcpLimits, ReleasesGiveTheShareBack) {
  ServerOptions options;
  options.limits.addresses_per_port = 1;
  Lab lab(default_scope(), options);
  for (unsigned m = 1; m <= 20; ++m) {
    const auto ack = lab.boot(m);
    ASSERT_EQ(ack.type(), MessageType::ack) << m;
    ASSERT_EQ(lab.boot(100 + m).said(), "silent");
    lab.tell(Ask(m, MessageType::release).ciaddr(ack.address()));
  }
}

TEST(DhcpLimits, ALeaseFollowsItsClientToAnotherPort) {
  ServerOptions options;
  options.limits.addresses_per_port = 1;
  Lab lab(default_scope(), options);
  const auto ack = lab.boot(1, "", 1);
  EXPECT_EQ(lab.say(Ask(1, MessageType::request).wants(ack.address()).port(2)), "ACK " + ack.address());
  EXPECT_EQ(lab.boot(2, "", 1).type(), MessageType::ack) << "the first port is free again";
  EXPECT_EQ(lab.boot(3, "", 2).said(), "silent") << "the second is not";
}

TEST(DhcpLimits, AForgottenPortStartsAfresh) {
  ServerOptions options;
  options.limits.addresses_per_port = 2;
  Lab lab(default_scope(), options);
  const auto leased = lab.boot(1).address();
  const auto offered = lab.discover(2).address();
  lab.server.forget_port(1);
  EXPECT_EQ(lab.server.find(ip(leased))->port, kNoPort);
  EXPECT_EQ(lab.say(Ask(3, MessageType::request).wants(offered)), "ACK " + offered);
  EXPECT_EQ(lab.boot(4).type(), MessageType::ack);
  EXPECT_EQ(lab.boot(5).said(), "silent");
  EXPECT_EQ(lab.say(Ask(1, MessageType::release).ciaddr(leased).port(9)), "silent");
  EXPECT_EQ(lab.server.find(ip(leased)), nullptr) << "a lease of no port may be released from any";
}

TEST(DhcpLimits, OffersAreHeldAMinute) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.20"), 600}};
  Lab lab(scope);
  EXPECT_TRUE(lab.discover(1).replied());
  lab.now = 59;
  EXPECT_FALSE(lab.discover(2).replied());
  lab.now = 60;
  EXPECT_TRUE(lab.discover(2).replied());
}

TEST(DhcpLimits, OffersAreBounded) {
  ServerOptions options;
  options.limits.offers = 3;
  Lab lab(default_scope(), options);
  const auto first = lab.discover(1).address();
  for (unsigned m = 2; m <= 4; ++m) lab.discover(m);
  EXPECT_EQ(lab.server.stats().offers_evicted, 1u);
  EXPECT_EQ(lab.say(Ask(9, MessageType::request).wants(first)), "ACK " + first) << "the oldest gave way";
}

TEST(DhcpLimits, QuarantineIsBounded) {
  ServerOptions options;
  options.limits.quarantined = 2;
  Lab lab(default_scope(), options);
  std::vector<std::string> declined;
  for (unsigned m = 1; m <= 3; ++m) {
    declined.push_back(lab.boot(m).address());
    lab.tell(Ask(m, MessageType::decline).wants(declined.back()));
  }
  EXPECT_EQ(lab.server.stats().quarantine_evicted, 1u);
  EXPECT_EQ(lab.say(Ask(9, MessageType::request).wants(declined[0])), "ACK " + declined[0]);
  EXPECT_EQ(lab.say(Ask(8, MessageType::request).wants(declined[2])), "NAK address in use");
}

TEST(DhcpLimits, AClockSetBackDoesNotHoldOffersForHours) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.20"), 600}};
  Lab lab(scope);
  EXPECT_TRUE(lab.discover(1).replied());
  lab.now = -3600;
  EXPECT_TRUE(lab.discover(2).replied());
}

TEST(DhcpExpiry, EndsLeasesInTheOrderOfTheirTime) {
  Lab lab;
  std::vector<std::string> addresses;
  for (unsigned m = 1; m <= 3; ++m, lab.now += 100) addresses.push_back(lab.boot(m).address());
  EXPECT_TRUE(lab.server.expire(at(3599)).empty());
  const auto first = lab.server.expire(at(3600));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].network, "net");
  EXPECT_EQ(first[0].removed, std::vector{ip(addresses[0])});
  EXPECT_FALSE(first[0].put);
  const auto rest = lab.server.expire(at(5000));
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].removed[0], ip(addresses[1]));
  EXPECT_EQ(lab.server.lease_count(), 0u);
}

TEST(DhcpExpiry, ComesInPortions) {
  Lab lab;
  for (unsigned m = 1; m <= 5; ++m) lab.boot(m);
  EXPECT_EQ(lab.server.expire(at(4000), 2).size(), 2u);
  EXPECT_EQ(lab.server.expire(at(4000), 2).size(), 2u);
  EXPECT_EQ(lab.server.expire(at(4000), 2).size(), 1u);
}

TEST(DhcpExpiry, AnExpiredAddressCanBeGivenAgain) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.20"), 600}};
  Lab lab(scope);
  ASSERT_EQ(lab.boot(1).type(), MessageType::ack);
  EXPECT_FALSE(lab.discover(2).replied());
  ASSERT_EQ(lab.server.expire(at(600)).size(), 1u);
  lab.now = 600;
  EXPECT_EQ(lab.boot(2).said(), "ACK 192.168.122.20");
}

TEST(DhcpExpiry, ARenewalPutsItOff) {
  Lab lab;
  const auto address = lab.boot(1).address();
  lab.now = 3000;
  lab.tell(Ask(1, MessageType::request).ciaddr(address));
  EXPECT_TRUE(lab.server.expire(at(6599)).empty());
  EXPECT_EQ(lab.server.expire(at(6600)).size(), 1u);
}

TEST(DhcpExpiry, InfiniteLeasesStay) {
  Scope scope = default_scope();
  scope.ranges[0].lease_seconds = 0;
  Lab lab(scope);
  lab.boot(1);
  EXPECT_TRUE(lab.server.expire(at(1'000'000'000)).empty());
}

TEST(DhcpPool, AFull16BitPoolGivesEachItsOwn) {
  Scope scope = default_scope();
  scope.server = ip("10.1.0.1");
  scope.prefix_length = 16;
  scope.ranges = {{ip("10.1.0.0"), ip("10.1.255.255"), 3600}};
  ServerOptions options;
  options.limits.addresses_per_port = 100000;
  Lab lab(scope, options);
  std::set<wire::Ipv4Address> seen;
  unsigned m = 1;
  for (;; ++m) {
    Ask ask(m, MessageType::request);
    const auto offer = lab.server.handle(Ask(m, MessageType::discover).bytes(), ask.context(), at(0));
    if (offer.verdict != Verdict::reply) break;
    const auto address = reinterpret_cast<const MessageHeader*>(offer.reply.data())->yiaddr;
    const auto ack = lab.server.handle(ask.wants(address.to_string()).bytes(), ask.context(), at(0));
    ASSERT_EQ(ack.type, MessageType::ack);
    ASSERT_TRUE(seen.insert(address).second) << address.to_string();
  }
  // 65 536 less x.0 and x.255 of 256 class C networks, and the server.
  EXPECT_EQ(seen.size(), 65536u - 512u - 1u);
  EXPECT_EQ(lab.server.lease_count(), seen.size());
}

}  // namespace
}  // namespace weft::dhcp
