// SPDX-License-Identifier: BSD-3-Clause
//
// How the enumerations of the model are spelt, in YAML and in XML alike. Internal to config/.
#pragma once

#include "config/model.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace weft::config {

template <class E>
struct Spelling;

template <>
struct Spelling<SocketMode> {
  static constexpr std::array<std::pair<SocketMode, std::string_view>, 2> kAll{
      {{SocketMode::kServer, "server"}, {SocketMode::kClient, "client"}}};
};
template <>
struct Spelling<Driver> {
  static constexpr std::array<std::pair<Driver, std::string_view>, 3> kAll{
      {{Driver::kAuto, "auto"}, {Driver::kAfXdp, "af_xdp"}, {Driver::kAfPacket, "af_packet"}}};
};
template <>
struct Spelling<Idle> {
  static constexpr std::array<std::pair<Idle, std::string_view>, 2> kAll{
      {{Idle::kAdaptive, "adaptive"}, {Idle::kPoll, "poll"}}};
};
template <>
struct Spelling<ForwardMode> {
  static constexpr std::array<std::pair<ForwardMode, std::string_view>, 5> kAll{{{ForwardMode::kNat, "nat"},
                                                                                 {ForwardMode::kRoute, "route"},
                                                                                 {ForwardMode::kOpen, "open"},
                                                                                 {ForwardMode::kBridge, "bridge"},
                                                                                 {ForwardMode::kNone, "none"}}};
};
template <>
struct Spelling<NatMapping> {
  static constexpr std::array<std::pair<NatMapping, std::string_view>, 2> kAll{
      {{NatMapping::kEndpointIndependent, "endpoint-independent"},
       {NatMapping::kEndpointDependent, "endpoint-dependent"}}};
};
template <>
struct Spelling<MacTableManager> {
  static constexpr std::array<std::pair<MacTableManager, std::string_view>, 2> kAll{
      {{MacTableManager::kKernel, "kernel"}, {MacTableManager::kLibvirt, "libvirt"}}};
};
template <>
struct Spelling<NativeMode> {
  static constexpr std::array<std::pair<NativeMode, std::string_view>, 2> kAll{
      {{NativeMode::kTagged, "tagged"}, {NativeMode::kUntagged, "untagged"}}};
};
template <>
struct Spelling<ForwardProtocol> {
  static constexpr std::array<std::pair<ForwardProtocol, std::string_view>, 2> kAll{
      {{ForwardProtocol::kTcp, "tcp"}, {ForwardProtocol::kUdp, "udp"}}};
};

template <class E>
std::string spell(E value) {
  for (const auto& [v, name] : Spelling<E>::kAll)
    if (v == value) return std::string(name);
  return {};
}

}  // namespace weft::config
