// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/device.h"

#include "dataplane/vhost/features.h"
#include "dataplane/vhost/ring_log.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace weft::dataplane::vhost {
namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

/// Rings are odd when the guest sends on them.
constexpr bool is_send_ring(uint16_t index) { return (index & 1) != 0; }

tl::unexpected<std::string> fail(std::string text) { return tl::unexpected(std::move(text)); }

}  // namespace

const uint64_t kOfferedFeatures =
    bit(feature::kCsum) | bit(feature::kGuestCsum) | bit(feature::kMtu) | bit(feature::kGuestTso4) |
    bit(feature::kGuestTso6) | bit(feature::kGuestEcn) | bit(feature::kHostTso4) | bit(feature::kHostTso6) |
    bit(feature::kHostEcn) | bit(feature::kMrgRxbuf) | bit(feature::kStatus) | bit(feature::kCtrlVq) |
    bit(feature::kGuestAnnounce) | bit(feature::kMq) | bit(feature::kAnyLayout) | bit(feature::kIndirectDesc) |
    bit(feature::kEventIdx) | bit(feature::kVersion1) | bit(feature::kProtocolFeatures) | bit(feature::kLogAll) |
    bit(feature::kRingPacked) | bit(feature::kInOrder);

const uint64_t kOfferedProtocolFeatures = protocol_feature::kMq | protocol_feature::kLogShmfd |
                                          protocol_feature::kRarp | protocol_feature::kReplyAck |
                                          protocol_feature::kNetMtu | protocol_feature::kConfigureMemSlots;

Device::Device(uint16_t n_pairs, uint16_t mtu, int trouble_fd, RingHost& host, PackedRecords& records)
    : n_pairs_(n_pairs),
      mtu_(mtu),
      trouble_fd_(trouble_fd),
      host_(host),
      records_(records),
      memory_(std::make_shared<GuestMemory>()) {}

Device::~Device() = default;

Device::Ring& Device::ring(uint32_t index) {
  if (rings_.size() <= index) rings_.resize(index + 1);
  if (!rings_[index]) rings_[index] = std::make_unique<Ring>();
  return *rings_[index];
}

RingSet Device::touched(const Request& request) const {
  const RingSet held = running_ | unsettled_;
  const auto only = [&](uint32_t index) {
    RingSet set;
    if (index < kMaxRings) set[index] = held[index];
    return set;
  };
  switch (request.type) {
    case RequestType::set_features:
      if (has_features_ && std::get<uint64_t>(request.payload) == features_) return {};
      return held;
    case RequestType::add_mem_reg:
      return memory_->has(std::get<MemoryRegion>(request.payload)) ? RingSet{} : held;
    case RequestType::rem_mem_reg:
      return find_repeated(std::get<MemoryRegion>(request.payload)) != repeated_.end() ? RingSet{} : held;
    case RequestType::set_mem_table:
    case RequestType::set_log_base:
    case RequestType::reset_owner:
      return held;
    case RequestType::set_vring_enable: {
      const auto& state = std::get<VringState>(request.payload);
      const bool changes =
          state.index < rings_.size() && rings_[state.index] && rings_[state.index]->is_enabled != (state.value != 0);
      return changes ? only(state.index) : RingSet{};
    }
    case RequestType::set_vring_num:
    case RequestType::set_vring_base:
    case RequestType::get_vring_base:
      return only(std::get<VringState>(request.payload).index);
    case RequestType::set_vring_addr:
      return only(std::get<VringAddress>(request.payload).index);
    case RequestType::set_vring_kick:
      return only(std::get<VringFile>(request.payload).index);
    default:
      return {};
  }
}

void Device::stop(const RingSet& rings) noexcept {
  // Send rings, the odd ones, first: what is not taken in need not be dropped on its way back.
  for (size_t n = rings_.size(); n != 0; --n) {
    const auto i = static_cast<uint16_t>(n - 1);
    if (!rings[i] || !running_[i]) continue;
    host_.unpublish(i, rings_[i]->kick.get());
    running_.reset(i);
    unsettled_.set(i);
  }
}

