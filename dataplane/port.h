// SPDX-License-Identifier: BSD-3-Clause
//
// What a packet comes in from and goes out to. One virtual call a burst. The worker calls the first group on the
// queues assigned to it; the control thread makes, attaches and destroys ports, and destroys only after a grace
// period in which no worker can hold the port.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/packet.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace weft::dataplane {

/// Where a worker waits: an epoll set. Ports put the file descriptors in that announce input (a vring's kick eventfd,
/// a tap), edge-triggered: nobody needs to read an eventfd empty. Thread-safe, as epoll_ctl is.
class EventSet {
 public:
  virtual ~EventSet() = default;
  /// `fd` became readable means: `queue` of `port` may have packets.
  virtual void add(int fd, PortId port, uint16_t queue) = 0;
  virtual void remove(int fd) noexcept = 0;
};

class Port {
 public:
  virtual ~Port() = default;

  // --- worker -------------------------------------------------------------------------------------------------
  /// Fills `burst` (empty on entry) with up to kBurst frames of receive queue `queue`. Frames that could not be made
  /// are in it too, with their drop set.
  virtual void rx(uint16_t queue, Burst& burst) noexcept = 0;
  /// The burst of the last rx() is done with: gives its buffers back to the sender, all at once.
  virtual void rx_done(uint16_t queue) noexcept = 0;
  /// Sends the frames in order. What could not be sent gets its `drop` set; the head of a packet may have its
  /// checksum finished in place, nothing else of it changes. Worker w sends on queue w; a port with fewer queues takes
  /// w modulo their number, and lets several workers send on one at a time.
  virtual void tx(uint16_t queue, std::span<Packet* const> packets) noexcept = 0;
  /// Asks to be told (through the EventSet) when input comes. True: there is input already, don't sleep.
  virtual bool arm(uint16_t queue) noexcept = 0;
  /// No need to be told any more: the worker polls.
  virtual void disarm(uint16_t queue) noexcept = 0;

  // --- control ------------------------------------------------------------------------------------------------
  /// True: rx() costs a memory read when there is nothing, so the worker polls it at every turn. False: it costs a
  /// system call, so the worker calls it only after an event and until it comes back empty.
  [[nodiscard]] virtual bool is_polled() const noexcept = 0;
  [[nodiscard]] virtual uint16_t n_queues() const noexcept = 0;
  /// "vhostuser", "tap", "netdev", "memory".
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
  /// Link state: a driver is at the other end and ready to take frames.
  [[nodiscard]] virtual bool is_up() const noexcept = 0;
  /// The worker that serves `queue` waits at `events`; called for each queue before the first rx, under the id the
  /// port has from then on; and again when the queue goes to another worker, while none serves it: then its descriptors
  /// leave the set they were in. When it throws, call it again with the set it came from.
  virtual void attach(PortId id, uint16_t queue, EventSet& events) = 0;
  /// Takes its descriptors out of every EventSet again; no worker calls the port any more.
  virtual void detach() noexcept = 0;
};

}  // namespace weft::dataplane
