// SPDX-License-Identifier: BSD-3-Clause
//
// A listening Unix stream socket on the control thread's loop: vhost-user sockets and the control socket are such.
// Control thread; nothing here blocks.
#pragma once

#include "dataplane/unique_fd.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include <sys/types.h>
#include <sys/un.h>

namespace weft::dataplane {

struct UnixListenerConfig {
  std::string what;  // what messages call it, e.g. "control socket"
  std::string path;
  std::string owner;  // user name or number; empty: as the process is
  std::string group;
  std::optional<mode_t> permissions;  // e.g. 0660; left out: as the process's umask has it
};

class UnixListener {
 public:
  /// A connection somebody made, non-blocking. It may destroy the listener.
  using OnConnection = std::function<void(UniqueFd)>;

  /// Binds and listens at once; a stale socket in the way is replaced, owner, group and permissions are set before
  /// anybody can connect. When there is no descriptor left for a connection it waits 100 ms and goes on. Throws
  /// std::runtime_error with one line that names the path: too long (> 107 bytes), held by a living listener, not a
  /// socket, unknown owner or group, no permission, no such directory.
  UnixListener(boost::asio::io_context& io, const UnixListenerConfig& config, OnConnection on_connection);
  /// Unlinks the socket, unless somebody has put another in its place. No connection comes after it.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// The address of a Unix socket. Throws std::runtime_error that begins with `what` when the path is empty or has more
/// than 107 bytes.
[[nodiscard]] sockaddr_un unix_address(const std::string& what, const std::string& path);
/// Connects; 0 or an errno. Connecting to a unix socket never takes time: it works or it does not.
int connect_unix(const UniqueFd& fd, const sockaddr_un& address) noexcept;
/// A new socket, non-blocking; closed when there is no descriptor left.
[[nodiscard]] UniqueFd make_unix_socket() noexcept;

}  // namespace weft::dataplane