void Device::settle(const RingSet& rings) noexcept {
  const RingSet due = unsettled_ & rings;
  for (uint16_t i = 0; i < rings_.size(); ++i) {
    if (!due[i]) continue;
    const RingView& view = *rings_[i]->view;
    rings_[i]->base = view.last_available;
    rings_[i]->position = view.published;
    rings_[i]->view.reset();
  }
  unsettled_ &= ~due;
}

RingSet Device::take_broken() noexcept {
  RingSet broken;
  for (uint16_t i = 0; i < rings_.size(); ++i) {
    if (!running_[i] || !rings_[i]->view->is_broken.load(std::memory_order_relaxed)) continue;
    broken.set(i);
    rings_[i]->is_broken = true;
    if (rings_[i]->error.is_open()) signal_eventfd(rings_[i]->error.get());
  }
  stop(broken);
  return broken;
}

bool Device::is_up() const noexcept {
  for (uint16_t pair = 0; pair < n_pairs_; ++pair) {
    if (running_[2 * pair] && running_[2 * pair + 1]) return true;
  }
  return false;
}

Device::Done Device::apply(const Request& request, std::vector<UniqueFd>& fds) {
  using Kind = Answer::Kind;
  switch (request.type) {
    case RequestType::get_features:
      return Answer{Kind::u64, kOfferedFeatures, {}, {}};
    case RequestType::get_protocol_features:
      return Answer{Kind::u64, kOfferedProtocolFeatures, {}, {}};
    case RequestType::get_queue_num:
      return Answer{Kind::u64, n_pairs_, {}, {}};
    case RequestType::get_max_mem_slots:
      return Answer{Kind::u64, kMaxRegions, {}, {}};
    case RequestType::set_owner:
      return Answer{};
    case RequestType::set_features:
      return set_features(std::get<uint64_t>(request.payload));
    case RequestType::set_protocol_features: {
      const uint64_t features = std::get<uint64_t>(request.payload);
      if ((features & ~kOfferedProtocolFeatures) != 0)
        return fail(fmt::format("protocol features {:#x} were not offered", features & ~kOfferedProtocolFeatures));
      protocol_features_ = features;
      return Answer{};
    }
    case RequestType::reset_owner:
      // Obsolete; the specification recommends to treat it as disabling all rings.
      for (auto& r : rings_) {
        if (r) r->is_enabled = r->has_kick = r->is_broken = false;
      }
      return Answer{};
    case RequestType::set_mem_table:
      repeated_.clear();
      return set_memory(GuestMemory::map(std::get<MemoryTable>(request.payload).all(), fds, memory_gone_));
    case RequestType::add_mem_reg:
      return add_region(std::get<MemoryRegion>(request.payload), fds.at(0));
    case RequestType::rem_mem_reg:
      return remove_region(std::get<MemoryRegion>(request.payload));
    case RequestType::set_vring_num:
    case RequestType::set_vring_base:
    case RequestType::set_vring_enable:
      return set_vring(request.type, std::get<VringState>(request.payload));
    case RequestType::get_vring_base:
      return get_vring_base(std::get<VringState>(request.payload).index);
    case RequestType::set_vring_addr: {
      const auto& address = std::get<VringAddress>(request.payload);
      ring(address.index).address = address;
      drop_log_if_unused();
      return Answer{};
    }
    case RequestType::set_vring_kick:
    case RequestType::set_vring_call:
    case RequestType::set_vring_err:
      return set_file(request.type, std::get<VringFile>(request.payload), fds);
    case RequestType::send_rarp:
      announced_ = std::get<wire::MacAddress>(request.payload);
      return Answer{};
    case RequestType::net_set_mtu:
      return set_mtu(std::get<uint64_t>(request.payload));
    case RequestType::set_log_base:
      return set_log(std::get<LogBase>(request.payload), fds.at(0));
    case RequestType::set_log_fd:
      break;  // the decoder refuses it
  }
  return fail("not supported");
}

Device::Done Device::set_features(uint64_t features) {
  if ((features & ~kOfferedFeatures) != 0)
    return fail(fmt::format("features {:#x} were not offered", features & ~kOfferedFeatures));
  features_ = features;
  has_features_ = true;
  drop_log_if_unused();
  return Answer{};
}

