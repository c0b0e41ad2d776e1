// SPDX-License-Identifier: BSD-3-Clause
//
// How connections come about: a listening socket that front ends connect to, or a connecting one that tries
// until the front end's socket is there. Control thread; nothing here blocks.
#pragma once

#include "dataplane/vhost/fd.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include <sys/types.h>

namespace weft::dataplane::vhost {

/// What weft is on the socket.
enum class SocketMode { server, client };

struct SocketConfig {
  std::string path;
  SocketMode mode = SocketMode::server;
  std::string owner;  // user name or number of a listening socket; empty: as the process is
  std::string group;
  std::optional<mode_t> permissions;  // of a listening socket, e.g. 0660
};

class Endpoint {
 public:
  using OnSocket = std::function<void(UniqueFd)>;
  virtual ~Endpoint() = default;
  /// Client: the connection it made last is over, make another. Server: nothing.
  virtual void connection_ended() = 0;

  /// Server: binds and listens at once; a stale socket in the way is replaced, owner, group and permissions
  /// are set before anybody can connect, and only this very socket is unlinked at the end. Client: watches
  /// the directory and tries, from every millisecond up to every second. Throws std::runtime_error with one
  /// line that names the path: too long (> 107 bytes), held by a living listener, not a socket, unknown owner
  /// or group, no permission, no such directory (server).
  static std::unique_ptr<Endpoint> open(boost::asio::io_context& io, const SocketConfig& config, OnSocket on_socket);
};

}  // namespace weft::dataplane::vhost
