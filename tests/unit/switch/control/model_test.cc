// SPDX-License-Identifier: BSD-3-Clause
#include "switch/model.h"

#include "config/load.h"
#include "dataplane/memory_port.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using wire::Ipv4Address;
using wire::Ipv4Prefix;
using Addresses = std::vector<Ipv4Address>;
using Ids = std::vector<PortId>;

Ipv4Address ip(const char* text) { return Ipv4Address::parse(text).value(); }
Ipv4Prefix prefix(const char* text) { return Ipv4Prefix::parse(text).value(); }
config::IpPrefix ipv6(const char* text, uint8_t length) { return {wire::IpAddress::parse(text).value(), length}; }

/// A model of a configuration, every port of it a memory port; ids in the order uplinks, seats, ports.
class ModelTest : public testing::Test {
 protected:
  void configure(const std::string& yaml) {
    const auto loaded = config::load(yaml, "test.yaml", config::Support::kWholeSchema);
    for (const auto& e : loaded.errors) ADD_FAILURE() << e.to_string();
    for (const auto& u : loaded.config.uplinks) {
      const auto id = static_cast<UplinkId>(model_.uplinks.size());
      model_.uplinks.push_back({id, u, wire::MacAddress::from_u64(0x525400000200 + id)});
      add({.name = u.name, .role = Role::uplink, .uplink = id});
    }
    for (const auto& n : loaded.config.networks) {
      const auto id = static_cast<NetworkId>(model_.networks.size());
      model_.networks.push_back(
          {.id = id, .config = n, .gateway_mac = wire::MacAddress::from_u64(0x525400000100 + id)});
      if (n.bridge.host.value_or(false)) add({.name = n.bridge.name, .role = Role::seat, .network = id});
    }
    connect_uplinks(model_);
    for (const auto& p : loaded.config.ports)
      add({.name = p.name, .network = model_.network(p.network)->id, .config = p});
  }
  void add(PortRecord record) {
    record.id = static_cast<PortId>(model_.ports.size());
    record.port = std::make_unique<dataplane::MemoryPort>();
    model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  }
  PortId id(const std::string& name) { return model_.port(name)->id; }
  NetworkRecord& network(const std::string& name) { return *model_.network(name); }
  void take_away(const std::string& name) { model_.port(name)->port.reset(); }

  Snapshot& build() {
    snapshot_ = build_snapshot(model_);
    return *snapshot_;
  }
  const PortEntry& port_entry(const std::string& name) { return build().ports.at(id(name)); }
  const NetworkEntry& network_entry(const std::string& name) { return build().networks.at(network(name).id); }
  const UplinkEntry& uplink_entry(UplinkId u = 0) { return build().uplinks.at(u); }

  Model model_;
  std::unique_ptr<Snapshot> snapshot_;
};

constexpr const char* kWan = R"(
uplinks:
  - {name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.1]}
)";

// ---- connect_uplinks -----------------------------------------------------------------------------------------------

