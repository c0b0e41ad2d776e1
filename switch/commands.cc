// SPDX-License-Identifier: BSD-3-Clause
#include "switch/commands.h"

#include "config/libvirt_xml.h"
#include "config/load.h"
#include "config/yaml_out.h"
#include "dataplane/wire/headers.h"
#include "switch/daemon.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <map>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <unistd.h>

namespace weft::vswitch {

using dataplane::PortTotals;
using Json = nlohmann::json;

namespace {

std::string text_of(const Json& arguments, const char* key) {
  const auto it = arguments.find(key);
  if (it == arguments.end() || it->is_null()) return "";
  if (!it->is_string()) throw CommandError(fmt::format("'{}' is to be a string", key), 2);
  return it->get<std::string>();
}

std::string required(const Json& arguments, const char* key) {
  std::string value = text_of(arguments, key);
  if (value.empty()) throw CommandError(fmt::format("'{}' is missing", key), 2);
  return value;
}

NetworkRecord& find_network(Daemon& daemon, const Json& arguments) {
  const std::string name = required(arguments, "network");
  NetworkRecord* network = daemon.model().network(name);
  if (network == nullptr) {
    for (auto& n : daemon.model().networks)
      if (n.uuid == name) return n;
    throw CommandError(fmt::format("there is no network '{}'", name));
  }
  return *network;
}

/// The network named in the arguments, or nullptr for all.
NetworkRecord* optional_network(Daemon& daemon, const Json& arguments) {
  return text_of(arguments, "network").empty() ? nullptr : &find_network(daemon, arguments);
}

const char* role_name(Role role) {
  switch (role) {
    case Role::guest:
      return "guest";
    case Role::seat:
      return "seat";
    case Role::uplink:
      return "uplink";
  }
  return "";
}

std::string network_name(Daemon& daemon, NetworkId id) {
  return id < daemon.model().networks.size() ? daemon.model().networks[id].config.name : "";
}

/// An uplink that is a member of a bridge-mode network is in that network.
NetworkId network_of(Daemon& daemon, const PortRecord& p) {
  return p.role == Role::uplink ? daemon.model().uplinks[p.uplink].network : p.network;
}

std::string interface_name(Daemon& daemon, InterfaceId id) {
  if (!is_uplink_interface(id)) return network_name(daemon, id);
  const UplinkId u = uplink_of_interface(id);
  return u < daemon.model().uplinks.size() ? daemon.model().uplinks[u].config.name : "";
}

// ---- networks ------------------------------------------------------------------------------------------------------

const char* mode_name(config::ForwardMode mode) {
  switch (mode) {
    case config::ForwardMode::kNat:
      return "nat";
    case config::ForwardMode::kRoute:
      return "route";
    case config::ForwardMode::kOpen:
      return "open";
    case config::ForwardMode::kBridge:
      return "bridge";
    case config::ForwardMode::kNone:
      return "none";
  }
  return "";
}

Json net_list(Daemon& daemon, const Json&) {
  Json networks = Json::array();
  for (const auto& n : daemon.model().networks)
    networks.push_back({{"name", n.config.name},
                        {"uuid", n.uuid},
                        {"state", "active"},
                        {"autostart", n.config.autostart},
                        {"persistent", true}});
  return {{"networks", networks}};
}

Json net_info(Daemon& daemon, const Json& arguments) {
  const NetworkRecord& n = find_network(daemon, arguments);
  size_t n_ports = 0, n_connections = 0;
  for (const auto& p : daemon.model().ports) n_ports += p->network == n.id && p->role == Role::guest;
  for (uint16_t w = 0; w < daemon.engine().n_workers(); ++w)
    n_connections += daemon.engine().pipeline(w).masquerade().n_sessions(n.id);
  const dhcp::Server* dhcp = daemon.services().dhcp(n.id);
  return {{"name", n.config.name},
          {"uuid", n.uuid},
          {"active", true},
          {"persistent", true},
          {"autostart", n.config.autostart},
          {"bridge", n.config.bridge.name},
          {"forward", mode_name(n.config.forward.mode)},
          {"mac", n.gateway_mac.to_string()},
          {"ports", n_ports},
          {"leases", dhcp != nullptr ? dhcp->lease_count() : 0},
          {"connections", n_connections}};
}

Json net_dump(Daemon& daemon, const Json& arguments) {
  const NetworkRecord& n = find_network(daemon, arguments);
  const std::string format = arguments.value("format", "yaml");
  // As it runs: with what the switch made itself.
  config::Network live = n.config;
  live.uuid = n.uuid;
  live.mac = n.gateway_mac;
  if (format == "xml") return {{"format", format}, {"text", config::to_libvirt_xml(live)}};
  if (format != "yaml") throw CommandError("format is to be yaml or xml", 2);
  return {{"format", format}, {"text", config::to_yaml(live)}};
}

Json net_dhcp_leases(Daemon& daemon, const Json& arguments) {
  const NetworkRecord& n = find_network(daemon, arguments);
  const dhcp::Server* server = daemon.services().dhcp(n.id);
  const std::string wanted = text_of(arguments, "mac");
  if (!wanted.empty() && !wire::MacAddress::parse(wanted))
    throw CommandError(fmt::format("'{}' is no MAC address", wanted), 2);
  Json leases = Json::array();
  if (server != nullptr) {
    auto all = server->leases();
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
    for (const auto& l : all) {
      if (!wanted.empty() && l.mac != *wire::MacAddress::parse(wanted)) continue;
      std::string client_id;
      for (const char c : l.client_id)
        client_id += fmt::format("{}{:02x}", client_id.empty() ? "" : ":", static_cast<uint8_t>(c));
      leases.push_back({{"expiry", l.expiry},
                        {"mac", l.mac.to_string()},
                        {"protocol", "ipv4"},
                        {"address", l.address.to_string()},
                        {"prefix", server->scope().prefix_length},
                        {"hostname", std::string(server->shown_name(l))},
                        {"client-id", client_id}});
    }
  }
  return {{"leases", leases}};
}

// ---- ports ---------------------------------------------------------------------------------------------------------

Json port_list(Daemon& daemon, const Json&) {
  Json ports = Json::array();
  for (const auto& p : daemon.model().ports)
    ports.push_back({{"name", p->name},
                     {"network", network_name(daemon, network_of(daemon, *p))},
                     {"role", role_name(p->role)},
                     {"kind", p->port ? std::string(p->port->kind()) : "netdev"},
                     {"source", p->source},
                     {"link", p->port && p->port->is_up() && p->config.link_up ? "up" : "down"},
                     {"mac", p->config.mac ? p->config.mac->to_string() : ""},
                     {"origin", p->origin == Origin::file ? "file" : "runtime"}});
  return {{"ports", ports}};
}

Json port_add(Daemon& daemon, const Json& arguments) {
  const config::Port port = port_from_json(arguments);
  daemon.add_port(port, Origin::runtime);
  daemon.remember_port(port.name, arguments);
  return Json::object();
}

Json port_remove(Daemon& daemon, const Json& arguments) {
  const std::string name = required(arguments, "name");
  const PortRecord* record = daemon.model().port(name);
  if (record != nullptr && record->role == Role::guest && record->origin == Origin::file)
    throw CommandError(
        fmt::format("port '{}' is written in {}; remove it there", name, record->config.where.to_string()));
  daemon.remove_port(name);
  return Json::object();
}

Json stats_of(const PortTotals& now, const PortTotals& before) {
  Json drops = Json::object();
  for (size_t d = 1; d < dataplane::kDrops; ++d)
    if (const uint64_t n = now.drops[d] - before.drops[d]; n != 0) drops[std::string(dataplane::kDropInfo[d].name)] = n;
  return {{"rx-packets", now.rx_packets - before.rx_packets},
          {"rx-bytes", now.rx_bytes - before.rx_bytes},
          {"tx-packets", now.tx_packets - before.tx_packets},
          {"tx-bytes", now.tx_bytes - before.tx_bytes},
          {"injected", now.injected - before.injected},
          {"copies", now.copies - before.copies},
          {"consumed", now.consumed - before.consumed},
          {"held", now.held},
          {"drops", drops}};
}

Json stats_of(Daemon& daemon, const PortRecord& p) {
  Json stats = stats_of(daemon.engine().totals_of(p.id), p.before);
  stats["name"] = p.name;
  return stats;
}

Json port_stats(Daemon& daemon, const Json& arguments) {
  const std::string name = required(arguments, "name");
  const PortRecord* p = daemon.model().port(name);
  if (p == nullptr) throw CommandError(fmt::format("there is no port '{}'", name));
  return stats_of(daemon, *p);
}

// ---- tables --------------------------------------------------------------------------------------------------------

Json fdb(Daemon& daemon, const Json& arguments) {
  const NetworkRecord* only = optional_network(daemon, arguments);
  constexpr size_t kMostListed = 100'000;
  Json entries = Json::array();
  size_t count = 0;
  daemon.engine().fdb().for_each(static_cast<uint32_t>(dataplane::monotonic_ns() / 1'000'000'000),
                                 [&](const Fdb::Entry& e) {
                                   if (only != nullptr && e.network != only->id) return;
                                   if (++count > kMostListed) return;
                                   const PortRecord* port = daemon.model().port(e.port);
                                   entries.push_back({{"network", network_name(daemon, e.network)},
                                                      {"mac", e.mac.to_string()},
                                                      {"port", port != nullptr ? port->name : ""},
                                                      {"age", e.age_seconds}});
                                 });
  return {{"count", count}, {"entries", std::move(entries)}};
}

/// How much a state says.
int rank(NeighbourState state) {
  switch (state) {
    case NeighbourState::reachable:
      return 4;
    case NeighbourState::probe:
    case NeighbourState::stale:
      return 3;
    case NeighbourState::incomplete:
      return 2;
    case NeighbourState::failed:
      return 1;
    case NeighbourState::none:
      return 0;
  }
  return 0;
}

Json neigh(Daemon& daemon, const Json& arguments) {
  const NetworkRecord* only = optional_network(daemon, arguments);
  // Each worker has a table of its own: of what several know, the best.
  std::map<std::pair<InterfaceId, wire::Ipv4Address>, Neighbours::Listed> known;
  for (uint16_t w = 0; w < daemon.engine().n_workers(); ++w)
    daemon.engine().pipeline(w).neighbours().for_each(dataplane::monotonic_ns(), [&](const Neighbours::Listed& n) {
      if (only != nullptr && n.interface != interface_of_network(only->id)) return;
      const auto [it, is_new] = known.try_emplace({n.interface, n.address}, n);
      if (!is_new && rank(n.state) > rank(it->second.state)) it->second = n;
    });
  Json neighbours = Json::array();
  for (const auto& [key, n] : known)
    neighbours.push_back({{"interface", interface_name(daemon, n.interface)},
                          {"address", n.address.to_string()},
                          {"mac", n.mac.is_zero() ? "" : n.mac.to_string()},
                          {"state", to_string(n.state)}});
  return {{"neighbours", neighbours}};
}

// ---- connections ---------------------------------------------------------------------------------------------------

const char* protocol_name(uint8_t protocol) {
  switch (protocol) {
    case wire::ipproto::kTcp:
      return "tcp";
    case wire::ipproto::kUdp:
      return "udp";
    case wire::ipproto::kIcmp:
      return "icmp";
    default:
      return "?";
  }
}

Json to_json(Daemon& daemon, const nat::ConnectionInfo& c) {
  return {{"network", network_name(daemon, c.network)},
          {"protocol", protocol_name(c.protocol)},
          {"source", c.source.to_string()},
          {"source-port", c.source_port},
          {"destination", c.destination.to_string()},
          {"destination-port", c.destination_port},
          {"nat-address", c.nat_address.to_string()},
          {"nat-port", c.nat_port},
          {"state", std::string(nat::state_name(c.state))},
          {"expires", c.expires_s},
          {"packets", c.packets},
          {"bytes", c.bytes}};
}

/// Walks a worker's connection table in slices, each a job on that worker, so that its packets never wait for a
/// listing.
class ConntrackListing : public std::enable_shared_from_this<ConntrackListing> {
 public:
  static constexpr size_t kMostListed = 100'000;
  static constexpr int kMostTries = 100;

  ConntrackListing(Daemon& daemon, std::optional<NetworkId> only, ControlServer::Respond respond)
      : daemon_(daemon), only_(only), respond_(std::move(respond)), timer_(daemon.io()) {}

  void next() {
    auto self = shared_from_this();
    const bool posted = daemon_.engine().run_on_worker(
        worker_,
        [self] {
          self->n_ = self->daemon_.engine()
                         .pipeline(self->worker_)
                         .masquerade()
                         .snapshot(self->cursor_, self->slice_, dataplane::monotonic_ns() / 1'000'000);
        },
        [self] { self->take(); });
    if (posted)
      n_refused_ = 0;
    else
      try_later();
  }

 private:
  void take() {
    for (size_t i = 0; i < n_; ++i) {
      const auto& c = slice_[i];
      if (only_ && c.network != *only_) continue;
      if (connections_.size() < kMostListed) connections_.push_back(to_json(daemon_, c));
      ++count_;
    }
    if (cursor_ == nat::kNone) {
      cursor_ = 0;
      if (++worker_ == daemon_.engine().n_workers()) return finish();
    }
    next();
  }
  /// Other jobs wait for that worker. A part of the connections would look like all of them: no answer but a whole one.
  void try_later() {
    if (++n_refused_ > kMostTries)
      return respond_.refuse(CommandError("the worker has too much else to do for a listing; try again"));
    timer_.expires_after(std::chrono::milliseconds(20));
    timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
      if (!ec) self->next();
    });
  }
  void finish() { respond_({{"count", count_}, {"connections", std::move(connections_)}}); }

