// SPDX-License-Identifier: BSD-3-Clause
#include "dns/name.h"

#include <algorithm>
#include <cstdio>

namespace weft::dns {

std::optional<Name> Name::from_text(std::string_view text) noexcept {
  Name name;
  if (text == ".") return name;
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  size_t size = 0;
  while (true) {
    const size_t dot = std::min(text.find('.'), text.size());
    if (dot == 0 || dot > kMaxLabel || size + 1 + dot + 1 > kMaxSize) return std::nullopt;
    name.bytes_[size++] = static_cast<uint8_t>(dot);
    for (const char c : text.substr(0, dot)) {
      if (c <= ' ' || c > '~' || c == '\\') return std::nullopt;
      name.bytes_[size++] = static_cast<uint8_t>(c);
    }
    if (dot == text.size()) break;
    text.remove_prefix(dot + 1);
  }
  name.bytes_[size++] = 0;
  name.size_ = static_cast<uint8_t>(size);
  return name;
}

std::optional<Name> Name::from_message(std::span<const uint8_t> message, size_t& offset) noexcept {
  Name name;
  size_t size = 0;         // written so far
  size_t at = offset;      // where we read
  size_t lowest = offset;  // a pointer must lead below everything read since the last one
  size_t n_pointers = 0;
  while (true) {
    if (at >= message.size()) return std::nullopt;
    const uint8_t length = message[at];
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= message.size()) return std::nullopt;
      const size_t target = static_cast<size_t>(length & 0x3f) << 8 | message[at + 1];
      if (n_pointers == 0) offset = at + 2;
      if (target >= lowest || ++n_pointers > kMaxPointers) return std::nullopt;
      at = lowest = target;
      continue;
    }
    if ((length & 0xc0) != 0) return std::nullopt;  // 01 and 10: withdrawn (RFC 6891 §5)
    const size_t step = size_t{1} + length;
    if (message.size() - at < step || size + step + (length == 0 ? 0 : 1) > kMaxSize) return std::nullopt;
    std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(at), step,
                name.bytes_.begin() + static_cast<std::ptrdiff_t>(size));
    size += step;
    at += step;
    if (length == 0) break;
  }
  if (n_pointers == 0) offset = at;
  name.size_ = static_cast<uint8_t>(size);
  return name;
}

std::optional<Name> Name::join(const Name& name, const Name& suffix) noexcept {
  const size_t head = name.size() - 1u;
  if (head + suffix.size() > kMaxSize) return std::nullopt;
  Name joined = name;
  std::copy_n(suffix.bytes_.begin(), suffix.size(), joined.bytes_.begin() + static_cast<std::ptrdiff_t>(head));
  joined.size_ = static_cast<uint8_t>(head + suffix.size());
  return joined;
}

size_t Name::n_labels() const noexcept {
  size_t n = 0;
  for (size_t at = 0; bytes_[at] != 0; at += 1u + bytes_[at]) ++n;
  return n;
}

Name Name::parent() const noexcept {
  Name up;
  if (is_root()) return up;
  const size_t skip = 1u + bytes_[0];
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(skip), size_ - skip, up.bytes_.begin());
  up.size_ = static_cast<uint8_t>(size_ - skip);
  return up;
}

Name Name::last_labels(size_t n) const noexcept {
  Name name = *this;
  for (size_t have = n_labels(); have > n; --have) name = name.parent();
  return name;
}

Name Name::lower() const noexcept {
  // Length bytes are at most 63 and so never look like letters.
  Name name = *this;
  for (size_t i = 0; i < size_; ++i) name.bytes_[i] = fold_case(name.bytes_[i]);
  return name;
}

bool Name::is_under(const Name& zone) const noexcept {
  size_t at = 0;
  while (size_ - at > zone.size_) at += 1u + bytes_[at];
  if (size_ - at != zone.size_) return false;
  for (size_t i = 0; i < zone.size_; ++i)
    if (fold_case(bytes_[at + i]) != fold_case(zone.bytes_[i])) return false;
  return true;
}

std::string Name::to_string() const {
  if (is_root()) return ".";
  std::string text;
  for (size_t at = 0; bytes_[at] != 0; at += 1u + bytes_[at]) {
    if (at != 0) text += '.';
    for (size_t i = 1; i <= bytes_[at]; ++i) {
      const uint8_t c = bytes_[at + i];
      if (c > ' ' && c <= '~' && c != '.' && c != '\\') {
        text += static_cast<char>(c);
      } else {
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\%03u", unsigned{c});
        text += escaped;
      }
    }
  }
  return text;
}

bool Name::operator==(const Name& other) const noexcept {
  return size_ == other.size_ && std::equal(bytes_.begin(), bytes_.begin() + size_, other.bytes_.begin(),
                                            [](uint8_t a, uint8_t b) { return fold_case(a) == fold_case(b); });
}

}  // namespace weft::dns
