// SPDX-License-Identifier: BSD-3-Clause
//
// The two rings of a null guest as the generator drives them: in bursts, with a look at each frame where one is needed.
// The guest's frames are laid out before (NullGuest::lay_out); a slot is a send buffer in the order in which they are
// sent. One thread.
#pragma once

#include "bench/null_guest.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weft::bench {

class Lane {
 public:
  /// The virtio-net header before each frame: VERSION_1 is always negotiated.
  static constexpr size_t kHeader = sizeof(dataplane::VirtioNetHeaderV1);

  explicit Lane(NullGuest& guest) : send_(guest.ring(1)), receive_(guest.ring(0)) {
    for (uint16_t d = 0; d < send_.size; ++d) send_buffers_.push_back(guest.send_buffer(1, d));
    for (uint16_t d = 0; d < receive_.size; ++d) receive_buffers_.push_back(guest.send_buffer(0, d));
  }

  // --- sending
  /// Slots that can be filled now; takes back those the switch is done with.
  uint16_t room() noexcept {
    const uint16_t used = send_.used_idx();
    taken_ += static_cast<uint16_t>(used - send_.last_used);
    send_.last_used = used;
    return static_cast<uint16_t>(send_.size - static_cast<uint16_t>(send_.available_idx - used));
  }
  /// Number of the i-th slot to be sent next.
  [[nodiscard]] uint16_t slot(uint16_t i) const noexcept {
    return static_cast<uint16_t>(static_cast<uint16_t>(send_.available_idx + i) & (send_.size - 1));
  }
  /// Its memory, virtio-net header first.
  [[nodiscard]] uint8_t* memory(uint16_t slot) noexcept { return send_buffers_[slot]; }
  /// Gives the next `n` slots to the switch.
  void publish(uint16_t n) noexcept {
    send_.available_idx = static_cast<uint16_t>(send_.available_idx + n);
    posted_ += n;
    send_.publish_available();
  }
  [[nodiscard]] uint16_t n_slots() const noexcept { return send_.size; }
  /// Frames given to the switch, and those it has taken.
  [[nodiscard]] uint64_t posted() const noexcept { return posted_; }
  [[nodiscard]] uint64_t taken() const noexcept { return taken_; }

  // --- receiving
  /// Frames that wait.
  [[nodiscard]] uint16_t waiting() const noexcept {
    return static_cast<uint16_t>(receive_.used_idx() - receive_.last_used);
  }
  /// Takes up to `most` frames: look(frame, bytes of it) for each, then its buffer is posted again.
  template <class Look>
  uint16_t receive(uint16_t most, Look&& look) noexcept {
    const uint16_t n = std::min(waiting(), most);
    if (n == 0) return 0;
    for (uint16_t i = 0; i < n; ++i) {
      const vhost::VringUsedElement e = receive_.used_element(receive_.last_used++);
      const auto id = static_cast<uint16_t>(e.id & (receive_.size - 1));
      look(static_cast<const uint8_t*>(receive_buffers_[id]) + kHeader, e.size - static_cast<uint32_t>(kHeader));
      receive_.put_available(id);
    }
    receive_.publish_available();
    return n;
  }

 private:
  NullGuest::Ring& send_;
  NullGuest::Ring& receive_;
  std::vector<uint8_t*> send_buffers_, receive_buffers_;
  uint64_t posted_ = 0, taken_ = 0;
};

}  // namespace weft::bench
