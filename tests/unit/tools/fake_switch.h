// SPDX-License-Identifier: BSD-3-Clause
//
// A weftd that is none: listens on a Unix socket, keeps the one request line it gets, gives back what the
// test told it.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft::tools {

/// A directory of its own for one test, removed with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-unit-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

class FakeSwitch {
 public:
  /// Answers the first request with `answer`, byte for byte (give it its newline), then hangs up.
  explicit FakeSwitch(std::string answer) : answer_(std::move(answer)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeSwitch() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  FakeSwitch(const FakeSwitch&) = delete;
  FakeSwitch& operator=(const FakeSwitch&) = delete;

  [[nodiscard]] std::string path() const { return directory_.file("weft.sock"); }

  /// The request that came, once it is answered.
  [[nodiscard]] nlohmann::json request() {
    if (thread_.joinable()) thread_.join();
    return nlohmann::json::parse(request_, nullptr, false);
  }

  static std::string result(const nlohmann::json& result) { return nlohmann::json{{"result", result}}.dump() + "\n"; }

 private:
  void serve() {
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') request_ += c;
    for (size_t sent = 0; sent < answer_.size();) {
      const ssize_t n = ::send(fd, answer_.data() + sent, answer_.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    ::close(fd);
  }

  TemporaryDirectory directory_;
  std::string answer_;
  std::string request_;
  int listener_ = -1;
  std::thread thread_;
};

}  // namespace weft::tools
