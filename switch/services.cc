// SPDX-License-Identifier: BSD-3-Clause
#include "switch/services.h"

#include "dataplane/worker.h"
#include "switch/random.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace weft::vswitch {

using dataplane::Drop;
using wire::Ipv4Address;
using wire::MacAddress;

namespace {

constexpr uint16_t kDhcpServerPort = 67, kDnsPort = 53;
constexpr uint8_t kDhcpTos = 0xc0;  // as dnsmasq sends it: internetwork control
constexpr auto kExpiryPeriod = std::chrono::seconds(1);

dhcp::TimePoint wall_clock() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

uint64_t now_ms() { return dataplane::monotonic_ns() / 1'000'000; }

const config::Ip* dhcp_ip(const config::Network& network) {
  for (const auto& ip : network.ips)
    if (ip.address.is_v4() && ip.dhcp.is_served()) return &ip;
  return nullptr;
}

dhcp::Scope make_scope(const NetworkRecord& network, const config::Ip& ip) {
  const config::Network& c = network.config;
  dhcp::Scope scope;
  scope.network = network.uuid;
  scope.server = ip.address.address.v4();
  scope.prefix_length = ip.address.length;
  for (const auto& r : ip.dhcp.ranges)
    scope.ranges.push_back({r.start.v4(), r.end.v4(), r.lease_seconds.value_or(config::kDefaultLeaseSeconds)});
  for (const auto& h : ip.dhcp.hosts) scope.hosts.push_back({h.mac, h.name, h.ip.v4(), h.lease_seconds});
  if (!scope.ranges.empty()) scope.default_lease_seconds = scope.ranges.front().lease_seconds;
  scope.send_router = c.forward.mode != config::ForwardMode::kNone;
  scope.send_dns = c.dns.enable;
  scope.domain = c.domain.name;
  scope.mtu = c.mtu;
  for (const auto& host : c.dns.hosts)
    scope.taken_names.insert(scope.taken_names.end(), host.hostnames.begin(), host.hostnames.end());
  return scope;
}

dns::LocalZoneConfig make_zone(const config::Network& c) {
  dns::LocalZoneConfig zone;
  zone.domain = c.domain.name;
  zone.local_only = c.domain.local_only;
  zone.forward_plain_names = c.dns.forward_plain_names;
  zone.isolated = c.forward.mode == config::ForwardMode::kNone;
  for (const auto& ip : c.ips) {
    zone.subnets.push_back({ip.address.address, ip.address.length, ip.local_ptr});
    for (const auto& h : ip.dhcp.hosts)
      if (!h.name.empty()) zone.reservations.push_back({h.name, h.ip});
  }
  for (const auto& h : c.dns.hosts) zone.hosts.push_back({h.ip, h.hostnames});
  return zone;
}

std::vector<dns::ForwardRule> make_rules(const config::Network& c) {
  std::vector<dns::ForwardRule> rules;
  for (const auto& f : c.dns.forwarders) rules.push_back({f.domain, f.addr, f.port});
  return rules;
}

}  // namespace

struct Services::Served {
  NetworkId id = kNoNetwork;
  std::string name;
  MacAddress gateway_mac;
  std::vector<Ipv4Address> addresses;  // the gateway's
  std::optional<dhcp::Server> dhcp;
  std::shared_ptr<dns::Resolver> resolver;
  std::vector<std::unique_ptr<dns::Listener>> listeners;
};

Services::Services(boost::asio::io_context& io, dhcp::StoreThread& store, Inject inject, AddressInUse in_use)
    : io_(io), store_(store), inject_(std::move(inject)), in_use_(std::move(in_use)), forwarder_(io, {}), timer_(io) {
  expire();
}

Services::~Services() = default;

