// SPDX-License-Identifier: BSD-3-Clause
#include "tools/print.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace weft::tools {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;  // bytes; 0: not UTF-8 (RFC 3629 §3: overlong, surrogate, too large, cut short)
};

CodePoint decode_utf8(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1};
  size_t length = 0;
  uint32_t value = 0;
  uint32_t smallest = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, value = lead & 0x1fu, smallest = 0x80;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, value = lead & 0x0fu, smallest = 0x800;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, value = lead & 0x07u, smallest = 0x10000;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<uint8_t>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3fu);
  }
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest || value > 0x10ffff || is_surrogate) return {};
  return {value, length};
}

/// Code points that move the cursor, change the direction or cannot be seen.
bool is_hidden(uint32_t c) {
  struct Range {
    uint32_t first, last;
  };
  static constexpr std::array<Range, 10> kRanges{{{0x00, 0x1f},
                                                  {0x7f, 0x9f},
                                                  {0xad, 0xad},
                                                  {0x61c, 0x61c},
                                                  {0x200b, 0x200f},
                                                  {0x2028, 0x202e},
                                                  {0x2060, 0x206f},
                                                  {0xfeff, 0xfeff},
                                                  {0xfff0, 0xfffb},
                                                  {0xe0000, 0xe0fff}}};
  return std::any_of(kRanges.begin(), kRanges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

/// Columns on the terminal, one a code point: enough for names; wide scripts are the terminal's own affair.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    if (c.length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (c.value == '\\') {
      out += "\\\\";
    } else if (is_hidden(c.value)) {
      out += c.value < 0x80 ? fmt::format("\\x{:02x}", c.value) : fmt::format("\\u{{{:x}}}", c.value);
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (;;) {
    const size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string grouped(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string human_duration(uint64_t seconds) {
  if (seconds == 0) return "0 s";
  struct Unit {
    uint64_t seconds;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  std::string out;
  const bool is_long = seconds >= 86400;
  for (const Unit& unit : kUnits) {
    if (is_long && unit.seconds == 1) break;
    const uint64_t n = seconds / unit.seconds;
    seconds %= unit.seconds;
    if (n != 0) out += fmt::format("{}{} {}", out.empty() ? "" : " ", n, unit.name);
  }
  return out;
}

std::string local_time(int64_t epoch_seconds) {
  if (epoch_seconds == 0) return "never";
  const auto time = static_cast<std::time_t>(epoch_seconds);
  std::tm parts{};
  if (localtime_r(&time, &parts) == nullptr) return std::to_string(epoch_seconds);
  std::array<char, 64> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return {text.data(), length};
}

void Table::row(const std::vector<std::string>& cells) {
  std::vector<std::string> safe;
  safe.reserve(columns_.size());
  for (const std::string& cell : cells) safe.push_back(printable(cell));
  safe.resize(columns_.size());
  rows_.push_back(std::move(safe));
}

std::string Table::str() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t widest = width(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, width(row[i]));
    widths.push_back(widest);
  }
  std::string out;
  const auto line = [&](auto&& cell_of) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string pad(widths[i] - width(cell), ' ');
      const bool is_last = i + 1 == columns_.size();
      out += ' ';
      if (columns_[i].align == Align::kRight) out += pad;
      out += cell;
      if (columns_[i].align == Align::kLeft && !is_last) out += pad;
      if (!is_last) out += "  ";
    }
    out += '\n';
  };
  line([&](size_t i) -> const std::string& { return columns_[i].title; });
  size_t rule = 0;
  for (const size_t w : widths) rule += w + 3;
  out.append(rule, '-');
  out += '\n';
  for (const auto& row : rows_) line([&](size_t i) -> const std::string& { return row[i]; });
  out += '\n';
  return out;
}

void Facts::add(std::string name, std::string_view value) { facts_.emplace_back(std::move(name), printable(value)); }

std::string Facts::str() const {
  size_t widest = 14;  // virsh's column
  for (const auto& [name, value] : facts_) widest = std::max(widest, name.size());
  std::string out;
  for (const auto& [name, value] : facts_) {
    out += fmt::format("{:<{}}{}\n", name + ":", widest + 2, value);
  }
  return out;
}

}  // namespace weft::tools
