// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/station_switch.h"

#include <chrono>
#include <stdexcept>

#include <fmt/format.h>

namespace weft::vswitch::test {

namespace {

constexpr auto kPatience = std::chrono::seconds(2);  // only ever waited for when a test fails

}  // namespace

StationSwitch::StationSwitch(const std::vector<Station*>& inside, const std::vector<Station*>& beyond, Beyond where) {
  const bool is_routed = where == Beyond::other_network;
  const char* router_ip = is_routed ? "192.168.101.1" : where == Beyond::uplink ? kUplinkIp : "192.168.100.1";
  const char* router_mac = is_routed ? kGreenGatewayMac : where == Beyond::uplink ? kUplinkMac : kGatewayMac;
  std::string yaml;
  if (where == Beyond::uplink)
    yaml += fmt::format("uplinks: [{{name: {}, device: eth0, address: [{}/24], gateway: [{}]}}]\n",
                        beyond.front()->name(), kUplinkIp, kNextHop);
  yaml += fmt::format(
      "networks:\n"
      "  - {{name: red, forward: {{mode: {}}}, bridge: {{host: no}}, ips: [{{address: 192.168.100.1, prefix: 24}}]}}\n",
      where == Beyond::uplink ? "nat" : "route");
  if (is_routed)
    yaml +=
        "  - {name: green, forward: {mode: route}, bridge: {host: no}, ips: [{address: 192.168.101.1, prefix: 24}]}\n";
  yaml += "ports:\n";
  for (Station* s : inside) yaml += add(*s, "red", "192.168.100.");
  for (Station* s : beyond) {
    if (where == Beyond::uplink)
      place_at(*s, kNextHop);
    else
      yaml += is_routed ? add(*s, "green", "192.168.101.") : add(*s, "red", "192.168.100.");
  }
  configure(yaml);
  for (Station* s : inside) introduce(*s, "192.168.100.1", kGatewayMac);
  for (Station* s : beyond) introduce(*s, router_ip, router_mac);
}

void StationSwitch::place_at(Station& s, const std::string& ip) {
  places_[s.name()] = {fmt::format("52:54:00:00:0a:{:02x}", places_.size()), ip};
  give(s.name(), std::make_unique<BorrowedPort>(s.port()));
  (void)s.take();  // of a switch before that failed
}

/// Its entry in the configuration; the port is not a tap but the station's.
std::string StationSwitch::add(Station& s, const char* network, const std::string& subnet) {
  place_at(s, subnet + std::to_string(10 + places_.size()));
  return fmt::format("  - {{name: {0}, network: {1}, tap: {{name: {0}}}}}\n", s.name(), network);
}

/// Makes it known to the fdb and as a neighbour.
void StationSwitch::introduce(Station& s, const char* router_ip, const char* router_mac) {
  const Place& p = place(s);
  deliver(s, {arp_frame(Arp::question, p.mac, p.ip, router_mac, router_ip)});
  if (collect(s, 1).size() != 1) throw std::runtime_error(s.name() + ": the router does not answer");
  deliver(s, {arp_frame(Arp::answer, p.mac, p.ip, router_mac, router_ip)});
}

std::vector<Handed> StationSwitch::collect(Station& to, size_t n_expected) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::vector<Handed> got;
  do {
    run();
    for (Handed& h : to.take()) got.push_back(std::move(h));
  } while (got.size() < n_expected && std::chrono::steady_clock::now() < end);
  return got;
}

void StationSwitch::deliver(Station& from, const Handed& frame) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  const uint64_t before = totals().rx_packets;
  from.send(frame);
  do run();
  while (totals().rx_packets == before && std::chrono::steady_clock::now() < end);
}

std::string StationSwitch::drop_names() {
  std::string names;
  const auto t = totals();
  for (size_t i = 0; i < dataplane::kDrops; ++i)
    if (t.drops[i] != 0) names += fmt::format(" {} {}", t.drops[i], drop_name(static_cast<dataplane::Drop>(i)));
  return names.empty() ? " nothing dropped" : names;
}

uint32_t number_of(const std::string& ip) { return wire::Ipv4Address::parse(ip).value().host(); }

std::array<uint8_t, 12> macs(const std::string& to, const std::string& from) {
  std::array<uint8_t, 12> both;
  const auto a = wire::MacAddress::parse(to).value(), b = wire::MacAddress::parse(from).value();
  std::copy(a.bytes.begin(), a.bytes.end(), both.begin());
  std::copy(b.bytes.begin(), b.bytes.end(), both.begin() + 6);
  return both;
}

}  // namespace weft::vswitch::test
