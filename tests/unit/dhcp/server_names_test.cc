// SPDX-License-Identifier: BSD-3-Clause
//
// Which names may be published for leases.
#include "dhcp_test.h"

namespace weft::dhcp {
namespace {

Scope scope_with_names() {
  Scope scope = default_scope();
  scope.hosts = {host(1, "stat1", "192.168.122.10"), host(3, "stat3.foreign.org", "192.168.122.12"),
                 host({}, "byname", "192.168.122.14")};
  scope.taken_names = {"gw2.lab.test", "WWW"};
  return scope;
}

TEST(DhcpNamesPolicy, OneLeaseOneName) {
  struct Row {
    unsigned mac;
    std::string says, published, shown;
  };
  const Row rows[] = {
      {7, "vm1", "vm1", "vm1"},
      {8, "VM2.lab.test", "VM2", "VM2.lab.test"},
      {9, "vm3.evil.org", "vm3", "vm3.evil.org"},
      {10, "bad_name!", "", "bad_name!"},
      {11, "-vm", "", "-vm"},
      {12, "", "", ""},
      {13, "gw2", "", "gw2"},      // a DNS host's
      {14, "www", "", "www"},      // in any case
      {15, "STAT1", "", "STAT1"},  // a reservation's
      {1, "other", "stat1", "stat1"},
      {3, "", "stat3", "stat3.foreign.org"},
  };
  Lab lab(scope_with_names());
  for (const Row& row : rows) {
    const auto ack = lab.boot(row.mac, row.says);
    ASSERT_EQ(ack.type(), MessageType::ack) << row.says;
    EXPECT_EQ(lab.published(ack.address()), row.published) << row.says;
    EXPECT_EQ(lab.server.shown_name(*lab.server.find(ip(ack.address()))), row.shown) << row.says;
    if (!row.published.empty()) {
      ASSERT_NE(lab.server.find_name(row.published), nullptr) << row.says;
      EXPECT_EQ(lab.server.find_name(row.published)->address.to_string(), ack.address()) << row.says;
    }
  }
  EXPECT_EQ(lab.server.find_name("vm2")->mac, mac(8)) << "in any case";
  EXPECT_EQ(lab.server.find_name("gw2"), nullptr);
  EXPECT_EQ(lab.server.find_name("nobody"), nullptr);
}

TEST(DhcpNamesPolicy, TheLastToClaimItHasIt) {
  Lab lab;
  const auto a = lab.boot(7, "vm1").address();
  const auto b = lab.boot(8, "VM1").address();
  EXPECT_EQ(lab.published(a), "");
  EXPECT_EQ(lab.published(b), "VM1");
  EXPECT_EQ(lab.server.find_name("vm1")->mac, mac(8));
  lab.tell(Ask(7, MessageType::request).ciaddr(a).name("vm1"));
  EXPECT_EQ(lab.published(a), "vm1") << "it claims it again when it renews";
  lab.tell(Ask(8, MessageType::request).ciaddr(b));
  EXPECT_EQ(lab.published(a), "vm1") << "a renewal without a name claims nothing";
}

TEST(DhcpNamesPolicy, ANameGoesWithItsLease) {
  Lab lab;
  const auto a = lab.boot(7, "vm1").address();
  lab.tell(Ask(7, MessageType::release).ciaddr(a));
  EXPECT_EQ(lab.server.find_name("vm1"), nullptr);
}

TEST(DhcpNamesPolicy, ANewNameReplacesTheOld) {
  Lab lab;
  const auto a = lab.boot(7, "old").address();
  lab.tell(Ask(7, MessageType::request).ciaddr(a).name("new"));
  EXPECT_EQ(lab.server.find_name("old"), nullptr);
  EXPECT_EQ(lab.published(a), "new");
}

TEST(DhcpNamesPolicy, AReservationByNameNamesOnlyWhoSaidIt) {
  Lab lab(scope_with_names());
  EXPECT_EQ(lab.server.find_name("byname"), nullptr) << "not before it has a lease";
  const auto ack = lab.boot(20, "byname");
  EXPECT_EQ(ack.said(), "ACK 192.168.122.14");
  EXPECT_EQ(lab.published(ack.address()), "byname");
  const auto second = lab.boot(21, "byname");
  EXPECT_EQ(lab.published(second.address()), "");
}

TEST(DhcpNamesPolicy, AReservationByNameDoesNotNameWhoHadTheAddressBefore) {
  Lab lab;
  const auto address = lab.boot(7, "vm7").address();
  Scope scope = default_scope();
  scope.hosts = {host({}, "byname", address)};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_EQ(lab.published(address), "vm7");
  EXPECT_EQ(lab.server.find_name("byname"), nullptr);
}

TEST(DhcpNamesPolicy, AConfiguredNameFollowsItsHostToAnotherAddress) {
  Lab lab(scope_with_names());
  lab.boot(1);
  lab.tell(Ask(1, MessageType::decline).wants("192.168.122.10"));
  const auto instead = lab.boot(1).address();
  EXPECT_EQ(lab.published(instead), "stat1");
  EXPECT_EQ(lab.server.find_name("stat1")->address.to_string(), instead);
}

TEST(DhcpNamesPolicy, OfTwoLeasesOfOneStationOneHasTheConfiguredName) {
  Lab lab(scope_with_names());
  ASSERT_EQ(lab.say(Ask(1, MessageType::request).client_id("a").wants("192.168.122.10").server("192.168.122.1")),
            "ACK 192.168.122.10");
  const auto second =
      lab.tell(Ask(1, MessageType::request).client_id("b").wants("192.168.122.140").server("192.168.122.1"));
  ASSERT_EQ(second.said(), "ACK 192.168.122.140");
  EXPECT_EQ(lab.published("192.168.122.10"), "stat1");
  EXPECT_EQ(lab.published("192.168.122.140"), "");
}

TEST(DhcpNamesPolicy, ANewConfigurationTakesNamesAway) {
  Lab lab;
  const auto a = lab.boot(7, "vm7").address();
  const uint64_t before = lab.server.version();
  Scope scope = default_scope();
  scope.taken_names = {"vm7"};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_EQ(lab.published(a), "");
  EXPECT_GT(lab.server.version(), before);
}

TEST(DhcpNamesPolicy, TheVersionTellsOfEveryChange) {
  Lab lab;
  uint64_t version = lab.server.version();
  const auto grew = [&] { return lab.server.version() > std::exchange(version, lab.server.version()); };
  const auto a = lab.boot(7, "vm7").address();
  EXPECT_TRUE(grew());
  lab.tell(Ask(7, MessageType::request).ciaddr(a).name("vm8"));
  EXPECT_TRUE(grew());
  lab.discover(7);
  EXPECT_FALSE(grew());
  EXPECT_EQ(lab.server.expire(at(9999)).size(), 1u);
  EXPECT_TRUE(grew());
}

}  // namespace
}  // namespace weft::dhcp
