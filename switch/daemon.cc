// SPDX-License-Identifier: BSD-3-Clause
#include "switch/daemon.h"

#include "config/load.h"
#include "dataplane/netdev_port.h"
#include "dataplane/tap_port.h"
#include "switch/commands.h"
#include "switch/random.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>

namespace weft::vswitch {

using dataplane::Port;
using wire::Ipv4Address;
using wire::MacAddress;

namespace {

constexpr auto kSeenFor = std::chrono::seconds(1);

/// Neighbours that are copied to know who is at an address. Where guests have made more of them, DHCP does without.
constexpr uint32_t kMostSeen = 4096;

std::optional<cpu_set_t> allowed_cpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::nullopt;
  return allowed;
}

/// One worker for each configured CPU; else one, on the last CPU weftd may run on when there is more than one.
std::vector<std::optional<int>> worker_cpus(const config::Switch& config, const cpu_set_t& allowed) {
  if (!config.workers.empty()) return {config.workers.begin(), config.workers.end()};
  if (CPU_COUNT(&allowed) >= 2)
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu)
      if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) return {cpu};
  return {std::nullopt};
}

/// Whether the kernel lets us run there; this thread's own CPUs are `allowed` again afterwards.
bool may_run_on(int cpu, const cpu_set_t& allowed) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<size_t>(cpu), &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0) return false;
  sched_setaffinity(0, sizeof allowed, &allowed);
  return true;
}

/// Two devices with the same place are the same: a socket, or a netdev in a namespace.
std::string place_of(const config::Device& device) {
  if (const auto* socket = std::get_if<config::VhostUser>(&device)) return "socket " + socket->path;
  if (const auto* tap = std::get_if<config::Tap>(&device)) return fmt::format("netdev {}/{}", tap->netns, tap->name);
  if (const auto* netdev = std::get_if<config::Netdev>(&device)) return "netdev /" + netdev->name;
  return "other " + source_of(device);
}

/// Runs `f`, which the loop calls: whatever it throws is logged, and the switch goes on.
template <class F>
void guarded(const char* what, F&& f) noexcept {
  try {
    f();
  } catch (const std::exception& e) {
    spdlog::error("{}: {}", what, e.what());
  }
}

/// Who a guest's port is towards the makers of ports.
/// The folder a file is in.
std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}
std::string guest_id(const std::string& name) { return "port/" + name; }

SocketAccess access_of(const config::SocketPermissions& p) { return {p.owner, p.group, p.mode.value_or(0660)}; }

}  // namespace

/// Who was seen at which address, copied from the workers' tables once a second at most.
struct Daemon::SeenNeighbours {
  std::map<std::pair<InterfaceId, Ipv4Address>, MacAddress> macs;
  std::chrono::steady_clock::time_point at{};
};

Daemon::Daemon(boost::asio::io_context& io, config::Config config)
    : io_(io),
      config_(std::move(config)),
      started_ns_(dataplane::monotonic_ns()),
      seen_(std::make_unique<SeenNeighbours>()) {
  try {
    make_all();
  } catch (...) {
    tear_down(Taps::remove_new);
    throw;
  }
}

Daemon::~Daemon() { tear_down(Taps::leave); }

void Daemon::make_all() {
  place_threads();
  // The state folder comes first: it is what tells two weftds apart.
  lock_state_folder();
  control_ = std::make_unique<ControlServer>(
      io_, config_.switch_.control.path, access_of(config_.switch_.control.permissions),
      [this](const std::string& command, const nlohmann::json& arguments, ControlServer::Respond respond) {
        run_command(*this, command, arguments, respond);
      });
  open_store();
  make_engine();
  ports_ = std::make_unique<PortMaker>(PortMaker::Context{io_, engine_->rcu(), *state_, config_.switch_.sockets,
                                                          folder_of(config_.switch_.control.path)},
                                       [this](const std::string& id, MacAddress mac) { announce(id, mac); });
  services_ = std::make_unique<Services>(
      io_, *store_, [this](std::span<const uint8_t> frame, NetworkId network) { engine_->inject(frame, network); },
      [this](NetworkId n, Ipv4Address a, MacAddress m) { return is_in_use(n, a, m); });

  add_uplinks();
  add_networks();
  for (const auto& port : config_.ports) make_port(port, Origin::file);
  add_runtime_ports();
  remove_leftover_taps();  // last, so that a start that fails has removed nothing
  monitor_ = std::make_unique<NetlinkMonitor>(io_, [this](const HostState& host) {
    guarded("a change of the host's links could not be followed", [&] { on_host_change(host); });
  });
  publish();
}

