// SPDX-License-Identifier: BSD-3-Clause
//
// DNS on one address of the host, UDP and TCP (RFC 7766): what the kernel delivers for the host seat, i.e.
// the host's own queries and the guests' TCP. Feeds a Resolver. Control thread, on its io_context.
#pragma once

#include "dataplane/wire/addr.h"
#include "dns/resolver.h"

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

namespace weft::dns {

struct ListenerConfig {
  wire::IpAddress address;           // need not exist yet (IP_FREEBIND); answers come from it
  uint16_t port = 53;                // 0: any free one, the same for both (tests)
  std::string device;                // "" = any; else only what arrives through this interface (SO_BINDTODEVICE)
  uint32_t idle_timeout_ms = 15000;  // TCP: without a whole message read or written
  size_t max_connections = 64;       // then the one idle longest is closed; none idle: the new one
  size_t max_connections_per_client = 16;
  size_t max_queries_per_connection = 100;
  size_t max_pipelined = 16;  // unanswered queries of a connection before we stop reading it
};

struct ListenerStats {
  uint64_t udp_queries = 0;
  uint64_t udp_send_failed = 0;
  uint64_t tcp_accepted = 0;
  uint64_t tcp_refused = 0;  // a limit was reached
  uint64_t tcp_evicted = 0;  // closed for a newer one
  uint64_t tcp_idle_closed = 0;
  uint64_t tcp_queries = 0;
  size_t tcp_open = 0;
};

class Listener {
 public:
  /// Opens and binds both sockets; throws boost::system::system_error whose text names address, port and
  /// protocol. The Resolver is held weakly: once it is gone queries are ignored.
  Listener(boost::asio::io_context& io, const ListenerConfig& config, std::weak_ptr<Resolver> resolver);
  /// Closes everything; answers still under way are dropped.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] uint16_t port() const noexcept;
  [[nodiscard]] const ListenerStats& stats() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace weft::dns