TEST_F(ModelTest, ANatNetworkLeavesByTheOnlyUplink) {
  configure(std::string(kWan) +
            "networks: [{name: red, forward: {mode: nat}, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_EQ(network("red").uplink, 0);
}

TEST_F(ModelTest, ARoutedNetworkLeavesByTheOnlyUplink) {
  configure(std::string(kWan) +
            "networks: [{name: red, forward: {mode: route}, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_EQ(network("red").uplink, 0);
}

TEST_F(ModelTest, AnIsolatedNetworkLeavesByNone) {
  configure(std::string(kWan) + "networks: [{name: red}]\n");
  EXPECT_EQ(network("red").uplink, kNoUplink);
}

TEST_F(ModelTest, WithoutUplinksANetworkLeavesByNone) {
  configure("networks: [{name: red, forward: {mode: nat}, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_EQ(network("red").uplink, kNoUplink);
}

TEST_F(ModelTest, ANetworkLeavesByTheUplinkItNames) {
  configure(R"(
uplinks: [{name: wan1, device: eth0}, {name: wan2, device: eth1}, {name: wan3, device: eth2}]
networks:
  - {name: red, forward: {mode: nat, dev: wan2}, ips: [{address: 192.168.100.1, prefix: 24}]}
  - {name: blue, forward: {mode: route, dev: wan3}, ips: [{address: 192.168.101.1, prefix: 24}]}
)");
  EXPECT_EQ(network("red").uplink, 1);
  EXPECT_EQ(network("blue").uplink, 2);
}

constexpr const char* kBridgedByDev = R"(
uplinks: [{name: wan, device: eth0}, {name: lan, device: eth1}]
networks:
  - {name: red, forward: {mode: bridge, dev: lan}}
  - {name: blue, forward: {mode: nat}, ips: [{address: 192.168.101.1, prefix: 24}]}
ports: [{name: r1, network: red, tap: {name: r1}}]
)";

TEST_F(ModelTest, ABridgeModeNetworksUplinkIsItsMember) {
  configure(kBridgedByDev);
  EXPECT_EQ(model_.uplinks[1].network, network("red").id);
}

TEST_F(ModelTest, ABridgeModeNetworkLeavesByNoUplink) {
  configure(kBridgedByDev);
  EXPECT_EQ(network("red").uplink, kNoUplink);
}

TEST_F(ModelTest, AnUplinkThatIsAMemberIsNotTheOneOthersLeaveBy) {
  configure(kBridgedByDev);
  EXPECT_EQ(network("blue").uplink, 0);
}

TEST_F(ModelTest, AnUplinkThatIsNoMemberIsInNoNetwork) {
  configure(kBridgedByDev);
  EXPECT_EQ(model_.uplinks[0].network, kNoNetwork);
}

TEST_F(ModelTest, InterfacesOfABridgeModeNetworkAreItsMembers) {
  configure(R"(
uplinks: [{name: wan, device: eth0}, {name: lan, device: eth1}]
networks: [{name: red, forward: {mode: bridge, interfaces: [{dev: wan}, {dev: lan}]}}]
)");
  EXPECT_EQ(model_.uplinks[0].network, 0);
  EXPECT_EQ(model_.uplinks[1].network, 0);
}

TEST_F(ModelTest, TheUplinkOfTheHostBridgesNameIsAMember) {
  configure(R"(
uplinks: [{name: br0, tap: {name: weft-br0, bridge: br0}}]
networks: [{name: red, forward: {mode: bridge}, bridge: {name: br0}}]
)");
  EXPECT_EQ(model_.uplinks[0].network, 0);
}

TEST_F(ModelTest, InOtherModesABridgesNameMakesNoMember) {
  configure(R"(
uplinks: [{name: virbr7, device: eth0}]
networks: [{name: red, bridge: {host: no}}]
)");
  network("red").config.bridge.name = "virbr7";
  connect_uplinks(model_);
  EXPECT_EQ(model_.uplinks[0].network, kNoNetwork);
}

// ---- ports ---------------------------------------------------------------------------------------------------------

constexpr const char* kTwoNetworks = R"(
uplinks: [{name: wan, device: eth0}]
networks:
  - {name: red, forward: {mode: nat}, bridge: {name: virbr1}, ips: [{address: 192.168.100.1, prefix: 24}]}
  - {name: blue}
ports:
  - {name: r1, network: red, tap: {name: r1}}
  - {name: r2, network: red, tap: {name: r2}}
  - {name: b1, network: blue, tap: {name: b1}}
)";

TEST_F(ModelTest, AnEmptyModelIsAnEmptySnapshot) {
  const Snapshot& s = build();
  EXPECT_TRUE(s.ports.empty());
  EXPECT_TRUE(s.networks.empty());
  EXPECT_TRUE(s.uplinks.empty());
}

TEST_F(ModelTest, APortIsFoundByItsId) {
  configure(kTwoNetworks);
  EXPECT_EQ(port_entry("r2").port, model_.port("r2")->port.get());
}

TEST_F(ModelTest, IdsMayHaveGaps) {
  configure(kTwoNetworks);
  model_.port("b1")->id = 40;
  EXPECT_EQ(build().port(40)->port, model_.port("b1")->port.get());
  EXPECT_EQ(snapshot_->port(39), nullptr);
}

TEST_F(ModelTest, AnAbsentPortIsLeftOut) {
  configure(kTwoNetworks);
  take_away("r2");
  EXPECT_EQ(build().port(id("r2")), nullptr);
}

TEST_F(ModelTest, AnAbsentPortIsNoMember) {
  configure(kTwoNetworks);
  take_away("r2");
  EXPECT_EQ(network_entry("red").members, (Ids{id("virbr1"), id("r1")}));
}

TEST_F(ModelTest, MembersAreTheSeatAndTheGuestsOfTheNetwork) {
  configure(kTwoNetworks);
  EXPECT_EQ(network_entry("red").members, (Ids{id("virbr1"), id("r1"), id("r2")}));
  EXPECT_EQ(network_entry("blue").members, Ids{id("b1")});
}

TEST_F(ModelTest, AGuestIsInItsNetwork) {
  configure(kTwoNetworks);
  const PortEntry& e = port_entry("b1");
  EXPECT_EQ(e.role, Role::guest);
  EXPECT_EQ(e.network, network("blue").id);
  EXPECT_EQ(e.uplink, kNoUplink);
}

TEST_F(ModelTest, TheSeatIsItsNetworks) {
  configure(kTwoNetworks);
  EXPECT_EQ(network_entry("red").seat, id("virbr1"));
  EXPECT_EQ(port_entry("virbr1").role, Role::seat);
}

TEST_F(ModelTest, ANetworkWithoutASeatHasNone) {
  configure(kTwoNetworks);
  EXPECT_EQ(network_entry("blue").seat, kNoPort);
}

TEST_F(ModelTest, AnAbsentSeatIsNone) {
  configure(kTwoNetworks);
  take_away("virbr1");
  EXPECT_EQ(network_entry("red").seat, kNoPort);
}

TEST_F(ModelTest, AnUplinksPortIsInNoNetwork) {
  configure(kTwoNetworks);
  const PortEntry& e = port_entry("wan");
  EXPECT_EQ(e.role, Role::uplink);
  EXPECT_EQ(e.network, kNoNetwork);
  EXPECT_EQ(e.uplink, 0);
}

TEST_F(ModelTest, AnUplinkHasItsPort) {
  configure(kTwoNetworks);
  EXPECT_EQ(uplink_entry().port, id("wan"));
}

TEST_F(ModelTest, AnAbsentUplinkHasNoPort) {
  configure(kTwoNetworks);
  take_away("wan");
  EXPECT_EQ(uplink_entry().port, kNoPort);
}

TEST_F(ModelTest, AnAbsentUplinkKeepsItsAddresses) {
  configure(kWan);
  take_away("wan");
  EXPECT_EQ(uplink_entry().addresses, std::vector{prefix("203.0.113.2/24")});
}

TEST_F(ModelTest, ABridgedUplinkIsAMemberOfItsNetwork) {
  configure(kBridgedByDev);
  EXPECT_EQ(network_entry("red").members, (Ids{id("lan"), id("r1")}));
}

TEST_F(ModelTest, ABridgedUplinksPortIsInItsNetworkAndLeadsNowhereElse) {
  configure(kBridgedByDev);
  const PortEntry& e = port_entry("lan");
  EXPECT_EQ(e.network, network("red").id);
  EXPECT_EQ(e.uplink, kNoUplink);
}

TEST_F(ModelTest, NothingIsRoutedToABridgedUplink) {
  configure(kBridgedByDev);
  EXPECT_EQ(uplink_entry(1).port, kNoPort);
}

TEST_F(ModelTest, AGuestWhoseLinkIsDownIsInNoNetwork) {
  configure(kTwoNetworks);
  model_.port("r1")->config.link_up = false;
  EXPECT_EQ(port_entry("r1").network, kNoNetwork);
  EXPECT_EQ(port_entry("r1").uplink, kNoUplink);
}

TEST_F(ModelTest, AGuestWhoseLinkIsDownIsNoMember) {
  configure(kTwoNetworks);
  model_.port("r1")->config.link_up = false;
  EXPECT_EQ(network_entry("red").members, (Ids{id("virbr1"), id("r2")}));
}

TEST_F(ModelTest, AGuestWhoseLinkIsDownIsStillReceivedFrom) {
  configure(kTwoNetworks);
  model_.port("r1")->config.link_up = false;
  EXPECT_NE(build().port(id("r1")), nullptr);
}

TEST_F(ModelTest, APortIsIsolatedWhenItSaysSo) {
  configure(kTwoNetworks);
  model_.port("r1")->config.isolated = true;
  EXPECT_TRUE(port_entry("r1").is_isolated);
  EXPECT_FALSE(port_entry("r2").is_isolated);
}

TEST_F(ModelTest, APortIsIsolatedAsItsNetworkSays) {
  configure(kTwoNetworks);
  network("red").config.isolated = true;
  EXPECT_TRUE(port_entry("r1").is_isolated);
  EXPECT_FALSE(port_entry("b1").is_isolated);
}

TEST_F(ModelTest, APortsOwnWordOnIsolationCountsMoreThanItsNetworks) {
  configure(kTwoNetworks);
  network("red").config.isolated = true;
  model_.port("r1")->config.isolated = false;
  EXPECT_FALSE(port_entry("r1").is_isolated);
}

TEST_F(ModelTest, TheSeatIsNeverIsolated) {
  configure(kTwoNetworks);
  network("red").config.isolated = true;
  EXPECT_FALSE(port_entry("virbr1").is_isolated);
}

TEST_F(ModelTest, ABridgedUplinkIsNeverIsolated) {
  configure(kBridgedByDev);
  network("red").config.isolated = true;
  EXPECT_FALSE(port_entry("lan").is_isolated);
}

// ---- networks ------------------------------------------------------------------------------------------------------

TEST_F(ModelTest, ForwardModesAreWhatTheWorkersKnow) {
  configure("networks: [{name: red}]\n");
  const std::pair<config::ForwardMode, ForwardMode> modes[] = {{config::ForwardMode::kNone, ForwardMode::none},
                                                               {config::ForwardMode::kNat, ForwardMode::nat},
                                                               {config::ForwardMode::kRoute, ForwardMode::route},
                                                               {config::ForwardMode::kOpen, ForwardMode::none},
                                                               {config::ForwardMode::kBridge, ForwardMode::none}};
  for (const auto& [written, seen] : modes) {
    network("red").config.forward.mode = written;
    EXPECT_EQ(network_entry("red").mode, seen) << static_cast<int>(written);
  }
}

TEST_F(ModelTest, ANetworksMtuIs1500UnlessItSaysSo) {
  configure("networks: [{name: red}, {name: blue, mtu: {size: 9000}}]\n");
  EXPECT_EQ(network_entry("red").mtu, 1500);
  EXPECT_EQ(network_entry("blue").mtu, 9000);
}

TEST_F(ModelTest, ANetworkWithoutAddressesHasNoGateway) {
  configure(kTwoNetworks);
  EXPECT_FALSE(network_entry("blue").has_gateway);
}

TEST_F(ModelTest, ANetworksAddressesAreItsGateways) {
  configure(R"(
networks: [{name: red, ips: [{address: 192.168.100.1, prefix: 24}, {address: 10.0.0.1, prefix: 8}]}]
)");
  EXPECT_TRUE(network_entry("red").has_gateway);
  EXPECT_EQ(network_entry("red").addresses, (std::vector{prefix("192.168.100.1/24"), prefix("10.0.0.1/8")}));
}

TEST_F(ModelTest, AnIpv6AddressAloneMakesNoGateway) {
  configure("networks: [{name: red}]\n");
  network("red").config.ips.emplace_back().address = ipv6("fd00::1", 64);
  EXPECT_FALSE(network_entry("red").has_gateway);
}

TEST_F(ModelTest, TheGatewayHasTheNetworksMac) {
  configure(kTwoNetworks);
  EXPECT_EQ(network_entry("blue").gateway_mac, network("blue").gateway_mac);
}

TEST_F(ModelTest, DhcpIsServedWhereThereIsSomethingToHandOut) {
  configure(R"(
networks:
  - name: red
    ips: [{address: 192.168.100.1, prefix: 24, dhcp: {ranges: [{start: 192.168.100.2, end: 192.168.100.254}]}}]
  - {name: blue, ips: [{address: 192.168.101.1, prefix: 24}]}
)");
  EXPECT_TRUE(network_entry("red").serves_dhcp);
  EXPECT_FALSE(network_entry("blue").serves_dhcp);
}

TEST_F(ModelTest, DnsIsServedUnlessItIsSwitchedOff) {
  configure("networks: [{name: red}, {name: blue, dns: {enable: no}}]\n");
  EXPECT_TRUE(network_entry("red").serves_dns);
  EXPECT_FALSE(network_entry("blue").serves_dns);
}

// ---- masquerade ----------------------------------------------------------------------------------------------------

std::string nat_network(const std::string& name, const std::string& nat) {
  const std::string address = name == "red" ? "192.168.100.1" : "192.168.101.1";
  return "  - {name: " + name + ", forward: {mode: nat, nat: {" + nat + "}}, bridge: {name: " + name +
         "}, ips: [{address: " + address + ", prefix: 24}]}\n";
}

TEST_F(ModelTest, ANetworkWithoutAPoolHasTheUplinksAddress) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", ""));
  EXPECT_TRUE(network_entry("red").nat_addresses.empty());
  EXPECT_TRUE(uplink_entry().pool.empty());
}

