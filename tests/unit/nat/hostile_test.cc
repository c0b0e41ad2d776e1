// SPDX-License-Identifier: BSD-3-Clause
//
// Mutated packets through both directions: whatever happens is a verdict, never a read or write outside the
// head (the sanitizer build looks), and never a packet that leaves with an inside address.
#include "tests/unit/nat/frame.h"

#include <random>

namespace weft::nat::test {
namespace {

/// What parse guarantees: a whole IPv4 header within the frame, whose lengths hold.
bool would_pass_parse(Frame& f) {
  if (f.bytes.size() < 34) return false;
  const auto& h = f.ip();
  return h.version() == 4 && h.header_size() >= 20 && h.total_length.host() >= h.header_size() &&
         f.bytes.size() >= 14 + h.header_size() && h.total_length.host() <= f.bytes.size() - 14;
}

std::vector<Frame> seeds(Bench& b) {
  std::vector<Frame> all;
  const auto add_flow = [&](Frame out, Frame in) {
    const Frame original = out;
    EXPECT_EQ(b.out(out), Drop::none);
    all.push_back(original);
    all.push_back(in);
    for (const size_t n : {28, 48, 300}) {
      all.push_back(icmp_error({198, 18, 0, 1}, kOutside, 3, 4, out, n));
      Frame delivered = in;
      EXPECT_EQ(b.in(delivered), Drop::none);
      all.push_back(icmp_error(kGuest, kServer, 3, 3, delivered, n));
    }
  };
  add_flow(udp(kGuest, 2000, kServer, 53, std::string(300, 'u')),
           udp(kServer, 53, kOutside, 2000, std::string(300, 'v')));
  add_flow(tcp(kGuest, 2000, kServer, 80, 2), tcp(kServer, 80, kOutside, 2000, 18));
  add_flow(icmp(kGuest, kServer, 8, 77), icmp(kServer, kOutside, 0, 77));
  return all;
}

TEST(Hostile, mutated_packets_end_in_a_verdict) {
  Bench b;
  const auto originals = seeds(b);
  std::mt19937 rng(5);
  size_t n_passed = 0, n_dropped = 0;
  for (int i = 0; i < 300'000; ++i) {
    const Frame& original = originals[rng() % originals.size()];
    // Exactly the frame's own memory, so that one byte too far is seen.
    Frame f(original.bytes);
    for (uint32_t k = rng() % 4; k > 0; --k) {
      const size_t at = 14 + rng() % (std::min<size_t>(f.bytes.size(), 120) - 14);
      f.bytes[at] = rng() % 2 == 0 ? static_cast<uint8_t>(rng()) : static_cast<uint8_t>(f.bytes[at] ^ 1 << rng() % 8);
    }
    if (rng() % 4 == 0) f.bytes.resize(34 + rng() % (f.bytes.size() - 33));
    if (rng() % 2 == 0) f.ip().total_length = wire::be16(static_cast<uint16_t>(f.bytes.size() - 14));
    f.bytes.shrink_to_fit();
    f.parse();
    if (!would_pass_parse(f)) continue;
    if (rng() % 4 == 0) {
      f.packet.offload.checksum = dataplane::Checksum::partial;
      f.packet.offload.csum_start = rng() % 2 == 0 ? f.packet.l4_offset : static_cast<uint16_t>(rng());
      f.packet.offload.csum_offset = rng() % 2 == 0 ? 2 : static_cast<uint16_t>(rng() % 20);
    }
    const auto before = f.bytes;
    const bool was_partial = f.packet.offload.checksum == dataplane::Checksum::partial;
    b.now_ms += rng() % 100;
    const bool is_out = rng() % 2 == 0;
    const Drop drop = is_out ? b.out(f) : b.in(f);
    if (drop == Drop::none) {
      ++n_passed;
      if (is_out) {
        ASSERT_EQ(f.ip().source, kOutside);
      } else {
        ASSERT_NE(f.ip().destination, kOutside);
      }
    } else {
      ++n_dropped;
      // A checksum of something encapsulated may have been finished.
      if (was_partial == (f.packet.offload.checksum == dataplane::Checksum::partial)) {
        ASSERT_EQ(f.bytes, before);
      }
    }
    b.nat.tick(b.now_ms);
  }
  EXPECT_GT(n_passed, 10'000U);
  EXPECT_GT(n_dropped, 10'000U);
}

}  // namespace
}  // namespace weft::nat::test
