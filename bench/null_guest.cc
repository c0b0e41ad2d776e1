// SPDX-License-Identifier: BSD-3-Clause
#include "bench/null_guest.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft::bench {
namespace {

using dataplane::UniqueFd;
using vhost::MessageHeader;
using vhost::PackedDescriptor;
using vhost::RequestType;
using vhost::VringDescriptor;

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

UniqueFd make_eventfd() {
  UniqueFd fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd.is_open()) fail("eventfd");
  return fd;
}

template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::invalid_argument("socket path too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

/// The next guest-physical address range lies this far from the last: addresses in between are nowhere.
constexpr uint64_t kRegionGap = uint64_t{1} << 32;
constexpr size_t kPage = 4096;
/// Between buffers, as a guest's own allocator leaves it (a header of its own, padding): with 2048 bytes from one to
/// the next all buffers would begin in a few sets of the cache and chase each other out of it.
constexpr size_t kBufferGap = 192;

}  // namespace

uint64_t linux_guest_features() noexcept {
  namespace f = vhost::feature;
  return bit(f::kCsum) | bit(f::kGuestCsum) | bit(f::kGuestTso4) | bit(f::kGuestTso6) | bit(f::kGuestEcn) |
         bit(f::kHostTso4) | bit(f::kHostTso6) | bit(f::kHostEcn) | bit(f::kMrgRxbuf) | bit(f::kAnyLayout) |
         bit(f::kIndirectDesc) | bit(f::kEventIdx) | bit(f::kVersion1) | bit(f::kProtocolFeatures);
}

vhost::VringUsedElement NullGuest::Ring::used_element(uint16_t index) const noexcept {
  vhost::VringUsedElement e;
  std::memcpy(&e, used + 4 + sizeof e * (index & (size - 1)), sizeof e);
  return e;
}

NullGuest::NullGuest(NullGuestOptions options) : options_(std::move(options)) {
  NullGuestOptions& o = options_;
  if (o.send_ring_size == 0) o.send_ring_size = o.ring_size;
  if (o.is_packed) o.features |= bit(vhost::feature::kRingPacked);
  if (o.is_in_order) o.features |= bit(vhost::feature::kInOrder);
  const bool has_sizes =
      o.is_packed ? o.ring_size != 0 && o.ring_size <= vhost::kMaxRingSize && o.send_ring_size <= vhost::kMaxRingSize
                  : std::has_single_bit(o.ring_size) && std::has_single_bit(o.send_ring_size);
  if (!has_sizes || o.n_regions == 0)
    throw std::invalid_argument("null guest: split rings need a power of two, memory at least one region");
  const auto n_rings = static_cast<uint16_t>(2 * options_.n_pairs);
  const size_t size = std::max(o.ring_size, o.send_ring_size);
  const size_t buffers = size * n_rings * (std::max(o.send_buffer, o.receive_buffer) + kBufferGap + 64);
  for (unsigned i = 0; i < options_.n_regions; ++i) {
    const size_t wanted = (i == 0 ? n_rings * (size * 32 + 4 * kPage) : 0) + buffers + kPage;
    Region r;
    r.size = (wanted + kPage - 1) / kPage * kPage;
    r.fd.reset(memfd_create("null-guest", MFD_CLOEXEC));
    if (!r.fd.is_open() || ftruncate(r.fd.get(), static_cast<off_t>(r.size)) != 0) fail("memfd");
    void* p = mmap(nullptr, r.size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd.get(), 0);
    if (p == MAP_FAILED) fail("mmap");
    r.base = static_cast<uint8_t*>(p);
    r.guest = (i + 1) * kRegionGap;
    regions_.push_back(std::move(r));
  }
  buffers_.resize(n_rings);
  for (uint16_t i = 0; i < n_rings; ++i) {
    make_ring(i);
    const bool is_send = i % 2 != 0;
    for (size_t d = 0; d < rings_[i]->size; ++d) {
      const size_t region = options_.n_regions == 1 ? 0 : 1 + d % (options_.n_regions - 1);
      const size_t bytes = is_send ? options_.send_buffer : options_.receive_buffer / options_.receive_chain;
      buffers_[i].push_back(allocate(region, bytes + kBufferGap, 64));
    }
    for (const uint8_t* b : buffers_[i]) rings_[i]->addresses.push_back(guest_address(b));
  }
  reset_rings();
  if (!options_.listens) return;
  listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  unlink(options_.path.c_str());
  const sockaddr_un address = address_of(options_.path);
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), 1) != 0)
    fail("null guest: bind");
}

