// SPDX-License-Identifier: BSD-3-Clause
//
// Split virtqueues (virtio 1.2 §2.7): frames out of a guest's send ring into a burst, frames into its receive
// ring. Worker code; every function belongs to the worker that serves the ring.
//
// Theory of operation. All descriptor work is done for a burst at a time: read the available entries, read
// the descriptors, translate and prefetch, then copy; the used index moves once, at the end. What the guest
// can write is read exactly once into locals and checked there. A bad chain costs its own packet and goes
// back to the guest like any other; only indices that make no sense (more entries than the ring has) break
// the ring, for its guest alone.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/ring.h"

#include <cstdint>
#include <span>

namespace weft::dataplane::vhost {

/// Takes up to kBurst frames the guest has sent. The head of each is copied to its slot, the rest referenced
/// where it lies, until split_rx_done. Frames that could not be made are in the burst with drop
/// rx_short_header, rx_bad_descriptor, rx_chain_too_long, rx_too_big, rx_bad_offload or port_memory_gone.
void split_rx(RingView& ring, Burst& burst) noexcept;
/// Gives back what the last split_rx took, and interrupts the guest if it asked for that.
void split_rx_done(RingView& ring) noexcept;

/// Copies the frames into buffers of the guest. Those that do not fit get drop tx_ring_full (no buffer now),
/// tx_no_room (buffers too small), tx_bad_descriptor or port_memory_gone. Checksums and TSO the guest did not
/// negotiate are finished and cut. Returns how many packets were taken.
uint16_t split_tx(RingView& ring, std::span<Packet* const> packets) noexcept;

/// Asks the guest to kick when it sends next. True: it has sent already, or cannot kick. False too for a dead
/// ring, from which nothing will come. false).
[[nodiscard]] bool split_arm(RingView& ring) noexcept;
/// Tells the guest that kicks are not needed.
void split_disarm(RingView& ring) noexcept;

}  // namespace weft::dataplane::vhost
