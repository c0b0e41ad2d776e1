// SPDX-License-Identifier: BSD-3-Clause
//
// How a YAML map becomes a struct: a Reader is asked for each key the struct knows, converts its value,
// reports what does not convert, and at the end refuses the keys nobody asked for. A section reads as the
// list of its keys:
//
//   r.map("mtu", [&](Reader& m) { m.required("size", n.mtu, 68, 65535); });
//
// Internal to config/.
#pragma once

#include "config/report.h"
#include "config/scalar.h"
#include "config/yaml_tree.h"

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::config {

class Reader {
 public:
  using Section = std::function<void(Reader&)>;

  /// Runs `section` over `node`, a map (nothing at all counts as an empty one); then refuses what it did not
  /// ask for.
  static void read(Report& report, const YamlNode& node, const std::string& path, const Section& section);

  /// The value of `key`, if given and right. True when `out` was set.
  template <class T>
  bool value(std::string_view key, T& out) {
    const YamlNode* n = take(key);
    return n != nullptr && convert(*n, path(key), out);
  }
  /// A number that must lie in low…high.
  template <class T>
  bool value(std::string_view key, T& out, uint64_t low, uint64_t high) {
    const YamlNode* n = take(key);
    uint64_t number = 0;
    if (n == nullptr) return false;
    if (n->kind == YamlNode::Kind::kScalar && parse_scalar(n->text, number) && number >= low && number <= high) {
      out = static_cast<Number<T>>(number);
      return true;
    }
    report_.error(path(key), mismatch(fmt::format("a whole number from {} to {}", low, high), describe(*n)));
    return false;
  }
  /// The same, and an error when the key is missing.
  template <class T, class... Bounds>
  bool required(std::string_view key, T& out, Bounds... bounds) {
    require(key);
    return value(key, out, bounds...);
  }
  void require(std::string_view key);

  /// A list of plain values.
  template <class T>
  void values(std::string_view key, std::vector<T>& out) {
    each(key, [&](const YamlNode& n, const std::string& item) {
      T v{};
      if (convert(n, item, v)) out.push_back(std::move(v));
    });
  }
  /// A map within. True when it is there.
  bool map(std::string_view key, const Section& section);
  /// A list of maps: `section` is run for each, with an item of `out` to fill (its `where` is set).
  template <class T>
  void list(std::string_view key, std::vector<T>& out, const std::function<void(Reader&, T&)>& section) {
    each(key, [&](const YamlNode& n, const std::string& item) {
      T& v = out.emplace_back();
      if constexpr (requires { v.where; }) v.where = {report_.file(), n.line, n.column};
      read(report_, n, item, [&](Reader& r) { section(r, v); });
    });
  }
  /// `key` as it stands, for values of several shapes. nullptr: not given.
  const YamlNode* take(std::string_view key);
  /// Each item of the list at `key` with its path.
  void each(std::string_view key, const std::function<void(const YamlNode&, const std::string&)>& item);
  /// Every key of this map that was not asked for, with its value; for maps with free keys.
  void rest(const std::function<void(const std::string& key, const YamlNode&, const std::string& path)>& entry);

  template <class T>
  bool convert(const YamlNode& node, const std::string& path, T& out) {
    T parsed{};
    if (node.kind == YamlNode::Kind::kScalar && parse_scalar(node.text, parsed)) {
      out = std::move(parsed);
      return true;
    }
    report_.error(path, mismatch(expected(out), describe(node)));
    return false;
  }

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] std::string path(std::string_view key) const { return join(path_, key); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] Report& report() noexcept { return report_; }

 private:
  template <class T>
  struct Plain {
    using type = T;
  };
  template <class T>
  struct Plain<std::optional<T>> {
    using type = T;
  };
  template <class T>
  using Number = typename Plain<T>::type;

  Reader(Report& report, const YamlNode& node, std::string path);
  void refuse_unknown();

  Report& report_;
  const YamlNode& node_;
  std::string path_;
  std::vector<std::string> asked_;
  bool free_keys_ = false;
};

}  // namespace weft::config
