// SPDX-License-Identifier: BSD-3-Clause
//
// The worker's side of a tap, and what the kernel is asked while it runs; made in tap_setup.cc.
#include "dataplane/tap_port.h"

#include "dataplane/kernel_io.h"

#include <cerrno>
#include <utility>

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

namespace weft::dataplane {

TapPort::~TapPort() {
  TapPort::detach();
  if (!remove_) return;
  // The netdev goes with the last descriptor once it is not persistent.
  for (const Queue& q : queues_) ioctl(q.fd.get(), TUNSETPERSIST, 0);
}

void TapPort::rx(uint16_t queue, Burst& burst) noexcept {
  const int fd = queues_[queue].fd.get();
  while (!burst.full() && burst.has_segment_room()) {
    const uint16_t slot = burst.size();
    VirtioNetHeader header;
    RxIov iov;
    fill_rx_iov(iov, header, burst, slot);
    const ssize_t n = readv(fd, iov.data(), iov.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nothing more, or no netdev any more
    Packet& packet = burst.add();
    const auto size = static_cast<size_t>(n);
    if (size < sizeof header) {
      packet.drop = Drop::rx_short_header;
      continue;
    }
    set_received(packet, burst, slot, static_cast<uint32_t>(size - sizeof header));
    if (packet.drop == Drop::none && !to_offload(header, OffloadSet::kernel(), packet))
      packet.drop = Drop::rx_bad_offload;
  }
}

void TapPort::tx(uint16_t queue, std::span<Packet* const> packets) noexcept {
  const int fd = queues_[queue % queues_.size()].fd.get();
  std::array<iovec, kMaxIov> iov;
  for (Packet* packet : packets) {
    VirtioNetHeader header;
    const size_t n = fill_tx_iov(iov.data(), header, *packet);
    ssize_t written;
    do written = writev(fd, iov.data(), static_cast<int>(n));
    while (written < 0 && errno == EINTR);
    if (written < 0) packet->drop = tx_drop(errno);
  }
}

bool TapPort::is_up() const noexcept {
  try {
    const auto link = netlink_->find(index_);
    return netns_identity_.is_same() && link && link->is_up();
  } catch (const std::exception&) {
    return false;
  }
}

bool TapPort::is_gone() const noexcept {
  try {
    return !netns_identity_.is_same() || !netlink_->find(index_);
  } catch (const std::exception&) {
    return false;
  }
}

wire::MacAddress TapPort::mac() const {
  const auto link = netlink_->find(index_);
  return link ? link->mac : wire::MacAddress{};
}

void TapPort::set_mtu(uint32_t mtu) { netlink_->set_mtu(index_, mtu); }

void TapPort::attach(PortId id, uint16_t queue, EventSet& events) {
  Queue& q = queues_.at(queue);
  events.add(q.fd.get(), id, queue);
  q.events = &events;
}

void TapPort::detach() noexcept {
  for (Queue& q : queues_) {
    if (q.events != nullptr) std::exchange(q.events, nullptr)->remove(q.fd.get());
  }
}

}  // namespace weft::dataplane
