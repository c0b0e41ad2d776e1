// SPDX-License-Identifier: BSD-3-Clause
#include "config/yaml_tree.h"

#include "config/check.h"
#include "config/report.h"

#include <algorithm>
#include <istream>
#include <map>
#include <streambuf>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace weft::config {
namespace {

/// Thrown by the builder through the parser, and caught in parse_yaml().
struct Refused {
  YamlError error;
};

uint32_t from_zero(int n) { return static_cast<uint32_t>(std::max(n, 0)) + 1; }

[[noreturn]] void refuse(const YAML::Mark& mark, std::string message) {
  throw Refused{{from_zero(mark.line), from_zero(mark.column), std::move(message)}};
}

/// Nodes below `node`, itself included, and how deep they go.
struct Extent {
  size_t nodes = 1, depth = 1;
};
Extent extent(const YamlNode& node) {
  Extent sum;
  const auto add = [&](const YamlNode& child) {
    const Extent e = extent(child);
    sum.nodes += e.nodes;
    sum.depth = std::max(sum.depth, e.depth + 1);
  };
  for (const YamlNode& item : node.items) add(item);
  for (const YamlEntry& entry : node.entries) add(entry.value);
  return sum;
}

class Builder : public YAML::EventHandler {
 public:
  Builder(std::string_view text, YamlNode& root) : text_(text), root_(root) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ != 0) refuse(mark, "a second document; one file is one document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, YamlNode::Kind::kNull, {}); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    if (tag == "!") check_quotes(mark);
    leaf(mark, anchor, YamlNode::Kind::kScalar, value);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) refuse(mark, "an alias stands inside what it names");
    const Extent e = extent(it->second);
    if (stack_.size() + e.depth > kMaxDepth) refuse(mark, too_deep());
    count(mark, e.nodes);
    add(mark, it->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    YAML::Mark mark;
    std::optional<YamlEntry> entry;  // in a map: the key waiting for its value
  };

  static std::string too_deep() { return fmt::format("nested more than {} levels deep", kMaxDepth); }

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" and "!" are yaml-cpp's marks of plain and quoted scalars.
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, fmt::format("tags are not used here: {}", quote(tag)));
  }
  /// yaml-cpp takes a quote that is never closed for one that ends with the file.
  void check_quotes(const YAML::Mark& mark) const {
    size_t i = static_cast<size_t>(std::max(mark.pos, 0));
    if (i < text_.size() && (text_[i] == '&' || text_[i] == '!'))  // an anchor or a tag stands before it
      i = text_.find_first_not_of(" \t\r\n", text_.find_first_of(" \t\r\n", i));
    if (i >= text_.size() || (text_[i] != '"' && text_[i] != '\'')) return;  // a block
    const char quote_mark = text_[i];
    for (++i; i < text_.size(); ++i) {
      if (quote_mark == '"' && text_[i] == '\\')
        ++i;
      else if (text_[i] == quote_mark && quote_mark == '\'' && i + 1 < text_.size() && text_[i + 1] == '\'')
        ++i;
      else if (text_[i] == quote_mark)
        return;
    }
    refuse(mark, "not YAML: the quote that begins here is never closed");
  }
  void count(const YAML::Mark& mark, size_t nodes) {
    if (nodes > kMaxNodes - nodes_) refuse(mark, fmt::format("more than {} values, aliases expanded", kMaxNodes));
    nodes_ += nodes;
  }
  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind, std::string text) {
    count(mark, 1);
    YamlNode node;
    node.kind = kind;
    node.line = from_zero(mark.line);
    node.column = from_zero(mark.column);
    node.text = std::move(text);
    if (anchor != 0) anchors_[anchor] = node;
    add(mark, std::move(node));
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    check_tag(mark, tag);
    count(mark, 1);
    if (stack_.size() >= kMaxDepth) refuse(mark, too_deep());
    Open o;
    o.node.kind = kind;
    o.node.line = from_zero(mark.line);
    o.node.column = from_zero(mark.column);
    o.anchor = anchor;
    o.mark = mark;
    stack_.push_back(std::move(o));
  }
  void close() {
    Open o = std::move(stack_.back());
    stack_.pop_back();
    if (o.anchor != 0) {
      count(o.mark, extent(o.node).nodes);
      anchors_[o.anchor] = o.node;
    }
    add(o.mark, std::move(o.node));
  }
  void add(const YAML::Mark& mark, YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.entry) {
      if (node.kind != YamlNode::Kind::kScalar)
        refuse(mark, fmt::format("a key is a single word, found {}", describe(node)));
      parent.entry = YamlEntry{std::move(node.text), from_zero(mark.line), from_zero(mark.column), {}};
    } else {
      parent.entry->value = std::move(node);
      parent.node.entries.push_back(std::move(*parent.entry));
      parent.entry.reset();
    }
  }

  std::string_view text_;
  YamlNode& root_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

/// yaml-cpp wants a stream; this one reads the caller's bytes where they are.
struct ViewBuffer : std::streambuf {
  explicit ViewBuffer(std::string_view s) {
    char* begin = const_cast<char*>(s.data());  // only ever read
    setg(begin, begin, begin + s.size());
  }
};

/// The place of byte `offset`.
YamlError error_at(std::string_view text, size_t offset, std::string message) {
  const std::string_view before = text.substr(0, offset);
  const auto line = static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
  return {line, static_cast<uint32_t>(offset - start) + 1, std::move(message)};
}

/// What yaml-cpp would not survive, or would quietly replace.
std::optional<YamlError> scan_first(std::string_view text) {
  if (text.size() > kMaxFileSize)
    return YamlError{0, 0, fmt::format("{} bytes; the limit is {} MiB", text.size(), kMaxFileSize >> 20)};
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = utf8_at(text, i);
    if (n == 0) return error_at(text, i, "not UTF-8, which is the one encoding read here");
    if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
      return error_at(text, i, fmt::format("a control character (byte 0x{:02x})", c));
    i += n;
  }
  return std::nullopt;
}

}  // namespace

std::optional<YamlError> parse_yaml(std::string_view text, YamlNode& root) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  if (auto error = scan_first(text)) return error;
  Builder builder(text, root);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& r) {
    return r.error;
  } catch (const YAML::Exception& e) {
    return YamlError{from_zero(e.mark.line), from_zero(e.mark.column), "not YAML: " + e.msg};
  }
  return std::nullopt;
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return quote(node.text);
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return {};
}

}  // namespace weft::config
