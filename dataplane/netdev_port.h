// SPDX-License-Identifier: BSD-3-Clause
//
// An existing netdev as a port, by a packet socket (packet(7)): what the netdev receives comes in, what goes
// out is sent on it; what the host itself sends on it is not seen. With virtio-net headers, so that partial
// checksums and TSO frames pass both ways unfinished, and with VLAN tags put back that the kernel had taken
// off. The netdev is promiscuous while the socket is open; nothing else of it is changed, and nothing stays
// behind.
//
// Control thread: everything but the worker's group of Port. rx and tx are one system call a burst.
#pragma once

#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "dataplane/port.h"
#include "dataplane/unique_fd.h"
#include "dataplane/wire/addr.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace weft::dataplane {

/// There is no such netdev (yet). The caller may wait for it.
class NetdevAbsent : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct NetdevOptions {
  std::string device;                  // name of the netdev
  std::string netns;                   // name under /run/netns or a path; empty: the namespace of weftd
  uint32_t rx_buffer_bytes = 8 << 20;  // of the socket; what does not fit is dropped by the kernel: kernel_drops()
  uint32_t tx_buffer_bytes = 4 << 20;  // frames under way; above: tx_ring_full
};

class NetdevPort final : public Port {
 public:
  /// Throws NetdevAbsent, or std::runtime_error with a sentence for the user (no permission, no such
  /// namespace, not an Ethernet device).
  explicit NetdevPort(const NetdevOptions& options);
  ~NetdevPort() override;
  NetdevPort(const NetdevPort&) = delete;
  NetdevPort& operator=(const NetdevPort&) = delete;

  /// Takes a netdev of the same name that has come since the old one went (is_gone()). Workers may go on
  /// using the port meanwhile. Throws as the constructor does.
  void reopen();
  /// The netdev it was opened on does not exist any more.
  [[nodiscard]] bool is_gone() const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return options_.device; }
  [[nodiscard]] int index() const noexcept { return index_; }
  /// What the kernel says of it: MAC, MTU, …. Throws NetdevAbsent when it is gone, NetlinkError.
  [[nodiscard]] LinkInfo link() const;
  /// Frames the kernel dropped since the port was made because the socket's buffer was full. They were never
  /// received, so they are not part of the counting law.
  [[nodiscard]] uint64_t kernel_drops() noexcept;

  // --- Port
  // -----------------------------------------------------------------------------------------------------
  void rx(uint16_t queue, Burst& burst) noexcept override;
  void rx_done(uint16_t /*queue*/) noexcept override {}
  void tx(uint16_t queue, std::span<Packet* const> packets) noexcept override;
  bool arm(uint16_t /*queue*/) noexcept override { return false; }
  void disarm(uint16_t /*queue*/) noexcept override {}
  [[nodiscard]] bool is_polled() const noexcept override { return false; }
  [[nodiscard]] uint16_t n_queues() const noexcept override { return 1; }
  [[nodiscard]] std::string_view kind() const noexcept override { return "netdev"; }
  /// The netdev is there, set up, and has a carrier. Asks the kernel.
  [[nodiscard]] bool is_up() const noexcept override;
  void attach(PortId id, uint16_t queue, EventSet& events) override;
  void detach() noexcept override;

 private:
  void open_socket();
  void bind_to(const LinkInfo& link);

  NetdevOptions options_;
  UniqueFd socket_;
  int index_ = 0;
  EventSet* events_ = nullptr;
  uint16_t rx_frames_ = kBurst;  // the worker's: to ask for at once
  uint64_t kernel_drops_ = 0;
  NetnsIdentity netns_;
  std::unique_ptr<Netlink> netlink_;  // in the netdev's namespace
};

}  // namespace weft::dataplane