Device::Done Device::set_file(RequestType type, const VringFile& file, std::vector<UniqueFd>& fds) {
  UniqueFd fd;
  if (file.has_fd) {
    fd = std::move(fds.at(0));
    // Anything else could block a worker that writes to it, or confuse one that waits for it.
    if (!is_eventfd(fd.get()) || !set_nonblocking(fd.get())) return fail("its descriptor is no eventfd");
  }
  Ring& r = ring(file.index);
  switch (type) {
    case RequestType::set_vring_kick:
      r.kick = std::move(fd);
      r.has_kick = true;
      break;
    case RequestType::set_vring_call:
      std::swap(r.call, fd);
      if (!r.view) break;
      r.view->call_fd.store(r.call.get(), std::memory_order_relaxed);
      retired_.push_back(std::move(fd));  // a worker may be about to write to it
      // What was announced to the old one may have been lost.
      if (r.call.is_open()) signal_eventfd(r.call.get());
      break;
    default:
      r.error = std::move(fd);
      break;
  }
  return Answer{};
}

Device::Done Device::set_vring(RequestType type, const VringState& state) {
  switch (type) {
    case RequestType::set_vring_num:
      if (state.value == 0 || state.value > kMaxRingSize || (!is_packed() && !std::has_single_bit(state.value)))
        return fail(fmt::format("ring {} cannot have {} entries: not {} up to {}", state.index, state.value,
                                is_packed() ? "a number" : "a power of two", kMaxRingSize));
      ring(state.index).size = state.value;
      break;
    case RequestType::set_vring_base: {
      Ring& r = ring(state.index);
      // Of a packed ring the low half is where it takes buffers, the high one where it gives them back. Both are one
      // whenever a ring is stopped, and not every front end fills in the high one.
      r.told_base = r.base = static_cast<uint16_t>(state.value);
      r.position = PackedPosition::from_bits(r.told_base);
      r.is_base_told = true;
      r.is_broken = false;
      break;
    }
    default:
      ring(state.index).is_enabled = state.value != 0;
      break;
  }
  return Answer{};
}

Device::Done Device::set_memory(GuestMemory::Result memory) {
  if (!memory) return fail(memory.error());
  memory_ = std::move(*memory);
  return Answer{};
}

std::vector<MemoryRegion>::const_iterator Device::find_repeated(const MemoryRegion& region) const {
  return std::ranges::find_if(repeated_, [&](const MemoryRegion& r) { return GuestMemory::is_same(r, region); });
}

/// QEMU adds and removes every region once for each queue pair it starts: it is there from the first time on, and until
/// the last.
Device::Done Device::add_region(const MemoryRegion& region, const UniqueFd& fd) {
  if (!memory_->has(region)) return set_memory(memory_->with(region, fd, memory_gone_));
  if (repeated_.size() == kMaxRegions * n_pairs_) return fail("added more often than there are queue pairs");
  repeated_.push_back(region);
  return Answer{};
}

Device::Done Device::remove_region(const MemoryRegion& region) {
  const auto repeated = find_repeated(region);
  if (repeated == repeated_.end()) return set_memory(memory_->without(region));
  repeated_.erase(repeated);
  return Answer{};
}

/// Also ends the ring: it starts again with the next kick descriptor.
Device::Done Device::get_vring_base(uint32_t index) {
  Ring& r = ring(index);
  r.has_kick = false;
  r.is_broken = false;
  r.kick.reset();
  // A device that was stopped altogether gets a new log if it starts again before the migration is over, and nobody
  // looks into the old one.
  if ((running_ | unsettled_).none()) log_.reset();
  if (!is_packed()) return Answer{Answer::Kind::vring_state, 0, {index, r.base}, {}};
  // From here on the front end knows.
  if (index < 2 * n_pairs_) records_[static_cast<uint16_t>(index)].size = 0;
  const uint16_t bits = r.position.bits();
  return Answer{Answer::Kind::vring_state, 0, {index, bits | uint32_t{bits} << 16}, {}};
}

