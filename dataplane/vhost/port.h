// SPDX-License-Identifier: BSD-3-Clause
//
// A guest's port over vhost-user: the socket, the connection and its device on the control thread; the rings
// they publish on the workers. A worker sees nothing but atomic pointers to RingViews.
//
// Lives from construction, when the socket is listening or trying, to destruction; guests come and go
// meanwhile.
#pragma once

#include "dataplane/port.h"
#include "dataplane/rcu.h"
#include "dataplane/vhost/device.h"
#include "dataplane/vhost/endpoint.h"
#include "dataplane/wire/addr.h"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace weft::dataplane::vhost {

struct PortConfig {
  SocketConfig socket;
  uint16_t queues = 1;  // pairs, 1 … kMaxRings / 2
  uint16_t mtu = 0;     // the largest packet the network carries; 0: any
  /// A file of the port's own, in a folder in memory, that keeps where packed rings stand (packed_record.h). Without
  /// one they cannot go on when this process was killed.
  std::string positions;
};

/// Called on the control thread, from the io_context, never from inside a VhostUserPort function.
struct PortCallbacks {
  std::function<void(bool is_up)> on_link;
  std::function<void(wire::MacAddress)> on_mac_announce;    // the guest has moved here (SEND_RARP)
  std::function<void(const std::string& reason)> on_error;  // the front end was cut off for this
};

class VhostUserPort final : public Port, private RingHost {
 public:
  /// Throws std::runtime_error when the socket or the file cannot be had (endpoint.h, packed_record.h),
  /// std::invalid_argument for `queues`. `io` and `rcu` outlive the port; handlers left in `io` afterwards do nothing.
  VhostUserPort(std::string name, PortConfig config, PortCallbacks callbacks, boost::asio::io_context& io, Rcu& rcu);
  /// As every port: after detach() and a grace period.
  ~VhostUserPort() override;

  void rx(uint16_t queue, Burst& burst) noexcept override;
  void rx_done(uint16_t queue) noexcept override;
  /// A queue the guest does not use sends on one it does, and one that is not there on queue modulo their number.
  void tx(uint16_t queue, std::span<Packet* const> packets) noexcept override;
  bool arm(uint16_t queue) noexcept override;
  void disarm(uint16_t queue) noexcept override;

  [[nodiscard]] bool is_polled() const noexcept override { return true; }
  [[nodiscard]] uint16_t n_queues() const noexcept override { return n_queues_; }
  [[nodiscard]] std::string_view kind() const noexcept override { return "vhostuser"; }
  [[nodiscard]] bool is_up() const noexcept override { return is_up_.load(std::memory_order_relaxed); }
  void attach(PortId id, uint16_t queue, EventSet& events) override;
  void detach() noexcept override;

  /// Features of the front end connected now; 0 when there is none.
  [[nodiscard]] uint64_t features() const noexcept;
  [[nodiscard]] bool is_connected() const noexcept;

 private:
  bool publish(uint16_t ring, RingView& view, int kick_fd) override;
  void unpublish(uint16_t ring, int kick_fd) noexcept override;

  /// Written by control, read by the queue's worker; rx_now is the worker's: the ring the current burst is
  /// from.
  struct alignas(64) Queue {
    std::atomic<RingView*> rx{nullptr};
    std::atomic<RingView*> tx{nullptr};  // its own, or another's when the guest does not use its own
    RingView* rx_now = nullptr;
    PortId id = kNoPort;  // set by attach
  };
  struct Control;  // everything of the control thread's

  const uint16_t n_queues_;
  const bool has_several_writers_;  // more than one worker: a ring is locked while a burst is written
  const uint16_t mtu_;
  std::unique_ptr<Queue[]> queues_;
  std::atomic<bool> is_up_{false};
  std::shared_ptr<Control> control_;
};

}  // namespace weft::dataplane::vhost
