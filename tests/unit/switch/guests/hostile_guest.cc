// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/switch/guests/hostile_guest.h"

#include "bench/ring_talk.h"
#include "dataplane/vhost/device.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

namespace weft::vswitch::test {

using dataplane::UniqueFd;
using dataplane::VirtioNetHeader;
using dataplane::VirtioNetHeaderV1;
using dataplane::vhost::MemoryRegion;
using dataplane::vhost::PackedDescriptor;
using dataplane::vhost::RequestType;
using dataplane::vhost::VringAddress;
using dataplane::vhost::VringDescriptor;
using dataplane::vhost::VringState;
namespace feature = dataplane::vhost::feature;

namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
constexpr uint64_t kFullEvent = 0xfffffffffffffffe;
constexpr size_t kMemoryFile = 1 << 18;

UniqueFd memory_file(size_t size, unsigned flags = MFD_CLOEXEC, int seals = 0) {
  UniqueFd fd(memfd_create("hostile", flags));
  if (fd.is_open() && ftruncate(fd.get(), static_cast<off_t>(size)) == 0 && seals != 0)
    fcntl(fd.get(), F_ADD_SEALS, seals);
  return fd;
}

}  // namespace

// --- descriptors
// ------------------------------------------------------------------------------------------------------

FdZoo::FdZoo(Random& random) : random_(random) {
  add(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  add(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  add(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  add(open("/tmp", O_PATH | O_CLOEXEC));
  add(open("/dev/zero", O_RDWR | O_CLOEXEC));
  add(open("/dev/null", O_RDWR | O_CLOEXEC));
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) == 0) {
    add(pair[0]);
    add(pair[1]);
  }
  if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0) {  // a full one
    const std::array<uint8_t, 4096> zeros{};
    while (write(pair[1], zeros.data(), zeros.size()) > 0) {
    }
    fcntl(pair[1], F_SETFL, 0);
    add(pair[0]);
    add(pair[1]);
  }
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
    add(pair[0]);
    add(pair[1]);
  }
  add(epoll_create1(EPOLL_CLOEXEC));
  add(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  sigset_t none;
  sigemptyset(&none);
  add(signalfd(-1, &none, SFD_CLOEXEC));
  add(inotify_init1(IN_CLOEXEC));

  memory_.push_back(memory_file(kMemoryFile));
  memory_.push_back(memory_file(kMemoryFile + 1));
  memory_.push_back(memory_file(4095));
  memory_.push_back(memory_file(0));
  memory_.push_back(memory_file(size_t{1} << 40));
  const unsigned sealing = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  memory_.push_back(memory_file(kMemoryFile, sealing, F_SEAL_SHRINK | F_SEAL_GROW));
  memory_.push_back(memory_file(kMemoryFile, sealing, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
  const UniqueFd writable = memory_file(kMemoryFile);
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", writable.get());
  memory_.emplace_back(open(path, O_RDONLY | O_CLOEXEC));
}

int FdZoo::any() {
  const size_t n = random_.below(fds_.size() + memory_.size());
  return n < fds_.size() ? fds_[n].get() : memory_[n - fds_.size()].get();
}

int FdZoo::any_memory() {
  // Mostly one that can be mapped.
  return memory_[random_.one_in(3) ? random_.below(memory_.size()) : 0].get();
}

UniqueFd FdZoo::event() {
  static constexpr int kFlags[] = {EFD_NONBLOCK, 0, EFD_SEMAPHORE, EFD_SEMAPHORE | EFD_NONBLOCK};
  UniqueFd fd(eventfd(0, random_.pick(kFlags) | EFD_CLOEXEC));
  const uint64_t count = random_.one_in(2) ? kFullEvent : 0;
  [[maybe_unused]] const ssize_t n = write(fd.get(), &count, sizeof count);
  return fd;
}

// --- a life
// -----------------------------------------------------------------------------------------------------------

HostileGuest::HostileGuest(std::string path, PortId self, PortId peer, uint64_t seed)
    : path_(std::move(path)), self_(self), peer_(peer), random_(seed), zoo_(random_) {
  make_templates();
}

HostileGuest::~HostileGuest() = default;

/// Frames that get far when nobody spoils them: TCP with segmentation or a checksum to finish, over IPv4 and IPv6.
void HostileGuest::make_templates() {
  for (int i = 0; i < 64; ++i) {
    const bool is_v6 = i % 2 != 0;
    const size_t l4 = is_v6 ? 54 : 34, payload = i % 4 == 3 ? 0 : random_.below(3000);
    Bytes bytes(sizeof(VirtioNetHeaderV1) + l4 + 20 + payload);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random_());
    VirtioNetHeaderV1 header{};
    header.flags = i % 8 < 6 ? VirtioNetHeader::kNeedsCsum : 0;
    header.csum_start = static_cast<uint16_t>(l4);
    header.csum_offset = 16;
    if (i % 8 < 5) {
      header.gso_type = is_v6 ? VirtioNetHeader::kGsoTcp6 : VirtioNetHeader::kGsoTcp4;
      header.gso_size = static_cast<uint16_t>(32 + random_.below(1500));
    }
    std::memcpy(bytes.data(), &header, sizeof header);
    uint8_t* frame = bytes.data() + sizeof header;
    auto* eth = reinterpret_cast<wire::EthernetHeader*>(frame);
    *eth = {mac_of(peer_), mac_of(self_), wire::be16(is_v6 ? wire::ethertype::kIpv6 : wire::ethertype::kIpv4)};
    const auto after_ip = static_cast<uint16_t>(20 + payload);
    if (is_v6) {
      auto* ip = reinterpret_cast<wire::Ipv6Header*>(eth + 1);
      std::memset(static_cast<void*>(ip), 0, sizeof *ip);
      frame[14] = 0x60;
      ip->payload_length = wire::be16(after_ip);
      ip->next_header = wire::ipproto::kTcp;
    } else {
      auto* ip = reinterpret_cast<wire::Ipv4Header*>(eth + 1);
      *ip = {};
      ip->version_ihl = 0x45;
      ip->total_length = wire::be16(static_cast<uint16_t>(20 + after_ip));
      ip->ttl = 64;
      ip->protocol = wire::ipproto::kTcp;
      ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
    }
    frame[l4 + 12] = 0x50;  // no TCP options
    templates_.push_back(std::move(bytes));
  }
}

void HostileGuest::begin_life() {
  guest_.reset();
  second_.reset();
  added_ = {};
  NullGuestOptions o;
  o.path = path_;
  o.ring_size = static_cast<uint16_t>(1u << random_.below(random_.one_in(8) ? 11 : 9));
  o.n_pairs = static_cast<uint16_t>(1 + random_.below(2));
  o.n_regions = static_cast<unsigned>(2 + random_.below(5));
  o.send_buffer = o.receive_buffer = static_cast<uint32_t>(256u << random_.below(5));
  for (const unsigned f : {feature::kMrgRxbuf, feature::kEventIdx, feature::kGuestTso4, feature::kGuestTso6,
                           feature::kGuestCsum, feature::kIndirectDesc, feature::kVersion1})
    if (random_.one_in(3)) o.features &= ~bit(f);
  if (random_.one_in(8)) o.features &= ~bit(feature::kProtocolFeatures);
  o.is_packed = random_.one_in(2);
  o.is_in_order = random_.one_in(4);
  o.can_kick = !random_.one_in(8);
  o.wants_calls = !random_.one_in(8);
  options_ = o;
  features_ = o.features | (o.is_packed ? bit(feature::kRingPacked) : 0) | (o.is_in_order ? bit(feature::kInOrder) : 0);
  try {
    guest_ = std::make_unique<NullGuest>(o);
    guest_->connect();
    guest_->handshake();
    is_alive_ = true;
    ++tally_.lives;
  } catch (const std::exception&) {
    guest_.reset();  // turned away: the last life's connection is not taken apart yet
  }
}

void HostileGuest::act() {
  if (!is_alive_) begin_life();
  if (!is_alive_) return;
  for (uint16_t i = 0; i < guest_->n_rings(); ++i) storm(i);
  if (random_.one_in(300)) return truncate();
  for (int i = 0; is_alive_ && i < 4; ++i) message();
  if (!is_alive_) return;
  if (random_.one_in(4)) stop_and_start();
  drain();
}

// --- rings
// ------------------------------------------------------------------------------------------------------------

uint64_t HostileGuest::random_address() {
  const uint16_t ring = static_cast<uint16_t>(random_.below(guest_->n_rings()));
  const auto d = static_cast<uint16_t>(random_.below(guest_->ring(ring).size));
  switch (random_.below(24)) {
    case 0:
      return random_();
    case 1:
      return ~uint64_t{0} - random_.below(5000);
    case 2: {  // over the end of a region, or over the rings themselves
      const MemoryRegion r = guest_->region(random_.below(guest_->n_regions()));
      return r.guest_address + (random_.one_in(2) ? r.size - random_.below(64) : random_.below(r.size));
    }
    case 3:
      return guest_->guest_address(guest_->send_buffer(ring, d)) + random_.below(options_.send_buffer);
    default:
      return guest_->guest_address(guest_->send_buffer(ring, d));
  }
}

VringDescriptor HostileGuest::random_descriptor(uint16_t index) {
  static constexpr uint32_t kSizes[] = {0, 1, 5, 10, 12, 16, 32, 64, 160, 2048, 4096, 70000, 0x80000000, 0xffffffff};
  ++tally_.descriptors;
  const uint16_t size = guest_->ring(index).size;
  VringDescriptor d;
  d.address = random_address();
  d.size = random_.one_in(4) ? random_.pick(kSizes) : static_cast<uint32_t>(1 + random_.below(options_.send_buffer));
  d.flags = static_cast<uint16_t>((index % 2 == 0 ? VringDescriptor::kWrite : 0) |
                                  (random_.one_in(3) ? VringDescriptor::kNext : 0) |
                                  (random_.one_in(6) ? VringDescriptor::kIndirect : 0));
  if (random_.one_in(16)) d.flags = static_cast<uint16_t>(random_());
  d.next = static_cast<uint16_t>(random_.one_in(20) ? random_() : random_.below(size));
  return d;
}

/// A frame that is almost right.
void HostileGuest::fill_with_frame(uint16_t index, uint16_t d) {
  uint8_t* buffer = guest_->send_buffer(index, d);
  const Bytes& from = templates_[random_.below(templates_.size())];
  const size_t size = std::min<size_t>(from.size(), options_.send_buffer);
  std::memcpy(buffer, from.data(), size);
  // Spoilt at one place in its headers, or left as it is.
  if (random_.one_in(4)) buffer[random_.below(std::min<size_t>(size, 80))] = static_cast<uint8_t>(random_());
}

/// A frame, or an indirect table.
void HostileGuest::fill_buffer(uint16_t index, uint16_t d) {
  if (!random_.one_in(3)) return fill_with_frame(index, d);
  std::array<VringDescriptor, 16> table;
  const bool is_packed = guest_->ring(index).is_packed();
  const size_t n = 1 + random_.below(table.size());
  for (size_t i = 0; i < n; ++i) {
    table[i] = random_descriptor(index);
    if (random_.one_in(2)) table[i].flags &= static_cast<uint16_t>(~VringDescriptor::kIndirect);
    table[i].next = static_cast<uint16_t>(random_.one_in(10) ? random_() : i + 1);
    if (is_packed) {
      const PackedDescriptor entry = to_packed(table[i]);
      std::memcpy(static_cast<void*>(&table[i]), &entry, sizeof entry);
    }
  }
  std::memcpy(guest_->send_buffer(index, d), table.data(), n * sizeof(VringDescriptor));
}

PackedDescriptor HostileGuest::to_packed(const VringDescriptor& d) {
  return {d.address, d.size, static_cast<uint16_t>(random_.one_in(20) ? random_() : random_.below(1024)), d.flags};
}

/// All slots are made available for one lap, then for the next: wherever the switch stands, it goes on.
void HostileGuest::storm_packed(uint16_t index) {
  NullGuest::Ring& r = guest_->ring(index);
  const bool is_mild = random_.one_in(2), is_one_chain = random_.one_in(50);
  lap_[index % lap_.size()] ^= true;
  const uint16_t lap = dataplane::vhost::PackedPosition{0, lap_[index % lap_.size()]}.available_flags();
  for (uint16_t d = 0; d < r.size; ++d) {
    PackedDescriptor made = to_packed(random_descriptor(index));
    made.flags &= static_cast<uint16_t>(~dataplane::vhost::kPackedLapFlags);
    if (is_mild) {
      fill_with_frame(index, d);
      made.address = guest_->guest_address(guest_->send_buffer(index, d));
      made.size = options_.send_buffer;
      if (!random_.one_in(4)) made.flags &= PackedDescriptor::kWrite;
    } else if (random_.one_in(2)) {
      fill_buffer(index, d);
    }
    // A chain must end in slots that are there, or the ring is broken.
    if (is_one_chain) made.flags |= PackedDescriptor::kNext;
    if (!random_.one_in(200) && (d + 1 == r.size || random_.one_in(2)) && !is_one_chain)
      made.flags &= static_cast<uint16_t>(~PackedDescriptor::kNext);
    made.flags |= random_.one_in(500) ? static_cast<uint16_t>(random_()) : lap;
    std::memcpy(static_cast<void*>(&r.packed[d]), &made, sizeof made - sizeof made.flags);
    __atomic_store_n(&r.packed[d].flags, made.flags, __ATOMIC_RELEASE);
  }
  bench::store_event(r.driver_event, {static_cast<uint16_t>(random_()), static_cast<uint16_t>(random_.below(4))});
  if (random_.one_in(3) && r.kick.is_open()) guest_->kick(index);
}

void HostileGuest::storm(uint16_t index) {
  NullGuest::Ring& r = guest_->ring(index);
  if (r.is_packed()) return storm_packed(index);
  // Some are as good as a driver's, so that much gets far; some one chain without an end.
  const bool is_mild = random_.one_in(2), is_one_chain = random_.one_in(50);
  for (uint16_t d = 0; d < r.size; ++d) {
    VringDescriptor made = random_descriptor(index);
    if (is_mild) {
      fill_with_frame(index, d);
      made = {guest_->guest_address(guest_->send_buffer(index, d)), options_.send_buffer,
              static_cast<uint16_t>(made.flags & (random_.one_in(4) ? ~0u : VringDescriptor::kWrite)), made.next};
    } else if (random_.one_in(2)) {
      fill_buffer(index, d);
    }
    if (is_one_chain) {
      made.flags = static_cast<uint16_t>((index % 2 == 0 ? VringDescriptor::kWrite : 0) | VringDescriptor::kNext);
      made.next = static_cast<uint16_t>((d + 1) % r.size);
    }
    r.descriptors[d] = made;
  }
  for (uint16_t i = 0; i < r.size; ++i)
    r.put_available(static_cast<uint16_t>(random_.one_in(50) ? random_() : random_.below(r.size)));
  r.available_idx = static_cast<uint16_t>(r.used_idx() + 1 + random_.below(r.size));
  if (random_.one_in(500)) r.available_idx = static_cast<uint16_t>(random_());  // breaks the ring
  r.available[2 + r.size] = static_cast<uint16_t>(random_());                   // used_event
  r.available[0] = static_cast<uint16_t>(random_.below(4));
  r.publish_available();
  if (random_.one_in(3) && r.kick.is_open()) guest_->kick(index);
}

// --- messages
// ---------------------------------------------------------------------------------------------------------

uint32_t HostileGuest::random_index() {
  if (random_.one_in(10)) return static_cast<uint32_t>(random_.below(256));
  if (random_.one_in(200)) return static_cast<uint32_t>(random_());
  return static_cast<uint32_t>(random_.below(guest_->n_rings()));
}

void HostileGuest::send(Type type, std::span<const uint8_t> payload, std::span<const int> fds) {
  uint32_t flags = dataplane::vhost::MessageHeader::kVersion;
  if (random_.one_in(4)) flags |= dataplane::vhost::MessageHeader::kNeedReply;
  try {
    guest_->send_message(type, payload, fds, flags);
    ++tally_.messages;
  } catch (const std::exception&) {
    is_alive_ = false;
  }
}

/// Reads what the switch has answered, and sees whether it has hung up.
void HostileGuest::drain() {
  std::array<uint8_t, 4096> answers;
  ssize_t n;
  do n = recv(guest_->socket_fd(), answers.data(), answers.size(), MSG_DONTWAIT);
  while (n > 0);
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) is_alive_ = false;
}

