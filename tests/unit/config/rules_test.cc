// SPDX-License-Identifier: BSD-3-Clause
//
// Every rule of the loader as a line of a table: a file with a mistake, the place it is reported at, and
// words of the message. A case lists all the errors there are, so one mistake must not be reported as two.
#include "config/load.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

struct Case {
  std::string yaml;
  std::vector<std::string> errors;  // "line:column: key: words of the message", in order
};

/// `errors` name the place and the key exactly and the message by a part of it.
void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Loaded loaded = load(c.yaml, "f", Support::kWholeSchema);
    EXPECT_EQ(loaded.errors.size(), c.errors.size()) << c.yaml << "\n" << to_string(loaded.errors);
    for (size_t i = 0; i < std::min(loaded.errors.size(), c.errors.size()); ++i) {
      const Diagnostic& d = loaded.errors[i];
      const size_t split = c.errors[i].find(": ", c.errors[i].find(": ") + 2);
      EXPECT_EQ(d.where.to_string() + ": " + d.key, "f:" + c.errors[i].substr(0, split)) << c.yaml << "\n"
                                                                                         << d.to_string();
      EXPECT_THAT(d.message, testing::HasSubstr(c.errors[i].substr(split + 2))) << c.yaml;
    }
  }
}

/// A network, its keys from line 2 on, column 3.
std::string net(const std::string& keys) { return "networks:\n- {name: n,\n  " + keys + "}\n"; }
/// A network 192.0.2.1/24 whose ip has more keys, on line 3, column 3.
std::string ip(const std::string& keys) {
  return "networks:\n- {name: n, ips: [{address: 192.0.2.1, prefix: 24,\n  " + keys + "}]}\n";
}
std::string dhcp(const std::string& keys) { return ip("dhcp: {" + keys + "}"); }
/// An uplink with its keys on line 2, column 3.
std::string uplink(const std::string& keys) { return "uplinks: [{name: u,\n  " + keys + "}]\n"; }
std::string port(const std::string& keys) {
  return "networks: [{name: n}]\nports: [{name: p, network: n,\n  " + keys + "}]\n";
}

TEST(Rules, KeysAndTypes) {
  check({
      {"netwroks: []\n", {"1:1: netwroks: did you mean 'networks'?"}},
      {"frobnicate: 1\n", {"1:1: frobnicate: known here: switch, uplinks, networks or ports"}},
      {net("forward: {moed: nat}, bogus: 1"),
       {"3:3: networks[0].forward.mode: nat needs an address", "3:13: networks[0].forward.moed: did you mean 'mode'?",
        "3:25: networks[0].bogus: unknown key"}},
      {net("title: a, title: b"), {"3:13: networks[0].title: given twice; first at line 3"}},
      {"networks: []\nnetworks: []\n", {"2:1: networks: given twice; first at line 1"}},
      {"networks: {name: n}\n", {"1:1: networks: expected a list, found a map"}},
      {"networks: [n]\n", {"1:12: networks[0]: expected a map of keys and values, found 'n'"}},
      {"networks: [{title: t}]\n", {"1:12: networks[0].name: required, but not given"}},
      {net("autostart: maybe"), {"3:14: networks[0].autostart: expected yes or no, found 'maybe'"}},
      {net("autostart: Yes"), {"3:14: networks[0].autostart: expected yes or no, found 'Yes'"}},
      {net("autostart: [yes]"), {"3:3: networks[0].autostart: expected yes or no, found a list"}},
      {net("title:"), {"3:3: networks[0].title: expected text, found nothing"}},
      {net("mtu: {size: 1.5}"), {"3:15: networks[0].mtu.size: expected a whole number from 68 to 65535, found '1.5'"}},
      {net("mtu: {size: -1}"), {"3:15: networks[0].mtu.size: found '-1'"}},
      {net("mtu: {size: 67}"), {"3:15: networks[0].mtu.size: found '67'"}},
      {net("mtu: {size: 99999999999999999999}"), {"3:15: networks[0].mtu.size: found '99999999999999999999'"}},
      {net("mtu: {}"), {"3:3: networks[0].mtu.size: required"}},
      {net("mtu: 1500"), {"3:8: networks[0].mtu: expected a map of keys and values, found '1500'"}},
      {net("forward: {mode: tunnel}"),
       {"3:19: networks[0].forward.mode: expected nat, route, open, bridge or none, found 'tunnel'"}},
      {net("forward: {mode: hostdev}"), {"3:19: networks[0].forward.mode: past the switch"}},
      {net("uuid: not-one"), {"3:9: networks[0].uuid: expected 32 hexadecimal digits"}},
  });
}

TEST(Rules, AllErrorsComeAtOnceInTheOrderOfTheFile) {
  check(
      {{"ports: [{name: p, network: nowhere, device: vnet0}]\nnetworks: [{name: a, mtu: {size: 1}, colour: "
        "red}]\nswitch: {idle: never}\n",
        {"1:28: ports[0].network: there is no network 'nowhere'", "2:34: networks[0].mtu.size: found '1'",
         "2:38: networks[0].colour: unknown key", "3:16: switch.idle: expected adaptive or poll, found 'never'"}}});
}

