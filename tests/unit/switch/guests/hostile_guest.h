// SPDX-License-Identifier: BSD-3-Clause
//
// A guest and its front end that do whatever a process with a socket and some memory can do: rings full of nonsense
// that changes while it is read, messages in any order with any descriptor, memory taken back. Deterministic by its
// seed, as far as it depends on itself. Each of its lives ends when the switch hangs up, or when it has had enough.
#pragma once

#include "tests/unit/switch/guests/guest_lab.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace weft::vswitch::test {

/// Descriptors of every kind that a process can pass to another.
class FdZoo {
 public:
  explicit FdZoo(Random& random);
  /// One of them; it stays the zoo's.
  int any();
  /// A memory file: plain, sealed, read-only, empty, or of another size than one would think.
  int any_memory();
  /// An eventfd made for this call: blocking or not, a semaphore or not, sometimes full. The caller's.
  dataplane::UniqueFd event();

 private:
  void add(int fd) { fds_.emplace_back(fd); }
  Random& random_;
  std::vector<dataplane::UniqueFd> fds_, memory_;
};

class HostileGuest {
 public:
  struct Tally {
    uint64_t descriptors = 0;  // written where the switch reads them
    uint64_t messages = 0;     // whole ones
    uint64_t lives = 0;        // handshakes that succeeded
    uint64_t truncations = 0;  // of memory in use
  };
  /// Plays at the socket of port `self`; most of its frames are for the station of port `peer`.
  HostileGuest(std::string path, PortId self, PortId peer, uint64_t seed);
  ~HostileGuest();

  /// One storm over its rings and a few messages.
  void act();
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  using Type = dataplane::vhost::RequestType;
  void begin_life();
  void make_templates();

  // Rings.
  void storm(uint16_t index);
  void storm_packed(uint16_t index);
  dataplane::vhost::PackedDescriptor to_packed(const dataplane::vhost::VringDescriptor& d);
  void fill_with_frame(uint16_t index, uint16_t d);
  void fill_buffer(uint16_t index, uint16_t d);
  dataplane::vhost::VringDescriptor random_descriptor(uint16_t index);
  uint64_t random_address();

  // Messages.
  void message();
  void send(Type type, std::span<const uint8_t> payload, std::span<const int> fds = {});
  template <class T>
  void send_value(Type type, const T& value, std::span<const int> fds = {}) {
    send(type, {reinterpret_cast<const uint8_t*>(&value), sizeof value}, fds);
  }
  void send_file(Type type);
  void send_table();
  void send_region(Type type);
  void send_nonsense();
  void drain();
  void stop_and_start();
  void truncate();
  uint32_t random_index();

  std::string path_;
  PortId self_, peer_;
  Random random_;
  FdZoo zoo_;
  NullGuestOptions options_;
  uint64_t features_ = 0;
  std::array<bool, 4> lap_{};  // of packed rings: the wrap counter of the last storm
  std::unique_ptr<NullGuest> guest_;
  bool is_alive_ = false;
  std::vector<Bytes> templates_;  // virtio-net header and frame
  dataplane::vhost::MemoryRegion added_{};
  dataplane::UniqueFd second_;  // a connection beside
  Tally tally_;
};

}  // namespace weft::vswitch::test
