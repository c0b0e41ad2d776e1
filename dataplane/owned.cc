// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/owned.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include <rte_errno.h>
#include <rte_mbuf.h>

namespace weft::dataplane {

namespace {

constexpr uint16_t kPrivateSize =
    (sizeof(OwnedMeta) + RTE_MBUF_PRIV_ALIGN - 1) / RTE_MBUF_PRIV_ALIGN * RTE_MBUF_PRIV_ALIGN;

constexpr uint16_t kSlotRoom = Burst::kSlotSize - Burst::kHeadroom;

/// Writes bytes to the end of an mbuf chain that was allocated long enough.
class ChainWriter {
 public:
  explicit ChainWriter(rte_mbuf* first) noexcept : at_(first) {}
  void write(const uint8_t* data, size_t size) noexcept {
    while (size != 0) {
      if (at_->data_len == OwnedPool::kDataSize) at_ = at_->next;
      const size_t n = std::min(size, size_t{OwnedPool::kDataSize} - at_->data_len);
      std::memcpy(rte_pktmbuf_mtod(at_, uint8_t*) + at_->data_len, data, n);
      at_->data_len = static_cast<uint16_t>(at_->data_len + n);
      data += n;
      size -= n;
    }
  }

 private:
  rte_mbuf* at_;
};

}  // namespace

OwnedPool::OwnedPool(const char* name, uint32_t size)
    : pool_(rte_pktmbuf_pool_create_by_ops(name, size, 0, kPrivateSize, RTE_PKTMBUF_HEADROOM + kDataSize, SOCKET_ID_ANY,
                                           "ring_mt_rts")) {
  if (pool_ == nullptr)
    throw std::runtime_error("cannot make a pool of " + std::to_string(size) + " packets: " + rte_strerror(rte_errno));
}

OwnedPool::~OwnedPool() { rte_mempool_free(pool_); }

rte_mbuf* OwnedPool::copy(const Packet& packet) noexcept {
  rte_mbuf* first = rte_pktmbuf_alloc(pool_);
  if (first == nullptr) return nullptr;
  for (uint32_t room = kDataSize; room < packet.size; room += kDataSize) {
    rte_mbuf* more = rte_pktmbuf_alloc(pool_);
    if (more == nullptr) {
      rte_pktmbuf_free(first);
      return nullptr;
    }
    // In front of the others behind the first: their order does not matter while they are empty.
    more->next = first->next;
    first->next = more;
    ++first->nb_segs;
  }
  ChainWriter writer(first);
  writer.write(packet.head, packet.head_size);
  for (const Segment& s : packet.payload_segments()) writer.write(s.data, s.size);
  first->pkt_len = packet.size;
  new (rte_mbuf_to_priv(first)) OwnedMeta{.offload = packet.offload,
                                          .in_port = packet.in_port,
                                          .out_port = packet.out_port,
                                          .network = packet.network,
                                          .l3_offset = packet.l3_offset,
                                          .l3 = packet.l3,
                                          .l4_offset = packet.l4_offset,
                                          .l4_protocol = packet.l4_protocol,
                                          .head_size = packet.head_size};
  return first;
}

Packet& OwnedPool::load(const rte_mbuf* owned, Burst& burst) noexcept {
  Packet& p = burst.add();
  const OwnedMeta& m = meta(owned);
  p.offload = m.offload;
  p.in_port = m.in_port;
  p.out_port = m.out_port;
  p.network = m.network;
  p.l3_offset = m.l3_offset;
  p.l3 = m.l3;
  p.l4_offset = m.l4_offset;
  p.l4_protocol = m.l4_protocol;
  const auto* data = rte_pktmbuf_mtod(owned, const uint8_t*);
  // A head that stages had made longer (a VLAN tag) stays whole; offload offsets lie within it.
  p.head_size = std::min({owned->data_len, std::max(kHeaderCopy, m.head_size), kSlotRoom});
  p.size = p.head_size;
  std::memcpy(p.head, data, p.head_size);
  if (owned->data_len > p.head_size)
    burst.append_segment(p, data + p.head_size, uint32_t{owned->data_len} - p.head_size);
  for (const rte_mbuf* more = owned->next; more != nullptr; more = more->next)
    burst.append_segment(p, rte_pktmbuf_mtod(more, const uint8_t*), more->data_len);
  return p;
}

OwnedMeta& OwnedPool::meta(rte_mbuf* owned) noexcept { return *static_cast<OwnedMeta*>(rte_mbuf_to_priv(owned)); }
const OwnedMeta& OwnedPool::meta(const rte_mbuf* owned) noexcept {
  return *static_cast<const OwnedMeta*>(rte_mbuf_to_priv(const_cast<rte_mbuf*>(owned)));
}
uint32_t OwnedPool::size(const rte_mbuf* owned) noexcept { return owned->pkt_len; }
void OwnedPool::free(rte_mbuf* owned) noexcept { rte_pktmbuf_free(owned); }
uint32_t OwnedPool::n_free() const noexcept { return rte_mempool_avail_count(pool_); }
uint32_t OwnedPool::n_in_use() const noexcept { return rte_mempool_in_use_count(pool_); }

}  // namespace weft::dataplane
