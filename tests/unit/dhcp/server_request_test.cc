// SPDX-License-Identifier: BSD-3-Clause
//
// REQUEST in its four states, RELEASE, DECLINE and INFORM (RFC 2131 §4.3.2 … §4.3.5).
#include "dhcp_test.h"

namespace weft::dhcp {
namespace {

Ask request(unsigned m) { return {m, MessageType::request}; }
/// RENEWING: unicast to the server with ciaddr filled in.
Ask renew(unsigned m, std::string_view address) {
  Ask ask(m, MessageType::request);
  return ask.ciaddr(address).unicast_flag().to_server(address);
}
/// REBINDING: the same, broadcast.
Ask rebind(unsigned m, std::string_view address) {
  Ask ask(m, MessageType::request);
  return ask.ciaddr(address).unicast_flag();
}

Scope scope_with_host() {
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", "192.168.122.10")};
  return scope;
}

TEST(DhcpRequest, EveryAckComesWithItsLease) {
  Lab lab;
  const auto ack = lab.boot(7, "vm7");
  ASSERT_EQ(ack.type(), MessageType::ack);
  ASSERT_TRUE(ack.outcome.change && ack.outcome.change->put);
  const Lease& lease = *ack.outcome.change->put;
  EXPECT_EQ(ack.outcome.change->network, "net");
  EXPECT_EQ(lease.address.to_string(), ack.address());
  EXPECT_EQ(lease.mac, mac(7));
  EXPECT_EQ(lease.hostname, "vm7");
  EXPECT_EQ(lease.expiry, at(3600).time_since_epoch().count());
  EXPECT_EQ(lease.serial, ack.outcome.change->serial);
  EXPECT_EQ(*lab.server.find(lease.address), lease);
}

TEST(DhcpRequest, SelectingAnotherServer) {
  Lab lab;
  const auto offer = lab.discover(7);
  EXPECT_EQ(lab.say(request(7).wants(offer.address()).server("192.168.122.2")), "NAK wrong server-ID");
  EXPECT_EQ(lab.say(request(8).wants(offer.address())), "ACK " + offer.address()) << "the offer is not held any longer";
}

TEST(DhcpRequest, SelectingAnAddressWithoutAnOffer) {
  Lab lab;
  EXPECT_EQ(lab.say(request(7).wants("192.168.122.140").server("192.168.122.1")), "ACK 192.168.122.140");
}

TEST(DhcpRequest, SelectingAnotherAddressGivesUpTheFormer) {
  Lab lab;
  const auto first = lab.boot(7);
  const auto second = lab.tell(request(7).wants("192.168.122.140").server("192.168.122.1"));
  ASSERT_EQ(second.said(), "ACK 192.168.122.140");
  ASSERT_TRUE(second.outcome.change);
  EXPECT_EQ(second.outcome.change->removed, std::vector{ip(first.address())});
  EXPECT_EQ(lab.server.lease_count(), 1u);
}

TEST(DhcpRequest, SelectingWhatWasOfferedToAnother) {
  Lab lab;
  const auto offer = lab.discover(7);
  EXPECT_EQ(lab.say(request(8).wants(offer.address()).server("192.168.122.1")), "NAK address in use");
}

TEST(DhcpRequest, AnOfferToTheSameStationCountsForItsOtherIdentifier) {
  Lab lab;
  const auto offer = lab.tell(Ask(7, MessageType::discover).client_id("a"));
  EXPECT_EQ(lab.say(request(7).wants(offer.address()).server("192.168.122.1")), "ACK " + offer.address());
}

TEST(DhcpRequest, InitReboot) {
  Lab lab(scope_with_host());
  const auto mine = lab.boot(7).address();
  const auto theirs = lab.boot(8).address();
  EXPECT_EQ(lab.say(request(7).wants(mine)), "ACK " + mine);
  EXPECT_EQ(lab.say(request(9).wants("192.168.122.140")), "ACK 192.168.122.140") << "unknown, free: authoritative";
  EXPECT_EQ(lab.say(request(10).wants("192.168.122.200")), "NAK address not available") << "outside the range";
  EXPECT_EQ(lab.say(request(10).wants("192.168.122.1")), "NAK address not available") << "the gateway";
  EXPECT_EQ(lab.say(request(10).wants("192.168.122.255")), "NAK address not available");
  EXPECT_EQ(lab.say(request(10).wants("10.0.0.5")), "NAK wrong network");
  EXPECT_EQ(lab.say(request(10).wants(theirs)), "NAK address in use");
  EXPECT_EQ(lab.say(request(10).wants("192.168.122.10")), "NAK address not available") << "reserved, outside the range";
  EXPECT_EQ(lab.say(request(7).wants("192.168.122.141")), "NAK wrong address");
  EXPECT_EQ(lab.say(request(1).wants("192.168.122.141")), "NAK static lease available");
}

TEST(DhcpRequest, InitRebootForAReservedAddressInTheRange) {
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", "192.168.122.120")};
  Lab lab(scope);
  EXPECT_EQ(lab.say(request(10).wants("192.168.122.120")), "NAK address reserved");
  EXPECT_EQ(lab.say(request(1).wants("192.168.122.120")), "ACK 192.168.122.120");
}

TEST(DhcpRequest, InitRebootWithAnAddressSeenInUse) {
  ServerOptions options;
  options.address_in_use = [](wire::Ipv4Address a, wire::MacAddress) { return a == ip("192.168.122.140"); };
  Lab lab(default_scope(), options);
  EXPECT_EQ(lab.say(request(7).wants("192.168.122.140")), "NAK address in use");
}

TEST(DhcpRequest, Renewing) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  const auto theirs = lab.boot(8).address();
  lab.now = 1800;
  const auto ack = lab.tell(renew(7, mine));
  EXPECT_EQ(ack.said(), "ACK " + mine);
  EXPECT_EQ(lab.server.find(ip(mine))->expiry, at(1800 + 3600).time_since_epoch().count());
  EXPECT_EQ(lab.say(renew(9, "192.168.122.140")), "ACK 192.168.122.140") << "unknown, free: authoritative";
  EXPECT_EQ(lab.say(renew(7, theirs)), "NAK lease not found");
  EXPECT_EQ(lab.say(renew(10, theirs)), "NAK address in use");
  EXPECT_EQ(lab.say(renew(10, "10.0.0.5")), "NAK wrong network");
}

TEST(DhcpRequest, Rebinding) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  lab.now = 3200;
  EXPECT_EQ(lab.say(rebind(7, mine)), "ACK " + mine);
  EXPECT_EQ(lab.say(rebind(7, "192.168.122.149")), "silent") << "may be another server's";
  EXPECT_EQ(lab.say(rebind(11, "192.168.122.140")), "ACK 192.168.122.140");
}

