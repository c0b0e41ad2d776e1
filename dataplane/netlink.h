// SPDX-License-Identifier: BSD-3-Clause
//
// The little of rtnetlink (rtnetlink(7)) that ports need: look at a netdev, set it up, give it addresses,
// remove it. Control thread or a helper of its; each call is one question and one
// answer of the kernel, microseconds. Not shared between threads.
#pragma once

#include "dataplane/unique_fd.h"
#include "dataplane/wire/addr.h"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weft::dataplane {

/// The kernel refused. what() is a whole sentence: what was tried, on which netdev, and why not.
class NetlinkError : public std::runtime_error {
 public:
  NetlinkError(const std::string& what, int error) : std::runtime_error(what), error_(error) {}
  [[nodiscard]] int error() const noexcept { return error_; }  // errno

 private:
  int error_;
};

/// An address of an interface with the length of its subnet's prefix.
struct InterfaceAddress {
  wire::IpAddress address;
  uint8_t prefix = 0;
  bool operator==(const InterfaceAddress&) const noexcept = default;
};

/// What the kernel says of a netdev.
struct LinkInfo {
  int index = 0;
  std::string name;
  std::string kind;   // "tun" (taps too), "veth", "bridge", …; "" for hardware
  std::string alias;  // ifalias
  wire::MacAddress mac;
  uint32_t mtu = 0;
  uint16_t hardware_type = 0;   // ARPHRD_ETHER, …
  uint32_t flags = 0;           // IFF_UP, IFF_LOWER_UP, …
  std::string qdisc;            // "noop": set up, but the kernel drops what is sent until it has seen the carrier
  int master = 0;               // index of the bridge it is part of, or 0
  bool is_tap = false;          // of kind tun: carries Ethernet
  bool is_multi_queue = false;  // of kind tun
  uint32_t n_queues = 0;        // of kind tun and multi-queue: attached now
  [[nodiscard]] bool is_up() const noexcept;        // IFF_UP
  [[nodiscard]] bool has_carrier() const noexcept;  // IFF_LOWER_UP
};

/// A conversation with one network namespace: that of the thread which makes it, for good.
class Netlink {
 public:
  /// Throws NetlinkError.
  Netlink();

  /// No value: there is no such netdev. Throws NetlinkError for anything else.
  [[nodiscard]] std::optional<LinkInfo> find(std::string_view name);
  [[nodiscard]] std::optional<LinkInfo> find(int index);
  [[nodiscard]] std::vector<InterfaceAddress> addresses(int index);

  // All throw NetlinkError.
  void set_alias(int index, std::string_view alias);
  void set_mac(int index, const wire::MacAddress& mac);
  void set_mtu(int index, uint32_t mtu);
  void set_up(int index);
  void set_down(int index);
  /// 0: none.
  void set_master(int index, int master);
  void move(int index, int netns_fd);
  /// Without duplicate address detection; one that is there already is left.
  void add_address(int index, const InterfaceAddress& address);
  void remove_address(int index, const InterfaceAddress& address);
  void add_veth(std::string_view name, std::string_view peer);
  void add_bridge(std::string_view name);
  void remove(int index);

 private:
  class Request;
  void execute(Request& request, const std::string& what);
  std::optional<LinkInfo> get_link(Request& request);

  UniqueFd socket_;
  uint32_t sequence_ = 0;
};

}  // namespace weft::dataplane
