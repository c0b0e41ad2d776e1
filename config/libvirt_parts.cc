// SPDX-License-Identifier: BSD-3-Clause
//
// <dns>, <ip>, <route>, <portgroup> and what networks and portgroups share.
#include "config/libvirt_parts.h"

#include "config/sections.h"

#include <limits>

#include <fmt/format.h>

namespace weft::config {
namespace {

void import_lease(Element& e, std::optional<uint32_t>& seconds) {
  e.child("lease", "lease", [&](Element& l) {
    l.require("expiry");
    uint64_t expiry = 0;
    std::string unit = "minutes";
    const bool known = l.number("expiry", expiry, 0, 0xfffffffe);
    l.attribute("unit", unit);
    if (!lease_seconds(1, unit)) {
      l.report().error(l.path("unit"), mismatch("seconds, minutes or hours", quote(unit)));
      return;
    }
    if (!known) return;
    seconds = lease_seconds(expiry, unit);
    if (!seconds) l.report().error(l.path("expiry"), "too long; 0 means for ever");
  });
}

void import_dhcp(Element& e, Dhcp& dhcp) {
  e.children<DhcpRange>("range", "ranges", dhcp.ranges, [](Element& r, DhcpRange& range) {
    r.require("start");
    r.require("end");
    r.attribute("start", range.start);
    r.attribute("end", range.end);
    import_lease(r, range.lease_seconds);
  });
  e.children<DhcpHost>("host", "hosts", dhcp.hosts, [](Element& h, DhcpHost& host) {
    h.attribute("mac", host.mac);
    h.attribute("id", host.id);
    h.attribute("name", host.name);
    h.require("ip");
    h.attribute("ip", host.ip);
    import_lease(h, host.lease_seconds);
  });
  e.child("bootp", "bootp", [&](Element& b) {
    dhcp.bootp.emplace();
    b.require("file");
    b.attribute("file", dhcp.bootp->file);
    b.attribute("server", dhcp.bootp->server);
  });
}

/// family: ipv4 unless said otherwise, and the address must agree.
void import_family(Element& e, const wire::IpAddress& address, bool known) {
  std::string family = "ipv4";
  const bool given = e.attribute("family", family);
  if (family != "ipv4" && family != "ipv6") {
    e.report().error(e.path("family"), mismatch("ipv4 or ipv6", quote(family)));
  } else if (known && address.is_v4() != (family == "ipv4")) {
    if (given)
      e.report().error(e.path("family"),
                       fmt::format("{} is not an {} address", address.to_string(), family == "ipv4" ? "IPv4" : "IPv6"));
    else
      e.report().error(e.path("address"), "an IPv6 address needs family='ipv6'");
  }
}

/// `prefix` or `netmask`, not both. True when one of them was given.
bool import_prefix(Element& e, IpPrefix& p, bool known) {
  std::optional<wire::IpAddress> netmask;
  e.number("prefix", p.length, 0, p.is_v4() ? 32 : 128);
  const bool has_netmask = e.attribute("netmask", netmask);
  if (e.has("prefix") && e.has("netmask")) {
    e.report().error(e.path("netmask"), "prefix is given too; one of the two is enough");
  } else if (has_netmask && known) {
    if (p.is_v4() && netmask->is_v4()) {
      if (const auto length = prefix_of(netmask->v4()))
        p.length = *length;
      else
        e.report().error(e.path("netmask"), mismatch("a netmask with its ones together such as 255.255.255.0",
                                                     quote(netmask->to_string())));
    } else {
      e.report().error(e.path("netmask"), "IPv6 has no netmasks; give prefix");
    }
  }
  return e.has("prefix") || e.has("netmask");
}

}  // namespace

void import_dns(Element& e, Dns& dns) {
  e.attribute("enable", dns.enable);
  e.attribute("forwardPlainNames", dns.forward_plain_names);
  e.children<Forwarder>("forwarder", "forwarders", dns.forwarders, [](Element& m, Forwarder& f) {
    m.attribute("domain", f.domain);
    m.attribute("addr", f.addr);
    m.number("port", f.port, 1, 65535);
  });
  e.children<DnsTxt>("txt", "txts", dns.txts, [](Element& m, DnsTxt& t) {
    m.require("name");
    m.require("value");
    m.attribute("name", t.name);
    m.attribute("value", t.value);
  });
  e.children<DnsSrv>("srv", "srvs", dns.srvs, [](Element& m, DnsSrv& s) {
    m.require("service");
    m.require("protocol");
    m.attribute("service", s.service);
    m.attribute("protocol", s.protocol);
    m.attribute("domain", s.domain);
    m.attribute("target", s.target);
    m.number("port", s.port, 1, 65535);
    m.attribute("priority", s.priority);
    m.attribute("weight", s.weight);
  });
  e.children<DnsHost>("host", "hosts", dns.hosts, [](Element& m, DnsHost& h) {
    m.require("ip");
    m.attribute("ip", h.ip);
    m.children<std::string>("hostname", "hostnames", h.hostnames,
                            [](Element& n, std::string& name) { name = n.text(); });
  });
}

void import_ip(Element& e, Ip& ip) {
  e.require("address");
  const bool known = e.attribute("address", ip.address.address);
  import_family(e, ip.address.address, known);
  const bool given = import_prefix(e, ip.address, known);
  if (!given && known) {
    ip.address.length = default_prefix(ip.address.address);
    e.report().note(e.path("address"),
                    fmt::format("no prefix or netmask given; {} is taken, as libvirt does", ip.address.to_string()));
  }
  e.attribute("localPtr", ip.local_ptr);
  e.child("tftp", "tftp", [&](Element& t) {
    t.require("root");
    t.attribute("root", ip.tftp_root);
  });
  e.child("dhcp", "dhcp", [&](Element& d) { import_dhcp(d, ip.dhcp); });
}

void import_route(Element& e, Route& route) {
  IpPrefix& to = route.destination;
  e.require("address");
  const bool known = e.attribute("address", to.address);
  import_family(e, to.address, known);
  const bool given = import_prefix(e, to, known);
  if (known && !given && to.address != wire::IpAddress{} && to.address != wire::IpAddress(wire::Ipv6Address{}))
    e.report().error(e.path("prefix"),
                     "prefix or netmask is required, but not given; only 0.0.0.0 and :: stand for all");
  e.require("gateway");
  e.attribute("gateway", route.gateway);
  e.number("metric", route.metric, 1, std::numeric_limits<uint32_t>::max());
}

void import_portgroup(Element& e, PortGroup& group) {
  e.require("name");
  e.attribute("name", group.name);
  e.attribute("default", group.is_default);
  e.attribute("trustGuestRxFilters", group.trust_guest_rx_filters);
  import_bandwidth(e, group.bandwidth);
  import_vlan(e, group.vlan);
  import_virtualport(e, group.virtualport);
}

void import_bandwidth(Element& parent, std::optional<Bandwidth>& out) {
  parent.child("bandwidth", "bandwidth", [&](Element& e) {
    out.emplace();
    const auto rate = [&](const char* name, std::optional<Rate>& r) {
      e.child(name, name, [&](Element& d) {
        r.emplace();
        d.number("average", r->average, 1, kMostRate);
        d.number("peak", r->peak, 1, kMostRate);
        d.number("burst", r->burst, 1, kMostBurst);
        d.number("floor", r->floor, 1, kMostRate);
      });
    };
    rate("inbound", out->inbound);
    rate("outbound", out->outbound);
  });
}

void import_vlan(Element& parent, std::optional<Vlan>& out) {
  parent.child("vlan", "vlan", [&](Element& e) {
    out.emplace();
    e.attribute("trunk", out->trunk);
    e.children<VlanTag>("tag", "tags", out->tags, [](Element& t, VlanTag& tag) {
      t.require("id");
      t.number("id", tag.id, 1, 4094);
      t.attribute("nativeMode", tag.native_mode);
    });
    if (!e.has("trunk") && out->tags.size() > 1) out->trunk = true;
  });
}

void import_virtualport(Element& parent, std::optional<VirtualPort>& out) {
  parent.child("virtualport", "virtualport", [&](Element& e) {
    out.emplace();
    e.attribute("type", out->type);
    e.child("parameters", "parameters", [&](Element& p) {
      for (auto& [key, value] : p.rest()) out->parameters[key] = std::move(value);
    });
  });
}

}  // namespace weft::config
