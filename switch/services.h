// SPDX-License-Identifier: BSD-3-Clause
//
// DHCP and DNS of every network: which server a punted packet is for, and how its answer gets back to the guest. A DHCP
// answer that makes or changes a lease leaves only when the lease is durable. Control thread.
#pragma once

#include "dataplane/owned.h"
#include "dhcp/server.h"
#include "dhcp/store_thread.h"
#include "dns/forwarder.h"
#include "dns/listener.h"
#include "dns/resolver.h"
#include "switch/model.h"
#include "switch/udp_frame.h"

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::vswitch {

class Services {
 public:
  /// Sends a frame the gateway of `network` made.
  using Inject = std::function<void(std::span<const uint8_t> frame, NetworkId network)>;

  /// `in_use`: whether an address of a network is seen in use by another MAC than the given one.
  using AddressInUse = std::function<bool(NetworkId network, wire::Ipv4Address address, wire::MacAddress client)>;

  Services(boost::asio::io_context& io, dhcp::StoreThread& store, Inject inject, AddressInUse in_use);
  ~Services();

  /// Begins to serve a network. `leases`: what the store kept of it. Throws std::runtime_error when the host's own
  /// address and port 53 cannot be had.
  void add(const NetworkRecord& network, std::span<const dhcp::Lease> leases);

  /// A packet for the switch itself.
  dataplane::Drop handle(std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta);

  /// Listens anew on the host's seat, whose netdev is another than before. Throws as add() does.
  void renew_listeners(const NetworkRecord& network);

  void forget_port(PortId port);
  /// The DHCP server of a network, or nullptr.
  [[nodiscard]] const dhcp::Server* dhcp(NetworkId network) const noexcept;

 private:
  struct Served;
  dataplane::Drop handle_frame(std::span<const uint8_t> frame, const dataplane::OwnedMeta& meta);
  void listen(Served& served, const config::Network& network);
  dataplane::Drop handle_dhcp(Served& served, const UdpFrame& request, PortId port);
  dataplane::Drop handle_dns(Served& served, const UdpFrame& query, PortId port);
  void submit(Served& served, dhcp::LeaseChange change, std::function<void()> then);
  void send_dhcp(const Served& served, const dhcp::Destination& to, std::span<const uint8_t> payload);
  void publish_names(Served& served);
  void expire();

  boost::asio::io_context& io_;
  dhcp::StoreThread& store_;
  Inject inject_;
  AddressInUse in_use_;
  dns::Forwarder forwarder_;
  std::vector<wire::IpAddress> own_addresses_;
  std::map<NetworkId, std::unique_ptr<Served>> served_;
  boost::asio::steady_timer timer_;
};

}  // namespace weft::vswitch