/// The workers have their CPUs for themselves: this thread, and those it makes, go elsewhere if there is another.
void Daemon::place_threads() {
  worker_cpus_ = {std::nullopt};
  const auto allowed = allowed_cpus();
  if (!allowed) return;
  worker_cpus_ = worker_cpus(config_.switch_, *allowed);
  cpu_set_t others = *allowed;
  for (const auto& cpu : worker_cpus_) {
    if (!cpu) continue;
    if (!may_run_on(*cpu, *allowed))
      throw std::runtime_error(
          fmt::format("CPU {} does not exist, or weftd may not run on it (key: switch.workers)", *cpu));
    CPU_CLR(static_cast<size_t>(*cpu), &others);
  }
  if (CPU_COUNT(&others) != 0)
    sched_setaffinity(0, sizeof others, &others);
  else
    spdlog::info("no CPU is left for the control thread: it shares those of the workers");
}

void Daemon::make_engine() {
  Engine::Options options;
  options.cpus = worker_cpus_;
  options.sleeps_when_idle = config_.switch_.idle == config::Idle::kAdaptive;
  options.seed = random_u64();
  options.nat_key = {random_u64(), random_u64()};
  options.fdb = {config_.switch_.fdb.entries, config_.switch_.fdb.per_port, config_.switch_.fdb.ageing_seconds,
                 random_u64()};
  engine_ =
      std::make_unique<Engine>(io_, options, [this](std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta) {
        return services_->handle(frame, meta);
      });
}

void Daemon::tear_down(Taps taps) noexcept {
  stop();
  control_.reset();
  monitor_.reset();
  services_.reset();
  if (engine_) guarded("stopping", [&] { engine_->publish(std::make_unique<Snapshot>()); });
  for (auto& p : model_.ports) {
    if (!p->port) continue;
    engine_->remove_port(p->id, *p->port);
    if (taps == Taps::remove_new) guarded("stopping", [&] { ports_->undo(std::move(p->port)); });
  }
  model_.ports.clear();
  engine_.reset();
}

void Daemon::start() {
  try {
    engine_->start();
  } catch (const std::exception& e) {
    tear_down(Taps::remove_new);
    throw std::runtime_error(fmt::format("{} (key: switch.workers)", e.what()));
  }
}
void Daemon::stop() noexcept {
  if (engine_) engine_->stop();
}

void Daemon::lock_state_folder() {
  const std::string folder = config_.switch_.state;
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error(fmt::format("state folder {}: {} (key: switch.state)", folder, why));
  };
  if (ec) fail(ec.message());
  state_lock_ = dataplane::UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!state_lock_.is_open()) fail(std::strerror(errno));
  if (flock(state_lock_.get(), LOCK_EX | LOCK_NB) != 0)
    fail(errno == EWOULDBLOCK ? "another weftd uses it; stop it or choose another folder" : std::strerror(errno));
}

void Daemon::open_store() {
  const std::filesystem::path folder = config_.switch_.state;
  auto opened = dhcp::LeaseStore::open(folder / "weft.db");
  if (!opened) throw std::runtime_error(fmt::format("{} (key: switch.state)", opened.error()));
  if (!opened->warning.empty()) spdlog::error("{}", opened->warning);
  auto leases = opened->store.load();
  if (!leases) throw std::runtime_error(leases.error());
  leases_ = std::move(*leases);
  // Everything that is made once and kept is made now, while the store may be written to directly.
  auto store = std::make_unique<dhcp::LeaseStore>(std::move(opened->store));
  state_ = std::make_unique<State>(*store);
  for (const auto& n : config_.networks) {
    NetworkRecord record{.id = static_cast<NetworkId>(model_.networks.size()), .config = n};
    record.uuid = n.uuid.empty() ? state_->network_uuid(n.name) : n.uuid;
    record.gateway_mac = n.mac ? *n.mac : state_->mac("network/" + n.name);
    model_.networks.push_back(std::move(record));
  }
  for (const auto& u : config_.uplinks)
    model_.uplinks.push_back({static_cast<UplinkId>(model_.uplinks.size()), u, state_->mac("uplink/" + u.name)});
  connect_uplinks(model_);
  store_ = std::make_unique<dhcp::StoreThread>(std::move(*store), [this](std::vector<dhcp::Completion> done) {
    boost::asio::post(io_, [done = std::move(done)] {
      for (const auto& c : done) guarded("what was stored could not be followed up", [&] { c.run(); });
    });
  });
  state_->write_through(*store_);
}

