// SPDX-License-Identifier: BSD-3-Clause
//
// The model as libvirt's <network>: its order of elements and attributes, its quotes and its indentation.
#include "config/libvirt_xml.h"
#include "config/names.h"

#include <bit>

#include <fmt/format.h>

namespace weft::config {
namespace {

std::string escape(std::string_view s) {
  std::string out;
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&apos;";
        break;
      case '"':
        out += "&quot;";
        break;
      // As they are these would come back as spaces.
      case '\n':
        out += "&#10;";
        break;
      case '\r':
        out += "&#13;";
        break;
      case '\t':
        out += "&#9;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Puts elements together; those without children close themselves.
class Writer {
 public:
  /// An open tag; attributes follow.
  Writer& open(const std::string& name) {
    finish_tag(">\n");
    out_ += std::string(stack_.size() * 2, ' ') + "<" + name;
    stack_.push_back(name);
    in_tag_ = true;
    return *this;
  }
  Writer& attribute(const char* name, std::string_view value) {
    out_ += fmt::format(" {}='{}'", name, escape(value));
    return *this;
  }
  Writer& text_attribute(const char* name, std::string_view value) {
    return value.empty() ? *this : attribute(name, value);
  }
  template <class T>
  Writer& number(const char* name, const std::optional<T>& value) {
    return value ? attribute(name, std::to_string(*value)) : *this;
  }
  Writer& yes_no(const char* name, std::optional<bool> value) {
    return value ? attribute(name, *value ? "yes" : "no") : *this;
  }
  Writer& close() {
    const std::string name = stack_.back();
    stack_.pop_back();
    if (in_tag_)
      out_ += "/>\n";
    else
      out_ += std::string(stack_.size() * 2, ' ') + "</" + name + ">\n";
    in_tag_ = false;
    return *this;
  }
  /// <name>text</name>, unless the text is empty.
  Writer& text(const char* name, std::string_view value) {
    if (value.empty()) return *this;
    finish_tag(">\n");
    out_ += fmt::format("{}<{}>{}</{}>\n", std::string(stack_.size() * 2, ' '), name, escape_text(value), name);
    return *this;
  }
  Writer& raw(const char* name, std::string_view xml) {
    if (xml.empty()) return *this;
    finish_tag(">\n");
    const std::string indent(stack_.size() * 2, ' ');
    out_ += fmt::format("{}<{}>\n{}  {}\n{}</{}>\n", indent, name, indent, xml, indent, name);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  void finish_tag(const char* end) {
    if (in_tag_) out_ += end;
    in_tag_ = false;
  }
  static std::string escape_text(std::string_view s) {
    std::string out;
    for (const char c : s) {
      if (c == '\n' || c == '\t' || c == '\'' || c == '"')
        out += c;
      else
        out += escape({&c, 1});
    }
    return out;
  }

  std::string out_;
  std::vector<std::string> stack_;
  bool in_tag_ = false;
};

void write_forward(Writer& w, const Forward& f) {
  if (f.mode == ForwardMode::kNone) return;
  const std::string dev = f.dev.empty() && !f.interfaces.empty() ? f.interfaces[0] : f.dev;
  w.open("forward").text_attribute("dev", dev).attribute("mode", spell(f.mode));
  if (f.mode == ForwardMode::kNat) {
    w.open("nat");
    if (f.nat.ipv6) w.yes_no("ipv6", true);
    if (f.nat.address)
      w.open("address")
          .attribute("start", f.nat.address->start.to_string())
          .attribute("end", f.nat.address->end.to_string())
          .close();
    w.open("port")
        .attribute("start", std::to_string(f.nat.port.start))
        .attribute("end", std::to_string(f.nat.port.end))
        .close();
    w.close();
  }
  if (!f.dev.empty()) w.open("interface").attribute("dev", f.dev).close();
  for (const std::string& i : f.interfaces) w.open("interface").attribute("dev", i).close();
  w.close();
}

void write_bridge(Writer& w, const Network& n) {
  const Bridge& b = n.bridge;
  const bool own = n.forward.mode != ForwardMode::kBridge;
  if (b.name.empty() && !own && b.mac_table_manager == MacTableManager::kKernel) return;
  w.open("bridge").text_attribute("name", b.name);
  if (own)
    w.text_attribute("zone", b.zone)
        .attribute("stp", b.stp ? "on" : "off")
        .attribute("delay", std::to_string(b.delay_seconds));
  if (b.mac_table_manager != MacTableManager::kKernel) w.attribute("macTableManager", spell(b.mac_table_manager));
  w.close();
}

void write_dns(Writer& w, const Dns& d) {
  if (d == Dns{}) return;
  w.open("dns");
  if (!d.enable) w.yes_no("enable", false);
  if (!d.forward_plain_names) w.yes_no("forwardPlainNames", false);
  for (const Forwarder& f : d.forwarders) {
    w.open("forwarder").text_attribute("domain", f.domain).text_attribute("addr", f.addr ? f.addr->to_string() : "");
    if (f.port != 53) w.attribute("port", std::to_string(f.port));
    w.close();
  }
  for (const DnsTxt& t : d.txts) w.open("txt").attribute("name", t.name).attribute("value", t.value).close();
  for (const DnsSrv& s : d.srvs) {
    w.open("srv").attribute("service", s.service).attribute("protocol", s.protocol).text_attribute("domain", s.domain);
    w.text_attribute("target", s.target)
        .number("port", s.port)
        .number("priority", s.priority)
        .number("weight", s.weight)
        .close();
  }
  for (const DnsHost& h : d.hosts) {
    w.open("host").attribute("ip", h.ip.to_string());
    for (const std::string& name : h.hostnames) w.text("hostname", name);
    w.close();
  }
  w.close();
}

void write_lease(Writer& w, uint32_t seconds) {
  w.open("lease");
  if (seconds % 3600 == 0 && seconds != 0)
    w.attribute("expiry", std::to_string(seconds / 3600)).attribute("unit", "hours");
  else if (seconds % 60 == 0)
    w.attribute("expiry", std::to_string(seconds / 60)).attribute("unit", "minutes");
  else
    w.attribute("expiry", std::to_string(seconds)).attribute("unit", "seconds");
  w.close();
}

void write_dhcp(Writer& w, const Dhcp& d) {
  if (!d.is_served() && !d.bootp) return;
  w.open("dhcp");
  for (const DhcpRange& r : d.ranges) {
    w.open("range").attribute("start", r.start.to_string()).attribute("end", r.end.to_string());
    const uint32_t usual = r.start.is_v4() ? kDefaultLeaseSeconds : kDefaultLeaseSecondsIpv6;
    if (r.lease_seconds && *r.lease_seconds != usual) write_lease(w, *r.lease_seconds);
    w.close();
  }
  for (const DhcpHost& h : d.hosts) {
    w.open("host").text_attribute("mac", h.mac ? h.mac->to_string() : "").text_attribute("id", h.id);
    w.text_attribute("name", h.name).attribute("ip", h.ip.to_string());
    if (h.lease_seconds) write_lease(w, *h.lease_seconds);
    w.close();
  }
  if (d.bootp)
    w.open("bootp")
        .attribute("file", d.bootp->file)
        .text_attribute("server", d.bootp->server ? d.bootp->server->to_string() : "")
        .close();
  w.close();
}

/// Family, address and netmask or prefix, as libvirt writes them.
void write_subnet(Writer& w, const IpPrefix& p) {
  if (!p.is_v4()) w.attribute("family", "ipv6");
  w.attribute("address", p.address.to_string());
  if (p.is_v4())
    w.attribute("netmask", p.v4().netmask().to_string());
  else
    w.attribute("prefix", std::to_string(p.length));
}

void write_bandwidth(Writer& w, const std::optional<Bandwidth>& b) {
  if (!b) return;
  w.open("bandwidth");
  const auto write = [&](const char* name, const std::optional<Rate>& r) {
    if (!r) return;
    w.open(name)
        .number("average", r->average)
        .number("peak", r->peak)
        .number("floor", r->floor)
        .number("burst", r->burst)
        .close();
  };
  write("inbound", b->inbound);
  write("outbound", b->outbound);
  w.close();
}

void write_vlan(Writer& w, const std::optional<Vlan>& v) {
  if (!v) return;
  w.open("vlan");
  if (v->trunk) w.yes_no("trunk", true);
  for (const VlanTag& t : v->tags)
    w.open("tag")
        .attribute("id", std::to_string(t.id))
        .text_attribute("nativeMode", t.native_mode ? spell(*t.native_mode) : "")
        .close();
  w.close();
}

void write_virtualport(Writer& w, const std::optional<VirtualPort>& v) {
  if (!v) return;
  w.open("virtualport").text_attribute("type", v->type);
  if (!v->parameters.empty()) {
    w.open("parameters");
    for (const auto& [key, value] : v->parameters) w.attribute(key.c_str(), value);
    w.close();
  }
  w.close();
}

}  // namespace

std::string to_libvirt_xml(const Network& n) {
  Writer w;
  w.open("network");
  if (!n.dnsmasq_options.empty()) w.attribute("xmlns:dnsmasq", "http://libvirt.org/schemas/network/dnsmasq/1.0");
  if (n.ipv6) w.yes_no("ipv6", true);
  w.yes_no("trustGuestRxFilters", n.trust_guest_rx_filters);
  w.text("name", n.name).text("uuid", n.uuid).text("title", n.title).text("description", n.description);
  w.raw("metadata", n.metadata);
  write_forward(w, n.forward);
  write_bridge(w, n);
  if (n.mtu) w.open("mtu").attribute("size", std::to_string(*n.mtu)).close();
  if (n.mac) w.open("mac").attribute("address", n.mac->to_string()).close();
  if (n.domain != Domain{}) {
    w.open("domain").attribute("name", n.domain.name);
    if (n.domain.local_only) w.yes_no("localOnly", true);
    if (n.domain.register_domain) w.yes_no("register", true);
    w.close();
  }
  write_dns(w, n.dns);
  write_vlan(w, n.vlan);
  write_bandwidth(w, n.bandwidth);
  if (n.isolated) w.open("port").yes_no("isolated", n.isolated).close();
  for (const Ip& ip : n.ips) {
    w.open("ip");
    write_subnet(w, ip.address);
    if (ip.local_ptr) w.yes_no("localPtr", true);
    if (!ip.tftp_root.empty()) w.open("tftp").attribute("root", ip.tftp_root).close();
    write_dhcp(w, ip.dhcp);
    w.close();
  }
  for (const Route& r : n.routes) {
    w.open("route");
    write_subnet(w, r.destination);
    w.attribute("gateway", r.gateway.to_string());
    if (r.metric != 1) w.attribute("metric", std::to_string(r.metric));
    w.close();
  }
  write_virtualport(w, n.virtualport);
  for (const PortGroup& g : n.portgroups) {
    w.open("portgroup").attribute("name", g.name);
    if (g.is_default) w.yes_no("default", true);
    w.yes_no("trustGuestRxFilters", g.trust_guest_rx_filters);
    write_vlan(w, g.vlan);
    write_virtualport(w, g.virtualport);
    write_bandwidth(w, g.bandwidth);
    w.close();
  }
  if (!n.dnsmasq_options.empty()) {
    w.open("dnsmasq:options");
    for (const std::string& o : n.dnsmasq_options) w.open("dnsmasq:option").attribute("value", o).close();
    w.close();
  }
  return w.close().take();
}

}  // namespace weft::config