void HostileGuest::send_file(Type type) {
  UniqueFd event = zoo_.event();
  const int fd = random_.one_in(60) ? zoo_.any() : event.get();
  const uint64_t value = random_index() & 0xff;
  if (random_.one_in(6)) return send_value(type, value | dataplane::vhost::VringFile::kNoFd);
  send_value(type, value, {&fd, 1});
}

void HostileGuest::send_table() {
  if (random_.one_in(2)) {  // as it was
    try {
      guest_->send_memory_table();
      ++tally_.messages;
    } catch (const std::exception&) {
      is_alive_ = false;
    }
    return;
  }
  // Without one of its regions, or with one replaced.
  const size_t changed = random_.below(guest_->n_regions());
  const bool is_replaced = random_.one_in(2);
  std::array<uint8_t, 8 + 8 * sizeof(MemoryRegion)> payload{};
  std::vector<int> fds;
  for (size_t i = 0; i < guest_->n_regions(); ++i) {
    MemoryRegion r = guest_->region(i);
    int fd = guest_->region_fd(i);
    if (i == changed) {
      if (!is_replaced) continue;
      fd = zoo_.any_memory();
      r.size = kMemoryFile;
      r.file_offset = random_.one_in(8) ? 4096 * random_.below(100) : 0;
      if (random_.one_in(20)) r.size = random_();
      if (random_.one_in(20)) r.guest_address = random_() & ~uint64_t{4095};
    }
    std::memcpy(payload.data() + 8 + fds.size() * sizeof r, &r, sizeof r);
    fds.push_back(fd);
  }
  const auto n = static_cast<uint32_t>(fds.size());
  std::memcpy(payload.data(), &n, sizeof n);
  send(Type::set_mem_table, {payload.data(), 8 + n * sizeof(MemoryRegion)}, fds);
}

