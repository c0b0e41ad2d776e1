// SPDX-License-Identifier: BSD-3-Clause
//
// weftd: makes everything the configuration asks for, runs the control thread's loop, and takes it down again. What was
// made is undone when something in the middle fails. Control thread.
#pragma once

#include "config/model.h"
#include "dataplane/unique_fd.h"
#include "dhcp/lease_store.h"
#include "dhcp/store_thread.h"
#include "switch/control_server.h"
#include "switch/engine.h"
#include "switch/model.h"
#include "switch/netlink_monitor.h"
#include "switch/port_maker.h"
#include "switch/services.h"
#include "switch/state.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::vswitch {

class Daemon {
 public:
  /// Makes networks, uplinks and ports, and opens the control socket; nothing is forwarded yet. Throws
  /// std::runtime_error with one line for the user; everything made is undone.
  Daemon(boost::asio::io_context& io, config::Config config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Packets flow from now on. Throws as the constructor does, everything made being undone.
  void start();
  /// No packet flows any more.
  void stop() noexcept;

  // What commands work on.
  [[nodiscard]] Model& model() noexcept { return model_; }
  [[nodiscard]] Engine& engine() noexcept { return *engine_; }
  [[nodiscard]] Services& services() noexcept { return *services_; }
  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] uint64_t started_ns() const noexcept { return started_ns_; }

  /// Adds a guest's port while everything else goes on. Throws CommandError.
  void add_port(const config::Port& port, Origin origin);
  /// Removes one, with its tap. Throws CommandError.
  void remove_port(const std::string& name);
  /// Keeps a port added at run time over restarts, as `port-add` got it.
  void remember_port(const std::string& name, const nlohmann::json& arguments) { state_->add_port(name, arguments); }

 private:
  enum class Taps { leave, remove_new };
  void place_threads();
  void make_all();
  void make_engine();
  void tear_down(Taps taps) noexcept;
  void lock_state_folder();
  void open_store();
  void make_port(const config::Port& port, Origin origin);
  void add_networks();
  void add_uplinks();
  void add_runtime_ports();
  void remove_leftover_taps();
  std::unique_ptr<dataplane::Port> make_device(const PortRecord& record);
  void check_name_free(const std::string& name) const;
  void check_device_free(const config::Device& device) const;
  bool follow_devices(const HostState& host);
  bool follow_device(PortRecord& record, const HostState& host);
  void take(PortRecord& record, std::unique_ptr<dataplane::Port> port);
  void on_host_change(const HostState& host);
  void announce(const std::string& id, wire::MacAddress mac);
  bool is_in_use(NetworkId network, wire::Ipv4Address address, wire::MacAddress client);
  PortRecord& add_record(PortRecord record);
  [[nodiscard]] PortId free_port_id() const;
  void publish() { engine_->publish(build_snapshot(model_)); }

  boost::asio::io_context& io_;
  config::Config config_;
  uint64_t started_ns_;
  std::vector<std::optional<int>> worker_cpus_;
  Model model_;
  dataplane::UniqueFd state_lock_;                          // held while the state folder is ours
  std::map<std::string, std::vector<dhcp::Lease>> leases_;  // by network uuid, until their servers have them
  std::unique_ptr<dhcp::StoreThread> store_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<PortMaker> ports_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<NetlinkMonitor> monitor_;
  std::unique_ptr<ControlServer> control_;
  struct SeenNeighbours;
  std::unique_ptr<SeenNeighbours> seen_;
  std::map<PortId, std::string> complaints_;  // what was last said of a device that cannot be had
};

}  // namespace weft::vswitch
