// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of a network's own names, as tables: configuration, question, answer. Where libvirt with dnsmasq
// has been observed to answer otherwise, the case says so.
#include "dns/local_zone.h"

#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

LocalZoneConfig lab() {
  LocalZoneConfig c;
  c.domain = "lab.example";
  c.local_only = true;
  c.subnets = {{ip("10.77.0.1"), 24, false}, {ip("fd00:77::1"), 64, false}};
  c.hosts = {{ip("10.77.0.5"), {"gw2", "gw2alias", "third.other.org", "deep.er.lab.example"}},
             {ip("fd00:77::5"), {"six"}},
             {ip("10.77.0.6"), {"two"}},
             {ip("fd00:77::6"), {"two"}},
             {ip("10.77.0.40"), {"stat1"}}};
  c.reservations = {{"stat1", ip("10.77.0.10")}, {"stat3.foreign.org", ip("10.77.0.12")}};
  return c;
}

std::string ask(const LocalZone& zone, std::string_view qname, uint16_t qtype, QueryOptions options = {}) {
  Bytes out(512);
  const size_t size = zone.answer(query_of(qname, qtype, options), out);
  if (size == 0) return "forward";
  std::string text = describe(std::span(out).first(size));
  // The question is checked once, in AnswersCarryTheQuestionAsSent.
  const size_t bar = text.find(" | ");
  const size_t next = text.find(" | ", bar + 3);
  return text.substr(0, bar) + (next == std::string::npos ? "" : text.substr(next));
}

struct Case {
  const char* qname;
  uint16_t qtype;
  const char* answer;
};

void check(const LocalZone& zone, std::initializer_list<Case> cases) {
  for (const auto& c : cases) EXPECT_EQ(ask(zone, c.qname, c.qtype), c.answer) << c.qname << " type " << c.qtype;
}

constexpr uint16_t A = type::kA, AAAA = type::kAaaa, PTR = type::kPtr, ANY = type::kAny, MX = type::kMx,
                   HTTPS = type::kHttps;

