// SPDX-License-Identifier: BSD-3-Clause
//
// libvirt's <network> XML in and out. Strict where libvirt is not: an element or attribute that is unknown or
// that the switch cannot honour is an error with its place, never dropped in silence. Control side only;
// nothing here throws for what the text says.
#pragma once

#include "config/diagnostic.h"
#include "config/load.h"
#include "config/model.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::config {

/// `network` is set when the XML could be read at all as one; it may be used only when `errors` is empty. It
/// is as written: complete() fills in what is left out. `uplinks` are those the XML's devices stand for.
struct ImportResult {
  std::optional<Network> network;
  std::vector<Uplink> uplinks;
  std::vector<Diagnostic> errors;
  std::vector<Diagnostic> notes;
  [[nodiscard]] bool ok() const noexcept { return errors.empty() && network.has_value(); }
};

/// One <network> document. With Support::kThisVersion what the switch cannot do yet is an error too.
ImportResult import_network(std::string_view xml, std::string_view file_name, Support support = Support::kThisVersion);

/// The network as libvirt writes it: its order of elements and attributes, defaults left out as it does. What
/// only weft knows (bridge.host, nat.mapping, dhcp.options, portForwards, autostart) has no place there.
std::string to_libvirt_xml(const Network& network);

}  // namespace weft::config