PortId Daemon::free_port_id() const {
  std::set<PortId> used;
  for (const auto& p : model_.ports) used.insert(p->id);
  for (PortId id = 0; id < dataplane::kMaxPorts; ++id)
    if (!used.contains(id)) return id;
  throw CommandError(fmt::format("there are {} ports already, as many as weftd can have", dataplane::kMaxPorts));
}

PortRecord& Daemon::add_record(PortRecord record) {
  auto port = std::move(record.port);
  try {
    record.id = free_port_id();
    record.before = engine_->totals_of(record.id);
    model_.ports.push_back(std::make_unique<PortRecord>(std::move(record)));
  } catch (...) {
    ports_->undo(std::move(port));
    throw;
  }
  PortRecord& added = *model_.ports.back();
  try {
    if (port) take(added, std::move(port));
  } catch (...) {
    model_.ports.pop_back();
    throw;
  }
  return added;
}

/// Gives a record its port. Throws when workers cannot wait for it; it is undone then.
void Daemon::take(PortRecord& record, std::unique_ptr<Port> port) {
  try {
    engine_->add_port(record.id, *port);
  } catch (...) {
    engine_->remove_port(record.id, *port);
    ports_->undo(std::move(port));
    throw;
  }
  record.port = std::move(port);
}

/// Makes what a record's port is made of, anew or for the first time; nullptr: its netdev is absent.
std::unique_ptr<Port> Daemon::make_device(const PortRecord& record) {
  switch (record.role) {
    case Role::seat:
      return ports_->make_seat(model_.networks[record.network]);
    case Role::uplink: {
      const config::Uplink& c = model_.uplinks[record.uplink].config;
      return ports_->make("uplink " + c.name, "uplink/" + c.name, c.device, c.where, {});
    }
    case Role::guest:
      break;
  }
  const config::Port& c = record.config;
  return ports_->make("port " + c.name, guest_id(c.name), c.device, c.where,
                      {mtu_of(model_.networks[record.network].config), c.link_up});
}

void Daemon::add_uplinks() {
  for (auto& u : model_.uplinks) {
    PortRecord record{
        .name = u.config.name, .source = source_of(u.config.device), .role = Role::uplink, .uplink = u.id};
    record.port = make_device(record);
    if (!record.port) spdlog::warn("uplink {}: waiting for {}", u.config.name, record.source);
    add_record(std::move(record));
  }
}

void Daemon::add_networks() {
  bool needs_uplink = false;
  for (auto& n : model_.networks) {
    const config::Network& c = n.config;
    const bool leaves = c.forward.mode == config::ForwardMode::kNat || c.forward.mode == config::ForwardMode::kRoute;
    needs_uplink |= leaves && n.uplink == kNoUplink;
    if (c.bridge.host.value_or(false)) {
      PortRecord record{.name = c.bridge.name, .source = c.bridge.name, .role = Role::seat, .network = n.id};
      record.port = make_device(record);
      add_record(std::move(record));
    }
    const auto leases = leases_.find(n.uuid);
    services_->add(
        n, leases != leases_.end() ? std::span<const dhcp::Lease>(leases->second) : std::span<const dhcp::Lease>());
  }
  if (needs_uplink)
    spdlog::warn(
        "no uplink is configured: what would leave the machine is dropped (route_no_uplink); write `uplinks:`");
}

void Daemon::add_port(const config::Port& port, Origin origin) {
  make_port(port, origin);
  publish();
}

void Daemon::check_name_free(const std::string& name) const {
  for (const auto& p : model_.ports) {
    if (p->name != name) continue;
    if (p->role == Role::uplink) throw CommandError(fmt::format("there is an uplink '{}' already", name));
    if (p->role == Role::seat)
      throw CommandError(fmt::format("'{}' is the host's seat in network '{}' already", name,
                                     model_.networks[p->network].config.name));
    throw CommandError(fmt::format("there is a port '{}' already", name));
  }
}

