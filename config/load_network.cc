// SPDX-License-Identifier: BSD-3-Clause
//
// One item of `networks:`, but for its addresses (load_ip.cc) and what ports have too (load_qos.cc).
#include "config/sections.h"

#include <utility>

namespace weft::config {
namespace {

void read_nat(Reader& r, Nat& nat) {
  r.map("address", [&](Reader& m) {
    nat.address.emplace();
    m.required("start", nat.address->start);
    m.required("end", nat.address->end);
  });
  r.map("port", [&](Reader& m) {
    m.required("start", nat.port.start, 1, 65535);
    m.required("end", nat.port.end, 1, 65535);
  });
  r.value("ipv6", nat.ipv6);
  r.value("mapping", nat.mapping);
}

void read_forward(Reader& r, Forward& f) {
  // As with libvirt's <forward/>: there, but without a mode, means nat.
  std::string mode = "nat";
  if (r.value("mode", mode) || !r.has("mode")) {
    const bool other = mode == "private" || mode == "vepa" || mode == "passthrough" || mode == "hostdev";
    if (other) {
      r.report().error(
          r.path("mode"),
          fmt::format("{} gives guests a device of the host, past the switch; use bridge with an uplink", quote(mode)));
    } else if (!parse_scalar(mode, f.mode)) {
      r.report().error(r.path("mode"), mismatch(expected(f.mode), quote(mode)));
    }
  }
  r.value("dev", f.dev);
  struct Interface {
    std::string dev;
  };
  std::vector<Interface> interfaces;
  r.list<Interface>("interfaces", interfaces, [](Reader& i, Interface& out) { i.required("dev", out.dev); });
  for (Interface& i : interfaces) f.interfaces.push_back(std::move(i.dev));
  r.map("nat", [&](Reader& m) { read_nat(m, f.nat); });
}

void read_bridge(Reader& r, Bridge& b) {
  r.value("name", b.name);
  r.value("stp", b.stp);
  r.value("delay", b.delay_seconds, 0, 3600);
  r.value("host", b.host);
  r.value("zone", b.zone);
  r.value("macTableManager", b.mac_table_manager);
}

void read_dns(Reader& r, Dns& dns) {
  r.value("enable", dns.enable);
  r.value("forwardPlainNames", dns.forward_plain_names);
  r.list<Forwarder>("forwarders", dns.forwarders, [](Reader& m, Forwarder& f) {
    m.value("domain", f.domain);
    m.value("addr", f.addr);
    m.value("port", f.port, 1, 65535);
  });
  r.list<DnsHost>("hosts", dns.hosts, [](Reader& m, DnsHost& h) {
    m.required("ip", h.ip);
    m.require("hostnames");
    m.values("hostnames", h.hostnames);
  });
  r.list<DnsTxt>("txts", dns.txts, [](Reader& m, DnsTxt& t) {
    m.required("name", t.name);
    m.required("value", t.value);
  });
  r.list<DnsSrv>("srvs", dns.srvs, [](Reader& m, DnsSrv& s) {
    m.required("service", s.service);
    m.required("protocol", s.protocol);
    m.value("domain", s.domain);
    m.value("target", s.target);
    m.value("port", s.port, 1, 65535);
    m.value("priority", s.priority);
    m.value("weight", s.weight);
  });
}

void read_portgroup(Reader& r, PortGroup& g) {
  r.required("name", g.name);
  r.value("default", g.is_default);
  r.value("trustGuestRxFilters", g.trust_guest_rx_filters);
  read_bandwidth(r, g.bandwidth);
  read_vlan(r, g.vlan);
  read_virtualport(r, g.virtualport);
}

void read_port_forward(Reader& r, PortForward& f) {
  r.required("proto", f.proto);
  r.value("dev", f.dev);
  std::string address = "any";
  if (r.value("address", address) && address != "any") {
    f.address = wire::IpAddress::parse(address);
    if (!f.address) r.report().error(r.path("address"), mismatch("any or an IP address", quote(address)));
  }
  r.required("ip", f.ip);
  r.list<PortForward::Range>("ranges", f.ranges, [](Reader& m, PortForward::Range& range) {
    m.required("start", range.start, 1, 65535);
    if (!m.value("end", range.end, 1, 65535)) range.end = range.start;
    m.value("to", range.to, 1, 65535);
  });
}

}  // namespace

void read_network(Reader& r, Network& n) {
  r.required("name", n.name);
  std::string uuid;
  if (r.value("uuid", uuid)) {
    const auto canonical = parse_uuid(uuid);
    if (!canonical)
      r.report().error(r.path("uuid"), mismatch("32 hexadecimal digits, as uuidgen prints them", quote(uuid)));
    n.uuid = canonical.value_or("");
  }
  r.value("title", n.title);
  r.value("description", n.description);
  r.value("metadata", n.metadata);
  r.value("autostart", n.autostart);
  r.value("ipv6", n.ipv6);
  r.value("trustGuestRxFilters", n.trust_guest_rx_filters);
  r.map("forward", [&](Reader& m) { read_forward(m, n.forward); });
  r.map("bridge", [&](Reader& m) { read_bridge(m, n.bridge); });
  r.map("mac", [&](Reader& m) { m.required("address", n.mac); });
  r.map("mtu", [&](Reader& m) { m.required("size", n.mtu, 68, 65535); });
  r.map("domain", [&](Reader& m) {
    m.required("name", n.domain.name);
    m.value("localOnly", n.domain.local_only);
    m.value("register", n.domain.register_domain);
  });
  r.map("dns", [&](Reader& m) { read_dns(m, n.dns); });
  r.list<Ip>("ips", n.ips, read_ip);
  r.list<Route>("routes", n.routes, read_route);
  read_bandwidth(r, n.bandwidth);
  read_vlan(r, n.vlan);
  r.list<PortGroup>("portgroups", n.portgroups, read_portgroup);
  r.map("port", [&](Reader& m) { m.value("isolated", n.isolated); });
  read_virtualport(r, n.virtualport);
  r.map("dnsmasq", [&](Reader& m) { m.values("options", n.dnsmasq_options); });
  r.list<PortForward>("portForwards", n.port_forwards, read_port_forward);
}

}  // namespace weft::config
