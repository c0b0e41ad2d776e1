// SPDX-License-Identifier: BSD-3-Clause
//
// What a correct file becomes, and what is filled in.
#include "config/load.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

using testing::ElementsAre;

Config good(const std::string& text, Support support = Support::kThisVersion) {
  Loaded loaded = load(text, "f.yaml", support);
  EXPECT_TRUE(loaded.ok()) << to_string(loaded.errors);
  return loaded.config;
}

Network network(const std::string& keys) { return good("networks:\n  - name: n\n" + keys).networks.at(0); }

TEST(Load, ExampleIsCorrectAndWithoutNotes) {
  const Loaded loaded = load_file(WEFT_EXAMPLE);
  EXPECT_EQ(to_string(loaded.errors) + to_string(loaded.notes), "");
  ASSERT_EQ(loaded.config.networks.size(), 1u);
  EXPECT_EQ(loaded.config.networks[0].forward.mode, ForwardMode::kNat);
  EXPECT_EQ(loaded.config.ports.size(), 1u);
}

TEST(Load, DefaultNetwork) {
  const Network n = network(R"(
    uuid: 0A1B2C3D4E5F60718293a4b5c6d7e8f9
    forward: {mode: nat, nat: {port: {start: 2000, end: 3000}}}
    bridge: {name: virbr7, delay: 0}
    mac: {address: "52:54:00:01:02:03"}
    mtu: {size: 1400}
    domain: {name: lab.test, localOnly: on}
    dns: {forwardPlainNames: off, forwarders: [{addr: 192.0.2.53}], hosts: [{ip: 192.0.2.9, hostnames: [a, b.lab.test]}]}
    ips:
      - address: 192.0.2.1
        netmask: 255.255.255.128
        dhcp:
          ranges: [{start: 192.0.2.2, end: 192.0.2.100, lease: {expiry: 2, unit: hours}}]
          hosts: [{mac: "52:54:00:AA:BB:CC", name: vm1, ip: 192.0.2.10, lease: {expiry: 0}}]
    routes: [{address: 198.51.100.0, prefix: 24, gateway: 192.0.2.5, metric: 7}]
)");
  EXPECT_EQ(n.where.to_string(), "f.yaml:2:5");
  EXPECT_EQ(n.uuid, "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9");
  EXPECT_EQ(n.forward.nat.port, (PortRange{2000, 3000}));
  EXPECT_EQ(n.bridge.name, "virbr7");
  EXPECT_EQ(n.bridge.host, true);
  EXPECT_EQ(n.mac, wire::MacAddress::parse("52:54:00:01:02:03"));
  EXPECT_EQ(n.mtu, 1400);
  EXPECT_TRUE(n.domain.local_only);
  EXPECT_FALSE(n.dns.forward_plain_names);
  EXPECT_EQ(n.dns.forwarders.at(0).addr->to_string(), "192.0.2.53");
  EXPECT_THAT(n.dns.hosts.at(0).hostnames, ElementsAre("a", "b.lab.test"));
  EXPECT_EQ(n.ips.at(0).address.to_string(), "192.0.2.1/25");
  EXPECT_EQ(n.ips[0].dhcp.ranges.at(0).lease_seconds, 7200u);
  EXPECT_EQ(n.ips[0].dhcp.hosts.at(0).mac->to_string(), "52:54:00:aa:bb:cc");
  EXPECT_EQ(n.ips[0].dhcp.hosts[0].lease_seconds, kInfiniteLease);
  EXPECT_EQ(n.routes.at(0).destination.to_string(), "198.51.100.0/24");
  EXPECT_EQ(n.routes[0].metric, 7u);
}

TEST(Load, LeavingOutGivesLibvirtsDefaults) {
  const Network n =
      network("    ips: [{address: 192.0.2.1, prefix: 24, dhcp: {ranges: [{start: 192.0.2.2, end: 192.0.2.9}]}}]\n");
  EXPECT_EQ(n.forward.mode, ForwardMode::kNone);
  EXPECT_TRUE(n.autostart);
  EXPECT_TRUE(n.dns.enable);
  EXPECT_TRUE(n.dns.forward_plain_names);
  EXPECT_EQ(n.forward.nat.port, (PortRange{1024, 65535}));
  EXPECT_EQ(n.ips[0].dhcp.ranges[0].lease_seconds, 3600u);
  EXPECT_EQ(n.uuid, "");
  EXPECT_FALSE(n.mac.has_value());
}

TEST(Load, ForwardWithoutModeIsNat) {
  EXPECT_EQ(network("    forward: {}\n    ips: [{address: 192.0.2.1, prefix: 24}]\n").forward.mode, ForwardMode::kNat);
}

