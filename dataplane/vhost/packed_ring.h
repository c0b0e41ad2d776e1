// SPDX-License-Identifier: BSD-3-Clause
//
// Packed virtqueues (virtio 1.2 §2.8): frames out of a guest's send ring into a burst, frames into its receive ring.
// Worker code; every function belongs to the worker that serves the ring. The same promises as split_ring.h's.
//
// Theory of operation. There is one table for both sides. The driver makes slots available in order, the device writes
// over them in order when it has used what they name; a bit in each that turns with every lap says whose it is. As with
// split rings all work is done for a burst at a time: read slots until one is not available, translate and prefetch,
// then copy. What has been used is gathered beside and told at the end: all slots but the first are written, then the
// first, at which the driver is waiting; so it sees all or nothing. With IN_ORDER, frames the guest has sent are told
// of by one slot a burst, which names the last (§2.8.14); frames to it never are, since each has a length to tell.
//
// How many slots wait cannot be known without looking at each. Only where a buffer ends must make sense, for the next
// begins there: a chain that has no end breaks the ring, for its guest alone. Where the ring stands is kept outside the
// guest and outlives this process: packed_record.h.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/vhost/ring.h"

#include <cstdint>
#include <span>

namespace weft::dataplane::vhost {

/// As split_rx.
void packed_rx(RingView& ring, Burst& burst) noexcept;
/// As split_rx_done.
void packed_rx_done(RingView& ring) noexcept;
/// As split_tx.
uint16_t packed_tx(RingView& ring, std::span<Packet* const> packets) noexcept;
/// As split_arm.
[[nodiscard]] bool packed_arm(RingView& ring) noexcept;
/// As split_disarm.
void packed_disarm(RingView& ring) noexcept;

}  // namespace weft::dataplane::vhost
