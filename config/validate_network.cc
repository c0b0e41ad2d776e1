// SPDX-License-Identifier: BSD-3-Clause
//
// The rules inside one network, but for its addresses (validate_ip.cc) and names (validate_dns.cc).
#include "config/check.h"
#include "config/sections.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <pugixml.hpp>

namespace weft::config {
namespace {

bool is_routed(ForwardMode mode) { return mode == ForwardMode::kNat || mode == ForwardMode::kRoute; }

void check_nat(const Network& n, const std::string& path, Report& report) {
  const Nat& nat = n.forward.nat;
  if (n.forward.mode != ForwardMode::kNat) {
    if (nat != Nat{} || report.written(path))
      report.error(path, fmt::format("only with mode nat; the mode is {}", spell(n.forward.mode)));
    return;
  }
  const std::string address = join(path, "address"), port = join(path, "port");
  if (nat.address && !report.failed(join(address, "start")) && !report.failed(join(address, "end"))) {
    const auto [start, end] = *nat.address;
    if (start > end)
      report.error(address, fmt::format("{} to {} runs backwards", start.to_string(), end.to_string()));
    else if (end.host() - start.host() > 65535)
      report.error(address, fmt::format("{} to {} is more than 65536 addresses", start.to_string(), end.to_string()));
    else if (check_unicast(start, join(address, "start"), report))
      check_unicast(end, join(address, "end"), report);
  }
  if (report.failed(join(port, "start")) || report.failed(join(port, "end"))) return;
  if (nat.port.start == 0 || nat.port.start > nat.port.end)
    report.error(port, fmt::format("{} to {}; a range runs upwards, from 1 to 65535", nat.port.start, nat.port.end));
}

void check_forward(const Network& n, const std::string& path, Report& report) {
  const Forward& f = n.forward;
  if (report.failed(join(path, "mode"))) return;
  check_nat(n, join(path, "nat"), report);
  if (is_routed(f.mode) && n.ips.empty())
    report.error(join(path, "mode"), fmt::format("{} needs an address of the network: give 'ips'", spell(f.mode)));
  if ((f.mode == ForwardMode::kNone || f.mode == ForwardMode::kOpen) && !f.dev.empty())
    report.error(join(path, "dev"), fmt::format("not with mode {}, which is bound to no uplink", spell(f.mode)));
  if (f.mode != ForwardMode::kBridge && !f.interfaces.empty())
    report.error(join(path, "interfaces"), "only with mode bridge; give 'dev'");
  Once once(report, "interface");
  for (size_t i = 0; i < f.interfaces.size(); ++i)
    once.add(f.interfaces[i], join(at(join(path, "interfaces"), i), "dev"));
}

/// A bridge-mode network is a piece of wire: nobody is at home in it.
void check_bridge_mode(const Network& n, const std::string& path, Report& report) {
  const auto refuse = [&](bool given, const char* key) {
    if (given || report.written(join(path, key)))
      report.error(join(path, key), "not with mode bridge, in which the switch only carries frames");
  };
  refuse(!n.ips.empty(), "ips[0]");
  refuse(!n.routes.empty(), "routes[0]");
  refuse(n.mac.has_value(), "mac");
  refuse(n.mtu.has_value(), "mtu");
  refuse(n.domain != Domain{}, "domain");
  refuse(n.dns != Dns{}, "dns");
  refuse(!n.dnsmasq_options.empty(), "dnsmasq");
  refuse(!n.port_forwards.empty(), "portForwards[0]");
  refuse(!n.bridge.zone.empty(), "bridge.zone");
  refuse(n.bridge.delay_seconds != 0, "bridge.delay");
  refuse(!n.bridge.stp, "bridge.stp");
  refuse(n.bridge.host.value_or(false), "bridge.host");
  if (!n.bridge.name.empty() && (!n.forward.dev.empty() || !n.forward.interfaces.empty()))
    report.error(join(path, "bridge.name"),
                 "an existing host bridge or uplinks ('forward.dev', 'interfaces'), not both");
}

void check_bridge(const Network& n, const std::string& path, Report& report) {
  const std::string name = join(path, "name");
  if (!n.bridge.name.empty() || report.written(name)) check_netdev_name(n.bridge.name, name, report);
}

void check_portgroups(const Network& n, const std::string& path, Report& report) {
  Once once(report, "portgroup");
  const PortGroup* first_default = nullptr;
  for (size_t i = 0; i < n.portgroups.size(); ++i) {
    const PortGroup& g = n.portgroups[i];
    const std::string group = at(path, i);
    check_name(g.name, join(group, "name"), report);
    once.add(g.name, join(group, "name"));
    if (g.is_default && first_default != nullptr)
      report.error(join(group, "default"), fmt::format("{} is the default already", quote(first_default->name)));
    if (g.is_default && first_default == nullptr) first_default = &g;
    check_bandwidth(g.bandwidth, join(group, "bandwidth"), false, report);
    check_vlan(g.vlan, join(group, "vlan"), report);
    std::optional<VirtualPort> merged = g.virtualport;  // without a type of its own it has the network's
    if (merged && merged->type.empty() && n.virtualport) merged->type = n.virtualport->type;
    check_virtualport(merged, join(group, "virtualport"), n.forward.mode, report);
  }
}

void check_port_forwards(const Network& n, const std::string& path, Report& report) {
  for (size_t i = 0; i < n.port_forwards.size(); ++i) {
    const PortForward& f = n.port_forwards[i];
    const std::string item = at(path, i);
    if (!is_routed(n.forward.mode)) report.error(item, "only with mode nat or route");
    bool inside = false;
    for (const Ip& ip : n.ips) inside = inside || ip.address.contains(f.ip);
    if (!inside && !report.failed(join(item, "ip")) && !n.ips.empty())
      report.error(join(item, "ip"), fmt::format("{} is in none of the network's subnets", f.ip.to_string()));
    for (size_t k = 0; k < f.ranges.size(); ++k) {
      const PortForward::Range& r = f.ranges[k];
      const std::string range = at(join(item, "ranges"), k);
      if (report.failed(join(range, "start")) || report.failed(join(range, "end"))) continue;
      if (r.start > r.end)
        report.error(range, fmt::format("{} to {} runs backwards", r.start, r.end));
      else if (r.to && *r.to + (r.end - r.start) > 65535)
        report.error(join(range, "to"), "the last port would be beyond 65535");
    }
  }
}

/// The options of dnsmasq that have a meaning here.
void check_dnsmasq(const Network& n, const std::string& path, Report& report) {
  static const std::vector<std::string> kKnown{"address",
                                               "host-record",
                                               "cname",
                                               "ptr-record",
                                               "srv-host",
                                               "txt-record",
                                               "mx-host",
                                               "server",
                                               "local",
                                               "dhcp-option",
                                               "dhcp-option-force",
                                               "dhcp-host",
                                               "dhcp-range",
                                               "cache-size",
                                               "no-resolv",
                                               "no-hosts",
                                               "domain-needed",
                                               "bogus-priv",
                                               "filter-AAAA",
                                               "dhcp-ignore",
                                               "log-queries",
                                               "log-dhcp",
                                               "dhcp-boot",
                                               "dhcp-match",
                                               "dhcp-vendorclass",
                                               "local-ttl",
                                               "max-ttl",
                                               "neg-ttl",
                                               "all-servers",
                                               "stop-dns-rebind",
                                               "rebind-domain-ok",
                                               "dhcp-sequential-ip",
                                               "no-ping"};
  for (size_t i = 0; i < n.dnsmasq_options.size(); ++i) {
    const std::string& option = n.dnsmasq_options[i];
    if (std::find(kKnown.begin(), kKnown.end(), option.substr(0, option.find('='))) == kKnown.end())
      report.error(at(path, i),
                   quote(option) + " has no meaning here; of dnsmasq's options these have: " + one_of(kKnown));
  }
}

void check_metadata(const std::string& xml, const std::string& path, Report& report) {
  if (xml.empty() || report.failed(path)) return;
  const std::string whole = "<metadata>" + xml + "</metadata>";
  pugi::xml_document doc;
  const auto result = doc.load_buffer(whole.data(), whole.size(), pugi::parse_default, pugi::encoding_utf8);
  const pugi::xml_node root = doc.first_child();
  if (!result)
    report.error(path, fmt::format("not well-formed XML: {}", result.description()));
  else if (root.next_sibling())
    report.error(path, "not well-formed XML: it closes more than it opens");
}

}  // namespace

void check_network(const Network& n, const std::string& path, Report& report) {
  check_name(n.name, join(path, "name"), report);
  if (n.title.find_first_of("\r\n") != std::string::npos) report.error(join(path, "title"), "a title is one line");
  check_metadata(n.metadata, join(path, "metadata"), report);
  check_forward(n, join(path, "forward"), report);
  check_bridge(n, join(path, "bridge"), report);
  if (n.forward.mode == ForwardMode::kBridge) check_bridge_mode(n, path, report);
  if (n.mac) check_mac(*n.mac, join(path, "mac.address"), report);
  bool has_ipv6 = false;
  for (const Ip& ip : n.ips) has_ipv6 = has_ipv6 || !ip.address.is_v4();
  if (n.mtu && (*n.mtu < 68 || (has_ipv6 && *n.mtu < 1280)))
    report.error(join(path, "mtu.size"),
                 fmt::format("expected at least {}, found {}", has_ipv6 ? "1280 with IPv6" : "68", *n.mtu));
  check_dns(n, path, report);
  check_ips(n, path, report);
  check_bandwidth(n.bandwidth, join(path, "bandwidth"), false, report);
  check_vlan(n.vlan, join(path, "vlan"), report);
  check_portgroups(n, join(path, "portgroups"), report);
  check_virtualport(n.virtualport, join(path, "virtualport"), n.forward.mode, report);
  check_dnsmasq(n, join(path, "dnsmasq.options"), report);
  check_port_forwards(n, join(path, "portForwards"), report);
}

void check_bandwidth(const std::optional<Bandwidth>& b, const std::string& path, bool with_floor, Report& report) {
  if (!b) return;
  const auto check = [&](const std::optional<Rate>& rate, const std::string& p, bool floor_allowed) {
    if (!rate) return;
    const auto limit = [&](const std::optional<uint64_t>& v, const char* key, uint64_t most) {
      if (v && !report.failed(join(p, key)) && (*v == 0 || *v > most))
        report.error(join(p, key), fmt::format("expected a whole number from 1 to {}, found {}", most, *v));
    };
    limit(rate->average, "average", kMostRate);
    limit(rate->peak, "peak", kMostRate);
    limit(rate->burst, "burst", kMostBurst);
    limit(rate->floor, "floor", kMostRate);
    if (rate->floor && !floor_allowed) report.error(join(p, "floor"), "only for the inbound direction of a port");
    if (!rate->average && !report.failed(join(p, "average"))) {
      if (rate->peak || rate->burst)
        report.error(p, "'peak' and 'burst' need 'average'");
      else if (!rate->floor)
        report.error(p, "'average' is required");
    }
  };
  check(b->inbound, join(path, "inbound"), with_floor);
  check(b->outbound, join(path, "outbound"), false);
}

void check_vlan(const std::optional<Vlan>& v, const std::string& path, Report& report) {
  if (!v) return;
  const std::string tags = join(path, "tags");
  if (v->tags.empty() && !report.failed(tags)) report.error(tags, "at least one tag is required");
  if (!v->trunk && v->tags.size() > 1)
    report.error(join(path, "trunk"), "several tags are a trunk: say yes, or leave it out");
  std::set<uint16_t> ids;
  bool has_native = false;
  for (size_t i = 0; i < v->tags.size(); ++i) {
    const VlanTag& t = v->tags[i];
    const std::string tag = at(tags, i);
    if (report.failed(join(tag, "id"))) continue;
    if (t.id == 0 || t.id > 4094)
      report.error(join(tag, "id"), fmt::format("expected a VLAN id from 1 to 4094, found {}", t.id));
    if (!ids.insert(t.id).second) report.error(join(tag, "id"), fmt::format("VLAN {} is listed already", t.id));
    if (t.native_mode && has_native) report.error(join(tag, "nativeMode"), "only one tag can be the native one");
    if (t.native_mode && !v->trunk && report.written(join(path, "trunk")))
      report.error(join(path, "trunk"), "a native tag makes it a trunk: say yes, or leave it out");
    has_native = has_native || t.native_mode.has_value();
  }
}

void check_virtualport(const std::optional<VirtualPort>& v, const std::string& path, ForwardMode mode, Report& report) {
  if (!v) return;
  const std::string type = join(path, "type");
  if (v->type == "802.1Qbg" || v->type == "802.1Qbh" || v->type == "midonet") {
    report.error(type, fmt::format("{} needs an external switch or agent that weft does not speak to", v->type));
    return;
  }
  if (v->type != "openvswitch") {
    report.error(type, mismatch("openvswitch", quote(v->type)));
    return;
  }
  if (mode != ForwardMode::kBridge)
    report.error(path, fmt::format("a virtualport has a meaning only with mode bridge; the mode is {}", spell(mode)));
  for (const auto& [key, value] : v->parameters) {
    const std::string p = join(path, "parameters." + key);
    if (key != "interfaceid" && key != "profileid")
      report.error(p, "unknown parameter; openvswitch has interfaceid and profileid");
    if (key == "interfaceid" && !parse_uuid(value)) report.error(p, mismatch("a uuid", quote(value)));
    if (key == "profileid" && value.size() > 39) report.error(p, "at most 39 characters");
  }
}

}  // namespace weft::config
