// SPDX-License-Identifier: BSD-3-Clause
//
// The two rings of a null guest as the generator drives them: in bursts, with a look at each frame where one is needed.
// The guest's frames are laid out before (NullGuest::lay_out); a slot is a send buffer in the order in which they are
// sent. One thread.
#pragma once

#include "bench/null_guest.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace weft::bench {

class Lane {
 public:
  /// The virtio-net header before each frame: VERSION_1 is always negotiated.
  static constexpr size_t kHeader = sizeof(dataplane::VirtioNetHeaderV1);

  /// `is_in_order`: IN_ORDER is negotiated.
  Lane(NullGuest& guest, bool is_in_order)
      : send_(guest.ring(1)), receive_(guest.ring(0)), is_packed_(send_.is_packed()), is_in_order_(is_in_order) {
    for (uint16_t d = 0; d < send_.size; ++d) send_buffers_.push_back(guest.send_buffer(1, d));
    for (uint16_t d = 0; d < receive_.size; ++d) receive_buffers_.push_back(guest.send_buffer(0, d));
    if (is_packed_) receive_size_ = receive_.packed[0].size;
  }
  /// Bytes of each laid-out frame, its virtio-net header included.
  void set_send_size(uint32_t bytes) noexcept { send_size_ = bytes; }

  // --- sending
  /// Slots that can be filled now; takes back those the switch is done with.
  uint16_t room() noexcept {
    if (is_packed_) return room_packed();
    const uint16_t used = send_.used_idx();
    taken_ += static_cast<uint16_t>(used - send_.last_used);
    send_.last_used = used;
    return static_cast<uint16_t>(send_.size - static_cast<uint16_t>(send_.available_idx - used));
  }
  /// Number of the i-th slot to be sent next.
  [[nodiscard]] uint16_t slot(uint16_t i) const noexcept {
    if (is_packed_) {
      const auto at = static_cast<uint16_t>(send_.next_available.index + i);
      return at < send_.size ? at : static_cast<uint16_t>(at - send_.size);
    }
    return static_cast<uint16_t>(static_cast<uint16_t>(send_.available_idx + i) & (send_.size - 1));
  }
  /// Its memory, virtio-net header first.
  [[nodiscard]] uint8_t* memory(uint16_t slot) noexcept { return send_buffers_[slot]; }
  /// That of all slots, by number.
  [[nodiscard]] uint8_t* const* memories() const noexcept { return send_buffers_.data(); }
  /// Gives the next `n` slots to the switch.
  void publish(uint16_t n) noexcept {
    posted_ += n;
    if (is_packed_) return publish_packed(n);
    send_.available_idx = static_cast<uint16_t>(send_.available_idx + n);
    send_.publish_available();
  }
  [[nodiscard]] uint16_t n_slots() const noexcept { return send_.size; }
  /// Frames given to the switch, and those it has taken.
  [[nodiscard]] uint64_t posted() const noexcept { return posted_; }
  [[nodiscard]] uint64_t taken() const noexcept { return taken_; }

  // --- receiving
  /// Takes up to `most` frames: look(frame, bytes of it) for each, then its buffer is posted again.
  template <class Look>
  uint16_t receive(uint16_t most, Look&& look) noexcept {
    if (is_packed_) return receive_packed(most, look);
    uint16_t used = receive_.last_used;
    const uint16_t n = std::min(static_cast<uint16_t>(receive_.used_idx() - used), most);
    if (n == 0) return 0;
    // Locals: a store into the ring could alias the ring's own fields, as far as the compiler knows.
    const auto mask = static_cast<uint16_t>(receive_.size - 1);
    const uint8_t* elements = receive_.used + 4;
    uint16_t* available = receive_.available + 2;
    uint8_t* const* buffers = receive_buffers_.data();
    uint16_t next = receive_.available_idx;
    for (uint16_t i = 0; i < n; ++i, ++used, ++next) {
      vhost::VringUsedElement e;
      std::memcpy(&e, elements + sizeof e * (used & mask), sizeof e);
      const auto id = static_cast<uint16_t>(e.id & mask);
      look(static_cast<const uint8_t*>(buffers[id]) + kHeader, e.size - static_cast<uint32_t>(kHeader));
      available[next & mask] = id;
    }
    receive_.last_used = used;
    receive_.available_idx = next;
    receive_.publish_available();
    return n;
  }

