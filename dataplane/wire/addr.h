// SPDX-License-Identifier: BSD-3-Clause
//
// Link and network addresses: plain values in wire order with alignment 1, usable inside header structs, as
// keys, and at the edges (parse, to_string). Parsing accepts only canonical textual forms: no leading zeros,
// no names, nothing left over.
#pragma once

#include "dataplane/wire/be.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <arpa/inet.h>

namespace weft::wire {

/// A 48-bit IEEE 802 MAC address in transmission order.
struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  static constexpr MacAddress broadcast() noexcept { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  /// From the low 48 bits of `v`; the first octet sent is the highest.
  static constexpr MacAddress from_u64(uint64_t v) noexcept {
    MacAddress m;
    for (int i = 5; i >= 0; --i, v >>= 8) m.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(v);
    return m;
  }
  /// "52:54:00:aa:bb:cc", case-insensitive, two digits an octet.
  static std::optional<MacAddress> parse(std::string_view s) noexcept {
    if (s.size() != 17) return std::nullopt;
    MacAddress m;
    for (size_t i = 0; i < 6; ++i) {
      int v = 0;
      for (size_t k = 0; k < 2; ++k) {
        const char c = s[i * 3 + k];
        int d;
        if (c >= '0' && c <= '9')
          d = c - '0';
        else if (c >= 'a' && c <= 'f')
          d = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
          d = c - 'A' + 10;
        else
          return std::nullopt;
        v = v * 16 + d;
      }
      if (i < 5 && s[i * 3 + 2] != ':') return std::nullopt;
      m.bytes[i] = static_cast<uint8_t>(v);
    }
    return m;
  }

  [[nodiscard]] constexpr uint64_t to_u64() const noexcept {
    uint64_t v = 0;
    for (const uint8_t b : bytes) v = v << 8 | b;
    return v;
  }
  /// A number that is the same for the same address, and no other's; 0 for the address 0. Cheaper than to_u64().
  [[nodiscard]] constexpr uint64_t key() const noexcept {
    const auto words = std::bit_cast<std::array<uint16_t, 3>>(bytes);
    return words[0] | uint64_t{words[1]} << 16 | uint64_t{words[2]} << 32;
  }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return (bytes[0] & 1) != 0; }
  [[nodiscard]] constexpr bool is_broadcast() const noexcept { return key() == 0xffffffffffff; }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return key() == 0; }
  [[nodiscard]] std::string to_string() const {
    char s[18];
    std::snprintf(s, sizeof s, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                  bytes[5]);
    return s;
  }

  constexpr bool operator==(const MacAddress& other) const noexcept { return key() == other.key(); }
  constexpr auto operator<=>(const MacAddress&) const noexcept = default;
};
static_assert(sizeof(MacAddress) == 6 && alignof(MacAddress) == 1);

/// An IPv4 address in wire order; ordering is numeric.
struct Ipv4Address {
  be32 value;

  constexpr Ipv4Address() noexcept = default;
  constexpr explicit Ipv4Address(uint32_t host) noexcept : value(host) {}
  constexpr Ipv4Address(uint8_t a, uint8_t b, uint8_t c, uint8_t d) noexcept
      : value(uint32_t{a} << 24 | uint32_t{b} << 16 | uint32_t{c} << 8 | d) {}
  static std::optional<Ipv4Address> parse(std::string_view s) noexcept {
    char text[INET_ADDRSTRLEN];
    if (s.size() >= sizeof text) return std::nullopt;
    std::memcpy(text, s.data(), s.size());
    text[s.size()] = 0;
    Ipv4Address a;
    if (std::memchr(text, 0, s.size()) != nullptr || inet_pton(AF_INET, text, &a) != 1) return std::nullopt;
    return a;
  }

  [[nodiscard]] constexpr uint32_t host() const noexcept { return value.host(); }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return value.raw() == 0; }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return host() >> 28 == 0xe; }
  [[nodiscard]] constexpr bool is_broadcast() const noexcept { return host() == 0xffffffff; }
  [[nodiscard]] constexpr bool is_loopback() const noexcept { return host() >> 24 == 127; }
  [[nodiscard]] constexpr bool is_link_local() const noexcept { return host() >> 16 == 0xa9fe; }
  [[nodiscard]] std::string to_string() const {
    char s[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, this, s, sizeof s);
  }

  constexpr auto operator<=>(const Ipv4Address&) const noexcept = default;
};
static_assert(sizeof(Ipv4Address) == 4 && alignof(Ipv4Address) == 1);

/// An IPv6 address in wire order.
struct Ipv6Address {
  std::array<uint8_t, 16> bytes{};

