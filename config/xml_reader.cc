// SPDX-License-Identifier: BSD-3-Clause
#include "config/xml_reader.h"

#include "config/check.h"
#include "config/yaml_tree.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace weft::config {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// "&amp;" and the like at `s`, or a character by number. Others exist only with a document type.
bool is_reference(std::string_view s) {
  for (const std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"})
    if (s.substr(0, known.size()) == known) return true;
  if (s.substr(0, 2) != "&#") return false;
  const bool hex = s.size() > 2 && s[2] == 'x';
  unsigned long code = 0;
  size_t i = hex ? 3 : 2;
  const size_t first = i;
  for (; i < s.size() && i < first + 7 && s[i] != ';'; ++i) {
    const char c = s[i];
    const int digit = c >= '0' && c <= '9'          ? c - '0'
                      : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                    : -1;
    if (digit < 0) return false;
    code = code * (hex ? 16 : 10) + static_cast<unsigned long>(digit);
  }
  const bool allowed = code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code < 0xd800) ||
                       (code >= 0xe000 && code < 0x110000);
  return i > first && i < s.size() && s[i] == ';' && allowed;
}

}  // namespace

XmlSource::XmlSource(std::string_view text, Report& report) : text_(text), report_(report) {
  lines_.push_back(0);
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '\n') lines_.push_back(i + 1);
  if (text.size() > kMaxFileSize) {
    report_.error_at(0, 0, {}, fmt::format("{} bytes; the limit is {} MiB", text.size(), kMaxFileSize >> 20));
    return;
  }
  if (const auto bad = find_malformed()) {
    const Position p = position(bad->first);
    report_.error_at(p.line, p.column, {}, bad->second);
    return;
  }
  const auto result =
      document_.load_buffer(text.data(), text.size(), pugi::parse_default | pugi::parse_doctype, pugi::encoding_utf8);
  const auto refuse = [&](size_t offset, const std::string& why) {
    const Position p = position(offset);
    report_.error_at(p.line, p.column, {}, why);
  };
  if (!result) {
    refuse(std::min<size_t>(static_cast<size_t>(std::max<std::ptrdiff_t>(result.offset, 0)), text.size()),
           fmt::format("not well-formed XML: {}", result.description()));
    return;
  }
  for (const pugi::xml_node n : document_.children()) {
    if (n.type() == pugi::node_doctype) {
      refuse(0, "a document type is of no use here");
      return;
    }
    if (n.type() == pugi::node_element && root_) {
      refuse(offset(n), fmt::format("a second root element, <{}>", n.name()));
      root_ = {};
      return;
    }
    if (n.type() == pugi::node_element) root_ = n;
  }
}

std::optional<std::pair<size_t, std::string>> XmlSource::find_malformed() const {
  const auto skipped = [&](size_t i, std::string_view open, std::string_view close) -> size_t {
    if (text_.substr(i, open.size()) != open) return 0;
    const size_t end = text_.find(close, i + open.size());
    return end == std::string_view::npos ? text_.size() - i : end + close.size() - i;
  };
  for (size_t i = 0; i < text_.size();) {
    const size_t n = utf8_at(text_, i);
    const auto c = static_cast<unsigned char>(text_[i]);
    if (n == 0) return std::pair{i, std::string("not UTF-8, which is the one encoding read here")};
    if (c < 0x20 && !is_space(text_[i])) return std::pair{i, fmt::format("a control character (byte 0x{:02x})", c)};
    if (c == '<') {
      size_t skip = 0;
      for (const auto& [open, close] : {std::pair{"<!--", "-->"}, std::pair{"<![CDATA[", "]]>"}, std::pair{"<?", "?>"}})
        skip = std::max(skip, skipped(i, open, close));
      // What is skipped may hold any '&', but is text all the same.
      for (size_t k = i; k < i + skip;) {
        const size_t step = utf8_at(text_, k);
        if (step == 0) return std::pair{k, std::string("not UTF-8, which is the one encoding read here")};
        const auto inner = static_cast<unsigned char>(text_[k]);
        if (inner < 0x20 && !is_space(text_[k]))
          return std::pair{k, fmt::format("a control character (byte 0x{:02x})", inner)};
        k += step;
      }
      if (skip != 0) {
        i += skip;
        continue;
      }
    }
    if (c == '&' && !is_reference(text_.substr(i)))
      return std::pair{i, std::string("'&' begins no known character; write &amp;")};
    i += n;
  }
  return std::nullopt;
}

XmlSource::Position XmlSource::position(size_t offset) const {
  const auto after = std::upper_bound(lines_.begin(), lines_.end(), offset);
  const auto line = static_cast<size_t>(after - lines_.begin());
  return {static_cast<uint32_t>(line), static_cast<uint32_t>(offset - lines_[line - 1]) + 1};
}

size_t XmlSource::offset(pugi::xml_node node) const {
  const auto at = static_cast<size_t>(std::max<std::ptrdiff_t>(node.offset_debug(), 0));
  if (node.type() == pugi::node_element) return at == 0 ? 0 : at - 1;
  return std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
}

std::vector<XmlSource::Attribute> XmlSource::attributes(pugi::xml_node node) const {
  std::vector<Attribute> found;
  size_t i = offset(node) + 1 + std::strlen(node.name());
  while (i < text_.size()) {
    while (i < text_.size() && is_space(text_[i])) ++i;
    if (i >= text_.size() || text_[i] == '>' || text_[i] == '/') break;
    const size_t start = i;
    while (i < text_.size() && text_[i] != '=' && !is_space(text_[i]) && text_[i] != '>') ++i;
    found.push_back({std::string(text_.substr(start, i - start)), start});
    while (i < text_.size() && text_[i] != '"' && text_[i] != '\'' && text_[i] != '>') ++i;
    if (i >= text_.size() || text_[i] == '>') break;
    const size_t end = text_.find(text_[i], i + 1);
    if (end == std::string_view::npos) break;
    i = end + 1;
  }
  return found;
}

