// SPDX-License-Identifier: BSD-3-Clause
//
// Making a tap, or taking again one of our own. The order matters: the netdev becomes persistent last, so
// that whatever fails before, kill -9 included, leaves nothing behind.
#include "dataplane/netns.h"
#include "dataplane/tap_port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/core.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

namespace weft::dataplane {

namespace {

namespace fs = std::filesystem;

constexpr const char* kTunDevice = "/dev/net/tun";

std::string reason(int error) { return std::strerror(error); }

/// Whether descriptor `fd` of the process (a directory of /proc) is attached to the tap `name`.
bool holds_tap(const fs::path& process, const fs::path& fd, const std::string& name) {
  std::error_code ignored;
  if (fs::read_symlink(fd, ignored) != kTunDevice) return false;
  std::ifstream info(process / "fdinfo" / fd.filename());
  for (std::string line; std::getline(info, line);) {
    if (line == "iff:\t" + name) return true;
  }
  return false;
}

/// "qemu-system-x86 (process 4711)" for the process that holds the tap, or "another process" when it cannot
/// be found: another user's, or in another process namespace.
std::string find_holder(const std::string& name) {
  std::error_code error;
  for (fs::directory_iterator p("/proc", error), end; !error && p != end; p.increment(error)) {
    const std::string pid = p->path().filename();
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    std::error_code gone;
    for (fs::directory_iterator fd(p->path() / "fd", gone); !gone && fd != end; fd.increment(gone)) {
      if (!holds_tap(p->path(), fd->path(), name)) continue;
      std::string command;
      std::ifstream comm(p->path() / "comm");
      std::getline(comm, command);
      return fmt::format("{} (process {})", command, pid);
    }
  }
  return "another process";
}

std::runtime_error held(const std::string& name) {
  return std::runtime_error(
      fmt::format("tap {} is held by {}; stop it or choose another tap name", name, find_holder(name)));
}

bool is_libvirts(const LinkInfo& link) {
  return link.kind == "bridge" && link.mac.bytes[0] == 0x52 && link.mac.bytes[1] == 0x54;
}

std::string describe(const LinkInfo& link) {
  if (link.kind == "tun") return link.is_tap ? "a tap" : "a tun device";
  if (is_libvirts(link)) return "a kernel bridge as libvirt makes them";
  if (link.kind == "bridge") return "a kernel bridge";
  return link.kind.empty() ? "a network interface" : "a " + link.kind + " interface";
}

/// The netdev there is must be a tap with our alias.
void check_ours(const LinkInfo& link, const TapOptions& options) {
  constexpr std::string_view kAdvice = "remove it or choose another tap name";
  if (is_libvirts(link))
    throw std::runtime_error(
        fmt::format("{} exists and is {}; end libvirt's network with `virsh net-destroy` or choose another name",
                    options.name, describe(link)));
  if (link.kind != "tun" || !link.is_tap)
    throw std::runtime_error(
        fmt::format("{} exists and is {}, not weft's tap; {}", options.name, describe(link), kAdvice));
  const std::string ours = "weft:" + options.id;
  if (link.alias == ours || (options.is_known && link.alias.starts_with("weft:"))) return;
  if (link.alias.starts_with("weft:"))
    throw std::runtime_error(fmt::format("tap {} exists and is weft's for {}, not for {}; {}", options.name,
                                         link.alias.substr(5), options.id, kAdvice));
  throw std::runtime_error(fmt::format("tap {} exists and is not weft's; {}", options.name, kAdvice));
}

void check_options(const TapOptions& options) {
  const std::string& name = options.name;
  // The kernel would make a name of its own out of "%d".
  if (name.empty() || name.size() >= IFNAMSIZ || name.find_first_of("/% \t\n:") != std::string::npos || name == "." ||
      name == "..")
    throw std::runtime_error(
        fmt::format("tap name \"{}\": expected 1 to {} bytes without space, '/', ':' or '%'", name, IFNAMSIZ - 1));
  if (options.queues == 0 || options.queues > 256)
    throw std::runtime_error(fmt::format("tap {}: {} queues; expected 1 to 256", name, options.queues));
}

/// One queue of the tap; makes the netdev if there is none.
UniqueFd open_queue(const TapOptions& options, short flags) {
  UniqueFd fd(open(kTunDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.is_open()) throw std::runtime_error(fmt::format("tap {}: {}: {}", options.name, kTunDevice, reason(errno)));
  ifreq request{};
  options.name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = flags;
  if (ioctl(fd.get(), TUNSETIFF, &request) == 0) return fd;
  const int error = errno;
  if (error == EBUSY) throw held(options.name);
  if (error == EPERM)
    throw std::runtime_error(fmt::format("no permission to make tap {} (needs CAP_NET_ADMIN)", options.name));
  throw std::runtime_error(fmt::format("cannot make tap {}: {}", options.name, reason(error)));
}

void set_headers(const UniqueFd& fd, const std::string& name) {
  int header_size = sizeof(VirtioNetHeader);
  const unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &header_size) != 0 || ioctl(fd.get(), TUNSETOFFLOAD, offloads) != 0)
    throw std::runtime_error(fmt::format("cannot set the offloads of tap {}: {}", name, reason(errno)));
}

}  // namespace

TapPort::TapPort(const TapOptions& options)
    : name_(options.name), netns_(options.netns), netns_identity_(options.netns) {
  check_options(options);
  in_netns(options.netns, [&] { take(options); });
}

