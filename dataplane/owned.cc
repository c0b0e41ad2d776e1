// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/owned.h"

#include "dataplane/tsan.h"

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

/// rte_pktmbuf_alloc and rte_pktmbuf_free, with what the pool does to order two threads told to ThreadSanitizer.
rte_mbuf* allocate(rte_mempool* pool) noexcept {
  rte_mbuf* m = rte_mbuf_raw_alloc(pool);
  if (m == nullptr) return nullptr;
  tsan_acquire(m);
  rte_pktmbuf_reset(m);
  return m;
}
void give_back(rte_mbuf* m) noexcept {
  while (m != nullptr) {
    rte_mbuf* const next = m->next;
    if (rte_mbuf* done = rte_pktmbuf_prefree_seg(m); done != nullptr) {
      tsan_release(done);
      rte_mbuf_raw_free(done);
    }
    m = next;
  }
}

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
  rte_mbuf* first = allocate(pool_);
  if (first == nullptr) return nullptr;
  for (uint32_t room = kDataSize; room < packet.size; room += kDataSize) {
    rte_mbuf* more = allocate(pool_);
    if (more == nullptr) {
      free(first);
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
  new (rte_mbuf_to_priv(first)) OwnedMeta(meta_of(packet));
  return first;
}

Packet& OwnedPool::load(const rte_mbuf* owned, Burst& burst) noexcept {
  Packet& p = load_packet(meta(owned), rte_pktmbuf_mtod(owned, const uint8_t*), owned->data_len, burst);
  for (const rte_mbuf* more = owned->next; more != nullptr; more = more->next)
    burst.append_segment(p, rte_pktmbuf_mtod(more, const uint8_t*), more->data_len);
  return p;
}

OwnedMeta& OwnedPool::meta(rte_mbuf* owned) noexcept { return *static_cast<OwnedMeta*>(rte_mbuf_to_priv(owned)); }
const OwnedMeta& OwnedPool::meta(const rte_mbuf* owned) noexcept {
  return *static_cast<const OwnedMeta*>(rte_mbuf_to_priv(const_cast<rte_mbuf*>(owned)));
}
uint32_t OwnedPool::size(const rte_mbuf* owned) noexcept { return owned->pkt_len; }
void OwnedPool::free(rte_mbuf* owned) noexcept { give_back(owned); }
uint32_t OwnedPool::n_free() const noexcept { return rte_mempool_avail_count(pool_); }
uint32_t OwnedPool::n_in_use() const noexcept { return rte_mempool_in_use_count(pool_); }

}  // namespace weft::dataplane