TEST(DhcpRequest, RenewingBringsTheTimersForward) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  bool varies = false;
  std::optional<uint32_t> last;
  for (int i = 0; i < 20; ++i) {
    const auto ack = lab.tell(renew(7, mine));
    const uint32_t t1 = *ack.number(option::kRenewalTime), t2 = *ack.number(option::kRebindingTime);
    EXPECT_LE(t1, 1800u);
    EXPECT_GE(t1, 1800u - 3600 / 16);
    EXPECT_EQ(t2 - t1, 3150u - 1800u);
    varies = varies || (last && *last != t1);
    last = t1;
  }
  EXPECT_TRUE(varies);
}

TEST(DhcpRequest, ANewReservationDrawsItsHostAway) {
  Lab lab;
  const auto before = lab.boot(1).address();
  EXPECT_TRUE(lab.server.reconfigure(scope_with_host()).empty());
  const auto nak = lab.tell(renew(1, before));
  EXPECT_EQ(nak.said(), "NAK static lease available");
  ASSERT_TRUE(nak.outcome.change);
  EXPECT_EQ(nak.outcome.change->removed, std::vector{ip(before)});
  EXPECT_EQ(lab.boot(1).said(), "ACK 192.168.122.10");
}

TEST(DhcpRequest, ANewReservationIsFreedByWhoeverHadIt) {
  Lab lab;
  const auto address = lab.boot(7).address();
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", address)};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_NE(lab.discover(1).address(), address) << "its client uses it still";
  EXPECT_EQ(lab.say(renew(7, address)), "NAK address reserved");
  EXPECT_EQ(lab.boot(1).said(), "ACK " + address);
}

TEST(DhcpRequest, NamesNoAddress) {
  Lab lab;
  EXPECT_EQ(lab.say(request(7)), "malformed");
  EXPECT_EQ(lab.say(request(7).server("192.168.122.1")), "malformed");
}