NullGuest::~NullGuest() {
  for (const Region& r : regions_) munmap(r.base, r.size);
  if (listener_.is_open()) unlink(options_.path.c_str());
}

uint8_t* NullGuest::allocate(size_t region, size_t bytes, size_t alignment) {
  Region& r = regions_.at(region);
  const size_t at = (r.allocated + alignment - 1) / alignment * alignment;
  if (at + bytes > r.size) throw std::runtime_error("null guest: out of guest memory");
  r.allocated = at + bytes;
  return r.base + at;
}

void NullGuest::make_ring(uint16_t index) {
  auto ring = std::make_unique<Ring>();
  ring->size = index % 2 != 0 ? options_.send_ring_size : options_.ring_size;
  const size_t size = ring->size;
  if (options_.is_packed) {
    ring->packed = reinterpret_cast<PackedDescriptor*>(allocate(0, sizeof(PackedDescriptor) * size, kPage));
    ring->driver_event = reinterpret_cast<vhost::PackedEvent*>(allocate(0, sizeof(vhost::PackedEvent), 64));
    ring->device_event = reinterpret_cast<vhost::PackedEvent*>(allocate(0, sizeof(vhost::PackedEvent), 64));
  } else {
    ring->descriptors = reinterpret_cast<VringDescriptor*>(allocate(0, sizeof(VringDescriptor) * size, kPage));
    ring->available = reinterpret_cast<uint16_t*>(allocate(0, vhost::vring_available_bytes(size), 64));
    ring->used = allocate(0, vhost::vring_used_bytes(size), 64);
  }
  rings_.push_back(std::move(ring));
}

void NullGuest::reset_rings() {
  for (uint16_t i = 0; i < rings_.size(); ++i) {
    Ring& r = *rings_[i];
    if (r.is_packed()) {
      std::fill_n(r.packed, r.size, PackedDescriptor{});
      *r.driver_event = *r.device_event = {};
      r.next_available = r.next_used = {};
      r.base = vhost::kPackedFreshBase;
      r.n_slots.assign(r.size, 0);
      r.n_posted = 0;
      r.is_shuffled = false;
    } else {
      std::memset(r.descriptors, 0, sizeof(VringDescriptor) * r.size);
      std::memset(r.available, 0, vhost::vring_available_bytes(r.size));
      std::memset(r.used, 0, vhost::vring_used_bytes(r.size));
      r.available_idx = r.last_used = 0;
    }
    r.chains.assign(r.size, {});
    r.sent.clear();
    r.free.resize(r.size);
    std::iota(r.free.rbegin(), r.free.rend(), uint16_t{0});
    if (i % 2 == 0) post_receive_buffers(r, i);
  }
}

void NullGuest::post_receive_buffers(Ring& r, uint16_t index) {
  const uint16_t chain = options_.receive_chain;
  const uint32_t size = options_.receive_buffer / chain;
  for (uint32_t at = 0; at + chain <= r.size; at += chain) {
    const auto head = static_cast<uint16_t>(at);
    if (r.is_packed()) {
      post_packed(r, index, head);
      continue;
    }
    for (uint16_t k = 0; k < chain; ++k) {
      const auto d = static_cast<uint16_t>(head + k);
      const bool is_last = k + 1 == chain;
      const auto flags =
          static_cast<uint16_t>(VringDescriptor::kWrite | (is_last ? 0 : static_cast<int>(VringDescriptor::kNext)));
      r.descriptors[d] = {guest_address(buffers_[index][d]), size, flags, static_cast<uint16_t>(is_last ? 0 : d + 1)};
    }
    r.put_available(head);
  }
  if (!r.is_packed()) r.publish_available();
}

// --- connection ---------------------------------------------------------------------------------------------------

