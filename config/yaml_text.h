// SPDX-License-Identifier: BSD-3-Clause
//
// Writing YAML: a tree in the order it is put together, printed in the one style the project uses. Internal
// to config/.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weft::config {

/// A value to print: a scalar, a list or a map with its keys in order.
class YamlText {
 public:
  enum class Kind { kScalar, kList, kMap };

  static YamlText list() { return YamlText(Kind::kList); }
  static YamlText map() { return YamlText(Kind::kMap); }
  /// Text, quoted where YAML needs it.
  static YamlText text(std::string_view s);
  /// Printed as it is: numbers and words.
  static YamlText word(std::string s);
  static YamlText boolean(bool b) { return word(b ? "yes" : "no"); }
  template <std::integral T>
  static YamlText number(T n) {
    return word(std::to_string(n));
  }

  YamlText& put(std::string key, YamlText value);
  /// Left out when it is an empty list or map.
  YamlText& put_filled(std::string key, YamlText value);
  YamlText& add(YamlText item);
  [[nodiscard]] bool empty() const noexcept { return keys_.empty() && children_.empty(); }

  /// As a document, ended by a newline.
  [[nodiscard]] std::string print() const;

 private:
  explicit YamlText(Kind kind) : kind_(kind) {}
  [[nodiscard]] bool is_flat() const;
  [[nodiscard]] std::string flow() const;
  void block(std::string& out, size_t indent, bool after_dash) const;
  void value_after(std::string& out, size_t indent) const;

  Kind kind_ = Kind::kScalar;
  std::string text_;   // as it is printed in one line
  std::string lines_;  // of a text of several lines: the text itself, to be printed as a block
  std::vector<std::string> keys_;
  std::vector<YamlText> children_;
};

}  // namespace weft::config
