// SPDX-License-Identifier: BSD-3-Clause
//
// The rules between items: names, addresses and devices used once, references that lead somewhere. And the
// order in which all checks run.
#include "config/check.h"
#include "config/load.h"
#include "config/sections.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace weft::config {
namespace {

void check_names(const Config& c, Report& report) {
  Once uplinks(report, "name"), networks(report, "name"), uuids(report, "uuid"), ports(report, "name");
  for (size_t i = 0; i < c.uplinks.size(); ++i) uplinks.add(c.uplinks[i].name, join(at("uplinks", i), "name"));
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const std::string path = at("networks", i);
    networks.add(c.networks[i].name, join(path, "name"));
    if (!c.networks[i].uuid.empty()) uuids.add(c.networks[i].uuid, join(path, "uuid"));
  }
  for (size_t i = 0; i < c.ports.size(); ++i) ports.add(c.ports[i].name, join(at("ports", i), "name"));
}

/// Sockets, and netdevs of weftd's own namespace or of others, belong to one item each.
class Devices {
 public:
  explicit Devices(Report& report) : sockets_(report, "socket"), netdevs_(report, "network device") {}
  void add_socket(const std::string& socket, const std::string& path) { sockets_.add(socket, path); }
  void add_netdev(const std::string& name, const std::string& path) { netdevs_.add(name, path); }
  void add(const Device& device, const std::string& path) {
    if (const auto* v = std::get_if<VhostUser>(&device)) sockets_.add(v->path, join(path, "vhostuser.path"));
    if (const auto* n = std::get_if<Netdev>(&device)) netdevs_.add(n->name, join(path, "device"));
    if (const auto* t = std::get_if<Tap>(&device))
      netdevs_.add(t->netns.empty() ? t->name : t->netns + "/" + t->name, join(path, "tap.name"));
  }

 private:
  Once sockets_, netdevs_;
};

void check_devices(const Config& c, Report& report) {
  Devices devices(report);
  devices.add_socket(c.switch_.control.path,
                     report.written("switch.control.path") ? "switch.control.path" : "switch.control");
  for (size_t i = 0; i < c.uplinks.size(); ++i)
    if (!report.failed(at("uplinks", i))) devices.add(c.uplinks[i].device, at("uplinks", i));
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const Network& n = c.networks[i];
    if (!n.bridge.name.empty() && n.forward.mode != ForwardMode::kBridge)
      devices.add_netdev(n.bridge.name, join(at("networks", i), "bridge.name"));
  }
  for (size_t i = 0; i < c.ports.size(); ++i)
    if (!report.failed(at("ports", i))) devices.add(c.ports[i].device, at("ports", i));
}

/// Ports, uplinks and the host's seats are listed, counted and removed by one name each.
void check_names_of_kinds(const Config& c, Report& report) {
  Once names(report, "name");
  for (size_t i = 0; i < c.uplinks.size(); ++i) names.add(c.uplinks[i].name, join(at("uplinks", i), "name"));
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const Network& n = c.networks[i];
    if (!n.bridge.name.empty() && n.forward.mode != ForwardMode::kBridge)
      names.add(n.bridge.name, join(at("networks", i), "bridge.name"));
  }
  for (size_t i = 0; i < c.ports.size(); ++i) names.add(c.ports[i].name, join(at("ports", i), "name"));
}

void check_macs(const Config& c, Report& report) {
  Once gateways(report, "MAC");
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const Network& n = c.networks[i];
    const std::string path = join(at("networks", i), "mac.address");
    if (n.mac) gateways.add(n.mac->to_string(), path);
    Once in_network(report, "MAC");
    if (n.mac) in_network.add(n.mac->to_string(), path);
    for (size_t k = 0; k < c.ports.size(); ++k)
      if (c.ports[k].network == n.name && c.ports[k].mac)
        in_network.add(c.ports[k].mac->to_string(), join(at("ports", k), "mac.address"));
  }
}