TEST(Rules, Names) {
  const std::string long_name(256, 'a');
  check({
      {"networks: [{name: \"\"}]\n", {"1:19: networks[0].name: a name is needed"}},
      {"networks: [{name: a/b}]\n", {"1:19: networks[0].name: without '/' and line breaks"}},
      {"networks: [{name: \"a\\nb\"}]\n", {"1:19: networks[0].name: without '/' and line breaks"}},
      {"networks: [{name: ..}]\n", {"1:19: networks[0].name: without '/'"}},
      {"networks: [{name: " + long_name + "}]\n", {"1:19: networks[0].name: at most 255 bytes"}},
      {"networks: [{name: a}, {name: a}]\n", {"1:30: networks[1].name: name 'a' is used at line 1 already"}},
      {"networks: [{name: a, uuid: 6e0f0000-0000-0000-0000-000000000001},\n {name: b, uuid: "
       "6E0F0000000000000000000000000001}]\n",
       {"2:18: networks[1].uuid: used at line 1 already"}},
      {"networks: [{name: n}]\nports:\n- {name: p, network: n, device: v0}\n- {name: p, network: n, device: "
       "v1}\n",
       {"4:10: ports[1].name: name 'p' is used at line 3 already"}},
      {"uplinks: [{name: u, device: a}]\nnetworks: [{name: n}]\nports: [{name: u, network: n, device: b}]\n",
       {"3:16: ports[0].name: name 'u' is used at line 1 already"}},
      {"networks: [{name: n, bridge: {name: b}}]\nports: [{name: b, network: n, device: v}]\n",
       {"2:16: ports[0].name: name 'b' is used at line 1 already"}},
      {"uplinks: [{name: b, device: a}]\nnetworks: [{name: n, bridge: {name: b}}]\n",
       {"2:37: networks[0].bridge.name: name 'b' is used at line 1 already"}},
      {"uplinks: [{name: n, device: a}]\nnetworks: [{name: n, bridge: {name: b}}]\n", {}},
      {uplink("device: a") + "- {}\n", {"3:1: : not YAML"}},
      {"uplinks: [{name: u, device: a},\n {name: u, device: b}]\n", {"2:9: uplinks[1].name: used at line 1 already"}},
      {net("title: \"a\\nb\""), {"3:10: networks[0].title: a title is one line"}},
      {net("metadata: \"<a>\""), {"3:13: networks[0].metadata: not well-formed XML"}},
      {net("metadata: \"</metadata><a/><metadata>\""), {"3:13: networks[0].metadata: closes more than it opens"}},
  });
}

