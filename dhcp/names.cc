// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/names.h"

#include <algorithm>

namespace weft::dhcp {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxLabel = 63;

bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string printable_name(std::span<const uint8_t> bytes) {
  std::string name;
  for (const uint8_t b : bytes.first(std::min(bytes.size(), kMaxName))) {
    if (b == 0) break;
    name.push_back(b > ' ' && b < 0x7f ? static_cast<char>(b) : '?');
  }
  return name;
}

std::string_view host_label(std::string_view name) noexcept {
  const std::string_view label = name.substr(0, name.find('.'));
  if (label.empty() || label.size() > kMaxLabel || !is_alphanumeric(label[0])) return {};
  const bool legal =
      std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
  return legal ? label : std::string_view{};
}

std::string lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::optional<ClientFqdn> parse_fqdn(std::span<const uint8_t> option) {
  constexpr size_t kFixed = 3;  // flags and two return codes
  if (option.size() < kFixed) return std::nullopt;
  ClientFqdn fqdn{option[0], {}};
  option = option.subspan(kFixed);
  if ((fqdn.flags & kFqdnEncoded) == 0) {
    fqdn.name = printable_name(option);
  } else {
    // Uncompressed labels; a partial name has no root label (RFC 4702 §2.3.1).
    while (!option.empty() && option[0] != 0) {
      const size_t size = option[0];
      if (size > kMaxLabel || size >= option.size()) return std::nullopt;
      if (!fqdn.name.empty()) fqdn.name.push_back('.');
      // A dot or NUL inside a label is one of its characters, not a separator: it must not shorten the name.
      for (const uint8_t b : option.subspan(1, size))
        fqdn.name.push_back(b > ' ' && b < 0x7f && b != '.' ? static_cast<char>(b) : '?');
      if (fqdn.name.size() > kMaxName) return std::nullopt;
      option = option.subspan(1 + size);
    }
  }
  if (fqdn.name.ends_with('.')) fqdn.name.pop_back();
  return fqdn;
}

std::string make_fqdn(uint8_t flags, std::string_view name) {
  std::string option{static_cast<char>(flags & 0x0f), '\xff', '\xff'};
  if ((flags & kFqdnEncoded) == 0) return option.append(name);
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    if (label.empty() || label.size() > kMaxLabel) return {};
    option.push_back(static_cast<char>(label.size()));
    option.append(label);
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  option.push_back('\0');
  return option;
}

}  // namespace weft::dhcp