void HostileGuest::send_region(Type type) {
  struct {
    uint64_t padding = 0;
    MemoryRegion region;
  } payload;
  if (type == Type::add_mem_reg) {
    added_ = {(uint64_t{1} << 40) + 4096 * random_.below(1 << 20), kMemoryFile,
              (uint64_t{1} << 41) + 4096 * random_.below(1 << 20), 0};
    if (random_.one_in(40)) added_.size = random_();
    payload.region = added_;
    const int fd = random_.one_in(40) ? zoo_.any() : zoo_.any_memory();
    return send_value(type, payload, {&fd, 1});
  }
  if (added_.size == 0) return;
  payload.region = std::exchange(added_, {});
  send_value(type, payload);
}

/// What no front end sends: any request, size, version or number of descriptors; or half a message.
void HostileGuest::send_nonsense() {
  std::vector<uint8_t> bytes(random_.below(300));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random_());
  std::array<int, 9> fds;
  for (int& fd : fds) fd = zoo_.any();
  const std::span<const int> some(fds.data(), random_.one_in(2) ? 0 : random_.below(fds.size()) + 1);
  try {
    if (random_.one_in(2)) {
      const auto type = static_cast<Type>(random_.one_in(4) ? random_() : random_.below(45));
      guest_->send_message(type, bytes, some, static_cast<uint32_t>(random_.one_in(4) ? random_() : 1));
      ++tally_.messages;
    } else if (!bytes.empty()) {
      guest_->send_bytes(bytes, some);
      is_alive_ = false;  // whatever it sent now would be the rest of that
    }
  } catch (const std::exception&) {
    is_alive_ = false;
  }
}