void NullGuest::connect(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  if (options_.listens) {
    pollfd p{listener_.get(), POLLIN, 0};
    if (::poll(&p, 1, timeout_ms) <= 0) throw std::runtime_error("null guest: nobody connected to " + options_.path);
    socket_.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket_.is_open()) fail("accept");
    return;
  }
  const sockaddr_un address = address_of(options_.path);
  for (;;) {
    socket_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
    if (std::chrono::steady_clock::now() > deadline) fail("null guest: connect");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void NullGuest::disconnect() noexcept { socket_.reset(); }

bool NullGuest::was_hung_up_on(int timeout_ms) {
  pollfd p{socket_.get(), POLLRDHUP, 0};
  return ::poll(&p, 1, timeout_ms) > 0 && (p.revents & (POLLRDHUP | POLLHUP)) != 0;
}

void NullGuest::send_bytes(std::span<const uint8_t> bytes, std::span<const int> fds) {
  iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  std::vector<uint8_t> control(CMSG_SPACE(fds.size_bytes()));
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) fail("sendmsg");
}

void NullGuest::send_message(RequestType type, std::span<const uint8_t> payload, std::span<const int> fds,
                             uint32_t flags) {
  std::vector<uint8_t> bytes(sizeof(MessageHeader) + payload.size());
  const MessageHeader header{static_cast<uint32_t>(type), flags, static_cast<uint32_t>(payload.size())};
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
  send_bytes(bytes, fds);
}

std::optional<std::vector<uint8_t>> NullGuest::receive_answer(int timeout_ms) {
  const auto read_all = [&](void* into, size_t size) {
    for (size_t got = 0; got < size;) {
      pollfd p{socket_.get(), POLLIN, 0};
      if (::poll(&p, 1, timeout_ms) <= 0) throw std::runtime_error("null guest: no answer");
      const ssize_t n = recv(socket_.get(), static_cast<uint8_t*>(into) + got, size - got, 0);
      if (n <= 0) return false;
      got += static_cast<size_t>(n);
    }
    return true;
  };
  MessageHeader header;
  if (!read_all(&header, sizeof header)) return std::nullopt;
  if (header.flags != (MessageHeader::kVersion | MessageHeader::kReply) || header.size > 64)
    throw std::runtime_error("null guest: malformed answer");
  std::vector<uint8_t> payload(header.size);
  if (!read_all(payload.data(), payload.size())) return std::nullopt;
  return payload;
}

void NullGuest::set_u64(RequestType type, uint64_t value) { send_message(type, bytes_of(value)); }

uint64_t NullGuest::get_u64(RequestType type) {
  send_message(type, {});
  const auto answer = receive_answer();
  if (!answer || answer->size() != sizeof(uint64_t)) throw std::runtime_error("null guest: no u64 in the answer");
  uint64_t value;
  std::memcpy(&value, answer->data(), sizeof value);
  return value;
}

void NullGuest::set_state(RequestType type, uint32_t index, uint32_t value) {
  send_message(type, bytes_of(vhost::VringState{index, value}));
}

void NullGuest::set_file(RequestType type, uint32_t index, int fd) {
  const uint64_t value = index | (fd < 0 ? vhost::VringFile::kNoFd : 0);
  if (fd < 0) return send_message(type, bytes_of(value));
  send_message(type, bytes_of(value), {&fd, 1});
}

std::optional<uint64_t> NullGuest::acknowledged(RequestType type, std::span<const uint8_t> payload,
                                                std::span<const int> fds) {
  send_message(type, payload, fds, MessageHeader::kVersion | MessageHeader::kNeedReply);
  const auto answer = receive_answer();
  if (!answer) return std::nullopt;
  uint64_t value = 0;
  std::memcpy(&value, answer->data(), std::min(answer->size(), sizeof value));
  return value;
}

vhost::MemoryRegion NullGuest::region(size_t i) const {
  const Region& r = regions_.at(i);
  return {r.guest, r.size, reinterpret_cast<uint64_t>(r.base), 0};
}

void NullGuest::negotiate() {
  const uint64_t offered = get_u64(RequestType::get_features);
  if ((options_.features & ~offered) != 0) throw std::runtime_error("null guest: features not offered");
  if ((options_.features & bit(vhost::feature::kProtocolFeatures)) != 0) {
    const uint64_t protocol = get_u64(RequestType::get_protocol_features);
    set_u64(RequestType::set_protocol_features, options_.protocol_features & protocol);
    if ((options_.protocol_features & protocol & vhost::protocol_feature::kMq) != 0)
      (void)get_u64(RequestType::get_queue_num);
  }
  send_message(RequestType::set_owner, {});
  set_u64(RequestType::set_features, options_.features);
}

