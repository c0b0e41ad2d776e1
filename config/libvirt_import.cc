// SPDX-License-Identifier: BSD-3-Clause
//
// <network> to the model: the root, forwarding and the bridge; then the checks of the YAML over what came
// out.
#include "config/libvirt_parts.h"
#include "config/libvirt_xml.h"
#include "config/sections.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::config {
namespace {

constexpr const char* kRoot = "networks[0]";
constexpr std::string_view kDnsmasqNamespace = "http://libvirt.org/schemas/network/dnsmasq/1.0";

void import_nat(Element& e, Nat& nat) {
  e.attribute("ipv6", nat.ipv6);
  e.child("address", "address", [&](Element& a) {
    nat.address.emplace();
    a.require("start");
    a.require("end");
    a.attribute("start", nat.address->start);
    a.attribute("end", nat.address->end);
  });
  e.child("port", "port", [&](Element& p) {
    p.require("start");
    p.require("end");
    p.number("start", nat.port.start, 1, 65535);
    p.number("end", nat.port.end, 1, 65535);
  });
}

/// libvirt's modes are more than ours. False: the mode cannot be had, which is reported.
bool import_mode(Element& e, Network& n) {
  const std::string mode = e.take("mode").value_or("nat");
  const std::string path = e.path("mode");
  const auto refuse = [&](const char* why) {
    e.report().error(path, why);
    return false;
  };
  if (mode == "hostdev")
    return refuse("PCI device assignment bypasses the switch; use mode='bridge' with <interface dev='…'/>");
  if (mode == "passthrough")
    return refuse("device passthrough bypasses the switch; use mode='bridge' with <interface dev='…'/>");
  if (mode == "vepa") return refuse("vepa needs an 802.1Qbg switch beyond the device; use mode='bridge'");
  if (mode == "none") return refuse("no mode of libvirt's; leave <forward> out for an isolated network");
  if (mode == "private") {
    n.forward.mode = ForwardMode::kBridge;
    n.isolated = true;
    e.report().note(path, "becomes mode bridge with isolated ports");
    return true;
  }
  if (parse_scalar(mode, n.forward.mode)) return true;
  e.report().error(path, mismatch("nat, route, open, bridge or private", quote(mode)));
  return false;
}

/// The devices of <forward>: `dev` and the <interface> elements, of which the first must be `dev`.
void import_devices(Element& e, Network& n, bool is_pool) {
  struct Interface {
    std::string dev;
  };
  std::vector<Interface> list;
  std::string dev;
  const bool has_dev = e.attribute("dev", dev);
  if (has_dev && dev.empty()) e.report().error(e.path("dev"), "the name of a device is needed, found nothing");
  e.children<Interface>("interface", "interfaces", list, [](Element& i, Interface& out) {
    i.take("connections");
    i.require("dev");
    i.attribute("dev", out.dev);
  });
  if (has_dev && !list.empty() && list[0].dev != dev)
    e.report().error(e.path("interfaces[0].dev"),
                     fmt::format("the first interface must be the forward element's dev, {}", quote(dev)));
  if (!is_pool && list.size() > 1) e.report().error(e.path("interfaces[1]"), "only one interface with this mode");
  // One device is `dev`, several are `interfaces`.
  if (list.size() > 1 && is_pool) {
    for (const Interface& i : list) n.forward.interfaces.push_back(i.dev);
  } else {
    n.forward.dev = has_dev || list.empty() ? dev : list[0].dev;
  }
}

void import_forward(Element& e, Network& n) {
  const bool known = import_mode(e, n);
  const std::string mode = e.node().attribute("mode").value();
  const bool is_hostdev = mode == "hostdev" || mode == "passthrough";
  constexpr auto kNoDevice = "host devices cannot be handed to guests past the switch; use <interface dev='…'/>";
  if (e.take("managed") && !is_hostdev)
    e.report().error(e.path("managed"), "only for PCI devices, which bypass the switch");
  for (const char* name : {"pf", "address", "driver"}) {
    e.skip(name);
    if (!e.node().child(name) || is_hostdev) continue;
    Element::read(e.source(), e.node().child(name), e.path(name), [&](Element& c) {
      c.rest();
      e.report().error(c.path(), kNoDevice);
    });
  }
  import_devices(e, n, n.forward.mode == ForwardMode::kBridge || !known);
  e.child("nat", "nat", [&](Element& c) { import_nat(c, n.forward.nat); });
}

void import_bridge(Element& e, Bridge& b) {
  e.attribute("name", b.name);
  if (const auto stp = e.take("stp")) {
    b.stp = *stp == "on";
    if (*stp != "on" && *stp != "off") e.report().error(e.path("stp"), mismatch("on or off", quote(*stp)));
  }
  e.number("delay", b.delay_seconds, 0, 3600);
  e.attribute("zone", b.zone);
  e.attribute("macTableManager", b.mac_table_manager);
}

/// <dnsmasq:options>, under whatever prefix the namespace has.
void import_dnsmasq(Element& e, Network& n) {
  for (const pugi::xml_node c : e.node().children()) {
    const std::string_view name = c.name();
    const size_t colon = name.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string declaration = "xmlns:" + std::string(name.substr(0, colon));
    const pugi::xml_attribute own = c.attribute(declaration.c_str()), roots = e.node().attribute(declaration.c_str());
    if ((own ? own : roots).value() != kDnsmasqNamespace || name.substr(colon + 1) != "options") continue;
    struct Option {
      std::string value;
    };
    std::vector<Option> options;
    const std::string option = std::string(name.substr(0, colon)) + ":option";
    e.child(c.name(), "dnsmasq", [&](Element& m) {
      m.children<Option>(option.c_str(), "options", options, [](Element& o, Option& out) {
        o.require("value");
        o.attribute("value", out.value);
      });
    });
    for (Option& o : options) n.dnsmasq_options.push_back(std::move(o.value));
    return;
  }
}

void import_root(Element& e, Network& n) {
  e.take("connections");  // libvirt's count of the moment
  e.attribute("ipv6", n.ipv6);
  e.attribute("trustGuestRxFilters", n.trust_guest_rx_filters);
  if (!e.child("name", "name", [&](Element& c) { n.name = c.text(); }))
    e.report().error(e.path("name"), "<name> is required, but not given");
  e.child("uuid", "uuid", [&](Element& c) {
    const std::string text = c.text();
    const auto canonical = parse_uuid(text);
    if (!canonical) e.report().error(c.path(), mismatch("32 hexadecimal digits, as uuidgen prints them", quote(text)));
    n.uuid = canonical.value_or("");
  });
  e.child("title", "title", [&](Element& c) { n.title = c.text(); });
  e.child("description", "description", [&](Element& c) { n.description = c.text(); });
  e.child("metadata", "metadata", [&](Element& c) { n.metadata = c.raw(); });
  e.child("forward", "forward", [&](Element& c) { import_forward(c, n); });
  e.child("bridge", "bridge", [&](Element& c) { import_bridge(c, n.bridge); });
  e.child("mtu", "mtu", [&](Element& c) {
    c.require("size");
    c.number("size", n.mtu, 68, 65535);
  });
  e.child("mac", "mac", [&](Element& c) {
    c.require("address");
    c.attribute("address", n.mac);
  });
  e.child("domain", "domain", [&](Element& c) {
    c.require("name");
    c.attribute("name", n.domain.name);
    c.attribute("localOnly", n.domain.local_only);
    c.attribute("register", n.domain.register_domain);
  });
  e.child("dns", "dns", [&](Element& c) { import_dns(c, n.dns); });
  import_vlan(e, n.vlan);
  import_bandwidth(e, n.bandwidth);
  e.child("port", "port", [&](Element& c) { c.attribute("isolated", n.isolated); });
  e.children<Ip>("ip", "ips", n.ips, import_ip);
  e.children<Route>("route", "routes", n.routes, import_route);
  import_virtualport(e, n.virtualport);
  e.children<PortGroup>("portgroup", "portgroups", n.portgroups, import_portgroup);
  import_dnsmasq(e, n);
}

/// The uplinks the XML's devices stand for. Libvirt leaves by the device with the host's own address.
std::vector<Uplink> derive_uplinks(const Network& n, Report& report) {
  std::vector<Uplink> uplinks;
  const std::string forward = join(kRoot, "forward");
  const auto add = [&](const std::string& name, Device device, const std::string& path) {
    if (name.empty() || std::any_of(uplinks.begin(), uplinks.end(), [&](const Uplink& u) { return u.name == name; }))
      return;
    Uplink& u = uplinks.emplace_back();
    u.where = report.where(path);
    u.name = name;
    u.device = std::move(device);
    if (n.forward.mode != ForwardMode::kBridge) u.address_mode = UplinkAddress::kHost;  // else it carries frames only
  };
  add(n.forward.dev, Netdev{n.forward.dev}, join(forward, "dev"));
  for (size_t i = 0; i < n.forward.interfaces.size(); ++i)
    add(n.forward.interfaces[i], Netdev{n.forward.interfaces[i]}, at(join(forward, "interfaces"), i));
  if (n.forward.mode == ForwardMode::kBridge && !n.bridge.name.empty())
    add(n.bridge.name, Tap{("weft-" + n.bridge.name).substr(0, 15), "", n.bridge.name}, join(kRoot, "bridge.name"));
  if (n.forward.mode != ForwardMode::kBridge && !uplinks.empty())
    report.note(join(forward, "dev"),
                "becomes an uplink that shares the host's address, as libvirt does; to give it addresses of "
                "its own see 'address'");
  return uplinks;
}

}  // namespace

ImportResult import_network(std::string_view xml, std::string_view file_name, Support support) {
  ImportResult result;
  Report report(file_name);
  const XmlSource source(xml, report);
  const pugi::xml_node root = source.root();
  if (!root) {
    result.errors = report.take_errors();
    return result;
  }
  if (std::string_view(root.name()) != "network") {
    const auto place = source.position(source.offset(root));
    report.error_at(place.line, place.column, fmt::format("<{}>", root.name()),
                    "expected <network> as the root element");
    result.errors = report.take_errors();
    return result;
  }
  Network& n = result.network.emplace();
  Element::read(source, root, kRoot, [&](Element& e) { import_root(e, n); });
  n.where = report.where(kRoot);
  result.uplinks = derive_uplinks(n, report);

  Config c;
  c.networks.push_back(n);
  complete(c);
  check_network(c.networks[0], kRoot, report);
  if (support == Support::kThisVersion) check_supported(c, report);
  c.uplinks = result.uplinks;
  check_together(c, report);
  note_differences(c, report);
  result.errors = report.take_errors();
  result.notes = report.take_notes();
  return result;
}

}  // namespace weft::config
