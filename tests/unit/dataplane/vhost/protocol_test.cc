// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/protocol.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace weft::dataplane::vhost {
namespace {

using Bytes = std::vector<uint8_t>;

template <class T>
Bytes bytes_of(const T& value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  return {p, p + sizeof value};
}

auto decode_as(RequestType type, const Bytes& payload, size_t n_fds = 0, uint32_t flags = 1) {
  return decode({static_cast<uint32_t>(type), flags, static_cast<uint32_t>(payload.size())}, payload, n_fds);
}

void expect_error(RequestType type, const Bytes& payload, size_t n_fds, DecodeError error) {
  const auto request = decode_as(type, payload, n_fds);
  ASSERT_FALSE(request) << request_name(type);
  EXPECT_EQ(request.error(), error) << request_name(type) << ": " << to_string(request.error());
}

TEST(VhostProtocol, RequestsWithoutPayloadDecode) {
  for (const auto type :
       {RequestType::get_features, RequestType::set_owner, RequestType::reset_owner, RequestType::get_protocol_features,
        RequestType::get_queue_num, RequestType::get_max_mem_slots}) {
    const auto request = decode_as(type, {});
    ASSERT_TRUE(request) << request_name(type);
    EXPECT_EQ(request->type, type);
    EXPECT_FALSE(request->needs_reply);
    expect_error(type, Bytes(8), 0, DecodeError::bad_size);
    expect_error(type, {}, 1, DecodeError::bad_fds);
  }
}

TEST(VhostProtocol, U64PayloadMustBeEightBytes) {
  const auto request = decode_as(RequestType::set_features, bytes_of(uint64_t{0x123456789}), 0, 1 | 8);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<uint64_t>(request->payload), 0x123456789u);
  EXPECT_TRUE(request->needs_reply);
  for (const size_t size : {0, 4, 7, 9, 16})
    expect_error(RequestType::set_features, Bytes(size), 0, DecodeError::bad_size);
}

TEST(VhostProtocol, VersionAndDirectionAreChecked) {
  for (const uint32_t flags : {0u, 2u, 3u, 1u | 4u}) {
    const auto request = decode_as(RequestType::get_features, {}, 0, flags);
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error(), DecodeError::bad_version);
  }
}

TEST(VhostProtocol, RingIndexHasALimit) {
  EXPECT_TRUE(decode_as(RequestType::set_vring_num, bytes_of(VringState{255, 256})));
  expect_error(RequestType::set_vring_num, bytes_of(VringState{256, 256}), 0, DecodeError::bad_ring_index);
  expect_error(RequestType::set_vring_addr, bytes_of(VringAddress{~0u, 0, 0, 0, 0, 0}), 0, DecodeError::bad_ring_index);
}

TEST(VhostProtocol, RingFilesComeWithExactlyOneDescriptorOrWithTheWordThatThereIsNone) {
  const auto with = decode_as(RequestType::set_vring_kick, bytes_of(uint64_t{3}), 1);
  ASSERT_TRUE(with);
  EXPECT_EQ(std::get<VringFile>(with->payload).index, 3u);
  EXPECT_TRUE(std::get<VringFile>(with->payload).has_fd);
  const auto without = decode_as(RequestType::set_vring_call, bytes_of(uint64_t{0x105}), 0);
  ASSERT_TRUE(without);
  EXPECT_EQ(std::get<VringFile>(without->payload).index, 5u);
  EXPECT_FALSE(std::get<VringFile>(without->payload).has_fd);
  expect_error(RequestType::set_vring_kick, bytes_of(uint64_t{3}), 0, DecodeError::bad_fds);
  expect_error(RequestType::set_vring_kick, bytes_of(uint64_t{3}), 2, DecodeError::bad_fds);
  expect_error(RequestType::set_vring_err, bytes_of(uint64_t{0x103}), 1, DecodeError::bad_fds);
}

Bytes table_of(uint32_t n, size_t n_present) {
  Bytes payload(8 + n_present * sizeof(MemoryRegion));
  std::memcpy(payload.data(), &n, sizeof n);
  for (size_t i = 0; i < n_present; ++i) {
    const MemoryRegion r{i << 32, 4096, i << 20, 0};
    std::memcpy(payload.data() + 8 + i * sizeof r, &r, sizeof r);
  }
  return payload;
}

TEST(VhostProtocol, MemoryTableSizesAndDescriptorsAgree) {
  const auto request = decode_as(RequestType::set_mem_table, table_of(3, 3), 3);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<MemoryTable>(request->payload).all().size(), 3u);
  EXPECT_EQ(std::get<MemoryTable>(request->payload).all()[2].guest_address, uint64_t{2} << 32);
  EXPECT_TRUE(decode_as(RequestType::set_mem_table, table_of(2, 8), 2)) << "the whole array may be sent";
  expect_error(RequestType::set_mem_table, table_of(3, 2), 3, DecodeError::bad_size);
  expect_error(RequestType::set_mem_table, table_of(3, 3), 2, DecodeError::bad_fds);
  expect_error(RequestType::set_mem_table, table_of(9, 9), 9, DecodeError::too_many_regions);
  expect_error(RequestType::set_mem_table, table_of(~0u, 1), 1, DecodeError::too_many_regions);
  expect_error(RequestType::set_mem_table, Bytes(7), 0, DecodeError::bad_size);
}

TEST(VhostProtocol, SingleRegionsCarryOneDescriptor) {
  Bytes payload(8 + sizeof(MemoryRegion));
  EXPECT_TRUE(decode_as(RequestType::add_mem_reg, payload, 1));
  EXPECT_TRUE(decode_as(RequestType::rem_mem_reg, payload, 0));
  EXPECT_TRUE(decode_as(RequestType::rem_mem_reg, payload, 1));
  expect_error(RequestType::add_mem_reg, payload, 0, DecodeError::bad_fds);
  expect_error(RequestType::add_mem_reg, Bytes(8), 1, DecodeError::bad_size);
}

TEST(VhostProtocol, TheLogComesWithItsFile) {
  const auto request = decode_as(RequestType::set_log_base, bytes_of(LogBase{8192, 4096}), 1);
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<LogBase>(request->payload).size, 8192u);
  EXPECT_EQ(std::get<LogBase>(request->payload).offset, 4096u);
  expect_error(RequestType::set_log_base, bytes_of(LogBase{}), 0, DecodeError::bad_fds);
  expect_error(RequestType::set_log_base, bytes_of(LogBase{}), 2, DecodeError::bad_fds);
  expect_error(RequestType::set_log_base, bytes_of(uint64_t{0}), 1, DecodeError::bad_size);
}

TEST(VhostProtocol, RarpCarriesTheMacInItsFirstSixBytes) {
  const auto request = decode_as(RequestType::send_rarp, {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc, 0, 0});
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<wire::MacAddress>(request->payload).to_string(), "52:54:00:aa:bb:cc");
}

TEST(VhostProtocol, WhatIsNotImplementedIsUnknown) {
  for (const uint32_t number : {0u, 7u, 21u, 22u, 24u, 31u, 39u, 1000u, ~0u})
    expect_error(static_cast<RequestType>(number), {}, 0, DecodeError::unknown_request);
}

}  // namespace
}  // namespace weft::dataplane::vhost
