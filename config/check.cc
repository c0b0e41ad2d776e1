// SPDX-License-Identifier: BSD-3-Clause
#include "config/check.h"

#include "config/scalar.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weft::config {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool has_labels(std::string_view name, bool underscores) {
  if (name.empty() || name.size() > 253) return false;
  for (size_t start = 0; start <= name.size();) {
    const size_t dot = std::min(name.find('.', start), name.size());
    const std::string_view label = name.substr(start, dot - start);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    for (const char c : label)
      if (!is_alnum(c) && c != '-' && !(underscores && c == '_')) return false;
    start = dot + 1;
  }
  return true;
}

}  // namespace

size_t utf8_at(std::string_view s, size_t i) {
  const auto byte = [&](size_t k) { return i + k < s.size() ? static_cast<unsigned char>(s[i + k]) : 0u; };
  const unsigned b = byte(0);
  if (b < 0x80) return 1;
  const size_t n = b >= 0xc2 && b <= 0xdf ? 2 : b >= 0xe0 && b <= 0xef ? 3 : b >= 0xf0 && b <= 0xf4 ? 4 : 0;
  for (size_t k = 1; k < n; ++k)
    if ((byte(k) & 0xc0) != 0x80) return 0;
  if ((b == 0xe0 && byte(1) < 0xa0) || (b == 0xed && byte(1) > 0x9f) || (b == 0xf0 && byte(1) < 0x90) ||
      (b == 0xf4 && byte(1) > 0x8f))
    return 0;
  return n;
}

bool is_host_name(std::string_view name) { return has_labels(name, false); }
bool is_domain_name(std::string_view name) { return has_labels(name, true); }

bool is_netdev_name(std::string_view name) {
  if (name.empty() || name.size() > 15 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%'; });
}

void check_name(const std::string& name, const std::string& path, Report& report) {
  if (report.failed(path)) return;
  if (name.empty()) report.error(path, "a name is needed, found nothing");
  const bool odd = std::any_of(name.begin(), name.end(),
                               [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/'; });
  if (odd || name == "." || name == "..")
    report.error(path, mismatch("a name without '/' and line breaks", quote(name)));
  if (name.size() > 255)
    report.error(path, fmt::format("a name of at most 255 bytes is needed, found {}", name.size()));
}

void check_netdev_name(const std::string& name, const std::string& path, Report& report) {
  if (report.failed(path) || is_netdev_name(name)) return;
  if (name.size() > 15)
    report.error(path, fmt::format("{} has {} characters; the name of a network device has at most 15", quote(name),
                                   name.size()));
  else
    report.error(path, mismatch("the name of a network device (no space, '/', ':' or '%')", quote(name)));
}

void check_socket_path(const std::string& socket_path, const std::string& path, Report& report) {
  if (report.failed(path)) return;
  if (socket_path.empty() || socket_path[0] != '/' || socket_path.find('\0') != std::string::npos)
    report.error(path, mismatch("an absolute path", quote(socket_path)));
  else if (socket_path.size() > 107)
    report.error(path, fmt::format("a path of {} characters; a socket's has at most 107", socket_path.size()));
  else if (socket_path.back() == '/')
    report.error(path, mismatch("the path of a socket, not of a directory", quote(socket_path)));
}

void check_mac(const wire::MacAddress& mac, const std::string& path, Report& report) {
  if (report.failed(path)) return;
  if (mac.is_multicast())
    report.error(path,
                 fmt::format("{} is a multicast address; the first octet of a device's is even", mac.to_string()));
  else if (mac.is_zero())
    report.error(path, "all zeros is no device's address");
}

bool check_unicast(const wire::IpAddress& a, const std::string& path, Report& report) {
  const char* why = nullptr;
  if (a.is_v4()) {
    const wire::Ipv4Address v4 = a.v4();
    if (v4.host() >> 24 == 0)
      why = "0.0.0.0/8 is 'this network'";
    else if (v4.is_loopback())
      why = "127.0.0.0/8 is loopback";
    else if (v4.is_multicast())
      why = "224.0.0.0/4 is multicast";
    else if (v4.host() >> 28 == 0xf)
      why = "240.0.0.0/4 is reserved";
  } else {
    const wire::Ipv6Address& v6 = a.v6();
    wire::Ipv6Address loopback;
    loopback.bytes[15] = 1;
    if (v6.is_zero())
      why = ":: is no address";
    else if (v6 == loopback)
      why = "::1 is loopback";
    else if (v6.is_multicast())
      why = "ff00::/8 is multicast";
  }
  if (why != nullptr) report.error(path, fmt::format("{} cannot be a machine's address: {}", a.to_string(), why));
  return why == nullptr;
}

const char* reserved_in(const IpPrefix& subnet, const wire::IpAddress& a) {
  if (!subnet.is_v4() || !a.is_v4() || subnet.length >= 31) return nullptr;  // RFC 3021
  if (a.v4() == subnet.v4().network()) return "network address";
  if (a.v4() == subnet.v4().broadcast()) return "broadcast address";
  return nullptr;
}

bool check_host_in(const IpPrefix& subnet, const wire::IpAddress& a, const std::string& path, Report& report) {
  if (a.is_v4() != subnet.is_v4()) {
    report.error(path, fmt::format("{} is not of the family of {}", a.to_string(), subnet.to_string()));
    return false;
  }
  if (!subnet.contains(a)) {
    report.error(path, fmt::format("{} is outside of {}", a.to_string(), network_of(subnet).to_string()));
    return false;
  }
  if (const char* reserved = reserved_in(subnet, a)) {
    report.error(path, fmt::format("{} is the {} of {}", a.to_string(), reserved, network_of(subnet).to_string()));
    return false;
  }
  return true;
}

uint64_t distance(const wire::IpAddress& a, const wire::IpAddress& b) {
  if (a.is_v4()) return b.v4().host() - a.v4().host();
  const auto half = [](const wire::Ipv6Address& v6, size_t from) {
    uint64_t n = 0;
    for (size_t i = from; i < from + 8; ++i) n = n << 8 | v6.bytes[i];
    return n;
  };
  const uint64_t high = half(b.v6(), 0) - half(a.v6(), 0), low_a = half(a.v6(), 8), low_b = half(b.v6(), 8);
  if (high == 0) return low_b - low_a;
  if (high == 1 && low_b < low_a) return low_b - low_a;  // carries into the upper half once
  return ~uint64_t{0};
}

IpPrefix network_of(const IpPrefix& p) {
  if (p.is_v4()) return {p.v4().network(), p.length};
  wire::Ipv6Address a = p.address.v6();
  for (size_t bit = p.length; bit < 128; ++bit) a.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  return {a, p.length};
}

bool IpPrefix::contains(const wire::IpAddress& a) const noexcept {
  if (a.is_v4() != is_v4()) return false;
  if (is_v4()) return v4().contains(a.v4());
  return network_of({a, length}).address == network_of(*this).address;
}

bool IpPrefix::overlaps(const IpPrefix& o) const noexcept {
  return length <= o.length ? contains(o.address) : o.contains(address);
}

void Once::add(const std::string& value, const std::string& path) {
  const auto [it, is_new] = seen_.try_emplace(value, path);
  if (is_new || report_.failed(path)) return;
  const Location first = report_.where(it->second);
  const std::string where = !report_.placed(it->second)    ? std::string("already")
                            : first.file == report_.file() ? fmt::format("at line {} already", first.line)
                                                           : fmt::format("in {} already", first.to_string());
  report_.error(path, fmt::format("{} {} is used {}", what_, quote(value), where));
}

}  // namespace weft::config
