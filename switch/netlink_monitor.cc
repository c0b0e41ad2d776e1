// SPDX-License-Identifier: BSD-3-Clause
#include "switch/netlink_monitor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weft::vswitch {

namespace {

using wire::Ipv4Address;
using wire::Ipv4Prefix;
using wire::MacAddress;

constexpr int kReadsPerTurn = 64;  // then other work of the loop has its turn
constexpr size_t kBufferBytes = 64 * 1024;
constexpr std::chrono::milliseconds kDumpRetry{200};

int open_socket() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "cannot open a netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    throw std::system_error(error, std::generic_category(), "cannot follow netlink events");
  }
  return fd;
}

/// Calls f(type, bytes) for each attribute of the message after its fixed part of type Fixed.
template <typename Fixed, typename F>
void for_each_attribute(const nlmsghdr& message, F&& f) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&message);
  size_t at = NLMSG_SPACE(sizeof(Fixed));
  while (at + sizeof(rtattr) <= message.nlmsg_len) {
    rtattr attribute;
    std::memcpy(&attribute, bytes + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || at + attribute.rta_len > message.nlmsg_len) return;
    f(attribute.rta_type, std::span(bytes + at + sizeof attribute, attribute.rta_len - sizeof attribute));
    at += RTA_ALIGN(attribute.rta_len);
  }
}

