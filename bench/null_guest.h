// SPDX-License-Identifier: BSD-3-Clause
//
// A vhost-user front end without DPDK that plays a guest: it negotiates, lends memory, and owns the driver's side of
// the rings, split or packed. For benches it costs as little as possible (frames and descriptors are laid out once, to
// send is to move the avail index, to receive is to read the used ring and post the buffers again; in a packed ring
// both are one store a descriptor); for tests it can send any frame in any layout, misbehave byte by byte, leave and
// come back. Used by one thread at a time.
#pragma once

#include "dataplane/unique_fd.h"
#include "dataplane/vhost/features.h"
#include "dataplane/vhost/packed_layout.h"
#include "dataplane/vhost/protocol.h"
#include "dataplane/vhost/ring.h"
#include "dataplane/virtio_net_header.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace weft::bench {

namespace vhost = dataplane::vhost;

/// Features of a modern Linux guest: all that weft offers but packed rings and IN_ORDER.
[[nodiscard]] uint64_t linux_guest_features() noexcept;

struct NullGuestOptions {
  std::string path;
  bool listens = false;  // the guest owns the socket, the switch connects to it
  uint64_t features = linux_guest_features();
  uint64_t protocol_features = vhost::protocol_feature::kMq | vhost::protocol_feature::kReplyAck;
  uint16_t n_pairs = 1;
  bool is_packed = false;    // RING_PACKED, added to `features`
  bool is_in_order = false;  // IN_ORDER, likewise
  uint16_t ring_size = 256;  // of receive rings, and of send rings unless named; packed rings may have any size
  uint16_t send_ring_size = 0;
  uint32_t send_buffer = 2048;     // bytes behind each send descriptor
  uint32_t receive_buffer = 2048;  // bytes of each receive buffer, virtio-net header included
  uint16_t receive_chain = 1;      // descriptors that make up one receive buffer
  unsigned n_regions = 2;          // memory regions: rings in the first, buffers spread over the others
  bool can_kick = true;            // else the switch is told to poll
  bool wants_calls = true;         // else the guest polls
};

class NullGuest {
 public:
  /// One ring as the driver has it, of either kind.
  struct Ring {
    uint16_t size = 0;
    std::vector<uint16_t> free;                 // buffers not in use, of a split ring descriptors too (send rings)
    std::vector<std::vector<uint16_t>> chains;  // by head or id: what to free with it
    std::deque<uint16_t> sent;                  // heads or ids in the switch's hands, in the order of sending
    dataplane::UniqueFd kick, call;

    // A split one.
    vhost::VringDescriptor* descriptors = nullptr;
    uint16_t* available = nullptr;  // flags, idx, ring …, used_event
    uint8_t* used = nullptr;        // flags, idx, elements …, avail_event
    uint16_t available_idx = 0;     // next to fill
    uint16_t last_used = 0;         // next to read

    // A packed one.
    vhost::PackedDescriptor* packed = nullptr;  // nullptr: it is a split one
    vhost::PackedEvent* driver_event = nullptr;
    vhost::PackedEvent* device_event = nullptr;
    vhost::PackedPosition next_available, next_used;
    uint32_t base = vhost::kPackedFreshBase;  // what the switch is told at the next start
    std::vector<uint16_t> n_slots;            // by id
    std::vector<uint64_t> addresses;          // of buffers
    uint16_t n_posted = 0;                    // slots in the switch's hands, for bursts
    bool is_shuffled = false;                 // buffers came back in another order than they were posted in

    [[nodiscard]] bool is_packed() const noexcept { return packed != nullptr; }
    [[nodiscard]] bool is_used(vhost::PackedPosition at) const noexcept {
      const uint16_t flags = __atomic_load_n(&packed[at.index].flags, __ATOMIC_ACQUIRE);
      return (flags & vhost::kPackedLapFlags) == at.used_flags();
    }
    /// Makes a chain available: its descriptors, to which the flags of the lap are added, in the next slots.
    void put_packed(std::span<const vhost::PackedDescriptor> chain) noexcept;
    /// Something has been used that was not read yet.
    [[nodiscard]] bool has_used() const noexcept { return is_packed() ? is_used(next_used) : last_used != used_idx(); }

