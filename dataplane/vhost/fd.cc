// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/fd.h"

#include <cstdint>
#include <cstdio>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace weft::dataplane::vhost {

bool is_eventfd(int fd) noexcept {
  char link[32], target[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, target, sizeof target);
  return n > 0 && std::string_view(target, static_cast<size_t>(n)) == "anon_inode:[eventfd]";
}

bool set_nonblocking(int fd) noexcept {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

void signal_eventfd(int fd) noexcept {
  const uint64_t one = 1;
  // Fails only when the counter is full, which says the same to whoever reads it.
  [[maybe_unused]] const ssize_t n = write(fd, &one, sizeof one);
}

}  // namespace weft::dataplane::vhost
