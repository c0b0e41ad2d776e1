// SPDX-License-Identifier: BSD-3-Clause
//
// Which address a DISCOVER is offered (RFC 2131 §4.3.1), and BOOTP.
#include "dhcp_test.h"

namespace weft::dhcp {
namespace {

Scope scope_with_hosts() {
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", "192.168.122.10"), host(2, "stat2.lab.test", "192.168.122.11", 300),
                 host(4, "", "192.168.122.13", 0), host({}, "byname", "192.168.122.14"),
                 host(5, "", "192.168.122.120")};
  return scope;
}

TEST(DhcpDiscover, PlacesAClientWhereDnsmasqDoes) {
  // Observed: range 100–150, MAC 52:54:00:00:00:51 was offered .129, :52 .130, :53 .131, :55 .133.
  Lab lab;
  EXPECT_EQ(lab.say(Ask(0x51, MessageType::discover)), "OFFER 192.168.122.129");
  EXPECT_EQ(lab.say(Ask(0x52, MessageType::discover)), "OFFER 192.168.122.130");
  EXPECT_EQ(lab.say(Ask(0x53, MessageType::discover)), "OFFER 192.168.122.131");
  EXPECT_EQ(lab.say(Ask(0x55, MessageType::discover)), "OFFER 192.168.122.133");
}

TEST(DhcpDiscover, ChangesNothingDurable) {
  Lab lab;
  const auto offer = lab.discover(7);
  EXPECT_TRUE(offer.replied());
  EXPECT_FALSE(offer.outcome.change);
  EXPECT_EQ(lab.server.lease_count(), 0u);
}

TEST(DhcpDiscover, ReservationByMac) {
  Lab lab(scope_with_hosts());
  EXPECT_EQ(lab.say(Ask(1, MessageType::discover)), "OFFER 192.168.122.10") << "outside the range";
  EXPECT_EQ(lab.say(Ask(5, MessageType::discover)), "OFFER 192.168.122.120") << "inside the range";
  EXPECT_EQ(lab.say(Ask(1, MessageType::discover).wants("192.168.122.140")), "OFFER 192.168.122.10")
      << "whatever it asks for";
  EXPECT_EQ(lab.say(Ask(1, MessageType::discover).client_id("other")), "OFFER 192.168.122.10");
}

TEST(DhcpDiscover, ReservationByNameAlone) {
  Lab lab(scope_with_hosts());
  EXPECT_EQ(lab.say(Ask(9, MessageType::discover).name("ByName")), "OFFER 192.168.122.14");
  EXPECT_NE(lab.say(Ask(9, MessageType::discover)), "OFFER 192.168.122.14");
  EXPECT_NE(lab.say(Ask(9, MessageType::discover).name("stat1")), "OFFER 192.168.122.10") << "that one asks for a MAC";
  // Once it is leased, a second client of that name gets another address.
  ASSERT_EQ(lab.boot(9, "byname").said(), "ACK 192.168.122.14");
  EXPECT_NE(lab.say(Ask(10, MessageType::discover).name("byname")), "OFFER 192.168.122.14");
}

TEST(DhcpDiscover, ReservationForTheSameStationUnderAnotherIdentifier) {
  Lab lab(scope_with_hosts());
  const auto boot =
      lab.tell(Ask(1, MessageType::request).client_id("rom").wants("192.168.122.10").server("192.168.122.1"));
  ASSERT_EQ(boot.said(), "ACK 192.168.122.10");
  EXPECT_EQ(lab.say(Ask(1, MessageType::discover).client_id("system")), "OFFER 192.168.122.10");
  EXPECT_EQ(lab.say(Ask(1, MessageType::request).client_id("system").wants("192.168.122.10").server("192.168.122.1")),
            "ACK 192.168.122.10");
  EXPECT_EQ(lab.server.lease_count(), 1u);
}

TEST(DhcpDiscover, ReservationLeasedToAnotherGivesADynamicAddress) {
  Lab lab;
  const auto first = lab.boot(7);
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", first.address())};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  const auto offer = lab.discover(1);
  EXPECT_TRUE(offer.replied());
  EXPECT_NE(offer.address(), first.address());
  EXPECT_NE(offer.address(), "");
}

TEST(DhcpDiscover, ReservationOfTheGatewayIsNotHonoured) {
  Scope scope = default_scope();
  scope.hosts = {host(1, "gw", "192.168.122.1"), host(2, "far", "192.168.1.9")};
  Lab lab(scope);
  for (const unsigned m : {1u, 2u}) {
    const auto a = ip(lab.discover(m).address());
    EXPECT_TRUE(a >= ip("192.168.122.100") && a <= ip("192.168.122.150")) << a.to_string();
  }
}

TEST(DhcpDiscover, SameAddressWhileLeased) {
  Lab lab;
  const auto ack = lab.boot(7);
  ASSERT_EQ(ack.type(), MessageType::ack);
  lab.now += 1800;
  EXPECT_EQ(lab.discover(7).address(), ack.address());
  EXPECT_EQ(lab.tell(Ask(7, MessageType::discover).wants("192.168.122.149")).address(), ack.address());
}

TEST(DhcpDiscover, SameAddressAfterEverythingWasForgotten) {
  Lab before, after;
  EXPECT_EQ(before.boot(7).address(), after.boot(7).address());
}

TEST(DhcpDiscover, AddressAskedForWhenItIsFree) {
  Lab lab;
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover).wants("192.168.122.149")), "OFFER 192.168.122.149");
  EXPECT_NE(lab.say(Ask(8, MessageType::discover).wants("192.168.122.149")), "OFFER 192.168.122.149") << "offered";
  const auto hashed = Lab().discover(8).address();
  EXPECT_EQ(lab.tell(Ask(8, MessageType::discover).wants("192.168.122.200")).address(), hashed) << "out of range";
  EXPECT_EQ(lab.tell(Ask(8, MessageType::discover).wants("192.168.122.1")).address(), hashed) << "the gateway";
}

