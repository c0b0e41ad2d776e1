// SPDX-License-Identifier: BSD-3-Clause
//
// The decoder of vhost-user messages. Input: the number of descriptors (one byte), a header, a payload.
#include "dataplane/vhost/protocol.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <variant>

using namespace weft::dataplane::vhost;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// What code behind the decoder relies on.
void check(const Request& request, size_t n_fds) {
  require(request_name(request.type) != "unknown request");
  if (const auto* state = std::get_if<VringState>(&request.payload)) require(state->index < kMaxRings);
  if (const auto* address = std::get_if<VringAddress>(&request.payload)) require(address->index < kMaxRings);
  if (const auto* file = std::get_if<VringFile>(&request.payload))
    require(file->index < kMaxRings && n_fds == (file->has_fd ? 1u : 0u));
  if (const auto* table = std::get_if<MemoryTable>(&request.payload))
    require(table->all().size() == n_fds && n_fds <= kMaxTableRegions);
  if (request.type == RequestType::add_mem_reg || request.type == RequestType::set_log_base) require(n_fds == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 + sizeof(MessageHeader)) return 0;
  const size_t n_fds = data[0];
  MessageHeader header;
  std::memcpy(&header, data + 1, sizeof header);
  const std::span<const uint8_t> payload(data + 1 + sizeof header, size - 1 - sizeof header);
  if (const auto request = decode(header, payload, n_fds)) {
    require(payload.size() == header.size);
    check(*request, n_fds);
  } else {
    require(!to_string(request.error()).empty());
  }
  return 0;
}
