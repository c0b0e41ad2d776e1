// SPDX-License-Identifier: BSD-3-Clause
#include "dns/tcp_session.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace weft::dns {

namespace asio = boost::asio;

TcpSession::TcpSession(asio::io_context& io, asio::ip::tcp::socket socket, const ListenerConfig& config,
                       std::weak_ptr<Resolver> resolver, ClientKey client, ListenerStats& stats, Closed on_closed)
    : socket_(std::move(socket)),
      idle_(io),
      config_(config),
      resolver_(std::move(resolver)),
      client_(client),
      stats_(stats),
      on_closed_(std::move(on_closed)) {}

void TcpSession::start() {
  Error ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);  // an answer waits for no acknowledgement
  touch();
  read_length();
}

void TcpSession::close() {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();  // on_closed_ drops the Listener's reference
  Error ignored;
  socket_.close(ignored);
  idle_.cancel();
  on_closed_(this);
}

void TcpSession::touch() {
  // Only whole messages count: a client that dribbles bytes is idle.
  last_active_ = Clock::now();
  idle_.expires_at(last_active_ + std::chrono::milliseconds(config_.idle_timeout_ms));
  idle_.async_wait([self = shared_from_this()](Error error) {
    if (error || self->closed_ || self->idle_.expiry() > Clock::now()) return;
    ++self->stats_.tcp_idle_closed;
    self->close();
  });
}

void TcpSession::go_on() {
  if (closed_) return;
  if (no_more_) {
    if (is_idle()) close();
    return;
  }
  if (!reading_ && n_pending_ + unsent_.size() < config_.max_pipelined) read_length();
}

void TcpSession::read_length() {
  reading_ = true;
  asio::async_read(socket_, asio::buffer(length_), [self = shared_from_this()](Error error, size_t) {
    if (self->closed_) return;
    if (!error) return self->read_body();
    // End of file: what is under way is still answered (RFC 7766 §6.2.3).
    self->reading_ = false;
    self->no_more_ = true;
    if (error == asio::error::eof) return self->go_on();
    self->close();
  });
}

void TcpSession::read_body() {
  body_.resize(static_cast<size_t>(length_[0] << 8 | length_[1]));
  asio::async_read(socket_, asio::buffer(body_), [self = shared_from_this()](Error error, size_t) {
    if (self->closed_) return;
    self->reading_ = false;
    if (error) return self->close();
    self->on_query();
  });
}

void TcpSession::on_query() {
  touch();
  ++stats_.tcp_queries;
  ++n_pending_;
  if (++n_queries_ >= config_.max_queries_per_connection) no_more_ = true;
  const auto resolver = resolver_.lock();
  if (!resolver) return close();
  resolver->query(body_, Transport::kTcp, client_, [weak = weak_from_this()](std::span<const uint8_t> response) {
    if (const auto self = weak.lock()) self->on_reply(response);
  });
  go_on();
}

void TcpSession::on_reply(std::span<const uint8_t> response) {
  if (closed_) return;
  --n_pending_;
  if (!response.empty()) {
    std::vector<uint8_t> message{static_cast<uint8_t>(response.size() >> 8), static_cast<uint8_t>(response.size())};
    message.insert(message.end(), response.begin(), response.end());
    unsent_.push_back(std::move(message));
    if (unsent_.size() == 1) write_next();
  }
  go_on();
}

void TcpSession::write_next() {
  asio::async_write(socket_, asio::buffer(unsent_.front()), [self = shared_from_this()](Error error, size_t) {
    if (self->closed_) return;
    if (error) return self->close();
    self->unsent_.pop_front();
    self->touch();
    if (!self->unsent_.empty()) self->write_next();
    self->go_on();
  });
}

}  // namespace weft::dns
