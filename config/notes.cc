// SPDX-License-Identifier: BSD-3-Clause
//
// What is accepted for libvirt's sake but works differently here, or has nothing to work on: said once, never
// refused.
#include "config/check.h"
#include "config/sections.h"

#include <fmt/format.h>

namespace weft::config {
namespace {

void note_bridge(const Network& n, const std::string& path, Report& report) {
  if (n.forward.mode == ForwardMode::kBridge) return;
  if (n.bridge.stp && report.written(join(path, "stp")))
    report.note(join(path, "stp"),
                "no spanning tree is spoken: the switch is no bridge of the kernel and makes no loops");
  if (n.bridge.delay_seconds != 0)
    report.note(join(path, "delay"), "without a spanning tree ports forward at once; the delay is not used");
  if (!n.bridge.zone.empty())
    report.note(join(path, "zone"), "there is no bridge of the kernel for firewalld to put into a zone; not used");
}

void note_dhcp(const Ip& ip, const std::string& path, Report& report) {
  const Dhcp& d = ip.dhcp;
  if (!d.is_served() && report.written(path))
    report.note(path, d.bootp ? "neither ranges nor hosts: DHCP is not served, and bootp not used"
                              : "neither ranges nor hosts: DHCP is not served here");
  for (size_t i = 0; i < d.ranges.size(); ++i) {
    const std::string range = at(join(path, "ranges"), i);
    if (report.failed(join(range, "start")) || report.failed(join(range, "end")) || report.failed(range)) continue;
    for (size_t k = 0; k < i; ++k) {
      const DhcpRange &a = d.ranges[k], &b = d.ranges[i];
      if (a.start.is_v4() != b.start.is_v4() || a.start > b.end || b.start > a.end) continue;
      report.note(range, fmt::format("overlaps the range {} to {}", a.start.to_string(), a.end.to_string()));
      break;
    }
  }
}

/// Addresses to translate to that the uplink is not in: who answers for them is somebody else's to arrange.
void note_nat_pool(const Config& c, const Network& n, const std::string& path, Report& report) {
  if (n.forward.mode != ForwardMode::kNat || !n.forward.nat.address || report.failed(path)) return;
  for (const Uplink& u : c.uplinks) {
    if (!n.forward.dev.empty() && u.name != n.forward.dev) continue;
    for (const IpPrefix& a : u.addresses)
      if (a.contains(n.forward.nat.address->start) && a.contains(n.forward.nat.address->end)) return;
  }
  report.note(path, "outside of the uplink's subnets: the machines beyond need a route to these addresses");
}

void note_network(const Config& c, const Network& n, const std::string& path, Report& report) {
  if (n.ipv6) report.note(join(path, "ipv6"), "IPv6 between guests is never filtered, with or without this");
  constexpr auto kTrust = "the switch learns what guests send from; there is no filter of the host's to open";
  if (n.trust_guest_rx_filters.value_or(false)) report.note(join(path, "trustGuestRxFilters"), kTrust);
  for (size_t i = 0; i < n.portgroups.size(); ++i)
    if (n.portgroups[i].trust_guest_rx_filters.value_or(false))
      report.note(join(at(join(path, "portgroups"), i), "trustGuestRxFilters"), kTrust);
  note_bridge(n, join(path, "bridge"), report);
  if (n.domain.register_domain)
    report.note(join(path, "domain.register"),
                "the domain is not announced to systemd-resolved; ask the gateway for it");
  if (n.virtualport && !report.failed(join(path, "virtualport")) && !report.failed(join(path, "virtualport.type")))
    report.note(join(path, "virtualport"), "kept, not used");
  if (n.forward.mode == ForwardMode::kRoute)
    report.note(join(path, "forward.mode"),
                "without translation the machines beyond the uplink need a route back to this network");
  if (!n.dnsmasq_options.empty() && !report.failed(join(path, "dnsmasq.options")))
    report.note(join(path, "dnsmasq.options"),
                "kept, not used: there is no dnsmasq; what weft can do has keys of its own");
  if (n.forward.mode == ForwardMode::kBridge && bridged_uplinks(n).empty() && !report.failed(join(path, "forward")))
    report.note(join(path, "forward.mode"), "without 'dev' or a bridge to join, the guests reach only each other");
  note_nat_pool(c, n, join(path, "forward.nat.address"), report);
  for (size_t i = 0; i < n.ips.size(); ++i) note_dhcp(n.ips[i], join(at(join(path, "ips"), i), "dhcp"), report);
}

}  // namespace

void note_differences(const Config& c, Report& report) {
  for (size_t i = 0; i < c.networks.size(); ++i) note_network(c, c.networks[i], at("networks", i), report);
}

}  // namespace weft::config
