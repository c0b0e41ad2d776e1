// SPDX-License-Identifier: BSD-3-Clause
//
// Nobody delays others. Two guests play ping-pong while a neighbour on the same worker sends as fast as it can to
// another: once as well-behaved guests do, in full Ethernet frames that are taken at once, and once as badly as can be
// thought of. The 99th percentile of the round trip may not be twice as long because of that.
//
// Everything but the switch runs in this one thread, the neighbours' part a few stores a look: so the two CPUs do not
// decide who is measured. Slices of both kinds alternate, and the machine's noise falls on both; medians over the
// slices are compared, and a case has three tries.
#include "bench/ring_talk.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"
#include "tests/unit/switch/guests/guest_lab.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include <sys/eventfd.h>
#include <time.h>

namespace weft::vswitch::test {
namespace {

using dataplane::monotonic_ns;
using dataplane::VirtioNetHeader;
using dataplane::VirtioNetHeaderV1;
using dataplane::vhost::VringDescriptor;
namespace feature = dataplane::vhost::feature;

constexpr NetworkId kPair = 0, kNeighbours = 1;
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

/// A guest that sends to another, and that one; step() is called as often as the ping-pong looks for its frame.
class Neighbours {
 public:
  Neighbours(GuestLab& lab, PortId from, PortId to, const NullGuestOptions& sender, const NullGuestOptions& receiver)
      : from_id(from), to_id(to), sender_(lab.join(from, sender)), receiver_(lab.join(to, receiver)) {
    // Known from now on.
    if (!receiver_->send(numbered_frame(from, to, 0, 60)))
      throw std::runtime_error("neighbours: no room for the first frame");
    if (!wait_until([&] { return sender_->ring(0).used_idx() != 0; }))
      throw std::runtime_error("neighbours: the first frame did not arrive");
    sender_->receive();
  }
  virtual ~Neighbours() = default;
  virtual void step() {
    sender_->poll_send(kBurst);
    receiver_->poll_receive(kBurst);
  }
  NullGuest& sender() { return *sender_; }
  NullGuest& receiver() { return *receiver_; }

  const PortId from_id, to_id;

 protected:
  static constexpr uint16_t kBurst = 256;
  std::unique_ptr<NullGuest> sender_, receiver_;
};

NullGuestOptions polling(uint32_t buffer = 2048) {
  NullGuestOptions o;
  o.can_kick = o.wants_calls = false;
  o.send_buffer = o.receive_buffer = buffer;
  return o;
}

/// TCP over IPv4 whose checksums and cutting are left to the switch, with `payload` bytes.
Bytes tso_frame(PortId to, PortId from, size_t payload) {
  Bytes frame = numbered_frame(to, from, 0, 54 + payload);
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(frame.data());
  eth->type = wire::be16(wire::ethertype::kIpv4);
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(eth + 1);
  *ip = {};
  ip->version_ihl = 0x45;
  ip->total_length = wire::be16(static_cast<uint16_t>(40 + payload));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kTcp;
  ip->source = wire::Ipv4Address(192, 0, 2, 1);
  ip->destination = wire::Ipv4Address(192, 0, 2, 2);
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* tcp = reinterpret_cast<wire::TcpHeader*>(ip + 1);
  *tcp = {};
  tcp->data_offset = 0x50;
  tcp->flags = wire::TcpHeader::kAck;
  return frame;
}

/// Every send descriptor becomes a chain in an indirect table: the same `piece` bytes of one buffer again and again.
/// `bytes` is what the buffer of descriptor 0 holds: virtio-net header and frame, and the pieces go through it in
/// order.
void send_in_pieces(NullGuest& guest, const Bytes& bytes, uint32_t piece) {
  NullGuest::Ring& r = guest.ring(1);
  uint8_t* frame = guest.send_buffer(1, 0);
  auto* table = reinterpret_cast<VringDescriptor*>(guest.send_buffer(1, 1));
  std::memcpy(frame, bytes.data(), bytes.size());
  const size_t n = (bytes.size() + piece - 1) / piece;
  for (size_t i = 0; i < n; ++i) {
    const auto size = static_cast<uint32_t>(std::min<size_t>(piece, bytes.size() - i * piece));
    const bool is_last = i + 1 == n;
    table[i] = {guest.guest_address(frame + i * piece), size, is_last ? uint16_t{0} : VringDescriptor::kNext,
                static_cast<uint16_t>(is_last ? 0 : i + 1)};
  }
  for (uint16_t d = 0; d < r.size; ++d)
    r.descriptors[d] = {guest.guest_address(table), static_cast<uint32_t>(n * sizeof(VringDescriptor)),
                        VringDescriptor::kIndirect, 0};
}

/// Header and frame as they lie in a send buffer.
Bytes with_header(const Bytes& frame, const VirtioNetHeaderV1& header = {}) {
  Bytes bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), frame.begin(), frame.end());
  return bytes;
}

