// SPDX-License-Identifier: BSD-3-Clause
//
// The text of a resolv.conf: a bounded number of servers, each with an address that reads back.
#include "dns/servers.h"
#include "tests/fuzz/dns/check.h"

using namespace weft::dns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto servers = parse_resolv_conf({reinterpret_cast<const char*>(data), size});
  check(servers.size() <= kMaxResolvConfServers, "at most 16 servers");
  for (const Server& s : servers) {
    check(weft::wire::IpAddress::parse(s.address.to_string()) == s.address, "the address reads back");
    check(s.port == 53 && s.scope.size() < 16, "port 53 and a scope that can be an interface");
  }
  return 0;
}
