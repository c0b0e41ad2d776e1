// SPDX-License-Identifier: BSD-3-Clause
//
// Asks upstream servers over UDP and TCP. One Forwarder for the process, with the host's resolvers and the
// total limit; one Channel a network, with its forwarders and its own limit; a Channel is the Upstream of
// that network's Resolver. Control thread, on its io_context.
//
// Against forged answers (RFC 5452): every attempt has a socket of its own, connected to the server, bound to
// a random port, and a random id; the answer must repeat the question byte for byte; a question in flight is
// not asked twice.
#pragma once

#include "dns/servers.h"
#include "dns/upstream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace weft::dns {

struct ForwarderConfig {
  std::string resolv_conf = "/etc/resolv.conf";
  uint32_t first_timeout_ms = 1500;   // of each server in the first round; the second round waits twice as long
  uint32_t total_timeout_ms = 10000;  // then the query fails
  uint32_t dead_server_ms = 15000;    // a server that did not answer is tried last for this long
  size_t max_in_flight = 4096;        // questions, all networks
  size_t max_in_flight_per_network = 1024;
  size_t max_waiters = 64;  // clients waiting for one question
  /// Source ports: the kernel's own range, which stays clear of the ports an uplink may have taken for the
  /// switch.
  uint16_t port_first = 32768;
  uint16_t port_last = 60999;
  /// Fills the bytes with unpredictable ones; empty: getrandom(2).
  std::function<void(std::span<uint8_t>)> random;
};

struct ForwarderStats {
  uint64_t questions = 0;  // asked by channels
  uint64_t coalesced = 0;  // joined one in flight
  uint64_t sent_udp = 0;
  uint64_t sent_tcp = 0;
  uint64_t answered = 0;
  uint64_t timed_out = 0;        // questions nobody answered
  uint64_t server_timeouts = 0;  // single attempts
  uint64_t server_failures = 0;  // SERVFAIL, REFUSED and the like: the next server was tried
  uint64_t unreachable = 0;      // the socket said so
  uint64_t rejected = 0;         // wrong id, wrong question, malformed
  uint64_t no_server = 0;
  uint64_t refused_network = 0;  // over max_in_flight_per_network
  uint64_t refused_total = 0;    // over max_in_flight
  uint64_t refused_waiters = 0;  // over max_waiters
  size_t in_flight = 0;
};

class Forwarder {
 public:
  Forwarder(boost::asio::io_context& io, ForwarderConfig config);
  /// Channels may live longer; they then answer kNoServer.
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  /// A network's way out. Destroying it cancels its questions without calling anybody.
  std::unique_ptr<Upstream> open_channel(ForwardRules rules);

  /// Addresses we serve DNS on ourselves (the gateways): never asked, wherever they are named.
  void set_own_addresses(std::vector<wire::IpAddress> addresses);
  [[nodiscard]] const ForwarderStats& stats() const noexcept;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
  friend class Channel;
  friend class Inquiry;
};

}  // namespace weft::dns