TEST_F(ModelTest, APoolIsItsWholeRange) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", "address: {start: 203.0.113.9, end: 203.0.113.11}"));
  EXPECT_EQ(network_entry("red").nat_addresses, (Addresses{ip("203.0.113.9"), ip("203.0.113.10"), ip("203.0.113.11")}));
}

TEST_F(ModelTest, APoolMayBeOneAddress) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", "address: {start: 203.0.113.9, end: 203.0.113.9}"));
  EXPECT_EQ(network_entry("red").nat_addresses, Addresses{ip("203.0.113.9")});
}

TEST_F(ModelTest, APoolMayEndWithTheLastAddressThereIs) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", ""));
  network("red").config.forward.nat.address = {ip("255.255.255.254"), ip("255.255.255.255")};
  EXPECT_EQ(network_entry("red").nat_addresses.size(), 2u);
}

TEST_F(ModelTest, AnUplinkAnswersForThePoolsOfAllItsNetworksOnce) {
  configure(std::string(kWan) + "networks:\n" +
            nat_network("red", "address: {start: 203.0.113.11, end: 203.0.113.12}") +
            nat_network("blue", "address: {start: 203.0.113.10, end: 203.0.113.11}"));
  EXPECT_EQ(uplink_entry().pool, (Addresses{ip("203.0.113.10"), ip("203.0.113.11"), ip("203.0.113.12")}));
}

