// SPDX-License-Identifier: BSD-3-Clause
//
// A virtio-net header and a frame as a guest may send them: ten bytes of header, one that says what was negotiated,
// one for the size of the payload's pieces, then the frame. What is taken keeps the invariants of Packet, and neither
// finishing its checksum nor cutting it touches anything else.
#include "dataplane/burst.h"
#include "dataplane/offload.h"
#include "dataplane/virtio_net_header.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using namespace weft::dataplane;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

std::vector<uint8_t> flatten(const Packet& p) {
  std::vector<uint8_t> bytes(p.head, p.head + p.head_size);
  for (const Segment& s : p.payload_segments()) bytes.insert(bytes.end(), s.data, s.data + s.size);
  return bytes;
}

void check_cuts(const Packet& whole) {
  GsoCutter cutter(whole, GsoCutter::Checksums::finish);
  require(cutter.n_frames() > 1 && cutter.n_frames() <= 65535 / kMinGsoSize + 1);
  const std::vector<uint8_t> before = flatten(whole);
  size_t n = 0;
  std::vector<uint8_t> payload;
  size_t headers = 0;
  while (const Packet* cut = cutter.next()) {
    ++n;
    headers = cut->head_size;
    const std::vector<uint8_t> bytes = flatten(*cut);
    require(bytes.size() == cut->size && bytes.size() <= headers + whole.offload.gso_size);
    require(cut->offload.gso == Gso::none && cut->offload.checksum == Checksum::unknown);
    payload.insert(payload.end(), bytes.begin() + static_cast<std::ptrdiff_t>(headers), bytes.end());
  }
  require(n == cutter.n_frames());
  require(payload == std::vector<uint8_t>(before.begin() + static_cast<std::ptrdiff_t>(headers), before.end()));
  require(flatten(whole) == before);
}

void check_finish(Packet& p) {
  const Offload o = p.offload;
  std::vector<uint8_t> before = flatten(p);
  finish_checksum(p);
  std::vector<uint8_t> after = flatten(p);
  const size_t field = size_t{o.csum_start} + o.csum_offset;
  require(field >= 14);
  std::memset(&before[field], 0, 2);
  std::memset(&after[field], 0, 2);
  require(before == after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kPrefix = sizeof(VirtioNetHeader) + 2;
  if (size < kPrefix || size > kPrefix + kMaxFrame) return 0;
  VirtioNetHeader header;
  std::memcpy(&header, data, sizeof header);
  const uint8_t bits = data[10];
  const OffloadSet sender{.checksum = (bits & 1) == 0,
                          .tso4 = (bits & 2) == 0,
                          .tso6 = (bits & 4) == 0,
                          .ecn = (bits & 8) == 0,
                          .data_valid = (bits & 16) == 0};
  const uint8_t* frame = data + kPrefix;
  const auto frame_size = static_cast<uint32_t>(size - kPrefix);

  static Burst burst;
  burst.clear();
  Packet& p = burst.add();
  p.head_size = static_cast<uint16_t>(std::min<uint32_t>(frame_size, kHeaderCopy));
  p.size = p.head_size;
  std::memcpy(p.head, frame, p.head_size);
  const uint32_t piece = std::max<uint32_t>(data[11] * 16u + 1, (frame_size + 199) / 200);
  while (p.size < frame_size) burst.append_segment(p, frame + p.size, std::min(piece, frame_size - p.size));

  if (!to_offload(header, sender, p)) return 0;
  const Offload& o = p.offload;
  if (o.gso != Gso::none) {
    require(o.checksum == Checksum::partial && o.gso_size >= kMinGsoSize);
    require(o.gso == Gso::tcp4 ? sender.tso4 : sender.tso6);
    check_cuts(p);
  }
  if (o.checksum == Checksum::partial) {
    require(sender.checksum && uint32_t{o.csum_start} + o.csum_offset + 2 <= p.head_size);
    const VirtioNetHeader back = from_offload(p, sender);
    require(back.csum_start == header.csum_start && back.csum_offset == header.csum_offset);
    check_finish(p);
  }
  return 0;
}
