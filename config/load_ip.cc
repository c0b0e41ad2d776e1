// SPDX-License-Identifier: BSD-3-Clause
//
// `ips:` and `routes:` of a network: addresses, and what is served there.
#include "config/sections.h"

#include <bit>
#include <limits>
#include <utility>

namespace weft::config {
namespace {

/// One of `prefix` and `netmask`; neither: what libvirt takes, with a note.
void read_prefix(Reader& r, IpPrefix& p, bool address_known) {
  std::optional<wire::IpAddress> netmask;
  const bool has_prefix = r.value("prefix", p.length, 0, p.is_v4() ? 32 : 128);
  const bool has_netmask = r.value("netmask", netmask);
  if (r.has("prefix") && r.has("netmask")) {
    r.report().error(r.path("netmask"), "'prefix' is given too; one of the two is enough");
    return;
  }
  if (has_prefix || !address_known) return;
  if (has_netmask) {
    if (p.address.is_v6() || netmask->is_v6()) {
      r.report().error(r.path("netmask"), "IPv6 has no netmasks; give 'prefix'");
    } else if (const auto length = prefix_of(netmask->v4())) {
      p.length = *length;
    } else {
      r.report().error(r.path("netmask"),
                       mismatch("a netmask with its ones together such as 255.255.255.0", quote(netmask->to_string())));
    }
    return;
  }
  if (r.has("prefix") || r.has("netmask")) return;
  p.length = default_prefix(p.address);
  r.report().note(r.path("address"),
                  fmt::format("no prefix or netmask given; {} is taken, as libvirt does", p.to_string()));
}

/// `family` may be given, and must then agree.
void read_family(Reader& r, const wire::IpAddress& address, bool address_known) {
  std::string family;
  if (!r.value("family", family)) return;
  if (family != "ipv4" && family != "ipv6") {
    r.report().error(r.path("family"), mismatch("ipv4 or ipv6", quote(family)));
  } else if (address_known && address.is_v4() != (family == "ipv4")) {
    r.report().error(r.path("family"),
                     fmt::format("{} is not an {} address", address.to_string(), family == "ipv4" ? "IPv4" : "IPv6"));
  }
}

void read_lease(Reader& r, std::optional<uint32_t>& seconds) {
  r.map("lease", [&](Reader& m) {
    uint64_t expiry = 0;
    std::string unit = "minutes";
    const bool known = m.required("expiry", expiry, 0, 0xfffffffe);
    const bool unit_known = m.value("unit", unit) || !m.has("unit");
    if (!known || !unit_known) return;
    if (!lease_seconds(1, unit)) {
      m.report().error(m.path("unit"), mismatch("seconds, minutes or hours", quote(unit)));
      return;
    }
    seconds = lease_seconds(expiry, unit);
    if (!seconds) m.report().error(m.path("expiry"), "too long; 0 means for ever");
  });
}

std::optional<std::vector<uint8_t>> parse_hex(std::string_view text) {
  std::vector<uint8_t> bytes;
  while (!text.empty()) {
    if (!bytes.empty() && text.front() == ':') text.remove_prefix(1);
    if (text.size() < 2) return std::nullopt;
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + 2, byte, 16);
    if (error != std::errc{} || end != text.data() + 2) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(byte));
    text.remove_prefix(2);
  }
  return bytes;
}

void read_option(Reader& r, DhcpOption& o) {
  r.required("code", o.code, 1, 65535);
  size_t values = 0;
  std::vector<wire::IpAddress> addresses;
  if (r.has("ip")) ++values;
  r.values("ip", addresses);
  if (r.has("ip")) o.value = addresses;
  std::string text;
  if (r.has("text")) ++values;
  if (r.value("text", text)) o.value = text;
  for (const auto& [key, bits] : {std::pair{"u8", 8}, std::pair{"u16", 16}, std::pair{"u32", 32}}) {
    uint32_t number = 0;
    if (r.has(key)) ++values;
    if (r.value(key, number, 0, (uint64_t{1} << bits) - 1))
      o.value = DhcpOption::Number{static_cast<uint8_t>(bits), number};
  }
  if (r.has("hex")) ++values;
  if (r.value("hex", text)) {
    const auto bytes = parse_hex(text);
    if (!bytes) r.report().error(r.path("hex"), mismatch("bytes in hexadecimal such as 01:ff", quote(text)));
    o.value = DhcpOption::Bytes{bytes.value_or(std::vector<uint8_t>{})};
  }
  if (values != 1) r.report().error(r.path(), "an option has one value: one of ip, text, u8, u16, u32 or hex");
}

void read_dhcp(Reader& r, Dhcp& dhcp) {
  r.list<DhcpRange>("ranges", dhcp.ranges, [](Reader& m, DhcpRange& range) {
    m.required("start", range.start);
    m.required("end", range.end);
    read_lease(m, range.lease_seconds);
  });
  r.list<DhcpHost>("hosts", dhcp.hosts, [](Reader& m, DhcpHost& host) {
    m.value("mac", host.mac);
    m.value("id", host.id);
    m.value("name", host.name);
    m.required("ip", host.ip);
    read_lease(m, host.lease_seconds);
  });
  r.list<DhcpOption>("options", dhcp.options, read_option);
  r.map("bootp", [&](Reader& m) {
    dhcp.bootp.emplace();
    m.required("file", dhcp.bootp->file);
    m.value("server", dhcp.bootp->server);
  });
}

}  // namespace

std::optional<uint8_t> prefix_of(wire::Ipv4Address netmask) {
  const uint32_t mask = netmask.host();
  const int ones = std::countl_one(mask);
  if (ones < 32 && (mask << ones) != 0) return std::nullopt;
  return static_cast<uint8_t>(ones);
}

uint8_t default_prefix(const wire::IpAddress& address) {
  if (address.is_v6()) return 64;
  const uint32_t first = address.v4().host() >> 24;
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

std::optional<uint32_t> lease_seconds(uint64_t expiry, std::string_view unit) {
  uint64_t factor = 0;
  if (unit == "seconds") factor = 1;
  if (unit == "minutes") factor = 60;
  if (unit == "hours") factor = 3600;
  // The largest lease DHCP knows is the one that never ends.
  if (factor == 0 || expiry > (std::numeric_limits<uint32_t>::max() - 1) / factor) return std::nullopt;
  return static_cast<uint32_t>(expiry * factor);
}

void read_ip(Reader& r, Ip& ip) {
  const bool known = r.required("address", ip.address.address);
  read_family(r, ip.address.address, known);
  read_prefix(r, ip.address, known);
  r.value("localPtr", ip.local_ptr);
  r.map("dhcp", [&](Reader& m) { read_dhcp(m, ip.dhcp); });
  r.map("tftp", [&](Reader& m) { m.required("root", ip.tftp_root); });
}

void read_route(Reader& r, Route& route) {
  IpPrefix& to = route.destination;
  const bool known = r.required("address", to.address);
  read_family(r, to.address, known);
  if (known && !r.has("prefix") && !r.has("netmask") && to.address != wire::IpAddress{} &&
      to.address != wire::IpAddress(wire::Ipv6Address{})) {
    r.value("prefix", to.length);
    r.value("netmask", to.length);
    r.report().error(r.path("prefix"),
                     "required, but not given ('prefix' or 'netmask'); only 0.0.0.0 and :: stand for all");
  } else if (r.has("prefix") || r.has("netmask")) {
    read_prefix(r, to, known);
  }
  r.required("gateway", route.gateway);
  r.value("metric", route.metric, 1, std::numeric_limits<uint32_t>::max());
}

}  // namespace weft::config
