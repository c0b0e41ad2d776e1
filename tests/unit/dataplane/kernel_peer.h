// SPDX-License-Identifier: BSD-3-Clause
//
// The other side of ports whose far end is the kernel: raw sockets, kernel UDP and TCP sockets, namespaces.
#pragma once

#include "dataplane/netlink.h"
#include "dataplane/port.h"
#include "dataplane/unique_fd.h"
#include "dataplane/virtio_net_header.h"
#include "tests/unit/dataplane/frames.h"

#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace weft::dataplane::test {

inline constexpr int kPatienceMs = 5000;  // only ever waited for when a test fails

inline void check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// A packet socket on a netdev: what the netdev receives, and sending on it.
class RawPeer {
 public:
  enum class VnetHeader { no, yes };
  explicit RawPeer(const std::string& netdev, VnetHeader vnet = VnetHeader::no)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)), vnet_(vnet == VnetHeader::yes) {
    check(fd_.is_open(), "packet socket");
    const int on = 1;
    check(setsockopt(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0, "ignore outgoing");
    for (const int option : {PACKET_VNET_HDR, PACKET_AUXDATA})
      if (vnet_) check(setsockopt(fd_.get(), SOL_PACKET, option, &on, sizeof on) == 0, "vnet header");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(3);  // ETH_P_ALL
    address.sll_ifindex = static_cast<int>(if_nametoindex(netdev.c_str()));
    check(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
  }
  void send(const Bytes& frame, VirtioNetHeader header = {}) {
    iovec iov[2] = {{&header, sizeof header}, {const_cast<uint8_t*>(frame.data()), frame.size()}};
    check(writev(fd_.get(), vnet_ ? iov : iov + 1, vnet_ ? 2 : 1) > 0, "send");
  }
  /// The next frame, or nothing within the time. With virtio-net headers also a tag that the kernel took off.
  std::optional<Bytes> receive(int wait_ms = kPatienceMs) {
    pollfd p{fd_.get(), POLLIN, 0};
    if (poll(&p, 1, wait_ms) != 1) return std::nullopt;
    Bytes frame(70000);
    iovec iov[2] = {{&header_, sizeof header_}, {frame.data(), frame.size()}};
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(tpacket_auxdata))];
    msghdr message{};
    message.msg_iov = vnet_ ? iov : iov + 1;
    message.msg_iovlen = vnet_ ? 2 : 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(fd_.get(), &message, 0);
    if (n < 0) return std::nullopt;
    frame.resize(static_cast<size_t>(n) - (vnet_ ? sizeof header_ : 0));
    put_tag_back(message, frame);
    return frame;
  }
  [[nodiscard]] const VirtioNetHeader& last_header() const { return header_; }

 private:
  void put_tag_back(msghdr& message, Bytes& frame) {
    const cmsghdr* c = CMSG_FIRSTHDR(&message);
    if (c == nullptr || c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) return;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) return;
    frame.insert(frame.begin() + 12, 4, 0);
    put16(frame, 12, aux.tp_vlan_tpid);
    put16(frame, 14, aux.tp_vlan_tci);
    if ((header_.flags & VirtioNetHeader::kNeedsCsum) != 0)
      header_.csum_start = static_cast<uint16_t>(header_.csum_start + 4);
  }
  UniqueFd fd_;
  bool vnet_;
  VirtioNetHeader header_;
};

/// A TSO frame of so many bytes of payload.
inline void send_tso(RawPeer& peer, size_t payload) {
  const FrameSpec spec{.is_partial = true, .payload = pattern(payload)};
  peer.send(make_frame(spec), {.flags = VirtioNetHeader::kNeedsCsum,
                               .gso_type = VirtioNetHeader::kGsoTcp4,
                               .hdr_len = 54,
                               .gso_size = 1448,
                               .csum_start = 34,
                               .csum_offset = 16});
}

