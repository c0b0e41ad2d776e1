// SPDX-License-Identifier: BSD-3-Clause
//
// The null guest's packed rings (virtio 1.2 §2.8). Flags of a batch are written from its second descriptor to the last
// and then, with release, to the first: before that the switch sees none of them.
#include "bench/null_guest.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace weft::bench {
namespace {

using vhost::PackedDescriptor;
using vhost::PackedPosition;
using vhost::VringDescriptor;

using Word [[gnu::may_alias]] = uint64_t;

/// Size, id and flags of a descriptor, as one word.
Word& word_of(PackedDescriptor& d) noexcept { return *reinterpret_cast<Word*>(&d.size); }
constexpr uint64_t flags_word(uint16_t flags) noexcept { return uint64_t{flags} << 48; }
void store_release(Word& word, uint64_t value) noexcept { __atomic_store_n(&word, value, __ATOMIC_RELEASE); }

}  // namespace

void NullGuest::Ring::put_packed(std::span<const PackedDescriptor> chain) noexcept {
  PackedDescriptor& first = packed[next_available.index];
  uint16_t first_flags = 0;
  for (const PackedDescriptor& d : chain) {
    PackedDescriptor& to = packed[next_available.index];
    const auto flags = static_cast<uint16_t>(d.flags | next_available.available_flags());
    to.address = d.address;
    to.size = d.size;
    to.id = d.id;
    if (&to == &first)
      first_flags = flags;
    else
      to.flags = flags;
    next_available.advance(1, size);
  }
  __atomic_store_n(&first.flags, first_flags, __ATOMIC_RELEASE);
}

void NullGuest::post_packed(Ring& r, uint16_t index, uint16_t head) {
  const uint16_t n = options_.receive_chain;
  std::vector<PackedDescriptor> chain;
  for (uint16_t k = 0; k < n; ++k) {
    const auto flags = static_cast<uint16_t>(PackedDescriptor::kWrite | (k + 1 < n ? PackedDescriptor::kNext : 0));
    chain.push_back({guest_address(buffers_[index][head + k]), options_.receive_buffer / n, head, flags});
  }
  r.n_slots[head] = n;
  r.put_packed(chain);
}

uint16_t NullGuest::put_packed_chain(Ring& r, uint16_t index, std::vector<uint16_t>& buffers,
                                     std::span<const VringDescriptor> chain, bool is_indirect) {
  std::vector<PackedDescriptor> descriptors;
  uint16_t id = buffers.front();
  for (const VringDescriptor& d : chain) descriptors.push_back({d.address, d.size, id, d.flags});
  if (is_indirect) {
    id = r.free.back();
    r.free.pop_back();
    buffers.push_back(id);
    // In a table the order is that of its entries; their flags but WRITE mean nothing (virtio 1.2 §2.8.7).
    for (PackedDescriptor& d : descriptors) d.flags = 0;
    const auto table_size = static_cast<uint32_t>(descriptors.size() * sizeof(PackedDescriptor));
    if (table_size > options_.send_buffer) throw std::invalid_argument("null guest: table larger than a buffer");
    std::memcpy(buffers_[index][id], descriptors.data(), table_size);
    descriptors = {{guest_address(buffers_[index][id]), table_size, id, PackedDescriptor::kIndirect}};
  }
  r.n_slots[id] = static_cast<uint16_t>(descriptors.size());
  r.put_packed(descriptors);
  return id;
}

std::vector<uint8_t> NullGuest::take_used_packed(Ring& r, uint16_t index) {
  const PackedDescriptor used = r.packed[r.next_used.index];
  const uint16_t n = r.n_slots.at(used.id);
  std::vector<uint8_t> bytes;
  uint32_t left = used.size;
  for (uint16_t k = 0; k < n; ++k) {
    const uint8_t* buffer = buffers_[index].at(used.id + k);
    const uint32_t here = std::min(left, options_.receive_buffer / options_.receive_chain);
    bytes.insert(bytes.end(), buffer, buffer + here);
    left -= here;
  }
  r.next_used.advance(n, r.size);
  post_packed(r, index, used.id);
  return bytes;
}

// --- bursts -------------------------------------------------------------------------------------------------------

/// Takes back what has been used of a send ring laid out for bursts, where id and slot are one.
uint16_t NullGuest::count_used(Ring& r) noexcept {
  uint16_t n = 0;
  while (n < r.n_posted && r.is_used(r.next_used)) {
    uint16_t batch = 1;
    if (options_.is_in_order) {
      const int to_last = r.packed[r.next_used.index].id - r.next_used.index;
      batch = static_cast<uint16_t>(1 + (to_last < 0 ? to_last + r.size : to_last));
    }
    r.next_used.advance(batch, r.size);
    n = static_cast<uint16_t>(n + batch);
  }
  return n;
}

void NullGuest::poll_send_packed(Ring& r, uint16_t burst) noexcept {
  const uint16_t used = count_used(r);
  counters_.sent += used;
  r.n_posted = static_cast<uint16_t>(r.n_posted - used);
  const auto room = static_cast<uint16_t>(r.size - r.n_posted);
  ++counters_.polls;
  if (room == 0) ++counters_.starved;
  const uint16_t n = std::min(room, burst);
  if (n == 0) return;
  const PackedPosition first = r.next_available;
  PackedPosition at = first;
  for (uint16_t i = 0; i < n; ++i, at.advance(1, r.size)) {
    const size_t d = at.index;
    if (rewrites_) std::memcpy(buffers_[1][d], frames_[d].data(), frames_[d].size());
    if (i != 0) word_of(r.packed[d]) = laid_out_[d] | flags_word(at.available_flags());
  }
  store_release(word_of(r.packed[first.index]), laid_out_[first.index] | flags_word(first.available_flags()));
  r.next_available = at;
  r.n_posted = static_cast<uint16_t>(r.n_posted + n);
}

/// All buffers are always posted, so that the slot of a used one is the next to be made available.
uint16_t NullGuest::poll_receive_packed(Ring& r, uint16_t burst) noexcept {
  const uint16_t most = std::min(burst, r.size);
  const PackedPosition first = r.next_available;
  PackedPosition used = r.next_used, available = first;
  uint64_t first_word = 0;
  uint16_t n = 0;
  for (; n < most && r.is_used(used); ++n) {
    PackedDescriptor& d = r.packed[used.index];
    const uint16_t id = d.id;
    if (id != used.index || r.is_shuffled) [[unlikely]] {
      r.is_shuffled = true;
      d.address = r.addresses[id % r.size];
    }
    const uint64_t word = options_.receive_buffer | uint64_t{id} << 32 |
                          flags_word(PackedDescriptor::kWrite | available.available_flags());
    if (n == 0)
      first_word = word;
    else
      word_of(d) = word;
    used.advance(1, r.size);
    available.advance(1, r.size);
  }
  if (n == 0) return 0;
  store_release(word_of(r.packed[first.index]), first_word);
  r.next_used = used;
  r.next_available = available;
  counters_.received += n;
  return n;
}

}  // namespace weft::bench
