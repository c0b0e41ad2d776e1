// SPDX-License-Identifier: BSD-3-Clause
#include "switch/handoff.h"

#include "nat/shard.h"
#include "switch/turn.h"

#include <cstring>
#include <new>

namespace weft::vswitch {

using dataplane::Drop;
using dataplane::OwnedMeta;
using dataplane::OwnedStage;
using dataplane::Packet;

// --- one way -------------------------------------------------------------------------------------------------------

bool HandoffRing::has_room(size_t bytes) noexcept {
  if (written_ + bytes - freed_seen_ <= mask_ + 1) return true;
  freed_seen_ = freed_.load(std::memory_order_acquire);
  return written_ + bytes - freed_seen_ <= mask_ + 1;
}

bool HandoffRing::put(const Packet& packet, OwnedStage stage) noexcept {
  const size_t size = (sizeof(Record) + packet.size + alignof(Record) - 1) & ~(alignof(Record) - 1);
  const size_t to_end = mask_ + 1 - (written_ & mask_);
  const size_t skipped = size <= to_end ? 0 : to_end;
  if (!has_room(skipped + size)) return false;
  if (skipped != 0) {
    new (at(written_)) Record{.size = static_cast<uint32_t>(skipped), .frame_size = 0, .meta = {}};
    written_ += skipped;
  }
  auto* record = new (at(written_))
      Record{.size = static_cast<uint32_t>(size), .frame_size = packet.size, .meta = meta_of(packet)};
  record->meta.stage = stage;
  auto* to = reinterpret_cast<uint8_t*>(record + 1);
  std::memcpy(to, packet.head, packet.head_size);
  to += packet.head_size;
  for (const auto& segment : packet.payload_segments()) {
    std::memcpy(to, segment.data, segment.size);
    to += segment.size;
  }
  written_ += size;
  return true;
}

const OwnedMeta* HandoffRing::peek(uint64_t end) noexcept {
  if (read_ == end) return nullptr;
  const auto* record = reinterpret_cast<const Record*>(at(read_));
  if (record->frame_size == 0) {  // never the last of what was shown
    read_ += record->size;
    record = reinterpret_cast<const Record*>(at(read_));
  }
  return &record->meta;
}

Packet& HandoffRing::load(dataplane::Burst& burst) noexcept {
  const auto* record = reinterpret_cast<const Record*>(at(read_));
  read_ += record->size;
  return dataplane::load_packet(record->meta, reinterpret_cast<const uint8_t*>(record + 1), record->frame_size, burst);
}

// --- one worker ----------------------------------------------------------------------------------------------------

void Handoff::keep_own(Turn& turn, Selection& packets, OwnedStage stage) noexcept {
  const nat::Side from = stage == OwnedStage::nat_out ? nat::Side::inside : nat::Side::outside;
  packets.filter([&](Packet& p) {
    const uint16_t owner = nat::shard_of(p, from, all_.n_workers()).value_or(worker_);
    if (owner == worker_) return true;
    if (all_.way(worker_, owner).packets.put(p, stage)) {
      turn.counters[p.in_port].held.add(1);
      waiting_ |= 1U << owner;
    } else {
      turn.drop(p, Drop::nat_handoff_full);
    }
    return false;
  });
}

void Handoff::tell(const NeighbourNews& news) noexcept {
  for (uint16_t w = 0; w < all_.n_workers(); ++w)
    if (w != worker_ && all_.way(worker_, w).news.push(news)) waiting_ |= 1U << w;
}

void Handoff::flush() noexcept {
  for (uint16_t w = 0; waiting_ != 0; ++w) {
    if ((waiting_ >> w & 1) == 0) continue;
    waiting_ &= ~(1U << w);
    all_.way(worker_, w).packets.show();
    all_.wake(w);
  }
}

}  // namespace weft::vswitch