TEST(DhcpDiscover, AddressAskedForIsReservedForAnother) {
  Lab lab(scope_with_hosts());
  EXPECT_NE(lab.say(Ask(7, MessageType::discover).wants("192.168.122.120")), "OFFER 192.168.122.120");
}

TEST(DhcpDiscover, ARepeatedDiscoverIsOfferedTheSame) {
  Lab lab;
  const auto first = lab.tell(Ask(7, MessageType::discover).wants("192.168.122.149")).address();
  EXPECT_EQ(lab.discover(7).address(), first);
}

TEST(DhcpDiscover, RangesAreSearchedInTheirOrder) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.21"), 600},
                  {ip("192.168.122.30"), ip("192.168.122.40"), 1200}};
  Lab lab(scope);
  for (const unsigned m : {1u, 2u}) {
    const auto ack = lab.boot(m);
    EXPECT_LT(ip(ack.address()), ip("192.168.122.22"));
    EXPECT_EQ(ack.number(option::kLeaseTime), 600u);
  }
  const auto third = lab.boot(3);
  EXPECT_GE(ip(third.address()), ip("192.168.122.30"));
  EXPECT_EQ(third.number(option::kLeaseTime), 1200u) << "each range has its own time";
}

TEST(DhcpDiscover, PassesOverAddressesSeenInUse) {
  ServerOptions options;
  options.address_in_use = [](wire::Ipv4Address a, wire::MacAddress m) {
    return m != mac(0x99) && (a == ip("192.168.122.129") || a == ip("192.168.122.149"));
  };
  Lab lab(default_scope(), options);
  EXPECT_EQ(lab.say(Ask(0x51, MessageType::discover)), "OFFER 192.168.122.130");
  EXPECT_NE(lab.say(Ask(0x52, MessageType::discover).wants("192.168.122.149")), "OFFER 192.168.122.149");
  EXPECT_EQ(lab.say(Ask(0x99, MessageType::discover).wants("192.168.122.149")), "OFFER 192.168.122.149")
      << "its own use is no obstacle";
}

TEST(DhcpDiscover, SilentWhenEveryAddressIsTaken) {
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.22"), 600}};
  Lab lab(scope);
  for (unsigned m = 1; m <= 3; ++m) EXPECT_EQ(lab.boot(m).type(), MessageType::ack);
  EXPECT_EQ(lab.say(Ask(4, MessageType::discover)), "silent");
  EXPECT_EQ(lab.server.stats().no_address, 1u);
}

TEST(DhcpDiscover, AFullPoolDoesNotTouchReservations) {  // dnsmasq counts them against the pool
  Scope scope = scope_with_hosts();
  scope.ranges = {{ip("192.168.122.20"), ip("192.168.122.21"), 600}};
  Lab lab(scope);
  ASSERT_EQ(lab.boot(20).type(), MessageType::ack);
  ASSERT_EQ(lab.boot(21).type(), MessageType::ack);
  EXPECT_EQ(lab.boot(1).said(), "ACK 192.168.122.10");
  EXPECT_EQ(lab.boot(2).said(), "ACK 192.168.122.11");
}

TEST(DhcpDiscover, ReservationsAloneWithoutARange) {
  Scope scope = scope_with_hosts();
  scope.ranges.clear();
  Lab lab(scope);
  EXPECT_EQ(lab.boot(1).said(), "ACK 192.168.122.10");
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover)), "silent");
}

