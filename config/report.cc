// SPDX-License-Identifier: BSD-3-Clause
#include "config/report.h"

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace weft::config {
namespace {

/// A message is one line of printable text whatever a file puts into it.
std::string one_line(std::string_view s) {
  std::string out;
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u != 0x7f)
      out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else
      out += fmt::format("\\x{:02x}", u);
  }
  return out;
}

/// Edit distance with transpositions, of words as short as keys are.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  const auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  };
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

void in_order(std::vector<Diagnostic>& list) {
  std::stable_sort(list.begin(), list.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.where.line, a.where.column) < std::tie(b.where.line, b.where.column);
  });
}

}  // namespace

std::string Diagnostic::to_string() const {
  std::string s = where.to_string();
  for (const std::string* part : {&key, &message}) {
    if (part->empty()) continue;
    if (!s.empty()) s += ": ";
    s += *part;
  }
  return one_line(s);
}

std::string to_string(const std::vector<Diagnostic>& diagnostics) {
  std::string s;
  for (const Diagnostic& d : diagnostics) s += d.to_string() + "\n";
  return s;
}

void Report::place(const std::string& path, uint32_t line, uint32_t column, std::string display) {
  places_.insert_or_assign(path, Place{{file_, line, column}, std::move(display)});
}

void Report::place(const std::string& path, const Location& where) {
  if (where.line != 0) places_.insert_or_assign(path, Place{where, {}});
}

const Report::Place* Report::find(std::string_view path) const {
  while (!path.empty()) {
    if (const auto it = places_.find(std::string(path)); it != places_.end()) return &it->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) break;
    path = path.substr(0, cut);
  }
  const auto root = places_.find("");
  return root == places_.end() ? nullptr : &root->second;
}

Location Report::where(const std::string& path) const {
  const Place* place = find(path);
  return place != nullptr ? place->where : Location{file_, 0, 0};
}

Diagnostic Report::make(const std::string& path, std::string message) const {
  const Place* place = find(path);
  const bool has_display = place != nullptr && !place->display.empty();
  return {where(path), has_display ? place->display : path, std::move(message)};
}

void Report::error(const std::string& path, std::string message) {
  failed_.insert(path);
  errors_.push_back(make(path, std::move(message)));
}

void Report::unreadable(const std::string& path, std::string message) {
  unreadable_.insert(path);
  error(path, std::move(message));
}

bool Report::placed(const std::string& path) const {
  const auto root = places_.find("");
  const Place* place = find(path);
  return place != nullptr && (root == places_.end() || place != &root->second);
}

bool Report::failed(const std::string& path) const {
  if (failed_.contains(path)) return true;
  if (unreadable_.empty()) return false;
  for (size_t cut = path.find_last_of(".["); cut != std::string::npos;
       cut = cut == 0 ? cut : path.find_last_of(".[", cut - 1)) {
    if (unreadable_.contains(path.substr(0, cut))) return true;
    if (cut == 0) break;
  }
  return false;
}

void Report::error_at(uint32_t line, uint32_t column, std::string key, std::string message) {
  errors_.push_back({{file_, line, column}, std::move(key), std::move(message)});
}

void Report::note(const std::string& path, std::string message) { notes_.push_back(make(path, std::move(message))); }

std::vector<Diagnostic> Report::take_errors() {
  in_order(errors_);
  return std::exchange(errors_, {});
}

std::vector<Diagnostic> Report::take_notes() {
  in_order(notes_);
  return std::exchange(notes_, {});
}

std::string join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::string at(std::string_view path, size_t index) { return fmt::format("{}[{}]", path, index); }

std::string quote(std::string_view text) {
  constexpr size_t kLongest = 60;
  if (text.size() <= kLongest) return fmt::format("'{}'", text);
  return fmt::format("'{}…'", text.substr(0, kLongest));
}

std::string one_of(const std::vector<std::string>& words) {
  std::string s;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i != 0) s += i + 1 == words.size() ? " or " : ", ";
    s += words[i];
  }
  return s;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > 64) return {};
  std::string best;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& k : known) {
    const size_t d = distance(word, k);
    if (d < least && d < k.size()) {
      least = d;
      best = k;
    }
  }
  return best;
}

}  // namespace weft::config