TEST(DhcpRequest, LeaseTimes) {
  struct Row {
    const char* what;
    uint32_t configured;
    std::optional<uint32_t> wanted;
    uint32_t given;
  };
  const Row rows[] = {
      {"as configured", 3600, {}, 3600},
      {"shorter is the client's choice", 3600, 300, 300},
      {"longer is clipped", 3600, 86400, 3600},
      {"too short is raised", 3600, 10, 120},
      {"but not above the configured", 60, 10, 60},
      {"zero too", 3600, 0, 120},
      {"infinite is clipped", 3600, 0xffffffff, 3600},
      {"infinite by configuration", 0, {}, 0xffffffff},
      {"infinite, and shorter wanted", 0, 600, 600},
  };
  for (const Row& row : rows) {
    Scope scope = default_scope();
    scope.ranges[0].lease_seconds = row.configured;
    Lab lab(scope);
    Ask ask = request(7).wants("192.168.122.140");
    if (row.wanted) ask.lease_time(*row.wanted);
    const auto ack = lab.tell(ask);
    EXPECT_EQ(ack.number(option::kLeaseTime), row.given) << row.what;
    const Lease* lease = lab.server.find(ip("192.168.122.140"));
    ASSERT_NE(lease, nullptr);
    if (row.given == 0xffffffff) {
      EXPECT_EQ(lease->expiry, 0) << row.what;
      EXPECT_FALSE(ack.option(option::kRenewalTime)) << row.what;
      EXPECT_FALSE(ack.option(option::kRebindingTime)) << row.what;
    } else {
      EXPECT_EQ(lease->expiry, at(row.given).time_since_epoch().count()) << row.what;
      EXPECT_EQ(ack.number(option::kRenewalTime), row.given / 2) << row.what;
      EXPECT_EQ(ack.number(option::kRebindingTime), row.given * 7 / 8) << row.what;
    }
  }
}

TEST(DhcpRequest, LeaseTimeOfAReservation) {
  Scope scope = default_scope();
  scope.default_lease_seconds = 1000;
  scope.hosts = {host(1, "", "192.168.122.10", 300), host(2, "", "192.168.122.11"), host(3, "", "192.168.122.12", 0),
                 host(4, "", "192.168.122.120")};
  Lab lab(scope);
  EXPECT_EQ(lab.boot(1).number(option::kLeaseTime), 300u) << "its own";
  EXPECT_EQ(lab.boot(2).number(option::kLeaseTime), 1000u) << "outside the ranges";
  EXPECT_EQ(lab.boot(3).number(option::kLeaseTime), 0xffffffffu) << "infinite";
  EXPECT_EQ(lab.boot(4).number(option::kLeaseTime), 3600u) << "its range's";
}

TEST(DhcpRequest, WhatTheClientDoesNotRepeatStillHolds) {
  Lab lab;
  const auto ack = lab.tell(request(7).client_id("id").name("vm7").wants("192.168.122.140"));
  ASSERT_EQ(ack.said(), "ACK 192.168.122.140");
  lab.tell(renew(7, "192.168.122.140"));
  const Lease* lease = lab.server.find(ip("192.168.122.140"));
  EXPECT_EQ(lease->client_id, "id");
  EXPECT_EQ(lease->hostname, "vm7");
}

TEST(DhcpRelease, FreesTheAddressAtOnce) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  const auto released = lab.tell(Ask(7, MessageType::release).ciaddr(mine).server("192.168.122.1"));
  EXPECT_EQ(released.said(), "silent");
  ASSERT_TRUE(released.outcome.change);
  EXPECT_EQ(released.outcome.change->removed, std::vector{ip(mine)});
  EXPECT_EQ(lab.say(Ask(8, MessageType::discover).wants(mine)), "OFFER " + mine);
}

TEST(DhcpRelease, OnlyOfOnesOwnLease) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  const auto nothing = [&](const Ask& ask) {
    const auto answer = lab.tell(ask);
    EXPECT_EQ(answer.said(), "silent");
    EXPECT_FALSE(answer.outcome.change);
    EXPECT_EQ(lab.server.lease_count(), 1u);
  };
  nothing(Ask(8, MessageType::release).ciaddr(mine));
  nothing(Ask(7, MessageType::release).ciaddr("192.168.122.141"));
  nothing(Ask(7, MessageType::release).ciaddr(mine).server("192.168.122.9"));
  nothing(Ask(7, MessageType::release).ciaddr(mine).port(2));
  EXPECT_EQ(lab.server.stats().foreign_port, 1u) << "a neighbour that sends in its name";
}

