// SPDX-License-Identifier: BSD-3-Clause
//
// The rules for the addresses of a network: subnets, DHCP, TFTP, routes.
#include "config/check.h"
#include "config/sections.h"

#include <map>

#include <fmt/format.h>

namespace weft::config {
namespace {

void check_lease(const std::optional<uint32_t>& seconds, const std::string& path, Report& report) {
  if (seconds && *seconds != kInfiniteLease && *seconds < kMinimumLeaseSeconds)
    report.error(join(path, "lease.expiry"), fmt::format("expected at least {} seconds (or 0, for ever), found {}",
                                                         kMinimumLeaseSeconds, *seconds));
}

void check_range(const DhcpRange& r, const IpPrefix& subnet, const std::string& path, Report& report) {
  const std::string start = join(path, "start"), end = join(path, "end");
  check_lease(r.lease_seconds, path, report);
  if (report.failed(start) || report.failed(end)) return;
  const bool start_good = check_host_in(subnet, r.start, start, report);
  const bool end_good = check_host_in(subnet, r.end, end, report);
  if (!start_good || !end_good) return;
  if (r.start > r.end)
    report.error(start, fmt::format("{} to {} runs backwards", r.start.to_string(), r.end.to_string()));
  else if (distance(r.start, r.end) > 65535)
    report.error(end, fmt::format("{} to {} is more than 65536 addresses", r.start.to_string(), r.end.to_string()));
}

void check_host(const DhcpHost& h, const IpPrefix& subnet, const std::string& path, Report& report) {
  const std::string ip = join(path, "ip"), name = join(path, "name");
  const bool v4 = subnet.is_v4();
  if (h.mac) check_mac(*h.mac, join(path, "mac"), report);
  if (h.mac && !v4) report.error(join(path, "mac"), "an IPv6 host is known by 'id' (its DUID) or 'name'");
  if (!h.id.empty() && v4) report.error(join(path, "id"), "an IPv4 host is known by 'mac' or 'name'");
  for (size_t i = 0; i < h.id.size(); ++i) {
    const char c = h.id[i];
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':') continue;
    report.error(join(path, "id"), mismatch("a DUID in hexadecimal such as 0:3:0:1:52:54:0:aa:bb:cc", quote(h.id)));
    break;
  }
  if (!h.mac && h.id.empty() && h.name.empty() && !report.failed(join(path, "mac")))
    report.error(path, fmt::format("no way to know the host: give '{}' or 'name'", v4 ? "mac" : "id"));
  if ((!h.name.empty() || report.written(name)) && !report.failed(name) && !is_host_name(h.name))
    report.error(name, mismatch("a host name (letters, digits, '-' and '.')", quote(h.name)));
  check_lease(h.lease_seconds, path, report);
  if (report.failed(ip)) return;
  if (check_host_in(subnet, h.ip, ip, report) && h.ip == subnet.address)
    report.error(ip, fmt::format("{} is the gateway's own address", h.ip.to_string()));
}

void check_dhcp(const Ip& ip, const std::string& path, Report& report) {
  const Dhcp& dhcp = ip.dhcp;
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < dhcp.ranges.size(); ++i) {
    const DhcpRange& r = dhcp.ranges[i];
    const std::string range = at(join(path, "ranges"), i);
    check_range(r, ip.address, range, report);
    if (!report.failed(join(range, "start")) &&
        !seen.try_emplace(r.start.to_string() + "-" + r.end.to_string(), i).second)
      report.error(range, "the same range is listed already");
  }
  Once macs(report, "MAC"), ids(report, "id"), names(report, "name"), addresses(report, "address");
  for (size_t i = 0; i < dhcp.hosts.size(); ++i) {
    const DhcpHost& h = dhcp.hosts[i];
    const std::string host = at(join(path, "hosts"), i);
    check_host(h, ip.address, host, report);
    if (h.mac) macs.add(h.mac->to_string(), join(host, "mac"));
    if (!h.id.empty()) ids.add(h.id, join(host, "id"));
    if (!h.name.empty()) names.add(h.name, join(host, "name"));
    if (!report.failed(join(host, "ip"))) addresses.add(h.ip.to_string(), join(host, "ip"));
  }
  for (size_t i = 0; i < dhcp.options.size(); ++i) {
    const DhcpOption& o = dhcp.options[i];
    const std::string option = at(join(path, "options"), i);
    if (ip.address.is_v4() && o.code > 254 && !report.failed(join(option, "code")))
      report.error(join(option, "code"), fmt::format("expected a whole number from 1 to 254, found {}", o.code));
    if (const auto* list = std::get_if<std::vector<wire::IpAddress>>(&o.value)) {
      for (size_t k = 0; k < list->size(); ++k)
        if ((*list)[k].is_v4() != ip.address.is_v4())
          report.error(at(join(option, "ip"), k),
                       fmt::format("{} is not of the family of {}", (*list)[k].to_string(), ip.address.to_string()));
    }
  }
  if (dhcp.bootp && !ip.address.is_v4()) report.error(join(path, "bootp"), "only for IPv4");
  if (dhcp.bootp && dhcp.bootp->file.empty() && !report.failed(join(path, "bootp.file")))
    report.error(join(path, "bootp.file"), "the name of a file is needed, found nothing");
  if (dhcp.bootp && dhcp.bootp->file.size() > 127) report.error(join(path, "bootp.file"), "at most 127 characters fit");
}

