// SPDX-License-Identifier: BSD-3-Clause
#include "random_model.h"

#include <string>

#include <fmt/format.h>

namespace weft::config::testing {
namespace {

/// Draws; everything unique is counted, so that what must differ does.
class Draw {
 public:
  explicit Draw(std::mt19937_64& rng) : rng_(rng) {}

  uint64_t below(uint64_t n) { return rng_() % n; }
  bool coin() { return below(2) == 0; }
  bool rarely() { return below(4) == 0; }
  size_t unique() { return ++unique_; }
  std::string name(const char* prefix) { return prefix + std::to_string(unique()); }
  wire::MacAddress mac() { return wire::MacAddress::from_u64(0x525400000000 + unique()); }
  /// Text that is hard to quote.
  std::string text() {
    static const std::vector<std::string> kHard{
        "yes",      "null", "~",          "12",    "1e5",  " lead", "trail ",
        "a: b",     "a #b", "- x",        "\"q\"", "it's", "\\n",   "äöü €",
        "{a}",      "[b]",  "*a",         "&b",    "!c",   "%d",    "@e",
        "`f",       "a,b",  "<x>&amp;",   "| x",   "> y",  "?",     "a:b",
        "0x1f",     ".5",   "2001-01-01", "=",     "#",    "---",   "\xf0\x9f\x90\xa7",
        "tab\there"};
    return kHard[below(kHard.size())];
  }
  std::string lines() {
    std::string s = text();
    for (uint64_t i = below(4); i != 0; --i) s += "\n" + (coin() ? text() : std::string(below(4), ' '));
    return s;
  }
  template <class E>
  E one(std::initializer_list<E> of) {
    return *(of.begin() + below(of.size()));
  }