std::string XmlSource::inside(pugi::xml_node node) const {
  struct Text : pugi::xml_writer {
    std::string text;
    void write(const void* data, size_t size) override { text.append(static_cast<const char*>(data), size); }
  } written;
  // Indenting must not put space into text: beside text the elements stand as they are.
  const auto kids = node.children();
  const bool has_text =
      std::any_of(kids.begin(), kids.end(), [](pugi::xml_node n) { return n.type() != pugi::node_element; });
  for (const pugi::xml_node child : kids)
    child.print(written, "  ", has_text ? pugi::format_raw : pugi::format_indent, pugi::encoding_utf8);
  // The space around it is the writer's business.
  const size_t first = written.text.find_first_not_of(" \t\r\n"), last = written.text.find_last_not_of(" \t\r\n");
  return first == std::string::npos ? std::string() : written.text.substr(first, last - first + 1);
}

Element::Element(const XmlSource& source, pugi::xml_node node, std::string path)
    : source_(source), node_(node), path_(std::move(path)), attributes_(source.attributes(node)) {
  const auto place = source_.position(source_.offset(node_));
  report().place(path_, place.line, place.column, fmt::format("<{}>", node_.name()));
  std::set<std::string> seen;
  for (const auto& a : attributes_) {
    if (seen.insert(a.name).second) continue;
    const auto second = source_.position(a.offset);
    report().error_at(second.line, second.column, fmt::format("<{} {}>", node_.name(), a.name), "given twice");
  }
}

void Element::read(const XmlSource& source, pugi::xml_node node, const std::string& path, const Section& section) {
  Element e(source, node, path);
  section(e);
  e.refuse_unknown();
}

std::optional<std::string> Element::take(const char* name) {
  asked_attributes_.insert(name);
  const pugi::xml_attribute a = node_.attribute(name);
  if (!a) return std::nullopt;
  std::string value = a.value();
  const auto it = std::find_if(attributes_.begin(), attributes_.end(), [&](const auto& w) { return w.name == name; });
  const auto place = source_.position(it == attributes_.end() ? source_.offset(node_) : it->offset);
  report().place(path(name), place.line, place.column, fmt::format("<{} {}={}>", node_.name(), name, quote(value)));
  return value;
}

void Element::require(const char* name) {
  if (!has(name)) report().error(path(name), fmt::format("the attribute {} is required, but not given", name));
}

std::vector<std::pair<std::string, std::string>> Element::rest() {
  std::vector<std::pair<std::string, std::string>> found;
  for (const pugi::xml_attribute a : node_.attributes()) {
    if (asked_attributes_.contains(a.name())) continue;
    if (auto value = take(a.name())) found.emplace_back(a.name(), std::move(*value));
  }
  return found;
}

bool Element::child(const char* name, const std::string& key, const Section& section) {
  asked_children_.insert(name);
  const pugi::xml_node first = node_.child(name);
  if (!first) return false;
  read(source_, first, path(key), section);
  for (pugi::xml_node again = first.next_sibling(name); again; again = again.next_sibling(name)) {
    const auto place = source_.position(source_.offset(again));
    report().error_at(
        place.line, place.column, fmt::format("<{}>", name),
        fmt::format("only one is allowed; the first is at line {}", source_.position(source_.offset(first)).line));
  }
  return true;
}

void Element::place_list(pugi::xml_node first, const std::string& path) {
  const auto place = source_.position(source_.offset(first));
  report().place(path, place.line, place.column, fmt::format("<{}>", first.name()));
}

std::string Element::text() {
  is_text_ = true;
  std::string s;
  for (const pugi::xml_node n : node_.children())
    if (n.type() == pugi::node_pcdata || n.type() == pugi::node_cdata) s += n.value();
  return s;
}

std::string Element::raw() {
  is_text_ = true;
  for (const pugi::xml_node n : node_.children()) asked_children_.insert(n.name());
  return source_.inside(node_);
}

void Element::refuse_unknown() {
  const std::vector<std::string> attributes(asked_attributes_.begin(), asked_attributes_.end());
  const std::vector<std::string> children(asked_children_.begin(), asked_children_.end());
  const auto hint = [](const std::string& word, const std::vector<std::string>& known) {
    const std::string meant_one = nearest(word, known);
    return meant_one.empty() ? std::string() : fmt::format("; did you mean '{}'?", meant_one);
  };
  for (const auto& a : attributes_) {
    if (asked_attributes_.contains(a.name) || a.name.starts_with("xmlns")) continue;
    const auto place = source_.position(a.offset);
    report().error_at(place.line, place.column, fmt::format("<{} {}>", node_.name(), a.name),
                      "unknown attribute" + hint(a.name, attributes));
  }
  for (const pugi::xml_node n : node_.children()) {
    const auto place = source_.position(source_.offset(n));
    if (n.type() == pugi::node_element && !asked_children_.contains(n.name()))
      report().error_at(place.line, place.column, fmt::format("<{}>", n.name()),
                        fmt::format("unknown element in <{}>{}", node_.name(), hint(n.name(), children)));
    if ((n.type() == pugi::node_pcdata || n.type() == pugi::node_cdata) && !is_text_)
      report().error_at(place.line, place.column, fmt::format("<{}>", node_.name()),
                        fmt::format("text is not expected here: {}", quote(n.value())));
  }
}

}  // namespace weft::config
