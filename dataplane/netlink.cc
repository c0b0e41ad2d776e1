// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/netlink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weft::dataplane {

namespace {

constexpr size_t kAnswerSize = 32768;  // the kernel's own limit for one dump message

using wire::IpAddress;

std::string reason(int error) { return std::strerror(error); }

}  // namespace

/// One message to the kernel, built attribute by attribute.
class Netlink::Request {
 public:
  Request(uint16_t type, uint16_t flags) : bytes_(NLMSG_HDRLEN) {
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  }
  template <class T>
  T& body() {
    const size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(sizeof(T)));
    return *reinterpret_cast<T*>(bytes_.data() + at);
  }
  void add(uint16_t type, const void* data, size_t size) {
    const size_t at = bytes_.size();
    bytes_.resize(at + RTA_SPACE(size));
    auto* attribute = reinterpret_cast<rtattr*>(bytes_.data() + at);
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
    if (size != 0) std::memcpy(RTA_DATA(attribute), data, size);
  }
  void add(uint16_t type, std::string_view text) { add(type, std::string(text).c_str(), text.size() + 1); }
  void add(uint16_t type, uint32_t value) { add(type, &value, sizeof value); }
  /// Attributes added until end() with the returned position lie inside this one.
  size_t begin(uint16_t type) {
    const size_t at = bytes_.size();
    add(type, nullptr, 0);
    return at;
  }
  void end(size_t at) {
    reinterpret_cast<rtattr*>(bytes_.data() + at)->rta_len = static_cast<uint16_t>(bytes_.size() - at);
  }
  nlmsghdr& finish(uint32_t sequence) {
    header().nlmsg_len = static_cast<uint32_t>(bytes_.size());
    header().nlmsg_seq = sequence;
    return header();
  }
  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes_.data()); }

 private:
  std::vector<uint8_t> bytes_;
};

namespace {

/// Calls f(type, data, size) for each attribute.
template <class F>
void for_each_attribute(const rtattr* a, size_t size, F&& f) {
  int left = static_cast<int>(size);
  for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    f(static_cast<uint16_t>(a->rta_type & NLA_TYPE_MASK), static_cast<const uint8_t*>(RTA_DATA(a)), RTA_PAYLOAD(a));
  }
}

std::string text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), strnlen(reinterpret_cast<const char*>(data), size)};
}

template <class T>
T value_of(const uint8_t* data, size_t size) {
  T v{};
  std::memcpy(&v, data, std::min(size, sizeof v));
  return v;
}

void read_tun_data(const uint8_t* data, size_t size, LinkInfo& link) {
  for_each_attribute(reinterpret_cast<const rtattr*>(data), size, [&](uint16_t type, const uint8_t* d, size_t n) {
    if (type == IFLA_TUN_TYPE) link.is_tap = value_of<uint8_t>(d, n) == IFF_TAP;
    if (type == IFLA_TUN_NUM_QUEUES || type == IFLA_TUN_NUM_DISABLED_QUEUES) link.n_queues += value_of<uint32_t>(d, n);
    if (type == IFLA_TUN_MULTI_QUEUE) link.is_multi_queue = value_of<uint8_t>(d, n) != 0;
  });
}

LinkInfo read_link(const nlmsghdr& message) {
  const auto* info = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
  LinkInfo link;
  link.index = info->ifi_index;
  link.flags = info->ifi_flags;
  link.hardware_type = info->ifi_type;
  std::pair<const uint8_t*, size_t> data{};
  for_each_attribute(IFLA_RTA(info), IFLA_PAYLOAD(&message), [&](uint16_t type, const uint8_t* d, size_t n) {
    if (type == IFLA_IFNAME) link.name = text_of(d, n);
    if (type == IFLA_QDISC) link.qdisc = text_of(d, n);
    if (type == IFLA_IFALIAS) link.alias = text_of(d, n);
    if (type == IFLA_MTU) link.mtu = value_of<uint32_t>(d, n);
    if (type == IFLA_MASTER) link.master = value_of<int>(d, n);
    if (type == IFLA_ADDRESS && n == 6) link.mac = value_of<wire::MacAddress>(d, n);
    if (type == IFLA_LINKINFO) {
      for_each_attribute(reinterpret_cast<const rtattr*>(d), n, [&](uint16_t t, const uint8_t* dd, size_t nn) {
        if (t == IFLA_INFO_KIND) link.kind = text_of(dd, nn);
        if (t == IFLA_INFO_DATA) data = {dd, nn};
      });
    }
  });
  if (link.kind == "tun" && data.first != nullptr) read_tun_data(data.first, data.second, link);
  return link;
}

}  // namespace

