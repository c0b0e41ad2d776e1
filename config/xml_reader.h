// SPDX-License-Identifier: BSD-3-Clause
//
// How an XML element becomes a struct, the counterpart of reader.h: an Element is asked for the attributes
// and children the struct knows, and refuses the rest at the end. Places are kept under the model's paths, so
// that the checks that follow are those of the YAML. Internal to config/.
#pragma once

#include "config/report.h"
#include "config/scalar.h"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <pugixml.hpp>

namespace weft::config {

/// A parsed document and the text it came from, for places.
class XmlSource {
 public:
  explicit XmlSource(std::string_view text, Report& report);
  XmlSource(const XmlSource&) = delete;
  XmlSource& operator=(const XmlSource&) = delete;

  /// The root element; empty when the document is not well-formed, which is then reported.
  [[nodiscard]] pugi::xml_node root() const { return root_; }
  [[nodiscard]] Report& report() const { return report_; }

  struct Position {
    uint32_t line = 0, column = 0;
  };
  [[nodiscard]] Position position(size_t offset) const;
  /// Of the '<' of an element, of the first letter of a text.
  [[nodiscard]] size_t offset(pugi::xml_node node) const;
  /// Of each attribute of an element, by name, in the order written.
  struct Attribute {
    std::string name;
    size_t offset = 0;
  };
  [[nodiscard]] std::vector<Attribute> attributes(pugi::xml_node node) const;
  /// What stands between the tags of an element, evenly indented and without comments.
  [[nodiscard]] std::string inside(pugi::xml_node node) const;

 private:
  std::optional<std::pair<size_t, std::string>> find_malformed() const;

  std::string_view text_;
  Report& report_;
  std::vector<size_t> lines_;  // where each begins
  pugi::xml_document document_;
  pugi::xml_node root_;
};

class Element {
 public:
  using Section = std::function<void(Element&)>;

  /// Runs `section` over `node`, whose path in the model is `path`; then refuses what it did not ask for.
  static void read(const XmlSource& source, pugi::xml_node node, const std::string& path, const Section& section);

  /// The attribute `name`, kept under the key `name` of this path. True when `out` was set.
  template <class T>
  bool attribute(const char* name, T& out) {
    const auto text = take(name);
    if (!text) return false;
    T parsed{};
    if (parse(*text, parsed)) {
      out = std::move(parsed);
      return true;
    }
    report().error(path(name), mismatch(meant(out), quote(*text)));
    return false;
  }
  template <class T>
  bool number(const char* name, T& out, uint64_t low, uint64_t high) {
    const auto text = take(name);
    uint64_t n = 0;
    if (!text) return false;
    if (parse_scalar(*text, n) && n >= low && n <= high) {
      if constexpr (requires { out.value(); })
        out = static_cast<typename T::value_type>(n);
      else
        out = static_cast<T>(n);
      return true;
    }
    report().error(path(name), mismatch(fmt::format("a whole number from {} to {}", low, high), quote(*text)));
    return false;
  }
  /// Reports when an attribute is missing.
  void require(const char* name);
  /// The text of an attribute, asked for and placed.
  std::optional<std::string> take(const char* name);
  [[nodiscard]] bool has(const char* name) const { return node_.attribute(name); }
  /// Every attribute not asked for yet; for elements with free ones.
  std::vector<std::pair<std::string, std::string>> rest();

  /// The child `name`, once at most; its path is `key` below this one. True when it is there.
  bool child(const char* name, const std::string& key, const Section& section);
  /// Each child `name` fills an item of `out`; their paths are `key`[0], `key`[1], …
  template <class T>
  void children(const char* name, const std::string& key, std::vector<T>& out,
                const std::function<void(Element&, T&)>& section) {
    asked_children_.insert(name);
    for (const pugi::xml_node c : node_.children(name)) {
      const std::string item = at(path(key), out.size());
      if (out.empty()) place_list(c, path(key));
      T& v = out.emplace_back();
      read(source_, c, item, [&](Element& e) {
        if constexpr (requires { v.where; }) v.where = report().where(item);
        section(e, v);
      });
    }
  }
  /// The text inside; the element has no children then.
  std::string text();
  /// What is inside, as text; nothing of it is looked at.
  std::string raw();
  /// Children `name` are known and meaningless here.
  void skip(const char* name) { asked_children_.insert(name); }

  [[nodiscard]] std::string path(std::string_view key) const { return join(path_, key); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Report& report() const { return source_.report(); }
  [[nodiscard]] pugi::xml_node node() const { return node_; }
  [[nodiscard]] const XmlSource& source() const { return source_; }

 private:
  Element(const XmlSource& source, pugi::xml_node node, std::string path);
  void refuse_unknown();
  /// A list stands where its first item does.
  void place_list(pugi::xml_node first, const std::string& path);

  // XML is stricter than YAML about yes and no.
  static bool parse(const std::string& text, bool& out) {
    out = text == "yes";
    return out || text == "no";
  }
  static bool parse(const std::string& text, std::optional<bool>& out) {
    out = text == "yes";
    return *out || text == "no";
  }
  template <class T>
  static bool parse(const std::string& text, T& out) {
    return parse_scalar(text, out);
  }
  template <class T>
  static std::string meant(const T& out) {
    return expected(out);
  }

  const XmlSource& source_;
  pugi::xml_node node_;
  std::string path_;
  std::vector<XmlSource::Attribute> attributes_;
  std::set<std::string> asked_attributes_, asked_children_;
  bool is_text_ = false;
};

}  // namespace weft::config