  Daemon& daemon_;
  std::optional<NetworkId> only_;
  ControlServer::Respond respond_;
  boost::asio::steady_timer timer_;
  int n_refused_ = 0;  // times in a row
  uint16_t worker_ = 0;
  uint32_t cursor_ = 0;
  size_t n_ = 0, count_ = 0;
  std::array<nat::ConnectionInfo, 64> slice_;
  Json connections_ = Json::array();
};

void conntrack(Daemon& daemon, const Json& arguments, const ControlServer::Respond& respond) {
  const NetworkRecord* only = optional_network(daemon, arguments);
  if (arguments.value("count", false)) {
    size_t n = 0;
    for (uint16_t w = 0; w < daemon.engine().n_workers(); ++w) {
      const auto& masquerade = daemon.engine().pipeline(w).masquerade();
      n += only != nullptr ? masquerade.n_sessions(only->id) : masquerade.n_sessions();
    }
    return respond({{"count", n}});
  }
  std::make_shared<ConntrackListing>(daemon, only != nullptr ? std::optional(only->id) : std::nullopt, respond)->next();
}

// ---- the switch ----------------------------------------------------------------------------------------------------

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

Json stats(Daemon& daemon, const Json&) {
  const uint64_t now = dataplane::monotonic_ns();
  Json workers = Json::array();
  for (uint16_t w = 0; w < daemon.engine().n_workers(); ++w) {
    const auto& worker = daemon.engine().worker(w);
    const double alive = static_cast<double>(now - worker.started_ns());
    workers.push_back({{"cpu", worker.options().cpu ? Json(*worker.options().cpu) : Json()},
                       {"busy-ns", worker.busy_ns()},
                       {"busy-percent", alive > 0 ? 100.0 * static_cast<double>(worker.busy_ns()) / alive : 0.0}});
  }
  const PortTotals t = daemon.engine().totals();
  Json ports = Json::array();
  for (const auto& p : daemon.model().ports) ports.push_back(stats_of(daemon, *p));
  return {{"uptime", (now - daemon.started_ns()) / 1'000'000'000},
          {"version", WEFT_VERSION},
          {"workers", workers},
          {"memory", {{"resident-bytes", resident_bytes()}}},
          {"totals",
           {{"received", t.rx_packets},
            {"injected", t.injected},
            {"copies", t.copies},
            {"sent", t.tx_packets},
            {"consumed", t.consumed},
            {"held", t.held},
            {"dropped", t.dropped}}},
          {"ports", ports}};
}

Json drops(Daemon& daemon, const Json&) {
  Json list = Json::array();
  const auto add = [&](const std::string& port, const PortTotals& now, const PortTotals& before) {
    for (size_t d = 1; d < dataplane::kDrops; ++d) {
      const uint64_t n = now.drops[d] - before.drops[d];
      if (n == 0) continue;
      const auto& info = dataplane::kDropInfo[d];
      list.push_back(
          {{"port", port}, {"name", std::string(info.name)}, {"count", n}, {"text", std::string(info.text)}});
    }
  };
  for (const auto& p : daemon.model().ports) add(p->name, daemon.engine().totals_of(p->id), p->before);
  add("(switch)", daemon.engine().totals_of(kNoPort), {});
  return {{"drops", list}};
}

}  // namespace

namespace {

/// `what` is an object with no other keys than these.
void check_keys(const Json& object, const std::string& what, std::initializer_list<const char*> known) {
  if (!object.is_object()) throw CommandError(fmt::format("{} is to be an object", what), 2);
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw CommandError(fmt::format("{}: '{}' is no key of it, or not supported yet", what, key), 2);
}

config::Device device_from_json(const Json& arguments) {
  if (arguments.contains("vhostuser") + arguments.contains("tap") + arguments.contains("device") != 1)
    throw CommandError("a port needs one of vhostuser, tap and device", 2);
  if (const auto it = arguments.find("vhostuser"); it != arguments.end()) {
    check_keys(*it, "'vhostuser'", {"path", "mode", "queues"});
    config::VhostUser socket;
    socket.path = required(*it, "path");
    const std::string mode = it->contains("mode") ? required(*it, "mode") : "server";
    if (mode != "server" && mode != "client") throw CommandError("mode is to be server or client", 2);
    socket.mode = mode == "server" ? config::SocketMode::kServer : config::SocketMode::kClient;
    if (const auto queues = it->find("queues"); queues != it->end()) {
      if (!queues->is_number_integer() || *queues < 1 || *queues > config::kMaxQueuePairs)
        throw CommandError(fmt::format("queues is to be a number from 1 to {}", config::kMaxQueuePairs), 2);
      socket.queues = queues->get<uint16_t>();
    }
    return socket;
  }
  if (const auto it = arguments.find("tap"); it != arguments.end()) {
    check_keys(*it, "'tap'", {"name", "netns"});
    return config::Tap{.name = required(*it, "name"), .netns = text_of(*it, "netns")};
  }
  return config::Netdev{.name = required(arguments, "device")};
}

}  // namespace

config::Port port_from_json(const Json& arguments) {
  check_keys(arguments, "a port", {"name", "network", "vhostuser", "tap", "device"});
  config::Port port;
  port.name = required(arguments, "name");
  port.network = required(arguments, "network");
  port.device = device_from_json(arguments);
  // The same rules as for the file; only what is about this port is looked at.
  config::Config alone;
  alone.networks.emplace_back();
  alone.networks.back().name = port.network;
  alone.ports.push_back(port);
  for (const auto& error : config::validate(alone))
    if (error.key.starts_with("ports")) throw CommandError(error.message, 2);
  return port;
}

void run_command(Daemon& daemon, const std::string& command, const Json& arguments,
                 const ControlServer::Respond& respond) {
  using Simple = Json (*)(Daemon&, const Json&);
  static const std::map<std::string, Simple> kSimple = {
      {"net-list", net_list},
      {"net-info", net_info},
      {"net-dump", net_dump},
      {"net-dhcp-leases", net_dhcp_leases},
      {"port-list", port_list},
      {"port-add", port_add},
      {"port-remove", port_remove},
      {"port-stats", port_stats},
      {"fdb", fdb},
      {"neigh", neigh},
      {"stats", stats},
      {"drops", drops},
  };
  if (command == "conntrack") return conntrack(daemon, arguments, respond);
  const auto it = kSimple.find(command);
  if (it == kSimple.end()) throw CommandError(fmt::format("weftd does not know the command '{}'", command), 2);
  respond(it->second(daemon, arguments));
}

}  // namespace weft::vswitch