TEST(Rules, Forwarding) {
  const std::string ips = "ips: [{address: 192.0.2.1, prefix: 24}], ";
  check({
      {net("forward: {mode: nat}"), {"3:19: networks[0].forward.mode: nat needs an address of the network"}},
      {net("forward: {mode: route}"), {"3:19: networks[0].forward.mode: route needs an address of the network"}},
      {net("forward: {mode: none, dev: u}") + "uplinks: [{name: u, device: e}]\n",
       {"3:30: networks[0].forward.dev: not with mode none"}},
      {net("forward: {mode: open, dev: u}") + "uplinks: [{name: u, device: e}]\n",
       {"3:30: networks[0].forward.dev: not with mode open"}},
      {net(ips + "forward: {mode: nat, dev: wan}"),
       {"3:70: networks[0].forward.dev: there is no uplink 'wan'; 'uplinks' lists none"}},
      {net(ips + "forward: {mode: nat, dev: wna}") + "uplinks: [{name: wan, device: e}]\n",
       {"3:70: networks[0].forward.dev: there is no uplink 'wna'; expected wan"}},
      {net(ips + "forward: {mode: nat}") + "uplinks: [{name: a, device: e}, {name: b, device: g}]\n",
       {"3:44: networks[0].forward.dev: required when there are several uplinks: a or b"}},
      {net(ips + "forward: {mode: nat, interfaces: [{dev: u}]}") + "uplinks: [{name: u, device: e}]\n",
       {"3:65: networks[0].forward.interfaces: only with mode bridge"}},
      {net(ips + "forward: {mode: route, nat: {port: {start: 1, end: 2}}}"),
       {"3:67: networks[0].forward.nat: only with mode nat; the mode is route"}},
      {net(ips + "forward: {mode: nat, nat: {port: {start: 9, end: 2}}}"),
       {"3:71: networks[0].forward.nat.port: 9 to 2; a range runs upwards"}},
      {net(ips + "forward: {mode: nat, nat: {port: {start: 0, end: 2}}}"),
       {"3:85: networks[0].forward.nat.port.start: from 1 to 65535"}},
      {net(ips + "forward: {mode: nat, nat: {port: {start: 5}}}"),
       {"3:71: networks[0].forward.nat.port.end: required"}},
      {net(ips + "forward: {mode: nat, nat: {address: {start: 203.0.113.9, end: 203.0.113.1}}}"),
       {"3:71: networks[0].forward.nat.address: 203.0.113.9 to 203.0.113.1 runs backwards"}},
      {net(ips + "forward: {mode: nat, nat: {address: {start: 11.0.0.1, end: 12.0.0.1}}}"),
       {"3:71: networks[0].forward.nat.address: more than 65536 addresses"}},
      {net(ips + "forward: {mode: nat, nat: {address: {start: \"2001:db8::1\", end: 203.0.113.1}}}"),
       {"3:88: networks[0].forward.nat.address.start: expected an IPv4 address"}},
      {net("bridge: {name: averyveryverylongname}"), {"3:18: networks[0].bridge.name: has 21 characters"}},
      {net("bridge: {name: \"a b\"}"), {"3:18: networks[0].bridge.name: the name of a network device"}},
      {net("bridge: {delay: 3601}"), {"3:19: networks[0].bridge.delay: from 0 to 3600"}},
      {net("mac: {address: \"01:00:5e:00:00:01\"}"), {"3:18: networks[0].mac.address: is a multicast address"}},
      {net("mac: {address: \"00:00:00:00:00:00\"}"), {"3:18: networks[0].mac.address: all zeros"}},
      {net("mac: {address: \"52:54:00\"}"), {"3:18: networks[0].mac.address: expected a MAC address such as"}},
      {net("mtu: {size: 1000}, ips: [{address: \"2001:db8::1\", prefix: 64}]"),
       {"3:15: networks[0].mtu.size: at least 1280 with IPv6"}},
      {net("forward: {mode: bridge, dev: u},\n  ips: [{address: 192.0.2.1, prefix: 24}],\n  domain: {name: "
           "d.test},\n  bridge: {host: yes}") +
           "uplinks: [{name: u, device: e}]\n",
       {"4:9: networks[0].ips[0]: not with mode bridge", "5:3: networks[0].domain: not with mode bridge",
        "6:18: networks[0].bridge.host: not with mode bridge"}},
      {net("forward: {mode: bridge, dev: u}, bridge: {name: br0}") + "uplinks: [{name: u, device: e}]\n",
       {"3:51: networks[0].bridge.name: not both"}},
      {net("forward: {mode: bridge, dev: u}"), {"3:32: networks[0].forward.dev: there is no uplink 'u'"}},
      {net("forward: {mode: bridge}, bridge: {name: br0}"),
       {"3:43: networks[0].bridge.name: {name: br0, tap: {name: weft-br0, bridge: br0}}"}},
      {"uplinks: [{name: u, device: e, address: [192.0.2.2/24]}]\nnetworks: [{name: n, forward: {mode: bridge, dev: "
       "u}}]\n",
       {"1:32: uplinks[0].address: only carries the frames of network 'n'"}},
      {"uplinks: [{name: u, device: e}]\nnetworks:\n- {name: a, forward: {mode: bridge, dev: u}}\n"
       "- {name: b, forward: {mode: bridge, dev: u}}\n",
       {"4:42: networks[1].forward.dev: uplink 'u' is a member of network 'a' already"}},
      {"uplinks: [{name: u, device: e}]\nnetworks:\n- {name: a, forward: {mode: bridge, dev: u}}\n"
       "- {name: b, forward: {mode: nat, dev: u}, ips: [{address: 192.0.2.1, prefix: 24}]}\n",
       {"4:39: networks[1].forward.dev: carries only the frames of network 'a'"}},
  });
}

TEST(Rules, DomainAndDns) {
  check({
      {net("domain: {localOnly: yes}"), {"3:3: networks[0].domain.name: required"}},
      {net("domain: {name: -x}"), {"3:18: networks[0].domain.name: expected a domain name"}},
      {net("domain: {name: d.test, register: yes}"), {"3:36: networks[0].domain.register: needs 'localOnly: yes'"}},
      {net("dns: {enable: no, forwardPlainNames: no}"),
       {"3:17: networks[0].dns.enable: nothing else can be given here"}},
      {net("dns: {forwarders: [{}]}"), {"3:22: networks[0].dns.forwarders[0]: at least one of 'addr' and 'domain'"}},
      {net("dns: {forwarders: [{addr: dns.test}]}"),
       {"3:29: networks[0].dns.forwarders[0].addr: expected an IP address"}},
      {net("dns: {forwarders: [{domain: d.test, port: 54}]}"),
       {"3:45: networks[0].dns.forwarders[0].port: needs 'addr'"}},
      {net("dns: {forwarders: [{addr: 224.0.0.1}]}"),
       {"3:29: networks[0].dns.forwarders[0].addr: no server's address"}},
      {net("dns: {hosts: [{ip: 192.0.2.1, hostnames: []}]}"),
       {"3:33: networks[0].dns.hosts[0].hostnames: at least one name"}},
      {net("dns: {hosts: [{ip: 192.0.2.1, hostnames: [a_b, -c, d.]}]}"),
       {"3:45: networks[0].dns.hosts[0].hostnames[0]: expected a host name",
        "3:50: networks[0].dns.hosts[0].hostnames[1]: expected a host name",
        "3:54: networks[0].dns.hosts[0].hostnames[2]: expected a host name"}},
      {net("dns: {hosts: [{hostnames: [a]}]}"), {"3:17: networks[0].dns.hosts[0].ip: required"}},
      {net("dns: {txts: [{name: \"a,b\", value: c}]}"),
       {"3:23: networks[0].dns.txts[0].name: without spaces and commas"}},
      {net("dns: {txts: [{name: a}]}"), {"3:16: networks[0].dns.txts[0].value: required"}},
      {net("dns: {srvs: [{service: a.b, protocol: sctp, port: 0}]}"),
       {"3:26: networks[0].dns.srvs[0].service: the name of a service",
        "3:41: networks[0].dns.srvs[0].protocol: expected tcp or udp",
        "3:53: networks[0].dns.srvs[0].port: from 1 to 65535"}},
      {net("dns: {srvs: [{service: a, protocol: tcp, weight: 1}]}"),
       {"3:52: networks[0].dns.srvs[0].weight: needs 'target'"}},
  });
}

