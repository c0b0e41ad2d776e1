// SPDX-License-Identifier: BSD-3-Clause
//
// The control socket: one JSON request a line, one JSON answer a line, over a Unix stream socket. Control thread. It
// knows sockets and JSON; what a command does is its handler's matter. Answers may come later and in any order of
// connections, but in order on each.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

namespace weft::vswitch {

/// A refusal with the exit code the command line is to end with: 1 refused, 2 wrong usage or configuration.
struct CommandError : std::runtime_error {
  explicit CommandError(const std::string& message, int exit_code = 1) : std::runtime_error(message), exit(exit_code) {}
  int exit;
};

struct SocketAccess {
  std::string owner, group;  // names or numbers; empty: as the process makes it
  int mode = 0660;
};

class ControlServer {
 public:
  using Json = nlohmann::json;
  /// Answers a request, once, now or later, on the control thread: with a result or with a refusal.
  class Respond {
   public:
    explicit Respond(std::function<void(const Json& document)> send) : send_(std::move(send)) {}
    void operator()(Json result) const;
    /// The late counterpart of throwing CommandError.
    void refuse(const CommandError& error) const;

   private:
    std::function<void(const Json& document)> send_;
  };
  /// Runs a command; throws CommandError to refuse it at once. Any other exception is reported as an internal error.
  using Handler = std::function<void(const std::string& command, const Json& arguments, Respond respond)>;

  static constexpr size_t kMaxRequest = 1 << 20;  // bytes
  static constexpr size_t kMaxConnections = 64;

  /// Listens at `path` (≤ 107 characters). A stale socket is replaced; a living listener or something that is no socket
  /// is an error (std::runtime_error that names it). Missing parent folders are made.
  ControlServer(boost::asio::io_context& io, std::string path, const SocketAccess& access, Handler handler);
  /// Closes everything and removes the socket if it is still ours.
  ~ControlServer();

 private:
  class Connection;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace weft::vswitch
