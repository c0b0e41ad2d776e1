// SPDX-License-Identifier: BSD-3-Clause
//
// Network namespaces: a port's netdev may live in another one than weftd. Control thread and its helpers.
#pragma once

#include "dataplane/unique_fd.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace weft::dataplane {

/// Opens a network namespace: a name under /run/netns, as `ip netns` makes them, or a path. Throws
/// std::runtime_error ("no network namespace c1: /run/netns/c1: No such file or directory").
[[nodiscard]] UniqueFd open_netns(const std::string& name_or_path);

/// Remembers which namespace a name led to. Our sockets keep a namespace alive after its name is gone, or the
/// name may lead to a new one (a container was restarted): what we have there then serves nobody.
class NetnsIdentity {
 public:
  /// Empty: the namespace of weftd, which is always the same.
  explicit NetnsIdentity(const std::string& name_or_path);
  /// The name leads to the same namespace now.
  [[nodiscard]] bool is_same() const noexcept;

 private:
  std::string path_;
  uint64_t inode_ = 0;
};

/// Calls `f` in the network namespace, on a thread made for it: the caller's own namespace never changes.
/// What `f` opens (sockets, taps) stays there. No namespace (empty): calls it where we are. Rethrows what `f`
/// throws.
void in_netns(const std::string& name_or_path, const std::function<void()>& f);

/// Writes /proc/sys/net/<path> of the calling thread's namespace, unless it has that value. Throws
/// std::runtime_error.
void write_net_sysctl(const std::string& path, std::string_view value);
/// Whether /proc/sys/net/<path> exists for the calling thread.
[[nodiscard]] bool has_net_sysctl(const std::string& path);

}  // namespace weft::dataplane