    // Of a split one:
    [[nodiscard]] uint16_t used_idx() const noexcept {
      return __atomic_load_n(reinterpret_cast<const uint16_t*>(used + 2), __ATOMIC_ACQUIRE);
    }
    [[nodiscard]] vhost::VringUsedElement used_element(uint16_t index) const noexcept;
    void put_available(uint16_t head) noexcept { available[2 + (available_idx++ & (size - 1))] = head; }
    void publish_available() noexcept { __atomic_store_n(&available[1], available_idx, __ATOMIC_RELEASE); }
  };

  /// Makes memory and, when it listens, the socket. Throws std::system_error as all below do.
  explicit NullGuest(NullGuestOptions options);
  ~NullGuest();
  NullGuest(const NullGuest&) = delete;
  NullGuest& operator=(const NullGuest&) = delete;

  // --- connection -------------------------------------------------------------------------------------------------
  /// Connects (or accepts), waiting at most `timeout_ms`.
  void connect(int timeout_ms = 5000);
  void disconnect() noexcept;
  [[nodiscard]] bool is_connected() const noexcept { return socket_.is_open(); }
  [[nodiscard]] int socket_fd() const noexcept { return socket_.get(); }
  /// Whether the switch has hung up, waiting at most `timeout_ms` for that.
  [[nodiscard]] bool was_hung_up_on(int timeout_ms = 5000);
  /// The order QEMU speaks in: features, memory, then the rings.
  void handshake();
  void negotiate();
  void send_memory_table();
  /// Number, base, addresses, kick, call, enable of ring `index`.
  void start_ring(uint16_t index);
  void enable_ring(uint16_t index, bool is_enabled);
  /// GET_VRING_BASE: the position the switch had reached.
  uint32_t stop_ring(uint16_t index);
  /// What a driver does at a reset: empty rings, all buffers posted anew.
  void reset_rings();

  /// One raw message. `fds` stay the caller's.
  void send_message(vhost::RequestType type, std::span<const uint8_t> payload, std::span<const int> fds = {},
                    uint32_t flags = vhost::MessageHeader::kVersion);
  void send_bytes(std::span<const uint8_t> bytes, std::span<const int> fds = {});
  /// The payload of the next answer; nullopt when the switch hung up instead.
  std::optional<std::vector<uint8_t>> receive_answer(int timeout_ms = 5000);
  void set_u64(vhost::RequestType type, uint64_t value);
  uint64_t get_u64(vhost::RequestType type);
  void set_state(vhost::RequestType type, uint32_t index, uint32_t value);
  void set_file(vhost::RequestType type, uint32_t index, int fd);
  /// A request that asks to be acknowledged: its answer; nullopt when the switch hung up.
  std::optional<uint64_t> acknowledged(vhost::RequestType type, std::span<const uint8_t> payload,
                                       std::span<const int> fds = {});

  // --- frames, for tests ------------------------------------------------------------------------------------------
  struct SendOptions {
    dataplane::VirtioNetHeaderV1 header{};
    /// Sizes of the descriptors that header and frame are spread over; the last takes what is left.
    std::vector<uint32_t> pieces{};
    bool is_indirect = false;
    bool kicks = true;
    uint16_t pair = 0;
  };
  struct Received {
    dataplane::VirtioNetHeaderV1 header{};
    std::vector<uint8_t> frame;
    uint16_t n_buffers = 1;
  };
  /// False: the send ring is full.
  bool send(std::span<const uint8_t> frame, const SendOptions& options);
  bool send(std::span<const uint8_t> frame) { return send(frame, SendOptions()); }
  /// All frames that have arrived; their buffers are posted again.
  std::vector<Received> receive(uint16_t pair = 0);
  /// Takes back the descriptors of sent frames; how many frames.
  uint16_t reclaim(uint16_t pair = 0);
  void kick(uint16_t ring);
  /// How often the switch has interrupted the guest for this ring since the last look.
  uint64_t take_calls(uint16_t ring);

