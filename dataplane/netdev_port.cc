// SPDX-License-Identifier: BSD-3-Clause
//
// No PACKET_QDISC_BYPASS: it would save a lock a frame, but the kernel then drops every TSO frame that the
// device cannot cut itself, and every frame while the device's queue is full.
#include "dataplane/netdev_port.h"

#include "dataplane/kernel_io.h"
#include "dataplane/netns.h"
#include "dataplane/wire/headers.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <sys/socket.h>

namespace weft::dataplane {

namespace {

std::string reason() { return std::strerror(errno); }

template <class T>
void set_option(int fd, int level, int option, const T& value, std::string_view what) {
  if (setsockopt(fd, level, option, &value, sizeof value) != 0)
    throw std::runtime_error(fmt::format("packet socket: {}: {}", what, reason()));
}

/// The tag the kernel took off the frame, if it did (PACKET_AUXDATA).
struct TakenTag {
  bool is_there = false;
  wire::VlanTag tag;  // of which `type` is the tag's own, the ethertype before it
};

TakenTag read_tag(msghdr& message) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) return {};
    const uint16_t type = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : wire::ethertype::kVlan;
    return {true, {wire::be16(aux.tp_vlan_tci), wire::be16(type)}};
  }
  return {};
}

/// Puts the tag back behind the MAC addresses, into the slot's headroom.
void insert_tag(Packet& packet, VirtioNetHeader& header, const TakenTag& taken) noexcept {
  constexpr uint16_t kSize = sizeof(wire::VlanTag);
  if (packet.head_size < sizeof(wire::EthernetHeader)) return;
  std::memmove(packet.head - kSize, packet.head, 12);
  packet.head -= kSize;
  std::memcpy(packet.head + 12, &taken.tag.type, 2);
  std::memcpy(packet.head + 14, &taken.tag.tci, 2);
  packet.head_size = static_cast<uint16_t>(packet.head_size + kSize);
  packet.size += kSize;
  header.csum_start = static_cast<uint16_t>(header.csum_start + kSize);
}

/// How many frames to ask for when they are as large as the last were: a sender's share of the turn.
uint16_t frames_for(size_t mean_bytes) noexcept {
  return static_cast<uint16_t>(std::clamp<size_t>(Burst::kMostWork / std::max<size_t>(mean_bytes, 1), 2, kBurst));
}

}  // namespace

NetdevPort::NetdevPort(const NetdevOptions& options) : options_(options), netns_(options.netns) {
  in_netns(options_.netns, [&] {
    netlink_ = std::make_unique<Netlink>();
    open_socket();
  });
  reopen();
}

NetdevPort::~NetdevPort() { NetdevPort::detach(); }

/// A socket of the calling thread's namespace that receives nothing before it is bound.
void NetdevPort::open_socket() {
  socket_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.is_open())
    throw std::runtime_error(
        fmt::format("netdev {}: cannot open a packet socket (needs CAP_NET_RAW): {}", options_.device, reason()));
  const int fd = socket_.get();
  set_option(fd, SOL_PACKET, PACKET_VNET_HDR, int{1}, "virtio-net header");
  set_option(fd, SOL_PACKET, PACKET_AUXDATA, int{1}, "auxiliary data");
  set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, int{1}, "ignoring outgoing frames");
  // Without CAP_NET_ADMIN these fail; then the system's limit it is.
  const int rx_bytes = static_cast<int>(options_.rx_buffer_bytes),
            tx_bytes = static_cast<int>(options_.tx_buffer_bytes);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rx_bytes, sizeof rx_bytes) != 0)
    set_option(fd, SOL_SOCKET, SO_RCVBUF, rx_bytes, "receive buffer");
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &tx_bytes, sizeof tx_bytes) != 0)
    set_option(fd, SOL_SOCKET, SO_SNDBUF, tx_bytes, "send buffer");
}

void NetdevPort::reopen() {
  const auto link = netlink_->find(options_.device);
  if (!link) throw NetdevAbsent(fmt::format("no netdev {}", options_.device));
  if (link->index == index_) return;
  bind_to(*link);
  index_ = link->index;
}

/// Binding again moves the same descriptor to another netdev, under the hands of any worker.
void NetdevPort::bind_to(const LinkInfo& link) {
  if (link.hardware_type != ARPHRD_ETHER)
    throw std::runtime_error(fmt::format("netdev {} is not an Ethernet device", options_.device));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = wire::be16(ETH_P_ALL).raw();
  address.sll_ifindex = link.index;
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENODEV) throw NetdevAbsent(fmt::format("no netdev {}", options_.device));
    throw std::runtime_error(
        fmt::format("netdev {}: cannot bind a packet socket to it: {}", options_.device, reason()));
  }
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = link.index;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  set_option(socket_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous, "promiscuous mode");
}