template <typename T>
T value_of(std::span<const uint8_t> bytes) {
  T value{};
  if (bytes.size() >= sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// What the kernel has told so far, keyed as the kernel does.
class Picture {
 public:
  void clear() {
    links_.clear();
    addresses_.clear();
  }

  void apply(const nlmsghdr& message) {
    switch (message.nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        if (message.nlmsg_len >= NLMSG_LENGTH(sizeof(ifinfomsg))) apply_link(message);
        break;
      case RTM_NEWADDR:
      case RTM_DELADDR:
        if (message.nlmsg_len >= NLMSG_LENGTH(sizeof(ifaddrmsg))) apply_address(message);
        break;
      default:
        break;
    }
  }

  [[nodiscard]] HostState state() const {
    HostState state;
    for (const auto& [index, link] : links_) state.links[link.first] = link.second;
    for (const auto& [index, address, length] : addresses_) {
      const auto link = links_.find(index);
      state.addresses.push_back({index, link == links_.end() ? "" : link->second.first, {address, length}});
    }
    std::sort(state.addresses.begin(), state.addresses.end(), [](const HostAddress& a, const HostAddress& b) {
      return std::tie(a.address, a.index) < std::tie(b.address, b.index);
    });
    return state;
  }

 private:
  void apply_link(const nlmsghdr& message) {
    const auto* info = reinterpret_cast<const ifinfomsg*>(NLMSG_DATA(&message));
    // A bridge speaks of its ports in messages of a family of its own: leaving the bridge is not going away.
    if (info->ifi_family != AF_UNSPEC) return;
    const int index = info->ifi_index;
    if (message.nlmsg_type == RTM_DELLINK) {
      links_.erase(index);
      std::erase_if(addresses_, [index](const Address& a) { return std::get<0>(a) == index; });
      return;
    }
    auto& entry = links_[index];
    std::string& name = entry.first;
    HostLink& link = entry.second;
    link.index = index;
    link.is_up = (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_LOWER_UP) != 0;
    for_each_attribute<ifinfomsg>(message, [&](uint16_t type, std::span<const uint8_t> bytes) {
      if (type == IFLA_IFNAME) {
        const auto end = std::find(bytes.begin(), bytes.end(), uint8_t{0});
        name.assign(bytes.begin(), end);
      } else if (type == IFLA_MTU) {
        link.mtu = value_of<uint32_t>(bytes);
      } else if (type == IFLA_ADDRESS) {
        link.mac = bytes.size() == 6 ? value_of<MacAddress>(bytes) : MacAddress{};
      }
    });
  }

  void apply_address(const nlmsghdr& message) {
    const auto* info = reinterpret_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
    if (info->ifa_family != AF_INET) return;
    // IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL always is ours.
    Ipv4Address local, other;
    bool has_local = false;
    for_each_attribute<ifaddrmsg>(message, [&](uint16_t type, std::span<const uint8_t> bytes) {
      if (type == IFA_LOCAL) {
        local = value_of<Ipv4Address>(bytes);
        has_local = true;
      } else if (type == IFA_ADDRESS) {
        other = value_of<Ipv4Address>(bytes);
      }
    });
    const Address key{static_cast<int>(info->ifa_index), has_local ? local : other, info->ifa_prefixlen};
    if (message.nlmsg_type == RTM_NEWADDR)
      addresses_.insert(key);
    else
      addresses_.erase(key);
  }

  using Address = std::tuple<int, Ipv4Address, uint8_t>;  // link, address, prefix length
  std::map<int, std::pair<std::string, HostLink>> links_;
  std::set<Address> addresses_;
};

}  // namespace

bool HostState::is_local(Ipv4Address address) const noexcept {
  if (address.is_loopback()) return true;
  return std::any_of(addresses.begin(), addresses.end(),
                     [address](const HostAddress& a) { return a.address.address == address; });
}

/// The dump is two requests, links and then addresses, each answered by a sequence that ends with NLMSG_DONE.
/// Answers and events share the socket and come in the order in which the kernel made them, so all are
/// applied to one picture as they come; nothing is reported until the dump is complete.
struct NetlinkMonitor::Impl : std::enable_shared_from_this<NetlinkMonitor::Impl> {
  Impl(boost::asio::io_context& loop, Callback callback)
      : socket(loop, open_socket()), retry(loop), on_change(std::move(callback)), buffer(kBufferBytes) {}

  enum class Dump : uint8_t { links, addresses, complete };

  void start() {
    begin_dump();
    wait();
  }

  void stop() {
    is_stopped = true;
    boost::system::error_code ignored;
    socket.close(ignored);
    retry.cancel();
  }

  void wait() {
    socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (self->is_stopped || error == boost::asio::error::operation_aborted) return;
                        self->wait();  // first, so that whatever the callback throws does not end the watch
                        self->read();
                        self->report();
                      });
  }

  void begin_dump() {
    picture.clear();
    request(RTM_GETLINK, Dump::links);
  }

  void request(uint16_t type, Dump step) {
    struct {
      nlmsghdr header;
      rtgenmsg body;
    } message{};
    message.header.nlmsg_len = NLMSG_LENGTH(sizeof message.body);
    message.header.nlmsg_type = type;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.header.nlmsg_seq = ++sequence;
    message.body.rtgen_family = step == Dump::links ? AF_UNSPEC : AF_INET;
    dump = step;
    if (::send(socket.native_handle(), &message, message.header.nlmsg_len, 0) < 0) dump_again_later();
  }

  /// The kernel is busy with a dump that was given up, or has no memory.
  void dump_again_later() {
    dump = Dump::links;
    ++sequence;  // what still comes of the old one is not the end of the new one
    retry.expires_after(kDumpRetry);
    retry.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && !self->is_stopped) self->begin_dump();
    });
  }

  void read() {
    for (int n = 0; n < kReadsPerTurn; ++n) {
      sockaddr_nl from{};
      iovec part{buffer.data(), buffer.size()};
      msghdr header{};
      header.msg_name = &from;
      header.msg_namelen = sizeof from;
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      const ssize_t size = ::recvmsg(socket.native_handle(), &header, MSG_DONTWAIT);
      if (size < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        resync();  // ENOBUFS: events were lost
        continue;
      }
      if (from.nl_pid != 0) continue;  // not the kernel
      if ((header.msg_flags & MSG_TRUNC) != 0)
        resync();
      else
        take(std::span(buffer.data(), static_cast<size_t>(size)));
    }
  }

  void resync() {
    ++n_resyncs;
    retry.cancel();
    begin_dump();
  }

  void take(std::span<const uint8_t> bytes) {
    while (bytes.size() >= sizeof(nlmsghdr)) {
      const auto& message = *reinterpret_cast<const nlmsghdr*>(bytes.data());
      if (message.nlmsg_len < sizeof(nlmsghdr) || message.nlmsg_len > bytes.size()) return;
      take(message);
      bytes = bytes.subspan(std::min<size_t>(bytes.size(), NLMSG_ALIGN(message.nlmsg_len)));
    }
  }

  void take(const nlmsghdr& message) {
    const bool is_of_dump = dump != Dump::complete && message.nlmsg_seq == sequence;
    const bool is_of_old_dump = (message.nlmsg_flags & NLM_F_MULTI) != 0 && !is_of_dump;
    if (is_of_old_dump) return;
    if (is_of_dump && (message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_interrupted = true;
    if (message.nlmsg_type == NLMSG_ERROR) {
      if (is_of_dump) dump_again_later();
    } else if (message.nlmsg_type == NLMSG_DONE) {
      if (is_of_dump) end_of_dump_step();
    } else {
      picture.apply(message);
    }
  }

  void end_of_dump_step() {
    if (std::exchange(is_interrupted, false))
      begin_dump();  // something changed half-way: not a consistent picture
    else if (dump == Dump::links)
      request(RTM_GETADDR, Dump::addresses);
    else
      dump = Dump::complete;
  }

  void report() {
    if (dump != Dump::complete) return;
    HostState now = picture.state();
    if (has_reported && now == reported) return;
    reported = std::move(now);
    has_reported = true;
    on_change(reported);
  }

  boost::asio::posix::stream_descriptor socket;
  boost::asio::steady_timer retry;
  Callback on_change;
  std::vector<uint8_t> buffer;
  Picture picture;
  Dump dump = Dump::links;
  uint32_t sequence = 0;
  bool is_interrupted = false;
  bool has_reported = false;
  bool is_stopped = false;
  uint64_t n_resyncs = 0;
  HostState reported;
};

NetlinkMonitor::NetlinkMonitor(boost::asio::io_context& loop, Callback callback)
    : impl_(std::make_shared<Impl>(loop, std::move(callback))) {
  impl_->start();
}

NetlinkMonitor::~NetlinkMonitor() { impl_->stop(); }

const HostState& NetlinkMonitor::state() const noexcept { return impl_->reported; }

uint64_t NetlinkMonitor::n_resyncs() const noexcept { return impl_->n_resyncs; }

}  // namespace weft::vswitch
