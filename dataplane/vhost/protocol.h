// SPDX-License-Identifier: BSD-3-Clause
//
// The vhost-user messages of a front end (QEMU, virtio-user), from bytes to types: a pure function with every
// size check, so that what comes after it handles only well-formed requests. What a request means is
// device.h's business. Any thread. Follows QEMU's docs/interop/vhost-user; all integers are in the host's
// byte order.
#pragma once

#include "dataplane/wire/addr.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include <tl/expected.hpp>

namespace weft::dataplane::vhost {

/// The requests this back end knows by name; their numbers are the protocol's.
enum class RequestType : uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_log_base = 6,
  set_log_fd = 7,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  send_rarp = 19,
  net_set_mtu = 20,
  get_max_mem_slots = 36,
  add_mem_reg = 37,
  rem_mem_reg = 38,
};
/// "SET_MEM_TABLE", for logs; "unknown request" for numbers not listed above.
[[nodiscard]] std::string_view request_name(RequestType type) noexcept;

struct MessageHeader {
  static constexpr uint32_t kVersion = 1, kVersionMask = 3, kReply = 4, kNeedReply = 8;
  uint32_t request;
  uint32_t flags;
  uint32_t size;  // bytes of payload that follow
};
static_assert(sizeof(MessageHeader) == 12);

/// Largest payload that is read at all.
inline constexpr uint32_t kMaxPayload = 4096;
/// Most regions (and with them file descriptors) in one memory table message.
inline constexpr size_t kMaxTableRegions = 8;
/// Ring indices a message can name; those beyond what the port serves are kept but not run.
inline constexpr uint16_t kMaxRings = 256;

struct VringState {
  uint32_t index;
  uint32_t value;
};
static_assert(sizeof(VringState) == 8);

/// Addresses are the front end's own virtual ones.
struct VringAddress {
  static constexpr uint32_t kLog = 1;  // writes to the used ring are to be logged
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;  // guest-physical: the used ring's address as the log is to say it
};
static_assert(sizeof(VringAddress) == 40);

/// A kick, call or error descriptor for a ring; without one the ring is to be polled.
struct VringFile {
  static constexpr uint64_t kIndexMask = 0xff, kNoFd = 0x100;
  uint32_t index;
  bool has_fd;
};

struct MemoryRegion {
  uint64_t guest_address;
  uint64_t size;
  uint64_t user_address;  // the front end's virtual address of the same byte
  uint64_t file_offset;
};
static_assert(sizeof(MemoryRegion) == 32);

/// The dirty-page log: `size` bytes from `offset` on of the file that comes along.
struct LogBase {
  uint64_t size;
  uint64_t offset;
};
static_assert(sizeof(LogBase) == 16);

struct MemoryTable {
  uint32_t n_regions = 0;
  std::array<MemoryRegion, kMaxTableRegions> regions{};
  [[nodiscard]] std::span<const MemoryRegion> all() const noexcept { return {regions.data(), n_regions}; }
};

struct Request {
  RequestType type;
  bool needs_reply;  // the front end asks for an acknowledgement (when REPLY_ACK is negotiated)
  /// monostate: no payload (the GETs, SET_OWNER, RESET_OWNER); uint64_t: features, MTU; MacAddress:
  /// SEND_RARP.
  std::variant<std::monostate, uint64_t, VringState, VringAddress, VringFile, LogBase, MemoryTable, MemoryRegion,
               wire::MacAddress>
      payload;
};

enum class DecodeError {
  bad_version,       // not version 1, or a reply where a request belongs
  unknown_request,   // a number this back end does not implement
  bad_size,          // payload size does not fit the request
  bad_fds,           // more or fewer descriptors than the request carries
  bad_ring_index,    // ≥ kMaxRings
  too_many_regions,  // > kMaxTableRegions
};
[[nodiscard]] std::string_view to_string(DecodeError e) noexcept;

/// The request in a complete message; `payload` has header.size bytes, `n_fds` descriptors came along.
[[nodiscard]] tl::expected<Request, DecodeError> decode(const MessageHeader& header, std::span<const uint8_t> payload,
                                                        size_t n_fds) noexcept;

/// The protocol's own features, negotiated apart from virtio's.
namespace protocol_feature {
inline constexpr uint64_t kMq = 1ull << 0, kLogShmfd = 1ull << 1, kRarp = 1ull << 2, kReplyAck = 1ull << 3,
                          kNetMtu = 1ull << 4, kConfigureMemSlots = 1ull << 15;
}  // namespace protocol_feature

}  // namespace weft::dataplane::vhost