TEST(Rules, Subnets) {
  const auto address = [](const std::string& keys) { return net("ips: [{" + keys + "}]"); };
  check({
      {address("prefix: 24"), {"3:9: networks[0].ips[0].address: required"}},
      {address("address: localhost"), {"3:19: networks[0].ips[0].address: expected an IP address"}},
      {address("address: 192.0.02.1, prefix: 24"), {"3:19: networks[0].ips[0].address: expected an IP address"}},
      {address("address: 192.0.2.1, prefix: 33"), {"3:38: networks[0].ips[0].prefix: from 0 to 32"}},
      {address("address: 192.0.2.1, prefix: 0"), {"3:38: networks[0].ips[0].prefix: at least 1"}},
      {address("address: 192.0.2.1, prefix: 24, netmask: 255.255.255.0"),
       {"3:51: networks[0].ips[0].netmask: 'prefix' is given too"}},
      {address("address: 192.0.2.1, netmask: 255.0.255.0"), {"3:39: networks[0].ips[0].netmask: its ones together"}},
      {address("address: \"2001:db8::1\", netmask: 255.0.0.0"),
       {"3:43: networks[0].ips[0].netmask: IPv6 has no netmasks"}},
      {address("address: 192.0.2.1, prefix: 24, family: ipv6"),
       {"3:50: networks[0].ips[0].family: 192.0.2.1 is not an IPv6 address"}},
      {address("address: 192.0.2.1, prefix: 24, family: ipx"),
       {"3:50: networks[0].ips[0].family: expected ipv4 or ipv6"}},
      {address("address: 192.0.2.0, prefix: 24"),
       {"3:19: networks[0].ips[0].address: 192.0.2.0 is the network address of 192.0.2.0/24"}},
      {address("address: 192.0.2.255, prefix: 24"), {"3:19: networks[0].ips[0].address: is the broadcast address"}},
      {address("address: 224.0.0.1, prefix: 24"), {"3:19: networks[0].ips[0].address: 224.0.0.0/4 is multicast"}},
      {address("address: 127.0.0.2, prefix: 24"), {"3:19: networks[0].ips[0].address: loopback"}},
      {address("address: \"ff02::1\", prefix: 64"), {"3:19: networks[0].ips[0].address: ff00::/8 is multicast"}},
      {net("ips: [{address: 192.0.2.1, prefix: 24}, {address: 192.0.2.129, prefix: 25}]"),
       {"3:53: networks[0].ips[1].address: 192.0.2.128/25 overlaps 192.0.2.0/24 of network 'n' (line 3)"}},
      {net("ips: [{address: 192.0.2.1, prefix: 24}, {address: 192.0.2.1, prefix: 24}]"),
       {"3:53: networks[0].ips[1].address: overlaps"}},
      {"networks:\n- {name: a, ips: [{address: 192.0.2.1, prefix: 24}]}\n- {name: b, ips: [{address: "
       "192.0.0.1, prefix: 16}]}\n",
       {"3:29: networks[1].ips[0].address: 192.0.0.0/16 overlaps 192.0.2.0/24 of network 'a' (line 2)"}},
      {"networks: [{name: a, ips: [{address: 192.0.2.1, prefix: 24}]}]\nuplinks: [{name: u, device: e, "
       "address: [192.0.2.9/24]}]\n",
       {"1:38: networks[0].ips[0].address: overlaps 192.0.2.0/24 of uplink 'u' (line 2)"}},
      {ip("tftp: {root: srv}"), {"3:16: networks[0].ips[0].tftp.root: expected an absolute path"}},
      {net("ips: [{address: 192.0.2.1, prefix: 30}, {address: 192.0.2.5, prefix: 31}, {address: 192.0.2.8, "
           "prefix: 32}]"),
       {}},
  });
}