void NullGuest::send_memory_table() {
  std::vector<uint8_t> payload(8 + regions_.size() * sizeof(vhost::MemoryRegion));
  const auto n = static_cast<uint32_t>(regions_.size());
  std::memcpy(payload.data(), &n, sizeof n);
  std::vector<int> fds;
  for (size_t i = 0; i < regions_.size(); ++i) {
    const vhost::MemoryRegion r = region(i);
    std::memcpy(payload.data() + 8 + i * sizeof r, &r, sizeof r);
    fds.push_back(regions_[i].fd.get());
  }
  send_message(RequestType::set_mem_table, payload, fds);
}

void NullGuest::start_ring(uint16_t index) {
  Ring& r = *rings_.at(index);
  set_state(RequestType::set_vring_num, index, r.size);
  set_state(RequestType::set_vring_base, index, r.is_packed() ? r.base : r.used_idx());
  const auto at = [](const void* p) { return reinterpret_cast<uint64_t>(p); };
  const vhost::VringAddress address =
      r.is_packed() ? vhost::VringAddress{index, 0, at(r.packed), at(r.device_event), at(r.driver_event), 0}
                    : vhost::VringAddress{index, 0, at(r.descriptors), at(r.used), at(r.available), 0};
  send_message(RequestType::set_vring_addr, bytes_of(address));
  if (options_.can_kick) r.kick = make_eventfd();
  if (options_.wants_calls) r.call = make_eventfd();
  set_file(RequestType::set_vring_kick, index, r.kick.get());
  set_file(RequestType::set_vring_call, index, r.call.get());
}

void NullGuest::enable_ring(uint16_t index, bool is_enabled) {
  set_state(RequestType::set_vring_enable, index, is_enabled ? 1 : 0);
}

uint32_t NullGuest::stop_ring(uint16_t index) {
  send_message(RequestType::get_vring_base, bytes_of(vhost::VringState{index, 0}));
  const auto answer = receive_answer();
  vhost::VringState state{};
  if (!answer || answer->size() != sizeof state) throw std::runtime_error("null guest: no base in the answer");
  std::memcpy(&state, answer->data(), sizeof state);
  rings_.at(index)->base = state.value;
  return state.value;
}

void NullGuest::handshake() {
  negotiate();
  send_memory_table();
  const bool has_enable = (options_.features & bit(vhost::feature::kProtocolFeatures)) != 0;
  for (uint16_t i = 0; i < rings_.size(); ++i) start_ring(i);
  for (uint16_t i = 0; has_enable && i < rings_.size(); ++i) enable_ring(i, true);
  // An answer to anything says that all before it has been done.
  (void)get_u64(RequestType::get_features);
}

// --- frames -------------------------------------------------------------------------------------------------------

uint16_t NullGuest::header_size() const noexcept {
  namespace f = vhost::feature;
  return (options_.features & (bit(f::kMrgRxbuf) | bit(f::kVersion1) | bit(f::kRingPacked))) != 0 ? 12 : 10;
}

uint64_t NullGuest::guest_address(const void* p) const {
  for (const Region& r : regions_) {
    const auto* at = static_cast<const uint8_t*>(p);
    if (at >= r.base && at < r.base + r.size) return r.guest + static_cast<uint64_t>(at - r.base);
  }
  throw std::out_of_range("null guest: no guest memory");
}

uint8_t* NullGuest::send_buffer(uint16_t ring, uint16_t descriptor) { return buffers_.at(ring).at(descriptor); }