void HostileGuest::message() {
  if (random_.one_in(150)) return send_nonsense();
  if (random_.one_in(400)) {  // somebody else at the same socket
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    second_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)connect(second_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return;
  }
  static constexpr Type kTypes[] = {Type::get_features,
                                    Type::set_features,
                                    Type::set_owner,
                                    Type::set_mem_table,
                                    Type::set_vring_num,
                                    Type::set_vring_addr,
                                    Type::set_vring_base,
                                    Type::get_vring_base,
                                    Type::set_vring_kick,
                                    Type::set_vring_call,
                                    Type::set_vring_call,
                                    Type::set_vring_err,
                                    Type::get_queue_num,
                                    Type::send_rarp,
                                    Type::net_set_mtu,
                                    Type::set_vring_enable,
                                    Type::set_vring_enable,
                                    Type::add_mem_reg,
                                    Type::rem_mem_reg,
                                    Type::get_max_mem_slots,
                                    Type::reset_owner,
                                    Type::get_max_mem_slots,
                                    Type::get_protocol_features,
                                    Type::set_protocol_features};
  const Type type = random_.pick(kTypes);
  switch (type) {
    case Type::set_features:
      return send_value(type, (features_ ^ (random_.one_in(2) ? bit(feature::kMrgRxbuf) : 0)) |
                                  (random_.one_in(30) ? bit(static_cast<unsigned>(random_.below(64))) : 0));
    case Type::set_protocol_features:
      return send_value(type, random_.one_in(30) ? random_() : options_.protocol_features);
    case Type::set_vring_num:
      return send_value(type,
                        VringState{random_index(), random_.one_in(3) ? 1u << random_.below(16) : guest_->ring(0).size});
    case Type::set_vring_base:
    case Type::get_vring_base:
      return send_value(type, VringState{random_index(), static_cast<uint32_t>(random_())});
    case Type::set_vring_enable:
      return send_value(type, VringState{random_index(), random_.one_in(4) ? 0u : 1u});
    case Type::set_vring_addr: {
      const uint32_t index = random_index();
      const NullGuest::Ring& r = guest_->ring(static_cast<uint16_t>(index % guest_->n_rings()));
      VringAddress a{index,
                     0,
                     reinterpret_cast<uint64_t>(r.descriptors),
                     reinterpret_cast<uint64_t>(r.used),
                     reinterpret_cast<uint64_t>(r.available),
                     0};
      if (random_.one_in(8)) a.descriptors += random_.below(4096);
      if (random_.one_in(8)) a.used += random_.below(4096);
      if (random_.one_in(8)) a.available = random_();
      if (random_.one_in(60)) a.flags = 1;
      return send_value(type, a);
    }
    case Type::set_vring_kick:
    case Type::set_vring_call:
    case Type::set_vring_err:
      return send_file(type);
    case Type::set_mem_table:
      return send_table();
    case Type::add_mem_reg:
    case Type::rem_mem_reg:
      return send_region(type);
    case Type::send_rarp:
      return send_value(type, random_());
    case Type::net_set_mtu:
      return send_value(type, uint64_t{random_.one_in(30) ? random_.below(70000) : 1500});
    default:
      return send(type, {});
  }
}

/// Gets rings that were broken, stopped or moved to run again, as a driver would.
void HostileGuest::stop_and_start() {
  try {
    guest_->send_memory_table();
    added_ = {};
    guest_->set_u64(Type::set_features, features_);
    tally_.messages += 2;
    for (uint16_t i = 0; i < guest_->n_rings(); ++i) {
      send_value(Type::get_vring_base, VringState{i, 0});
      guest_->start_ring(i);
      guest_->enable_ring(i, true);
      tally_.messages += 6;
    }
  } catch (const std::exception&) {
    is_alive_ = false;
  }
}

/// Takes memory back while the switch reads it. This side must not touch it either until it is there again.
void HostileGuest::truncate() {
  const size_t i = random_.below(guest_->n_regions());
  const size_t pages = guest_->region(i).size / 4096;
  if (ftruncate(guest_->region_fd(i), static_cast<off_t>(4096 * random_.below(pages))) != 0) return;
  ++tally_.truncations;
  (void)guest_->was_hung_up_on(20);
  is_alive_ = false;
}

}  // namespace weft::vswitch::test
