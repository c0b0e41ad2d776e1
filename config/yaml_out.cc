// SPDX-License-Identifier: BSD-3-Clause
//
// One function a section, its keys in the order of the documentation; what has its default value is left out.
#include "config/yaml_out.h"

#include "config/load.h"
#include "config/names.h"
#include "config/yaml_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::config {
namespace {

using Y = YamlText;

/// `key: text` unless it is empty.
void put_text(Y& y, const char* key, const std::string& s) {
  if (!s.empty()) y.put(key, Y::text(s));
}

template <class T>
void put_number(Y& y, const char* key, const std::optional<T>& n) {
  if (n) y.put(key, Y::number(*n));
}

void put_permissions(Y& y, const SocketPermissions& p, const char* mode_key) {
  put_text(y, "owner", p.owner);
  put_text(y, "group", p.group);
  if (p.mode) y.put(mode_key, Y::word(fmt::format("\"{:04o}\"", *p.mode)));
}

template <class Range>
Y range(const Range& r) {
  Y y = Y::map();
  if constexpr (std::is_same_v<Range, PortRange>)
    y.put("start", Y::number(r.start)).put("end", Y::number(r.end));
  else
    y.put("start", Y::text(r.start.to_string())).put("end", Y::text(r.end.to_string()));
  return y;
}

/// A list of what `make` makes of each item, under `key` unless there are none.
template <class T, class Make>
void put_list(Y& y, const char* key, const std::vector<T>& items, const Make& make) {
  Y list = Y::list();
  for (const T& item : items) list.add(make(item));
  y.put_filled(key, std::move(list));
}

// ---- switch, uplinks ----

Y of(const Switch& s) {
  const Switch defaults;
  Y y = Y::map();
  put_list(y, "workers", s.workers, [](uint16_t cpu) { return Y::number(cpu); });
  if (s.idle != defaults.idle) y.put("idle", Y::text(spell(s.idle)));
  if (s.control.permissions != SocketPermissions{}) {
    Y control = Y::map();
    control.put("path", Y::text(s.control.path));
    put_permissions(control, s.control.permissions, "mode");
    y.put("control", std::move(control));
  } else if (s.control.path != defaults.control.path) {
    y.put("control", Y::text(s.control.path));
  }
  Y sockets = Y::map();
  put_permissions(sockets, s.sockets, "mode");
  y.put_filled("sockets", std::move(sockets));
  Y memory = Y::map();
  if (s.memory.hugepages) memory.put("hugepages", Y::boolean(*s.memory.hugepages));
  put_number(memory, "size", s.memory.size_mib);
  y.put_filled("memory", std::move(memory));
  Y fdb = Y::map();
  if (s.fdb.entries != defaults.fdb.entries) fdb.put("entries", Y::number(s.fdb.entries));
  if (s.fdb.per_port != std::min(defaults.fdb.per_port, s.fdb.entries)) fdb.put("perPort", Y::number(s.fdb.per_port));
  if (s.fdb.ageing_seconds != defaults.fdb.ageing_seconds) fdb.put("ageing", Y::number(s.fdb.ageing_seconds));
  y.put_filled("fdb", std::move(fdb));
  if (s.state != defaults.state) y.put("state", Y::text(s.state));
  if (s.metrics) {
    const std::string address = s.metrics->address.to_string();
    y.put("metrics",
          Y::text(fmt::format("{}:{}", s.metrics->address.is_v4() ? address : "[" + address + "]", s.metrics->port)));
  }
  return y;
}

void put_device(Y& y, const Device& device) {
  if (const auto* n = std::get_if<Netdev>(&device)) {
    y.put("device", Y::text(n->name));
    if (n->driver != Driver::kAuto) y.put("driver", Y::text(spell(n->driver)));
  } else if (const auto* v = std::get_if<VhostUser>(&device)) {
    Y m = Y::map();
    m.put("path", Y::text(v->path));
    if (v->mode != SocketMode::kServer) m.put("mode", Y::text(spell(v->mode)));
    if (v->queues != 1) m.put("queues", Y::number(v->queues));
    put_permissions(m, v->permissions, "permissions");
    y.put("vhostuser", std::move(m));
  } else if (const auto* t = std::get_if<Tap>(&device)) {
    Y m = Y::map();
    m.put("name", Y::text(t->name));
    put_text(m, "netns", t->netns);
    put_text(m, "bridge", t->bridge);
    if (t->queues != 1) m.put("queues", Y::number(t->queues));
    y.put("tap", std::move(m));
  } else if (const auto* p = std::get_if<Pci>(&device)) {
    y.put("pci", Y::text(p->address));
  } else if (const auto* d = std::get_if<Vdev>(&device)) {
    y.put("vdev", Y::text(d->arguments));
  }
}

Y of(const Uplink& u) {
  Y y = Y::map();
  y.put("name", Y::text(u.name));
  put_device(y, u.device);
  if (u.address_mode == UplinkAddress::kHost) y.put("address", Y::word("host"));
  if (u.address_mode == UplinkAddress::kDhcp) y.put("address", Y::word("dhcp"));
  if (u.address_mode == UplinkAddress::kList)
    put_list(y, "address", u.addresses, [](const IpPrefix& p) { return Y::text(p.to_string()); });
  if (u.ports) y.put("ports", range(*u.ports));
  put_list(y, "gateway", u.gateways, [](const wire::IpAddress& a) { return Y::text(a.to_string()); });
  return y;
}

// ---- what networks and ports share ----

void put_bandwidth(Y& y, const std::optional<Bandwidth>& b) {
  if (!b) return;
  Y m = Y::map();
  const auto put = [&](const char* key, const std::optional<Rate>& r) {
    if (!r) return;
    Y rate = Y::map();
    put_number(rate, "average", r->average);
    put_number(rate, "peak", r->peak);
    put_number(rate, "burst", r->burst);
    put_number(rate, "floor", r->floor);
    m.put(key, std::move(rate));
  };
  put("inbound", b->inbound);
  put("outbound", b->outbound);
  y.put("bandwidth", std::move(m));
}

void put_vlan(Y& y, const std::optional<Vlan>& v) {
  if (!v) return;
  Y m = Y::map();
  if (v->trunk && v->tags.size() <= 1) m.put("trunk", Y::boolean(true));
  put_list(m, "tags", v->tags, [](const VlanTag& t) {
    Y tag = Y::map();
    tag.put("id", Y::number(t.id));
    if (t.native_mode) tag.put("nativeMode", Y::text(spell(*t.native_mode)));
    return tag;
  });
  y.put("vlan", std::move(m));
}

void put_virtualport(Y& y, const std::optional<VirtualPort>& v) {
  if (!v) return;
  Y m = Y::map(), parameters = Y::map();
  put_text(m, "type", v->type);
  for (const auto& [key, value] : v->parameters) parameters.put(key, Y::text(value));
  m.put_filled("parameters", std::move(parameters));
  y.put("virtualport", std::move(m));
}

void put_isolated(Y& y, const std::optional<bool>& isolated) {
  if (isolated) y.put("port", Y::map().put("isolated", Y::boolean(*isolated)));
}

// ---- networks ----

Y of(const Forward& f) {
  const Nat defaults;
  Y y = Y::map(), nat = Y::map();
  y.put("mode", Y::text(spell(f.mode)));
  put_text(y, "dev", f.dev);
  put_list(y, "interfaces", f.interfaces, [](const std::string& dev) { return Y::map().put("dev", Y::text(dev)); });
  if (f.nat.address) nat.put("address", range(*f.nat.address));
  if (f.nat.port != defaults.port) nat.put("port", range(f.nat.port));
  if (f.nat.ipv6) nat.put("ipv6", Y::boolean(true));
  if (f.nat.mapping != defaults.mapping) nat.put("mapping", Y::text(spell(f.nat.mapping)));
  y.put_filled("nat", std::move(nat));
  return y;
}

Y bridge_of(const Network& n) {
  const Bridge& b = n.bridge;
  Y y = Y::map();
  put_text(y, "name", b.name);
  if (!b.stp) y.put("stp", Y::word("off"));
  if (b.delay_seconds != 0) y.put("delay", Y::number(b.delay_seconds));
  const bool usual = n.forward.mode != ForwardMode::kBridge && (!b.name.empty() || !n.ips.empty());
  if (b.host && *b.host != usual) y.put("host", Y::boolean(*b.host));
  put_text(y, "zone", b.zone);
  if (b.mac_table_manager != MacTableManager::kKernel) y.put("macTableManager", Y::text(spell(b.mac_table_manager)));
  return y;
}

Y of(const Dns& d) {
  Y y = Y::map();
  if (!d.enable) y.put("enable", Y::boolean(false));
  if (!d.forward_plain_names) y.put("forwardPlainNames", Y::boolean(false));
  put_list(y, "forwarders", d.forwarders, [](const Forwarder& f) {
    Y m = Y::map();
    put_text(m, "domain", f.domain);
    if (f.addr) m.put("addr", Y::text(f.addr->to_string()));
    if (f.port != 53) m.put("port", Y::number(f.port));
    return m;
  });
  put_list(y, "hosts", d.hosts, [](const DnsHost& h) {
    Y m = Y::map();
    m.put("ip", Y::text(h.ip.to_string()));
    put_list(m, "hostnames", h.hostnames, [](const std::string& s) { return Y::text(s); });
    return m;
  });
  put_list(y, "txts", d.txts,
           [](const DnsTxt& t) { return Y::map().put("name", Y::text(t.name)).put("value", Y::text(t.value)); });
  put_list(y, "srvs", d.srvs, [](const DnsSrv& s) {
    Y m = Y::map();
    m.put("service", Y::text(s.service)).put("protocol", Y::text(s.protocol));
    put_text(m, "domain", s.domain);
    put_text(m, "target", s.target);
    put_number(m, "port", s.port);
    put_number(m, "priority", s.priority);
    put_number(m, "weight", s.weight);
    return m;
  });
  return y;
}

Y lease(uint32_t seconds) {
  Y y = Y::map();
  if (seconds % 3600 == 0 && seconds != 0)
    return y.put("expiry", Y::number(seconds / 3600)).put("unit", Y::word("hours"));
  if (seconds % 60 == 0) return y.put("expiry", Y::number(seconds / 60));
  return y.put("expiry", Y::number(seconds)).put("unit", Y::word("seconds"));
}

Y of(const DhcpOption& o) {
  Y y = Y::map();
  y.put("code", Y::number(o.code));
  if (const auto* addresses = std::get_if<std::vector<wire::IpAddress>>(&o.value)) {
    Y list = Y::list();
    for (const wire::IpAddress& a : *addresses) list.add(Y::text(a.to_string()));
    y.put("ip", std::move(list));
  } else if (const auto* text = std::get_if<std::string>(&o.value)) {
    y.put("text", Y::text(*text));
  } else if (const auto* number = std::get_if<DhcpOption::Number>(&o.value)) {
    y.put(fmt::format("u{}", number->bits), Y::number(number->value));
  } else if (const auto* bytes = std::get_if<DhcpOption::Bytes>(&o.value)) {
    std::string hex;
    for (const uint8_t b : bytes->bytes) hex += fmt::format("{:02x}", b);
    y.put("hex", Y::word("\"" + hex + "\""));
  }
  return y;
}

Y of(const Dhcp& d) {
  Y y = Y::map();
  put_list(y, "ranges", d.ranges, [](const DhcpRange& r) {
    Y m = range(r);
    const uint32_t usual = r.start.is_v4() ? kDefaultLeaseSeconds : kDefaultLeaseSecondsIpv6;
    if (r.lease_seconds && *r.lease_seconds != usual) m.put("lease", lease(*r.lease_seconds));
    return m;
  });
  put_list(y, "hosts", d.hosts, [](const DhcpHost& h) {
    Y m = Y::map();
    if (h.mac) m.put("mac", Y::text(h.mac->to_string()));
    put_text(m, "id", h.id);
    put_text(m, "name", h.name);
    m.put("ip", Y::text(h.ip.to_string()));
    if (h.lease_seconds) m.put("lease", lease(*h.lease_seconds));
    return m;
  });
  put_list(y, "options", d.options, [](const DhcpOption& o) { return of(o); });
  if (d.bootp) {
    Y m = Y::map();
    m.put("file", Y::text(d.bootp->file));
    if (d.bootp->server) m.put("server", Y::text(d.bootp->server->to_string()));
    y.put("bootp", std::move(m));
  }
  return y;
}

Y of(const Ip& ip) {
  Y y = Y::map();
  y.put("address", Y::text(ip.address.address.to_string())).put("prefix", Y::number(ip.address.length));
  if (ip.local_ptr) y.put("localPtr", Y::boolean(true));
  y.put_filled("dhcp", of(ip.dhcp));
  if (!ip.tftp_root.empty()) y.put("tftp", Y::map().put("root", Y::text(ip.tftp_root)));
  return y;
}

Y of(const Route& r) {
  Y y = Y::map();
  y.put("address", Y::text(r.destination.address.to_string())).put("prefix", Y::number(r.destination.length));
  y.put("gateway", Y::text(r.gateway.to_string()));
  if (r.metric != 1) y.put("metric", Y::number(r.metric));
  return y;
}

Y of(const PortGroup& g) {
  Y y = Y::map();
  y.put("name", Y::text(g.name));
  if (g.is_default) y.put("default", Y::boolean(true));
  if (g.trust_guest_rx_filters) y.put("trustGuestRxFilters", Y::boolean(*g.trust_guest_rx_filters));
  put_bandwidth(y, g.bandwidth);
  put_vlan(y, g.vlan);
  put_virtualport(y, g.virtualport);
  return y;
}

Y of(const PortForward& f) {
  Y y = Y::map();
  y.put("proto", Y::text(spell(f.proto)));
  put_text(y, "dev", f.dev);
  if (f.address) y.put("address", Y::text(f.address->to_string()));
  y.put("ip", Y::text(f.ip.to_string()));
  put_list(y, "ranges", f.ranges, [](const PortForward::Range& r) {
    Y m = Y::map();
    m.put("start", Y::number(r.start));
    if (r.end != r.start) m.put("end", Y::number(r.end));
    put_number(m, "to", r.to);
    return m;
  });
  return y;
}

Y of(const Domain& d) {
  Y y = Y::map();
  y.put("name", Y::text(d.name));
  if (d.local_only) y.put("localOnly", Y::boolean(true));
  if (d.register_domain) y.put("register", Y::boolean(true));
  return y;
}

Y of(const Network& n) {
  Y y = Y::map();
  y.put("name", Y::text(n.name));
  put_text(y, "uuid", n.uuid);
  put_text(y, "title", n.title);
  put_text(y, "description", n.description);
  put_text(y, "metadata", n.metadata);
  if (!n.autostart) y.put("autostart", Y::boolean(false));
  if (n.ipv6) y.put("ipv6", Y::boolean(true));
  if (n.trust_guest_rx_filters) y.put("trustGuestRxFilters", Y::boolean(*n.trust_guest_rx_filters));
  if (n.forward != Forward{}) y.put("forward", of(n.forward));
  y.put_filled("bridge", bridge_of(n));
  if (n.mac) y.put("mac", Y::map().put("address", Y::text(n.mac->to_string())));
  if (n.mtu) y.put("mtu", Y::map().put("size", Y::number(*n.mtu)));
  if (n.domain != Domain{}) y.put("domain", of(n.domain));
  y.put_filled("dns", of(n.dns));
  put_list(y, "ips", n.ips, [](const Ip& ip) { return of(ip); });
  put_list(y, "routes", n.routes, [](const Route& r) { return of(r); });
  put_bandwidth(y, n.bandwidth);
  put_vlan(y, n.vlan);
  put_list(y, "portgroups", n.portgroups, [](const PortGroup& g) { return of(g); });
  put_isolated(y, n.isolated);
  put_virtualport(y, n.virtualport);
  if (!n.dnsmasq_options.empty()) {
    Y dnsmasq = Y::map();
    put_list(dnsmasq, "options", n.dnsmasq_options, [](const std::string& s) { return Y::text(s); });
    y.put("dnsmasq", std::move(dnsmasq));
  }
  put_list(y, "portForwards", n.port_forwards, [](const PortForward& f) { return of(f); });
  return y;
}

// ---- ports ----

Y of(const Port& p) {
  Y y = Y::map();
  y.put("name", Y::text(p.name)).put("network", Y::text(p.network));
  put_device(y, p.device);
  if (p.mac) y.put("mac", Y::map().put("address", Y::text(p.mac->to_string())));
  put_text(y, "portgroup", p.portgroup);
  if (p.mtu) y.put("mtu", Y::map().put("size", Y::number(*p.mtu)));
  if (!p.link_up) y.put("link", Y::map().put("state", Y::word("down")));
  put_isolated(y, p.isolated);
  put_vlan(y, p.vlan);
  put_bandwidth(y, p.bandwidth);
  if (p.filterref) {
    Y m = Y::map(), parameters = Y::map();
    m.put("filter", Y::text(p.filterref->filter));
    for (const auto& [key, values] : p.filterref->parameters) {
      Y list = Y::list();
      for (const std::string& v : values) list.add(Y::text(v));
      parameters.put(key, std::move(list));
    }
    m.put_filled("parameters", std::move(parameters));
    y.put("filterref", std::move(m));
  }
  return y;
}

}  // namespace

std::string to_yaml(const Config& c) {
  Y y = Y::map();
  y.put_filled("switch", of(c.switch_));
  put_list(y, "uplinks", c.uplinks, [](const Uplink& u) { return of(u); });
  put_list(y, "networks", c.networks, [](const Network& n) { return of(n); });
  put_list(y, "ports", c.ports, [](const Port& p) { return of(p); });
  return y.print();
}

std::string to_yaml(const Network& n) {
  Y y = Y::map();
  put_list(y, "networks", std::vector<Network>{n}, [](const Network& item) { return of(item); });
  return y.print();
}

}  // namespace weft::config
