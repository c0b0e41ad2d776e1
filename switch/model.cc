// SPDX-License-Identifier: BSD-3-Clause
#include "switch/model.h"

#include <algorithm>

namespace weft::vswitch {

using wire::Ipv4Address;
using wire::Ipv4Prefix;

namespace {

constexpr uint16_t kDefaultMtu = 1500;

std::vector<Ipv4Address> addresses_of(const config::Ipv4Range& range) {
  std::vector<Ipv4Address> all;
  for (uint64_t a = range.start.host(); a <= range.end.host(); ++a) all.emplace_back(static_cast<uint32_t>(a));
  return all;
}

void sort_unique(std::vector<Ipv4Address>& addresses) {
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
}

std::vector<Ipv4Address> switch_addresses(const Snapshot& snapshot) {
  std::vector<Ipv4Address> all;
  for (const auto& u : snapshot.uplinks) {
    for (const auto& a : u.addresses) all.push_back(a.address);
    all.insert(all.end(), u.pool.begin(), u.pool.end());
  }
  for (const auto& n : snapshot.networks) {
    if (n.seat != kNoPort) continue;
    for (const auto& a : n.addresses) all.push_back(a.address);
  }
  sort_unique(all);
  return all;
}

ForwardMode to_mode(config::ForwardMode mode) {
  switch (mode) {
    case config::ForwardMode::kNat:
      return ForwardMode::nat;
    case config::ForwardMode::kRoute:
      return ForwardMode::route;
    default:
      return ForwardMode::none;
  }
}

UplinkEntry build_uplink(const UplinkRecord& record, std::optional<uint32_t> mtu) {
  UplinkEntry entry;
  entry.mac = record.mac;
  if (mtu) entry.mtu = static_cast<uint16_t>(std::min<uint32_t>(*mtu, 65535));
  std::vector<Route> routes;
  const InterfaceId interface = interface_of_uplink(record.id);
  for (const auto& a : record.config.addresses) {
    if (!a.is_v4()) continue;
    entry.addresses.push_back(a.v4());
    routes.push_back({{a.v4().network(), a.length}, std::nullopt, interface, 0, RouteKind::connected});
  }
  uint32_t metric = 0;  // the first gateway is the one
  for (const auto& g : record.config.gateways)
    if (g.is_v4()) routes.push_back({{}, g.v4(), interface, metric++, RouteKind::static_});
  entry.fib = Fib(std::move(routes));
  return entry;
}

/// The MTU of the netdev an uplink is, when that is a netdev of this namespace that is here.
std::optional<uint32_t> link_mtu(const Model& model, const UplinkRecord& record) {
  std::string name;
  if (const auto* netdev = std::get_if<config::Netdev>(&record.config.device)) name = netdev->name;
  if (const auto* tap = std::get_if<config::Tap>(&record.config.device); tap != nullptr && tap->netns.empty())
    name = tap->name;
  const auto it = model.link_mtu.find(name);
  return it != model.link_mtu.end() ? std::optional(it->second) : std::nullopt;
}

void add_nat(NetworkEntry& entry, const NetworkRecord& record, Snapshot& snapshot, const Model& model) {
  const auto& nat = record.config.forward.nat;
  entry.nat_port_start = nat.port.start;
  entry.nat_port_end = nat.port.end;
  if (record.uplink == kNoUplink) return;
  UplinkEntry& uplink = snapshot.uplinks[record.uplink];
  if (const auto& ports = model.uplinks[record.uplink].config.ports) {
    entry.nat_port_start = std::max(entry.nat_port_start, ports->start);
    entry.nat_port_end = std::min(entry.nat_port_end, ports->end);
  }
  if (!nat.address) return;
  entry.nat_addresses = addresses_of(*nat.address);
  uplink.pool.insert(uplink.pool.end(), entry.nat_addresses.begin(), entry.nat_addresses.end());
}

NetworkEntry build_network(const NetworkRecord& record) {
  NetworkEntry entry;
  entry.exists = true;
  entry.mode = to_mode(record.config.forward.mode);
  entry.gateway_mac = record.gateway_mac;
  entry.mtu = record.config.mtu.value_or(kDefaultMtu);
  entry.uplink = record.uplink;
  entry.serves_dns = record.config.dns.enable;
  for (const auto& ip : record.config.ips) {
    if (!ip.address.is_v4()) continue;
    entry.addresses.push_back(ip.address.v4());
    entry.serves_dhcp |= ip.dhcp.is_served();
  }
  entry.has_gateway = !entry.addresses.empty();
  return entry;
}

}  // namespace

void connect_uplinks(Model& model) {
  for (const auto& n : model.networks)
    for (const std::string& name : config::bridged_uplinks(n.config))
      for (auto& u : model.uplinks)
        if (u.config.name == name) u.network = n.id;
  for (auto& n : model.networks) {
    const config::Forward& forward = n.config.forward;
    if (forward.mode != config::ForwardMode::kNat && forward.mode != config::ForwardMode::kRoute) continue;
    for (const auto& u : model.uplinks)
      if (u.network == kNoNetwork && (forward.dev.empty() || u.config.name == forward.dev)) n.uplink = u.id;
  }
}

std::unique_ptr<Snapshot> build_snapshot(const Model& model) {
  auto snapshot = std::make_unique<Snapshot>();
  for (const auto& u : model.uplinks) snapshot->uplinks.push_back(build_uplink(u, link_mtu(model, u)));

  std::vector<Route> inside;
  for (const auto& n : model.networks) {
    snapshot->networks.push_back(build_network(n));
    NetworkEntry& entry = snapshot->networks.back();
    if (entry.mode == ForwardMode::nat) add_nat(entry, n, *snapshot, model);
    for (const auto& a : entry.addresses)
      inside.push_back({{a.network(), a.length}, std::nullopt, interface_of_network(n.id), 0, RouteKind::connected});
    for (const auto& r : n.config.routes)
      if (r.destination.is_v4() && r.gateway.is_v4())
        inside.push_back(
            {r.destination.v4(), r.gateway.v4(), interface_of_network(n.id), r.metric, RouteKind::static_});
  }
  snapshot->inside = Fib(std::move(inside));
  for (auto& u : snapshot->uplinks) sort_unique(u.pool);

  for (const auto& p : model.ports) {
    if (p->port == nullptr) continue;
    if (p->id >= snapshot->ports.size()) snapshot->ports.resize(p->id + 1u);
    PortEntry& entry = snapshot->ports[p->id];
    entry = {.port = p->port.get(), .role = p->role};
    if (p->role == Role::uplink && model.uplinks[p->uplink].network == kNoNetwork) {
      entry.uplink = p->uplink;
      snapshot->uplinks[p->uplink].port = p->id;
      continue;
    }
    if (p->role == Role::guest && !p->config.link_up) continue;  // its frames end in ingress_port_down
    entry.network = p->role == Role::uplink ? model.uplinks[p->uplink].network : p->network;
    NetworkEntry& network = snapshot->networks[entry.network];
    network.members.push_back(p->id);
    if (p->role == Role::seat) network.seat = p->id;
    if (p->role == Role::guest)
      entry.is_isolated = p->config.isolated.value_or(model.networks[p->network].config.isolated.value_or(false));
  }
  snapshot->host_addresses = model.host_addresses;
  sort_unique(snapshot->host_addresses);
  snapshot->switch_addresses = switch_addresses(*snapshot);
  return snapshot;
}

}  // namespace weft::vswitch