TEST_F(ModelTest, AnUplinkAnswersForNoOtherUplinksPools) {
  configure(R"(
uplinks: [{name: wan1, device: eth0}, {name: wan2, device: eth1}]
networks:
  - name: red
    forward: {mode: nat, dev: wan2, nat: {address: {start: 203.0.113.9, end: 203.0.113.9}}}
    ips: [{address: 192.168.100.1, prefix: 24}]
)");
  EXPECT_TRUE(uplink_entry(0).pool.empty());
  EXPECT_EQ(uplink_entry(1).pool, Addresses{ip("203.0.113.9")});
}

TEST_F(ModelTest, ARoutedNetworkHasNoPool) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", "address: {start: 203.0.113.9, end: 203.0.113.9}"));
  network("red").config.forward.mode = config::ForwardMode::kRoute;
  EXPECT_TRUE(network_entry("red").nat_addresses.empty());
  EXPECT_TRUE(uplink_entry().pool.empty());
}

class NatPorts : public ModelTest {
 protected:
  std::pair<int, int> ports(const std::string& nat, const std::string& uplink) {
    configure("uplinks: [{name: wan, device: eth0" + uplink + "}]\nnetworks:\n" + nat_network("red", nat));
    const NetworkEntry& e = network_entry("red");
    return {e.nat_port_start, e.nat_port_end};
  }
};

