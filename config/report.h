// SPDX-License-Identifier: BSD-3-Clause
//
// What the readers and the checks share while one configuration is taken in: where each key stands, what has
// been found wrong, what is worth a note. Keys are paths into the model ("networks[0].ips[0].prefix"), the
// same for YAML and XML, so that one set of checks serves both. Internal to config/.
#pragma once

#include "config/diagnostic.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace weft::config {

class Report {
 public:
  explicit Report(std::string_view file) : file_(file) {}

  /// Remembers that the key `path` was written at `line`, `column`. `display` is how messages call it, if not
  /// `path`.
  void place(const std::string& path, uint32_t line, uint32_t column, std::string display = {});
  /// The same for an item that brings its place along (validate() on a model made elsewhere).
  void place(const std::string& path, const Location& where);

  void error(const std::string& path, std::string message);
  void note(const std::string& path, std::string message);
  /// The same for what has not the shape it should: nothing of what is below it is known.
  void unreadable(const std::string& path, std::string message);
  /// An error at a place that is no key of ours.
  void error_at(uint32_t line, uint32_t column, std::string key, std::string message);

  /// Was this very key written?
  [[nodiscard]] bool written(const std::string& path) const { return places_.contains(path); }
  /// Was this key written, or what it is part of?
  [[nodiscard]] bool placed(const std::string& path) const;
  /// Is there an error about this very key already, or could it not be read? What depends on its value is
  /// then not worth checking.
  [[nodiscard]] bool failed(const std::string& path) const;
  /// The place of `path`, or of what it is part of.
  [[nodiscard]] Location where(const std::string& path) const;
  [[nodiscard]] const std::string& file() const noexcept { return file_; }

  /// In the order of the file; leaves the report empty.
  std::vector<Diagnostic> take_errors();
  std::vector<Diagnostic> take_notes();

 private:
  struct Place {
    Location where;
    std::string display;
  };
  [[nodiscard]] const Place* find(std::string_view path) const;
  Diagnostic make(const std::string& path, std::string message) const;

  std::string file_;
  std::unordered_map<std::string, Place> places_;
  std::unordered_set<std::string> failed_, unreadable_;
  std::vector<Diagnostic> errors_, notes_;
};

/// "networks[0]" + "ips" = "networks[0].ips"; the root is "".
std::string join(std::string_view path, std::string_view key);
/// "networks" + 0 = "networks[0]".
std::string at(std::string_view path, size_t index);
/// `text` in single quotes, cut when long, for messages.
std::string quote(std::string_view text);
/// "a, b or c".
std::string one_of(const std::vector<std::string>& words);
/// What was meant by `word`, by the fewest typing mistakes; empty when nothing is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace weft::config