bool NullGuest::send(std::span<const uint8_t> frame, const SendOptions& o) {
  const auto index = static_cast<uint16_t>(2 * o.pair + 1);
  Ring& r = *rings_.at(index);
  reclaim(o.pair);
  std::vector<uint8_t> bytes(header_size() + frame.size());
  std::memcpy(bytes.data(), &o.header, header_size());
  if (!frame.empty()) std::memcpy(bytes.data() + header_size(), frame.data(), frame.size());

  std::vector<uint32_t> pieces;
  size_t left = bytes.size();
  for (const uint32_t piece : o.pieces) {
    if (piece >= left) break;
    pieces.push_back(piece);
    left -= piece;
  }
  while (left > options_.send_buffer) {
    pieces.push_back(options_.send_buffer);
    left -= options_.send_buffer;
  }
  pieces.push_back(static_cast<uint32_t>(left));

  // An indirect table takes one descriptor more, whose buffer holds the table.
  if (r.free.size() < pieces.size() + (o.is_indirect ? 1 : 0)) return false;
  std::vector<VringDescriptor> chain;
  std::vector<uint16_t> ids;
  const uint8_t* from = bytes.data();
  for (const uint32_t piece : pieces) {
    const uint16_t d = r.free.back();
    r.free.pop_back();
    if (piece > options_.send_buffer) throw std::invalid_argument("null guest: piece larger than the send buffer");
    std::memcpy(buffers_[index][d], from, piece);
    from += piece;
    chain.push_back({guest_address(buffers_[index][d]), piece, VringDescriptor::kNext, 0});
    ids.push_back(d);
  }
  chain.back().flags = 0;
  const uint16_t head = r.is_packed() ? put_packed_chain(r, index, ids, chain, o.is_indirect)
                                      : put_chain(r, index, ids, chain, o.is_indirect);
  r.chains[head] = std::move(ids);
  r.sent.push_back(head);
  if (o.kicks) kick(index);
  return true;
}

uint16_t NullGuest::put_chain(Ring& r, uint16_t index, std::vector<uint16_t>& ids, std::vector<VringDescriptor>& chain,
                              bool is_indirect) {
  uint16_t head;
  if (is_indirect) {
    for (size_t i = 0; i + 1 < chain.size(); ++i) chain[i].next = static_cast<uint16_t>(i + 1);
    head = r.free.back();
    r.free.pop_back();
    const auto table_size = static_cast<uint32_t>(chain.size() * sizeof(VringDescriptor));
    if (table_size > options_.send_buffer) throw std::invalid_argument("null guest: table larger than a buffer");
    std::memcpy(buffers_[index][head], chain.data(), table_size);
    r.descriptors[head] = {guest_address(buffers_[index][head]), table_size, VringDescriptor::kIndirect, 0};
    ids.push_back(head);
  } else {
    for (size_t i = 0; i < chain.size(); ++i) {
      if (i + 1 < chain.size()) chain[i].next = ids[i + 1];
      r.descriptors[ids[i]] = chain[i];
    }
    head = ids.front();
  }
  r.put_available(head);
  r.publish_available();
  return head;
}

void NullGuest::take_back(Ring& r, uint32_t head) {
  if (head >= r.size) return;
  r.free.insert(r.free.end(), r.chains[head].begin(), r.chains[head].end());
  r.chains[head].clear();
  if (const auto at = std::find(r.sent.begin(), r.sent.end(), head); at != r.sent.end()) r.sent.erase(at);
}

uint16_t NullGuest::reclaim(uint16_t pair) {
  Ring& r = *rings_.at(2 * pair + 1);
  uint16_t n = 0;
  while (r.has_used()) {
    const uint32_t named = r.is_packed() ? r.packed[r.next_used.index].id : r.used_element(r.last_used).id;
    // With IN_ORDER what is used may stand for a batch: for all up to the one it names (virtio 1.2 §2.7.9, §2.8.14).
    for (bool is_last = false; !is_last; ++n) {
      const uint32_t head = options_.is_in_order && !r.sent.empty() ? r.sent.front() : named;
      is_last = head == named;
      if (r.is_packed())
        r.next_used.advance(std::max<uint32_t>(1, head < r.size ? r.n_slots[head] : 1), r.size);
      else
        ++r.last_used;
      take_back(r, head);
    }
  }
  return n;
}

std::vector<uint8_t> NullGuest::take_used(Ring& r, uint16_t index) {
  if (r.is_packed()) return take_used_packed(r, index);
  const vhost::VringUsedElement e = r.used_element(r.last_used++);
  std::vector<uint8_t> bytes;
  uint32_t left = e.size;
  for (uint32_t d = e.id;; d = r.descriptors[d].next) {
    const uint32_t here = std::min(left, r.descriptors[d].size);
    bytes.insert(bytes.end(), buffers_[index][d], buffers_[index][d] + here);
    left -= here;
    if ((r.descriptors[d].flags & VringDescriptor::kNext) == 0) break;
  }
  r.put_available(static_cast<uint16_t>(e.id));
  return bytes;
}