TEST(Rules, Dhcp) {
  check({
      {dhcp("ranges: [{start: 192.0.3.2, end: 192.0.3.9}]"),
       {"3:27: networks[0].ips[0].dhcp.ranges[0].start: 192.0.3.2 is outside of 192.0.2.0/24",
        "3:43: networks[0].ips[0].dhcp.ranges[0].end: outside of"}},
      {dhcp("ranges: [{start: 192.0.2.0, end: 192.0.2.255}]"),
       {"3:27: networks[0].ips[0].dhcp.ranges[0].start: is the network address",
        "3:43: networks[0].ips[0].dhcp.ranges[0].end: is the broadcast address"}},
      {dhcp("ranges: [{start: 192.0.2.9, end: 192.0.2.2}]"),
       {"3:27: networks[0].ips[0].dhcp.ranges[0].start: runs backwards"}},
      {dhcp("ranges: [{start: 192.0.2.9}]"), {"3:19: networks[0].ips[0].dhcp.ranges[0].end: required"}},
      {dhcp("ranges: [{start: \"2001:db8::2\", end: 192.0.2.2}]"),
       {"3:27: networks[0].ips[0].dhcp.ranges[0].start: not of the family"}},
      {"networks: [{name: n, ips: [{address: 10.0.0.1, prefix: 8, dhcp: {ranges: [{start: 10.0.0.2, end: "
       "10.1.0.2}]}}]}]\n",
       {"1:98: networks[0].ips[0].dhcp.ranges[0].end: more than 65536 addresses"}},
      {"networks: [{name: n, ips: [{address: 10.0.0.1, prefix: 8, dhcp: {ranges: [{start: 10.0.0.2, end: "
       "10.1.0.1}]}}]}]\n",
       {}},
      {dhcp("ranges: [{start: 192.0.2.2, end: 192.0.2.9}, {start: 192.0.2.2, end: 192.0.2.9}]"),
       {"3:55: networks[0].ips[0].dhcp.ranges[1]: the same range is listed already"}},
      {dhcp("ranges: [{start: 192.0.2.2, end: 192.0.2.9, lease: {expiry: 119, unit: seconds}}]"),
       {"3:70: networks[0].ips[0].dhcp.ranges[0].lease.expiry: at least 120 seconds (or 0, for ever), found "
        "119"}},
      {dhcp("ranges: [{start: 192.0.2.2, end: 192.0.2.9, lease: {expiry: 1}}]"),
       {"3:70: networks[0].ips[0].dhcp.ranges[0].lease.expiry: found 60"}},
      {dhcp("ranges: [{start: 192.0.2.2, end: 192.0.2.9, lease: {expiry: 2, unit: days}}]"),
       {"3:79: networks[0].ips[0].dhcp.ranges[0].lease.unit: seconds, minutes or hours"}},
      {dhcp("ranges: [{start: 192.0.2.2, end: 192.0.2.9, lease: {expiry: 4000000000, unit: hours}}]"),
       {"3:70: networks[0].ips[0].dhcp.ranges[0].lease.expiry: too long"}},
      {dhcp("hosts: [{ip: 192.0.2.5}]"), {"3:18: networks[0].ips[0].dhcp.hosts[0]: give 'mac' or 'name'"}},
      {dhcp("hosts: [{name: a}]"), {"3:18: networks[0].ips[0].dhcp.hosts[0].ip: required"}},
      {dhcp("hosts: [{name: \"a,infinite\", ip: 192.0.2.5}]"),
       {"3:25: networks[0].ips[0].dhcp.hosts[0].name: expected a host name"}},
      {dhcp("hosts: [{mac: \"zz\", ip: 192.0.2.5}]"),
       {"3:24: networks[0].ips[0].dhcp.hosts[0].mac: expected a MAC address"}},
      {dhcp("hosts: [{mac: \"01:00:00:00:00:00\", ip: 192.0.2.5}]"),
       {"3:24: networks[0].ips[0].dhcp.hosts[0].mac: multicast"}},
      {dhcp("hosts: [{name: a, id: \"0:1\", ip: 192.0.2.5}]"),
       {"3:32: networks[0].ips[0].dhcp.hosts[0].id: an IPv4 host is known by"}},
      {dhcp("hosts: [{name: a, ip: 192.0.2.1}]"),
       {"3:32: networks[0].ips[0].dhcp.hosts[0].ip: the gateway's own address"}},
      {dhcp("hosts: [{name: a, ip: 10.0.0.1}]"),
       {"3:32: networks[0].ips[0].dhcp.hosts[0].ip: 10.0.0.1 is outside of 192.0.2.0/24"}},
      {dhcp("hosts: [{name: a, ip: \"2001:db8::1\"}]"),
       {"3:32: networks[0].ips[0].dhcp.hosts[0].ip: not of the family"}},
      {dhcp("hosts: [{name: a, ip: 192.0.2.5}, {name: a, ip: 192.0.2.5}]"),
       {"3:51: networks[0].ips[0].dhcp.hosts[1].name: name 'a' is used at line 3 already",
        "3:58: networks[0].ips[0].dhcp.hosts[1].ip: address '192.0.2.5' is used at line 3 already"}},
      {dhcp("hosts: [{mac: \"52:54:00:00:00:0A\", ip: 192.0.2.5}, {mac: \"52:54:00:00:00:0a\", ip: "
            "192.0.2.6}]"),
       {"3:67: networks[0].ips[0].dhcp.hosts[1].mac: MAC '52:54:00:00:00:0a' is used at line 3 already"}},
      {dhcp("bootp: {server: 192.0.2.1}"), {"3:10: networks[0].ips[0].dhcp.bootp.file: required"}},
      {dhcp("options: [{code: 300, u8: 1}, {code: 4, u8: 256}, {code: 5}]"),
       {"3:27: networks[0].ips[0].dhcp.options[0].code: from 1 to 254",
        "3:54: networks[0].ips[0].dhcp.options[1].u8: from 0 to 255",
        "3:60: networks[0].ips[0].dhcp.options[2]: an option has one value"}},
      {"networks: [{name: n, ips: [{address: 192.0.2.1, prefix: 25, dhcp: {hosts: [{name: a, ip: "
       "192.0.2.2}]}},\n"
       "  {address: 192.0.2.129, prefix: 25, dhcp: {hosts: [{name: b, ip: 192.0.2.130}]}}]}]\n",
       {"2:38: networks[0].ips[1].dhcp: DHCP for IPv4 is served on another address already (line 1)"}},
      {"networks: [{name: n, ips: [{address: \"2001:db8::1\", dhcp: {\n hosts: [{mac: \"52:54:00:00:00:01\", "
       "ip: \"2001:db8::2\"}]}}]}]\n",
       {"2:16: networks[0].ips[0].dhcp.hosts[0].mac: an IPv6 host is known by"}},
      {"networks: [{name: n, ips: [{address: \"2001:db8::1\", dhcp: {\n ranges: [{start: \"2001:db8::2\", "
       "end: \"2001:db8::1:2\"}]}}]}]\n",
       {"2:39: networks[0].ips[0].dhcp.ranges[0].end: more than 65536 addresses"}},
  });
}