void TapPort::take(const TapOptions& options) {
  netlink_ = std::make_unique<Netlink>();
  auto existing = netlink_->find(options.name);
  if (existing) check_ours(*existing, options);
  // A second process may attach to a multi-queue tap, so the kernel does not refuse us.
  if (existing && existing->n_queues != 0) throw held(options.name);
  open_queues(options, existing);
  const auto link = netlink_->find(options.name);
  if (!link) throw std::runtime_error(fmt::format("tap {} was removed while it was made", options.name));
  index_ = link->index;
  const std::string alias = "weft:" + options.id;
  if (link->alias != alias) netlink_->set_alias(index_, alias);
  set_up(options);
  const int carrier = options.has_carrier ? 1 : 0;
  if (ioctl(queues_.front().fd.get(), TUNSETCARRIER, &carrier) != 0 && !options.has_carrier)
    throw std::runtime_error(fmt::format("cannot take the link of tap {} down: {}", options.name, reason(errno)));
  for (const Queue& q : queues_) {
    if (ioctl(q.fd.get(), TUNSETPERSIST, 1) != 0)
      throw std::runtime_error(fmt::format("cannot keep tap {}: {}", options.name, reason(errno)));
  }
}

void TapPort::open_queues(const TapOptions& options, const std::optional<LinkInfo>& existing) {
  const bool multi_queue = options.queues > 1;
  was_made_ = !existing;
  if (existing && existing->is_multi_queue != multi_queue) {
    // The kernel decides that when a tap is made. Ours alone, so it may go; unless somebody is still
    // attached.
    open_queue(options, static_cast<short>(IFF_TAP | IFF_NO_PI | (existing->is_multi_queue ? IFF_MULTI_QUEUE : 0)));
    netlink_->remove(existing->index);
    was_made_ = true;
  }
  const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi_queue ? IFF_MULTI_QUEUE : 0);
  for (uint16_t i = 0; i < options.queues; ++i) {
    // Who makes it must be the first: between our look and this call somebody may have made one of that name.
    const int exclusive = was_made_ && i == 0 ? IFF_TUN_EXCL : 0;
    queues_.push_back({open_queue(options, static_cast<short>(flags | exclusive))});
    set_headers(queues_.back().fd, options.name);
  }
}

void TapPort::set_up(const TapOptions& options) {
  auto link = netlink_->find(index_).value();
  if (options.mac && link.mac != *options.mac) netlink_->set_mac(index_, *options.mac);
  if (options.mtu && link.mtu != *options.mtu) netlink_->set_mtu(index_, *options.mtu);
  if (!options.bridge.empty()) {
    const auto bridge = netlink_->find(options.bridge);
    if (!bridge || bridge->kind != "bridge")
      throw std::runtime_error(fmt::format(
          "tap {}: {} {}", options.name, options.bridge,
          bridge ? "is " + describe(*bridge) + ", not a kernel bridge" : "is the bridge to join, and does not exist"));
    if (link.master != bridge->index) netlink_->set_master(index_, bridge->index);
  }
  set_up_ipv6(options);
  if (options.addresses) {
    const auto& wanted = *options.addresses;
    for (const InterfaceAddress& a : netlink_->addresses(index_)) {
      const bool is_link_local = a.address.is_v6() && a.address.v6().is_link_local();
      if (!is_link_local && std::find(wanted.begin(), wanted.end(), a) == wanted.end())
        netlink_->remove_address(index_, a);
    }
    for (const InterfaceAddress& a : wanted) netlink_->add_address(index_, a);
  }
  if (options.link == TapOptions::Link::up) netlink_->set_up(index_);
}

/// A netdev whose addresses are given takes none from the network; one without IPv6 addresses, or in a
/// bridge, does not speak IPv6 at all. A guest's netdev is its own business.
void TapPort::set_up_ipv6(const TapOptions& options) {
  if (!options.addresses && options.bridge.empty()) return;
  const std::string conf = "ipv6/conf/" + options.name;
  if (!has_net_sysctl(conf)) return;  // a kernel without IPv6
  const bool has_v6 = options.addresses && std::any_of(options.addresses->begin(), options.addresses->end(),
                                                       [](const auto& a) { return a.address.is_v6(); });
  write_net_sysctl(conf + "/accept_ra", "0");
  write_net_sysctl(conf + "/autoconf", "0");
  write_net_sysctl(conf + "/accept_dad", "0");
  write_net_sysctl(conf + "/disable_ipv6", has_v6 ? "0" : "1");
}

void TapPort::remove_with_port() noexcept { remove_ = true; }

TapRemoval remove_own_tap(const std::string& netns, const std::string& name) {
  TapRemoval outcome = TapRemoval::absent;
  try {
    in_netns(netns, [&] {
      Netlink netlink;
      const auto link = netlink.find(name);
      if (!link) return;
      if (!link->is_tap || !link->alias.starts_with("weft:")) {
        outcome = TapRemoval::not_ours;
        return;
      }
      outcome = TapRemoval::held;
      if (link->n_queues != 0) return;
      const int multi_queue = link->is_multi_queue ? IFF_MULTI_QUEUE : 0;
      const UniqueFd held_by_us = open_queue({.name = name}, static_cast<short>(IFF_TAP | IFF_NO_PI | multi_queue));
      netlink.remove(link->index);
      outcome = TapRemoval::removed;
    });
  } catch (const NetlinkError&) {
    throw;
  } catch (const std::runtime_error&) {
    // No such namespace any more, or somebody holds the tap.
  }
  return outcome;
}

}  // namespace weft::dataplane
