// SPDX-License-Identifier: BSD-3-Clause
//
// Makes the port object a configuration asks for. Control thread. Errors are std::runtime_error with one line that
// names the place in the configuration, what stands in the way, and the key to change.
#pragma once

#include "config/model.h"
#include "dataplane/port.h"
#include "dataplane/rcu.h"
#include "dataplane/tap_port.h"
#include "switch/model.h"
#include "switch/state.h"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <boost/asio/io_context.hpp>

namespace weft::vswitch {

class PortMaker {
 public:
  struct Context {
    boost::asio::io_context& io;
    dataplane::Rcu& rcu;
    State& state;
    const config::SocketPermissions& sockets;  // what a vhost-user socket has that says nothing itself
    std::string run_folder;                    // in memory: what ends with the machine but not with this process
  };
  /// Called on the control thread when a guest announces its MAC after a migration (SEND_RARP); `id` is make()'s. The
  /// MAC is what the front end says, not checked.
  using OnAnnounce = std::function<void(const std::string& id, wire::MacAddress mac)>;

  PortMaker(Context context, OnAnnounce on_announce);

  /// What a tap is to show (without an MTU it keeps what it has), and the MTU that a vhost-user guest may have.
  struct Link {
    std::optional<uint32_t> mtu;
    bool is_up = true;
  };
  /// A guest's port, or an uplink's; nullptr: its netdev is absent.
  std::unique_ptr<dataplane::Port> make(const std::string& name, const std::string& id, const config::Device& device,
                                        const config::Location& where, const Link& link);
  /// The host's seat in a network.
  std::unique_ptr<dataplane::Port> make_seat(const NetworkRecord& network);
  /// Destroys a port for good: a tap's netdev goes with it.
  void destroy(std::unique_ptr<dataplane::Port> port);
  /// Destroys a port that could not be put to use: what making it made goes, what was there before stays.
  void undo(std::unique_ptr<dataplane::Port> port);
  /// Removes taps that earlier runs made and nothing asks for now. `wanted`: all that are configured.
  void remove_leftovers(const std::set<State::TapPlace>& wanted);

 private:
  std::unique_ptr<dataplane::Port> make_tap(dataplane::TapOptions options);
  void forget_tap(const State::TapPlace& place);

  Context context_;
  OnAnnounce on_announce_;
};

/// The MTU of a network's links.
[[nodiscard]] inline uint32_t mtu_of(const config::Network& network) { return network.mtu.value_or(1500); }
/// The socket's path, the tap's or netdev's name.
[[nodiscard]] std::string source_of(const config::Device& device);

}  // namespace weft::vswitch
