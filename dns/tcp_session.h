// SPDX-License-Identifier: BSD-3-Clause
//
// One DNS client on TCP (RFC 7766): messages behind two length bytes, several at once, answered as they
// become ready. Private to listener.cc. Control thread.
#pragma once

#include "dns/listener.h"

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::dns {

class TcpSession : public std::enable_shared_from_this<TcpSession> {
 public:
  using Closed = std::function<void(const TcpSession*)>;
  using Clock = std::chrono::steady_clock;

  /// `stats` is the Listener's; it is not touched after close(), which the Listener calls before it goes.
  TcpSession(boost::asio::io_context& io, boost::asio::ip::tcp::socket socket, const ListenerConfig& config,
             std::weak_ptr<Resolver> resolver, ClientKey client, ListenerStats& stats, Closed on_closed);
  void start();
  /// Idempotent; calls `on_closed` the first time.
  void close();

  [[nodiscard]] ClientKey client() const noexcept { return client_; }
  /// No query waits for its answer and no answer for its way out.
  [[nodiscard]] bool is_idle() const noexcept { return n_pending_ == 0 && unsent_.empty(); }
  [[nodiscard]] Clock::time_point last_active() const noexcept { return last_active_; }

 private:
  using Error = boost::system::error_code;
  void touch();
  void read_length();
  void read_body();
  void on_query();
  void on_reply(std::span<const uint8_t> response);
  void write_next();
  void go_on();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer idle_;
  ListenerConfig config_;
  std::weak_ptr<Resolver> resolver_;
  ClientKey client_;
  ListenerStats& stats_;
  Closed on_closed_;
  Clock::time_point last_active_ = Clock::now();
  std::array<uint8_t, 2> length_{};
  std::vector<uint8_t> body_;
  std::deque<std::vector<uint8_t>> unsent_;  // each behind its length; the first is being written
  size_t n_queries_ = 0;
  size_t n_pending_ = 0;  // handed to the Resolver, not answered
  bool reading_ = false;
  bool no_more_ = false;  // the client has finished, or has had its number of queries
  bool closed_ = false;
};

}  // namespace weft::dns
