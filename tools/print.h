// SPDX-License-Identifier: BSD-3-Clause
//
// How `weft` writes for people: tables as virsh draws them, numbers one can read, and text that cannot play
// with the terminal. Pure functions; no socket, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::tools {

/// `text` made safe for a terminal: control characters (C0, DEL, C1), invisible and direction-changing code
/// points and bytes that are no UTF-8 become \xNN or \u{NNNN}, a backslash is doubled. Guests choose their
/// host names, so everything that came over the socket goes through here before it is printed.
[[nodiscard]] std::string printable(std::string_view text);

/// printable(), but line by line: the newlines of a text of several lines stay.
[[nodiscard]] std::string printable_lines(std::string_view text);

/// 1234567 → "1,234,567".
[[nodiscard]] std::string grouped(uint64_t count);

/// 1536 → "1.5 KiB"; below 1024 plain "512 B".
[[nodiscard]] std::string human_bytes(uint64_t bytes);

/// 93784 → "1 d 2 h 3 min"; the two or three largest units that are not zero, "0 s" for nothing.
[[nodiscard]] std::string human_duration(uint64_t seconds);

/// Seconds since the epoch as local time "2024-05-01 13:37:00", as virsh shows a lease's end; 0 is "never".
[[nodiscard]] std::string local_time(int64_t epoch_seconds);

/// A table in virsh's look: a header, a rule, a row a line, an empty line at the end.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell a column; the cells are made printable here, so that no caller can forget it.
  void row(const std::vector<std::string>& cells);

  [[nodiscard]] std::string str() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "Name:   value" lines, the values in one column, as virsh's net-info.
class Facts {
 public:
  void add(std::string name, std::string_view value);
  [[nodiscard]] std::string str() const;

 private:
  std::vector<std::pair<std::string, std::string>> facts_;
};

}  // namespace weft::tools