TEST(DhcpDiscover, ClientIdentifierBeforeMac) {
  Lab lab;
  const auto ack = lab.tell(Ask(7, MessageType::request).client_id("id-a").wants("192.168.122.140"));
  ASSERT_EQ(ack.said(), "ACK 192.168.122.140");
  EXPECT_EQ(lab.say(Ask(8, MessageType::discover).client_id("id-a")), "OFFER 192.168.122.140") << "another MAC";
  EXPECT_NE(lab.say(Ask(7, MessageType::discover).client_id("id-b")), "OFFER 192.168.122.140") << "another identifier";
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover)), "OFFER 192.168.122.140") << "no identifier";
}

TEST(DhcpDiscover, ALeaseWithoutIdentifierIsFoundByMac) {
  Lab lab;
  const auto ack = lab.boot(7);
  EXPECT_EQ(lab.tell(Ask(7, MessageType::discover).client_id("new")).address(), ack.address());
}

TEST(DhcpDiscover, AnIdentifierThatLooksLikeAMacIsNone) {
  Lab lab;
  const auto ack = lab.boot(7);
  const auto m = mac(7);
  const std::string bytes(reinterpret_cast<const char*>(m.bytes.data()), 6);
  EXPECT_NE(lab.tell(Ask(8, MessageType::discover).client_id(bytes)).address(), ack.address());
}

TEST(DhcpDiscover, RapidCommitIsNotTakenUp) {
  Lab lab;
  EXPECT_EQ(lab.tell(Ask(7, MessageType::discover).option(80, "")).type(), MessageType::offer);
}

TEST(DhcpDiscover, RelayedFromOurSubnetOnly) {
  Lab lab;
  Ask ours(7, MessageType::discover);
  ours.giaddr("192.168.122.77").from_mac(mac(77)).unicast_flag();
  const auto offer = lab.tell(ours);
  ASSERT_TRUE(offer.replied());
  EXPECT_FALSE(offer.outcome.destination.broadcast);
  EXPECT_EQ(offer.outcome.destination.ip, ip("192.168.122.77"));
  EXPECT_EQ(offer.outcome.destination.mac, mac(77)) << "the relay's";
  EXPECT_EQ(offer.outcome.destination.port, 67);
  EXPECT_EQ(offer.pdu->giaddr().to_string(), "192.168.122.77");
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover).giaddr("10.9.9.9")), "silent");
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover).giaddr("192.168.122.1")), "silent");
  EXPECT_EQ(lab.server.stats().foreign_relay, 2u);
}

TEST(DhcpDiscover, SubnetSelection) {  // RFC 3011, RFC 3527
  Lab lab;
  EXPECT_TRUE(lab.tell(Ask(7, MessageType::discover).address(118, "192.168.122.0")).replied());
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover).address(118, "10.0.0.0")), "silent");
  EXPECT_EQ(lab.say(Ask(7, MessageType::discover).option(82, std::string("\x01\x01x\x05\x04\x0a\0\0\0", 9))), "silent");
  EXPECT_TRUE(lab.tell(Ask(7, MessageType::discover).option(82, std::string("\x05\x04\xc0\xa8\x7a\0", 6))).replied());
  EXPECT_TRUE(lab.tell(Ask(7, MessageType::discover).option(82, std::string("\x05\x09\xc0", 3))).replied())
      << "garbled";
}

TEST(DhcpDiscover, UnknownTypesAreSilent) {
  Lab lab;
  for (const int type : {2, 5, 6, 9, 10, 99}) EXPECT_EQ(lab.say(Ask(7, static_cast<MessageType>(type))), "silent");
  EXPECT_EQ(lab.server.stats().unknown, 6u);
}

TEST(DhcpDiscover, GarbageIsMalformed) {
  Lab lab;
  const auto answer = lab.tell(Bytes{1, 2, 3}, {});
  EXPECT_EQ(answer.said(), "malformed");
  EXPECT_EQ(answer.outcome.reason, "shorter than a DHCP message");
  EXPECT_EQ(lab.server.stats().malformed, 1u);
}

TEST(DhcpBootp, OnlyForReservations) {
  Lab lab(scope_with_hosts());
  EXPECT_EQ(lab.say(Ask(7, MessageType::bootp)), "silent");
  const auto reply = lab.tell(Ask(1, MessageType::bootp));
  EXPECT_EQ(reply.said(), "BOOTP 192.168.122.10");
  EXPECT_EQ(reply.codes(), (std::vector<uint8_t>{1, 28, 3, 6, 15, 12}));
  EXPECT_EQ(reply.outcome.reply.size(), 300u);
  ASSERT_TRUE(reply.outcome.change && reply.outcome.change->put);
  EXPECT_EQ(reply.outcome.change->put->expiry, 0) << "for ever";
}

}  // namespace
}  // namespace weft::dhcp
