// SPDX-License-Identifier: BSD-3-Clause
//
// A YAML document as a plain tree with places, made from yaml-cpp's events and not from its nodes: events
// tell of duplicate keys and let nesting, size and alias expansion be bounded while they grow. Internal to
// config/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::config {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  uint32_t line = 0;  // both count from 1
  uint32_t column = 0;
  std::string text;                // kScalar
  std::vector<YamlNode> items;     // kList
  std::vector<YamlEntry> entries;  // kMap, in the order written, duplicates included
};

struct YamlEntry {
  std::string key;
  uint32_t line = 0, column = 0;  // of the key
  YamlNode value;
};

inline constexpr size_t kMaxFileSize = size_t{16} << 20;
inline constexpr size_t kMaxDepth = 32;
inline constexpr size_t kMaxNodes = 1'000'000;  // after alias expansion

struct YamlError {
  uint32_t line = 0, column = 0;
  std::string message;
};

/// Parses one document into `root` (an empty one is kNull). Returns what is wrong, if anything; `root` is
/// then incomplete. Throws only std::bad_alloc.
std::optional<YamlError> parse_yaml(std::string_view text, YamlNode& root);

/// "a map", "a list", …, for messages.
std::string describe(const YamlNode& node);

}  // namespace weft::config
