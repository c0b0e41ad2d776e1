// SPDX-License-Identifier: BSD-3-Clause
//
// What networks, portgroups and ports have in common: bandwidth, vlan, virtualport.
#include "config/sections.h"

namespace weft::config {

void read_bandwidth(Reader& r, std::optional<Bandwidth>& out) {
  r.map("bandwidth", [&](Reader& m) {
    out.emplace();
    const auto read_rate = [&](const char* key, std::optional<Rate>& rate) {
      m.map(key, [&](Reader& d) {
        rate.emplace();
        d.value("average", rate->average, 1, kMostRate);
        d.value("peak", rate->peak, 1, kMostRate);
        d.value("burst", rate->burst, 1, kMostBurst);
        d.value("floor", rate->floor, 1, kMostRate);
      });
    };
    read_rate("inbound", out->inbound);
    read_rate("outbound", out->outbound);
  });
}

void read_vlan(Reader& r, std::optional<Vlan>& out) {
  r.map("vlan", [&](Reader& m) {
    out.emplace();
    m.value("trunk", out->trunk);
    m.list<VlanTag>("tags", out->tags, [](Reader& t, VlanTag& tag) {
      t.required("id", tag.id, 1, 4094);
      t.value("nativeMode", tag.native_mode);
    });
    // Several tags are a trunk, whether or not it is said; saying no is refused by the check.
    if (!m.has("trunk") && out->tags.size() > 1) out->trunk = true;
  });
}

void read_virtualport(Reader& r, std::optional<VirtualPort>& out) {
  r.map("virtualport", [&](Reader& m) {
    out.emplace();
    m.value("type", out->type);
    m.map("parameters", [&](Reader& p) {
      p.rest([&](const std::string& key, const YamlNode& n, const std::string& path) {
        std::string text;
        if (p.convert(n, path, text)) out->parameters[key] = text;
      });
    });
  });
}

}  // namespace weft::config
