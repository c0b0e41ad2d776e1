// SPDX-License-Identifier: BSD-3-Clause
//
// A domain name: a plain value holding the uncompressed wire form (RFC 1035 §3.1) in place, never allocating.
// The case is kept as it came; comparisons ignore the case of ASCII letters (RFC 4343). Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft::dns {

/// One byte as RFC 4343 folds it: only A–Z change.
constexpr uint8_t fold_case(uint8_t c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c; }

class Name {
 public:
  static constexpr size_t kMaxSize = 255;  // RFC 1035 §2.3.4, length bytes and root included
  static constexpr size_t kMaxLabel = 63;
  static constexpr size_t kMaxPointers = 127;  // one a label of the longest name; more only waste our time

  /// The root.
  Name() noexcept = default;

  /// "vm1.lab.test" or "vm1.lab.test."; "." is the root. No escapes: a label is 1…63 printable ASCII
  /// characters without space, dot and backslash. nullopt otherwise, and when it would not fit.
  static std::optional<Name> from_text(std::string_view text) noexcept;

  /// Reads the name at `offset` of a message and moves `offset` behind it. Follows compression pointers (RFC
  /// 1035 §4.1.4) only strictly backwards and at most 127, so that every chain ends soon. nullopt: cut short,
  /// a label type other than 00 and 11, a pointer that does not point back, or longer than 255 bytes;
  /// `offset` is then unspecified.
  static std::optional<Name> from_message(std::span<const uint8_t> message, size_t& offset) noexcept;

  /// `name` followed by `suffix`; nullopt when that is longer than 255 bytes.
  static std::optional<Name> join(const Name& name, const Name& suffix) noexcept;

  /// Wire form, the closing zero byte included; 1…255 bytes.
  [[nodiscard]] std::span<const uint8_t> wire() const noexcept { return {bytes_.data(), size_}; }
  /// The same as characters: the key under which maps keep a lower() name.
  [[nodiscard]] std::string_view key() const noexcept { return {reinterpret_cast<const char*>(bytes_.data()), size_}; }
  [[nodiscard]] size_t size() const noexcept { return size_; }
  [[nodiscard]] bool is_root() const noexcept { return size_ == 1; }
  /// Labels without the root's.
  [[nodiscard]] size_t n_labels() const noexcept;
  /// The first label's characters; empty for the root.
  [[nodiscard]] std::string_view first_label() const noexcept { return key().substr(1, bytes_[0]); }
  /// Without the first label; the root's parent is the root.
  [[nodiscard]] Name parent() const noexcept;
  /// The last `n` labels; all of it when it has no more.
  [[nodiscard]] Name last_labels(size_t n) const noexcept;
  [[nodiscard]] Name lower() const noexcept;
  /// Equal to `zone` or below it.
  [[nodiscard]] bool is_under(const Name& zone) const noexcept;
  /// "vm1.lab.test" without a closing dot, "." for the root; unprintable bytes as \DDD.
  [[nodiscard]] std::string to_string() const;

  /// Ignores case.
  bool operator==(const Name& other) const noexcept;

 private:
  std::array<uint8_t, kMaxSize> bytes_{};
  uint8_t size_ = 1;
};

}  // namespace weft::dns
