// SPDX-License-Identifier: BSD-3-Clause
//
// Tests that make netdevs: in a network namespace of the process's own, which is gone with it.
#include "dataplane/netlink.h"
#include "dataplane/netns.h"

#include <cerrno>
#include <cstdio>

#include <gtest/gtest.h>

#include <sched.h>
#include <unistd.h>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
    std::printf("SKIPPED: %s makes network namespaces and needs root\n", program_invocation_short_name);
    return 77;  // meson: skipped
  }
  weft::dataplane::Netlink netlink;
  netlink.set_up(netlink.find("lo").value().index);
  // The kernel's own IPv6 chatter would come between the frames of the tests.
  weft::dataplane::write_net_sysctl("ipv6/conf/default/disable_ipv6", "1");
  return RUN_ALL_TESTS();
}