TEST_F(NatPorts, AreFrom1024OnUnlessSaid) { EXPECT_EQ(ports("", ""), (std::pair{1024, 65535})); }

TEST_F(NatPorts, AreTheNetworksOwn) { EXPECT_EQ(ports("port: {start: 2000, end: 3000}", ""), (std::pair{2000, 3000})); }

TEST_F(NatPorts, AreTheUplinksWhenTheNetworkSaysNothing) {
  EXPECT_EQ(ports("", ", ports: {start: 40000, end: 50000}"), (std::pair{40000, 50000}));
}

TEST_F(NatPorts, AreThoseOfBoth) {
  EXPECT_EQ(ports("port: {start: 2000, end: 45000}", ", ports: {start: 40000, end: 50000}"), (std::pair{40000, 45000}));
}

TEST_F(NatPorts, AreTheNetworksWithinTheUplinks) {
  EXPECT_EQ(ports("port: {start: 41000, end: 42000}", ", ports: {start: 40000, end: 50000}"),
            (std::pair{41000, 42000}));
}

TEST_F(NatPorts, OfBothMayBeOneOnly) {
  EXPECT_EQ(ports("port: {start: 2000, end: 40000}", ", ports: {start: 40000, end: 50000}"), (std::pair{40000, 40000}));
}

