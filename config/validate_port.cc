// SPDX-License-Identifier: BSD-3-Clause
//
// The rules for switch, uplinks and ports.
#include "config/check.h"
#include "config/sections.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace weft::config {
namespace {

void check_permissions(const SocketPermissions& p, const std::string& path, const char* mode_key, Report& report) {
  const auto check = [&](const std::string& name, const char* key) {
    const bool odd =
        std::any_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c == ':' || c == '/' || c == 0x7f; });
    if (odd) report.error(join(path, key), mismatch("the name or number of a user or group", quote(name)));
  };
  check(p.owner, "owner");
  check(p.group, "group");
  if (p.mode.value_or(0) > 0777) report.error(join(path, mode_key), "permissions are at most 0777");
}

void check_vhostuser(const VhostUser& v, const std::string& path, Report& report) {
  check_socket_path(v.path, join(path, "path"), report);
  check_permissions(v.permissions, path, "permissions", report);
  if (v.mode != SocketMode::kClient) return;
  for (const char* key : {"owner", "group", "permissions"})
    if (report.written(join(path, key)))
      report.error(join(path, key), "only with 'mode: server', in which weftd makes the socket");
}

void check_tap(const Tap& t, const std::string& path, Report& report) {
  check_netdev_name(t.name, join(path, "name"), report);
  if (!t.netns.empty() && t.netns.find('/') != std::string::npos)
    report.error(join(path, "netns"),
                 mismatch("the name of a network namespace, as 'ip netns' lists it", quote(t.netns)));
  if (!t.bridge.empty()) check_netdev_name(t.bridge, join(path, "bridge"), report);
  if (!t.bridge.empty() && !t.netns.empty())
    report.error(join(path, "netns"), "not together with 'bridge', which is in weftd's own namespace");
}

/// "0000:3b:00.0" or "3b:00.0".
bool is_pci_address(std::string_view s) {
  if (s.size() == 12 && s[4] == ':') {
    for (size_t i = 0; i < 4; ++i)
      if (std::isxdigit(static_cast<unsigned char>(s[i])) == 0) return false;
    s.remove_prefix(5);
  }
  const auto hex = [&](size_t i) { return std::isxdigit(static_cast<unsigned char>(s[i])) != 0; };
  return s.size() == 7 && hex(0) && hex(1) && s[2] == ':' && hex(3) && hex(4) && s[5] == '.' && s[6] >= '0' &&
         s[6] <= '7';
}

void check_device(const Device& device, const std::string& path, Report& report) {
  if (report.failed(path)) return;  // it says not what it is
  if (const auto* v = std::get_if<VhostUser>(&device)) check_vhostuser(*v, join(path, "vhostuser"), report);
  if (const auto* t = std::get_if<Tap>(&device)) check_tap(*t, join(path, "tap"), report);
  if (const auto* n = std::get_if<Netdev>(&device)) check_netdev_name(n->name, join(path, "device"), report);
  if (const auto* p = std::get_if<Pci>(&device); p != nullptr && !is_pci_address(p->address))
    report.error(join(path, "pci"), mismatch("a PCI address such as 0000:3b:00.0", quote(p->address)));
  if (const auto* v = std::get_if<Vdev>(&device); v != nullptr && v->arguments.empty())
    report.error(join(path, "vdev"), "the name of a virtual device is needed, found nothing");
}

void check_uplink_addresses(const Uplink& u, const std::string& path, Report& report) {
  const bool is_list = u.address_mode == UplinkAddress::kList;
  const std::string address = join(path, "address");
  if (is_list && u.addresses.empty() && !report.failed(address) && !report.failed(at(address, 0)))
    report.error(address, "at least one address is required");
  Once once(report, "address");
  for (size_t i = 0; i < u.addresses.size(); ++i) {
    const IpPrefix& a = u.addresses[i];
    const std::string item = at(address, i);
    if (report.failed(item)) continue;
    if (a.length == 0)
      report.error(item, "a subnet's prefix is at least 1");
    else if (check_unicast(a.address, item, report))
      check_host_in(a, a.address, item, report);
    once.add(a.address.to_string(), item);
  }
  for (size_t i = 0; i < u.gateways.size(); ++i) {
    const wire::IpAddress& g = u.gateways[i];
    const std::string gateway = at(join(path, "gateway"), i);
    if (!is_list) {
      if (!report.failed(address)) report.error(gateway, "only with a list of addresses");
      continue;
    }
    bool inside = false, own = false, known = true;
    for (size_t k = 0; k < u.addresses.size(); ++k) {
      known = known && !report.failed(at(address, k));
      inside = inside || (u.addresses[k].contains(g) && reserved_in(u.addresses[k], g) == nullptr);
      own = own || u.addresses[k].address == g;
    }
    if (own)
      report.error(gateway, fmt::format("{} is the uplink's own address", g.to_string()));
    else if (!inside && known)
      report.error(gateway, fmt::format("{} is in the subnet of none of the uplink's addresses", g.to_string()));
  }
}