VirtioNetHeaderV1 tso_header(uint16_t gso_size) {
  VirtioNetHeaderV1 h{};
  h.flags = VirtioNetHeader::kNeedsCsum;
  h.csum_start = 34;
  h.csum_offset = 16;
  h.gso_type = VirtioNetHeader::kGsoTcp4;
  h.gso_size = gso_size;
  h.hdr_len = 54;
  return h;
}

/// Full Ethernet frames to one who takes them.
struct WellBehaved : Neighbours {
  WellBehaved(GuestLab& lab, PortId from, PortId to, const NullGuestOptions& s = polling(),
              const NullGuestOptions& r = polling())
      : Neighbours(lab, from, to, s, r) {
    sender().lay_out(std::vector<Bytes>{numbered_frame(to, from, 1, 1514)});
  }
};

struct NeverRefills : WellBehaved {
  using WellBehaved::WellBehaved;
  void step() override { sender().poll_send(kBurst); }
};

/// Kicks both its rings whenever it can. The well-behaved one of this case writes to eventfds of its own as often.
struct Kicks : WellBehaved {
  Kicks(GuestLab& lab, PortId from, PortId to, bool at_the_switch)
      : WellBehaved(lab, from, to,
                    [] {
                      NullGuestOptions o = polling();
                      o.can_kick = true;
                      return o;
                    }()),
        fd_(eventfd(0, EFD_NONBLOCK)),
        target_(at_the_switch ? sender().ring(1).kick.get() : fd_.get()) {}
  void step() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(target_, &one, sizeof one);
    WellBehaved::step();
  }
  dataplane::UniqueFd fd_;
  int target_;
};

/// Kicks, and sends nothing at all.
struct OnlyKicks : Kicks {
  using Kicks::Kicks;
  void step() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(target_, &one, sizeof one);
  }
};

/// Wants to be interrupted for every buffer, and never looks: its eventfd is full.
struct NeverReadsCalls : WellBehaved {
  NeverReadsCalls(GuestLab& lab, PortId from, PortId to, bool is_full)
      : WellBehaved(lab, from, to, polling(), [] {
          NullGuestOptions o = polling();
          o.wants_calls = true;
          o.features &= ~bit(feature::kEventIdx);
          return o;
        }()) {
    const uint64_t almost = 0xfffffffffffffffe;
    if (!is_full) return;
    (void)receiver().take_calls(0);
    [[maybe_unused]] const ssize_t n = write(receiver().ring(0).call.get(), &almost, sizeof almost);
  }
};

/// 256 pieces a frame.
struct WorstChains : WellBehaved {
  WorstChains(GuestLab& lab, PortId from, PortId to) : WellBehaved(lab, from, to, polling(8192)) {
    send_in_pieces(sender(), with_header(numbered_frame(to, from, 1, 1514)), 6);
  }
};

/// Chains that are never a frame: as many pieces as are looked at.
struct EndlessChains : WellBehaved {
  EndlessChains(GuestLab& lab, PortId from, PortId to) : WellBehaved(lab, from, to) {
    NullGuest::Ring& r = sender().ring(1);
    for (uint16_t d = 0; d < r.size; ++d) {
      r.descriptors[d].size = 13;
      r.descriptors[d].flags = VringDescriptor::kNext;
      r.descriptors[d].next = static_cast<uint16_t>((d + 1) % r.size);
    }
  }
};

/// TSO frames to one who takes them whole, or who does not and gets them cut.
struct Tso : WellBehaved {
  Tso(GuestLab& lab, PortId from, PortId to, size_t payload, uint16_t gso_size, bool is_cut)
      : WellBehaved(lab, from, to, polling(70'000), [&] {
          NullGuestOptions o = polling(is_cut ? 2048 : 4096);
          if (is_cut) o.features &= ~(bit(feature::kGuestTso4) | bit(feature::kGuestTso6));
          o.ring_size = 1024;
          return o;
        }()) {
    sender().lay_out(std::vector<Bytes>{tso_frame(to, from, payload)});
    NullGuest::Ring& r = sender().ring(1);
    const VirtioNetHeaderV1 h = tso_header(gso_size);
    for (uint16_t d = 0; d < r.size; ++d) std::memcpy(sender().send_buffer(1, d), &h, sizeof h);
  }
  void step() override {
    sender().poll_send(kBurst);
    receiver().poll_receive(1024);
  }
};

