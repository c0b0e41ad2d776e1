// SPDX-License-Identifier: BSD-3-Clause
//
// <network> XML in and out: samples of every element, each mistake at its place, nothing dropped in silence.
#include "config/libvirt_xml.h"

#include "config/load.h"
#include "config/yaml_out.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string sample(const std::string& name) {
  std::ifstream in(std::string(WEFT_TEST_DATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

ImportResult import_sample(const std::string& name, Support support = Support::kThisVersion) {
  ImportResult r = import_network(sample(name), name, support);
  EXPECT_TRUE(r.ok()) << to_string(r.errors);
  return r;
}

std::string as_yaml(const ImportResult& r) {
  Config c;
  c.uplinks = r.uplinks;
  c.networks.push_back(r.network.value());
  return to_yaml(c);
}

TEST(LibvirtXml, DefaultNetworkIsTheSameNetwork) {
  const ImportResult r = import_sample("home.xml");
  EXPECT_TRUE(r.uplinks.empty());
  const std::string yaml = as_yaml(r);
  EXPECT_EQ(yaml, R"(networks:
  - name: default
    uuid: 2f9a6c3e-71b4-4d0a-9c55-0e8d6b7a4f12
    forward: {mode: nat}
    bridge: {name: virbr0}
    mac: {address: "52:54:00:3b:9e:71"}
    ips:
      - address: 192.168.122.1
        prefix: 24
        dhcp:
          ranges:
            - {start: 192.168.122.2, end: 192.168.122.254}
)");
  const Loaded loaded = load(yaml, "out.yaml");
  EXPECT_EQ(to_string(loaded.errors) + to_string(loaded.notes), "");
  EXPECT_EQ(loaded.config.networks.at(0).forward.nat.port, (PortRange{1024, 65535}));
  ASSERT_EQ(r.notes.size(), 1u) << to_string(r.notes);
  EXPECT_THAT(r.notes[0].to_string(), testing::StartsWith("home.xml:10:25: <bridge stp='on'>: no spanning tree"));
}

TEST(LibvirtXml, ForwardDeviceBecomesAnUplink) {
  const ImportResult r = import_sample("office.xml");
  ASSERT_EQ(r.uplinks.size(), 1u);
  EXPECT_EQ(r.uplinks[0].name, "enp3s0");
  EXPECT_EQ(r.uplinks[0].device, Device(Netdev{"enp3s0", Driver::kAuto}));
  EXPECT_EQ(r.uplinks[0].address_mode, UplinkAddress::kHost);
  const Network& n = *r.network;
  EXPECT_EQ(n.where.to_string(), "office.xml:2:1");
  EXPECT_EQ(n.title, "The office & its printers");
  EXPECT_EQ(n.metadata, "<inv:asset xmlns:inv=\"urn:example:inventory\" room=\"2.17\" />");
  EXPECT_EQ(n.forward.mode, ForwardMode::kNat);
  EXPECT_EQ(n.forward.dev, "enp3s0");
  EXPECT_TRUE(n.forward.interfaces.empty());
  EXPECT_EQ(n.mtu, 1450);
  EXPECT_THAT(n.dns.hosts.at(0).hostnames, ElementsAre("printer", "lpr.office.test"));
  EXPECT_EQ(n.ips.at(0).address.to_string(), "172.20.4.1/23");
  EXPECT_EQ(n.ips[0].where.to_string(), "office.xml:21:3");
  EXPECT_EQ(n.ips[0].dhcp.ranges.at(0).lease_seconds, 43200u);
  EXPECT_EQ(n.ips[0].dhcp.hosts.at(1).lease_seconds, kInfiniteLease);
  EXPECT_EQ(n.routes.at(0).metric, 5u);
}

TEST(LibvirtXml, WhatComesLaterIsRefusedWithItsPlaceButRead) {
  const ImportResult now = import_network(sample("lab.xml"), "lab.xml");
  ASSERT_TRUE(now.network.has_value());
  std::string places;
  for (const Diagnostic& d : now.errors) {
    EXPECT_THAT(d.message, HasSubstr("not supported yet"));
    places += std::to_string(d.where.line) + " ";
  }
  EXPECT_EQ(places, "6 7 9 15 18 21 27 ") << to_string(now.errors);
  const ImportResult r = import_sample("lab.xml", Support::kWholeSchema);
  EXPECT_THAT(r.network->dnsmasq_options, ElementsAre("no-hosts", "dhcp-option=42,172.31.9.1"));
  EXPECT_EQ(r.network->ips.at(1).dhcp.hosts.at(0).id, "0:3:0:1:52:54:0:9:9:9");
  EXPECT_EQ(r.network->dns.srvs.at(0).port, 5060);
  EXPECT_EQ(r.network->bandwidth->inbound->burst, 512u);
}

TEST(LibvirtXml, BridgeBecomesATapThatJoinsIt) {
  const ImportResult r = import_sample("wire.xml", Support::kWholeSchema);
  ASSERT_EQ(r.uplinks.size(), 1u);
  EXPECT_EQ(r.uplinks[0].device, Device(Tap{"weft-br-campus", "", "br-campus", 1}));
  EXPECT_EQ(r.network->vlan->tags.size(), 2u);
  EXPECT_EQ(r.network->virtualport->parameters.at("profileid"), "campus");
}

TEST(LibvirtXml, PrivateBecomesIsolatedPorts) {
  const ImportResult r = import_network(
      "<network><name>p</name><forward mode='private'><interface dev='e0'/><interface "
      "dev='e1'/></forward></network>",
      "f", Support::kWholeSchema);
  ASSERT_TRUE(r.ok()) << to_string(r.errors);
  EXPECT_EQ(r.network->forward.mode, ForwardMode::kBridge);
  EXPECT_EQ(r.network->isolated, true);
  EXPECT_THAT(r.network->forward.interfaces, ElementsAre("e0", "e1"));
  EXPECT_EQ(r.uplinks.size(), 2u);
}

TEST(LibvirtXml, SamplesComeBackThroughXmlAndYaml) {
  size_t samples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WEFT_TEST_DATA)) {
    const std::string name = entry.path().filename().string();
    const ImportResult r = import_sample(name, Support::kWholeSchema);
    Config direct;
    direct.networks.push_back(*r.network);
    direct.uplinks = r.uplinks;
    const Loaded by_yaml = load(to_yaml(direct), "f", Support::kWholeSchema);
    complete(direct);
    EXPECT_EQ(by_yaml.config, direct) << name << to_string(by_yaml.errors);
    const ImportResult by_xml = import_network(to_libvirt_xml(*r.network), "f", Support::kWholeSchema);
    ASSERT_TRUE(by_xml.ok()) << name << to_string(by_xml.errors);
    Config again;
    again.networks.push_back(*by_xml.network);
    again.uplinks = by_xml.uplinks;
    complete(again);
    EXPECT_EQ(again, direct) << name;
    ++samples;
  }
  EXPECT_EQ(samples, 4u);
}