TEST_F(NatPorts, AreNoneWhenThereAreNoneOfBoth) {
  const auto [start, end] = ports("port: {start: 2000, end: 3000}", ", ports: {start: 40000, end: 50000}");
  EXPECT_GT(start, end);
}

TEST_F(NatPorts, OfAnUplinkDoNotConcernNetworksThatLeaveByAnother) {
  configure(R"(
uplinks: [{name: wan1, device: eth0, ports: {start: 40000, end: 50000}}, {name: wan2, device: eth1}]
networks: [{name: red, forward: {mode: nat, dev: wan2}, ips: [{address: 192.168.100.1, prefix: 24}]}]
)");
  EXPECT_EQ(network_entry("red").nat_port_start, 1024);
}

// ---- uplinks -------------------------------------------------------------------------------------------------------

TEST_F(ModelTest, AnUplinkHasItsMac) {
  configure(kWan);
  EXPECT_EQ(uplink_entry().mac, model_.uplinks[0].mac);
}

TEST_F(ModelTest, AnUplinksMtuIs1500WhenItsLinkIsNotKnown) {
  configure(kWan);
  EXPECT_EQ(uplink_entry().mtu, 1500);
}

TEST_F(ModelTest, AnUplinksMtuIsItsNetdevs) {
  configure(kWan);
  model_.link_mtu = {{"eth0", 9000}, {"eth1", 1280}};
  EXPECT_EQ(uplink_entry().mtu, 9000);
}

TEST_F(ModelTest, AnUplinksMtuIsAtMost65535) {
  configure(kWan);
  model_.link_mtu = {{"eth0", 65536 + 1500}};
  EXPECT_EQ(uplink_entry().mtu, 65535);
}

TEST_F(ModelTest, AnUplinksMtuIsItsTaps) {
  configure("uplinks: [{name: wan, tap: {name: tap0}}]\n");
  model_.link_mtu = {{"tap0", 1400}};
  EXPECT_EQ(uplink_entry().mtu, 1400);
}

TEST_F(ModelTest, TheMtuOfATapInAnotherNamespaceIsNotThatOfTheNameHere) {
  configure("uplinks: [{name: wan, tap: {name: tap0, netns: other}}]\n");
  model_.link_mtu = {{"tap0", 1400}};
  EXPECT_EQ(uplink_entry().mtu, 1500);
}

TEST_F(ModelTest, AnUplinksGatewayIsItsWayOut) {
  configure(kWan);
  const Route* route = uplink_entry().fib.lookup(ip("198.51.100.5"));
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->next_hop, ip("203.0.113.1"));
  EXPECT_EQ(route->interface, interface_of_uplink(0));
}

TEST_F(ModelTest, TheFirstOfSeveralGatewaysIsTheWayOut) {
  configure(R"(
uplinks: [{name: wan, device: eth0, address: [203.0.113.2/24], gateway: [203.0.113.7, 203.0.113.1]}]
)");
  EXPECT_EQ(uplink_entry().fib.lookup(ip("198.51.100.5"))->next_hop, ip("203.0.113.7"));
}

TEST_F(ModelTest, AnUplinksSubnetIsOnItsLink) {
  configure(kWan);
  const Route* route = uplink_entry().fib.lookup(ip("203.0.113.77"));
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->next_hop, std::nullopt);
  EXPECT_EQ(route->kind, RouteKind::connected);
}

