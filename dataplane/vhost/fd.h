// SPDX-License-Identifier: BSD-3-Clause
//
// What must be known about a descriptor a peer has sent before it is used. Any thread.
#pragma once

#include "dataplane/unique_fd.h"

namespace weft::dataplane::vhost {

/// Whether `fd` is an eventfd; a peer may send anything it can open.
[[nodiscard]] bool is_eventfd(int fd) noexcept;
/// Makes reads and writes of `fd` return at once. False: the kernel refused.
bool set_nonblocking(int fd) noexcept;
/// Adds one to an eventfd; never blocks when the fd is non-blocking, and a full counter is as good as one more.
void signal_eventfd(int fd) noexcept;

}  // namespace weft::dataplane::vhost