TEST(Load, ClassDecidesThePrefixWhenNoneIsGivenAndSaysSo) {
  const Loaded loaded =
      load("networks: [{name: n, ips: [{address: 10.1.2.3}, {address: 172.20.0.1}, {address: 192.168.4.1}]}]\n", "f");
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.errors);
  EXPECT_EQ(loaded.config.networks[0].ips[0].address.length, 8);
  EXPECT_EQ(loaded.config.networks[0].ips[1].address.length, 16);
  EXPECT_EQ(loaded.config.networks[0].ips[2].address.length, 24);
  ASSERT_EQ(loaded.notes.size(), 3u);
  EXPECT_EQ(loaded.notes[0].to_string(),
            "f:1:38: networks[0].ips[0].address: no prefix or netmask given; 10.1.2.3/8 is taken, as libvirt does");
}

TEST(Complete, SeatsGetTheFirstFreeNames) {
  const Config c = good(R"(
networks:
  - {name: a, ips: [{address: 192.0.2.1, prefix: 28}]}
  - {name: b, bridge: {name: virbr1}, ips: [{address: 192.0.2.17, prefix: 28}]}
  - {name: c, ips: [{address: 192.0.2.33, prefix: 28}]}
  - {name: d, bridge: {name: "lab%d"}}
  - {name: e}
  - {name: f, bridge: {host: no}, ips: [{address: 192.0.2.65, prefix: 28}]}
  - {name: g, bridge: {host: yes}}
ports:
  - {name: p, network: e, tap: {name: virbr0}}
)");
  std::vector<std::string> names;
  std::string hosts;
  for (const Network& n : c.networks) {
    names.push_back(n.bridge.name);
    hosts += n.bridge.host.value() ? 'y' : 'n';
  }
  EXPECT_THAT(names, ElementsAre("virbr2", "virbr1", "virbr3", "lab0", "", "", "virbr4"));
  EXPECT_EQ(hosts, "yyyynny");
}

TEST(Complete, IsIdempotent) {
  Config c = good("networks: [{name: a, ips: [{address: 192.0.2.1, prefix: 28}]}]\n");
  const Config before = c;
  complete(c);
  EXPECT_EQ(c, before);
}

TEST(Load, Switch) {
  const Switch s = good(R"(
switch:
  workers: [3]
  idle: poll
  control: {path: /run/w.sock, group: weft, mode: "0660"}
  sockets: {owner: libvirt-qemu, group: kvm, mode: 0600}
  memory: {hugepages: no, size: 64}
  fdb: {entries: 4096, ageing: 60}
  state: /tmp/state
)")
                       .switch_;
  EXPECT_THAT(s.workers, ElementsAre(3));
  EXPECT_EQ(s.idle, Idle::kPoll);
  EXPECT_EQ(s.control.path, "/run/w.sock");
  EXPECT_EQ(s.control.permissions, (SocketPermissions{"", "weft", 0660}));
  EXPECT_EQ(s.sockets, (SocketPermissions{"libvirt-qemu", "kvm", 0600}));
  EXPECT_EQ(s.memory, (Memory{false, 64}));
  EXPECT_EQ(s.fdb, (Fdb{4096, 4096, 60}));
  EXPECT_EQ(s.state, "/tmp/state");
  EXPECT_EQ(good("switch: {control: /run/x.sock, workers: auto, memory: auto}\n").switch_.control.path, "/run/x.sock");
}

TEST(Load, UplinksOfEachKind) {
  const Config c = good(R"(
uplinks:
  - {name: a, device: eth1, driver: af_packet, address: [192.0.2.2/25, 192.0.2.3/25], gateway: [192.0.2.1], ports: {start: 20000, end: 30000}}
  - {name: b, tap: {name: up0, netns: outside}, address: 198.51.100.2/24}
  - {name: c, vhostuser: {path: /run/up.sock, mode: client}, address: [203.0.113.2/24]}
  - {name: d, tap: {name: up1, bridge: br0}, address: [192.0.2.130/25]}
)");
  ASSERT_EQ(c.uplinks.size(), 4u);
  EXPECT_EQ(c.uplinks[0].device, Device(Netdev{"eth1", Driver::kAfPacket}));
  EXPECT_EQ(c.uplinks[0].addresses.size(), 2u);
  EXPECT_EQ(c.uplinks[0].gateways.at(0).to_string(), "192.0.2.1");
  EXPECT_EQ(c.uplinks[0].ports, (PortRange{20000, 30000}));
  EXPECT_EQ(c.uplinks[1].device, Device(Tap{"up0", "outside", "", 1}));
  EXPECT_EQ(c.uplinks[1].addresses.at(0).to_string(), "198.51.100.2/24");
  EXPECT_EQ(c.uplinks[2].device, Device(VhostUser{"/run/up.sock", SocketMode::kClient, 1, {}}));
  EXPECT_EQ(c.uplinks[3].device, Device(Tap{"up1", "", "br0", 1}));
}