/// Answered in any case: the front end waits with its own use of the log until the old one is out of ours.
Device::Done Device::set_log(const LogBase& base, const UniqueFd& fd) {
  if (!has_protocol_feature(protocol_feature::kLogShmfd)) return fail("LOG_SHMFD was not negotiated");
  auto log = DirtyLog::map(fd, base.size, base.offset, memory_gone_);
  if (!log) return fail(log.error());
  log_ = std::move(*log);
  has_told_missed_ = false;
  return Answer{Answer::Kind::u64, 0, {}, {}};
}

/// What is written to this ring's guest, or only to the ring, is to be marked.
bool Device::is_logged(const Ring& r) const noexcept {
  return (features_ & bit(feature::kLogAll)) != 0 || (r.address && (r.address->flags & VringAddress::kLog) != 0);
}

/// After the migration, or when it was called off. No running ring has the log then: each was restarted when its word
/// to log was taken back.
void Device::drop_log_if_unused() noexcept {
  if (!log_ || (features_ & bit(feature::kLogAll)) != 0 || unsettled_.any()) return;
  for (const auto& r : rings_) {
    if (r && is_logged(*r)) return;
  }
  log_.reset();
}

bool Device::take_missed() noexcept {
  if (!log_ || !log_->has_missed()) return false;
  return !std::exchange(has_told_missed_, true);
}

/// A guest that sends larger packets than its network carries would lose them one by one: its front end is told, as the
/// specification wants it. One that takes smaller ones than the others send is only worth a word.
Device::Done Device::set_mtu(uint64_t mtu) const {
  if (mtu < 68 || mtu > 65535) return fail(fmt::format("MTU {} is none", mtu));
  Answer answer;
  if (mtu_ == 0 || mtu == mtu_) return answer;
  answer.warning = fmt::format("the front end gives its guest an MTU of {}, the network's is {}", mtu, mtu_);
  if (mtu > mtu_) {
    answer.kind = Answer::Kind::refusal;
    answer.warning += ": refused";
  }
  return answer;
}

bool Device::is_packed() const noexcept { return (features_ & bit(feature::kRingPacked)) != 0; }

bool Device::may_run(uint16_t index) const noexcept {
  const bool has_mq = has_protocol_feature(protocol_feature::kMq);
  if (index >= 2 * n_pairs_ || (index >= 2 && !has_mq)) return false;
  if (!has_features_ || rings_[index] == nullptr) return false;
  const Ring& r = *rings_[index];
  // Without the protocol feature bit there is no SET_VRING_ENABLE, and rings are born enabled.
  const bool is_enabled = r.is_enabled || (features_ & bit(feature::kProtocolFeatures)) == 0;
  // Writes that are to be logged wait for the log, which QEMU sends last.
  if (is_logged(r) && !log_) return false;
  return is_enabled && r.has_kick && r.size != 0 && r.address && !r.is_broken && !r.view && !memory_is_gone();
}

std::string Device::start_ready() {
  std::string wrong;
  for (uint16_t i = 0; i < rings_.size(); ++i) {
    if (!may_run(i)) continue;
    if (std::string why = start(i); !why.empty())
      wrong += fmt::format("{}ring {}: {}", wrong.empty() ? "" : "; ", i, why);
  }
  return wrong;
}

RingFeatures Device::ring_features(uint16_t index) const noexcept {
  const auto has = [&](unsigned n) { return (features_ & bit(n)) != 0; };
  RingFeatures f;
  f.event_idx = has(feature::kEventIdx);
  f.mergeable = has(feature::kMrgRxbuf);
  f.in_order = has(feature::kInOrder);
  f.header_size = f.mergeable || has(feature::kVersion1) || has(feature::kRingPacked) ? 12 : 10;
  const bool sends = is_send_ring(index);
  // The segmentation bits depend on the checksum bit (virtio 1.2 §5.1.3.1).
  OffloadSet& o = f.offloads;
  o.checksum = has(sends ? feature::kCsum : feature::kGuestCsum);
  o.tso4 = o.checksum && has(sends ? feature::kHostTso4 : feature::kGuestTso4);
  o.tso6 = o.checksum && has(sends ? feature::kHostTso6 : feature::kGuestTso6);
  o.ecn = has(sends ? feature::kHostEcn : feature::kGuestEcn);
  return f;
}

