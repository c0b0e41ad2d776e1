// SPDX-License-Identifier: BSD-3-Clause
#include "config/load.h"

#include "config/report.h"
#include "config/sections.h"
#include "config/yaml_tree.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <sys/stat.h>

namespace weft::config {

Loaded load(std::string_view text, std::string_view file_name, Support support) {
  Loaded loaded;
  Report report(file_name);
  YamlNode root;
  if (auto error = parse_yaml(text, root)) {
    loaded.errors.push_back({{std::string(file_name), error->line, error->column}, {}, std::move(error->message)});
    return loaded;
  }
  Config& c = loaded.config;
  report.place("", root.line, root.column);
  Reader::read(report, root, "", [&](Reader& r) {
    r.map("switch", [&](Reader& s) { read_switch(s, c.switch_); });
    r.list<Uplink>("uplinks", c.uplinks, read_uplink);
    r.list<Network>("networks", c.networks, read_network);
    r.list<Port>("ports", c.ports, read_port);
  });
  complete(c);
  check_all(c, support, report);
  loaded.errors = report.take_errors();
  loaded.notes = report.take_notes();
  return loaded;
}

Loaded load_file(const std::string& path, Support support) {
  const auto unreadable = [&](const std::string& why) {
    Loaded loaded;
    Diagnostic& d = loaded.errors.emplace_back();
    d.where.file = path;
    d.message = "cannot be read: " + why;
    return loaded;
  };
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return unreadable(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return unreadable("it is a directory");
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::strerror(errno));
  // One byte more than is allowed is enough to see that there is too much, even from a device without end.
  std::string text(kMaxFileSize + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable(std::strerror(errno));
  text.resize(static_cast<size_t>(in.gcount()));
  return load(text, path, support);
}

namespace {

/// The first name of the template ("virbr%d") that nobody has.
std::string first_free(const std::string& pattern, const std::set<std::string>& taken) {
  const size_t number = pattern.find("%d");
  for (unsigned n = 0;; ++n) {
    std::string name = pattern.substr(0, number) + std::to_string(n) + pattern.substr(number + 2);
    if (!taken.contains(name)) return name;
  }
}

std::set<std::string> device_names(const Config& c) {
  std::set<std::string> names;
  const auto add = [&](const Device& device) {
    if (const auto* netdev = std::get_if<Netdev>(&device)) names.insert(netdev->name);
    if (const auto* tap = std::get_if<Tap>(&device)) names.insert(tap->name);
  };
  for (const Uplink& u : c.uplinks) add(u.device);
  for (const Port& p : c.ports) add(p.device);
  for (const Network& n : c.networks) names.insert(n.bridge.name);
  return names;
}

}  // namespace

void complete(Config& c) {
  std::set<std::string> taken = device_names(c);
  for (Network& n : c.networks) {
    const bool own_bridge = n.forward.mode != ForwardMode::kBridge;
    if (!n.bridge.host) n.bridge.host = own_bridge && (!n.bridge.name.empty() || !n.ips.empty());
    const bool is_template = n.bridge.name.find("%d") != std::string::npos;
    if (own_bridge && (is_template || (n.bridge.name.empty() && *n.bridge.host))) {
      n.bridge.name = first_free(is_template ? n.bridge.name : "virbr%d", taken);
      taken.insert(n.bridge.name);
    }
    for (Ip& ip : n.ips) {
      for (DhcpRange& range : ip.dhcp.ranges) {
        if (!range.lease_seconds)
          range.lease_seconds = range.start.is_v4() ? kDefaultLeaseSeconds : kDefaultLeaseSecondsIpv6;
      }
    }
  }
  for (Uplink& u : c.uplinks)
    if (!u.address_mode) u.address_mode = UplinkAddress::kHost;
}

}  // namespace weft::config
