// SPDX-License-Identifier: BSD-3-Clause
//
// Marking what a ring's worker has written, while its guest migrates (dirty_log.h). All of it is called behind one
// branch on RingView::log.pages, once a burst, and costs nothing else when no one asks. Worker, unless said.
#pragma once

#include "dataplane/vhost/ring.h"

#include <cstddef>
#include <cstdint>

namespace weft::dataplane::vhost {

/// The buffers that the used elements [begin, end) of a split ring give back have been filled, as far as each says.
/// Before the guest sees the elements: until then it may not touch their descriptors, which say where that was.
void log_buffers(RingView& ring, uint16_t begin, uint16_t end) noexcept;
/// The used elements [begin, end) of a split ring, and the used index, have been written.
void log_used_elements(const RingView& ring, uint16_t begin, uint16_t end) noexcept;
/// `size` bytes from `offset` of the used ring (of a packed ring: of the device's event structure) have been written.
void log_used(const RingView& ring, size_t offset, size_t size) noexcept;
/// The buffers in a packed ring's record, of which the guest is told next, have been filled, as far as each says.
/// Before their slots are written over.
void log_slot_buffers(RingView& ring) noexcept;
/// Their slots have been written over.
void log_slots(const RingView& ring) noexcept;
/// What a ring's start writes, in either layout. Control, before the ring is published.
void log_start(const RingView& ring) noexcept;

}  // namespace weft::dataplane::vhost