void Services::add(const NetworkRecord& network, std::span<const dhcp::Lease> leases) {
  auto served = std::make_unique<Served>();
  const config::Network& c = network.config;
  served->id = network.id;
  served->name = c.name;
  served->gateway_mac = network.gateway_mac;
  for (const auto& ip : c.ips)
    if (ip.address.is_v4()) served->addresses.push_back(ip.address.address.v4());

  if (c.dns.enable && !c.ips.empty()) {
    const bool is_isolated = c.forward.mode == config::ForwardMode::kNone;
    auto upstream = is_isolated ? nullptr : forwarder_.open_channel(dns::ForwardRules(make_rules(c)));
    served->resolver = std::make_shared<dns::Resolver>(make_zone(c), std::move(upstream), now_ms);
    for (const auto& ip : c.ips) own_addresses_.push_back(ip.address.address);
    forwarder_.set_own_addresses(own_addresses_);
  }
  listen(*served, c);

  if (const config::Ip* ip = dhcp_ip(c)) {
    dhcp::ServerOptions options;
    options.seed = random_u64();
    options.address_in_use = [this, id = network.id](Ipv4Address a, MacAddress client) {
      return in_use_(id, a, client);
    };
    served->dhcp.emplace(make_scope(network, *ip), std::move(options));
    for (auto& change : served->dhcp->restore(leases, wall_clock())) submit(*served, std::move(change), {});
    publish_names(*served);
  }
  served_[network.id] = std::move(served);
}

void Services::listen(Served& served, const config::Network& c) {
  served.listeners.clear();
  if (!served.resolver || !c.bridge.host.value_or(false)) return;
  // Through the seat come the guests' TCP queries, through the loopback the host's own; nobody else is served,
  // however his packets got to this address (CVE-2012-3411).
  try {
    for (const auto& ip : c.ips)
      for (const std::string& device : {c.bridge.name, std::string("lo")})
        served.listeners.push_back(std::make_unique<dns::Listener>(
            io_, dns::ListenerConfig{.address = ip.address.address, .device = device}, served.resolver));
  } catch (const std::exception& e) {
    throw std::runtime_error(fmt::format("{}: network {}: {} (stop who holds the port, or say dns.enable: no)",
                                         c.where.to_string(), c.name, e.what()));
  }
}

void Services::renew_listeners(const NetworkRecord& network) {
  if (const auto it = served_.find(network.id); it != served_.end()) listen(*it->second, network.config);
}

void Services::publish_names(Served& served) {
  if (!served.resolver || !served.dhcp) return;
  served.dhcp->for_each_lease([&](const dhcp::Lease& lease) {
    served.resolver->zone().set_lease(served.dhcp->published_name(lease), lease.address);
  });
}

const dhcp::Server* Services::dhcp(NetworkId network) const noexcept {
  const auto it = served_.find(network);
  return it != served_.end() && it->second->dhcp ? &*it->second->dhcp : nullptr;
}

void Services::forget_port(PortId port) {
  for (auto& [id, served] : served_)
    if (served->dhcp) served->dhcp->forget_port(port);
}

Drop Services::handle(std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta) {
  try {
    return handle_frame(frame, meta);
  } catch (const std::exception& e) {  // no memory; the next packet may have better luck
    spdlog::error("a packet for the switch could not be answered: {}", e.what());
    return Drop::local_queue_full;
  }
}

Drop Services::handle_frame(std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta) {
  const auto it = served_.find(meta.network);
  if (it == served_.end()) return Drop::port_removed;
  const auto udp = read_udp_frame(frame, meta.offload.checksum);
  if (!udp) return Drop::ip_bad_l4;
  switch (udp->destination.port) {
    case kDhcpServerPort:
      return handle_dhcp(*it->second, *udp, meta.in_port);
    case kDnsPort:
      return handle_dns(*it->second, *udp, meta.in_port);
    default:
      return Drop::local_no_service;
  }
}