TEST(LocalZone, ConfiguredHosts) {
  const LocalZone zone(lab());
  check(zone, {
                  {"gw2", A, "NOERROR aa rd ra | gw2 0 A 10.77.0.5"},
                  {"gw2.lab.example", A, "NOERROR aa rd ra | gw2.lab.example 0 A 10.77.0.5"},
                  {"GW2.LAB.example", A, "NOERROR aa rd ra | GW2.LAB.example 0 A 10.77.0.5"},
                  {"gw2alias.lab.example", A, "NOERROR aa rd ra | gw2alias.lab.example 0 A 10.77.0.5"},
                  {"third.other.org", A, "NOERROR aa rd ra | third.other.org 0 A 10.77.0.5"},
                  {"third", A, "forward"},
                  {"third.lab.example", A, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"},
                  {"six", AAAA, "NOERROR aa rd ra | six 0 AAAA fd00:77::5"},
                  {"two", A, "NOERROR aa rd ra | two 0 A 10.77.0.6"},
                  {"two.lab.example", AAAA, "NOERROR aa rd ra | two.lab.example 0 AAAA fd00:77::6"},
                  {"two", ANY, "NOERROR aa rd ra | two 0 A 10.77.0.6 | two 0 AAAA fd00:77::6"},
                  {"gw2", ANY, "NOERROR aa rd ra | gw2 0 A 10.77.0.5"},
              });
}

TEST(LocalZone, KnownNameWithoutTheTypeIsNodataAndNotAskedUpstream) {
  // dnsmasq forwards `gw2 AAAA`.
  check(LocalZone(lab()), {
                              {"gw2", AAAA, "NOERROR aa rd ra | auth gw2 5 SOA"},
                              {"six", A, "NOERROR aa rd ra | auth six 5 SOA"},
                              {"gw2.lab.example", HTTPS, "NOERROR aa rd ra | auth lab.example 5 SOA"},
                              {"gw2.lab.example", MX, "NOERROR aa rd ra | auth lab.example 5 SOA"},
                              {"third.other.org", AAAA, "NOERROR aa rd ra | auth third.other.org 5 SOA"},
                              {"5.0.77.10.in-addr.arpa", A, "NOERROR aa rd ra | auth 5.0.77.10.in-addr.arpa 5 SOA"},
                          });
}

TEST(LocalZone, GatewayHasNamesAndPtr) {
  LocalZoneConfig c = lab();
  check(LocalZone(c),
        {
            {"gateway", A, "NOERROR aa rd ra | gateway 0 A 10.77.0.1"},
            {"gateway.lab.example", AAAA, "NOERROR aa rd ra | gateway.lab.example 0 AAAA fd00:77::1"},
            {"1.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 1.0.77.10.in-addr.arpa 0 PTR gateway.lab.example"},
        });
  c.gateway_name = "";
  check(LocalZone(c), {{"gateway", A, "forward"}, {"1.0.77.10.in-addr.arpa", PTR, "forward"}});
  c.gateway_name = "gateway";
  c.hosts.push_back({ip("10.77.0.9"), {"gateway"}});
  c.hosts.push_back({ip("10.77.0.1"), {"router"}});
  check(LocalZone(c),
        {
            {"gateway", A, "NOERROR aa rd ra | gateway 0 A 10.77.0.9"},
            {"1.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 1.0.77.10.in-addr.arpa 0 PTR router.lab.example"},
        });
}

TEST(LocalZone, ReservationsResolveWithoutALeaseAndWinOverHosts) {
  check(LocalZone(lab()),
        {
            {"stat1", A, "NOERROR aa rd ra | stat1 0 A 10.77.0.10"},
            {"stat1.lab.example", A, "NOERROR aa rd ra | stat1.lab.example 0 A 10.77.0.10"},
            {"10.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 10.0.77.10.in-addr.arpa 0 PTR stat1.lab.example"},
            {"40.0.77.10.in-addr.arpa", PTR, "forward"},
            {"stat3.lab.example", A, "NOERROR aa rd ra | stat3.lab.example 0 A 10.77.0.12"},
            {"stat3.foreign.org", A, "forward"},
        });
}

TEST(LocalZone, ReverseNames) {
  check(LocalZone(lab()),
        {
            {"5.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 5.0.77.10.in-addr.arpa 0 PTR gw2.lab.example"},
            {"5.0.77.10.IN-ADDR.arpa", ANY, "NOERROR aa rd ra | 5.0.77.10.IN-ADDR.arpa 0 PTR gw2.lab.example"},
            {"5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0.0.0.d.f.ip6.arpa", PTR,
             "NOERROR aa rd ra | 5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0.0.0.d.f.ip6.arpa 0 "
             "PTR "
             "six.lab.example"},
            {"99.0.77.10.in-addr.arpa", PTR, "forward"},
            {"05.0.77.10.in-addr.arpa", PTR, "forward"},
            {"256.0.77.10.in-addr.arpa", PTR, "forward"},
            {"x.0.77.10.in-addr.arpa", PTR, "forward"},
            {"0.77.10.in-addr.arpa", PTR, "forward"},
            {"1.0.0.127.in-addr.arpa", PTR, "NOERROR aa rd ra | 1.0.0.127.in-addr.arpa 0 PTR localhost"},
        });
}

TEST(LocalZone, LocalPtrKeepsOwnSubnetsAtHome) {
  LocalZoneConfig c = lab();
  c.subnets[0].local_ptr = c.subnets[1].local_ptr = true;
  check(LocalZone(c),
        {
            {"5.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 5.0.77.10.in-addr.arpa 0 PTR gw2.lab.example"},
            {"99.0.77.10.in-addr.arpa", PTR, "NXDOMAIN aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
            {"99.0.77.10.in-addr.arpa", A, "NXDOMAIN aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
            {"x.99.0.77.10.in-addr.arpa", PTR, "NXDOMAIN aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
            {"0.77.10.in-addr.arpa", type::kNs, "NOERROR aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
            {"99.0.78.10.in-addr.arpa", PTR, "forward"},
            {"77.10.in-addr.arpa", PTR, "forward"},
            {"9.9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.0.0.0.0.d.f.ip6.arpa", PTR,
             "NXDOMAIN aa rd ra | auth 0.0.0.0.0.0.0.0.7.7.0.0.0.0.d.f.ip6.arpa 5 SOA"},
        });
}

TEST(LocalZone, LocalPtrOfASubnetThatEndsInsideALabelCoversItsAddressesOnly) {
  LocalZoneConfig c = lab();
  c.subnets = {{ip("10.77.0.65"), 26, true}};
  check(LocalZone(c), {
                          {"64.0.77.10.in-addr.arpa", PTR, "NXDOMAIN aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
                          {"127.0.77.10.in-addr.arpa", PTR, "NXDOMAIN aa rd ra | auth 0.77.10.in-addr.arpa 5 SOA"},
                          {"128.0.77.10.in-addr.arpa", PTR, "forward"},
                          {"63.0.77.10.in-addr.arpa", PTR, "forward"},
                          {"0.77.10.in-addr.arpa", PTR, "forward"},
                      });
}

TEST(LocalZone, UnknownNames) {
  LocalZoneConfig c = lab();
  check(LocalZone(c), {
                          {"nosuch.lab.example", A, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"},
                          {"nosuch.lab.example", AAAA, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"},
                          {"lab.example", A, "NOERROR aa rd ra | auth lab.example 5 SOA"},
                          {"er.lab.example", A,
                           "NOERROR aa rd ra | auth lab.example 5 SOA"},  // deep.er.lab.example exists (RFC 8020)
                          {"notlab.example", A, "forward"},
                          {"nosuch", A, "forward"},
                          {"www.example.net", A, "forward"},
                          {".", type::kNs, "forward"},
                      });
  c.local_only = false;
  check(LocalZone(c),
        {{"nosuch.lab.example", A, "forward"}, {"lab.example", A, "forward"}, {"er.lab.example", A, "forward"}});
}

TEST(LocalZone, ForwardPlainNamesNoKeepsNamesWithoutADot) {
  LocalZoneConfig c = lab();
  c.forward_plain_names = false;
  check(LocalZone(c), {
                          {"plain", A, "NXDOMAIN aa rd ra | auth . 5 SOA"},
                          {"plain", AAAA, "NXDOMAIN aa rd ra | auth . 5 SOA"},
                          {"plain", MX, "NXDOMAIN aa rd ra | auth . 5 SOA"},
                          {"gw2", A, "NOERROR aa rd ra | gw2 0 A 10.77.0.5"},
                          {"www.example.net", A, "forward"},
                          {".", type::kNs, "forward"},
                      });
}

TEST(LocalZone, IsolatedNetworkRefusesWhatIsNotItsOwn) {
  LocalZoneConfig c = lab();
  c.isolated = true;
  check(LocalZone(c), {
                          {"gw2", A, "NOERROR aa rd ra | gw2 0 A 10.77.0.5"},
                          {"nosuch.lab.example", A, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"},
                          {"www.example.net", A, "REFUSED rd ra"},
                          {"plain", A, "REFUSED rd ra"},
                          {"99.0.77.10.in-addr.arpa", PTR, "REFUSED rd ra"},
                          {"localhost", A, "NOERROR aa rd ra | localhost 0 A 127.0.0.1"},
                          {"localhost", AAAA, "NOERROR aa rd ra | localhost 0 AAAA ::1"},
                      });
}

TEST(LocalZone, WithoutDomainNamesStayPlain) {
  LocalZoneConfig c = lab();
  c.domain = "";
  LocalZone zone(c);
  zone.set_lease("vm1", ip("10.77.0.50"));
  check(zone, {
                  {"gw2", A, "NOERROR aa rd ra | gw2 0 A 10.77.0.5"},
                  {"gw2.lab.example", A, "forward"},
                  {"5.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 5.0.77.10.in-addr.arpa 0 PTR gw2"},
                  {"vm1", A, "NOERROR aa rd ra | vm1 0 A 10.77.0.50"},
                  {"vm1.lab.example", A, "forward"},
                  {"50.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 50.0.77.10.in-addr.arpa 0 PTR vm1"},
                  {".", A, "forward"},
              });
}

TEST(LocalZone, OtherClassesAndMetaTypesAreRefused) {
  const LocalZone zone(lab());
  EXPECT_EQ(ask(zone, "version.bind", type::kTxt, {.klass = klass::kChaos}), "REFUSED rd ra");
  EXPECT_EQ(ask(zone, "gw2", A, {.klass = klass::kAny}), "REFUSED rd ra");
  EXPECT_EQ(ask(zone, "lab.example", type::kAxfr), "REFUSED rd ra");
  EXPECT_EQ(ask(zone, "lab.example", type::kIxfr), "REFUSED rd ra");
  EXPECT_EQ(ask(zone, "www.example.net", type::kOpt), "FORMERR rd ra");
}

TEST(LocalZone, FlagsAndOptFollowTheClient) {
  const LocalZone zone(lab());
  EXPECT_EQ(ask(zone, "gw2", A, {.flags = 0}), "NOERROR aa ra | gw2 0 A 10.77.0.5");
  EXPECT_EQ(ask(zone, "gw2", A, {.flags = flag::kCheckingDisabled | flag::kAuthenticData}),
            "NOERROR aa ra cd | gw2 0 A 10.77.0.5");
  EXPECT_EQ(ask(zone, "gw2", A, {.edns = Edns{.dnssec_ok = true}}),
            "NOERROR aa rd ra | gw2 0 A 10.77.0.5 | opt 1232 do");
  EXPECT_EQ(ask(zone, "nosuch.lab.example", A, {.edns = Edns{}}),
            "NXDOMAIN aa rd ra | auth lab.example 5 SOA | opt 1232");
}

TEST(LocalZone, AnswersCarryTheQuestionAsSent) {
  Bytes out(512);
  const size_t size = LocalZone(lab()).answer(query_of("gW2.Lab.example", A), out);
  EXPECT_EQ(describe(std::span(out).first(size)),
            "NOERROR aa rd ra | gW2.Lab.example A | gW2.Lab.example 0 A 10.77.0.5");
}

TEST(LocalZone, ManyAddressesAreTruncatedAsAWhole) {
  LocalZoneConfig c = lab();
  for (uint8_t i = 0; i < 200; ++i) c.hosts.push_back({wire::Ipv4Address(10, 77, 1, i), {"many"}});
  EXPECT_EQ(ask(LocalZone(c), "many", A), "NOERROR aa tc rd ra");
}

TEST(Leases, ResolveBothWaysUnderPlainAndFullName) {
  LocalZone zone(lab());
  EXPECT_TRUE(zone.set_lease("VM1", ip("10.77.0.50")));
  EXPECT_TRUE(zone.set_lease("vm2.evil.org", ip("10.77.0.51")));
  EXPECT_TRUE(zone.set_lease("vm1", ip("fd00:77::50")));
  check(zone, {
                  {"vm1", A, "NOERROR aa rd ra | vm1 0 A 10.77.0.50"},
                  {"vm1.lab.example", A, "NOERROR aa rd ra | vm1.lab.example 0 A 10.77.0.50"},
                  {"vm1", AAAA, "NOERROR aa rd ra | vm1 0 AAAA fd00:77::50"},
                  {"vm1", ANY, "NOERROR aa rd ra | vm1 0 A 10.77.0.50 | vm1 0 AAAA fd00:77::50"},
                  {"50.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 50.0.77.10.in-addr.arpa 0 PTR vm1.lab.example"},
                  {"vm2.lab.example", A, "NOERROR aa rd ra | vm2.lab.example 0 A 10.77.0.51"},
                  {"vm2.lab.example", AAAA, "NOERROR aa rd ra | auth lab.example 5 SOA"},
                  {"vm2.evil.org", A, "forward"},
              });
  zone.remove_lease(ip("10.77.0.50"));
  check(zone, {
                  {"vm1", A, "NOERROR aa rd ra | auth vm1 5 SOA"},
                  {"50.0.77.10.in-addr.arpa", PTR, "forward"},
              });
  zone.remove_lease(ip("fd00:77::50"));
  check(zone, {{"vm1", A, "forward"}, {"vm1.lab.example", A, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"}});
  zone.remove_lease(ip("10.77.0.99"));
  EXPECT_EQ(zone.n_leases(), 1u);
}

TEST(Leases, NamesNotAllowedAreNotPublished) {
  LocalZone zone(lab());
  for (const char* bad : {"", "bad_name!", "-vm", "_vm", "a b", ".x", "\xc3\xa4"}) {
    EXPECT_FALSE(zone.set_lease(bad, ip("10.77.0.50"))) << bad;
    EXPECT_EQ(zone.n_leases(), 0u) << bad;
  }
  EXPECT_FALSE(zone.set_lease(std::string(64, 'a'), ip("10.77.0.50")));
  EXPECT_TRUE(zone.set_lease(std::string(63, 'a'), ip("10.77.0.50")));
  EXPECT_TRUE(zone.set_lease("ok_name-1", ip("10.77.0.50")));
}

TEST(Leases, LastClientWithANameWins) {
  LocalZone zone(lab());
  zone.set_lease("vm", ip("10.77.0.50"));
  zone.set_lease("VM", ip("10.77.0.51"));
  check(zone, {
                  {"vm", A, "NOERROR aa rd ra | vm 0 A 10.77.0.51"},
                  {"50.0.77.10.in-addr.arpa", PTR, "forward"},
                  {"51.0.77.10.in-addr.arpa", PTR, "NOERROR aa rd ra | 51.0.77.10.in-addr.arpa 0 PTR vm.lab.example"},
              });
  zone.remove_lease(ip("10.77.0.50"));  // the older one ends: nothing changes
  check(zone, {{"vm", A, "NOERROR aa rd ra | vm 0 A 10.77.0.51"}});
}

TEST(Leases, ANewNameReplacesTheAddressesFormerOne) {
  LocalZone zone(lab());
  zone.set_lease("old", ip("10.77.0.50"));
  zone.set_lease("new", ip("10.77.0.50"));
  check(zone, {{"old", A, "forward"}, {"new", A, "NOERROR aa rd ra | new 0 A 10.77.0.50"}});
  EXPECT_FALSE(zone.set_lease("", ip("10.77.0.50")));
  check(zone, {{"new", A, "forward"}, {"50.0.77.10.in-addr.arpa", PTR, "forward"}});
}

TEST(Leases, CannotTakeAConfiguredName) {
  LocalZone zone(lab());
  for (const char* taken : {"stat1", "gw2", "gateway", "localhost", "GATEWAY.lab.example"}) {
    EXPECT_FALSE(zone.set_lease(taken, ip("10.77.0.66"))) << taken;
    EXPECT_EQ(ask(zone, "66.0.77.10.in-addr.arpa", PTR), "forward") << taken;
  }
  check(zone, {
                  {"stat1", A, "NOERROR aa rd ra | stat1 0 A 10.77.0.10"},
                  {"gateway.lab.example", A, "NOERROR aa rd ra | gateway.lab.example 0 A 10.77.0.1"},
                  {"localhost.lab.example", A, "NXDOMAIN aa rd ra | auth lab.example 5 SOA"},
                  {"gw2", AAAA, "NOERROR aa rd ra | auth gw2 5 SOA"},
              });
}

TEST(Leases, AConfiguredFullNameHidesTheClientsPlainOne) {
  LocalZoneConfig c = lab();
  c.hosts.push_back({ip("10.77.0.7"), {"web.lab.example"}});
  LocalZone zone(c);
  EXPECT_FALSE(zone.set_lease("web", ip("10.77.0.66")));
  check(zone, {{"web", A, "forward"}, {"web.lab.example", A, "NOERROR aa rd ra | web.lab.example 0 A 10.77.0.7"}});
}

TEST(Leases, StayOverAReconfigurationAndAreJudgedAnew) {
  LocalZone zone(lab());
  zone.set_lease("vm1", ip("10.77.0.50"));
  zone.set_lease("gw2", ip("10.77.0.51"));
  LocalZoneConfig c = lab();
  c.domain = "new.example";
  c.hosts = {{ip("10.77.0.8"), {"vm1"}}};
  zone.reconfigure(c);
  check(zone, {
                  {"vm1", A, "NOERROR aa rd ra | vm1 0 A 10.77.0.8"},
                  {"50.0.77.10.in-addr.arpa", PTR, "forward"},
                  {"gw2.new.example", A, "NOERROR aa rd ra | gw2.new.example 0 A 10.77.0.51"},
                  {"gw2.lab.example", A, "forward"},
              });
}

TEST(ReverseName, RoundTrips) {
  for (const char* text : {"10.77.0.5", "255.255.255.255", "0.0.0.0", "fd00:77::5", "2001:db8:1234:5678:9abc:def0:1:2"})
    EXPECT_EQ(address_of_reverse_name(reverse_name(ip(text))), ip(text)) << text;
  EXPECT_EQ(reverse_name(ip("192.168.122.1"), 24).to_string(), "122.168.192.in-addr.arpa");
  EXPECT_EQ(reverse_name(ip("10.1.2.3"), 0).to_string(), "in-addr.arpa");
}

}  // namespace
}  // namespace weft::dns