  static std::optional<Ipv6Address> parse(std::string_view s) noexcept {
    char text[INET6_ADDRSTRLEN];
    if (s.size() >= sizeof text) return std::nullopt;
    std::memcpy(text, s.data(), s.size());
    text[s.size()] = 0;
    Ipv6Address a;
    if (std::memchr(text, 0, s.size()) != nullptr || inet_pton(AF_INET6, text, &a) != 1) return std::nullopt;
    return a;
  }
  [[nodiscard]] constexpr bool is_zero() const noexcept { return *this == Ipv6Address{}; }
  [[nodiscard]] constexpr bool is_multicast() const noexcept { return bytes[0] == 0xff; }
  [[nodiscard]] constexpr bool is_link_local() const noexcept { return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }
  [[nodiscard]] std::string to_string() const {
    char s[INET6_ADDRSTRLEN];
    return inet_ntop(AF_INET6, bytes.data(), s, sizeof s);
  }

  constexpr auto operator<=>(const Ipv6Address&) const noexcept = default;
};
static_assert(sizeof(Ipv6Address) == 16 && alignof(Ipv6Address) == 1);

/// An address of either family.
class IpAddress {
 public:
  constexpr IpAddress() noexcept = default;
  constexpr IpAddress(Ipv4Address a) noexcept : is_v4_(true), v4_(a) {}   // NOLINT(google-explicit-constructor)
  constexpr IpAddress(Ipv6Address a) noexcept : is_v4_(false), v6_(a) {}  // NOLINT(google-explicit-constructor)
  static std::optional<IpAddress> parse(std::string_view s) noexcept {
    if (auto a = Ipv4Address::parse(s)) return IpAddress(*a);
    if (auto a = Ipv6Address::parse(s)) return IpAddress(*a);
    return std::nullopt;
  }

  [[nodiscard]] constexpr bool is_v4() const noexcept { return is_v4_; }
  [[nodiscard]] constexpr bool is_v6() const noexcept { return !is_v4_; }
  /// Only when is_v4().
  [[nodiscard]] constexpr Ipv4Address v4() const noexcept { return v4_; }
  /// Only when is_v6().
  [[nodiscard]] constexpr const Ipv6Address& v6() const noexcept { return v6_; }
  [[nodiscard]] std::string to_string() const { return is_v4_ ? v4_.to_string() : v6_.to_string(); }

  constexpr auto operator<=>(const IpAddress&) const noexcept = default;

 private:
  bool is_v4_ = true;
  Ipv4Address v4_;
  Ipv6Address v6_;
};

/// An IPv4 subnet: any address within it and a prefix length of 0…32.
struct Ipv4Prefix {
  Ipv4Address address;
  uint8_t length = 0;

  /// "192.168.122.0/24".
  static std::optional<Ipv4Prefix> parse(std::string_view s) noexcept {
    const size_t slash = s.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = Ipv4Address::parse(s.substr(0, slash));
    const std::string_view digits = s.substr(slash + 1);
    if (!address || digits.empty() || digits.size() > 2 || (digits.size() == 2 && digits[0] == '0'))
      return std::nullopt;
    int length = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      length = length * 10 + (c - '0');
    }
    if (length > 32) return std::nullopt;
    return Ipv4Prefix{*address, static_cast<uint8_t>(length)};
  }
  [[nodiscard]] constexpr uint32_t mask() const noexcept { return length == 0 ? 0 : ~uint32_t{0} << (32 - length); }
  [[nodiscard]] constexpr Ipv4Address netmask() const noexcept { return Ipv4Address(mask()); }
  [[nodiscard]] constexpr Ipv4Address network() const noexcept { return Ipv4Address(address.host() & mask()); }
  /// The subnet-directed broadcast address; meaningless for /31 and /32 (RFC 3021).
  [[nodiscard]] constexpr Ipv4Address broadcast() const noexcept { return Ipv4Address(address.host() | ~mask()); }
  [[nodiscard]] constexpr bool contains(Ipv4Address a) const noexcept {
    return ((a.host() ^ address.host()) & mask()) == 0;
  }
  [[nodiscard]] constexpr bool overlaps(const Ipv4Prefix& o) const noexcept {
    return length <= o.length ? contains(o.address) : o.contains(address);
  }
  [[nodiscard]] std::string to_string() const { return address.to_string() + "/" + std::to_string(length); }

  constexpr auto operator<=>(const Ipv4Prefix&) const noexcept = default;
};

}  // namespace weft::wire

template <>
struct std::hash<weft::wire::MacAddress> {
  size_t operator()(const weft::wire::MacAddress& m) const noexcept { return std::hash<uint64_t>{}(m.to_u64()); }
};
template <>
struct std::hash<weft::wire::Ipv4Address> {
  size_t operator()(const weft::wire::Ipv4Address& a) const noexcept { return std::hash<uint32_t>{}(a.value.raw()); }
};
template <>
struct std::hash<weft::wire::IpAddress> {
  size_t operator()(const weft::wire::IpAddress& a) const noexcept {
    if (a.is_v4()) return std::hash<weft::wire::Ipv4Address>{}(a.v4());
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.v6().bytes.data()), 16});
  }
};