TEST(DhcpDecline, PutsTheAddressAsideForTenMinutes) {
  Lab lab;
  const auto bad = lab.boot(7).address();
  const auto declined = lab.tell(Ask(7, MessageType::decline).wants(bad).server("192.168.122.1"));
  EXPECT_EQ(declined.said(), "silent");
  ASSERT_TRUE(declined.outcome.change);
  EXPECT_EQ(declined.outcome.change->removed, std::vector{ip(bad)});
  EXPECT_NE(lab.discover(7).address(), bad);
  EXPECT_NE(lab.tell(Ask(8, MessageType::discover).wants(bad)).address(), bad);
  EXPECT_EQ(lab.say(request(9).wants(bad)), "NAK address in use");
  lab.now = 599;
  EXPECT_EQ(lab.say(request(9).wants(bad)), "NAK address in use");
  lab.now = 600;
  EXPECT_EQ(lab.say(request(9).wants(bad)), "ACK " + bad);
}

TEST(DhcpDecline, OfAnOfferToo) {
  Lab lab;
  const auto bad = lab.discover(7).address();
  const auto declined = lab.tell(Ask(7, MessageType::decline).wants(bad));
  EXPECT_FALSE(declined.outcome.change);
  EXPECT_NE(lab.discover(7).address(), bad);
}

TEST(DhcpDecline, OfAReservation) {
  Lab lab(scope_with_host());
  ASSERT_EQ(lab.boot(1).said(), "ACK 192.168.122.10");
  lab.tell(Ask(1, MessageType::decline).wants("192.168.122.10").server("192.168.122.1"));
  const auto instead = lab.boot(1);
  EXPECT_EQ(instead.type(), MessageType::ack);
  EXPECT_NE(instead.address(), "192.168.122.10");
  EXPECT_EQ(instead.option(option::kHostName), "stat1");
  lab.now = 601;
  EXPECT_EQ(lab.say(renew(1, instead.address())), "NAK static lease available");
  EXPECT_EQ(lab.boot(1).said(), "ACK 192.168.122.10");
}

TEST(DhcpDecline, OnlyOfOnesOwn) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  lab.tell(Ask(8, MessageType::decline).wants(mine));
  lab.tell(Ask(8, MessageType::decline).wants("192.168.122.140"));
  lab.tell(Ask(7, MessageType::decline).wants(mine).port(2));
  lab.tell(Ask(7, MessageType::decline));
  EXPECT_EQ(lab.server.lease_count(), 1u);
  EXPECT_EQ(lab.say(request(9).wants("192.168.122.140")), "ACK 192.168.122.140");
}

TEST(DhcpInform, GivesConfigurationAndNoLease) {
  Lab lab;
  Ask ask(7, MessageType::inform);
  ask.ciaddr("192.168.122.50").unicast_flag().to_server("192.168.122.50");
  const auto ack = lab.tell(ask);
  EXPECT_EQ(ack.said(), "ACK 0.0.0.0");
  EXPECT_EQ(ack.codes(), (std::vector<uint8_t>{53, 54, 1, 28, 3, 6, 15}));
  EXPECT_EQ(ack.outcome.destination.ip, ip("192.168.122.50"));
  EXPECT_FALSE(ack.outcome.destination.broadcast);
  EXPECT_FALSE(ack.outcome.change);
  EXPECT_EQ(lab.server.lease_count(), 0u);
}

TEST(DhcpInform, TellsTheTimeLeftWhenAsked) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  lab.now = 600;
  Ask ask(7, MessageType::inform);
  ask.ciaddr(mine).list({1, 51});
  const auto ack = lab.tell(ask);
  EXPECT_EQ(ack.number(option::kLeaseTime), 3000u);
  EXPECT_FALSE(ack.option(option::kRenewalTime));
}

TEST(DhcpInform, OnlyFromThisSubnet) {
  Lab lab;
  EXPECT_EQ(lab.say(Ask(7, MessageType::inform)), "silent");
  EXPECT_EQ(lab.say(Ask(7, MessageType::inform).ciaddr("10.0.0.9")), "silent");
  Ask no_ciaddr(7, MessageType::inform);
  EXPECT_EQ(lab.tell(no_ciaddr.to_server("192.168.122.50")).outcome.destination.ip, ip("192.168.122.50"));
}

}  // namespace
}  // namespace weft::dhcp
