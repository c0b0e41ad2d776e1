// SPDX-License-Identifier: BSD-3-Clause
//
// A tap of ours as a port: what is sent to its netdev comes in, what goes out appears on its netdev, with
// virtio-net headers, so that checksums and TSO frames pass both ways unfinished. The netdev may live in
// another network namespace.
//
// The tap is persistent: it and its settings outlive weftd, however weftd ends, and the next weftd takes it
// again. It knows its own by the ifalias `weft:<id>` and never touches a netdev that does not carry it.
//
// Control thread: everything but the worker's group of Port. rx and tx are one system call a frame.
#pragma once

#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "dataplane/port.h"
#include "dataplane/unique_fd.h"
#include "dataplane/virtio_net_header.h"
#include "dataplane/wire/addr.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::dataplane {

struct TapOptions {
  std::string name;   // of the netdev, up to 15 bytes
  std::string id;     // who of weft owns it, e.g. "port/c1" or "network/default": the ifalias is "weft:" + id
  std::string netns;  // name under /run/netns or a path; empty: the namespace of weftd
  uint16_t queues = 1;
  std::optional<wire::MacAddress> mac;  // left out: the kernel's choice, or what it has
  std::optional<uint32_t> mtu;
  std::string bridge;  // a kernel bridge to join; empty: not touched
  /// The netdev's only addresses: others that it carries are removed. Left out: not touched, they are the
  /// guest's.
  std::optional<std::vector<InterfaceAddress>> addresses;
  enum class Link { up, leave };
  Link link = Link::up;
  bool has_carrier = true;  // as if a cable were plugged in
  /// weftd made this netdev, be it for another owner: a tap that carries weft's alias is taken whosever it was.
  bool is_known = false;
};

enum class TapRemoval {
  removed,
  absent,    // no such netdev, or no such namespace
  held,      // ours, but a process has it open
  not_ours,  // a netdev of that name that weft has not made
};
/// Removes the netdev of that name if it is a tap that an earlier run of weft left and nobody holds. Throws
/// NetlinkError when the kernel refuses.
TapRemoval remove_own_tap(const std::string& netns, const std::string& name);

class TapPort final : public Port {
 public:
  /// Makes the tap, or takes again the one it made earlier. Throws std::runtime_error with a sentence for the
  /// user: held by another process, not a tap, not weft's, no such namespace or bridge, no permission. A tap
  /// it had just made is gone then.
  explicit TapPort(const TapOptions& options);
  /// Leaves the netdev as it is, for the next one that takes it.
  ~TapPort() override;
  TapPort(const TapPort&) = delete;
  TapPort& operator=(const TapPort&) = delete;

  /// The netdev is to be gone when this object is.
  void remove_with_port() noexcept;
  /// The constructor made the netdev; false: it was there from an earlier run.
  [[nodiscard]] bool was_made() const noexcept { return was_made_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The netdev was removed, or the namespace it was in: the port is of no more use.
  [[nodiscard]] bool is_gone() const noexcept;
  [[nodiscard]] const std::string& netns() const noexcept { return netns_; }
  /// The netdev's index in its own namespace.
  [[nodiscard]] int index() const noexcept { return index_; }
  [[nodiscard]] wire::MacAddress mac() const;
  /// Throws NetlinkError.
  void set_mtu(uint32_t mtu);

  // --- Port
  // -----------------------------------------------------------------------------------------------------
  void rx(uint16_t queue, Burst& burst) noexcept override;
  void rx_done(uint16_t /*queue*/) noexcept override {}
  void tx(uint16_t queue, std::span<Packet* const> packets) noexcept override;
  bool arm(uint16_t /*queue*/) noexcept override { return false; }
  void disarm(uint16_t /*queue*/) noexcept override {}
  [[nodiscard]] bool is_polled() const noexcept override { return false; }
  [[nodiscard]] uint16_t n_queues() const noexcept override { return static_cast<uint16_t>(queues_.size()); }
  [[nodiscard]] std::string_view kind() const noexcept override { return "tap"; }
  /// The netdev is there and set up (IFF_UP). Asks the kernel.
  [[nodiscard]] bool is_up() const noexcept override;
  void attach(PortId id, uint16_t queue, EventSet& events) override;
  void detach() noexcept override;

 private:
  struct Queue {
    UniqueFd fd;
    EventSet* events = nullptr;
  };
  void open_queues(const TapOptions& options, const std::optional<LinkInfo>& existing);
  void take(const TapOptions& options);
  void set_up(const TapOptions& options);
  void set_up_ipv6(const TapOptions& options);

  std::string name_;
  std::string netns_;
  int index_ = 0;
  bool was_made_ = false;
  bool remove_ = false;
  std::vector<Queue> queues_;
  NetnsIdentity netns_identity_;
  mutable std::unique_ptr<Netlink> netlink_;  // in the netdev's namespace
};

}  // namespace weft::dataplane