TEST(Rules, Routes) {
  const auto route = [](const std::string& keys) {
    return net("ips: [{address: 192.0.2.1, prefix: 24}],\n  routes: [{" + keys + "}]");
  };
  check({
      {route("address: 10.0.0.0, prefix: 8"), {"4:12: networks[0].routes[0].gateway: required"}},
      {route("address: 10.0.0.1, prefix: 8, gateway: 192.0.2.9"),
       {"4:22: networks[0].routes[0].address: is not the first address of its network, which is 10.0.0.0/8"}},
      {route("address: 10.0.0.0, gateway: 192.0.2.9"), {"4:12: networks[0].routes[0].prefix: required"}},
      {route("address: 0.0.0.0, gateway: 192.0.2.9"), {}},
      {route("address: 10.0.0.0, prefix: 8, gateway: 192.0.3.9"),
       {"4:52: networks[0].routes[0].gateway: in none of the network's subnets"}},
      {route("address: 10.0.0.0, prefix: 8, gateway: 192.0.2.1"),
       {"4:52: networks[0].routes[0].gateway: the switch's own address"}},
      {route("address: 10.0.0.0, prefix: 8, gateway: \"2001:db8::9\""),
       {"4:52: networks[0].routes[0].gateway: not of the family"}},
      {route("address: 10.0.0.0, prefix: 8, gateway: 192.0.2.9, metric: 0"),
       {"4:71: networks[0].routes[0].metric: from 1 to"}},
      {route("address: 10.0.0.0, prefix: 8, gateway: 192.0.2.9}, {address: 10.0.0.0, prefix: 8, gateway: "
             "192.0.2.8"),
       {"4:74: networks[0].routes[1].address: is listed already"}},
  });
}

