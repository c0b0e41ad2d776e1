// SPDX-License-Identifier: BSD-3-Clause
//
// `switch:`, the settings of the process itself.
#include "config/sections.h"

#include <utility>

namespace weft::config {
namespace {

void read_permissions(Reader& r, SocketPermissions& p) {
  r.value("owner", p.owner);
  r.value("group", p.group);
  read_permission_bits(r, "mode", p.mode);
}

void read_workers(Reader& r, std::vector<uint16_t>& workers) {
  constexpr auto kWhat = "auto or a list of CPU numbers such as [1]";
  const YamlNode* n = r.take("workers");
  if (n == nullptr || (n->kind == YamlNode::Kind::kScalar && n->text == "auto")) return;
  if (n->kind != YamlNode::Kind::kList || n->items.empty()) {
    r.report().error(r.path("workers"),
                     mismatch(kWhat, n->kind == YamlNode::Kind::kList ? "an empty list" : describe(*n)));
    return;
  }
  r.values("workers", workers);
}

void read_control(Reader& r, Control& control) {
  const YamlNode* n = r.take("control");
  if (n == nullptr) return;
  if (n->kind == YamlNode::Kind::kScalar) {
    control.path = n->text;
    return;
  }
  Reader::read(r.report(), *n, r.path("control"), [&](Reader& m) {
    m.value("path", control.path);
    read_permissions(m, control.permissions);
  });
}

void read_memory(Reader& r, Memory& memory) {
  const YamlNode* n = r.take("memory");
  if (n == nullptr || (n->kind == YamlNode::Kind::kScalar && n->text == "auto")) return;
  if (n->kind == YamlNode::Kind::kScalar) {
    r.report().error(r.path("memory"), mismatch("auto or a map such as {hugepages: yes, size: 512}", describe(*n)));
    return;
  }
  Reader::read(r.report(), *n, r.path("memory"), [&](Reader& m) {
    m.value("hugepages", memory.hugepages);
    m.value("size", memory.size_mib, 16, 1048576);
  });
}

/// "127.0.0.1:9177" or "[::1]:9177".
std::optional<Metrics> parse_metrics(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = wire::IpAddress::parse(host);
  Metrics m;
  if (!address || address->is_v6() != bracketed || !parse_scalar(text.substr(colon + 1), m.port) || m.port == 0)
    return std::nullopt;
  m.address = *address;
  return m;
}

void read_metrics(Reader& r, std::optional<Metrics>& metrics) {
  std::string text;
  if (!r.value("metrics", text)) return;
  metrics = parse_metrics(text);
  if (!metrics) r.report().error(r.path("metrics"), mismatch("ADDRESS:PORT such as 127.0.0.1:9177", quote(text)));
}

}  // namespace

std::optional<uint16_t> parse_permission_bits(std::string_view text) {
  if (text.size() < 3 || text.size() > 4 || (text.size() == 4 && text[0] != '0')) return std::nullopt;
  unsigned bits = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    bits = bits * 8 + static_cast<unsigned>(c - '0');
  }
  return static_cast<uint16_t>(bits);
}

bool read_permission_bits(Reader& r, std::string_view key, std::optional<uint16_t>& out) {
  std::string text;
  if (!r.value(key, text)) return false;
  out = parse_permission_bits(text);
  if (!out) r.report().error(r.path(key), mismatch("permissions in octal such as \"0660\"", quote(text)));
  return out.has_value();
}

void read_switch(Reader& r, Switch& s) {
  read_workers(r, s.workers);
  r.value("idle", s.idle);
  read_control(r, s.control);
  r.map("sockets", [&](Reader& m) { read_permissions(m, s.sockets); });
  read_memory(r, s.memory);
  r.map("fdb", [&](Reader& m) {
    // A smaller table has smaller shares, unless they are given too.
    if (m.value("entries", s.fdb.entries, 1024, uint64_t{1} << 26))
      s.fdb.per_port = std::min(s.fdb.per_port, s.fdb.entries);
    m.value("perPort", s.fdb.per_port, 1, uint64_t{1} << 26);
    m.value("ageing", s.fdb.ageing_seconds, 1, 1000000);
  });
  r.value("state", s.state);
  read_metrics(r, s.metrics);
}

}  // namespace weft::config
