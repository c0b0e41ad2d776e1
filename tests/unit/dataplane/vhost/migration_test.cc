// SPDX-License-Identifier: BSD-3-Clause
//
// The dirty-page log: what the switch writes to a guest's memory is marked, page by page, in every layout of the rings.
#include "dataplane/vhost/dirty_log.h"
#include "tests/unit/dataplane/vhost/harness.h"

#include <set>

#include <sys/eventfd.h>
#include <sys/mman.h>

namespace weft::dataplane::vhost::test {
namespace {

namespace f = feature;
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
constexpr uint64_t kPage = 4096;

template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

/// Page numbers of guest-physical memory.
using Pages = std::set<uint64_t>;

/// A log as a front end keeps it.
class Log {
 public:
  explicit Log(uint64_t bytes) : size(bytes), fd(memfd_create("log", MFD_CLOEXEC)) {
    mapped_ = (bytes + kPage - 1) / kPage * kPage;
    if (ftruncate(fd.get(), static_cast<off_t>(mapped_)) != 0) throw std::runtime_error("ftruncate");
    bits_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  }
  ~Log() { munmap(bits_, mapped_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// What has been marked since the last call, taken as QEMU does: word by word, whoever else sets bits meanwhile.
  Pages take() {
    Pages pages;
    auto* words = reinterpret_cast<uint64_t*>(bits_);
    for (size_t i = 0; i < mapped_ / 8; ++i) {
      if (words[i] == 0) continue;
      const uint64_t word = __atomic_exchange_n(&words[i], 0, __ATOMIC_SEQ_CST);
      for (unsigned b = 0; b < 64; ++b)
        if ((word & bit(b)) != 0) pages.insert(i * 64 + b);
    }
    return pages;
  }

  uint64_t size;
  UniqueFd fd;

 private:
  size_t mapped_;
  uint8_t* bits_;
};

/// A copy of a guest's memory, to find out which pages differ later.
class Snapshot {
 public:
  explicit Snapshot(NullGuest& guest) : guest_(guest) {
    for (size_t i = 0; i < guest.n_regions(); ++i) {
      const auto bytes = guest.region_bytes(i);
      regions_.emplace_back(bytes.begin(), bytes.end());
    }
  }
  [[nodiscard]] Pages changed() const {
    Pages pages;
    for (size_t i = 0; i < regions_.size(); ++i) {
      const auto now = guest_.region_bytes(i);
      for (size_t at = 0; at < now.size(); at += kPage)
        if (std::memcmp(now.data() + at, regions_[i].data() + at, kPage) != 0)
          pages.insert((guest_.region(i).guest_address + at) / kPage);
    }
    return pages;
  }

 private:
  NullGuest& guest_;
  std::vector<Bytes> regions_;
};

NullGuestOptions migratable(NullGuestOptions options = {}) {
  options.protocol_features |= protocol_feature::kLogShmfd;
  return options;
}
uint64_t without(std::initializer_list<unsigned> bits) {
  uint64_t features = bench::linux_guest_features();
  for (const unsigned b : bits) features &= ~bit(b);
  return features;
}

class VhostMigration : public PortTest {
 protected:
  void start(NullGuestOptions sender, NullGuestOptions receiver) {
    from_ = &add_port("from");
    to_ = &add_port("to");
    sender_features_ = features_of(sender);
    receiver_features_ = features_of(receiver);
    receive_buffer_ = receiver.receive_buffer / receiver.receive_chain;
    guest_ = join("from", migratable(std::move(sender)));
    peer_ = join("to", migratable(std::move(receiver)));
  }
  void start() { start({}, {}); }

  static void set_ring_logged(NullGuest& guest, uint16_t index, bool is_logged) {
    NullGuest::Ring& r = guest.ring(index);
    const auto at = [](const void* p) { return reinterpret_cast<uint64_t>(p); };
    const uint32_t flags = is_logged ? VringAddress::kLog : 0;
    VringAddress address{index, flags, at(r.descriptors), at(r.used), at(r.available), 0};
    if (r.is_packed()) address = {index, flags, at(r.packed), at(r.device_event), at(r.driver_event), 0};
    address.log = guest.guest_address(reinterpret_cast<const void*>(address.used));
    guest.send_message(RequestType::set_vring_addr, bytes_of(address));
  }
  static void set_log(NullGuest& guest, const Log& log) {
    const int fd = log.fd.get();
    guest.send_message(RequestType::set_log_base, bytes_of(LogBase{log.size, 0}), {&fd, 1});
    ASSERT_TRUE(guest.receive_answer()) << "answered, whether or not it asked for that";
  }
  /// As QEMU begins a migration.
  static void start_log(NullGuest& guest, uint64_t features, const Log& log) {
    set_log(guest, log);
    guest.set_u64(RequestType::set_features, features | bit(f::kLogAll));
    for (uint16_t i = 0; i < guest.n_rings(); ++i) set_ring_logged(guest, i, true);
    (void)guest.get_u64(RequestType::get_features);
  }
  static void stop_log(NullGuest& guest, uint64_t features) {
    guest.set_u64(RequestType::set_features, features);
    for (uint16_t i = 0; i < guest.n_rings(); ++i) set_ring_logged(guest, i, false);
    (void)guest.get_u64(RequestType::get_features);
  }
  /// Whatever is written anywhere in a buffer shows.
  void scribble(NullGuest& guest) const {
    for (uint16_t d = 0; d < guest.ring(0).size; ++d) std::memset(guest.send_buffer(0, d), 0xa5, receive_buffer_);
  }
  static uint64_t features_of(const NullGuestOptions& o) {
    return o.features | (o.is_packed ? bit(f::kRingPacked) : 0) | (o.is_in_order ? bit(f::kInOrder) : 0);
  }

  VhostUserPort *from_ = nullptr, *to_ = nullptr;
  uint64_t sender_features_ = 0, receiver_features_ = 0;
  uint32_t receive_buffer_ = 0;  // bytes of each piece
  std::unique_ptr<NullGuest> guest_, peer_;
};

constexpr uint64_t kLogBytes = (uint64_t{6} << 32) / kPage / 8;  // for all that a null guest of four regions has

struct Layout {
  const char* name;
  NullGuestOptions sender, receiver;
  std::vector<uint32_t> pieces;
  bool is_indirect = false;
  bool is_tso = false;
  bool receives_indirect = false;
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

std::vector<Layout> layouts() {
  const auto with = [](uint64_t features, uint32_t buffer, uint16_t chain, uint16_t ring, unsigned regions) {
    NullGuestOptions o;
    o.features = features;
    o.receive_buffer = buffer;
    o.receive_chain = chain;
    o.ring_size = ring;
    o.n_regions = regions;
    return o;
  };
  NullGuestOptions large;
  large.send_buffer = 70000;
  large.ring_size = 16;
  const uint64_t all = bench::linux_guest_features();
  const auto packed = [](NullGuestOptions o, bool is_in_order = false) {
    o.is_packed = true;
    o.is_in_order = is_in_order;
    return o;
  };
  return {
      {"OneBuffer", {}, {}, {}},
      {"OneBufferWithoutEventIndex", {}, with(without({f::kEventIdx}), 2048, 1, 256, 3), {}},
      {"SenderChains", {}, {}, {12, 100, 7}},
      {"SenderIndirect", {}, {}, {12, 100}, true},
      {"Merged", large, with(all, 2048, 1, 256, 3), {}, false, true},
      {"Chained", large, with(without({f::kMrgRxbuf}), 17 * 4096, 17, 64, 4), {}, false, true},
      {"MergedOfChains", large, with(all, 3000, 3, 128, 4), {}, false, true},
      {"Cut", large, with(without({f::kGuestTso4, f::kGuestTso6, f::kGuestEcn}), 2048, 1, 256, 2), {}, false, true},
      {"LegacyHeader", {}, with(without({f::kVersion1, f::kMrgRxbuf}), 2048, 1, 256, 2), {}},
      {"Indirect", {}, with(all, 2048, 1, 64, 2), {}, false, false, true},
      {"Packed", packed({}), packed({}), {}},
      {"PackedInOrder", packed({}, true), packed({}, true), {}},
      {"PackedOfAnySize", packed(with(all, 2048, 1, 77, 3)), packed(with(all, 2048, 1, 77, 3)), {}},
      {"PackedSenderChains", packed({}), packed({}), {12, 100, 7}},
      {"PackedSenderIndirect", packed({}), packed({}), {12, 100}, true},
      {"PackedMerged", packed(large), packed(with(all, 2048, 1, 256, 3)), {}, false, true},
      {"PackedMergedOfChains", packed(large), packed(with(all, 3000, 3, 128, 4)), {}, false, true},
      {"PackedCut",
       packed(large),
       packed(with(without({f::kGuestTso4, f::kGuestTso6, f::kGuestEcn}), 2048, 1, 256, 2)),
       {},
       false,
       true},
  };
}

class VhostMigrationLayouts : public VhostMigration, public ::testing::WithParamInterface<Layout> {};

/// The buffers of the receive ring by way of indirect tables, two pieces each; the tables lie in send buffers.
void make_receive_indirect(NullGuest& guest) {
  NullGuest::Ring& r = guest.ring(0);
  for (uint16_t d = 0; d < r.size; ++d) {
    const VringDescriptor whole = r.descriptors[d];
    auto* table = reinterpret_cast<VringDescriptor*>(guest.send_buffer(1, d));
    table[0] = {whole.address, 100, VringDescriptor::kWrite | VringDescriptor::kNext, 1};
    table[1] = {whole.address + 100, whole.size - 100, VringDescriptor::kWrite, 0};
    r.descriptors[d] = {guest.guest_address(table), 32, VringDescriptor::kIndirect, 0};
  }
}

TEST_P(VhostMigrationLayouts, ExactlyThePagesWrittenAreMarked) {
  const Layout& layout = GetParam();
  start(layout.sender, layout.receiver);
  scribble(*peer_);
  if (layout.receives_indirect) make_receive_indirect(*peer_);
  Log sender_log(kLogBytes), receiver_log(kLogBytes);
  start_log(*guest_, sender_features_, sender_log);
  start_log(*peer_, receiver_features_, receiver_log);
  sender_log.take();  // what the rings' start wrote
  receiver_log.take();

  size_t n_forwarded = 0;
  for (int round = 0; round < 12; ++round) {
    NullGuest::SendOptions options;
    options.pieces = layout.pieces;
    options.is_indirect = layout.is_indirect;
    options.kicks = false;
    if (layout.is_tso) {
      options.header = tso4_header(1448);
      ASSERT_TRUE(guest_->send(make_tcp4(20000 + static_cast<size_t>(round) * 977), options));
    } else {
      for (const size_t size : {60, 700, 1514}) ASSERT_TRUE(guest_->send(make_frame(size), options));
    }
    const Snapshot sender_before(*guest_), receiver_before(*peer_);
    for (const Drop drop : forward(*from_, *to_)) {
      ASSERT_EQ(drop, Drop::none);
      ++n_forwarded;
    }
    EXPECT_EQ(sender_log.take(), sender_before.changed()) << "of the sender, round " << round;
    EXPECT_EQ(receiver_log.take(), receiver_before.changed()) << "of the receiver, round " << round;
    if (!layout.receives_indirect) {
      ASSERT_FALSE(peer_->receive().empty());  // posts the buffers again
      scribble(*peer_);
    }
  }
  EXPECT_GT(n_forwarded, 0u);
}

TEST_P(VhostMigrationLayouts, WishesForKicksAreMarked) {
  start(GetParam().sender, GetParam().receiver);
  Log log(kLogBytes);
  start_log(*peer_, receiver_features_, log);
  log.take();
  for (int i = 0; i < 2; ++i) {
    const Snapshot before(*peer_);
    (void)to_->arm(0);
    const Pages changed = before.changed(), marked = log.take();
    for (const uint64_t page : changed) EXPECT_TRUE(marked.contains(page));
    EXPECT_EQ(marked.size(), 1u) << "the used ring's flags or avail_event";
    const Snapshot armed(*peer_);
    to_->disarm(0);
    const Pages disarmed = log.take();
    for (const uint64_t page : armed.changed()) EXPECT_TRUE(disarmed.contains(page));
  }
}

INSTANTIATE_TEST_SUITE_P(All, VhostMigrationLayouts, ::testing::ValuesIn(layouts()),
                         [](const auto& layout) { return std::string(layout.param.name); });

TEST_F(VhostMigration, NothingIsMarkedBeforeOrAfter) {
  start();
  Log log(kLogBytes);
  set_log(*peer_, log);
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_TRUE(log.take().empty()) << "a log alone asks for nothing";
  start_log(*peer_, receiver_features_, log);
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_FALSE(log.take().empty());
  stop_log(*peer_, receiver_features_);
  log.take();
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_TRUE(log.take().empty());
  EXPECT_EQ(peer_->receive().size(), 3u);
  EXPECT_EQ(told("to").downs, 0) << "the link never went down";
}

TEST_F(VhostMigration, ANewLogReplacesTheOldOneAtOnce) {
  start();
  Log first(kLogBytes), second(kLogBytes);
  start_log(*peer_, receiver_features_, first);
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_FALSE(first.take().empty());
  set_log(*peer_, second);
  first.take();
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_TRUE(first.take().empty());
  EXPECT_FALSE(second.take().empty());
}

TEST_F(VhostMigration, AnswerToANewLogWaitsForTheWorkerInTheOldOne) {
  start();
  Log first(kLogBytes), second(kLogBytes);
  start_log(*guest_, sender_features_, first);
  ASSERT_TRUE(guest_->send(make_frame(1000)));
  rcu_.online(0);
  burst_.clear();
  from_->rx(0, burst_);
  ASSERT_EQ(burst_.size(), 1);
  const int fd = second.fd.get();
  guest_->send_message(RequestType::set_log_base, bytes_of(LogBase{second.size, 0}), {&fd, 1});
  EXPECT_THROW((void)guest_->receive_answer(50), std::runtime_error);
  first.take();
  from_->rx_done(0);
  EXPECT_EQ(first.take(), Pages{guest_->guest_address(guest_->ring(1).used) / kPage}) << "still the old one";
  rcu_.quiescent(0);
  EXPECT_TRUE(guest_->receive_answer());
  rcu_.offline(0);
}

TEST_F(VhostMigration, OnlyTheRingsWhenOnlyTheyAreToBeLogged) {
  start();
  Log log(kLogBytes);
  set_log(*peer_, log);
  set_ring_logged(*peer_, 0, true);
  (void)peer_->get_u64(RequestType::get_features);
  log.take();
  EXPECT_EQ(send(*to_, make_frame(1000)), Drop::none);
  const uint64_t used = peer_->guest_address(peer_->ring(0).used);
  Pages expected;
  for (const uint64_t at : {used, used + 4 + 8}) expected.insert(at / kPage);
  EXPECT_EQ(log.take(), expected);
}

/// After a reboot in the middle of a migration QEMU speaks of the log last.
TEST_F(VhostMigration, RingsThatAreToBeLoggedWaitForTheLog) {
  start();
  Log first(kLogBytes), second(kLogBytes);
  start_log(*peer_, receiver_features_, first);
  for (uint16_t i = 0; i < 2; ++i) peer_->stop_ring(i);
  peer_->reset_rings();
  for (uint16_t i = 0; i < 2; ++i) {
    peer_->start_ring(i);
    set_ring_logged(*peer_, i, true);
  }
  (void)peer_->get_u64(RequestType::get_features);
  EXPECT_FALSE(to_->is_up());
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::tx_not_ready);
  set_log(*peer_, second);
  EXPECT_TRUE(to_->is_up());
  first.take();
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::none);
  EXPECT_TRUE(first.take().empty()) << "nobody looks into it any more";
  EXPECT_FALSE(second.take().empty());
}

TEST_F(VhostMigration, PagesBeyondTheLogAreLeftOut) {
  start();
  Log small(64);  // 512 pages: the guest's memory begins at 4 GiB
  start_log(*peer_, receiver_features_, small);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(send(*to_, make_frame(1000)), Drop::none);
  EXPECT_TRUE(small.take().empty());
  EXPECT_EQ(peer_->receive().size(), 10u);
  EXPECT_TRUE(to_->is_up());
}

TEST_F(VhostMigration, LogsThatMakeNoSenseAreRefused) {
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  Log log(4096);
  struct Case {
    const char* what;
    LogBase base;
    int fd;
  };
  const Case cases[] = {
      {"empty", {0, 0}, log.fd.get()},
      {"larger than its file", {4097, 0}, log.fd.get()},
      {"offset beyond its file", {4096, 1}, log.fd.get()},
      {"offset that wraps", {4096, ~uint64_t{0} - 10}, log.fd.get()},
      {"no file", {4096, 0}, event.get()},
  };
  add_port("to");
  int errors = 0;
  for (const Case& c : cases) {
    auto guest = join("to", migratable());
    EXPECT_EQ(guest->acknowledged(RequestType::set_log_base, bytes_of(c.base), {&c.fd, 1}), 1u) << c.what;
    EXPECT_TRUE(guest->was_hung_up_on()) << c.what;
    ++errors;
    EXPECT_TRUE(eventually([&] { return told("to").errors == errors && !ports_["to"]->is_connected(); })) << c.what;
  }
  auto guest = join("to");  // LOG_SHMFD not negotiated
  const int fd = log.fd.get();
  EXPECT_EQ(guest->acknowledged(RequestType::set_log_base, bytes_of(LogBase{4096, 0}), {&fd, 1}), 1u);
}

TEST_F(VhostMigration, ALogThatVanishesBreaksItsPortOnly) {
  start();
  Log log(kLogBytes);
  start_log(*peer_, receiver_features_, log);
  ASSERT_EQ(ftruncate(log.fd.get(), 0), 0);
  (void)send(*to_, make_frame(60));  // its marks end in nothing
  EXPECT_EQ(send(*to_, make_frame(60)), Drop::port_memory_gone);
  EXPECT_TRUE(peer_->was_hung_up_on());
  EXPECT_TRUE(eventually([&] { return told("to").errors == 1; }));
  ASSERT_TRUE(guest_->send(make_frame(60)));
  EXPECT_EQ(take(*from_).size(), 1u);
}

/// The front end takes bits out while workers set others: none is lost, and a page found marked has what was written.
TEST_F(VhostMigration, NoMarkIsLostToAFrontEndThatTakesThemMeanwhile) {
  start();
  Log log(kLogBytes);
  start_log(*peer_, receiver_features_, log);
  scribble(*peer_);
  const Snapshot before(*peer_);
  std::atomic<bool> stop{false};
  Pages seen;
  std::thread front_end([&] {
    while (!stop) seen.merge(log.take());
  });
  for (int i = 0; i < 250; ++i) EXPECT_EQ(send(*to_, make_frame(1500, static_cast<uint8_t>(i))), Drop::none);
  stop = true;
  front_end.join();
  seen.merge(log.take());
  for (const uint64_t page : before.changed()) EXPECT_TRUE(seen.contains(page)) << page;
}

TEST(VhostDirtyLog, BitsAreThoseOfThePages) {
  std::atomic<bool> gone{false};
  const Log file(kPage);
  const auto log = DirtyLog::map(file.fd, 16, 8, gone);
  ASSERT_TRUE(log);
  EXPECT_EQ((*log)->n_pages(), 128u);
  (*log)->mark(0, 0);
  (*log)->mark(3 * kPage + 4095, 1);
  (*log)->mark(9 * kPage - 1, 2);
  (*log)->mark(127 * kPage, kPage);
  EXPECT_FALSE((*log)->has_missed());
  uint8_t bytes[40] = {};
  ASSERT_EQ(pread(file.fd.get(), bytes, sizeof bytes, 0), static_cast<ssize_t>(sizeof bytes));
  uint8_t expected[40] = {};
  expected[8] = 1u << 3;
  expected[9] = 1u << 0 | 1u << 1;  // pages 8 and 9
  expected[23] = 1u << 7;
  EXPECT_EQ(std::memcmp(bytes, expected, sizeof bytes), 0);
  (*log)->mark(127 * kPage, kPage + 1);
  EXPECT_TRUE((*log)->has_missed());
  (*log)->mark(~uint64_t{0}, ~uint64_t{0});
  ASSERT_EQ(pread(file.fd.get(), bytes, sizeof bytes, 0), static_cast<ssize_t>(sizeof bytes));
  EXPECT_EQ(std::memcmp(bytes, expected, sizeof bytes), 0) << "nothing behind the log is touched";
}

}  // namespace
}  // namespace weft::dataplane::vhost::test
