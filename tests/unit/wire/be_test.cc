// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/wire/be.h"

#include <cstring>
#include <type_traits>

#include <gtest/gtest.h>

namespace weft::wire {
namespace {

TEST(BigEndian, lies_on_the_wire_most_significant_byte_first) {
  const be16 a(0x0102);
  const be32 b(0x01020304);
  const be64 c(0x0102030405060708);
  const uint8_t wire[] = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(std::memcmp(&a, wire, 2), 0);
  EXPECT_EQ(std::memcmp(&b, wire, 4), 0);
  EXPECT_EQ(std::memcmp(&c, wire, 8), 0);
}

TEST(BigEndian, gives_back_what_it_was_made_of) {
  for (const uint32_t v : {0U, 1U, 0x80000000U, 0xdeadbeefU, 0xffffffffU}) {
    EXPECT_EQ(be32(v).host(), v);
    EXPECT_EQ(be32::from_raw(be32(v).raw()), be32(v));
  }
}

TEST(BigEndian, orders_by_value_not_by_memory) {
  EXPECT_LT(be16(0x00ff), be16(0x0100));
  EXPECT_GT(be32(0x01000000), be32(0x000000ff));
  EXPECT_EQ(be16(7), be16(7));
}

TEST(BigEndian, does_not_convert_by_itself) {
  static_assert(!std::is_convertible_v<uint16_t, be16>);
  static_assert(!std::is_convertible_v<be16, uint16_t>);
  static_assert(alignof(be64) == 1);
  static_assert(be16(0x1234).host() == 0x1234);
}

TEST(Byteswap, reverses_the_bytes) {
  EXPECT_EQ(byteswap(uint8_t{0x12}), 0x12);
  EXPECT_EQ(byteswap(uint16_t{0x1234}), 0x3412);
  EXPECT_EQ(byteswap(uint32_t{0x12345678}), 0x78563412U);
  EXPECT_EQ(byteswap(uint64_t{0x0102030405060708}), 0x0807060504030201U);
}

}  // namespace
}  // namespace weft::wire