TEST(LibvirtXml, IsWrittenAsLibvirtWritesIt) {
  EXPECT_EQ(to_libvirt_xml(*import_sample("home.xml").network), R"(<network>
  <name>default</name>
  <uuid>2f9a6c3e-71b4-4d0a-9c55-0e8d6b7a4f12</uuid>
  <forward mode='nat'>
    <nat>
      <port start='1024' end='65535'/>
    </nat>
  </forward>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:3b:9e:71'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
)");
}

struct Case {
  std::string xml;
  std::vector<std::string> errors;  // "line:column: key: words of the message", in order
};

TEST(LibvirtXml, EveryMistakeHasItsPlace) {
  const auto net = [](const std::string& inside) {
    return "<network>\n <name>n</name>\n " + inside + "\n</network>\n";
  };
  const auto ip = [&](const std::string& inside) {
    return net("<ip address='192.0.2.1' prefix='24'>\n" + inside + "</ip>");
  };
  const std::vector<Case> cases = {
      {"", {"1:1: : not well-formed XML"}},
      {"<network><name>a</name></netwrok>", {"1:26: : not well-formed XML"}},
      {"<domain/>", {"1:1: <domain>: expected <network>"}},
      {"<network/><network/>", {"1:11: : a second root element"}},
      {"<!DOCTYPE network><network/>", {"1:1: : a document type"}},
      {"<network><name>a&b;</name></network>", {"1:17: : begins no known character"}},
      {"<network>\n<name>\xff</name></network>", {"2:7: : not UTF-8"}},
      {"<network/>", {"1:1: <network>: <name> is required"}},
      {net("<colour/>"), {"3:2: <colour>: unknown element in <network>"}},
      {net("<bridge nmae='b'/>"), {"3:10: <bridge nmae>: did you mean 'name'?"}},
      {net("<forwrad/>"), {"3:2: <forwrad>: did you mean 'forward'?"}},
      {net("<bridge name='b'\n   name='c'/>"), {"4:4: <bridge name>: given twice", "4:4: : not well-formed"}},
      {net("<mtu size='1500'/><mtu size='1500'/>"), {"3:20: <mtu>: only one is allowed; the first is at line 3"}},
      {net("stray"), {"3:2: <network>: text is not expected here"}},
      {net("<title>a\nb</title>"), {"3:2: <title>: a title is one line"}},
      {net("<forward mode='hostdev'><pf dev='e'/></forward>"), {"3:11: <forward mode='hostdev'>: bypasses the switch"}},
      {net("<forward mode='passthrough'/>"), {"3:11: <forward mode='passthrough'>: bypasses the switch"}},
      {net("<forward mode='vepa' dev='e'/>"), {"3:11: <forward mode='vepa'>: 802.1Qbg switch"}},
      {net("<forward mode='none'/>"), {"3:11: <forward mode='none'>: leave <forward> out"}},
      {net("<forward mode='bridge' dev='e'><pf dev='e'/></forward>"), {"3:33: <pf>: past the switch"}},
      {net("<forward mode='bridge' dev='a'><interface dev='b'/></forward>"),
       {"3:44: <interface dev='b'>: must be the forward element's dev, 'a'"}},
      {net("<forward mode='nat' managed='yes'/><ip address='192.0.2.1' prefix='24'/>"),
       {"3:22: <forward managed='yes'>: only for PCI devices"}},
      {net("<forward/>"), {"3:2: <forward>: nat needs an address"}},
      {net("<forward mode='bridge'/><bridge name='b' stp='on'/>"), {"3:43: <bridge stp='on'>: not with mode bridge"}},
      {net("<bridge stp='maybe'/>"), {"3:10: <bridge stp='maybe'>: expected on or off"}},
      {net("<bridge name='averyveryverylongname'/>"),
       {"3:10: <bridge name='averyveryverylongname'>: has 21 characters"}},
      {net("<virtualport type='802.1Qbh'/>"), {"3:15: <virtualport type='802.1Qbh'>: needs an external switch"}},
      {net("<domain localOnly='yes'/>"), {"3:2: <domain>: the attribute name is required"}},
      {net("<dns><host ip='192.0.2.9'><hostname>-</hostname></host></dns>"),
       {"3:28: <hostname>: expected a host name"}},
      {net("<ip address='2001:db8::1'/>"), {"3:6: <ip address='2001:db8::1'>: needs family='ipv6'"}},
      {net("<ip address='192.0.2.1' prefix='24' netmask='255.255.255.0'/>"),
       {"3:38: <ip netmask='255.255.255.0'>: prefix is given too"}},
      {ip("<dhcp><range start='192.0.2.2' end='192.0.2.300'/></dhcp>"),
       {"4:32: <range end='192.0.2.300'>: expected an IP address"}},
      {ip("<dhcp><range start='192.0.2.2'/></dhcp>"), {"4:7: <range>: the attribute end is required"}},
      {ip("<dhcp><host ip='192.0.2.9'/></dhcp>"), {"4:7: <host>: give 'mac' or 'name'"}},
      {net("<o:options xmlns:o='urn:other'/>"), {"3:2: <o:options>: unknown element"}},
      {net("<route address='10.0.0.0' gateway='192.0.2.9'/>"),
       {"3:2: <route>: prefix or netmask is required", "3:28: <route gateway='192.0.2.9'>: in none of"}},
  };
  for (const Case& c : cases) {
    const ImportResult r = import_network(c.xml, "f", Support::kWholeSchema);
    EXPECT_FALSE(r.ok()) << c.xml;
    std::vector<std::string> expected = c.errors;
    EXPECT_GE(r.errors.size(), 1u) << c.xml;
    EXPECT_LE(r.errors.size(), expected.size()) << c.xml << "\n" << to_string(r.errors);
    for (size_t i = 0; i < std::min(r.errors.size(), expected.size()); ++i) {
      const Diagnostic& d = r.errors[i];
      const size_t split = expected[i].find(": ", expected[i].find(": ") + 2);
      EXPECT_EQ(d.where.to_string() + ": " + d.key, "f:" + expected[i].substr(0, split)) << c.xml << "\n"
                                                                                         << d.to_string();
      EXPECT_THAT(d.message, HasSubstr(expected[i].substr(split + 2))) << c.xml;
    }
  }
}

}  // namespace
}  // namespace weft::config