TEST(Load, PortsOfEachKind) {
  const Config c = good(R"(
networks: [{name: n}]
ports:
  - {name: a, network: n, vhostuser: {path: /run/a.sock, owner: qemu, permissions: "0600"}, mac: {address: "52:54:00:00:00:01"}}
  - {name: b, network: n, tap: {name: tap0, netns: guest}, link: {state: down}, port: {isolated: no}}
  - {name: c, network: n, device: vnet7}
)");
  ASSERT_EQ(c.ports.size(), 3u);
  EXPECT_EQ(c.ports[0].device, Device(VhostUser{"/run/a.sock", SocketMode::kServer, 1, {"qemu", "", 0600}}));
  EXPECT_EQ(c.ports[0].where.line, 4u);
  EXPECT_EQ(c.ports[1].device, Device(Tap{"tap0", "guest", "", 1}));
  EXPECT_FALSE(c.ports[1].link_up);
  EXPECT_EQ(c.ports[2].device, Device(Netdev{"vnet7", Driver::kAuto}));
}

TEST(Load, WholeSchemaOfThingsToComeIsReadIntoTheModel) {
  const Config c = good(R"(
networks:
  - name: n
    forward: {mode: nat, nat: {ipv6: yes, mapping: endpoint-dependent}}
    dns:
      txts: [{name: t, value: "a, b"}]
      srvs: [{service: ldap, protocol: tcp, target: vm1, port: 389, priority: 1, weight: 10}]
    ips:
      - address: 192.0.2.1
        prefix: 24
        tftp: {root: /srv/tftp}
        dhcp:
          ranges: [{start: 192.0.2.2, end: 192.0.2.9}]
          bootp: {file: /pxelinux.0, server: 192.0.2.1}
          options: [{code: 42, ip: [192.0.2.7]}, {code: 150, hex: "0a:ff"}, {code: 66, text: x}, {code: 23, u8: 64}]
      - {address: "2001:db8::1", dhcp: {hosts: [{id: "0:3:0:1:52", ip: "2001:db8::9"}]}}
    bandwidth: {inbound: {average: 1000, peak: 5000, burst: 1024}}
    vlan: {tags: [{id: 42}, {id: 47, nativeMode: untagged}]}
    portgroups: [{name: web, default: yes, bandwidth: {outbound: {average: 5}}}]
    port: {isolated: yes}
    dnsmasq: {options: ["dhcp-option=42,192.0.2.1"]}
    portForwards: [{proto: tcp, address: any, ip: 192.0.2.10, ranges: [{start: 8080, to: 80}, {start: 2000, end: 2100}]}]
ports:
  - name: p
    network: n
    vhostuser: {path: /run/p.sock, queues: 4}
    portgroup: web
    bandwidth: {inbound: {average: 1000, floor: 200}}
    filterref: {filter: clean-traffic, parameters: {IP: [192.0.2.10], CTRL_IP_LEARNING: dhcp}}
)",
                        Support::kWholeSchema);
  const Network& n = c.networks[0];
  EXPECT_TRUE(n.forward.nat.ipv6);
  EXPECT_EQ(n.dns.srvs.at(0).weight, 10);
  EXPECT_EQ(std::get<DhcpOption::Bytes>(n.ips[0].dhcp.options.at(1).value).bytes, (std::vector<uint8_t>{0x0a, 0xff}));
  EXPECT_EQ(n.ips[1].address.length, 64);
  EXPECT_TRUE(n.vlan->trunk);
  EXPECT_EQ(n.port_forwards.at(0).ranges.at(0).end, 8080);
  EXPECT_EQ(c.ports[0].bandwidth->inbound->floor, 200u);
  EXPECT_THAT(c.ports[0].filterref->parameters.at("CTRL_IP_LEARNING"), ElementsAre("dhcp"));
}

TEST(Validate, ModelsMadeAtRunTimeAreCheckedWithTheirPlaces) {
  Config c = good("networks: [{name: n}]\nports: [{name: a, network: n, vhostuser: {path: /run/a.sock}}]\n");
  EXPECT_TRUE(validate(c).empty());
  Port p = c.ports[0];
  p.name = "b";
  p.where = {};
  c.ports.push_back(p);
  EXPECT_EQ(to_string(validate(c)), "ports[1].vhostuser.path: socket '/run/a.sock' is used in f.yaml:2:9 already\n");
  c.ports[1].network = "m";
  EXPECT_EQ(validate(c).size(), 2u);
}

}  // namespace
}  // namespace weft::config