Drop Services::handle_dhcp(Served& served, const UdpFrame& request, PortId port) {
  if (!served.dhcp) return Drop::local_no_service;
  auto outcome = served.dhcp->handle(
      request.payload, {request.source.mac, request.source.ip, request.destination.ip, port}, wall_clock());
  if (outcome.verdict == dhcp::Verdict::malformed) return Drop::local_dhcp_bad;
  if (!outcome.reason.empty())
    spdlog::debug("network {}: DHCP from {}: {}", served.name, request.source.mac.to_string(), outcome.reason);
  auto send = [this, id = served.id, to = outcome.destination, reply = std::move(outcome.reply)] {
    if (const auto it = served_.find(id); it != served_.end() && !reply.empty()) send_dhcp(*it->second, to, reply);
  };
  if (outcome.change)
    submit(served, std::move(*outcome.change), std::move(send));
  else
    send();
  return Drop::none;
}

void Services::submit(Served& served, dhcp::LeaseChange change, std::function<void()> then) {
  const NetworkId id = served.id;
  const bool queued = store_.submit(
      change, [this, id, then = std::move(then)](const dhcp::LeaseChange& kept, const std::string& error) {
        const auto it = served_.find(id);
        if (it == served_.end() || !it->second->dhcp) return;
        Served& s = *it->second;
        if (!error.empty()) {
          spdlog::error("network {}: a lease could not be kept: {}", s.name, error);
          s.dhcp->revert(kept);
          return;
        }
        s.dhcp->committed(kept);
        if (s.resolver) {
          for (const Ipv4Address a : kept.removed) s.resolver->zone().remove_lease(a);
          if (kept.put)
            if (const dhcp::Lease* lease = s.dhcp->find(kept.put->address))
              s.resolver->zone().set_lease(s.dhcp->published_name(*lease), lease->address);
        }
        if (then) then();
      });
  if (queued) return;
  spdlog::error("network {}: a lease could not be kept: the store's queue is full", served.name);
  served.dhcp->revert(change);
}

void Services::send_dhcp(const Served& served, const dhcp::Destination& to, std::span<const uint8_t> payload) {
  const UdpEndpoint source{served.gateway_mac, served.dhcp->scope().server, kDhcpServerPort};
  const UdpEndpoint destination = to.broadcast
                                      ? UdpEndpoint{MacAddress::broadcast(), Ipv4Address(255, 255, 255, 255), to.port}
                                      : UdpEndpoint{to.mac, to.ip, to.port};
  inject_(make_udp_frame(source, destination, payload, kDhcpTos), served.id);
}

Drop Services::handle_dns(Served& served, const UdpFrame& query, PortId port) {
  if (!served.resolver) return Drop::local_no_service;
  // An answer comes from where the query went to; a broadcast address can be no source.
  const auto& own = served.addresses;
  if (std::find(own.begin(), own.end(), query.destination.ip) == own.end()) return Drop::local_dns_bad;
  // Known at once or much later; nothing of the frame may be kept.
  auto state = std::make_shared<Drop>(Drop::none);
  const UdpEndpoint client = query.source, server = query.destination;
  served.resolver->query(
      query.payload, dns::Transport::kUdp, port,
      [this, id = served.id, client, server, state](std::span<const uint8_t> response) {
        if (response.empty()) {
          *state = Drop::local_dns_bad;
          return;
        }
        const auto it = served_.find(id);
        if (it == served_.end()) return;
        inject_(make_udp_frame({it->second->gateway_mac, server.ip, server.port}, client, response, 0), id);
      });
  return *state;
}

void Services::expire() {
  constexpr size_t kAtOnce = 256;
  bool is_more = false;
  try {
    for (auto& [id, served] : served_) {
      if (!served->dhcp) continue;
      auto changes = served->dhcp->expire(wall_clock(), kAtOnce);
      is_more |= changes.size() == kAtOnce;
      for (auto& change : changes) submit(*served, std::move(change), {});
    }
  } catch (const std::exception& e) {
    spdlog::error("leases could not be ended: {}", e.what());
  }
  // Whatever else waits on the loop goes between two rounds.
  timer_.expires_after(is_more ? std::chrono::seconds(0) : kExpiryPeriod);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) expire();
  });
}

}  // namespace weft::vswitch
