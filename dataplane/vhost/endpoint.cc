// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/endpoint.h"

#include "dataplane/unix_listener.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/inotify.h>
#include <unistd.h>

namespace weft::dataplane::vhost {
namespace {

using Watch = boost::asio::posix::stream_descriptor;

constexpr const char* kWhat = "vhost-user socket";

class Server final : public Endpoint {
 public:
  Server(boost::asio::io_context& io, const SocketConfig& config, OnSocket on_socket)
      : listener_(io, {kWhat, config.path, config.owner, config.group, config.permissions}, std::move(on_socket)) {}
  void connection_ended() override {}

 private:
  UnixListener listener_;
};

/// Tries at once when the directory says that the socket has appeared, then every millisecond, less and less
/// often up to every second: between a socket's appearance and its listen() lies a moment without any event.
class Client final : public Endpoint, public std::enable_shared_from_this<Client> {
 public:
  Client(boost::asio::io_context& io, const SocketConfig& config, OnSocket on_socket)
      : config_(config),
        address_(unix_address(kWhat, config.path)),
        on_socket_(std::move(on_socket)),
        timer_(io),
        watch_(io) {
    name_ = std::filesystem::path(config.path).filename();
    // Absolute, so that it has a directory.
    directory_ = std::filesystem::absolute(config.path).parent_path();
    inotify_.reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (inotify_.is_open()) watch_.assign(inotify_.get());
  }
  ~Client() override { stop(); }

  void wait() {
    if (inotify_.is_open()) wait_directory();
    retry_in(std::chrono::milliseconds(0));
  }
  void connection_ended() override {
    if (!is_running_) return;
    is_connected_ = false;
    // A peer that hangs up on every connection shall not keep this thread busy.
    const auto now = std::chrono::steady_clock::now();
    if (now - connected_at_ >= kLast) back_off_ = kFirst;
    retry_in(back_off_);
    back_off_ = std::min(back_off_ * 2, kLast);
  }
  void stop() noexcept {
    is_running_ = false;
    on_socket_ = nullptr;
    boost::system::error_code ignored;
    timer_.cancel(ignored);
    if (watch_.is_open()) watch_.release();
    inotify_.reset();
  }

 private:
  static constexpr std::chrono::milliseconds kFirst{1}, kLast{1000};

  void retry_in(std::chrono::milliseconds delay) {
    timer_.expires_after(delay);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->is_running_ && !self->is_connected_) self->attempt();
    });
  }

  void attempt() {
    watch_directory();
    UniqueFd fd = make_unix_socket();
    if (fd.is_open() && connect_unix(fd, address_) == 0) {
      is_connected_ = true;
      connected_at_ = std::chrono::steady_clock::now();
      const auto on_socket = on_socket_;
      on_socket(std::move(fd));
      return;
    }
    const auto delay = back_off_;
    back_off_ = std::min(back_off_ * 2, kLast);
    retry_in(delay);
  }

  /// The directory may appear later than we do, or be replaced.
  void watch_directory() {
    if (!inotify_.is_open()) return;
    inotify_add_watch(inotify_.get(), directory_.c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
  }

  void wait_directory() {
    watch_.async_wait(Watch::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !self->is_running_) return;
      if (self->socket_appeared()) {
        // Even if the old connection's end has not been seen yet: the next attempt will be soon.
        self->back_off_ = kFirst;
        if (!self->is_connected_) self->retry_in(std::chrono::milliseconds(0));
      }
      self->wait_directory();
    });
  }

  /// Reads all events that are there.
  bool socket_appeared() {
    bool appeared = false;
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t n = read(inotify_.get(), buffer.data(), buffer.size());
      if (n <= 0) return appeared;
      for (size_t at = 0; at < static_cast<size_t>(n);) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        if ((event->mask & IN_Q_OVERFLOW) != 0 || (event->len != 0 && name_ == event->name)) appeared = true;
        at += sizeof(inotify_event) + event->len;
      }
    }
  }

  SocketConfig config_;
  sockaddr_un address_;
  OnSocket on_socket_;
  boost::asio::steady_timer timer_;
  Watch watch_;
  UniqueFd inotify_;
  std::string name_, directory_;
  std::chrono::milliseconds back_off_ = kFirst;
  std::chrono::steady_clock::time_point connected_at_{};
  bool is_running_ = true;
  bool is_connected_ = false;
};

/// Handlers hold weak references to the client, so an owner can let go at any time.
class ClientOwner final : public Endpoint {
 public:
  explicit ClientOwner(std::shared_ptr<Client> client) : client_(std::move(client)) { client_->wait(); }
  ~ClientOwner() override { client_->stop(); }
  void connection_ended() override { client_->connection_ended(); }

 private:
  std::shared_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<Endpoint> Endpoint::open(boost::asio::io_context& io, const SocketConfig& config, OnSocket on_socket) {
  if (config.mode == SocketMode::server) return std::make_unique<Server>(io, config, std::move(on_socket));
  return std::make_unique<ClientOwner>(std::make_shared<Client>(io, config, std::move(on_socket)));
}

}  // namespace weft::dataplane::vhost
