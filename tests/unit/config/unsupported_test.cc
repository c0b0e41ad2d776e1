// SPDX-License-Identifier: BSD-3-Clause
//
// What is refused as "not supported yet", what is accepted with a note, and that asking for the default is
// neither.
#include "config/load.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kIps =
    "ips: [{address: 192.0.2.1, prefix: 24, dhcp: {ranges: [{start: 192.0.2.2, end: 192.0.2.9}]}}]";

std::string with_network(const std::string& keys) { return "networks: [{name: n, " + keys + "}]\n"; }
std::string with_port(const std::string& keys) {
  return "networks: [{name: n, " + std::string(kIps) + "}]\nports: [{name: p, network: n, " + keys + "}]\n";
}
std::string with_uplink(const std::string& keys) { return "uplinks: [{name: u, " + keys + "}]\n"; }

struct Case {
  std::string yaml;
  std::string key;
};

TEST(Unsupported, EachKeyOfThingsToComeIsRefusedAtItsPlace) {
  const std::string nat = std::string(kIps) + ", forward: {mode: nat";
  const std::vector<Case> cases = {
      {"switch: {metrics: \"127.0.0.1:9177\"}\n", "switch.metrics"},
      {with_uplink("device: eth1, driver: af_xdp, address: [192.0.2.2/24]"), "uplinks[0].driver"},
      {with_uplink("pci: \"0000:3b:00.0\", address: [192.0.2.2/24]"), "uplinks[0].pci"},
      {with_uplink("vdev: net_null0, address: [192.0.2.2/24]"), "uplinks[0].vdev"},
      {with_uplink("device: eth1"), "uplinks[0].address"},
      {with_uplink("device: eth1, address: host"), "uplinks[0].address"},
      {with_uplink("device: eth1, address: dhcp"), "uplinks[0].address"},
      {with_uplink("device: eth1, address: [\"2001:db8::2/64\"]"), "uplinks[0].address[0]"},
      {with_network("forward: {mode: open}"), "networks[0].forward.mode"},
      {"uplinks: [{name: a, device: e1}, {name: b, device: e2}]\n" +
           with_network("forward: {mode: bridge, interfaces: [{dev: a}, {dev: b}]}"),
       "networks[0].forward.interfaces"},
      {with_network("autostart: no"), "networks[0].autostart"},
      {with_network(nat + ", nat: {ipv6: yes}}"), "networks[0].forward.nat.ipv6"},
      {with_network(nat + ", nat: {mapping: endpoint-dependent}}"), "networks[0].forward.nat.mapping"},
      {with_network("bridge: {macTableManager: libvirt}"), "networks[0].bridge.macTableManager"},
      {with_network("dns: {txts: [{name: a, value: b}]}"), "networks[0].dns.txts"},
      {with_network("dns: {srvs: [{service: a, protocol: tcp}]}"), "networks[0].dns.srvs"},
      {with_network("ips: [{address: \"2001:db8::1\", prefix: 64}]"), "networks[0].ips[0].address"},
      {with_network("ips: [{address: 192.0.2.1, prefix: 24, tftp: {root: /srv}}]"), "networks[0].ips[0].tftp"},
      {with_network("ips: [{address: 192.0.2.1, prefix: 24, dhcp: {hosts: [{name: a, ip: 192.0.2.2}], bootp: "
                    "{file: a}}}]"),
       "networks[0].ips[0].dhcp.bootp"},
      {with_network("ips: [{address: 192.0.2.1, prefix: 24, dhcp: {hosts: [{name: a, ip: 192.0.2.2}], "
                    "options: [{code: 4, u8: 1}]}}]"),
       "networks[0].ips[0].dhcp.options"},
      {with_network("bandwidth: {inbound: {average: 5}}"), "networks[0].bandwidth"},
      {with_network("vlan: {tags: [{id: 5}]}"), "networks[0].vlan"},
      {with_network("portgroups: [{name: g}]"), "networks[0].portgroups"},
      {with_network(nat + "}, portForwards: [{proto: udp, ip: 192.0.2.5}]"), "networks[0].portForwards"},
      {with_port("device: vnet0, mtu: {size: 1500}"), "ports[0].mtu"},
      {with_port("device: vnet0, vlan: {tags: [{id: 5}]}"), "ports[0].vlan"},
      {with_port("device: vnet0, bandwidth: {outbound: {average: 5}}"), "ports[0].bandwidth"},
      {with_port("device: vnet0, filterref: {filter: clean-traffic}"), "ports[0].filterref"},
  };
  for (const Case& c : cases) {
    const Loaded loaded = load(c.yaml, "f");
    ASSERT_EQ(loaded.errors.size(), 1u) << c.yaml << to_string(loaded.errors);
    EXPECT_EQ(loaded.errors[0].key, c.key) << c.yaml;
    EXPECT_THAT(loaded.errors[0].message, HasSubstr("not supported yet")) << c.yaml;
    EXPECT_GT(loaded.errors[0].where.line, 0u) << c.yaml;
    EXPECT_TRUE(load(c.yaml, "f", Support::kWholeSchema).ok()) << c.yaml;
  }
}