void Daemon::check_device_free(const config::Device& device) const {
  const std::string wanted = place_of(device);
  if (wanted == place_of(config::VhostUser{.path = config_.switch_.control.path}))
    throw CommandError(fmt::format("{} is the control socket", source_of(device)));
  for (const auto& p : model_.ports) {
    const config::Device& other = p->role == Role::uplink ? model_.uplinks[p->uplink].config.device : p->config.device;
    const std::string its = p->role == Role::seat ? place_of(config::Tap{.name = p->source}) : place_of(other);
    if (its != wanted) continue;
    const char* what = p->role == Role::uplink ? "uplink" : p->role == Role::seat ? "the host's seat" : "port";
    throw CommandError(fmt::format("{} belongs to {} '{}'", source_of(device), what, p->name));
  }
}

void Daemon::make_port(const config::Port& port, Origin origin) {
  NetworkRecord* network = model_.network(port.network);
  if (network == nullptr) throw CommandError(fmt::format("there is no network '{}'", port.network));
  check_name_free(port.name);
  check_device_free(port.device);
  PortRecord record{.name = port.name,
                    .source = source_of(port.device),
                    .role = Role::guest,
                    .origin = origin,
                    .network = network->id,
                    .config = port};
  record.port = make_device(record);
  if (!record.port) spdlog::warn("port {}: waiting for {}", port.name, record.source);
  add_record(std::move(record));
}

void Daemon::remove_port(const std::string& name) {
  PortRecord* record = model_.port(name);
  if (record == nullptr && state_->runtime_ports().contains(name)) return state_->remove_port(name);  // never made
  if (record == nullptr) throw CommandError(fmt::format("there is no port '{}'", name));
  if (record->role == Role::uplink) throw CommandError(fmt::format("'{}' is an uplink, not a guest's port", name));
  if (record->role == Role::seat)
    throw CommandError(fmt::format("'{}' is the host's seat in its network (bridge.host: no removes it)", name));
  const auto it = std::find_if(model_.ports.begin(), model_.ports.end(), [&](auto& p) { return p.get() == record; });
  const std::unique_ptr<PortRecord> removed = std::move(*it);
  model_.ports.erase(it);
  publish();
  services_->forget_port(removed->id);
  complaints_.erase(removed->id);
  if (removed->port) {
    engine_->remove_port(removed->id, *removed->port);
    ports_->destroy(std::move(removed->port));
  }
  state_->remove_port(name);
}

void Daemon::add_runtime_ports() {
  const nlohmann::json kept = state_->runtime_ports();
  for (const auto& [name, arguments] : kept.items()) {
    if (const PortRecord* record = model_.port(name); record != nullptr && record->role == Role::guest) {
      spdlog::error("port {}: added at run time, and now written in {} too; the file's is used and the other forgotten",
                    name, record->config.where.to_string());
      state_->remove_port(name);
      continue;
    }
    try {
      make_port(port_from_json(arguments), Origin::runtime);
    } catch (const std::exception& e) {
      spdlog::error("port {}, added at run time, could not be made again: {}", name, e.what());
    }
  }
}

