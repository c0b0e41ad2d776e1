// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/protocol.h"

#include <cstring>

namespace weft::dataplane::vhost {
namespace {

template <class T>
T read(std::span<const uint8_t> bytes, size_t offset = 0) noexcept {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

using Result = tl::expected<Request, DecodeError>;

Result fail(DecodeError e) noexcept { return tl::unexpected(e); }

/// u64 payload whose low byte is a ring index and whose bit 8 says that no descriptor comes along.
Result decode_vring_file(Request request, std::span<const uint8_t> payload, size_t n_fds) noexcept {
  if (payload.size() != sizeof(uint64_t)) return fail(DecodeError::bad_size);
  const auto value = read<uint64_t>(payload);
  const bool has_fd = (value & VringFile::kNoFd) == 0;
  if (n_fds != (has_fd ? 1u : 0u)) return fail(DecodeError::bad_fds);
  request.payload = VringFile{static_cast<uint32_t>(value & VringFile::kIndexMask), has_fd};
  return request;
}

Result decode_mem_table(Request request, std::span<const uint8_t> payload, size_t n_fds) noexcept {
  if (payload.size() < 8) return fail(DecodeError::bad_size);
  MemoryTable table;
  table.n_regions = read<uint32_t>(payload);
  if (table.n_regions > kMaxTableRegions) return fail(DecodeError::too_many_regions);
  // Some front ends always send the whole array.
  const size_t used = 8 + table.n_regions * sizeof(MemoryRegion);
  if (payload.size() < used || payload.size() > 8 + kMaxTableRegions * sizeof(MemoryRegion))
    return fail(DecodeError::bad_size);
  if (n_fds != table.n_regions) return fail(DecodeError::bad_fds);
  for (size_t i = 0; i < table.n_regions; ++i)
    table.regions[i] = read<MemoryRegion>(payload, 8 + i * sizeof(MemoryRegion));
  request.payload = table;
  return request;
}

/// One region, after 8 bytes of padding. A front end may send the region's descriptor when it removes one,
/// too.
Result decode_mem_region(Request request, std::span<const uint8_t> payload, size_t n_fds) noexcept {
  if (payload.size() != 8 + sizeof(MemoryRegion)) return fail(DecodeError::bad_size);
  if (request.type == RequestType::add_mem_reg ? n_fds != 1 : n_fds > 1) return fail(DecodeError::bad_fds);
  request.payload = read<MemoryRegion>(payload, 8);
  return request;
}

Result decode_log_base(Request request, std::span<const uint8_t> payload, size_t n_fds) noexcept {
  if (payload.size() != sizeof(LogBase)) return fail(DecodeError::bad_size);
  if (n_fds != 1) return fail(DecodeError::bad_fds);
  request.payload = read<LogBase>(payload);
  return request;
}

}  // namespace

Result decode(const MessageHeader& header, std::span<const uint8_t> payload, size_t n_fds) noexcept {
  if ((header.flags & MessageHeader::kVersionMask) != MessageHeader::kVersion ||
      (header.flags & MessageHeader::kReply) != 0)
    return fail(DecodeError::bad_version);
  if (payload.size() != header.size) return fail(DecodeError::bad_size);

  Request request{static_cast<RequestType>(header.request), (header.flags & MessageHeader::kNeedReply) != 0, {}};
  switch (request.type) {
    case RequestType::set_vring_kick:
    case RequestType::set_vring_call:
    case RequestType::set_vring_err:
      return decode_vring_file(request, payload, n_fds);
    case RequestType::set_mem_table:
      return decode_mem_table(request, payload, n_fds);
    case RequestType::add_mem_reg:
    case RequestType::rem_mem_reg:
      return decode_mem_region(request, payload, n_fds);
    case RequestType::set_log_base:
      return decode_log_base(request, payload, n_fds);
    default:
      break;
  }
  if (n_fds != 0) return fail(DecodeError::bad_fds);

  switch (request.type) {
    case RequestType::get_features:
    case RequestType::set_owner:
    case RequestType::reset_owner:
    case RequestType::get_protocol_features:
    case RequestType::get_queue_num:
    case RequestType::get_max_mem_slots:
      if (!payload.empty()) return fail(DecodeError::bad_size);
      return request;
    case RequestType::set_features:
    case RequestType::set_protocol_features:
    case RequestType::net_set_mtu:
      if (payload.size() != sizeof(uint64_t)) return fail(DecodeError::bad_size);
      request.payload = read<uint64_t>(payload);
      return request;
    case RequestType::send_rarp:
      if (payload.size() != sizeof(uint64_t)) return fail(DecodeError::bad_size);
      request.payload = read<wire::MacAddress>(payload);
      return request;
    case RequestType::set_vring_num:
    case RequestType::set_vring_base:
    case RequestType::get_vring_base:
    case RequestType::set_vring_enable: {
      if (payload.size() != sizeof(VringState)) return fail(DecodeError::bad_size);
      const auto state = read<VringState>(payload);
      if (state.index >= kMaxRings) return fail(DecodeError::bad_ring_index);
      request.payload = state;
      return request;
    }
    case RequestType::set_vring_addr: {
      if (payload.size() != sizeof(VringAddress)) return fail(DecodeError::bad_size);
      const auto address = read<VringAddress>(payload);
      if (address.index >= kMaxRings) return fail(DecodeError::bad_ring_index);
      request.payload = address;
      return request;
    }
    default:
      return fail(DecodeError::unknown_request);
  }
}

std::string_view request_name(RequestType type) noexcept {
  switch (type) {
    case RequestType::get_features:
      return "GET_FEATURES";
    case RequestType::set_features:
      return "SET_FEATURES";
    case RequestType::set_owner:
      return "SET_OWNER";
    case RequestType::reset_owner:
      return "RESET_OWNER";
    case RequestType::set_mem_table:
      return "SET_MEM_TABLE";
    case RequestType::set_log_base:
      return "SET_LOG_BASE";
    case RequestType::set_log_fd:
      return "SET_LOG_FD";
    case RequestType::set_vring_num:
      return "SET_VRING_NUM";
    case RequestType::set_vring_addr:
      return "SET_VRING_ADDR";
    case RequestType::set_vring_base:
      return "SET_VRING_BASE";
    case RequestType::get_vring_base:
      return "GET_VRING_BASE";
    case RequestType::set_vring_kick:
      return "SET_VRING_KICK";
    case RequestType::set_vring_call:
      return "SET_VRING_CALL";
    case RequestType::set_vring_err:
      return "SET_VRING_ERR";
    case RequestType::get_protocol_features:
      return "GET_PROTOCOL_FEATURES";
    case RequestType::set_protocol_features:
      return "SET_PROTOCOL_FEATURES";
    case RequestType::get_queue_num:
      return "GET_QUEUE_NUM";
    case RequestType::set_vring_enable:
      return "SET_VRING_ENABLE";
    case RequestType::send_rarp:
      return "SEND_RARP";
    case RequestType::net_set_mtu:
      return "NET_SET_MTU";
    case RequestType::get_max_mem_slots:
      return "GET_MAX_MEM_SLOTS";
    case RequestType::add_mem_reg:
      return "ADD_MEM_REG";
    case RequestType::rem_mem_reg:
      return "REM_MEM_REG";
  }
  return "unknown request";
}

std::string_view to_string(DecodeError e) noexcept {
  switch (e) {
    case DecodeError::bad_version:
      return "not a version 1 request";
    case DecodeError::unknown_request:
      return "not supported";
    case DecodeError::bad_size:
      return "payload size does not fit the request";
    case DecodeError::bad_fds:
      return "wrong number of file descriptors";
    case DecodeError::bad_ring_index:
      return "ring index too large";
    case DecodeError::too_many_regions:
      return "more than 8 memory regions in one table";
  }
  return "unknown error";
}

}  // namespace weft::dataplane::vhost
