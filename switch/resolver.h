// SPDX-License-Identifier: BSD-3-Clause
//
// Carries out what the neighbour table asks for: makes ARP requests, keeps packets that wait, and sends them on or ends
// them. Worker only.
#pragma once

#include "dataplane/burst.h"
#include "switch/handoff.h"
#include "switch/neighbours.h"
#include "switch/turn.h"

#include <array>
#include <memory>

namespace weft::vswitch {

class Resolver final : private NeighbourSink {
 public:
  /// What `interface`, one of the turn's snapshot, said about a neighbour. Other workers are told.
  void learned(Turn& turn, InterfaceId interface, wire::Ipv4Address address, const wire::MacAddress& mac,
               Neighbours::Evidence evidence) noexcept;
  /// What another worker was told.
  void heard(Turn& turn, const NeighbourNews& news) noexcept;
  /// Sends the packet to its next hop, or keeps it until that has a MAC.
  void resolve(Turn& turn, dataplane::Packet& packet) noexcept;
  /// Timers.
  void tick(Turn& turn) noexcept;
  /// Sends what has been made and released since the last call. At the end of a burst, when its own packets are out.
  void flush(Turn& turn) noexcept;

 private:
  static constexpr uint16_t kMaxReleased = 1024;
  struct Released {
    rte_mbuf* packet;
    InterfaceId interface;
    wire::MacAddress mac;
  };

  void send_request(const NeighbourRequest& request) noexcept override;
  void release(HeldPacket packet, InterfaceId interface, const wire::MacAddress& mac) noexcept override;
  void drop(HeldPacket packet, InterfaceId interface, dataplane::Drop reason) noexcept override;
  void send_released(Turn& turn) noexcept;

  Turn* turn_ = nullptr;     // while one of the calls above runs
  dataplane::Burst made_;    // requests
  dataplane::Burst loaded_;  // released packets on their way out
  std::array<Released, kMaxReleased> released_;
  uint16_t n_released_ = 0;
};

}  // namespace weft::vswitch