/// Where an address of the front end is here, if it is aligned and all of it guest memory; else nullptr.
uint8_t* Device::at(uint64_t address, size_t size, size_t alignment) const {
  uint8_t* p = memory_->from_user(address, size);
  return reinterpret_cast<uintptr_t>(p) % alignment == 0 ? p : nullptr;
}

/// The addresses of a split ring, and where it stands.
std::string Device::place_split(const Ring& r, RingView& view) const {
  if (!std::has_single_bit(r.size)) return "its size is no power of two";
  // Alignments: virtio 1.2 §2.7.
  uint8_t* descriptors = at(r.address->descriptors, sizeof(VringDescriptor) * r.size, 16);
  uint8_t* available = at(r.address->available, vring_available_bytes(r.size), 2);
  uint8_t* used = at(r.address->used, vring_used_bytes(r.size), 4);
  if (descriptors == nullptr || available == nullptr || used == nullptr)
    return "its addresses are misaligned or outside the guest's memory";
  view.descriptors = reinterpret_cast<const VringDescriptor*>(descriptors);
  view.available = reinterpret_cast<uint16_t*>(available);
  view.used = used;
  // Nothing is ever in flight while a ring is stopped, so both positions are one; and where the two disagree
  // (a back end before us died) the guest knows only what was put into the used ring.
  const uint16_t position = __atomic_load_n(reinterpret_cast<const uint16_t*>(used + 2), __ATOMIC_ACQUIRE);
  view.last_available = view.seen_available = view.used_idx = view.published_idx = position;
  // Not armed: the worker that finds the ring polls. Used buffers of the guest's receive ring never need a
  // kick.
  __atomic_store_n(reinterpret_cast<uint16_t*>(used), view.features.event_idx ? uint16_t{0} : kUsedNoNotify,
                   __ATOMIC_RELAXED);
  return {};
}

/// The same of a packed one.
std::string Device::place_packed(Ring& r, RingView& view, PackedRecord& record) const {
  // Alignments: virtio 1.2 §2.8.10.
  uint8_t* slots = at(r.address->descriptors, sizeof(PackedDescriptor) * r.size, 16);
  uint8_t* driver_event = at(r.address->available, sizeof(PackedEvent), 4);
  uint8_t* device_event = at(r.address->used, sizeof(PackedEvent), 4);
  if (slots == nullptr || driver_event == nullptr || device_event == nullptr)
    return "its addresses are misaligned or outside the guest's memory";
  if (r.position.index >= r.size) return "its base lies beyond its end";
  view.packed = {reinterpret_cast<PackedDescriptor*>(slots), r.size, reinterpret_cast<PackedEvent*>(driver_event),
                 reinterpret_cast<PackedEvent*>(device_event)};
  view.record = &record;
  // A front end whose back end died names the base of the start before; the record knows how far that one came.
  if (r.is_base_told)
    r.position = resume(record, view.packed, r.address->descriptors, r.told_base).value_or(r.position);
  r.is_base_told = false;
  view.next = view.published = r.position;
  begin(record, view.packed, r.address->descriptors, r.told_base, r.position);  // and not armed
  return {};
}

std::string Device::start(uint16_t index) {
  Ring& r = *rings_[index];
  auto view = std::make_unique<RingView>(*memory_, memory_gone_);
  view->size = r.size;
  view->features = ring_features(index);
  view->call_fd = r.call.get();
  view->has_kick = r.kick.is_open();
  view->trouble_fd = trouble_fd_;
  if (is_logged(r)) {
    view->log = {log_.get(), (features_ & bit(feature::kLogAll)) != 0, (r.address->flags & VringAddress::kLog) != 0,
                 r.address->log};
  }
  if (std::string wrong = is_packed() ? place_packed(r, *view, records_[index]) : place_split(r, *view); !wrong.empty())
    return wrong;
  if (view->log.pages != nullptr) log_start(*view);

  r.view = std::move(view);
  if (!host_.publish(index, *r.view, r.kick.get())) {
    r.view.reset();
    return "its kick descriptor cannot be waited for";
  }
  running_.set(index);
  // Whatever was used before a stop, under an earlier call descriptor, may not have been announced.
  if (r.call.is_open()) signal_eventfd(r.call.get());
  return {};
}

}  // namespace weft::dataplane::vhost
