// SPDX-License-Identifier: BSD-3-Clause
//
// What the control thread keeps of every network, uplink and port: its configuration, its ids, the things made for it.
// Snapshots are built from this. Control thread only.
#pragma once

#include "config/model.h"
#include "dataplane/counters.h"
#include "dataplane/port.h"
#include "switch/snapshot.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace weft::vswitch {

/// Who wrote a port or network down: the file owns what it names; the rest lives in the state.
enum class Origin { file, runtime };

struct PortRecord {
  PortId id = kNoPort;
  std::string name;    // seats and uplinks have names of their own too
  std::string source;  // the socket's path, the tap's or netdev's name
  Role role = Role::guest;
  Origin origin = Origin::file;
  NetworkId network = kNoNetwork;
  UplinkId uplink = kNoUplink;
  config::Port config;                    // guests only
  std::unique_ptr<dataplane::Port> port;  // nullptr: its netdev is absent; it is waited for
  dataplane::PortTotals before;           // what earlier ports of this id counted
};

struct NetworkRecord {
  NetworkId id = kNoNetwork;
  config::Network config;
  std::string uuid;
  wire::MacAddress gateway_mac;
  UplinkId uplink = kNoUplink;
};

struct UplinkRecord {
  UplinkId id = kNoUplink;
  config::Uplink config;
  wire::MacAddress mac;
  NetworkId network = kNoNetwork;  // the bridge-mode network it is a member of
};

struct Model {
  std::vector<NetworkRecord> networks;  // by NetworkId
  std::vector<UplinkRecord> uplinks;    // by UplinkId
  std::vector<std::unique_ptr<PortRecord>> ports;
  std::vector<wire::Ipv4Address> host_addresses;
  std::map<std::string, uint32_t> link_mtu;  // of the host's netdevs, by name

  [[nodiscard]] NetworkRecord* network(const std::string& name) noexcept {
    for (auto& n : networks)
      if (n.config.name == name) return &n;
    return nullptr;
  }
  [[nodiscard]] PortRecord* port(const std::string& name) noexcept {
    for (auto& p : ports)
      if (p->name == name) return p.get();
    return nullptr;
  }
  [[nodiscard]] const PortRecord* port(PortId id) const noexcept {
    for (const auto& p : ports)
      if (p->id == id) return p.get();
    return nullptr;
  }
};

/// Decides by their configurations which network leaves by which uplink, and which uplink is a bridge-mode network's.
void connect_uplinks(Model& model);

/// Builds what the workers are to see. Ports whose netdev is absent are left out. Pure.
[[nodiscard]] std::unique_ptr<Snapshot> build_snapshot(const Model& model);

}  // namespace weft::vswitch