void NetdevPort::rx(uint16_t /*queue*/, Burst& burst) noexcept {
  constexpr size_t kControl = CMSG_SPACE(sizeof(tpacket_auxdata));
  std::array<mmsghdr, kBurst> messages;
  std::array<RxIov, kBurst> iovs;
  std::array<VirtioNetHeader, kBurst> headers;
  alignas(cmsghdr) std::array<std::array<uint8_t, kControl>, kBurst> controls;
  const uint16_t wanted = rx_frames_;
  for (uint16_t i = 0; i < wanted; ++i) {
    fill_rx_iov(iovs[i], headers[i], burst, i);
    messages[i] = mmsghdr{};
    messages[i].msg_hdr.msg_iov = iovs[i].data();
    messages[i].msg_hdr.msg_iovlen = iovs[i].size();
    messages[i].msg_hdr.msg_control = controls[i].data();
    messages[i].msg_hdr.msg_controllen = kControl;
  }
  int n = recvmmsg(socket_.get(), messages.data(), wanted, MSG_DONTWAIT, nullptr);
  // An error is told once, before frames that came earlier: that the netdev went down, or that the next frame
  // could not be described by a virtio-net header (EINVAL; the frame is lost).
  uint16_t n_refused = 0;
  for (int tries = 0; n < 0 && errno != EAGAIN && tries < kBurst; ++tries) {
    if (errno == EINVAL) ++n_refused;
    n = recvmmsg(socket_.get(), messages.data(), wanted, MSG_DONTWAIT, nullptr);
  }
  size_t bytes = 0;
  for (uint16_t i = 0; i < n; ++i) {
    msghdr& message = messages[i].msg_hdr;
    Packet& packet = burst.add();
    bytes += messages[i].msg_len;
    if (messages[i].msg_len < sizeof(VirtioNetHeader)) {
      packet.drop = Drop::rx_short_header;
      continue;
    }
    set_received(packet, burst, i, static_cast<uint32_t>(messages[i].msg_len - sizeof(VirtioNetHeader)));
    if ((message.msg_flags & MSG_TRUNC) != 0) packet.drop = Drop::rx_truncated;
    const TakenTag taken = read_tag(message);
    if (taken.is_there) insert_tag(packet, headers[i], taken);
    if (packet.drop == Drop::none && !to_offload(headers[i], OffloadSet::kernel(), packet))
      packet.drop = Drop::rx_bad_offload;
  }
  for (; n_refused != 0 && !burst.full(); --n_refused) burst.add().drop = Drop::rx_bad_offload;
  if (n > 0) rx_frames_ = frames_for(bytes / static_cast<size_t>(n));
}

void NetdevPort::tx(uint16_t /*queue*/, std::span<Packet* const> packets) noexcept {
  std::array<mmsghdr, kBurst> messages;
  std::array<VirtioNetHeader, kBurst> headers;
  std::array<iovec, 2 * kMaxIov> iovs;
  while (!packets.empty()) {
    // As many frames as the arrays hold, at least one.
    size_t n = 0, n_iovs = 0;
    for (; n < kBurst && n < packets.size() && n_iovs + packets[n]->n_payload + 2 <= iovs.size(); ++n) {
      messages[n] = mmsghdr{};
      messages[n].msg_hdr.msg_iov = &iovs[n_iovs];
      messages[n].msg_hdr.msg_iovlen = fill_tx_iov(&iovs[n_iovs], headers[n], *packets[n]);
      n_iovs += messages[n].msg_hdr.msg_iovlen;
    }
    for (size_t done = 0; done < n;) {
      const int sent = sendmmsg(socket_.get(), &messages[done], static_cast<unsigned>(n - done), MSG_DONTWAIT);
      if (sent > 0) {
        done += static_cast<size_t>(sent);
      } else if (errno != EINTR) {
        packets[done++]->drop = tx_drop(errno);
      }
    }
    packets = packets.subspan(n);
  }
}

bool NetdevPort::is_up() const noexcept {
  try {
    const auto link = netlink_->find(index_);
    return netns_.is_same() && link && link->is_up() && link->has_carrier();
  } catch (const std::exception&) {
    return false;
  }
}

bool NetdevPort::is_gone() const noexcept {
  try {
    return !netns_.is_same() || !netlink_->find(index_);
  } catch (const std::exception&) {
    return false;
  }
}

LinkInfo NetdevPort::link() const {
  auto link = netlink_->find(index_);
  if (!link) throw NetdevAbsent(fmt::format("no netdev {}", options_.device));
  return *link;
}

uint64_t NetdevPort::kernel_drops() noexcept {
  tpacket_stats now{};  // since it was last asked
  socklen_t size = sizeof now;
  if (getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &now, &size) == 0) kernel_drops_ += now.tp_drops;
  return kernel_drops_;
}

void NetdevPort::attach(PortId id, uint16_t queue, EventSet& events) {
  events.add(socket_.get(), id, queue);
  events_ = &events;
}

void NetdevPort::detach() noexcept {
  if (events_ != nullptr) std::exchange(events_, nullptr)->remove(socket_.get());
}

}  // namespace weft::dataplane
