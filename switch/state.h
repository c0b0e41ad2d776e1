// SPDX-License-Identifier: BSD-3-Clause
//
// The switch's own memory between runs: identities it made for networks and uplinks, taps it made, ports added at run
// time. Small JSON documents in the store. Read at start, written as they change. Control thread.
#pragma once

#include "config/model.h"
#include "dataplane/wire/addr.h"
#include "dhcp/lease_store.h"
#include "dhcp/store_thread.h"

#include <set>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace weft::vswitch {

class State {
 public:
  /// Where a tap is: its network namespace ("" is weftd's own) and name.
  using TapPlace = std::pair<std::string, std::string>;

  /// Reads everything from the store, before its thread starts. Throws std::runtime_error.
  explicit State(dhcp::LeaseStore& store);

  /// The uuid kept for a network, or a new one (RFC 4122 version 4).
  std::string network_uuid(const std::string& network);
  /// The MAC kept for a network's gateway or an uplink ("network/default", "uplink/wan"), or a new one of QEMU's block.
  wire::MacAddress mac(const std::string& owner);
  [[nodiscard]] const std::set<TapPlace>& taps() const noexcept { return taps_; }
  /// To be called before the tap is made. False: it was known already.
  bool add_tap(const TapPlace& tap);
  void remove_tap(const TapPlace& tap);
  /// Ports added at run time, by name, as `port-add` got them.
  [[nodiscard]] const nlohmann::json& runtime_ports() const noexcept { return ports_; }
  void add_port(const std::string& name, const nlohmann::json& arguments);
  void remove_port(const std::string& name);

  /// From now on changes go through the store thread; until then they are written at once.
  void write_through(dhcp::StoreThread& thread) noexcept {
    store_ = nullptr;
    thread_ = &thread;
  }

 private:
  nlohmann::json read(const char* key);
  void write(const char* key, const nlohmann::json& document);
  void write_taps();

  dhcp::LeaseStore* store_;
  dhcp::StoreThread* thread_ = nullptr;
  nlohmann::json identities_;  // {"uuid": {network: uuid}, "mac": {owner: mac}}
  nlohmann::json ports_;
  std::set<TapPlace> taps_;
};

}  // namespace weft::vswitch