/// Receive buffers in pieces of a few bytes.
struct CrumbledBuffers : WellBehaved {
  CrumbledBuffers(GuestLab& lab, PortId from, PortId to, uint32_t piece)
      : WellBehaved(lab, from, to, polling(), polling(16'384)) {
    NullGuest::Ring& r = receiver().ring(0);
    auto* table = reinterpret_cast<VringDescriptor*>(receiver().send_buffer(0, 0));
    uint8_t* into = receiver().send_buffer(0, 1);
    const uint16_t n = 512;
    for (uint16_t i = 0; i < n; ++i)
      table[i] = {receiver().guest_address(into + i * piece), piece,
                  static_cast<uint16_t>(VringDescriptor::kWrite | (i + 1 < n ? VringDescriptor::kNext : 0)),
                  static_cast<uint16_t>(i + 1 < n ? i + 1 : 0)};
    for (uint16_t d = 0; d < r.size; ++d)
      r.descriptors[d] = {receiver().guest_address(table), n * sizeof(VringDescriptor), VringDescriptor::kIndirect, 0};
  }
};

using Make = std::function<std::unique_ptr<Neighbours>(GuestLab&, PortId, PortId)>;
template <class N, class... Arguments>
Make make(Arguments... arguments) {
  return [=](GuestLab& lab, PortId from, PortId to) { return std::make_unique<N>(lab, from, to, arguments...); };
}

/// Twice is the promise for guests that do no work of the rings' own. Those that are full of it stay near twice on a
/// quiet machine; their limits leave room for a busy one, and are far below what they were before bursts were bounded.
struct Case {
  const char* name;
  Make offender;
  Make well_behaved = make<WellBehaved>();
  double limit = 2;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Delay : public testing::TestWithParam<Case> {
 protected:
  static constexpr size_t kSlices = 9;
  static constexpr size_t kFewest = 100, kUsual = kIsSanitized ? 200 : 1000;  // round trips of a slice
  static constexpr uint64_t kMostNs = 200'000'000;

  void SetUp() override {
    GuestLab::Options options;
    if (const auto cpus = two_cpus()) {
      options.worker_cpu = cpus->first;
      pin_this_thread(cpus->second);
    }
    lab_ = std::make_unique<GuestLab>(options);
    for (PortId& id : pair_ids_) id = lab_->add_port(kPair);
    for (PortId& id : quiet_ids_) id = lab_->add_port(kNeighbours);
    for (PortId& id : bad_ids_) id = lab_->add_port(kNeighbours + 1);
    lab_->publish();
    lab_->start();
    for (size_t i = 0; i < 2; ++i) {
      pair_[i] = lab_->join(pair_ids_[i], polling());
      pair_[i]->lay_out(std::vector<Bytes>{numbered_frame(pair_ids_[1 - i], pair_ids_[i], 1, 60)});
    }
    for (size_t i = 0; i < 2; ++i) round_trip(nullptr);
  }
  void TearDown() override {
    for (auto& guest : pair_) guest.reset();
    lab_.reset();
  }

  /// What became of everybody's packets, for a test that fails.
  void print_totals() {
    for (PortId id = 0; id < 6; ++id) {
      const auto t = lab_->totals_of(id);
      std::printf("port %u: received %llu, sent %llu;", id, static_cast<unsigned long long>(t.rx_packets),
                  static_cast<unsigned long long>(t.tx_packets));
      for (size_t d = 1; d < dataplane::kDrops; ++d)
        if (t.drops[d] != 0)
          std::printf(" %s %llu", dataplane::drop_name(static_cast<dataplane::Drop>(d)).data(),
                      static_cast<unsigned long long>(t.drops[d]));
      std::printf("%s\n", lab_->port(id).is_up() ? "" : " (down)");
    }
  }

  /// Nanoseconds.
  uint64_t round_trip(Neighbours* neighbours) {
    const uint64_t start = monotonic_ns();
    for (size_t i = 0; i < 2; ++i) {
      pair_[i]->poll_send(1);
      for (uint32_t looks = 0; pair_[1 - i]->poll_receive(1) == 0; ++looks) {
        if (neighbours != nullptr) neighbours->step();
        if (looks % 1024 == 1023 && monotonic_ns() - start > 5'000'000'000) {
          print_totals();
          throw std::runtime_error("the ping-pong stopped");
        }
      }
    }
    return monotonic_ns() - start;
  }
  struct Times {
    uint64_t p50 = 0, p99 = 0;
  };
  /// A slice takes some hundredths of a second, or more when the CPUs are busy with others.
  Times slice(Neighbours* neighbours) {
    std::vector<uint64_t> times;
    for (int warm_up = 0; warm_up < 20; ++warm_up) round_trip(neighbours);
    const uint64_t until = monotonic_ns() + kMostNs;
    while (times.size() < kFewest || (times.size() < kUsual && monotonic_ns() < until))
      times.push_back(round_trip(neighbours));
    std::ranges::sort(times);
    return {times[times.size() / 2], times[times.size() * 99 / 100]};
  }
  /// The medians over the slices.
  static Times median(const std::array<Times, kSlices>& of) {
    std::array<uint64_t, kSlices> p50, p99;
    std::ranges::transform(of, p50.begin(), &Times::p50);
    std::ranges::transform(of, p99.begin(), &Times::p99);
    std::ranges::sort(p50);
    std::ranges::sort(p99);
    return {p50[kSlices / 2], p99[kSlices / 2]};
  }
  static uint64_t own_ns() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  }
  /// Whether the worker got frames from the neighbour meanwhile.
  uint64_t n_from(PortId id) { return lab_->totals_of(id).rx_packets; }

