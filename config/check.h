// SPDX-License-Identifier: BSD-3-Clause
//
// Small questions several checks ask. Internal to config/.
#pragma once

#include "config/model.h"
#include "config/report.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace weft::config {

/// Length of the well-formed UTF-8 sequence at `i`, 0 if there is none (RFC 3629).
size_t utf8_at(std::string_view s, size_t i);
/// Labels of letters, digits and inner hyphens, 63 bytes each, 253 in all (RFC 1123 2.1, RFC 1035 2.3.4).
bool is_host_name(std::string_view name);
/// The same with underscores, as records and domains that are no hosts have them (RFC 2181 11).
bool is_domain_name(std::string_view name);
/// What Linux takes as the name of a netdev, 15 bytes at most.
bool is_netdev_name(std::string_view name);
/// Names of our own items: not empty, no '/', nothing unprintable.
void check_name(const std::string& name, const std::string& path, Report& report);
void check_netdev_name(const std::string& name, const std::string& path, Report& report);
/// A path a Unix socket can have: absolute, at most 107 bytes.
void check_socket_path(const std::string& socket_path, const std::string& path, Report& report);
/// Unicast, and not all zeros.
void check_mac(const wire::MacAddress& mac, const std::string& path, Report& report);
/// An address a machine can have: reports why `a` is none. Says nothing about subnets.
bool check_unicast(const wire::IpAddress& a, const std::string& path, Report& report);
/// The same with its subnet: neither the network's own address nor the broadcast address. False when
/// reported.
bool check_host_in(const IpPrefix& subnet, const wire::IpAddress& a, const std::string& path, Report& report);
/// Is `a` the network or the broadcast address of an IPv4 `subnet` that has them? Their name, or nullptr.
const char* reserved_in(const IpPrefix& subnet, const wire::IpAddress& a);
/// The network's first address.
IpPrefix network_of(const IpPrefix& p);
/// How far `b` lies above `a`, of the same family and not before it; more than 64 bits hold counts as the
/// most they do.
uint64_t distance(const wire::IpAddress& a, const wire::IpAddress& b);

/// Finds what must be given only once. Reports at the second place, naming the first.
class Once {
 public:
  Once(Report& report, std::string what) : report_(report), what_(std::move(what)) {}
  void add(const std::string& value, const std::string& path);

 private:
  Report& report_;
  std::string what_;
  std::map<std::string, std::string> seen_;
};

}  // namespace weft::config
