// SPDX-License-Identifier: BSD-3-Clause
//
// Owned packets: copies that live longer than their burst, for a packet that waits (for a neighbour's MAC,
// for the control thread, for a NIC's queue). They are mbufs of one bounded pool, so waiting has a limit by
// construction. Needs the EAL. Workers and the control thread share the pool: its ring tolerates a thread
// that is preempted in the middle (ops ring_mt_rts), and there is no cache a thread, so that what one frees
// the next can have.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/packet.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

struct rte_mbuf;
struct rte_mempool;

namespace weft::dataplane {

/// Where a held packet goes on. The names are the stages'.
enum class OwnedStage : uint16_t { parse, ingress, l2, local, nat_in, route, nat_out, resolve, egress };

/// What a packet knew of itself: in its first mbuf's private area, or beside it on its way to another worker.
struct OwnedMeta {
  uint64_t user = 0;  // the holder's own: a link of its list, a time
  Offload offload;
  OwnedStage stage = OwnedStage::parse;
  PortId in_port = kNoPort;
  PortId out_port = kNoPort;
  NetworkId network = kNoNetwork;
  uint16_t l3_offset = 0;
  L3 l3 = L3::other;
  uint16_t l4_offset = 0;
  uint16_t l4_protocol = 0;
  uint16_t head_size = 0;
  uint16_t out_interface = 0;
  uint32_t next_hop = 0;
};

/// What `packet` knows of itself.
[[nodiscard]] inline OwnedMeta meta_of(const Packet& packet) noexcept {
  return {.offload = packet.offload,
          .in_port = packet.in_port,
          .out_port = packet.out_port,
          .network = packet.network,
          .l3_offset = packet.l3_offset,
          .l3 = packet.l3,
          .l4_offset = packet.l4_offset,
          .l4_protocol = packet.l4_protocol,
          .head_size = packet.head_size,
          .out_interface = packet.out_interface,
          .next_hop = packet.next_hop};
}

/// Adds a packet to the burst that knows what `meta` says, with as much of `first`, the first `size` bytes of its frame
/// in one piece, in its head as a head holds. The rest of `first` is referred to.
inline Packet& load_packet(const OwnedMeta& meta, const uint8_t* first, uint32_t size, Burst& burst) noexcept {
  constexpr uint32_t kSlotRoom = Burst::kSlotSize - Burst::kHeadroom;
  Packet& p = burst.add();
  p.offload = meta.offload;
  p.in_port = meta.in_port;
  p.out_port = meta.out_port;
  p.network = meta.network;
  p.l3_offset = meta.l3_offset;
  p.l3 = meta.l3;
  p.l4_offset = meta.l4_offset;
  p.l4_protocol = meta.l4_protocol;
  p.out_interface = meta.out_interface;
  p.next_hop = meta.next_hop;
  // A head that stages had made longer (a VLAN tag) stays whole; offload offsets lie within it.
  p.head_size = static_cast<uint16_t>(std::min({size, uint32_t{std::max(kHeaderCopy, meta.head_size)}, kSlotRoom}));
  p.size = p.head_size;
  std::memcpy(p.head, first, p.head_size);
  if (size > p.head_size) burst.append_segment(p, first + p.head_size, size - p.head_size);
  return p;
}

class OwnedPool {
 public:
  static constexpr uint32_t kDefaultSize = 4096;
  /// Frame bytes an mbuf holds; a longer frame takes several.
  static constexpr uint16_t kDataSize = 2048;

  /// A pool of `size` mbufs, allocated and touched now: some 2.4 KiB each. `name` is unique in the process
  /// and up to 25 bytes. Throws std::runtime_error: no EAL, no memory, name taken.
  explicit OwnedPool(const char* name = "owned", uint32_t size = kDefaultSize);
  /// All packets are back.
  ~OwnedPool();
  OwnedPool(const OwnedPool&) = delete;
  OwnedPool& operator=(const OwnedPool&) = delete;

  // --- any thread
  // -----------------------------------------------------------------------------------------------
  /// Copies the whole frame and what is known of it; stage is `parse`, user 0. nullptr: the pool is empty;
  /// nothing is taken then.
  [[nodiscard]] rte_mbuf* copy(const Packet& packet) noexcept;
  /// Adds the packet to the burst: the head is copied to the slot, the payload stays in the mbuf, which must
  /// be kept until the burst is done. Precondition: burst is not full, has_segment_room().
  static Packet& load(const rte_mbuf* owned, Burst& burst) noexcept;
  [[nodiscard]] static OwnedMeta& meta(rte_mbuf* owned) noexcept;
  [[nodiscard]] static const OwnedMeta& meta(const rte_mbuf* owned) noexcept;
  /// Bytes of the frame.
  [[nodiscard]] static uint32_t size(const rte_mbuf* owned) noexcept;
  /// Gives it back; nullptr is fine.
  static void free(rte_mbuf* owned) noexcept;

  [[nodiscard]] uint32_t n_free() const noexcept;
  [[nodiscard]] uint32_t n_in_use() const noexcept;
  /// For a receive queue or a frame built in place.
  [[nodiscard]] rte_mempool* mempool() const noexcept { return pool_; }

 private:
  rte_mempool* pool_ = nullptr;
};

}  // namespace weft::dataplane