void Daemon::remove_leftover_taps() {
  std::set<State::TapPlace> wanted;
  const auto want = [&](const config::Device& device) {
    if (const auto* tap = std::get_if<config::Tap>(&device)) wanted.emplace(tap->netns, tap->name);
  };
  for (const auto& n : config_.networks)
    if (n.bridge.host.value_or(false)) wanted.emplace("", n.bridge.name);
  for (const auto& u : config_.uplinks) want(u.device);
  for (const auto& p : config_.ports) want(p.device);
  const nlohmann::json kept = state_->runtime_ports();
  for (const auto& arguments : kept) {
    // Only the tap is looked at: that of a port which cannot be made any more, for whatever reason, stays too.
    const auto tap = arguments.is_object() ? arguments.find("tap") : arguments.end();
    if (!arguments.is_object() || tap == arguments.end() || !tap->is_object()) continue;
    const auto text = [&](const char* key) {
      const auto it = tap->find(key);
      return it != tap->end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    wanted.emplace(text("netns"), text("name"));
  }
  ports_->remove_leftovers(wanted);
}

void Daemon::on_host_change(const HostState& host) {
  std::vector<Ipv4Address> addresses;
  for (const auto& a : host.addresses) addresses.push_back(a.address.address);
  std::map<std::string, uint32_t> mtus;  // only those of uplinks matter
  for (const auto& p : model_.ports)
    if (const auto link = host.links.find(p->source); p->role == Role::uplink && link != host.links.end())
      mtus[p->source] = link->second.mtu;

  bool has_changed = follow_devices(host);
  has_changed |= std::exchange(model_.host_addresses, addresses) != addresses;
  has_changed |= std::exchange(model_.link_mtu, mtus) != mtus;
  if (has_changed) publish();
}

/// Takes netdevs that have come, and makes anew taps that somebody removed. True: a port is another than before.
bool Daemon::follow_devices(const HostState& host) {
  bool has_changed = false;
  for (auto& record : model_.ports) {
    std::string complaint;
    try {
      has_changed |= follow_device(*record, host);
    } catch (const std::exception& e) {
      complaint = e.what();
    }
    if (complaint.empty())
      complaints_.erase(record->id);
    else if (std::exchange(complaints_[record->id], complaint) != complaint)
      spdlog::warn("{}: {}", record->name, complaint);
  }
  return has_changed;
}

bool Daemon::follow_device(PortRecord& record, const HostState& host) {
  const auto link = host.links.find(record.source);
  if (auto* netdev = dynamic_cast<dataplane::NetdevPort*>(record.port.get())) {
    if (link == host.links.end() || !netdev->is_gone()) return false;
    netdev->reopen();
    spdlog::info("{}: {} is back", record.name, record.source);
    return true;
  }
  if (const auto* tap = dynamic_cast<dataplane::TapPort*>(record.port.get())) {
    const bool is_here = tap->netns().empty();
    if (is_here && link != host.links.end() && link->second.index == tap->index()) return false;
    if (!tap->is_gone()) return false;
    // Links of other namespaces are not followed: who removes a namespace, or a tap in one, removes the port too.
    if (!is_here) throw std::runtime_error(fmt::format("tap {} or its network namespace was removed", record.source));
    spdlog::warn("{}: tap {} was removed by somebody; making it anew", record.name, record.source);
    const auto gone = std::move(record.port);
    publish();
    engine_->remove_port(record.id, *gone);
  }
  if (record.port) return false;
  const bool is_netdev = std::holds_alternative<config::Netdev>(
      record.role == Role::uplink ? model_.uplinks[record.uplink].config.device : record.config.device);
  if (record.role != Role::seat && is_netdev && link == host.links.end()) return false;
  auto port = make_device(record);
  if (!port) return false;
  take(record, std::move(port));
  spdlog::info("{}: {} is here", record.name, record.source);
  if (record.role == Role::seat) services_->renew_listeners(model_.networks[record.network]);
  return true;
}

/// A guest that has come from another host says where it is now, before it sends anything.
void Daemon::announce(const std::string& id, MacAddress mac) {
  const auto it = std::find_if(model_.ports.begin(), model_.ports.end(),
                               [&](const auto& p) { return p->role == Role::guest && guest_id(p->name) == id; });
  if (it == model_.ports.end() || mac.is_multicast() || mac.is_zero()) return;
  const PortRecord* record = it->get();
  if (mac == model_.networks[record->network].gateway_mac) return;
  engine_->fdb().learn(record->network, mac, record->id,
                       static_cast<uint32_t>(dataplane::monotonic_ns() / 1'000'000'000));
}

bool Daemon::is_in_use(NetworkId network, Ipv4Address address, MacAddress client) {
  const auto now = std::chrono::steady_clock::now();
  if (now - seen_->at >= kSeenFor) {
    seen_->at = now;
    seen_->macs.clear();
    for (uint16_t w = 0; w < engine_->n_workers(); ++w) {
      const Neighbours& neighbours = engine_->pipeline(w).neighbours();
      if (neighbours.n_entries() > kMostSeen) continue;
      neighbours.for_each(dataplane::monotonic_ns(), [&](const Neighbours::Listed& n) {
        if (n.state == NeighbourState::reachable) seen_->macs[{n.interface, n.address}] = n.mac;
      });
    }
  }
  const auto it = seen_->macs.find({interface_of_network(network), address});
  return it != seen_->macs.end() && it->second != client;
}

}  // namespace weft::vswitch
