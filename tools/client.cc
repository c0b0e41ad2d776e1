// SPDX-License-Identifier: BSD-3-Clause
#include "tools/client.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft::tools {
namespace {

using Clock = std::chrono::steady_clock;

/// No answer is larger than this: a list of some millions of connections.
constexpr size_t kMaxAnswerBytes = size_t{1} << 30;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string errno_text(int error) { return std::strerror(error); }

int connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw Failure(kExitUsage, fmt::format("--socket: a path of 1 to {} characters is needed, this one has {}",
                                          sizeof address.sun_path - 1, path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw Failure(kExitNoSwitch, fmt::format("no socket to be had: {}", errno_text(errno)));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  ::close(fd);
  if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
    throw Failure(kExitNoSwitch, fmt::format("no weftd listens on {} (start it, or give --socket)", path));
  }
  if (error == EACCES || error == EPERM) {
    throw Failure(kExitNoSwitch,
                  fmt::format("{}: no permission to talk to weftd (run as root or in the socket's group)", path));
  }
  throw Failure(kExitNoSwitch, fmt::format("{}: {}", path, errno_text(error)));
}

/// Waits until `fd` is ready for `events`; the deadline is the whole conversation's.
void wait_for(int fd, int16_t events, Clock::time_point deadline, const std::string& path) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw Failure(kExitNoSwitch, fmt::format("weftd on {} does not answer", path));
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) throw Failure(kExitNoSwitch, fmt::format("{}: {}", path, errno_text(errno)));
  }
}

void send_line(int fd, std::string_view line, Clock::time_point deadline, const std::string& path) {
  while (!line.empty()) {
    wait_for(fd, POLLOUT, deadline, path);
    const ssize_t n = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      line.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
      throw Failure(kExitNoSwitch, fmt::format("weftd on {} hung up: {}", path, errno_text(errno)));
    }
  }
}

std::string receive_line(int fd, Clock::time_point deadline, const std::string& path) {
  std::string answer;
  std::string chunk(size_t{1} << 16, '\0');
  while (answer.size() < kMaxAnswerBytes) {
    wait_for(fd, POLLIN, deadline, path);
    const ssize_t n = ::recv(fd, chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) throw Failure(kExitNoSwitch, fmt::format("weftd on {} hung up before it answered", path));
    const std::string_view got(chunk.data(), static_cast<size_t>(n));
    const size_t end = got.find('\n');
    answer += got.substr(0, end);
    if (end != std::string_view::npos) return answer;
  }
  throw Failure(kExitNoSwitch, fmt::format("weftd on {} sent an answer without end", path));
}

}  // namespace

nlohmann::json ask(const std::string& socket_path, const std::string& command, const nlohmann::json& args,
                   std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const Fd fd(connect_to(socket_path));
  const nlohmann::json request{{"command", command}, {"args", args}};
  // An argument may hold any byte the shell lets through; what is no UTF-8 must not throw here.
  send_line(fd.get(), request.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n", deadline,
            socket_path);
  const std::string line = receive_line(fd.get(), deadline, socket_path);

  nlohmann::json answer = nlohmann::json::parse(line, nullptr, false);
  if (answer.is_object() && answer.contains("result")) return std::move(answer["result"]);
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
    const nlohmann::json& error = answer["error"];
    const bool is_usage = error.contains("exit") && error["exit"] == kExitUsage;
    throw Failure(is_usage ? kExitUsage : kExitRefused, error.contains("message") && error["message"].is_string()
                                                            ? error["message"].get<std::string>()
                                                            : std::string("refused, without a reason"));
  }
  throw Failure(kExitNoSwitch, fmt::format("what listens on {} does not speak as weftd does", socket_path));
}

}  // namespace weft::tools
