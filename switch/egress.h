// SPDX-License-Identifier: BSD-3-Clause
//
// The last stage: packets gather by the port they go out to, in order, and each port is called once a burst. A flooded
// packet is written to every member of its network straight from the sender's memory. Worker only.
#pragma once

#include "dataplane/burst.h"
#include "switch/turn.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace weft::vswitch {

class Egress {
 public:
  Egress();

  /// To one port, which is there.
  void send(dataplane::Packet& packet, PortId out) noexcept {
    packet.out_port = out;
    add(out, packet);
  }
  /// Several, in order.
  void send(std::span<dataplane::Packet* const> packets, PortId out) noexcept {
    Bucket& bucket = buckets_[out];
    if (bucket.size == 0) used_[n_used_++] = out;
    dataplane::Packet** to = bucket.packets.data() + bucket.size;
    for (dataplane::Packet* p : packets) {
      p->out_port = out;
      *to++ = p;
    }
    bucket.size = static_cast<uint16_t>(bucket.size + packets.size());
  }
  /// To one port, if it is (still) there.
  void send(Turn& turn, dataplane::Packet& packet, PortId out) noexcept;
  /// To every member of the network except the port it came in from and, from an isolated port, other isolated ones;
  /// with nobody there it ends in l2_no_member.
  void flood(Turn& turn, dataplane::Packet& packet, const NetworkEntry& network) noexcept;
  /// Writes everything out. Every packet given since the last call is sent or dropped by name.
  void flush(Turn& turn) noexcept;

 private:
  /// A burst's packets, and the requests for neighbours they cause (Resolver::made_): each goes to a port once.
  static constexpr size_t kMostWaiting = 2 * dataplane::kBurst;
  struct Bucket {
    uint16_t size;
    std::array<dataplane::Packet*, kMostWaiting> packets;
  };
  void add(PortId out, dataplane::Packet& packet) noexcept {
    Bucket& bucket = buckets_[out];
    if (bucket.size == 0) used_[n_used_++] = out;
    bucket.packets[bucket.size++] = &packet;
  }
  void write_out(Turn& turn, PortId out, Bucket& bucket) noexcept;

  struct Unmap {
    void operator()(Bucket* p) const noexcept;
  };
  std::unique_ptr<Bucket[], Unmap> buckets_;  // by port; untouched for ports that do not exist
  std::array<PortId, dataplane::kMaxPorts> used_;
  uint16_t n_used_ = 0;
};

}  // namespace weft::vswitch
