// SPDX-License-Identifier: BSD-3-Clause
//
// The server beside a store that keeps some changes and loses others, and over a restart or a new configuration.
#include "dhcp_test.h"

namespace weft::dhcp {
namespace {

/// As Lab, but nothing is committed or reverted by itself.
struct SlowLab : Lab {
  using Lab::Lab;
  Outcome pending(const Ask& ask) { return server.handle(ask.bytes(), ask.context(), at(now)); }
};

Ask take(unsigned m, std::string_view address) {
  Ask ask(m, MessageType::request);
  return ask.wants(address);
}

TEST(DhcpDurability, APendingLeaseHoldsItsAddress) {
  SlowLab lab;
  const auto ack = lab.pending(take(7, "192.168.122.140"));
  ASSERT_TRUE(ack.change);
  EXPECT_EQ(lab.say(take(8, "192.168.122.140")), "NAK address in use");
  EXPECT_NE(lab.say(Ask(8, MessageType::discover).wants("192.168.122.140")), "OFFER 192.168.122.140");
}

TEST(DhcpDurability, AFailedNewLeaseIsNone) {
  SlowLab lab;
  const auto ack = lab.pending(take(7, "192.168.122.140"));
  lab.server.revert(*ack.change);
  EXPECT_EQ(lab.server.lease_count(), 0u);
  EXPECT_EQ(lab.server.stats().reverted, 1u);
  EXPECT_EQ(lab.say(take(8, "192.168.122.140")), "ACK 192.168.122.140");
}

TEST(DhcpDurability, AFailedRenewalGoesBackToWhatIsKept) {
  SlowLab lab;
  const auto first = lab.pending(take(7, "192.168.122.140").name("vm7"));
  lab.server.committed(*first.change);
  lab.now = 1000;
  const auto second = lab.pending(take(7, "192.168.122.140").name("other"));
  lab.server.revert(*second.change);
  const Lease* lease = lab.server.find(ip("192.168.122.140"));
  ASSERT_NE(lease, nullptr);
  EXPECT_EQ(*lease, *first.change->put);
  EXPECT_EQ(lab.published("192.168.122.140"), "vm7");
  EXPECT_EQ(lab.server.find_name("other"), nullptr);
  EXPECT_EQ(lab.server.expire(at(3600)).size(), 1u) << "it ends when the kept one does";
}

TEST(DhcpDurability, TwoPendingAnswersInEveryCombination) {
  for (const bool first_kept : {false, true})
    for (const bool second_kept : {false, true}) {
      SlowLab lab;
      const auto first = lab.pending(take(7, "192.168.122.140"));
      lab.now = 100;
      const auto second = lab.pending(take(7, "192.168.122.140"));
      first_kept ? lab.server.committed(*first.change) : lab.server.revert(*first.change);
      second_kept ? lab.server.committed(*second.change) : lab.server.revert(*second.change);
      const Lease* lease = lab.server.find(ip("192.168.122.140"));
      if (!first_kept && !second_kept) {
        EXPECT_EQ(lease, nullptr);
        continue;
      }
      ASSERT_NE(lease, nullptr);
      EXPECT_EQ(*lease, second_kept ? *second.change->put : *first.change->put);
    }
}

TEST(DhcpDurability, AFailureOfThePastDoesNotTouchANewHolder) {
  SlowLab lab;
  const auto first = lab.pending(take(7, "192.168.122.140"));
  const auto release = lab.pending(Ask(7, MessageType::release).ciaddr("192.168.122.140"));
  const auto second = lab.pending(take(8, "192.168.122.140"));
  ASSERT_EQ(second.type, MessageType::ack);
  lab.server.revert(*first.change);
  lab.server.revert(*release.change);
  EXPECT_EQ(lab.server.find(ip("192.168.122.140"))->mac, mac(8));
  lab.server.committed(*second.change);
  EXPECT_EQ(lab.server.find(ip("192.168.122.140"))->mac, mac(8));
}

TEST(DhcpDurability, ALateSuccessOfAFormerHolderIsNotMistakenForTheNewOnes) {
  SlowLab lab;
  const auto first = lab.pending(take(7, "192.168.122.140"));
  const auto release = lab.pending(Ask(7, MessageType::release).ciaddr("192.168.122.140"));
  const auto second = lab.pending(take(8, "192.168.122.140"));
  lab.server.committed(*first.change);
  lab.server.committed(*release.change);
  lab.server.revert(*second.change);
  EXPECT_EQ(lab.server.lease_count(), 0u) << "the store has no row for it";
}

TEST(DhcpDurability, AFailedReleaseStaysReleased) {
  SlowLab lab;
  lab.tell(take(7, "192.168.122.140"));
  const auto release = lab.pending(Ask(7, MessageType::release).ciaddr("192.168.122.140"));
  lab.server.revert(*release.change);
  EXPECT_EQ(lab.server.lease_count(), 0u);
}

TEST(DhcpDurability, AClientOfTwoAddressesIsNotRestoredTwice) {
  SlowLab lab;
  lab.tell(take(7, "192.168.122.140"));
  const auto renewal = lab.pending(take(7, "192.168.122.140"));
  const auto moved = lab.tell(Ask(7, MessageType::request).wants("192.168.122.141").server("192.168.122.1"));
  ASSERT_EQ(moved.said(), "ACK 192.168.122.141");
  lab.server.revert(*renewal.change);
  EXPECT_EQ(lab.server.lease_count(), 1u);
}

TEST(DhcpRestore, TakesUpWhereItLeftOff) {
  Lab before;
  const auto a = before.boot(7, "vm1").address();
  const auto b = before.boot(8, "vm1").address();
  const auto kept = before.server.leases();
  Lab after;
  after.now = 10;
  EXPECT_TRUE(after.server.restore(kept, at(10)).empty());
  EXPECT_EQ(after.server.lease_count(), 2u);
  EXPECT_EQ(after.discover(7).address(), a);
  EXPECT_EQ(after.published(b), "vm1") << "the last to claim it, still";
  EXPECT_EQ(after.published(a), "");
  EXPECT_EQ(after.server.find(ip(a))->port, kNoPort);
  const auto next = after.boot(9);
  EXPECT_GT(next.outcome.change->serial, kept[0].serial);
  EXPECT_GT(next.outcome.change->serial, kept[1].serial);
  EXPECT_EQ(after.say(take(10, a)), "NAK address in use");
}

TEST(DhcpRestore, LeavesBehindWhatHasNoPlace) {
  const auto lease = [](unsigned m, std::string_view address, int64_t expiry, uint64_t serial) {
    Lease l;
    l.address = ip(address);
    l.mac = mac(m);
    l.expiry = at(expiry).time_since_epoch().count();
    l.serial = serial;
    return l;
  };
  const std::vector<Lease> kept{lease(1, "192.168.122.101", 100, 1), lease(2, "10.0.0.5", 9000, 2),
                                lease(3, "192.168.122.1", 9000, 3), lease(4, "192.168.122.104", 9000, 9),
                                lease(4, "192.168.122.105", 9000, 5)};
  Lab lab;
  std::vector<std::string> removed;
  for (const auto& change : lab.server.restore(kept, at(100)))
    for (const auto address : change.removed) removed.push_back(address.to_string());
  EXPECT_EQ(removed, (std::vector<std::string>{"192.168.122.101", "10.0.0.5", "192.168.122.1", "192.168.122.105"}));
  EXPECT_EQ(lab.server.lease_count(), 1u);
  EXPECT_NE(lab.server.find(ip("192.168.122.104")), nullptr) << "the later of two of one client";
}

TEST(DhcpReconfigure, KeepsLeasesOfTheSubnet) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  Scope scope = default_scope();
  scope.ranges = {{ip("192.168.122.200"), ip("192.168.122.210"), 60}};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_EQ(lab.server.lease_count(), 1u);
  EXPECT_EQ(lab.say(Ask(7, MessageType::request).ciaddr(mine).to_server(mine)), "NAK address not available");
  EXPECT_GE(ip(lab.boot(7).address()), ip("192.168.122.200"));
}

TEST(DhcpReconfigure, EndsLeasesOutsideIt) {
  Lab lab;
  const auto mine = lab.boot(7).address();
  Scope scope = default_scope();
  scope.server = ip("10.0.0.1");
  scope.ranges = {{ip("10.0.0.10"), ip("10.0.0.20"), 60}};
  const auto changes = lab.server.reconfigure(scope);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].removed, std::vector{ip(mine)});
  EXPECT_EQ(lab.server.lease_count(), 0u);
  EXPECT_GE(ip(lab.boot(7).address()), ip("10.0.0.10"));
}

TEST(DhcpReconfigure, KeepsThePortsShares) {
  ServerOptions options;
  options.limits.addresses_per_port = 2;
  Lab lab(default_scope(), options);
  lab.boot(1);
  lab.boot(2);
  Scope scope = default_scope();
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_EQ(lab.boot(3).said(), "silent");
  // A lease whose address is reserved for its client now counts no longer.
  scope.hosts = {host(1, "",
                      lab.server.leases()[0].mac == mac(1) ? lab.server.leases()[0].address.to_string()
                                                           : lab.server.leases()[1].address.to_string())};
  EXPECT_TRUE(lab.server.reconfigure(scope).empty());
  EXPECT_EQ(lab.boot(3).type(), MessageType::ack);
}

}  // namespace
}  // namespace weft::dhcp
