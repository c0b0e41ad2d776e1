// SPDX-License-Identifier: BSD-3-Clause
//
// A frame handed to the control thread: one byte says what is known of its checksum, then the frame. What is read of it
// lies in it; a frame made of what was read is read as the same.
#include "switch/udp_frame.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace weft;
using namespace weft::vswitch;

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(const UdpEndpoint& a, const UdpEndpoint& b) { return a.mac == b.mac && a.ip == b.ip && a.port == b.port; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const auto checksum = static_cast<dataplane::Checksum>(data[0] % 3);
  const std::span frame(data + 1, size - 1);
  const auto read = read_udp_frame(frame, checksum);
  if (!read) return 0;
  const auto& payload = read->payload;
  require(payload.data() >= frame.data() && payload.data() + payload.size() <= frame.data() + frame.size());
  const auto made = make_udp_frame(read->source, read->destination, payload, 0);
  const auto again = read_udp_frame(made, dataplane::Checksum::unknown);
  require(again.has_value() && same(again->source, read->source) && same(again->destination, read->destination));
  require(std::equal(again->payload.begin(), again->payload.end(), payload.begin(), payload.end()));
  return 0;
}
