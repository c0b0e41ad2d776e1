// SPDX-License-Identifier: BSD-3-Clause
//
// Frames for tests, written byte by byte, and checksums added up the slow way: nothing here uses the code
// under test.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/packet.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace weft::dataplane::test {

using Bytes = std::vector<uint8_t>;

inline void put16(Bytes& b, size_t at, uint32_t v) {
  b.at(at) = static_cast<uint8_t>(v >> 8);
  b.at(at + 1) = static_cast<uint8_t>(v);
}
inline void put32(Bytes& b, size_t at, uint32_t v) {
  put16(b, at, v >> 16);
  put16(b, at + 2, v & 0xffff);
}
inline uint16_t get16(std::span<const uint8_t> b, size_t at) { return static_cast<uint16_t>(b[at] << 8 | b[at + 1]); }

/// RFC 1071, two bytes at a time; not complemented.
inline uint32_t slow_sum(std::span<const uint8_t> b, uint32_t start = 0) {
  uint32_t sum = start;
  for (size_t i = 0; i < b.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<uint32_t>(b[i] << 8) : b[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

/// Cuts off what is behind the first `n` bytes.
inline void shorten(Bytes& b, size_t n) {
  while (b.size() > n) b.pop_back();
}

/// Bytes 0, 1, 2, … from `seed`, with a period that is prime to all powers of two.
inline Bytes pattern(size_t n, uint32_t seed = 0) {
  Bytes b(n);
  for (size_t i = 0; i < n; ++i) b[i] = static_cast<uint8_t>((i + seed) % 251);
  return b;
}

/// What to build. Ethernet, up to two VLAN tags, IPv4 or IPv6, TCP or UDP.
struct FrameSpec {
  bool is_v6 = false;
  bool is_udp = false;
  size_t n_tags = 0;
  size_t ip_options = 0;   // bytes: of IPv4 options, or of one IPv6 hop-by-hop header (multiples of 8)
  size_t tcp_options = 0;  // bytes
  uint16_t id = 0x1234;
  uint32_t sequence = 0x01020304;
  uint8_t flags = 0x10;
  bool is_partial = false;  // leave only the pseudo-header's sum
  Bytes payload;
  std::array<uint8_t, 12> macs{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};  // destination, source
  uint8_t ttl = 64;
  uint32_t source = 0xc0000201, destination = 0xc6336402;  // of IPv4
  uint16_t source_port = 40000;
  uint16_t destination_port = 0;  // 0: 80, or 53 of UDP

  [[nodiscard]] size_t l3() const { return 14 + 4 * n_tags; }
  [[nodiscard]] size_t l4() const { return l3() + (is_v6 ? 40 : 20) + ip_options; }
  [[nodiscard]] size_t headers() const { return l4() + (is_udp ? 8 : 20 + tcp_options); }
  [[nodiscard]] size_t checksum_offset() const { return is_udp ? 6 : 16; }
  [[nodiscard]] uint8_t protocol() const { return is_udp ? 17 : 6; }
};

inline uint32_t pseudo_sum(const FrameSpec& s, const Bytes& b, size_t l4_size) {
  const size_t addresses = s.l3() + (s.is_v6 ? 8 : 12);
  const uint32_t sum = slow_sum(std::span(b).subspan(addresses, s.is_v6 ? 32 : 8));
  const Bytes rest{0, s.protocol(), static_cast<uint8_t>(l4_size >> 8), static_cast<uint8_t>(l4_size)};
  return slow_sum(rest, sum);
}

inline Bytes make_frame(const FrameSpec& s) {
  Bytes b(s.headers());
  std::copy(s.macs.begin(), s.macs.end(), b.begin());
  for (size_t t = 0; t < s.n_tags; ++t) {
    put16(b, 12 + 4 * t, t + 1 == s.n_tags ? 0x8100 : 0x88a8);
    put16(b, 14 + 4 * t, static_cast<uint32_t>(100 + t));
  }
  const size_t l3 = s.l3(), l4 = s.l4(), l4_size = s.headers() - l4 + s.payload.size();
  put16(b, l3 - 2, s.is_v6 ? 0x86dd : 0x0800);
  if (s.is_v6) {
    put32(b, l3, 0x60012345);
    put16(b, l3 + 4, static_cast<uint32_t>(s.ip_options + l4_size));
    b[l3 + 6] = s.ip_options == 0 ? s.protocol() : 0;
    b[l3 + 7] = s.ttl;
    for (size_t i = 0; i < 32; ++i) b[l3 + 8 + i] = static_cast<uint8_t>(0x20 + i);
    if (s.ip_options != 0) {
      b[l3 + 40] = s.protocol();
      b[l3 + 41] = static_cast<uint8_t>(s.ip_options / 8 - 1);
    }
  } else {
    b[l3] = static_cast<uint8_t>(0x45 + s.ip_options / 4);
    put16(b, l3 + 2, static_cast<uint32_t>(20 + s.ip_options + l4_size));
    put16(b, l3 + 4, s.id);
    put16(b, l3 + 6, 0x4000);
    b[l3 + 8] = s.ttl;
    b[l3 + 9] = s.protocol();
    put32(b, l3 + 12, s.source);
    put32(b, l3 + 16, s.destination);
    for (size_t i = 0; i < s.ip_options; ++i) b[l3 + 20 + i] = 1;
    put16(b, l3 + 10, 0xffff & ~slow_sum(std::span(b).subspan(l3, 20 + s.ip_options)));
  }
  put16(b, l4, s.source_port);
  put16(b, l4 + 2, s.destination_port != 0 ? s.destination_port : s.is_udp ? 53u : 80u);
  if (s.is_udp) {
    put16(b, l4 + 4, static_cast<uint32_t>(l4_size));
  } else {
    put32(b, l4 + 4, s.sequence);
    put32(b, l4 + 8, 0x0a0b0c0d);
    b[l4 + 12] = static_cast<uint8_t>((20 + s.tcp_options) / 4 << 4);
    b[l4 + 13] = s.flags;
    put16(b, l4 + 14, 512);
    for (size_t i = 0; i < s.tcp_options; ++i) b[l4 + 20 + i] = 1;
  }
  b.insert(b.end(), s.payload.begin(), s.payload.end());
  const uint32_t pseudo = pseudo_sum(s, b, l4_size);
  uint32_t stored = pseudo;
  if (!s.is_partial) {
    stored = 0xffff & ~slow_sum(std::span(b).subspan(l4), pseudo);
    if (stored == 0) stored = 0xffff;
  }
  put16(b, l4 + s.checksum_offset(), stored);
  return b;
}

/// The frames its sender would have sent had it not left the cutting to others.
inline std::vector<Bytes> expected_cuts(const FrameSpec& whole, uint16_t gso_size, bool are_partial) {
  std::vector<Bytes> cuts;
  for (size_t done = 0; done < whole.payload.size() || cuts.empty(); done += gso_size) {
    FrameSpec s = whole;
    const size_t n = std::min<size_t>(gso_size, whole.payload.size() - done);
    const bool is_first = done == 0, is_last = done + n == whole.payload.size();
    s.payload = {whole.payload.begin() + static_cast<ptrdiff_t>(done),
                 whole.payload.begin() + static_cast<ptrdiff_t>(done + n)};
    s.sequence += static_cast<uint32_t>(done);
    s.id = static_cast<uint16_t>(s.id + cuts.size());
    if (!is_first) s.flags &= 0x7f;                        // CWR
    if (!is_last) s.flags &= static_cast<uint8_t>(~0x09);  // FIN, PSH
    s.is_partial = are_partial;
    cuts.push_back(make_frame(s));
  }
  return cuts;
}

inline Offload partial_offload(const FrameSpec& s, uint16_t gso_size = 0) {
  Offload o;
  o.checksum = Checksum::partial;
  o.csum_start = static_cast<uint16_t>(s.l4());
  o.csum_offset = static_cast<uint16_t>(s.checksum_offset());
  if (gso_size != 0) {
    o.gso = s.is_v6 ? Gso::tcp6 : Gso::tcp4;
    o.gso_size = gso_size;
  }
  return o;
}

/// Adds a packet to the burst as a port does: a head of up to `head_size` bytes, the rest in pieces of
/// `piece_size` (0: one). `bytes` must live as long.
inline Packet& add_packet(Burst& burst, const Bytes& bytes, Offload offload = {}, size_t piece_size = 0,
                          size_t head_size = kHeaderCopy) {
  Packet& p = burst.add();
  p.head_size = static_cast<uint16_t>(std::min(bytes.size(), head_size));
  p.size = p.head_size;
  p.offload = offload;
  std::memcpy(p.head, bytes.data(), p.head_size);
  while (p.size < bytes.size()) {
    const size_t left = bytes.size() - p.size;
    const size_t n = piece_size == 0 ? left : std::min(left, piece_size);
    if (!burst.append_segment(p, bytes.data() + p.size, static_cast<uint32_t>(n))) std::abort();
  }
  return p;
}

/// All bytes of the frame.
inline Bytes flatten(const Packet& p) {
  Bytes b(p.head, p.head + p.head_size);
  for (const Segment& s : p.payload_segments()) b.insert(b.end(), s.data, s.data + s.size);
  return b;
}

}  // namespace weft::dataplane::test
