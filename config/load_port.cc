// SPDX-License-Identifier: BSD-3-Clause
//
// `ports:` and `uplinks:`, and the devices both are made of.
#include "config/sections.h"

#include <utility>

namespace weft::config {
namespace {

void read_vhostuser(Reader& r, VhostUser& v) {
  r.required("path", v.path);
  r.value("mode", v.mode);
  r.value("queues", v.queues, 1, kMaxQueuePairs);
  r.value("owner", v.permissions.owner);
  r.value("group", v.permissions.group);
  read_permission_bits(r, "permissions", v.permissions.mode);
}

void read_tap(Reader& r, Tap& t, bool is_uplink) {
  r.required("name", t.name);
  r.value("netns", t.netns);
  r.value("queues", t.queues, 1, 256);
  if (is_uplink) r.value("bridge", t.bridge);
}

/// Exactly one of the keys that say what a port is.
void read_device(Reader& r, Device& device, bool is_uplink) {
  std::vector<std::string> kinds = {"vhostuser", "tap", "device"};
  if (is_uplink) kinds = {"device", "tap", "vhostuser", "pci", "vdev"};
  std::vector<std::string> given;
  for (const std::string& kind : kinds)
    if (r.has(kind)) given.push_back(kind);
  if (given.empty()) r.report().error(r.path(), "says not what it is: one of " + one_of(kinds) + " is required");
  for (size_t i = 1; i < given.size(); ++i)
    r.report().error(r.path(given[i]), fmt::format("only one of {}; '{}' is given too", one_of(kinds), given[0]));

  Netdev netdev;
  VhostUser vhostuser;
  Tap tap;
  if (r.map("vhostuser", [&](Reader& m) { read_vhostuser(m, vhostuser); })) device = vhostuser;
  if (r.map("tap", [&](Reader& m) { read_tap(m, tap, is_uplink); })) device = tap;
  const bool is_netdev = r.value("device", netdev.name);
  if (is_uplink) {
    Pci pci;
    Vdev vdev;
    if (r.value("pci", pci.address)) device = pci;
    if (r.value("vdev", vdev.arguments)) device = vdev;
    if (r.value("driver", netdev.driver) && !r.has("device"))
      r.report().error(r.path("driver"), "only for a netdev (with 'device')");
  }
  if (is_netdev) device = netdev;
}

void read_address(Reader& r, Uplink& u) {
  constexpr auto kWhat = "host, dhcp or a list of addresses such as [192.0.2.2/24]";
  const YamlNode* n = r.take("address");
  if (n == nullptr) return;
  const std::string path = r.path("address");
  IpPrefix one;
  if (n->kind == YamlNode::Kind::kScalar && n->text == "host") {
    u.address_mode = UplinkAddress::kHost;
  } else if (n->kind == YamlNode::Kind::kScalar && n->text == "dhcp") {
    u.address_mode = UplinkAddress::kDhcp;
  } else if (n->kind == YamlNode::Kind::kScalar && parse_scalar(n->text, one)) {
    u.address_mode = UplinkAddress::kList;
    u.addresses.push_back(one);
  } else if (n->kind == YamlNode::Kind::kList && !n->items.empty()) {
    u.address_mode = UplinkAddress::kList;
    r.values("address", u.addresses);
  } else {
    r.report().error(path, mismatch(kWhat, n->kind == YamlNode::Kind::kList ? "an empty list" : describe(*n)));
  }
}

}  // namespace

void read_uplink(Reader& r, Uplink& u) {
  r.required("name", u.name);
  read_device(r, u.device, true);
  read_address(r, u);
  r.map("ports", [&](Reader& m) {
    u.ports.emplace();
    m.required("start", u.ports->start, 1, 65535);
    m.required("end", u.ports->end, 1, 65535);
  });
  r.values("gateway", u.gateways);
}

void read_port(Reader& r, Port& p) {
  r.required("name", p.name);
  r.required("network", p.network);
  read_device(r, p.device, false);
  r.map("mac", [&](Reader& m) { m.required("address", p.mac); });
  r.value("portgroup", p.portgroup);
  r.map("mtu", [&](Reader& m) { m.required("size", p.mtu, 68, 65535); });
  r.map("link", [&](Reader& m) {
    std::string state;
    if (!m.required("state", state)) return;
    p.link_up = state == "up";
    if (state != "up" && state != "down") m.report().error(m.path("state"), mismatch("up or down", quote(state)));
  });
  r.map("port", [&](Reader& m) { m.value("isolated", p.isolated); });
  read_vlan(r, p.vlan);
  read_bandwidth(r, p.bandwidth);
  r.map("filterref", [&](Reader& m) {
    p.filterref.emplace();
    m.required("filter", p.filterref->filter);
    m.map("parameters", [&](Reader& parameters) {
      parameters.rest([&](const std::string& key, const YamlNode& n, const std::string& path) {
        std::vector<std::string>& values = p.filterref->parameters[key];
        std::string text;
        if (n.kind == YamlNode::Kind::kList) {
          for (size_t i = 0; i < n.items.size(); ++i)
            if (parameters.convert(n.items[i], at(path, i), text)) values.push_back(text);
        } else if (parameters.convert(n, path, text)) {
          values.push_back(text);
        }
      });
    });
  });
}

}  // namespace weft::config
