// SPDX-License-Identifier: BSD-3-Clause
//
// One question on its way through the upstream servers, and what all questions share. Private to forwarder.cc
// and inquiry.cc. Control thread.
//
// An attempt is one datagram, or one TCP connection, to one server. When its time is up the next server gets
// an attempt of its own while the old one may still answer; a server that answers with a failure, or whose
// socket reports an error, is out for this question. The first good answer ends it.
#pragma once

#include "dns/forwarder.h"
#include "dns/reply.h"

#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::dns {

/// What the Forwarder and its channels share; lives as long as the last of them.
struct Forwarder::Core {
  Core(boost::asio::io_context& context, ForwarderConfig c)
      : io(context), config(std::move(c)), host_servers(config.resolv_conf) {}
  boost::asio::io_context& io;
  ForwarderConfig config;
  ForwarderStats stats;
  ResolvConf host_servers;
  std::vector<wire::IpAddress> own_addresses;
  std::map<Server, uint64_t> dead_until_ms;  // servers that lately did not answer
  bool closed = false;

  uint64_t now_ms() const;
  uint16_t random_u16();
  /// The servers to try for `name`: not ourselves, the dead ones last.
  std::vector<Server> servers_for(const Name& name, const ForwardRules& rules);
};

/// The query as it goes upstream: RD and AD set (AD asks for the AD bit, RFC 6840 §5.7), lower-case name.
/// Empty when it cannot be written.
std::vector<uint8_t> write_upstream_query(const UpstreamQuestion& question, uint16_t id, bool with_edns);

class Inquiry : public std::enable_shared_from_this<Inquiry> {
 public:
  using Done = std::function<void(const UpstreamResult&)>;
  Inquiry(std::shared_ptr<Forwarder::Core> core, UpstreamQuestion question, std::vector<Server> servers, Done done);
  /// Calls `done` later, never from within.
  void start();
  /// Closes everything; `done` is not called any more.
  void cancel();

 private:
  using Error = boost::system::error_code;
  struct Attempt {
    explicit Attempt(boost::asio::io_context& io) : udp(io), tcp(io) {}
    size_t server = 0;
    bool with_edns = true;
    bool closed = false;
    size_t n_rejected = 0;
    boost::asio::ip::udp::socket udp;
    boost::asio::ip::tcp::socket tcp;
    std::vector<uint8_t> sent;  // over TCP behind its length
    std::vector<uint8_t> received;
    std::array<uint8_t, 2> length{};
  };
  using AttemptPtr = std::shared_ptr<Attempt>;

  void try_next();
  void try_udp(size_t server, bool with_edns);
  void try_tcp(size_t server, bool with_edns);
  AttemptPtr open_attempt(size_t server, bool with_edns);
  void bind_random_port(boost::asio::ip::udp::socket& socket, bool v6);
  void receive(const AttemptPtr& attempt);
  void on_connected(const AttemptPtr& attempt);
  void on_message(const AttemptPtr& attempt, std::span<const uint8_t> message, bool over_tcp);
  void retry_over_tcp(const AttemptPtr& attempt);
  void on_failure(const AttemptPtr& attempt);
  [[nodiscard]] bool repeats_question(std::span<const uint8_t> sent, std::span<const uint8_t> message) const;
  void arm(uint32_t timeout_ms);
  void on_timeout();
  void close(const AttemptPtr& attempt);
  void give_up();
  void finish(UpstreamStatus status, std::span<const uint8_t> message);
  [[nodiscard]] boost::asio::ip::address address_of(const Server& server) const;

  std::shared_ptr<Forwarder::Core> core_;
  UpstreamQuestion question_;
  std::vector<Server> servers_;
  std::vector<bool> failed_;          // by server: out for this question
  Done done_;                         // empty: finished or cancelled
  std::vector<AttemptPtr> attempts_;  // open ones, oldest first
  std::vector<uint8_t> fallback_;     // a failure or truncated answer, should nothing better come
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point deadline_;
  size_t n_tried_ = 0;
};

}  // namespace weft::dns
