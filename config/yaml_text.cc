// SPDX-License-Identifier: BSD-3-Clause
#include "config/yaml_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace weft::config {
namespace {

constexpr size_t kWidth = 110;

/// Is `s` text, and the same text, to every reader of YAML without quotes?
bool is_plain(std::string_view s) {
  constexpr std::array<std::string_view, 10> kWords{"yes",   "no",   "on", "off", "true",
                                                    "false", "null", "y",  "n",   ".nan"};
  if (s.empty()) return false;
  std::string lower(s);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  if (std::find(kWords.begin(), kWords.end(), lower) != kWords.end()) return false;
  bool has_letter = false;
  size_t dots = 0, slashes = 0;
  for (const char c : s) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '/' && c != '-') return false;
    // "1e5" and "0x10" are numbers to some: only letters no number has make it text.
    has_letter = has_letter || (letter && std::string_view("eExXoObB_").find(c) == std::string_view::npos);
    dots += c == '.' ? 1 : 0;
    slashes += c == '/' ? 1 : 0;
  }
  const bool starts_well = s[0] != '-' && s[0] != '.';
  const bool is_address = dots == 3;  // 192.0.2.1 or 192.0.2.0/24
  return starts_well && (has_letter || is_address || slashes != 0);
}

std::string quoted(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (u < 0x20 || u == 0x7f) {
      out += fmt::format("\\x{:02x}", u);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Can `s` stand as a literal block ("|-") and come back unchanged?
bool is_block(std::string_view s) {
  if (s.find('\n') == std::string_view::npos || s.front() == ' ' || s.front() == '\n' || s.back() == '\n') return false;
  return std::all_of(s.begin(), s.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u == '\n' || (u >= 0x20 && u != 0x7f);
  });
}

}  // namespace

YamlText YamlText::text(std::string_view s) {
  YamlText t(Kind::kScalar);
  t.text_ = is_plain(s) ? std::string(s) : quoted(s);
  if (!s.empty() && is_block(s)) t.lines_ = s;
  return t;
}

YamlText YamlText::word(std::string s) {
  YamlText t(Kind::kScalar);
  t.text_ = std::move(s);
  return t;
}

YamlText& YamlText::put(std::string key, YamlText value) {
  keys_.push_back(is_plain(key) ? std::move(key) : quoted(key));
  children_.push_back(std::move(value));
  return *this;
}

YamlText& YamlText::put_filled(std::string key, YamlText value) {
  return value.empty() ? *this : put(std::move(key), std::move(value));
}

YamlText& YamlText::add(YamlText item) {
  children_.push_back(std::move(item));
  return *this;
}

bool YamlText::is_flat() const {
  return std::all_of(children_.begin(), children_.end(), [](const YamlText& c) {
    if (c.kind_ == Kind::kScalar) return c.lines_.empty();
    return std::all_of(c.children_.begin(), c.children_.end(),
                       [](const YamlText& g) { return g.kind_ == Kind::kScalar && g.lines_.empty(); });
  });
}

std::string YamlText::flow() const {
  if (kind_ == Kind::kScalar) return text_;
  std::string s = kind_ == Kind::kMap ? "{" : "[";
  for (size_t i = 0; i < children_.size(); ++i) {
    if (i != 0) s += ", ";
    if (kind_ == Kind::kMap) s += keys_[i] + ": ";
    s += children_[i].flow();
  }
  return s + (kind_ == Kind::kMap ? "}" : "]");
}

/// What follows "key:": on the same line when it fits, else below and further in.
void YamlText::value_after(std::string& out, size_t indent) const {
  if (kind_ == Kind::kScalar) {
    if (lines_.empty()) {
      out += " " + text_ + "\n";
      return;
    }
    out += " |-\n";
    for (size_t start = 0; start <= lines_.size();) {
      const size_t end = std::min(lines_.find('\n', start), lines_.size());
      if (end != start) out += std::string(indent, ' ') + lines_.substr(start, end - start);
      out += '\n';
      start = end + 1;
    }
    return;
  }
  const bool list_of_maps = kind_ == Kind::kList && !children_.empty() && children_[0].kind_ == Kind::kMap;
  if (is_flat() && !list_of_maps) {
    if (const std::string line = flow(); indent + line.size() < kWidth) {
      out += " " + line + "\n";
      return;
    }
  }
  out += '\n';
  block(out, indent, false);
}

/// Line by line at `indent`; `after_dash`: the first line goes on where "- " ended.
void YamlText::block(std::string& out, size_t indent, bool after_dash) const {
  for (size_t i = 0; i < children_.size(); ++i) {
    if (i != 0 || !after_dash) out += std::string(indent, ' ');
    const YamlText& child = children_[i];
    if (kind_ == Kind::kMap) {
      out += keys_[i] + ":";
      child.value_after(out, indent + 2);
      continue;
    }
    out += "- ";
    const bool fits = child.is_flat() && indent + child.flow().size() < kWidth && child.children_.size() < 6;
    if (child.kind_ == Kind::kScalar || child.empty() || fits)
      out += child.flow() + "\n";
    else
      child.block(out, indent + 2, true);
  }
}

std::string YamlText::print() const {
  if (empty()) return kind_ == Kind::kScalar ? text_ + "\n" : "{}\n";
  std::string out;
  block(out, 0, false);
  return out;
}

}  // namespace weft::config