  std::unique_ptr<GuestLab> lab_;
  PortId pair_ids_[2], quiet_ids_[2], bad_ids_[2];
  std::unique_ptr<NullGuest> pair_[2];
};

TEST_P(Delay, IsNotTwiceThatOfAWellBehavedNeighbour) {
  auto good = GetParam().well_behaved(*lab_, quiet_ids_[0], quiet_ids_[1]);
  auto bad = GetParam().offender(*lab_, bad_ids_[0], bad_ids_[1]);
  double best = std::numeric_limits<double>::max();
  for (int attempt = 0; attempt < 3 && best > GetParam().limit; ++attempt) {
    std::array<Times, kSlices> alone, with_good, with_bad;
    const uint64_t began = monotonic_ns(), own = own_ns();
    for (size_t i = 0; i < kSlices; ++i) {
      alone[i] = slice(nullptr);
      with_good[i] = slice(good.get());
      with_bad[i] = slice(bad.get());
    }
    const double share = static_cast<double>(own_ns() - own) / static_cast<double>(monotonic_ns() - began);
    const Times a = median(alone), g = median(with_good), b = median(with_bad);
    const double p50 = static_cast<double>(b.p50) / static_cast<double>(g.p50);
    const double p99 = static_cast<double>(b.p99) / static_cast<double>(g.p99);
    std::printf(
        "p50 and p99: alone %llu %llu ns, with a well-behaved neighbour %llu %llu ns, with this one %llu %llu ns: "
        "%.2f and %.2f times; this thread ran %.0f %% of the time\n",
        static_cast<unsigned long long>(a.p50), static_cast<unsigned long long>(a.p99),
        static_cast<unsigned long long>(g.p50), static_cast<unsigned long long>(g.p99),
        static_cast<unsigned long long>(b.p50), static_cast<unsigned long long>(b.p99), p50, p99, share * 100);
    // Where others take the CPUs away, the 99th percentile is a time slice of theirs: then the median is judged.
    best = std::min(best, share > 0.9 ? p99 : p50);
  }
  std::printf("the switch took %llu packets from the well-behaved neighbour, %llu from this one\n",
              static_cast<unsigned long long>(n_from(quiet_ids_[0])),
              static_cast<unsigned long long>(n_from(bad_ids_[0])));
  if (!kIsSanitized) {
    EXPECT_LE(best, GetParam().limit);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Neighbours, Delay,
    testing::Values(Case{"never_refills", make<NeverRefills>()},
                    Case{"kicks_at_full_rate", make<Kicks>(true), make<Kicks>(false)},
                    Case{"only_kicks", make<OnlyKicks>(true), make<OnlyKicks>(false)},
                    Case{"never_reads_calls", make<NeverReadsCalls>(true), make<NeverReadsCalls>(false)},
                    Case{"chains_of_256", make<WorstChains>(), make<WellBehaved>(), 4},
                    Case{"endless_chains", make<EndlessChains>()},
                    Case{"tso_whole", make<Tso>(65'000, uint16_t{1448}, false), make<WellBehaved>(), 4},
                    // One frame is cut in one turn, whatever that takes.
                    Case{"tso_to_be_cut", make<Tso>(65'000, uint16_t{1448}, true), make<WellBehaved>(), 12},
                    Case{"tso_to_be_cut_small", make<Tso>(32'000, uint16_t{32}, true), make<WellBehaved>(), 40},
                    Case{"receive_buffers_of_3_bytes", make<CrumbledBuffers>(3u), make<WellBehaved>(), 4},
                    Case{"receive_buffers_of_28_bytes", make<CrumbledBuffers>(28u), make<WellBehaved>(), 4}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace weft::vswitch::test
