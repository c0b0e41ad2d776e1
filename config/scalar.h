// SPDX-License-Identifier: BSD-3-Clause
//
// From the text of one value to its type, for YAML scalars and XML attributes alike: `parse_scalar(text,
// out)` says whether `text` is one, `expected(out)` says what would have been. Internal to config/.
#pragma once

#include "config/model.h"
#include "config/names.h"
#include "config/report.h"

#include <charconv>
#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

namespace weft::config {

inline bool parse_scalar(std::string_view text, std::string& out) {
  out = text;
  return true;
}
inline std::string expected(const std::string&) { return "text"; }

inline bool parse_scalar(std::string_view text, bool& out) {
  out = text == "yes" || text == "on" || text == "true";
  return out || text == "no" || text == "off" || text == "false";
}
inline std::string expected(const bool&) { return "yes or no"; }

/// Decimal digits only: no sign, no space, no other base.
template <std::unsigned_integral T>
requires(!std::same_as<T, bool>) bool parse_scalar(std::string_view text, T& out) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}
template <std::unsigned_integral T>
requires(!std::same_as<T, bool>) std::string expected(const T&) {
  return fmt::format("a whole number from 0 to {}", std::numeric_limits<T>::max());
}

template <class E>
requires std::is_enum_v<E>
bool parse_scalar(std::string_view text, E& out) {
  for (const auto& [value, name] : Spelling<E>::kAll) {
    if (name != text) continue;
    out = value;
    return true;
  }
  return false;
}
template <class E>
requires std::is_enum_v<E> std::string expected(const E&) {
  std::vector<std::string> names;
  for (const auto& [value, name] : Spelling<E>::kAll) names.emplace_back(name);
  return one_of(names);
}

template <class T>
requires requires(std::string_view s) {
  { T::parse(s) } -> std::same_as<std::optional<T>>;
}
bool parse_scalar(std::string_view text, T& out) {
  const auto parsed = T::parse(text);
  if (parsed) out = *parsed;
  return parsed.has_value();
}
inline std::string expected(const wire::MacAddress&) { return "a MAC address such as 52:54:00:6a:1c:01"; }
inline std::string expected(const wire::Ipv4Address&) { return "an IPv4 address such as 192.0.2.1"; }
inline std::string expected(const wire::IpAddress&) { return "an IP address such as 192.0.2.1 or 2001:db8::1"; }

inline bool parse_scalar(std::string_view text, IpPrefix& out) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return false;
  const auto address = wire::IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || !parse_scalar(digits, out.length) || (digits.size() > 1 && digits[0] == '0')) return false;
  out.address = *address;
  return out.length <= (address->is_v4() ? 32 : 128);
}
inline std::string expected(const IpPrefix&) { return "an address with its prefix such as 192.0.2.1/24"; }

template <class T>
bool parse_scalar(std::string_view text, std::optional<T>& out) {
  T value{};
  if (!parse_scalar(text, value)) return false;
  out = std::move(value);
  return true;
}
template <class T>
std::string expected(const std::optional<T>&) {
  return expected(T{});
}

/// "expected …, found 'text'".
std::string mismatch(std::string_view what, std::string_view found);

/// 32 hex digits with or without dashes, to lower case with dashes.
std::optional<std::string> parse_uuid(std::string_view text);

}  // namespace weft::config
