// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/netlink.h"

#include "dataplane/netns.h"
#include "tests/unit/dataplane/kernel_peer.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include <net/if.h>

namespace weft::dataplane {
namespace {

using namespace test;
using wire::Ipv4Address;
using wire::Ipv6Address;
using wire::MacAddress;

std::string sysctl(const std::string& path) {
  std::ifstream in("/proc/sys/net/" + path);
  std::string value;
  in >> value;
  return value;
}

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override { netlink_.add_veth("nl0", "nl1"); }
  void TearDown() override {
    if (const auto l = netlink_.find("nl0")) netlink_.remove(l->index);
  }
  LinkInfo link() { return netlink_.find("nl0").value(); }
  Netlink netlink_;
};

TEST_F(NetlinkTest, FindsByNameAndIndexAndNothingElse) {
  EXPECT_EQ(link().name, "nl0");
  EXPECT_EQ(link().kind, "veth");
  EXPECT_EQ(link().hardware_type, ARPHRD_ETHER);
  EXPECT_EQ(netlink_.find(link().index)->name, "nl0");
  EXPECT_FALSE(netlink_.find("nothing"));
  EXPECT_FALSE(netlink_.find("a-name-longer-than-any-netdev"));
  EXPECT_FALSE(netlink_.find(""));
  EXPECT_FALSE(netlink_.find(9999));
  EXPECT_FALSE(netlink_.find(0));
}

TEST_F(NetlinkTest, SetsWhatALinkHas) {
  const int index = link().index;
  const auto mac = MacAddress::parse("52:54:00:01:02:03").value();
  netlink_.set_alias(index, "weft:port/a b");
  netlink_.set_mac(index, mac);
  netlink_.set_mtu(index, 9000);
  netlink_.set_up(index);
  EXPECT_EQ(link().alias, "weft:port/a b");
  EXPECT_EQ(link().mac, mac);
  EXPECT_EQ(link().mtu, 9000u);
  EXPECT_TRUE(link().is_up());
  EXPECT_FALSE(link().has_carrier()) << "its peer is down";
  netlink_.set_up(netlink_.find("nl1").value().index);
  EXPECT_TRUE(link().has_carrier());
  netlink_.set_down(index);
  EXPECT_FALSE(link().is_up());
}

TEST_F(NetlinkTest, JoinsAndLeavesABridge) {
  netlink_.add_bridge("nlbr");
  const int bridge = netlink_.find("nlbr").value().index;
  EXPECT_EQ(netlink_.find("nlbr")->kind, "bridge");
  netlink_.set_master(link().index, bridge);
  EXPECT_EQ(link().master, bridge);
  netlink_.set_master(link().index, 0);
  EXPECT_EQ(link().master, 0);
  netlink_.remove(bridge);
  EXPECT_FALSE(netlink_.find("nlbr"));
}

TEST_F(NetlinkTest, GivesAndTakesAddresses) {
  write_net_sysctl("ipv6/conf/nl0/disable_ipv6", "0");
  const InterfaceAddress v4{Ipv4Address(192, 0, 2, 1), 24}, v6{Ipv6Address::parse("2001:db8::1").value(), 64};
  netlink_.set_up(link().index);
  netlink_.add_address(link().index, v4);
  netlink_.add_address(link().index, v4);  // again: no error
  netlink_.add_address(link().index, v6);
  auto all = netlink_.addresses(link().index);
  EXPECT_EQ(std::count(all.begin(), all.end(), v4), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), v6), 1);
  netlink_.remove_address(link().index, v4);
  netlink_.remove_address(link().index, v6);
  all = netlink_.addresses(link().index);
  EXPECT_EQ(std::count(all.begin(), all.end(), v4) + std::count(all.begin(), all.end(), v6), 0);
}

TEST_F(NetlinkTest, SaysWhatItCouldNotDoAndWhy) {
  EXPECT_EQ(error_of([&] { netlink_.set_up(9999); }), "cannot set netdev 9999 up: No such device");
  EXPECT_EQ(error_of([&] { netlink_.add_bridge("nl0"); }), "cannot make the bridge nl0: File exists");
  try {
    netlink_.set_mtu(link().index, 1 << 30);
    FAIL();
  } catch (const NetlinkError& e) {
    EXPECT_EQ(e.error(), EINVAL);
  }
}

TEST_F(NetlinkTest, MovesALinkToAnotherNamespace) {
  NewNetns other;
  netlink_.move(link().index, other.fd());
  EXPECT_FALSE(netlink_.find("nl0"));
  in_netns(other.path(), [] { EXPECT_TRUE(Netlink().find("nl0")); });
  EXPECT_FALSE(netlink_.find("nl0")) << "this thread stays where it is";
  netlink_.remove(netlink_.find("nl1").value().index);
}

TEST(Netns, PassesExceptionsOn) {
  NewNetns other;
  EXPECT_EQ(error_of([&] { in_netns(other.path(), [] { throw std::runtime_error("inside"); }); }), "inside");
}

TEST(Netns, NamesTheNamespaceItCannotFind) {
  EXPECT_EQ(error_of([] { in_netns("no-such-ns", [] {}); }),
            "no network namespace no-such-ns: /run/netns/no-such-ns: No such file or directory");
  EXPECT_EQ(error_of([] { in_netns("/dev/null", [] {}); }),
            "cannot enter network namespace /dev/null: Invalid argument");
}

TEST(Netns, WithoutOneNothingChanges) {
  const auto here = std::this_thread::get_id();
  in_netns("", [&] { EXPECT_EQ(std::this_thread::get_id(), here); });
}

TEST(NetSysctl, IsWritten) {
  write_net_sysctl("ipv4/conf/lo/arp_filter", "1");
  EXPECT_EQ(sysctl("ipv4/conf/lo/arp_filter"), "1");
  write_net_sysctl("ipv4/conf/lo/arp_filter", "0");
  EXPECT_EQ(sysctl("ipv4/conf/lo/arp_filter"), "0");
  EXPECT_TRUE(has_net_sysctl("ipv4/conf/lo"));
  EXPECT_FALSE(has_net_sysctl("ipv4/conf/nothing"));
  EXPECT_EQ(error_of([] { write_net_sysctl("nothing", "1"); }),
            "cannot set /proc/sys/net/nothing to 1: No such file or directory");
}

}  // namespace
}  // namespace weft::dataplane
