// SPDX-License-Identifier: BSD-3-Clause
//
// A payload is copied once from a guest to whoever receives it: until a port writes a frame out, its payload is in the
// guest's memory and nowhere else. Shown by changing it there between receiving and sending: what is changed arrives
// changed, but for the head, which had been copied.
#include "tests/stage/stations.h"

#include <algorithm>
#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace weft::vswitch::test {
namespace {

using dataplane::Burst;
using dataplane::kHeaderCopy;
using dataplane::Packet;
using dataplane::test::FrameSpec;
using dataplane::test::make_frame;
using dataplane::test::pattern;

constexpr OffloadSet kAll{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true};

class OneCopy : public testing::Test {
 protected:
  OneCopy() {
    control_.start();
    for (VhostStation* s : {&sender_, &receiver_, &plain_}) s->shake_hands();
    control_.stop();
  }
  /// Changes what lies in the guest's memory.
  static void overwrite(VhostStation& station, const Bytes& old_bytes, const Bytes& new_bytes) {
    size_t n = 0;
    for (size_t r = 0; r < station.guest().n_regions(); ++r) {
      const auto memory = station.guest().region_bytes(r);
      auto at = memory.begin();
      while ((at = std::search(at, memory.end(), old_bytes.begin(), old_bytes.end())) != memory.end()) {
        at = std::copy(new_bytes.begin(), new_bytes.end(), at);
        ++n;
      }
    }
    EXPECT_EQ(n, 1u);
  }
  static std::vector<Handed> collect(Station& to) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    std::vector<Handed> got;
    while (got.empty() && std::chrono::steady_clock::now() < end) got = to.take();
    return got;
  }

  /// Receives a frame from the guest and sends it on; between the two, the guest writes `after` over it.
  std::vector<Handed> pass(const Handed& before, const Bytes& after, Station& to) {
    sender_.send(before);
    Burst burst;
    sender_.port().rx(0, burst);
    EXPECT_EQ(burst.size(), 1);
    Packet* packet = &burst[0];
    overwrite(sender_, before.bytes, after);
    EXPECT_EQ(sender_.guest().reclaim(), 0) << "its buffers are the guest's again only after the burst";
    to.port().tx(0, {&packet, 1});
    sender_.port().rx_done(0);
    EXPECT_EQ(packet->drop, dataplane::Drop::none);
    EXPECT_EQ(sender_.guest().reclaim(), 1);
    return collect(to);
  }

  VhostControl control_;
  VhostStation sender_{"sender", kAll, control_, VhostStation::Rings::split, VhostStation::Layout::plain},
      receiver_{"receiver", kAll, control_}, plain_{"plain", OffloadSet::none(), control_};
  TapStation tap_{"tap0"};
  NetdevStation netdev_{"nd0"};
};

/// The head of one frame, the rest of another.
Bytes joined(const Bytes& head, const Bytes& rest) {
  Bytes both(head.begin(), head.begin() + std::min<ptrdiff_t>(kHeaderCopy, std::ssize(head)));
  both.insert(both.end(), rest.begin() + std::ssize(both), rest.end());
  return both;
}

TEST_F(OneCopy, APayloadStaysInTheGuestsMemoryUntilItIsWrittenOut) {
  for (const size_t payload : {1400u, 139u, 100u}) {
    const Bytes before = make_frame({.payload = pattern(payload, 3)});
    const Bytes after(before.size(), 0xee);
    for (Station* to : std::initializer_list<Station*>{&receiver_, &plain_, &tap_, &netdev_}) {
      SCOPED_TRACE(to->name());
      const auto got = pass({before}, after, *to);
      ASSERT_EQ(got.size(), 1u);
      EXPECT_EQ(got[0].bytes, joined(before, after)) << payload;
    }
  }
}

TEST_F(OneCopy, AlsoWhereATsoFrameIsCut) {
  FrameSpec spec{.is_partial = true, .payload = pattern(1800, 3)};
  const Bytes before = make_frame(spec), after(before.size(), 0xee);
  const VirtioNetHeader header{.flags = VirtioNetHeader::kNeedsCsum,
                               .gso_type = VirtioNetHeader::kGsoTcp4,
                               .gso_size = 600,
                               .csum_start = 34,
                               .csum_offset = 16};
  const auto cuts = pass({before, header}, after, plain_);
  ASSERT_EQ(cuts.size(), 3u);
  Bytes payload;
  for (const Handed& cut : cuts) payload.insert(payload.end(), cut.bytes.begin() + 54, cut.bytes.end());
  const Bytes want = joined(before, after);
  EXPECT_EQ(payload, Bytes(want.begin() + 54, want.end()));
}

/// From the kernel, a frame is read to where it stays until it is written out again.
TEST_F(OneCopy, AFrameOfTheKernelsIsReadIntoTheBurst) {
  const Bytes frame = make_frame({.payload = pattern(1400, 3)});
  for (Station* from : std::initializer_list<Station*>{&tap_, &netdev_}) {
    SCOPED_TRACE(from->name());
    from->send({frame});
    Burst burst;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (burst.size() == 0 && std::chrono::steady_clock::now() < end) from->port().rx(0, burst);
    ASSERT_EQ(burst.size(), 1);
    ASSERT_EQ(burst[0].n_payload, 1);
    EXPECT_EQ(burst[0].head, burst.slot(0));
    EXPECT_EQ(burst[0].payload[0].data, burst.rx_buffer(0));
  }
}

}  // namespace
}  // namespace weft::vswitch::test