bool LinkInfo::is_up() const noexcept { return (flags & IFF_UP) != 0; }
bool LinkInfo::has_carrier() const noexcept { return (flags & IFF_LOWER_UP) != 0; }

Netlink::Netlink() : socket_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (!socket_.is_open()) throw NetlinkError("cannot open a netlink socket: " + reason(errno), errno);
}

namespace {

/// Sends a request and calls f(message) for each message of the answer. Returns 0 or the errno of the
/// kernel's refusal.
template <class F>
int converse(int fd, const nlmsghdr& request, F&& f) {
  if (send(fd, &request, request.nlmsg_len, 0) < 0) return errno;
  alignas(nlmsghdr) uint8_t answer[kAnswerSize];
  for (;;) {
    const ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    size_t left = static_cast<size_t>(n);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(answer); NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
      if (m->nlmsg_seq != request.nlmsg_seq) continue;  // of an earlier conversation that was given up
      if (m->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(NLMSG_DATA(m))->error;
      if (m->nlmsg_type == NLMSG_DONE) return 0;
      f(*m);
      if ((m->nlmsg_flags & NLM_F_MULTI) == 0) return 0;
    }
  }
}

}  // namespace

void Netlink::execute(Request& request, const std::string& what) {
  request.header().nlmsg_flags |= NLM_F_ACK;
  const int error = converse(socket_.get(), request.finish(++sequence_), [](const nlmsghdr&) {});
  if (error != 0) throw NetlinkError(fmt::format("cannot {}: {}", what, reason(error)), error);
}

std::optional<LinkInfo> Netlink::get_link(Request& request) {
  std::optional<LinkInfo> link;
  const int error =
      converse(socket_.get(), request.finish(++sequence_), [&](const nlmsghdr& m) { link = read_link(m); });
  if (error == ENODEV) return std::nullopt;
  if (error != 0) throw NetlinkError("cannot ask for a netdev: " + reason(error), error);
  return link;
}

std::optional<LinkInfo> Netlink::find(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  Request request(RTM_GETLINK, 0);
  request.body<ifinfomsg>();
  request.add(IFLA_IFNAME, name);
  return get_link(request);
}

