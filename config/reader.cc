// SPDX-License-Identifier: BSD-3-Clause
#include "config/reader.h"

#include <set>
#include <utility>

namespace weft::config {

std::string mismatch(std::string_view what, std::string_view found) {
  return fmt::format("expected {}, found {}", what, found);
}

std::optional<std::string> parse_uuid(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '-') continue;
    const bool digit = c >= '0' && c <= '9';
    const char lower = digit ? c : static_cast<char>(c | 0x20);
    if ((!digit && (lower < 'a' || lower > 'f')) || out.size() == 36) return std::nullopt;
    if (out.size() == 8 || out.size() == 13 || out.size() == 18 || out.size() == 23) out += '-';
    out += lower;
  }
  if (out.size() != 36) return std::nullopt;
  return out;
}

Reader::Reader(Report& report, const YamlNode& node, std::string path)
    : report_(report), node_(node), path_(std::move(path)) {
  std::set<std::string_view> seen;
  for (const YamlEntry& e : node_.entries) {
    if (!seen.insert(e.key).second) {
      report_.error_at(e.line, e.column, join(path_, e.key),
                       fmt::format("given twice; first at line {}", report_.where(join(path_, e.key)).line));
      continue;
    }
    const bool at_value = e.value.kind == YamlNode::Kind::kScalar;
    report_.place(join(path_, e.key), at_value ? e.value.line : e.line, at_value ? e.value.column : e.column);
  }
}

void Reader::read(Report& report, const YamlNode& node, const std::string& path, const Section& section) {
  if (node.kind != YamlNode::Kind::kMap && node.kind != YamlNode::Kind::kNull) {
    report.unreadable(path, mismatch("a map of keys and values", describe(node)));
    return;
  }
  Reader r(report, node, path);
  section(r);
  r.refuse_unknown();
}

bool Reader::has(std::string_view key) const {
  return std::any_of(node_.entries.begin(), node_.entries.end(), [&](const YamlEntry& e) { return e.key == key; });
}

const YamlNode* Reader::take(std::string_view key) {
  asked_.emplace_back(key);
  for (const YamlEntry& e : node_.entries)
    if (e.key == key) return &e.value;
  return nullptr;
}

void Reader::require(std::string_view key) {
  if (!has(key)) report_.error(path(key), "required, but not given");
}

bool Reader::map(std::string_view key, const Section& section) {
  const YamlNode* n = take(key);
  if (n == nullptr) return false;
  read(report_, *n, path(key), section);
  return true;
}

void Reader::each(std::string_view key, const std::function<void(const YamlNode&, const std::string&)>& item) {
  const YamlNode* n = take(key);
  if (n == nullptr || n->kind == YamlNode::Kind::kNull) return;
  if (n->kind != YamlNode::Kind::kList) {
    report_.unreadable(path(key), mismatch("a list", describe(*n)));
    return;
  }
  for (size_t i = 0; i < n->items.size(); ++i) {
    const std::string item_path = at(path(key), i);
    report_.place(item_path, n->items[i].line, n->items[i].column);
    item(n->items[i], item_path);
  }
}

void Reader::rest(const std::function<void(const std::string& key, const YamlNode&, const std::string& path)>& entry) {
  for (const YamlEntry& e : node_.entries) {
    if (std::find(asked_.begin(), asked_.end(), e.key) != asked_.end()) continue;
    entry(e.key, e.value, path(e.key));
  }
  free_keys_ = true;
}

void Reader::refuse_unknown() {
  if (free_keys_) return;
  for (const YamlEntry& e : node_.entries) {
    if (std::find(asked_.begin(), asked_.end(), e.key) != asked_.end()) continue;
    const std::string meant = nearest(e.key, asked_);
    std::string hint = "did you mean '" + meant + "'?";
    if (meant.empty()) hint = "known here: " + one_of(asked_);
    report_.error_at(e.line, e.column, path(e.key), "unknown key; " + hint);
  }
}

}  // namespace weft::config