/// Every subnet the switch is in, and every address pool, lies apart from the others.
void check_subnets(const Config& c, Report& report) {
  struct Subnet {
    IpPrefix prefix;
    std::string path;
    std::string whose;
    size_t uplink;  // of an uplink: its subnets may overlap each other
  };
  constexpr size_t kNone = ~size_t{0};
  std::vector<Subnet> all;
  for (size_t i = 0; i < c.uplinks.size(); ++i)
    for (size_t k = 0; k < c.uplinks[i].addresses.size(); ++k)
      all.push_back({c.uplinks[i].addresses[k], at(join(at("uplinks", i), "address"), k),
                     fmt::format("uplink {}", quote(c.uplinks[i].name)), i});
  for (size_t i = 0; i < c.networks.size(); ++i)
    for (size_t k = 0; k < c.networks[i].ips.size(); ++k)
      all.push_back({c.networks[i].ips[k].address, join(at(join(at("networks", i), "ips"), k), "address"),
                     fmt::format("network {}", quote(c.networks[i].name)), kNone});
  std::erase_if(all, [&](const Subnet& s) {
    const std::string ip = s.path.substr(0, s.path.rfind('.'));
    return s.prefix.length == 0 || report.failed(s.path) || report.failed(join(ip, "prefix")) ||
           report.failed(join(ip, "netmask"));
  });
  // Sorted by first address a subnet can only overlap one that began before and has not ended yet: the widest
  // such.
  std::vector<size_t> order(all.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const IpPrefix &x = all[a].prefix, &y = all[b].prefix;
    if (x.is_v4() != y.is_v4()) return x.is_v4();
    const auto nx = network_of(x).address, ny = network_of(y).address;
    return nx != ny ? nx < ny : x.length < y.length;
  });
  size_t widest = kNone;
  for (const size_t i : order) {
    if (widest == kNone || !all[widest].prefix.overlaps(all[i].prefix)) {
      widest = i;
      continue;
    }
    if (all[i].uplink != kNone && all[i].uplink == all[widest].uplink) continue;
    const Subnet& later = all[std::max(i, widest)];
    const Subnet& first = all[std::min(i, widest)];
    report.error(later.path,
                 fmt::format("{} overlaps {} of {} (line {})", network_of(later.prefix).to_string(),
                             network_of(first.prefix).to_string(), first.whose, report.where(first.path).line));
  }
}

/// A bridge-mode network has an uplink as a member, which no other network uses.
void check_bridged(const Config& c, const std::map<std::string, std::string>& bridged, size_t i, Report& report) {
  const Network& n = c.networks[i];
  const std::string path = at("networks", i), forward = join(path, "forward");
  const auto check = [&](const std::string& name, const std::string& key) {
    if (name.empty() || report.failed(key)) return;
    if (std::none_of(c.uplinks.begin(), c.uplinks.end(), [&](const Uplink& u) { return u.name == name; }))
      return report.error(key, fmt::format("there is no uplink {}; write it in 'uplinks'", quote(name)));
    if (bridged.at(name) != n.name)
      report.error(key,
                   fmt::format("uplink {} is a member of network {} already", quote(name), quote(bridged.at(name))));
  };
  check(n.forward.dev, join(forward, "dev"));
  for (size_t k = 0; k < n.forward.interfaces.size(); ++k)
    check(n.forward.interfaces[k], join(at(join(forward, "interfaces"), k), "dev"));
  if (!n.bridge.name.empty() && !report.failed(join(path, "bridge.name")) &&
      std::none_of(c.uplinks.begin(), c.uplinks.end(), [&](const Uplink& u) { return u.name == n.bridge.name; }))
    report.error(join(path, "bridge.name"),
                 fmt::format("joining the host's bridge {0} needs an uplink of that name, such as "
                             "{{name: {0}, tap: {{name: weft-{0}, bridge: {0}}}}}",
                             n.bridge.name));
}