/// A real epoll set, as a worker has.
class EpollEvents : public EventSet {
 public:
  EpollEvents() : fd_(epoll_create1(EPOLL_CLOEXEC)) { check(fd_.is_open(), "epoll"); }
  void add(int fd, PortId port, uint16_t queue) override {
    epoll_event e{};
    e.events = EPOLLIN | EPOLLET;
    e.data.u64 = uint64_t{port} << 16 | queue;
    check(epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    ++n_fds;
  }
  void remove(int fd) noexcept override {
    epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr);
    --n_fds;
  }
  /// Whether something happened; data is that of the first event.
  bool wait(int ms = kPatienceMs) {
    epoll_event e{};
    const bool any = epoll_wait(fd_.get(), &e, 1, ms) == 1;
    last = e.data.u64;
    return any;
  }
  int n_fds = 0;
  uint64_t last = 0;

 private:
  UniqueFd fd_;
};

/// Receives as a worker does: after an event, until a burst is empty.
class Receiver {
 public:
  explicit Receiver(Port& port, uint16_t queue = 0) : port_(port), queue_(queue) { port.attach(1, queue, events_); }
  ~Receiver() { port_.detach(); }
  /// The next packet; null within the time. It is valid until the next call.
  Packet* next(int wait_ms = kPatienceMs) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
    while (at_ == burst_.size()) {
      burst_.clear();
      at_ = 0;
      port_.rx(queue_, burst_);
      if (burst_.size() != 0) break;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0 || !events_.wait(static_cast<int>(left))) return nullptr;
    }
    return &burst_[at_++];
  }

 private:
  Port& port_;
  uint16_t queue_;
  EpollEvents events_;
  Burst burst_;
  uint16_t at_ = 0;
};

/// Sends one frame; the drop it ends with.
inline Drop send_one(Port& port, const Bytes& frame, Offload offload = {}, size_t piece_size = 0) {
  static Burst burst;
  burst.clear();
  Packet* packet = &add_packet(burst, frame, offload, piece_size);
  port.tx(0, {&packet, 1});
  return packet->drop;
}

/// A network namespace without a name; path() leads to it while this lives.
class NewNetns {
 public:
  NewNetns() {
    std::thread([this] {
      if (unshare(CLONE_NEWNET) == 0) fd_.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
    check(fd_.is_open(), "new network namespace");
  }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

/// Waits until what is sent on the netdev is sent: the kernel looks at a new carrier a moment after it came.
inline void wait_until_sending(const std::string& netdev) {
  Netlink netlink;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (netlink.find(netdev).value().qdisc == "noop") {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error(netdev + " does not begin to send");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// A neighbour that need not be asked for.
inline void set_arp(const std::string& netdev, const char* address, const Bytes& mac) {
  arpreq r{};
  auto* a = reinterpret_cast<sockaddr_in*>(&r.arp_pa);
  a->sin_family = AF_INET;
  inet_pton(AF_INET, address, &a->sin_addr);
  r.arp_ha.sa_family = ARPHRD_ETHER;
  std::memcpy(r.arp_ha.sa_data, mac.data(), 6);
  r.arp_flags = ATF_PERM | ATF_COM;
  netdev.copy(r.arp_dev, sizeof r.arp_dev - 1);
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  check(ioctl(fd.get(), SIOCSARP, &r) == 0, "static ARP entry");
}

inline sockaddr_in ipv4_socket_address(const char* address, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, address, &a.sin_addr);
  return a;
}

/// what() of what `f` throws; "" when it does not.
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

/// Whether the transport checksum of an untagged IPv4 frame without options is right.
inline bool has_right_checksum(const Bytes& frame) {
  const size_t l4_size = get16(frame, 16) - size_t{20};
  Bytes pseudo(frame.begin() + 26, frame.begin() + 34);
  const Bytes rest{0, frame[23], static_cast<uint8_t>(l4_size >> 8), static_cast<uint8_t>(l4_size)};
  pseudo.insert(pseudo.end(), rest.begin(), rest.end());
  return slow_sum(std::span(frame).subspan(34, l4_size), slow_sum(pseudo)) == 0xffff;
}

}  // namespace weft::dataplane::test