 private:
  std::mt19937_64& rng_;
  size_t unique_ = 0;
};

Rate rate(Draw& d, bool floor) {
  Rate r;
  if (!floor || d.coin()) {
    r.average = 1 + d.below(kMostRate);
    if (d.coin()) r.peak = 1 + d.below(kMostRate);
    if (d.coin()) r.burst = 1 + d.below(kMostBurst);
  }
  if (floor) r.floor = 1 + d.below(1000);
  return r;
}

std::optional<Bandwidth> bandwidth(Draw& d, bool with_floor) {
  if (!d.rarely()) return {};
  Bandwidth b;
  if (d.coin()) b.inbound = rate(d, with_floor && d.coin());
  if (d.coin()) b.outbound = rate(d, false);
  return b;
}

std::optional<Vlan> vlan(Draw& d) {
  if (!d.rarely()) return {};
  Vlan v;
  const uint64_t n = 1 + d.below(3);
  for (uint64_t i = 0; i < n; ++i) v.tags.push_back({static_cast<uint16_t>(1 + d.below(1000) + i * 1000), {}});
  v.trunk = n > 1 || d.coin();
  if (d.coin()) v.tags[0].native_mode = d.one({NativeMode::kTagged, NativeMode::kUntagged});
  return v;
}

std::optional<uint32_t> lease(Draw& d) {
  if (d.coin()) return {};
  return d.one<uint32_t>({0, 120, 121, 600, 3600, 7200, 86400, 100001});
}

std::optional<VirtualPort> virtualport(Draw& d) {
  if (!d.rarely()) return {};
  VirtualPort v{"openvswitch", {}};
  if (d.coin()) v.parameters["profileid"] = d.text();
  if (d.coin()) v.parameters["interfaceid"] = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f";
  return v;
}

wire::IpAddress address6(uint64_t subnet, uint64_t host) {
  return *wire::IpAddress::parse(fmt::format("2001:db8:0:{:x}::{:x}", subnet, host));
}
/// 10.x.y.host: every network item has a /24 of its own.
wire::IpAddress address4(uint64_t subnet, uint64_t host) {
  return wire::Ipv4Address(static_cast<uint32_t>(10u << 24 | subnet << 8 | host));
}

Dhcp dhcp(Draw& d, uint64_t subnet, bool v4) {
  const auto a = [&](uint64_t host) { return v4 ? address4(subnet, host) : address6(subnet, host); };
  Dhcp dhcp;
  if (d.coin()) dhcp.ranges.push_back({{}, a(100), a(120 + d.below(50)), lease(d)});
  if (d.coin()) dhcp.ranges.push_back({{}, a(200), a(200), lease(d)});
  for (uint64_t i = d.below(4); i != 0; --i) {
    DhcpHost h;
    if (v4 && d.coin()) h.mac = d.mac();
    if (!v4 && d.coin()) h.id = fmt::format("0:3:0:1:{:x}", d.unique());
    if ((!h.mac && h.id.empty()) || d.coin()) h.name = d.name("host");
    h.ip = a(9 + i);
    h.lease_seconds = lease(d);
    dhcp.hosts.push_back(h);
  }
  if (v4 && d.rarely()) {
    dhcp.bootp = Bootp{"/boot " + d.text(), {}};
    if (d.coin()) dhcp.bootp->server = wire::Ipv4Address(192, 0, 2, 1);
  }
  return dhcp;
}

void add_ips(Draw& d, Network& n) {
  bool dhcp4 = false, dhcp6 = false, tftp = false;
  for (uint64_t i = 1 + d.below(3); i != 0; --i) {
    const bool v4 = d.below(3) != 0;
    const uint64_t subnet = 256 + d.unique();
    Ip ip;
    ip.address = v4 ? IpPrefix{address4(subnet, 1), 24} : IpPrefix{address6(subnet, 1), 64};
    ip.local_ptr = d.coin();
    bool& has_dhcp = v4 ? dhcp4 : dhcp6;
    if (!has_dhcp) ip.dhcp = dhcp(d, subnet, v4);
    has_dhcp = has_dhcp || ip.dhcp.is_served();
    if (v4 && !tftp && d.rarely()) {
      ip.tftp_root = "/srv/" + d.text();
      tftp = true;
    }
    if (d.rarely()) {
      Route r;
      r.destination = v4 ? IpPrefix{wire::Ipv4Address(static_cast<uint32_t>(172u << 24 | subnet << 8)), 24}
                         : IpPrefix{*wire::IpAddress::parse("::"), 0};
      r.gateway = v4 ? address4(subnet, 9) : address6(subnet, 9);
      r.metric = static_cast<uint32_t>(n.routes.size()) + 1;
      n.routes.push_back(r);
    }
    n.ips.push_back(ip);
  }
}

Dns dns(Draw& d) {
  Dns dns;
  if (d.rarely()) {
    dns.enable = false;
    return dns;
  }
  dns.forward_plain_names = d.coin();
  if (d.coin())
    dns.forwarders.push_back(
        {{}, d.coin() ? "corp.test" : "", wire::Ipv4Address(192, 0, 2, 53), static_cast<uint16_t>(53 + d.below(2))});
  if (d.rarely()) dns.forwarders.push_back({{}, "_x.test", {}, 53});
  if (d.coin()) dns.hosts.push_back({{}, wire::Ipv4Address(0, 0, 0, 0), {d.name("a"), d.name("b") + ".test"}});
  if (d.rarely()) dns.txts.push_back({{}, "_t.test", d.text()});
  if (d.rarely())
    dns.srvs.push_back({{}, "ldap", "tcp", d.coin() ? "d.test" : "", "vm.test", uint16_t{389}, uint16_t{1}, {}});
  return dns;
}

Network network(Draw& d) {
  Network n;
  n.name = d.coin() ? d.name("net") : d.name("net: \"") + "'";
  if (d.coin()) n.uuid = fmt::format("{:08x}-0000-4000-8000-00000000000a", d.unique());
  if (d.rarely()) n.title = d.text();
  if (d.rarely()) n.description = d.lines();
  if (d.rarely()) n.metadata = "<a:b xmlns:a=\"urn:x\" c=\"d\">e</a:b>";
  n.ipv6 = d.rarely();
  if (d.rarely()) n.trust_guest_rx_filters = d.coin();
  n.forward.mode =
      d.one({ForwardMode::kNone, ForwardMode::kNat, ForwardMode::kRoute, ForwardMode::kOpen, ForwardMode::kBridge});
  n.bandwidth = bandwidth(d, false);
  n.vlan = vlan(d);
  if (d.rarely()) n.isolated = d.coin();
  for (uint64_t i = d.rarely() ? 2 : 0; i != 0; --i)
    n.portgroups.push_back({{}, d.name("group"), i == 1, d.coin(), bandwidth(d, false), vlan(d), {}});
  if (n.forward.mode == ForwardMode::kBridge) {
    n.virtualport = virtualport(d);
    if (d.coin()) n.bridge.name = d.name("br");
    if (d.coin()) n.bridge.mac_table_manager = MacTableManager::kLibvirt;
    return n;
  }
  if (n.forward.mode == ForwardMode::kNat || n.forward.mode == ForwardMode::kRoute || d.coin()) add_ips(d, n);
  if (n.forward.mode == ForwardMode::kNat) {
    if (d.rarely()) n.forward.nat.address = Ipv4Range{{203, 0, 113, 1}, {203, 0, 113, 9}};
    if (d.rarely())
      n.forward.nat.port = {static_cast<uint16_t>(1 + d.below(1000)), static_cast<uint16_t>(2000 + d.below(60000))};
    n.forward.nat.ipv6 = d.rarely();
  }
  if (d.coin()) n.bridge.name = d.rarely() ? "seat%d" : d.name("virbr");
  n.bridge.stp = d.coin();
  n.bridge.delay_seconds = static_cast<uint32_t>(d.below(3));
  if (d.rarely()) n.bridge.zone = "public";
  if (d.coin()) n.mac = d.mac();
  if (d.rarely()) n.mtu = static_cast<uint16_t>(1280 + d.below(8000));
  if (d.coin()) n.domain = {"lab.test", true, d.coin()};
  n.dns = dns(d);
  if (d.rarely()) n.dnsmasq_options = {"no-hosts", "txt-record=a,\"" + d.text() + "\""};
  return n;
}

Device device(Draw& d, bool uplink) {
  switch (d.below(uplink ? 5 : 3)) {
    case 0:
      return Netdev{d.name("eth"), uplink ? d.one({Driver::kAuto, Driver::kAfXdp, Driver::kAfPacket}) : Driver::kAuto};
    case 1: {
      VhostUser v{"/run/" + d.name("s") + d.text() + "x",
                  d.one({SocketMode::kServer, SocketMode::kClient}),
                  static_cast<uint16_t>(1 + d.below(3)),
                  {}};
      if (v.mode == SocketMode::kServer && d.coin()) v.permissions = {"qemu", "kvm", uint16_t{0600}};
      return v;
    }
    case 2: {
      Tap t{d.name("tap"), "", "", static_cast<uint16_t>(1 + d.below(3))};
      if (uplink && d.coin())
        t.bridge = "br0";
      else if (d.coin())
        t.netns = "ns: 1";
      return t;
    }
    case 3:
      return Pci{"0000:3b:00.0"};
    default:
      return Vdev{"net_pcap0,rx_pcap=" + d.text()};
  }
}

void add_weft_only(Draw& d, Network& n) {
  n.autostart = !d.rarely();
  if (n.forward.mode == ForwardMode::kBridge) return;
  if (d.rarely()) n.bridge.host = d.coin();
  if (n.forward.mode == ForwardMode::kNat && d.rarely()) n.forward.nat.mapping = NatMapping::kEndpointDependent;
  for (Ip& ip : n.ips) {
    if (!ip.address.is_v4() || !ip.dhcp.is_served() || !d.coin()) continue;
    ip.dhcp.options = {{{}, 42, std::vector<wire::IpAddress>{wire::Ipv4Address(192, 0, 2, 1)}},
                       {{}, 66, d.text()},
                       {{}, 23, DhcpOption::Number{16, 65535}},
                       {{}, 43, DhcpOption::Bytes{{0, 255, 16}}}};
  }
  if ((n.forward.mode == ForwardMode::kNat || n.forward.mode == ForwardMode::kRoute) && d.rarely())
    n.port_forwards = {
        {{}, ForwardProtocol::kUdp, "", {}, n.ips[0].address.address, {{80, 80, uint16_t{8080}}, {90, 99, {}}}}};
}

Port port(Draw& d, const Network& n) {
  Port p;
  p.name = d.name("port");
  p.network = n.name;
  p.device = device(d, false);
  if (d.coin()) p.mac = d.mac();
  if (!n.portgroups.empty() && d.coin()) p.portgroup = n.portgroups[0].name;
  if (d.rarely()) p.mtu = uint16_t{9000};
  p.link_up = d.coin();
  if (d.rarely()) p.isolated = d.coin();
  p.vlan = vlan(d);
  p.bandwidth = bandwidth(d, true);
  if (d.rarely()) p.filterref = FilterRef{"clean-traffic", {{"IP", {"192.0.2.1", d.text()}}, {"x y", {}}}};
  return p;
}

}  // namespace

Network random_libvirt_network(std::mt19937_64& rng) {
  Draw d(rng);
  return network(d);
}

Config random_config(std::mt19937_64& rng) {
  Draw d(rng);
  Config c;
  Switch& s = c.switch_;
  if (d.coin()) s.workers = {1, 3};
  s.idle = d.one({Idle::kAdaptive, Idle::kPoll});
  if (d.coin()) s.control.path = "/run/" + d.text() + "/w";
  if (d.rarely()) s.control.permissions = {"", "weft", uint16_t{0660}};
  if (d.coin()) s.sockets = {"libvirt-qemu", "kvm", uint16_t{0}};
  if (d.rarely()) s.memory = {d.coin(), 512};
  if (d.coin()) s.fdb = {static_cast<uint32_t>(1024 + d.below(4000000)), 1024, 60};
  if (d.rarely()) s.state = "/tmp/" + d.text();
  if (d.rarely())
    s.metrics =
        Metrics{d.coin() ? wire::IpAddress(wire::Ipv4Address(127, 0, 0, 1)) : *wire::IpAddress::parse("::1"), 9177};
  for (uint64_t i = d.below(3); i != 0; --i) {
    Uplink u;
    u.name = d.name("up");
    u.device = device(d, true);
    const uint64_t subnet = 256 + d.unique();
    if (d.coin()) {
      u.address_mode = UplinkAddress::kList;
      u.addresses = {{address4(subnet, 2), 24}, {address6(subnet, 2), 64}};
      if (d.coin()) u.gateways = {address4(subnet, 1), address6(subnet, 1)};
    } else if (d.coin()) {
      u.address_mode = d.one({UplinkAddress::kHost, UplinkAddress::kDhcp});
    }
    if (d.rarely()) u.ports = PortRange{16384, 32767};
    c.uplinks.push_back(u);
  }
  const size_t n_routed = c.uplinks.size();
  const auto add_wire = [&](const std::string& name) {
    Uplink& u = c.uplinks.emplace_back();
    u.name = name;
    u.device = device(d, true);
  };
  for (uint64_t i = d.below(4); i != 0; --i) {
    Network n = network(d);
    add_weft_only(d, n);
    const bool routed = n.forward.mode == ForwardMode::kNat || n.forward.mode == ForwardMode::kRoute;
    if (routed && n_routed != 0 && (n_routed > 1 || d.coin())) n.forward.dev = c.uplinks[d.below(n_routed)].name;
    if (n.forward.mode == ForwardMode::kBridge && n.bridge.name.empty()) {
      n.forward.interfaces = {d.name("wire"), d.name("wire")};
      for (const std::string& name : n.forward.interfaces) add_wire(name);
    } else if (n.forward.mode == ForwardMode::kBridge) {
      add_wire(n.bridge.name);
    }
    for (uint64_t k = d.below(3); k != 0; --k) c.ports.push_back(port(d, n));
    c.networks.push_back(std::move(n));
  }
  return c;
}

}  // namespace weft::config::testing
