// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/memory_port.h"

#include <algorithm>
#include <utility>

#include <sys/eventfd.h>

namespace weft::dataplane {

MemoryPort::MemoryPort(MemoryOptions options) : options_(options), queues_(options.queues), discarded_(options.queues) {
  for (Queue& q : queues_) q.kick.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

MemoryPort::~MemoryPort() { MemoryPort::detach(); }

void MemoryPort::push(MemoryFrame frame, uint16_t queue) {
  const std::lock_guard lock(mutex_);
  Queue& q = queues_.at(queue);
  q.waiting.push_back(std::move(frame));
  if (q.armed) eventfd_write(q.kick.get(), 1);
}

void MemoryPort::push(std::span<const uint8_t> bytes, Offload offload, uint16_t queue) {
  push(MemoryFrame{{bytes.begin(), bytes.end()}, offload}, queue);
}

std::vector<MemoryFrame> MemoryPort::take_sent() {
  const std::lock_guard lock(mutex_);
  return std::exchange(sent_, {});
}

size_t MemoryPort::n_sent() const {
  const std::lock_guard lock(mutex_);
  return sent_.size();
}

size_t MemoryPort::n_waiting() const {
  const std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const Queue& q : queues_) n += q.waiting.size();
  return n;
}

void MemoryPort::replay(std::vector<MemoryFrame> frames, uint16_t burst_size) {
  replayed_ = std::move(frames);
  next_replayed_ = 0;
  replay_burst_ = std::min(burst_size, kBurst);
}

uint64_t MemoryPort::n_discarded() const noexcept {
  uint64_t n = 0;
  for (const Discarded& d : discarded_) n += d.packets.load(std::memory_order_relaxed);
  return n;
}

uint64_t MemoryPort::n_discarded_bytes() const noexcept {
  uint64_t n = 0;
  for (const Discarded& d : discarded_) n += d.bytes.load(std::memory_order_relaxed);
  return n;
}

/// The head is copied, the payload referred to, as from a guest.
void MemoryPort::give(const MemoryFrame& frame, Burst& burst) const noexcept {
  Packet& p = burst.add();
  const auto size = static_cast<uint32_t>(frame.bytes.size());
  p.head_size = static_cast<uint16_t>(std::min<uint32_t>(size, kHeaderCopy));
  p.size = p.head_size;
  p.offload = frame.offload;
  p.drop = frame.drop;
  std::copy_n(frame.bytes.begin(), p.head_size, p.head);
  const uint32_t piece = options_.piece_size == 0 ? size : options_.piece_size;
  while (p.size < size) {
    if (burst.append_segment(p, frame.bytes.data() + p.size, std::min(piece, size - p.size))) continue;
    p.drop = Drop::rx_chain_too_long;
    return;
  }
}

void MemoryPort::rx_replay(Burst& burst) noexcept {
  for (uint16_t i = 0; i < replay_burst_ && !replayed_.empty() && burst.has_segment_room(); ++i) {
    give(replayed_[next_replayed_], burst);
    if (++next_replayed_ == replayed_.size()) next_replayed_ = 0;
  }
}

void MemoryPort::rx(uint16_t queue, Burst& burst) noexcept {
  if (replay_burst_ != 0) return rx_replay(burst);
  const std::lock_guard lock(mutex_);
  Queue& q = queues_[queue];
  q.out.clear();
  while (!q.waiting.empty() && q.out.size() < kBurst) {
    q.out.push_back(std::move(q.waiting.front()));
    q.waiting.pop_front();
  }
  // Frames stay where they are until the next call: packets refer to them.
  for (size_t i = 0; i < q.out.size(); ++i) {
    if (burst.has_segment_room()) {
      give(q.out[i], burst);
      continue;
    }
    while (q.out.size() > i) {
      q.waiting.push_front(std::move(q.out.back()));
      q.out.pop_back();
    }
  }
  if (!q.out.empty()) burst_out_.store(true, std::memory_order_release);
}

void MemoryPort::rx_done(uint16_t queue) noexcept {
  n_rx_done_.fetch_add(1, std::memory_order_acq_rel);
  if (replay_burst_ != 0) return;
  const std::lock_guard lock(mutex_);
  // What a packet refers to must not be used any more: make it visible if it is.
  for (MemoryFrame& f : queues_[queue].out) std::fill(f.bytes.begin(), f.bytes.end(), uint8_t{0xdd});
  burst_out_.store(false, std::memory_order_release);
}

void MemoryPort::collect(const Packet& packet) {
  MemoryFrame frame;
  frame.offload = packet.offload;
  frame.bytes.reserve(packet.size);
  frame.bytes.assign(packet.head, packet.head + packet.head_size);
  for (const Segment& s : packet.payload_segments()) frame.bytes.insert(frame.bytes.end(), s.data, s.data + s.size);
  sent_.push_back(std::move(frame));
}

void MemoryPort::tx(uint16_t queue, std::span<Packet* const> packets) noexcept {
  if (replay_burst_ != 0) {
    uint64_t bytes = 0;
    for (const Packet* p : packets) bytes += p->size;
    Discarded& d = discarded_[queue % discarded_.size()];
    d.packets.store(d.packets.load(std::memory_order_relaxed) + packets.size(), std::memory_order_relaxed);
    d.bytes.store(d.bytes.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    return;
  }
  const std::lock_guard lock(mutex_);
  for (Packet* p : packets) {
    const bool as_it_is = options_.takes.takes(p->offload);
    const size_t room = options_.tx_room - std::min(options_.tx_room, sent_.size());
    if (!up_.load(std::memory_order_acquire)) {
      p->drop = Drop::tx_not_ready;
    } else if (as_it_is || p->offload.gso == Gso::none) {
      if (room == 0) {
        p->drop = Drop::tx_ring_full;
        continue;
      }
      if (!as_it_is) finish_checksum(*p);
      collect(*p);
    } else {
      // All cuts or none: a frame is sent or dropped, never both.
      GsoCutter cutter(*p,
                       options_.takes.checksum ? GsoCutter::Checksums::leave_partial : GsoCutter::Checksums::finish);
      if (cutter.n_frames() == 0)
        p->drop = Drop::rx_bad_offload;
      else if (cutter.n_frames() > room)
        p->drop = Drop::tx_ring_full;
      else
        while (const Packet* cut = cutter.next()) collect(*cut);
    }
  }
}

bool MemoryPort::arm(uint16_t queue) noexcept {
  if (replay_burst_ != 0) return true;
  const std::lock_guard lock(mutex_);
  queues_[queue].armed = true;
  return !queues_[queue].waiting.empty();
}

void MemoryPort::disarm(uint16_t queue) noexcept {
  const std::lock_guard lock(mutex_);
  queues_[queue].armed = false;
}

void MemoryPort::attach(PortId id, uint16_t queue, EventSet& events) {
  Queue& q = queues_.at(queue);
  if (q.events != nullptr) std::exchange(q.events, nullptr)->remove(q.kick.get());
  events.add(q.kick.get(), id, queue);
  q.events = &events;
}

void MemoryPort::detach() noexcept {
  for (Queue& q : queues_) {
    if (q.events != nullptr) std::exchange(q.events, nullptr)->remove(q.kick.get());
  }
}

}  // namespace weft::dataplane