std::optional<LinkInfo> Netlink::find(int index) {
  if (index <= 0) return std::nullopt;
  Request request(RTM_GETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  return get_link(request);
}

std::vector<InterfaceAddress> Netlink::addresses(int index) {
  std::vector<InterfaceAddress> found;
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.body<ifaddrmsg>();
  const int error = converse(socket_.get(), request.finish(++sequence_), [&](const nlmsghdr& m) {
    const auto* info = static_cast<const ifaddrmsg*>(NLMSG_DATA(&m));
    if (static_cast<int>(info->ifa_index) != index) return;
    for_each_attribute(IFA_RTA(info), IFA_PAYLOAD(&m), [&](uint16_t type, const uint8_t* d, size_t n) {
      // IPv4 says its own address in IFA_LOCAL, IPv6 in IFA_ADDRESS (no peers here).
      if (info->ifa_family == AF_INET && type == IFA_LOCAL)
        found.push_back({value_of<wire::Ipv4Address>(d, n), info->ifa_prefixlen});
      if (info->ifa_family == AF_INET6 && type == IFA_ADDRESS)
        found.push_back({value_of<wire::Ipv6Address>(d, n), info->ifa_prefixlen});
    });
  });
  if (error != 0) throw NetlinkError("cannot ask for addresses: " + reason(error), error);
  return found;
}

void Netlink::set_alias(int index, std::string_view alias) {
  Request request(RTM_SETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  request.add(IFLA_IFALIAS, alias);
  execute(request, fmt::format("set the alias of netdev {}", index));
}

void Netlink::set_mac(int index, const wire::MacAddress& mac) {
  Request request(RTM_SETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  request.add(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
  execute(request, fmt::format("set the MAC address of netdev {} to {}", index, mac.to_string()));
}

void Netlink::set_mtu(int index, uint32_t mtu) {
  Request request(RTM_SETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  request.add(IFLA_MTU, mtu);
  execute(request, fmt::format("set the MTU of netdev {} to {}", index, mtu));
}

void Netlink::set_up(int index) {
  Request request(RTM_SETLINK, 0);
  auto& info = request.body<ifinfomsg>();
  info.ifi_index = index;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  execute(request, fmt::format("set netdev {} up", index));
}

void Netlink::set_down(int index) {
  Request request(RTM_SETLINK, 0);
  auto& info = request.body<ifinfomsg>();
  info.ifi_index = index;
  info.ifi_change = IFF_UP;
  execute(request, fmt::format("set netdev {} down", index));
}

void Netlink::set_master(int index, int master) {
  Request request(RTM_SETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  request.add(IFLA_MASTER, static_cast<uint32_t>(master));
  execute(request, fmt::format("make netdev {} a part of bridge {}", index, master));
}

void Netlink::move(int index, int netns_fd) {
  Request request(RTM_SETLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  request.add(IFLA_NET_NS_FD, static_cast<uint32_t>(netns_fd));
  execute(request, fmt::format("move netdev {} to another network namespace", index));
}

void Netlink::add_address(int index, const InterfaceAddress& a) {
  Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  auto& info = request.body<ifaddrmsg>();
  info.ifa_family = a.address.is_v4() ? AF_INET : AF_INET6;
  info.ifa_prefixlen = a.prefix;
  info.ifa_index = static_cast<uint32_t>(index);
  info.ifa_scope = RT_SCOPE_UNIVERSE;
  info.ifa_flags = IFA_F_NODAD;
  if (a.address.is_v4()) {
    const wire::Ipv4Address v4 = a.address.v4();
    request.add(IFA_LOCAL, &v4, sizeof v4);
    request.add(IFA_ADDRESS, &v4, sizeof v4);
    if (a.prefix <= 30) {
      const wire::Ipv4Address broadcast = wire::Ipv4Prefix{v4, a.prefix}.broadcast();
      request.add(IFA_BROADCAST, &broadcast, sizeof broadcast);
    }
  } else {
    request.add(IFA_LOCAL, a.address.v6().bytes.data(), 16);
    request.add(IFA_ADDRESS, a.address.v6().bytes.data(), 16);
  }
  execute(request, fmt::format("give netdev {} the address {}/{}", index, a.address.to_string(), a.prefix));
}

void Netlink::remove_address(int index, const InterfaceAddress& a) {
  Request request(RTM_DELADDR, 0);
  auto& info = request.body<ifaddrmsg>();
  info.ifa_family = a.address.is_v4() ? AF_INET : AF_INET6;
  info.ifa_prefixlen = a.prefix;
  info.ifa_index = static_cast<uint32_t>(index);
  if (a.address.is_v4()) {
    const wire::Ipv4Address v4 = a.address.v4();
    request.add(IFA_LOCAL, &v4, sizeof v4);
  } else {
    request.add(IFA_LOCAL, a.address.v6().bytes.data(), 16);
  }
  execute(request, fmt::format("take the address {}/{} from netdev {}", a.address.to_string(), a.prefix, index));
}

void Netlink::add_veth(std::string_view name, std::string_view peer) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.body<ifinfomsg>();
  request.add(IFLA_IFNAME, name);
  const size_t info = request.begin(IFLA_LINKINFO);
  request.add(IFLA_INFO_KIND, "veth");
  const size_t data = request.begin(IFLA_INFO_DATA);
  const size_t peer_info = request.begin(VETH_INFO_PEER);
  request.body<ifinfomsg>();
  request.add(IFLA_IFNAME, peer);
  request.end(peer_info);
  request.end(data);
  request.end(info);
  execute(request, fmt::format("make the veth pair {} and {}", name, peer));
}

void Netlink::add_bridge(std::string_view name) {
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.body<ifinfomsg>();
  request.add(IFLA_IFNAME, name);
  const size_t info = request.begin(IFLA_LINKINFO);
  request.add(IFLA_INFO_KIND, "bridge");
  request.end(info);
  execute(request, fmt::format("make the bridge {}", name));
}

void Netlink::remove(int index) {
  Request request(RTM_DELLINK, 0);
  request.body<ifinfomsg>().ifi_index = index;
  execute(request, fmt::format("remove netdev {}", index));
}

}  // namespace weft::dataplane