void check_uplink_references(const Config& c, Report& report) {
  std::vector<std::string> names;
  for (const Uplink& u : c.uplinks) names.push_back(u.name);
  std::map<std::string, std::string> bridged;  // uplink → the network it is a member of
  for (const Network& n : c.networks)
    for (const std::string& name : bridged_uplinks(n)) bridged.emplace(name, n.name);
  for (size_t i = 0; i < c.uplinks.size(); ++i) {
    const auto it = bridged.find(c.uplinks[i].name);
    if (it == bridged.end()) continue;
    std::erase(names, it->first);
    if (!c.uplinks[i].addresses.empty() || c.uplinks[i].address_mode == UplinkAddress::kDhcp)
      report.error(join(at("uplinks", i), "address"),
                   fmt::format("not here: the uplink only carries the frames of network {}, whose mode is bridge",
                               quote(it->second)));
  }
  const auto check = [&](const std::string& name, const std::string& path) {
    if (name.empty() || report.failed(path) || std::find(names.begin(), names.end(), name) != names.end()) return;
    if (const auto it = bridged.find(name); it != bridged.end()) {
      report.error(path,
                   fmt::format("uplink {} carries only the frames of network {}", quote(name), quote(it->second)));
      return;
    }
    report.error(path, fmt::format("there is no uplink {}; {}", quote(name),
                                   names.empty() ? "'uplinks' lists none" : "expected " + one_of(names)));
  };
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const Network& n = c.networks[i];
    const std::string path = at("networks", i), forward = join(path, "forward");
    if (n.forward.mode == ForwardMode::kBridge) {
      check_bridged(c, bridged, i, report);
      continue;
    }
    check(n.forward.dev, join(forward, "dev"));
    for (size_t k = 0; k < n.forward.interfaces.size(); ++k)
      check(n.forward.interfaces[k], join(at(join(forward, "interfaces"), k), "dev"));
    for (size_t k = 0; k < n.port_forwards.size(); ++k)
      check(n.port_forwards[k].dev, join(at(join(path, "portForwards"), k), "dev"));
    const bool needs_one = n.forward.mode == ForwardMode::kNat || n.forward.mode == ForwardMode::kRoute;
    if (needs_one && n.forward.dev.empty() && names.size() > 1 && !report.failed(join(forward, "dev")))
      report.error(join(forward, "dev"), "required when there are several uplinks: " + one_of(names));
  }
}

/// Places of a model that brings them along.
void place_items(const Config& c, Report& report) {
  const auto place = [&](const auto& items, const std::string& path) {
    for (size_t i = 0; i < items.size(); ++i) report.place(at(path, i), items[i].where);
  };
  place(c.uplinks, "uplinks");
  place(c.networks, "networks");
  place(c.ports, "ports");
  for (size_t i = 0; i < c.networks.size(); ++i) {
    const Network& n = c.networks[i];
    const std::string path = at("networks", i);
    place(n.ips, join(path, "ips"));
    place(n.routes, join(path, "routes"));
    place(n.portgroups, join(path, "portgroups"));
    place(n.port_forwards, join(path, "portForwards"));
    place(n.dns.hosts, join(path, "dns.hosts"));
    for (size_t k = 0; k < n.ips.size(); ++k) {
      place(n.ips[k].dhcp.ranges, join(at(join(path, "ips"), k), "dhcp.ranges"));
      place(n.ips[k].dhcp.hosts, join(at(join(path, "ips"), k), "dhcp.hosts"));
    }
  }
}

}  // namespace

void check_together(const Config& c, Report& report) {
  check_names(c, report);
  check_devices(c, report);
  check_names_of_kinds(c, report);
  check_macs(c, report);
  check_subnets(c, report);
  check_uplink_references(c, report);
}

void check_all(const Config& c, Support support, Report& report) {
  check_switch(c, report);
  check_uplinks(c, report);
  for (size_t i = 0; i < c.networks.size(); ++i) check_network(c.networks[i], at("networks", i), report);
  check_ports(c, report);
  check_together(c, report);
  if (support == Support::kThisVersion) check_supported(c, report);
  note_differences(c, report);
}

std::vector<Diagnostic> validate(const Config& c, Support support) {
  Report report("");
  place_items(c, report);
  check_all(c, support, report);
  return report.take_errors();
}

}  // namespace weft::config
