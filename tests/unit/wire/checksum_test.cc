// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/checksum.h"

#include "dataplane/wire/headers.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace weft::wire {
namespace {

/// RFC 1071 §4.1, word by word in host order.
uint16_t reference(const std::vector<uint8_t>& bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) sum += uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> random_bytes(std::mt19937& rng, size_t n) {
  std::vector<uint8_t> bytes(n);
  for (auto& b : bytes) b = static_cast<uint8_t>(rng());
  return bytes;
}

TEST(Checksum, Rfc1071Section3_example) {
  const std::vector<uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(be16::from_raw(checksum(bytes.data(), bytes.size())).host(), uint16_t(~0xddf2));
}

TEST(Checksum, agrees_with_the_definition_at_every_length) {
  std::mt19937 rng(1);
  for (size_t n = 0; n < 300; ++n) {
    const auto bytes = random_bytes(rng, n);
    EXPECT_EQ(be16::from_raw(checksum(bytes.data(), n)).host(), reference(bytes)) << n;
  }
  const std::vector<uint8_t> ones(65535, 0xff);
  EXPECT_EQ(be16::from_raw(checksum(ones.data(), ones.size())).host(), reference(ones)) << "all carries";
}

TEST(Checksum, pieces_may_begin_at_odd_offsets) {
  std::mt19937 rng(2);
  for (int i = 0; i < 2000; ++i) {
    const auto bytes = random_bytes(rng, 200);
    const size_t a = rng() % 200, b = a + rng() % (200 - a);
    ChecksumSum sum;
    sum.add_at(a, bytes.data() + a, b - a);
    sum.add_at(0, bytes.data(), a);
    sum.add_at(b, bytes.data() + b, 200 - b);
    EXPECT_EQ(sum.checksum(), checksum(bytes.data(), 200));
  }
}

TEST(Checksum, of_a_range_with_its_checksum_is_zero) {
  // RFC 1071 §1 (3); the IPv4 header is a captured one.
  const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                            0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  EXPECT_EQ(checksum(header, sizeof header), 0);
}

TEST(Checksum, pseudo_headers) {
  std::mt19937 rng(3);
  const auto payload = random_bytes(rng, 31);
  const Ipv4Address a(192, 168, 122, 10), b(198, 51, 100, 7);
  ChecksumSum v4;
  v4.add_pseudo(a, b, 17, 31);
  v4.add(payload.data(), payload.size());
  EXPECT_EQ(be16::from_raw(v4.checksum()).host(), reference(payload, 0xc0a8 + 0x7a0a + 0xc633 + 0x6407 + 17 + 31));
  ChecksumSum v6;
  v6.add_pseudo(*Ipv6Address::parse("2001:db8::1"), *Ipv6Address::parse("fe80::2"), 58, 31);
  v6.add(payload.data(), payload.size());
  EXPECT_EQ(be16::from_raw(v6.checksum()).host(), reference(payload, 0x2001 + 0xdb8 + 1 + 0xfe80 + 2 + 58 + 31));
}

TEST(ChecksumDelta, Rfc1624Section4_example) {
  // A checksum of 0xdd2f with a word changed from 0x5555 to 0x3285 must become 0x0000, not 0xffff.
  ChecksumDelta d;
  d.replace16(be16(0x5555).raw(), be16(0x3285).raw());
  EXPECT_EQ(checksum_apply(be16(0xdd2f), d.folded()).host(), 0x0000);
}

TEST(ChecksumDelta, equals_computing_anew_and_its_complement_undoes_it) {
  std::mt19937 rng(4);
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = random_bytes(rng, 40);
    const be16 before = be16::from_raw(checksum(bytes.data(), 40));
    const Ipv4Address old_address(static_cast<uint32_t>(bytes[12]) << 24 | bytes[13] << 16 | bytes[14] << 8 |
                                  bytes[15]);
    // Now and then nothing changes, or only one bit does.
    const Ipv4Address new_address(i % 3 == 0 ? old_address.host() ^ (i % 2 == 0 ? 0 : 1)
                                             : static_cast<uint32_t>(rng()));
    ChecksumDelta d;
    d.replace(old_address, new_address);
    std::memcpy(bytes.data() + 12, &new_address, 4);
    const be16 after = checksum_apply(before, d.folded());
    EXPECT_EQ(after.raw(), checksum(bytes.data(), 40));
    EXPECT_EQ(checksum_apply(after, static_cast<uint16_t>(~d.folded())), before);
  }
}

TEST(ChecksumDelta, of_a_partial_checksum_finishes_right) {
  std::mt19937 rng(5);
  for (int i = 0; i < 20'000; ++i) {
    const Ipv4Address a(static_cast<uint32_t>(rng())), b(static_cast<uint32_t>(rng())), c(static_cast<uint32_t>(rng()));
    ChecksumSum before, after;
    before.add_pseudo(a, b, 6, 1000);
    after.add_pseudo(c, b, 6, 1000);
    ChecksumDelta d;
    d.replace(a, c);
    const be16 field = checksum_apply_partial(be16::from_raw(before.fold()), d.folded());
    EXPECT_EQ(field.raw(), after.fold());
  }
}

}  // namespace
}  // namespace weft::wire