void check_portgroup(const Port& p, const Network& n, const std::string& path, Report& report) {
  if (p.portgroup.empty()) return;
  std::vector<std::string> names;
  for (const PortGroup& g : n.portgroups) names.push_back(g.name);
  if (std::find(names.begin(), names.end(), p.portgroup) != names.end()) return;
  report.error(join(path, "portgroup"), fmt::format("network {} has no portgroup {}; it has {}", quote(n.name),
                                                    quote(p.portgroup), names.empty() ? "none" : one_of(names)));
}

void check_filter(const FilterRef& f, const std::string& path, Report& report) {
  static const std::vector<std::string> kStock{"no-mac-spoofing",     "no-ip-spoofing",
                                               "no-ipv6-spoofing",    "no-arp-mac-spoofing",
                                               "no-arp-ip-spoofing",  "no-arp-spoofing",
                                               "allow-arp",           "allow-ipv4",
                                               "allow-ipv6",          "allow-incoming-ipv4",
                                               "allow-incoming-ipv6", "allow-dhcp",
                                               "allow-dhcp-server",   "allow-dhcpv6",
                                               "allow-dhcpv6-server", "no-ip-multicast",
                                               "no-ipv6-multicast",   "no-mac-broadcast",
                                               "no-other-l2-traffic", "no-other-rarp-traffic",
                                               "qemu-announce-self",  "qemu-announce-self-rarp",
                                               "clean-traffic",       "clean-traffic-gateway"};
  if (report.failed(join(path, "filter")) || std::find(kStock.begin(), kStock.end(), f.filter) != kStock.end()) return;
  const std::string meant = nearest(f.filter, kStock);
  report.error(join(path, "filter"), fmt::format("{} is none of libvirt's stock filters{}", quote(f.filter),
                                                 meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant)));
}

}  // namespace

void check_switch(const Config& c, Report& report) {
  const Switch& s = c.switch_;
  const std::string control = report.written("switch.control.path") ? "switch.control.path" : "switch.control";
  check_socket_path(s.control.path, control, report);
  check_permissions(s.control.permissions, "switch.control", "mode", report);
  check_permissions(s.sockets, "switch.sockets", "mode", report);
  if (s.state.empty() || s.state[0] != '/') report.error("switch.state", mismatch("an absolute path", quote(s.state)));
  constexpr size_t kMostWorkers = 32;
  if (s.workers.size() > kMostWorkers)
    report.error("switch.workers", fmt::format("expected at most {} CPUs, found {}", kMostWorkers, s.workers.size()));
  std::set<uint16_t> cpus;
  for (size_t i = 0; i < s.workers.size(); ++i) {
    const std::string worker = at("switch.workers", i);
    if (s.workers[i] > 1023)
      report.error(worker, fmt::format("expected a CPU number from 0 to 1023, found {}", s.workers[i]));
    if (!cpus.insert(s.workers[i]).second) report.error(worker, fmt::format("CPU {} is listed already", s.workers[i]));
  }
  if (s.fdb.per_port > s.fdb.entries)
    report.error("switch.fdb.perPort", fmt::format("a port's share of {} is more than the table's {} entries",
                                                   s.fdb.per_port, s.fdb.entries));
}

void check_uplinks(const Config& c, Report& report) {
  for (size_t i = 0; i < c.uplinks.size(); ++i) {
    const Uplink& u = c.uplinks[i];
    const std::string path = at("uplinks", i);
    check_name(u.name, join(path, "name"), report);
    check_device(u.device, path, report);
    check_uplink_addresses(u, path, report);
    if (u.ports && (u.ports->start == 0 || u.ports->start > u.ports->end) &&
        !report.failed(join(path, "ports.start")) && !report.failed(join(path, "ports.end")))
      report.error(join(path, "ports"),
                   fmt::format("{} to {}; a range runs upwards, from 1 to 65535", u.ports->start, u.ports->end));
  }
}

void check_ports(const Config& c, Report& report) {
  std::vector<std::string> names;
  for (const Network& n : c.networks) names.push_back(n.name);
  for (size_t i = 0; i < c.ports.size(); ++i) {
    const Port& p = c.ports[i];
    const std::string path = at("ports", i);
    check_name(p.name, join(path, "name"), report);
    check_device(p.device, path, report);
    if (p.mac) check_mac(*p.mac, join(path, "mac.address"), report);
    check_bandwidth(p.bandwidth, join(path, "bandwidth"), true, report);
    check_vlan(p.vlan, join(path, "vlan"), report);
    if (p.filterref) check_filter(*p.filterref, join(path, "filterref"), report);
    const auto network =
        std::find_if(c.networks.begin(), c.networks.end(), [&](const Network& n) { return n.name == p.network; });
    if (network != c.networks.end()) {
      check_portgroup(p, *network, path, report);
    } else if (!report.failed(join(path, "network"))) {
      const std::string meant = nearest(p.network, names);
      report.error(join(path, "network"), fmt::format("there is no network {}{}", quote(p.network),
                                                      meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant)));
    }
  }
}

}  // namespace weft::config