  Ring& ring(uint16_t index) { return *rings_.at(index); }
  [[nodiscard]] uint16_t n_rings() const noexcept { return static_cast<uint16_t>(rings_.size()); }
  [[nodiscard]] uint16_t header_size() const noexcept;
  /// Guest-physical address of a pointer into the guest's memory.
  [[nodiscard]] uint64_t guest_address(const void* p) const;
  [[nodiscard]] size_t n_regions() const noexcept { return regions_.size(); }
  [[nodiscard]] int region_fd(size_t i) const { return regions_.at(i).fd.get(); }
  [[nodiscard]] vhost::MemoryRegion region(size_t i) const;
  [[nodiscard]] std::span<uint8_t> region_bytes(size_t i) const { return {regions_.at(i).base, regions_.at(i).size}; }
  [[nodiscard]] uint8_t* send_buffer(uint16_t ring, uint16_t descriptor);

  // --- bursts, for benches ----------------------------------------------------------------------------------------
  struct Counters {
    uint64_t sent = 0;      // frames the switch has taken
    uint64_t received = 0;  // frames the switch has delivered
    uint64_t polls = 0;
    uint64_t starved = 0;  // polls that found the send ring full: the switch is the limit
  };
  /// Lays `frames` out over the send ring of pair 0, in turn, and posts nothing yet.
  void lay_out(std::span<const std::vector<uint8_t>> frames);
  /// Writes every frame anew when it is sent, as a real guest must.
  void set_rewriting(bool rewrites) noexcept { rewrites_ = rewrites; }
  /// One turn: fills the send ring with up to `burst` frames, takes up to as many from the receive ring.
  void poll(uint16_t burst) noexcept;
  /// The sending half and the receiving half of poll.
  void poll_send(uint16_t burst) noexcept;
  uint16_t poll_receive(uint16_t burst) noexcept;
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  struct Region {
    dataplane::UniqueFd fd;
    uint8_t* base = nullptr;
    size_t size = 0;
    uint64_t guest = 0;
    size_t allocated = 0;
  };
  uint8_t* allocate(size_t region, size_t bytes, size_t alignment);
  void make_ring(uint16_t index);
  void post_receive_buffers(Ring& ring, uint16_t index);
  void post_packed(Ring& ring, uint16_t index, uint16_t head);
  /// Puts a chain into the ring and returns its head, which may be a further buffer that holds a table.
  uint16_t put_chain(Ring& ring, uint16_t index, std::vector<uint16_t>& buffers,
                     std::vector<vhost::VringDescriptor>& chain, bool is_indirect);
  uint16_t put_packed_chain(Ring& ring, uint16_t index, std::vector<uint16_t>& buffers,
                            std::span<const vhost::VringDescriptor> chain, bool is_indirect);
  void take_back(Ring& ring, uint32_t head);
  /// The bytes of the next used receive buffer, which is posted again.
  std::vector<uint8_t> take_used(Ring& ring, uint16_t index);
  std::vector<uint8_t> take_used_packed(Ring& ring, uint16_t index);
  uint16_t count_used(Ring& ring) noexcept;
  void poll_send_packed(Ring& ring, uint16_t burst) noexcept;
  uint16_t poll_receive_packed(Ring& ring, uint16_t burst) noexcept;

  NullGuestOptions options_;
  dataplane::UniqueFd listener_, socket_;
  std::vector<Region> regions_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::vector<std::vector<uint8_t*>> buffers_;  // [ring][descriptor]
  std::vector<std::vector<uint8_t>> frames_;    // laid out, header first; by send descriptor
  std::vector<uint64_t> laid_out_;              // of a packed ring: size and id of each descriptor as it lies there
  bool rewrites_ = false;
  Counters counters_;
};

}  // namespace weft::bench
