// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of <network> that libvirt_import.cc leaves to libvirt_parts.cc. Internal to config/.
#pragma once

#include "config/model.h"
#include "config/xml_reader.h"

namespace weft::config {

void import_dns(Element& e, Dns& dns);
void import_ip(Element& e, Ip& ip);
void import_route(Element& e, Route& route);
void import_portgroup(Element& e, PortGroup& group);
void import_bandwidth(Element& parent, std::optional<Bandwidth>& out);
void import_vlan(Element& parent, std::optional<Vlan>& out);
void import_virtualport(Element& parent, std::optional<VirtualPort>& out);

}  // namespace weft::config
