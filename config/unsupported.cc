// SPDX-License-Identifier: BSD-3-Clause
//
// What the schema knows and this version of the switch does not do yet. The one place: when a feature comes,
// its lines go. Asking for what happens anyway (the default, in other words) is never refused.
#include "config/sections.h"

#include <set>

#include <fmt/format.h>

namespace weft::config {
namespace {

class Unsupported {
 public:
  explicit Unsupported(Report& report) : report_(report) {}
  /// `what` begins the sentence; `instead` says what works.
  void when(bool asked, const std::string& path, std::string_view what, std::string_view instead = {}) {
    if (!asked || report_.failed(path)) return;
    report_.error(path, fmt::format("{} not supported yet{}{}", what, instead.empty() ? "" : "; ", instead));
  }

 private:
  Report& report_;
};

void check_uplink(const Uplink& up, bool carries_frames, const std::string& path, Unsupported& u) {
  if (const auto* n = std::get_if<Netdev>(&up.device))
    u.when(n->driver == Driver::kAfXdp, join(path, "driver"), "af_xdp is", "say auto or af_packet");
  u.when(std::holds_alternative<Pci>(up.device), join(path, "pci"), "a NIC driven by DPDK is",
         "give its netdev with 'device'");
  u.when(std::holds_alternative<Vdev>(up.device), join(path, "vdev"), "a DPDK virtual device is",
         "give 'device', 'tap' or 'vhostuser'");
  constexpr auto kList = "give the uplink addresses of its own: address: [192.0.2.2/24]";
  const std::string address = join(path, "address");
  u.when(up.address_mode == UplinkAddress::kHost && !carries_frames, address,
         "sharing the host's own address (host, also when left out) is", kList);
  u.when(up.address_mode == UplinkAddress::kDhcp, address, "an address by DHCP is", kList);
  for (size_t i = 0; i < up.addresses.size(); ++i)
    u.when(!up.addresses[i].is_v4(), at(address, i), "IPv6 is", "give IPv4 addresses");
  for (size_t i = 0; i < up.gateways.size(); ++i)
    u.when(up.gateways[i].is_v6(), at(join(path, "gateway"), i), "IPv6 is", "give IPv4 addresses");
}

void check_ip(const Ip& ip, const std::string& path, Unsupported& u) {
  if (!ip.address.is_v4()) {
    u.when(true, join(path, "address"), "IPv6 is", "give IPv4 addresses");
    return;
  }
  u.when(!ip.dhcp.options.empty(), join(path, "dhcp.options"), "DHCP options of one's own are");
  u.when(ip.dhcp.bootp.has_value(), join(path, "dhcp.bootp"), "booting from the network is");
  u.when(!ip.tftp_root.empty(), join(path, "tftp"), "TFTP is");
}

void check_network_supported(const Network& n, const std::string& path, Unsupported& u) {
  const Forward& f = n.forward;
  u.when(f.mode == ForwardMode::kOpen, join(path, "forward.mode"), "mode open is", "say nat, route, bridge or none");
  u.when(bridged_uplinks(n).size() > 1, join(path, "forward.interfaces"), "spreading guests over several devices is",
         "give one");
  u.when(!n.autostart, join(path, "autostart"), "a network that is not started is", "say yes, or leave it out");
  u.when(f.nat.ipv6, join(path, "forward.nat.ipv6"), "IPv6 is", "say no, or leave it out");
  u.when(f.nat.mapping != NatMapping::kEndpointIndependent, join(path, "forward.nat.mapping"),
         fmt::format("{} is", spell(f.nat.mapping)), "say endpoint-independent, or leave it out");
  u.when(n.bridge.mac_table_manager != MacTableManager::kKernel, join(path, "bridge.macTableManager"),
         "a static table of MACs is", "say kernel, or leave it out");
  u.when(!n.dns.txts.empty(), join(path, "dns.txts"), "TXT records are");
  u.when(!n.dns.srvs.empty(), join(path, "dns.srvs"), "SRV records are");
  for (size_t i = 0; i < n.ips.size(); ++i) check_ip(n.ips[i], at(join(path, "ips"), i), u);
  for (size_t i = 0; i < n.routes.size(); ++i)
    u.when(!n.routes[i].destination.is_v4(), join(at(join(path, "routes"), i), "address"), "IPv6 is");
  u.when(n.bandwidth.has_value(), join(path, "bandwidth"), "shaping is");
  u.when(n.vlan.has_value(), join(path, "vlan"), "VLANs are");
  u.when(!n.portgroups.empty(), join(path, "portgroups"), "portgroups are");
  u.when(!n.port_forwards.empty(), join(path, "portForwards"), "publishing ports is");
}

void check_port_supported(const Port& p, const std::string& path, Unsupported& u) {
  u.when(!p.portgroup.empty(), join(path, "portgroup"), "portgroups are");
  u.when(p.mtu.has_value(), join(path, "mtu"), "an MTU of a single port is", "give the network's");
  u.when(p.vlan.has_value(), join(path, "vlan"), "VLANs are");
  u.when(p.bandwidth.has_value(), join(path, "bandwidth"), "shaping is");
  u.when(p.filterref.has_value(), join(path, "filterref"), "filters are");
}

}  // namespace

void check_supported(const Config& c, Report& report) {
  Unsupported u(report);
  u.when(c.switch_.metrics.has_value(), "switch.metrics", "metrics are");
  std::set<std::string> bridged;
  for (const Network& n : c.networks)
    for (const std::string& name : bridged_uplinks(n)) bridged.insert(name);
  for (size_t i = 0; i < c.uplinks.size(); ++i)
    check_uplink(c.uplinks[i], bridged.contains(c.uplinks[i].name), at("uplinks", i), u);
  for (size_t i = 0; i < c.networks.size(); ++i) check_network_supported(c.networks[i], at("networks", i), u);
  for (size_t i = 0; i < c.ports.size(); ++i) check_port_supported(c.ports[i], at("ports", i), u);
}

}  // namespace weft::config