TEST_F(ModelTest, WithoutAGatewayThereIsNoWayOut) {
  configure("uplinks: [{name: wan, device: eth0, address: [203.0.113.2/24]}]\n");
  EXPECT_EQ(uplink_entry().fib.lookup(ip("198.51.100.5")), nullptr);
}

TEST_F(ModelTest, AnUplinksIpv6AddressesAndGatewaysAreLeftOut) {
  configure(kWan);
  model_.uplinks[0].config.addresses.push_back(ipv6("2001:db8::2", 64));
  model_.uplinks[0].config.gateways.push_back(wire::IpAddress::parse("2001:db8::1").value());
  EXPECT_EQ(uplink_entry().addresses, std::vector{prefix("203.0.113.2/24")});
  EXPECT_EQ(uplink_entry().fib.routes().size(), 2u);
}

// ---- routes and addresses ------------------------------------------------------------------------------------------

TEST_F(ModelTest, ANetworksSubnetIsBehindIt) {
  configure(R"(
networks:
  - {name: red, ips: [{address: 192.168.100.1, prefix: 24}]}
  - {name: blue, ips: [{address: 192.168.101.1, prefix: 24}]}
)");
  const Route* route = build().inside.lookup(ip("192.168.101.7"));
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->interface, interface_of_network(network("blue").id));
}

TEST_F(ModelTest, ANetworksStaticRoutesLeadThroughIt) {
  configure(R"(
networks:
  - name: red
    ips: [{address: 192.168.100.1, prefix: 24}]
    routes: [{address: 10.20.0.0, prefix: 16, gateway: 192.168.100.7}]
)");
  const Route* route = build().inside.lookup(ip("10.20.30.40"));
  ASSERT_NE(route, nullptr);
  EXPECT_EQ(route->next_hop, ip("192.168.100.7"));
  EXPECT_EQ(route->interface, interface_of_network(0));
}

TEST_F(ModelTest, NothingElseIsInside) {
  configure(std::string(kWan) + "networks: [{name: red, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_EQ(build().inside.lookup(ip("203.0.113.77")), nullptr);
}

TEST_F(ModelTest, TheHostsAddressesAreSortedAndOnceEach) {
  model_.host_addresses = {ip("192.0.2.9"), ip("127.0.0.1"), ip("192.0.2.9"), ip("10.0.0.1")};
  EXPECT_EQ(build().host_addresses, (Addresses{ip("10.0.0.1"), ip("127.0.0.1"), ip("192.0.2.9")}));
  EXPECT_TRUE(snapshot_->is_host_address(ip("192.0.2.9")));
  EXPECT_FALSE(snapshot_->is_host_address(ip("192.0.2.8")));
}

TEST_F(ModelTest, AnUplinksAddressesAreTheSwitchs) {
  configure(kWan);
  EXPECT_EQ(build().switch_addresses, Addresses{ip("203.0.113.2")});
}

TEST_F(ModelTest, PoolsAreTheSwitchs) {
  configure(std::string(kWan) + "networks:\n" + nat_network("red", "address: {start: 203.0.113.9, end: 203.0.113.10}"));
  EXPECT_EQ(build().switch_addresses, (Addresses{ip("203.0.113.2"), ip("203.0.113.9"), ip("203.0.113.10")}));
}

TEST_F(ModelTest, AGatewayWithoutASeatIsTheSwitchs) {
  configure("networks: [{name: red, bridge: {host: no}, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_TRUE(build().is_switch_address(ip("192.168.100.1")));
}

TEST_F(ModelTest, AGatewayWithASeatIsTheHosts) {
  configure(kTwoNetworks);
  EXPECT_FALSE(build().is_switch_address(ip("192.168.100.1")));
}

TEST_F(ModelTest, AGatewayWhoseSeatIsAbsentIsTheSwitchs) {
  configure(kTwoNetworks);
  take_away("virbr1");
  EXPECT_TRUE(build().is_switch_address(ip("192.168.100.1")));
}

TEST_F(ModelTest, ASubnetsOtherAddressesAreNotTheSwitchs) {
  configure("networks: [{name: red, bridge: {host: no}, ips: [{address: 192.168.100.1, prefix: 24}]}]\n");
  EXPECT_FALSE(build().is_switch_address(ip("192.168.100.2")));
}

}  // namespace
}  // namespace weft::vswitch