TEST(Rules, BandwidthVlanAndGroups) {
  check({
      {net("bandwidth: {inbound: {peak: 5}}"),
       {"3:15: networks[0].bandwidth.inbound: 'peak' and 'burst' need 'average'"}},
      {net("bandwidth: {inbound: {}}"), {"3:15: networks[0].bandwidth.inbound: 'average' is required"}},
      {net("bandwidth: {inbound: {average: 0}}"),
       {"3:34: networks[0].bandwidth.inbound.average: from 1 to 18014398509481984, found '0'"}},
      {net("bandwidth: {outbound: {average: 5, burst: 4194304}}"),
       {"3:45: networks[0].bandwidth.outbound.burst: from 1 to 4194303"}},
      {net("bandwidth: {inbound: {average: 5, floor: 1}}"), {"3:44: networks[0].bandwidth.inbound.floor: of a port"}},
      {net("vlan: {tags: []}"), {"3:10: networks[0].vlan.tags: at least one tag"}},
      {net("vlan: {tags: [{id: 0}, {id: 4095}]}"),
       {"3:22: networks[0].vlan.tags[0].id: from 1 to 4094", "3:31: networks[0].vlan.tags[1].id: from 1 to 4094"}},
      {net("vlan: {trunk: no, tags: [{id: 1}, {id: 1}]}"),
       {"3:17: networks[0].vlan.trunk: several tags are a trunk",
        "3:42: networks[0].vlan.tags[1].id: VLAN 1 is listed already"}},
      {net("vlan: {tags: [{id: 1, nativeMode: tagged}, {id: 2, nativeMode: both}]}"),
       {"3:66: networks[0].vlan.tags[1].nativeMode: expected tagged or untagged"}},
      {net("vlan: {tags: [{id: 1, nativeMode: tagged}, {id: 2, nativeMode: tagged}]}"),
       {"3:66: networks[0].vlan.tags[1].nativeMode: only one tag can be the native one"}},
      {net("portgroups: [{name: a, default: yes}, {name: a, default: yes}]"),
       {"3:48: networks[0].portgroups[1].name: used at line 3 already",
        "3:60: networks[0].portgroups[1].default: 'a' is the default already"}},
      {net("virtualport: {type: 802.1Qbg}"), {"3:23: networks[0].virtualport.type: 802.1Qbg needs an external switch"}},
      {net("virtualport: {type: openvswitch}"),
       {"3:3: networks[0].virtualport: only with mode bridge; the mode is none"}},
      {net("dnsmasq: {options: [no-hosts, \"foo=bar\"]}"),
       {"3:33: networks[0].dnsmasq.options[1]: 'foo=bar' has no meaning here"}},
      {net("ips: [{address: 192.0.2.1, prefix: 24}], forward: {mode: nat},\n  portForwards: [{proto: icmp, "
           "ip: 10.0.0.1, ranges: [{start: 5, end: 4}, {start: 65000, end: 65535, to: 65500}]}]"),
       {"4:26: networks[0].portForwards[0].proto: expected tcp or udp",
        "4:36: networks[0].portForwards[0].ip: in none of the network's subnets",
        "4:55: networks[0].portForwards[0].ranges[0]: runs backwards",
        "4:106: networks[0].portForwards[0].ranges[1].to: beyond 65535"}},
  });
}

TEST(Rules, Switch) {
  check({
      {"switch: {workers: []}\n",
       {"1:10: switch.workers: expected auto or a list of CPU numbers such as [1], found an empty list"}},
      {"switch: {workers: two}\n", {"1:19: switch.workers: expected auto or a list"}},
      {"switch: {workers: [1, 1, 5000]}\n",
       {"1:23: switch.workers[1]: listed already", "1:26: switch.workers[2]: from 0 to 1023"}},
      {"switch: {control: weft.sock}\n", {"1:19: switch.control: expected an absolute path"}},
      {"switch: {control: {path: /" + std::string(107, 'a') + "}}\n",
       {"1:26: switch.control.path: 108 characters; a socket's has at most 107"}},
      {"switch: {control: /" + std::string(106, 'a') + "}\n", {}},
      {"switch: {sockets: {mode: \"0999\"}}\n", {"1:26: switch.sockets.mode: permissions in octal"}},
      {"switch: {sockets: {group: \"a b\"}}\n", {"1:27: switch.sockets.group: the name or number of a user or group"}},
      {"switch: {memory: lots}\n", {"1:18: switch.memory: expected auto or a map"}},
      {"switch: {fdb: {entries: 2048, perPort: 4096}}\n",
       {"1:40: switch.fdb.perPort: more than the table's 2048 entries"}},
      {"switch: {state: here}\n", {"1:17: switch.state: expected an absolute path"}},
      {"switch: {metrics: \"9177\"}\n", {"1:19: switch.metrics: expected ADDRESS:PORT"}},
  });
}

TEST(Rules, Uplinks) {
  check({
      {uplink("address: [192.0.2.2/24]"), {"1:11: uplinks[0]: one of device, tap, vhostuser, pci or vdev is required"}},
      {uplink("device: a, tap: {name: b}"), {"2:14: uplinks[0].tap: 'device' is given too"}},
      {uplink("tap: {name: b}, driver: auto"), {"2:27: uplinks[0].driver: only for a netdev"}},
      {uplink("device: a, driver: dpdk"), {"2:22: uplinks[0].driver: expected auto, af_xdp or af_packet"}},
      {uplink("device: a, address: []"), {"2:14: uplinks[0].address: found an empty list"}},
      {uplink("device: a, address: [192.0.2.2]"), {"2:24: uplinks[0].address[0]: expected an address with its prefix"}},
      {uplink("device: a, address: [192.0.2.0/24]"), {"2:24: uplinks[0].address[0]: the network address"}},
      {uplink("device: a, address: [192.0.2.2/24], gateway: [192.0.3.1]"),
       {"2:49: uplinks[0].gateway[0]: in the subnet of none"}},
      {uplink("device: a, address: [192.0.2.2/24], gateway: [192.0.2.2]"),
       {"2:49: uplinks[0].gateway[0]: the uplink's own address"}},
      {uplink("device: a, address: dhcp, gateway: [192.0.2.2]"),
       {"2:39: uplinks[0].gateway[0]: only with a list of addresses"}},
      {uplink("device: a, ports: {start: 9, end: 8}"), {"2:14: uplinks[0].ports: 9 to 8; a range runs upwards"}},
      {uplink("pci: somewhere"), {"2:8: uplinks[0].pci: expected a PCI address"}},
      {uplink("tap: {name: a, bridge: br0, netns: x}"), {"2:38: uplinks[0].tap.netns: not together with 'bridge'"}},
      {"uplinks: [{name: a, device: eth0}, {name: b, device: eth0}]\n",
       {"1:54: uplinks[1].device: network device 'eth0' is used at line 1 already"}},
  });
}

