// SPDX-License-Identifier: BSD-3-Clause
//
// Replaces libc's epoll_wait. A worker sleeps for a tick at most, and so a wake-up that is lost does no harm but to
// make a packet late. Here it sleeps until it is woken: what is lost stays lost, and its test fails, however slow the
// machine.
#include "dataplane/worker.h"

#include <cerrno>

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" int epoll_wait(int epoll_fd, epoll_event* events, int max_events, int timeout_ms) {
  const bool is_control = getpid() == gettid();
  if (!is_control && timeout_ms == static_cast<int>(weft::dataplane::Worker::kTickNs / 1'000'000)) timeout_ms = -1;
  return static_cast<int>(syscall(SYS_epoll_pwait, epoll_fd, events, max_events, timeout_ms, nullptr, 0));
}
