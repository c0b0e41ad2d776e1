// SPDX-License-Identifier: BSD-3-Clause
//
// A switch between stations (stations.h): guests in one network, and beyond it more guests of that network, guests in
// another one, or the one uplink. Everybody is known to the fdb and as a neighbour before a test begins.
#pragma once

#include "tests/stage/stations.h"
#include "tests/stage/test_switch.h"

#include <array>
#include <map>
#include <string>
#include <vector>

namespace weft::vswitch::test {

struct Place {
  std::string mac, ip;
};

/// Where the stations of the second list are.
enum class Beyond { same_network, other_network, uplink };

class StationSwitch : public TestSwitch {
 public:
  static constexpr const char* kGreenGatewayMac = "52:54:00:00:01:01";  // of the other network
  static constexpr const char* kUplinkIp = "203.0.113.2";
  static constexpr const char* kNextHop = "203.0.113.1";  // the station at the uplink

  /// Guests in `inside` have addresses of 192.168.100.0/24, those in another network of 192.168.101.0/24.
  StationSwitch(const std::vector<Station*>& inside, const std::vector<Station*>& beyond, Beyond where);
  [[nodiscard]] const Place& place(const Station& s) const { return places_.at(s.name()); }

  /// What arrives at `to`; waits for as many frames as are expected.
  std::vector<Handed> collect(Station& to, size_t n_expected);
  /// Sends, and waits until the switch has taken one frame more.
  void deliver(Station& from, const Handed& frame);
  /// What was dropped, for messages.
  std::string drop_names();

 private:
  void place_at(Station& s, const std::string& ip);
  std::string add(Station& s, const char* network, const std::string& subnet);
  void introduce(Station& s, const char* router_ip, const char* router_mac);

  std::map<std::string, Place> places_;
};

[[nodiscard]] uint32_t number_of(const std::string& ip);
[[nodiscard]] std::array<uint8_t, 12> macs(const std::string& to, const std::string& from);

}  // namespace weft::vswitch::test
