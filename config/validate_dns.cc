// SPDX-License-Identifier: BSD-3-Clause
//
// The rules for `domain` and `dns` of a network.
#include "config/check.h"
#include "config/sections.h"

#include <algorithm>

#include <fmt/format.h>

namespace weft::config {
namespace {

void check_domain(const Domain& d, const std::string& path, Report& report) {
  const std::string name = join(path, "name");
  if (d == Domain{} && !report.written(path)) return;
  if (!report.failed(name) && !is_domain_name(d.name))
    report.error(name, mismatch("a domain name such as lab.test", quote(d.name)));
  if (d.register_domain && !d.local_only) report.error(join(path, "register"), "needs 'localOnly: yes'");
}

void check_forwarder(const Forwarder& f, const std::string& path, Report& report) {
  if (!f.addr && f.domain.empty() && !report.failed(join(path, "addr")))
    report.error(path, "at least one of 'addr' and 'domain' is required");
  if (!f.domain.empty() && !is_domain_name(f.domain))
    report.error(join(path, "domain"), mismatch("a domain name such as corp.test", quote(f.domain)));
  if (f.port != 53 && !f.addr) report.error(join(path, "port"), "needs 'addr'");
  if (f.port == 0) report.error(join(path, "port"), "expected a whole number from 1 to 65535, found 0");
  const bool reachable = !f.addr || (f.addr->is_v4() ? !f.addr->v4().is_zero() && f.addr->v4().host() >> 28 < 0xe
                                                     : !f.addr->v6().is_zero() && !f.addr->v6().is_multicast());
  if (!reachable) report.error(join(path, "addr"), fmt::format("{} is no server's address", f.addr->to_string()));
}

void check_dns_host(const DnsHost& h, const std::string& path, Report& report) {
  const std::string names = join(path, "hostnames");
  if (h.hostnames.empty() && !report.failed(names) && !report.failed(at(names, 0)))
    report.error(names, "at least one name is required");
  for (size_t i = 0; i < h.hostnames.size(); ++i) {
    if (!is_host_name(h.hostnames[i]))
      report.error(at(names, i), mismatch("a host name (letters, digits, '-' and '.')", quote(h.hostnames[i])));
  }
}

void check_txt(const DnsTxt& t, const std::string& path, Report& report) {
  const std::string name = join(path, "name");
  if (report.failed(name)) return;
  const bool odd = std::any_of(t.name.begin(), t.name.end(), [](char c) { return c == ',' || c <= ' ' || c == 0x7f; });
  if (odd || t.name.empty() || t.name.size() > 253)
    report.error(name, mismatch("a name without spaces and commas", quote(t.name)));
}

void check_srv(const DnsSrv& s, const std::string& path, Report& report) {
  const std::string service = join(path, "service"), protocol = join(path, "protocol");
  if (!report.failed(service) && (!is_domain_name(s.service) || s.service.find('.') != std::string::npos))
    report.error(service, mismatch("the name of a service such as ldap", quote(s.service)));
  if (!report.failed(protocol) && s.protocol != "tcp" && s.protocol != "udp")
    report.error(protocol, mismatch("tcp or udp", quote(s.protocol)));
  if (!s.domain.empty() && !is_domain_name(s.domain))
    report.error(join(path, "domain"), mismatch("a domain name such as lab.test", quote(s.domain)));
  if (!s.target.empty() && s.target != "." && !is_domain_name(s.target))
    report.error(join(path, "target"), mismatch("a host name, or '.' for none", quote(s.target)));
  const auto needs_target = [&](bool given, const char* key) {
    if (given && s.target.empty()) report.error(join(path, key), "needs 'target'");
  };
  needs_target(s.port.has_value(), "port");
  needs_target(s.priority.has_value(), "priority");
  needs_target(s.weight.has_value(), "weight");
}

}  // namespace

void check_dns(const Network& n, const std::string& network, Report& report) {
  check_domain(n.domain, join(network, "domain"), report);
  const Dns& dns = n.dns;
  const std::string path = join(network, "dns");
  if (!dns.enable) {
    Dns off;
    off.enable = false;
    if (dns != off) report.error(join(path, "enable"), "with 'enable: no' nothing else can be given here");
    return;
  }
  for (size_t i = 0; i < dns.forwarders.size(); ++i)
    check_forwarder(dns.forwarders[i], at(join(path, "forwarders"), i), report);
  for (size_t i = 0; i < dns.hosts.size(); ++i) check_dns_host(dns.hosts[i], at(join(path, "hosts"), i), report);
  for (size_t i = 0; i < dns.txts.size(); ++i) check_txt(dns.txts[i], at(join(path, "txts"), i), report);
  for (size_t i = 0; i < dns.srvs.size(); ++i) check_srv(dns.srvs[i], at(join(path, "srvs"), i), report);
}

}  // namespace weft::config
