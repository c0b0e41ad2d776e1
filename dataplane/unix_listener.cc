// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/unix_listener.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft::dataplane {
namespace {

using Watch = boost::asio::posix::stream_descriptor;

constexpr int kBacklog = 16;
constexpr int kAcceptsAtOnce = 8;
constexpr auto kPause = std::chrono::milliseconds(100);
constexpr auto kUnchanged = static_cast<uint32_t>(-1);  // of chown(2)

[[noreturn]] void fail(const UnixListenerConfig& config, std::string_view why) {
  throw std::runtime_error(fmt::format("{} {}: {}", config.what, config.path, why));
}

/// The id that a name or number stands for; `find` asks the system for a name's.
template <class Find>
uint32_t to_id(const UnixListenerConfig& config, const char* key, const char* kind, const std::string& text,
               Find find) {
  if (text.empty()) return kUnchanged;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || id == kUnchanged)
      fail(config, fmt::format("{}: {} is too large for the number of a {}", key, text, kind));
    return id;
  }
  const std::optional<uint32_t> id = find(text.c_str());
  if (!id) fail(config, fmt::format("{}: there is no {} '{}'", key, kind, text));
  return *id;
}

uint32_t owner_id(const UnixListenerConfig& config) {
  return to_id(config, "owner", "user", config.owner, [](const char* name) -> std::optional<uint32_t> {
    const passwd* entry = getpwnam(name);
    return entry != nullptr ? std::optional<uint32_t>(entry->pw_uid) : std::nullopt;
  });
}

uint32_t group_id(const UnixListenerConfig& config) {
  return to_id(config, "group", "group", config.group, [](const char* name) -> std::optional<uint32_t> {
    const group* entry = getgrnam(name);
    return entry != nullptr ? std::optional<uint32_t>(entry->gr_gid) : std::nullopt;
  });
}

/// Makes way for our socket: removes one that nobody listens on, throws for anything else.
void remove_stale(const UnixListenerConfig& config, const sockaddr_un& address) {
  struct stat st {};
  if (lstat(config.path.c_str(), &st) != 0) {
    if (errno == ENOENT) return;
    fail(config, std::strerror(errno));
  }
  if (!S_ISSOCK(st.st_mode)) fail(config, "exists and is no socket; remove it or choose another path");
  switch (const int error = connect_unix(make_unix_socket(), address)) {
    case ECONNREFUSED:
      break;  // nobody listens
    case ENOENT:
      return;
    case 0:
    case EAGAIN:
      fail(config, "another process listens here; stop it or choose another path");
    case EACCES:
      fail(config, "exists, and there is no permission to see whether somebody listens on it");
    case EPROTOTYPE:
      fail(config, "a socket of another kind is in use there");
    default:
      fail(config, std::strerror(error));
  }
  if (unlink(config.path.c_str()) != 0 && errno != ENOENT)
    fail(config, fmt::format("cannot remove the stale socket: {}", std::strerror(errno)));
}

}  // namespace

sockaddr_un unix_address(const std::string& what, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) throw std::runtime_error(fmt::format("{}: the path is empty", what));
  if (path.size() >= sizeof address.sun_path)
    throw std::runtime_error(fmt::format("{} {}: the path has {} characters; a socket's has at most 107 characters",
                                         what, path, path.size()));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int connect_unix(const UniqueFd& fd, const sockaddr_un& address) noexcept {
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

UniqueFd make_unix_socket() noexcept {
  return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/// Handlers hold weak references to it, so the owner can let go at any time.
struct UnixListener::Impl : std::enable_shared_from_this<Impl> {
  Impl(boost::asio::io_context& io, const UnixListenerConfig& c, OnConnection f)
      : config(c), on_connection(std::move(f)), watch(io), timer(io) {
    const sockaddr_un address = unix_address(config.what, config.path);
    const uid_t owner = owner_id(config);
    const gid_t group = group_id(config);
    fd = make_unix_socket();
    if (!fd.is_open()) fail(config, std::strerror(errno));
    remove_stale(config, address);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail(config, fmt::format("cannot bind: {}", std::strerror(errno)));
    struct stat st {};
    if (lstat(config.path.c_str(), &st) == 0) {
      device = st.st_dev;
      inode = st.st_ino;
    }
    try {
      // Nobody can connect before listen().
      if (config.permissions && chmod(config.path.c_str(), *config.permissions) != 0)
        fail(config, fmt::format("cannot set mode {:04o}: {}", *config.permissions, std::strerror(errno)));
      if ((owner != kUnchanged || group != kUnchanged) && lchown(config.path.c_str(), owner, group) != 0)
        fail(config, fmt::format("cannot give it to {}:{}: {}", config.owner, config.group, std::strerror(errno)));
      if (listen(fd.get(), kBacklog) != 0) fail(config, fmt::format("cannot listen: {}", std::strerror(errno)));
      watch.assign(fd.get());
    } catch (...) {
      unlink_ours();
      throw;
    }
  }

  void wait() {
    watch.async_wait(Watch::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !self->fd.is_open()) return;
      bool goes_on = false;
      try {
        goes_on = self->accept_some();
      } catch (...) {
        if (self->fd.is_open()) self->pause();
        throw;
      }
      if (!self->fd.is_open()) return;
      if (goes_on) return self->wait();
      self->pause();
    });
  }

  /// What stays in the queue of connections would wake us again at once.
  void pause() {
    timer.expires_after(kPause);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self && self->fd.is_open()) self->wait();
    });
  }

  /// False: the kernel cannot give us a connection at present.
  bool accept_some() {
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      UniqueFd connection(accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!connection.is_open()) return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
      const auto f = on_connection;
      f(std::move(connection));
      if (!fd.is_open()) return true;
    }
    return true;
  }

  void stop() noexcept {
    on_connection = nullptr;
    boost::system::error_code ignored;
    timer.cancel(ignored);
    if (watch.is_open()) watch.release();
    unlink_ours();
    fd.reset();
  }

  void unlink_ours() noexcept {
    struct stat st {};
    if (inode != 0 && lstat(config.path.c_str(), &st) == 0 && st.st_dev == device && st.st_ino == inode)
      unlink(config.path.c_str());
  }

  UnixListenerConfig config;
  OnConnection on_connection;
  UniqueFd fd;
  Watch watch;
  boost::asio::steady_timer timer;
  dev_t device = 0;
  ino_t inode = 0;
};

UnixListener::UnixListener(boost::asio::io_context& io, const UnixListenerConfig& config, OnConnection on_connection)
    : impl_(std::make_shared<Impl>(io, config, std::move(on_connection))) {
  impl_->wait();
}

UnixListener::~UnixListener() { impl_->stop(); }

}  // namespace weft::dataplane