 private:
  using Descriptor = vhost::PackedDescriptor;
  using Word [[gnu::may_alias]] = uint64_t;

  /// Size, id and flags of a slot of a packed ring: one store makes it available.
  static uint64_t word(uint32_t size, uint16_t id, uint16_t flags) noexcept {
    return size | uint64_t{id} << 32 | uint64_t{flags} << 48;
  }
  static void store(Descriptor& d, uint64_t word) noexcept { std::memcpy(&d.size, &word, sizeof word); }
  static void store_release(Descriptor& d, uint64_t word) noexcept {
    __atomic_store_n(reinterpret_cast<Word*>(&d.size), word, __ATOMIC_RELEASE);
  }

  static bool is_used(const Descriptor& d, vhost::PackedPosition at) noexcept {
    const uint16_t flags = __atomic_load_n(&d.flags, __ATOMIC_ACQUIRE);
    return (flags & vhost::kPackedLapFlags) == at.used_flags();
  }

  uint16_t room_packed() noexcept {
    const Descriptor* ring = send_.packed;
    const uint16_t size = send_.size, posted = send_.n_posted;
    vhost::PackedPosition at = send_.next_used;
    uint16_t n = 0;
    while (n < posted && is_used(ring[at.index], at)) {
      uint16_t batch = 1;
      if (is_in_order_) {
        const int to_last = ring[at.index].id - at.index;
        batch = static_cast<uint16_t>(1 + (to_last < 0 ? to_last + size : to_last));
      }
      at.advance(batch, size);
      n = static_cast<uint16_t>(n + batch);
    }
    send_.next_used = at;
    taken_ += n;
    send_.n_posted = static_cast<uint16_t>(posted - n);
    return static_cast<uint16_t>(size - send_.n_posted);
  }
  /// The first slot last: with it all are there.
  void publish_packed(uint16_t n) noexcept {
    Descriptor* ring = send_.packed;
    const uint16_t size = send_.size;
    const uint32_t bytes = send_size_;
    const vhost::PackedPosition first = send_.next_available;
    vhost::PackedPosition at = first;
    for (uint16_t i = 0; i < n; ++i, at.advance(1, size))
      if (i != 0) store(ring[at.index], word(bytes, at.index, at.available_flags()));
    if (n != 0) store_release(ring[first.index], word(bytes, first.index, first.available_flags()));
    send_.next_available = at;
    send_.n_posted = static_cast<uint16_t>(send_.n_posted + n);
  }
  /// All buffers are always posted, so that the slot of a used one is the next to be made available.
  template <class Look>
  uint16_t receive_packed(uint16_t most, Look&& look) noexcept {
    Descriptor* ring = receive_.packed;
    const uint64_t* addresses = receive_.addresses.data();
    uint8_t* const* buffers = receive_buffers_.data();
    const uint16_t size = receive_.size;
    const uint32_t bytes = receive_size_;
    bool is_shuffled = receive_.is_shuffled;
    most = std::min(most, size);
    const vhost::PackedPosition first = receive_.next_available;
    vhost::PackedPosition used = receive_.next_used, available = first;
    uint64_t first_word = 0;
    uint16_t n = 0;
    for (; n < most && is_used(ring[used.index], used); ++n) {
      Descriptor& d = ring[used.index];
      const auto id = static_cast<uint16_t>(d.id < size ? d.id : 0);
      look(static_cast<const uint8_t*>(buffers[id]) + kHeader, d.size - static_cast<uint32_t>(kHeader));
      if (id != used.index || is_shuffled) [[unlikely]] {
        is_shuffled = true;
        d.address = addresses[id];
      }
      const uint64_t w = word(bytes, id, Descriptor::kWrite | available.available_flags());
      if (n == 0)
        first_word = w;
      else
        store(d, w);
      used.advance(1, size);
      available.advance(1, size);
    }
    if (n == 0) return 0;
    store_release(ring[first.index], first_word);
    receive_.is_shuffled = is_shuffled;
    receive_.next_used = used;
    receive_.next_available = available;
    return n;
  }

  NullGuest::Ring& send_;
  NullGuest::Ring& receive_;
  bool is_packed_, is_in_order_;
  uint32_t send_size_ = 0, receive_size_ = 0;
  std::vector<uint8_t*> send_buffers_, receive_buffers_;
  uint64_t posted_ = 0, taken_ = 0;
};

}  // namespace weft::bench
