// SPDX-License-Identifier: BSD-3-Clause
//
// In a network namespace of the test's own. Needs the right to make one (root, or unprivileged user
// namespaces), and ip.
#include "switch/netlink_monitor.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <sched.h>
#include <unistd.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;

class NetlinkMonitorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
      GTEST_SKIP() << "needs the right to make a network namespace";
    monitor = std::make_unique<NetlinkMonitor>(loop, [this](const HostState& s) {
      ++n_calls;
      last = s;
    });
    ASSERT_TRUE(run_until([&] { return n_calls == 1; }));
  }
  static void ip(const std::string& arguments) { ASSERT_EQ(std::system(("ip " + arguments).c_str()), 0) << arguments; }
  /// Turns the loop until `is_so`; false after ten seconds.
  bool run_until(const std::function<bool()>& is_so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    loop.restart();
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  bool has_address(const char* text, const char* link) const {
    for (const HostAddress& a : last.addresses)
      if (a.address.to_string() == text && a.link == link) return true;
    return false;
  }

  boost::asio::io_context loop;
  HostState last;
  int n_calls = 0;
  std::unique_ptr<NetlinkMonitor> monitor;
};

TEST_F(NetlinkMonitorTest, ReportsWhatIsThereFirst) {
  ASSERT_TRUE(last.links.contains("lo"));
  EXPECT_EQ(last.links.at("lo").index, 1);
  EXPECT_EQ(last.links.at("lo").mtu, 65536u);
  EXPECT_FALSE(last.links.at("lo").is_up);
  EXPECT_EQ(monitor->state(), last);
}

TEST_F(NetlinkMonitorTest, FollowsALinkThatAppearsGoesUpIsRenamedAndDisappears) {
  ip("link add eth9 address 52:54:00:00:00:09 mtu 1400 type veth peer name peer9");
  ASSERT_TRUE(run_until([&] { return last.links.contains("eth9"); }));
  EXPECT_EQ(last.links.at("eth9").mac.to_string(), "52:54:00:00:00:09");
  EXPECT_EQ(last.links.at("eth9").mtu, 1400u);
  EXPECT_FALSE(last.links.at("eth9").is_up);
  ip("link set eth9 up");
  ip("link set peer9 up");
  ASSERT_TRUE(run_until([&] { return last.links.at("eth9").is_up; }));
  ip("link set peer9 down");
  ASSERT_TRUE(run_until([&] { return !last.links.at("eth9").is_up; }));
  ip("link set eth9 down");
  ip("link set eth9 name eth10");
  ASSERT_TRUE(run_until([&] { return last.links.contains("eth10"); }));
  EXPECT_FALSE(last.links.contains("eth9"));
  ip("link del eth10");
  ASSERT_TRUE(run_until([&] { return !last.links.contains("eth10") && !last.links.contains("peer9"); }));
}

TEST_F(NetlinkMonitorTest, FollowsAddresses) {
  ip("link add eth9 type veth peer name peer9");
  ip("link set eth9 up");
  ip("addr add 192.0.2.7/24 dev eth9");
  ip("addr add 198.51.100.1 peer 198.51.100.2 dev eth9");
  ASSERT_TRUE(run_until([&] { return last.addresses.size() == 2; }));
  EXPECT_TRUE(has_address("192.0.2.7/24", "eth9"));
  EXPECT_TRUE(has_address("198.51.100.1/32", "eth9"));  // ours, not the peer's
  EXPECT_TRUE(last.is_local(Ipv4Address(192, 0, 2, 7)));
  EXPECT_FALSE(last.is_local(Ipv4Address(192, 0, 2, 8)));
  EXPECT_FALSE(last.is_local(Ipv4Address(198, 51, 100, 2)));
  EXPECT_TRUE(last.is_local(Ipv4Address(127, 1, 2, 3)));
  ip("addr del 192.0.2.7/24 dev eth9");
  ASSERT_TRUE(run_until([&] { return last.addresses.size() == 1; }));
  ip("link del eth9");
  ASSERT_TRUE(run_until([&] { return last.addresses.empty(); }));
}

TEST_F(NetlinkMonitorTest, PortThatLeavesABridgeIsNotGone) {
  ip("link add br9 type bridge");
  ip("link add eth9 type veth peer name peer9");
  ip("link set eth9 master br9");
  ip("link set eth9 nomaster");
  ip("link add end9 type bridge");
  ASSERT_TRUE(run_until([&] { return last.links.contains("end9"); }));
  EXPECT_TRUE(last.links.contains("eth9"));
}

TEST_F(NetlinkMonitorTest, ManyEventsAreOneReport) {
  const int before = n_calls;
  ip("link add eth9 type veth peer name peer9");
  for (int i = 1; i <= 5; ++i) ip("addr add 192.0.2." + std::to_string(i) + "/24 dev eth9");
  ASSERT_TRUE(run_until([&] { return last.addresses.size() == 5; }));
  EXPECT_EQ(n_calls, before + 1);
}

TEST_F(NetlinkMonitorTest, ReadsAllAgainWhenEventsWereLost) {
  ip("link add eth9 type veth peer name peer9");
  const std::string path = "/tmp/weft-ip-batch-" + std::to_string(::getpid());
  {
    std::ofstream batch(path);
    for (int i = 0; i < 4000; ++i) batch << "addr add 10.1." << i / 250 << "." << i % 250 + 1 << "/16 dev eth9\n";
    batch << "link add last9 type bridge\n";
  }
  ip("-batch " + path);
  ::unlink(path.c_str());
  ASSERT_TRUE(run_until([&] { return last.links.contains("last9") && last.addresses.size() == 4000; }));
  EXPECT_GE(monitor->n_resyncs(), 1u);
  // And goes on following.
  ip("link del eth9");
  ASSERT_TRUE(run_until([&] { return last.addresses.empty(); }));
}

TEST_F(NetlinkMonitorTest, MayBeDestroyedInItsOwnCallback) {
  std::unique_ptr<NetlinkMonitor> other;
  int calls = 0;
  other = std::make_unique<NetlinkMonitor>(loop, [&](const HostState&) {
    ++calls;
    other.reset();
  });
  ASSERT_TRUE(run_until([&] { return calls == 1; }));
  ip("link add eth9 type veth peer name peer9");
  ASSERT_TRUE(run_until([&] { return last.links.contains("eth9"); }));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace weft::vswitch