std::vector<NullGuest::Received> NullGuest::receive(uint16_t pair) {
  const auto index = static_cast<uint16_t>(2 * pair);
  Ring& r = *rings_.at(index);
  std::vector<Received> frames;
  while (r.has_used()) {
    Received received;
    uint16_t n = 1;
    for (uint16_t k = 0; k < n && r.has_used(); ++k) {
      const std::vector<uint8_t> bytes = take_used(r, index);
      size_t skip = 0;
      if (k == 0) {
        if (bytes.size() < header_size()) break;
        skip = header_size();
        std::memcpy(&received.header, bytes.data(), skip);
        if (skip == sizeof received.header) n = received.header.num_buffers;
        received.n_buffers = n;
      }
      received.frame.insert(received.frame.end(), bytes.begin() + static_cast<std::ptrdiff_t>(skip), bytes.end());
    }
    frames.push_back(std::move(received));
  }
  if (!r.is_packed()) r.publish_available();
  return frames;
}

void NullGuest::kick(uint16_t ring) {
  const uint64_t one = 1;
  const int fd = rings_.at(ring)->kick.get();
  if (fd >= 0 && write(fd, &one, sizeof one) < 0) fail("kick");
}

uint64_t NullGuest::take_calls(uint16_t ring) {
  uint64_t n = 0;
  const int fd = rings_.at(ring)->call.get();
  return fd >= 0 && read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

// --- bursts -------------------------------------------------------------------------------------------------------

void NullGuest::lay_out(std::span<const std::vector<uint8_t>> frames) {
  Ring& r = *rings_.at(1);
  frames_.clear();
  laid_out_.clear();
  for (uint16_t d = 0; d < r.size; ++d) {
    const std::vector<uint8_t>& frame = frames[d % frames.size()];
    std::vector<uint8_t> bytes(header_size());
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    if (bytes.size() > options_.send_buffer) throw std::invalid_argument("null guest: frame larger than a buffer");
    std::memcpy(buffers_[1][d], bytes.data(), bytes.size());
    const auto size = static_cast<uint32_t>(bytes.size());
    if (r.is_packed()) {
      r.packed[d].address = r.addresses[d];
      laid_out_.push_back(size | uint64_t{d} << 32);
    } else {
      r.descriptors[d] = {r.addresses[d], size, 0, 0};
      r.available[2 + d] = d;
    }
    frames_.push_back(std::move(bytes));
  }
}

void NullGuest::poll_send(uint16_t burst) noexcept {
  Ring& r = *rings_[1];
  if (r.is_packed()) return poll_send_packed(r, burst);
  const uint16_t used = r.used_idx();
  counters_.sent += static_cast<uint16_t>(used - r.last_used);
  r.last_used = used;
  const auto room = static_cast<uint16_t>(r.size - static_cast<uint16_t>(r.available_idx - used));
  ++counters_.polls;
  if (room == 0) ++counters_.starved;
  const uint16_t n = std::min(room, burst);
  if (n == 0) return;
  if (rewrites_) {
    for (uint16_t i = 0; i < n; ++i) {
      const size_t d = static_cast<uint16_t>(r.available_idx + i) & (r.size - 1);
      std::memcpy(buffers_[1][d], frames_[d].data(), frames_[d].size());
    }
  }
  r.available_idx = static_cast<uint16_t>(r.available_idx + n);
  r.publish_available();
}

uint16_t NullGuest::poll_receive(uint16_t burst) noexcept {
  Ring& r = *rings_[0];
  if (r.is_packed()) return poll_receive_packed(r, burst);
  const uint16_t n = std::min(static_cast<uint16_t>(r.used_idx() - r.last_used), burst);
  if (n == 0) return 0;
  for (uint16_t i = 0; i < n; ++i) r.put_available(static_cast<uint16_t>(r.used_element(r.last_used++).id));
  r.publish_available();
  counters_.received += n;
  return n;
}

void NullGuest::poll(uint16_t burst) noexcept {
  poll_send(burst);
  poll_receive(burst);
}

}  // namespace weft::bench
