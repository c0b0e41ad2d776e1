// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/netns.h"

#include <cerrno>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <thread>

#include <fmt/core.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft::dataplane {

namespace {

std::string reason() { return std::strerror(errno); }

std::string netns_path(const std::string& name_or_path) {
  return name_or_path.find('/') == std::string::npos ? "/run/netns/" + name_or_path : name_or_path;
}

}  // namespace

UniqueFd open_netns(const std::string& name_or_path) {
  const std::string path = netns_path(name_or_path);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open())
    throw std::runtime_error(fmt::format("no network namespace {}: {}: {}", name_or_path, path, reason()));
  return fd;
}

NetnsIdentity::NetnsIdentity(const std::string& name_or_path)
    : path_(name_or_path.empty() ? "" : netns_path(name_or_path)) {
  struct stat s;
  if (!path_.empty() && stat(path_.c_str(), &s) == 0) inode_ = s.st_ino;
}

bool NetnsIdentity::is_same() const noexcept {
  struct stat s;
  return path_.empty() || (stat(path_.c_str(), &s) == 0 && s.st_ino == inode_);
}

void in_netns(const std::string& name_or_path, const std::function<void()>& f) {
  if (name_or_path.empty()) return f();
  const UniqueFd netns = open_netns(name_or_path);
  std::exception_ptr thrown;
  std::thread([&]() noexcept {
    try {
      if (setns(netns.get(), CLONE_NEWNET) != 0)
        throw std::runtime_error(fmt::format("cannot enter network namespace {}: {}", name_or_path, reason()));
      f();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

void write_net_sysctl(const std::string& path, std::string_view value) {
  const std::string file = "/proc/sys/net/" + path;
  const auto fail = [&] { return std::runtime_error(fmt::format("cannot set {} to {}: {}", file, value, reason())); };
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) throw fail();
  char now[64];
  const ssize_t n = read(fd.get(), now, sizeof now);
  if (n > 0 && std::string_view(now, static_cast<size_t>(n)).substr(0, value.size() + 1) == std::string(value) + "\n")
    return;
  fd.reset(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open() || write(fd.get(), value.data(), value.size()) < 0) throw fail();
}

bool has_net_sysctl(const std::string& path) { return access(("/proc/sys/net/" + path).c_str(), F_OK) == 0; }

}  // namespace weft::dataplane