/// One address with its subnet. False when nothing that depends on it can be checked.
bool check_address(const Ip& ip, const std::string& path, Report& report) {
  const std::string address = join(path, "address");
  for (const char* key : {"address", "prefix", "netmask", "family"})
    if (report.failed(join(path, key))) return false;
  if (ip.address.length == 0) {
    report.error(join(path, report.written(join(path, "netmask")) ? "netmask" : "prefix"),
                 "a subnet's prefix is at least 1");
    return false;
  }
  return check_unicast(ip.address.address, address, report) &&
         check_host_in(ip.address, ip.address.address, address, report);
}

void check_routes(const Network& n, const std::string& path, Report& report) {
  for (size_t i = 0; i < n.routes.size(); ++i) {
    const Route& r = n.routes[i];
    const std::string route = at(path, i), gateway = join(route, "gateway"), address = join(route, "address");
    bool known = true;
    for (const char* key : {"address", "prefix", "netmask", "family"})
      known = known && !report.failed(join(route, key));
    if (known && network_of(r.destination) != r.destination)
      report.error(address, fmt::format("{} is not the first address of its network, which is {}",
                                        r.destination.to_string(), network_of(r.destination).to_string()));
    if (report.failed(gateway)) continue;
    if (known && r.gateway.is_v4() != r.destination.is_v4()) {
      report.error(gateway,
                   fmt::format("{} is not of the family of {}", r.gateway.to_string(), r.destination.to_string()));
      continue;
    }
    bool reachable = false, own = false;
    for (const Ip& ip : n.ips) {
      reachable = reachable || (ip.address.contains(r.gateway) && reserved_in(ip.address, r.gateway) == nullptr);
      own = own || ip.address.address == r.gateway;
    }
    if (own)
      report.error(gateway, fmt::format("{} is the switch's own address", r.gateway.to_string()));
    else if (!reachable)
      report.error(gateway, fmt::format("{} is in none of the network's subnets", r.gateway.to_string()));
    for (size_t k = 0; k < i; ++k)
      if (n.routes[k].destination == r.destination && n.routes[k].metric == r.metric && known)
        report.error(address, fmt::format("a route to {} with metric {} is listed already", r.destination.to_string(),
                                          r.metric));
  }
}

}  // namespace

void check_ips(const Network& n, const std::string& path, Report& report) {
  std::string dhcp4, dhcp6, tftp;
  for (size_t i = 0; i < n.ips.size(); ++i) {
    const Ip& ip = n.ips[i];
    const std::string p = at(join(path, "ips"), i);
    const bool good = check_address(ip, p, report);
    if (good) check_dhcp(ip, join(p, "dhcp"), report);
    if (ip.dhcp.is_served()) {
      std::string& first = ip.address.is_v4() ? dhcp4 : dhcp6;
      if (!first.empty())
        report.error(join(p, "dhcp"), fmt::format("DHCP for {} is served on another address already (line {})",
                                                  ip.address.is_v4() ? "IPv4" : "IPv6", report.where(first).line));
      first = join(p, "dhcp");
    }
    if (ip.tftp_root.empty() && !report.written(join(p, "tftp.root"))) continue;
    if (!ip.address.is_v4()) report.error(join(p, "tftp"), "only for IPv4");
    if (!tftp.empty()) report.error(join(p, "tftp"), "only one address of a network serves TFTP");
    if (ip.tftp_root.empty() || ip.tftp_root[0] != '/')
      report.error(join(p, "tftp.root"), mismatch("an absolute path", quote(ip.tftp_root)));
    tftp = p;
  }
  check_routes(n, join(path, "routes"), report);
}

}  // namespace weft::config
