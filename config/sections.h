// SPDX-License-Identifier: BSD-3-Clause
//
// The readers of each section of the YAML, one file each, and the checks that run over the model after them.
// Internal to config/.
#pragma once

#include "config/load.h"
#include "config/model.h"
#include "config/reader.h"
#include "config/report.h"

#include <optional>
#include <string>

namespace weft::config {

// load_switch.cc
void read_switch(Reader& r, Switch& s);
/// "0660" or "660": permission bits in octal.
bool read_permission_bits(Reader& r, std::string_view key, std::optional<uint16_t>& out);
std::optional<uint16_t> parse_permission_bits(std::string_view text);

// load_port.cc
void read_uplink(Reader& r, Uplink& u);
void read_port(Reader& r, Port& p);

// load_network.cc
void read_network(Reader& r, Network& n);

// load_ip.cc
void read_ip(Reader& r, Ip& ip);
void read_route(Reader& r, Route& route);
/// Prefix length of a netmask; nothing when its ones are not contiguous.
std::optional<uint8_t> prefix_of(wire::Ipv4Address netmask);
/// The prefix of an address that came without one: by its class for IPv4, as libvirt does, 64 for IPv6.
uint8_t default_prefix(const wire::IpAddress& address);
/// `expiry` of `unit` in seconds; nothing when the unit is unknown or it is more than 32 bits hold.
std::optional<uint32_t> lease_seconds(uint64_t expiry, std::string_view unit);

// load_qos.cc: what networks, portgroups and ports have in common
void read_bandwidth(Reader& r, std::optional<Bandwidth>& out);
void read_vlan(Reader& r, std::optional<Vlan>& out);
void read_virtualport(Reader& r, std::optional<VirtualPort>& out);

// The checks. Paths are as the YAML's, whatever the model was made from.
void check_switch(const Config& c, Report& report);                             // validate_port.cc
void check_uplinks(const Config& c, Report& report);                            // validate_port.cc
void check_ports(const Config& c, Report& report);                              // validate_port.cc
void check_network(const Network& n, const std::string& path, Report& report);  // validate_network.cc
void check_ips(const Network& n, const std::string& path, Report& report);      // validate_ip.cc
void check_dns(const Network& n, const std::string& path, Report& report);      // validate_dns.cc
void check_bandwidth(const std::optional<Bandwidth>& b, const std::string& path, bool with_floor, Report& report);
void check_vlan(const std::optional<Vlan>& v, const std::string& path, Report& report);
void check_virtualport(const std::optional<VirtualPort>& v, const std::string& path, ForwardMode mode, Report& report);
void check_together(const Config& c, Report& report);    // validate.cc: what must differ between items
void check_supported(const Config& c, Report& report);   // unsupported.cc
void note_differences(const Config& c, Report& report);  // notes.cc
/// All of the above in their order.
void check_all(const Config& c, Support support, Report& report);

}  // namespace weft::config
