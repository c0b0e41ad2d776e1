// SPDX-License-Identifier: BSD-3-Clause
#include "switch/port_maker.h"

#include "dataplane/netdev_port.h"
#include "dataplane/tap_port.h"
#include "dataplane/vhost/port.h"

#include <cctype>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace weft::vswitch {

namespace vhost = dataplane::vhost;
using dataplane::NetdevOptions;
using dataplane::NetdevPort;
using dataplane::Port;
using dataplane::TapOptions;
using dataplane::TapPort;
using dataplane::TapRemoval;

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::runtime_error explain(const config::Location& where, const std::string& what, const std::string& why,
                           const std::string& key) {
  const std::string place = where.to_string();
  return std::runtime_error(fmt::format("{}{}{}: {} (key: {})", place, place.empty() ? "" : ": ", what, why, key));
}

/// Where the port of that id keeps the positions of its packed rings; makes the folder.
std::string positions_file(const std::string& run_folder, const std::string& id) {
  std::string name;
  for (const char c : id) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    name += is_plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  const std::filesystem::path folder = std::filesystem::path(run_folder) / "rings";
  std::filesystem::create_directories(folder);
  return folder / name;
}

std::string first_of(const std::string& a, const std::string& b) { return a.empty() ? b : a; }

}  // namespace

std::string source_of(const config::Device& device) {
  return std::visit(
      Overloaded{[](const config::Netdev& d) { return d.name; }, [](const config::VhostUser& d) { return d.path; },
                 [](const config::Tap& d) { return d.name; }, [](const config::Pci& d) { return d.address; },
                 [](const config::Vdev& d) { return d.arguments; }},
      device);
}

PortMaker::PortMaker(Context context, OnAnnounce on_announce)
    : context_(context), on_announce_(std::move(on_announce)) {}

std::unique_ptr<Port> PortMaker::make(const std::string& name, const std::string& id, const config::Device& device,
                                      const config::Location& where, const Link& link) {
  if (const auto* netdev = std::get_if<config::Netdev>(&device)) {
    try {
      return std::make_unique<NetdevPort>(NetdevOptions{.device = netdev->name});
    } catch (const dataplane::NetdevAbsent&) {
      return nullptr;
    } catch (const std::exception& e) {
      throw explain(where, name, e.what(), "device");
    }
  }
  if (const auto* tap = std::get_if<config::Tap>(&device)) {
    try {
      return make_tap({.name = tap->name,
                       .id = id,
                       .netns = tap->netns,
                       .queues = tap->queues,
                       .mtu = link.mtu,
                       .bridge = tap->bridge,
                       .has_carrier = link.is_up});
    } catch (const std::exception& e) {
      throw explain(where, name, e.what(), "tap.name");
    }
  }
  if (const auto* socket = std::get_if<config::VhostUser>(&device)) {
    const auto& own = socket->permissions;
    const auto& shared = context_.sockets;
    vhost::PortConfig config;
    config.socket.path = socket->path;
    config.socket.mode =
        socket->mode == config::SocketMode::kServer ? vhost::SocketMode::server : vhost::SocketMode::client;
    config.socket.owner = first_of(own.owner, shared.owner);
    config.socket.group = first_of(own.group, shared.group);
    config.socket.permissions = own.mode ? own.mode : shared.mode;
    config.queues = socket->queues;
    config.mtu = static_cast<uint16_t>(link.mtu.value_or(0));
    vhost::PortCallbacks callbacks;
    callbacks.on_mac_announce = [this, id](wire::MacAddress mac) { on_announce_(id, mac); };
    try {
      config.positions = positions_file(context_.run_folder, id);
      return std::make_unique<vhost::VhostUserPort>(id.substr(id.find('/') + 1), std::move(config),
                                                    std::move(callbacks), context_.io, context_.rcu);
    } catch (const std::exception& e) {
      throw explain(where, name, e.what(), "vhostuser.path");
    }
  }
  throw explain(where, name, "this kind of device is not supported yet", "device");
}

std::unique_ptr<Port> PortMaker::make_seat(const NetworkRecord& network) {
  TapOptions options{.name = network.config.bridge.name,
                     .id = "network/" + network.config.name,
                     .mac = network.gateway_mac,
                     .mtu = mtu_of(network.config)};
  options.addresses.emplace();
  for (const auto& ip : network.config.ips) options.addresses->push_back({ip.address.address, ip.address.length});
  try {
    return make_tap(options);
  } catch (const std::exception& e) {
    throw explain(network.config.where, fmt::format("network {}", network.config.name), e.what(), "bridge.name");
  }
}

/// The tap is in the state before it is made, so that no end of weftd leaves one that nobody knows of.
std::unique_ptr<Port> PortMaker::make_tap(TapOptions options) {
  const State::TapPlace place{options.netns, options.name};
  const bool is_new = context_.state.add_tap(place);
  options.is_known = !is_new;
  try {
    return std::make_unique<TapPort>(options);
  } catch (...) {
    if (is_new) context_.state.remove_tap(place);  // what it made is gone again
    throw;
  }
}

/// Removes it if it is still there, and forgets it unless it stays.
void PortMaker::forget_tap(const State::TapPlace& place) {
  const auto& [netns, name] = place;
  try {
    switch (dataplane::remove_own_tap(netns, name)) {
      case TapRemoval::held:
        spdlog::warn("tap {} stays for now: another process holds it", name);
        return;
      case TapRemoval::removed:
        spdlog::info("tap {}: removed, nothing asks for it any more", name);
        break;
      case TapRemoval::absent:
      case TapRemoval::not_ours:
        break;
    }
    context_.state.remove_tap(place);
  } catch (const std::exception& e) {
    spdlog::warn("tap {} stays for now: {}", name, e.what());
  }
}

void PortMaker::destroy(std::unique_ptr<Port> port) {
  auto* tap = dynamic_cast<TapPort*>(port.get());
  if (tap == nullptr) return;
  const State::TapPlace place{tap->netns(), tap->name()};
  tap->remove_with_port();
  port.reset();
  forget_tap(place);
}

void PortMaker::undo(std::unique_ptr<Port> port) {
  if (const auto* tap = dynamic_cast<TapPort*>(port.get()); tap != nullptr && tap->was_made()) destroy(std::move(port));
}

void PortMaker::remove_leftovers(const std::set<State::TapPlace>& wanted) {
  const auto known = context_.state.taps();
  for (const auto& place : known)
    if (!wanted.contains(place)) forget_tap(place);
}

}  // namespace weft::vswitch