TEST(Unsupported, AskingForWhatHappensAnywayIsFine) {
  const Loaded loaded = load(R"(
switch: {workers: [1]}
uplinks: [{name: u, tap: {name: up0, queues: 2}, address: [198.51.100.2/24]}]
networks:
  - name: n
    ipv6: no
    trustGuestRxFilters: no
    forward: {mode: nat, nat: {ipv6: no, mapping: endpoint-independent}}
    bridge: {macTableManager: kernel, delay: 0, stp: off}
    domain: {name: d.test, register: no}
    dns: {enable: yes, txts: [], srvs: []}
    ips: [{address: 192.0.2.1, prefix: 24, localPtr: yes, dhcp: {ranges: [{start: 192.0.2.2, end: 192.0.2.9}], options: []}}]
    portgroups: []
    port: {isolated: no}
    dnsmasq: {options: []}
    portForwards: []
ports: [{name: p, network: n, tap: {name: t, queues: 2}, port: {isolated: no}}]
)",
                             "f");
  EXPECT_EQ(to_string(loaded.errors) + to_string(loaded.notes), "");
}

TEST(Notes, WhatWorksDifferentlyIsAcceptedAndSaid) {
  const std::string nat = std::string(kIps) + ", forward: {mode: nat";
  const std::vector<Case> cases = {
      {with_network("ipv6: yes"), "networks[0].ipv6"},
      {with_network("trustGuestRxFilters: yes"), "networks[0].trustGuestRxFilters"},
      {with_network("bridge: {stp: on}"), "networks[0].bridge.stp"},
      {with_network("bridge: {delay: 2}"), "networks[0].bridge.delay"},
      {with_network("bridge: {zone: public}"), "networks[0].bridge.zone"},
      {with_network("dnsmasq: {options: [no-hosts]}"), "networks[0].dnsmasq.options"},
      {with_network("forward: {mode: bridge}"), "networks[0].forward.mode"},
      {with_network("domain: {name: d.test, localOnly: yes, register: yes}"), "networks[0].domain.register"},
      {with_network(std::string(kIps) + ", forward: {mode: route}"), "networks[0].forward.mode"},
      {with_network(nat + ", nat: {address: {start: 203.0.113.1, end: 203.0.113.9}}}"),
       "networks[0].forward.nat.address"},
      {with_network("ips: [{address: 192.0.2.1, prefix: 24, dhcp: {}}]"), "networks[0].ips[0].dhcp"},
      {with_network("ips: [{address: 192.0.2.1, prefix: 24, dhcp: {ranges: [{start: 192.0.2.2, end: "
                    "192.0.2.9}, {start: 192.0.2.9, "
                    "end: 192.0.2.19}]}}]"),
       "networks[0].ips[0].dhcp.ranges[1]"},
  };
  for (const Case& c : cases) {
    const Loaded loaded = load(c.yaml, "f");
    EXPECT_TRUE(loaded.ok()) << c.yaml << to_string(loaded.errors);
    ASSERT_EQ(loaded.notes.size(), 1u) << c.yaml << to_string(loaded.notes);
    EXPECT_EQ(loaded.notes[0].key, c.key) << c.yaml;
  }
}

TEST(Notes, VirtualPortIsKeptInBridgeMode) {
  const Loaded loaded = load("uplinks: [{name: lan, device: eth1}]\n" +
                                 with_network("forward: {mode: bridge, dev: lan}, virtualport: {type: openvswitch, "
                                              "parameters: {profileid: a}}"),
                             "f");
  EXPECT_TRUE(loaded.ok()) << to_string(loaded.errors);
  ASSERT_EQ(loaded.notes.size(), 1u);
  EXPECT_THAT(loaded.notes[0].to_string(), StartsWith("f:2:57: networks[0].virtualport: kept"));
}

}  // namespace
}  // namespace weft::config