TEST(Rules, Ports) {
  const std::string n = "networks: [{name: n}]\n";
  check({
      {port("link: {state: up}"), {"2:9: ports[0]: one of vhostuser, tap or device is required"}},
      {port("device: a, vhostuser: {path: /run/a}"), {"3:11: ports[0].device: 'vhostuser' is given too"}},
      {port("pci: \"0000:00:00.0\", device: a"), {"3:3: ports[0].pci: unknown key"}},
      {port("vhostuser: {}"), {"3:3: ports[0].vhostuser.path: required"}},
      {port("vhostuser: {path: /run/a, mode: both}"), {"3:35: ports[0].vhostuser.mode: expected server or client"}},
      {port("vhostuser: {path: /run/a, queues: 0}"), {"3:37: ports[0].vhostuser.queues: from 1 to 128"}},
      {port("vhostuser: {path: /run/a, queues: 129}"), {"3:37: ports[0].vhostuser.queues: from 1 to 128"}},
      {port("tap: {name: a, queues: 257}"), {"3:26: ports[0].tap.queues: from 1 to 256"}},
      {port("vhostuser: {path: /run/a, mode: client, owner: qemu}"),
       {"3:50: ports[0].vhostuser.owner: only with 'mode: server'"}},
      {port("vhostuser: {path: /run/}"), {"3:21: ports[0].vhostuser.path: not of a directory"}},
      {port("vhostuser: {path: /run/weft/weft.sock}"),
       {"3:21: ports[0].vhostuser.path: socket '/run/weft/weft.sock' is used already"}},
      {port("tap: {name: a/b}"), {"3:15: ports[0].tap.name: the name of a network device"}},
      {port("tap: {name: a, bridge: br0}"), {"3:18: ports[0].tap.bridge: unknown key"}},
      {port("tap: {name: a, netns: x/y}"), {"3:25: ports[0].tap.netns: the name of a network namespace"}},
      {port("device: a, link: {state: sideways}"), {"3:28: ports[0].link.state: expected up or down"}},
      {port("device: a, portgroup: g"), {"3:25: ports[0].portgroup: network 'n' has no portgroup 'g'; it has none"}},
      {port("device: a, filterref: {filter: clean-trafic}"),
       {"3:34: ports[0].filterref.filter: did you mean 'clean-traffic'?"}},
      {port("device: a, bandwidth: {outbound: {average: 1, floor: 1}}"),
       {"3:56: ports[0].bandwidth.outbound.floor: inbound direction of a port"}},
      {"networks: [{name: default}]\nports: [{name: p, network: defualt, device: a}]\n",
       {"2:28: ports[0].network: there is no network 'defualt'; did you mean 'default'?"}},
      {n + "ports:\n- {name: a, network: n, tap: {name: t}}\n- {name: b, network: n, tap: {name: t}}\n- "
           "{name: c, network: n, tap: {name: t, netns: x}}\n",
       {"4:37: ports[1].tap.name: network device 't' is used at line 3 already"}},
      {"networks: [{name: n, bridge: {name: t}}]\nports: [{name: a, network: n, tap: {name: t}}]\n",
       {"2:43: ports[0].tap.name: network device 't' is used at line 1 already"}},
      {n + "ports:\n- {name: a, network: n, vhostuser: {path: /run/s}}\n- {name: b, network: n, vhostuser: "
           "{path: /run/s}}\n",
       {"4:43: ports[1].vhostuser.path: socket '/run/s' is used at line 3 already"}},
      {n + "ports:\n- {name: a, network: n, device: v0, mac: {address: \"52:54:00:00:00:01\"}}\n- {name: b, "
           "network: n, device: v1, mac: {address: \"52:54:00:00:00:01\"}}\n",
       {"4:52: ports[1].mac.address: MAC '52:54:00:00:00:01' is used at line 3 already"}},
      {"networks: [{name: n, mac: {address: \"52:54:00:00:00:01\"}},\n {name: m, mac: {address: "
       "\"52:54:00:00:00:01\"}}]\n",
       {"2:27: networks[1].mac.address: MAC '52:54:00:00:00:01' is used at line 1 already"}},
  });
}

}  // namespace
}  // namespace weft::config
