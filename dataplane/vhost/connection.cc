// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/connection.h"

#include <chrono>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <poll.h>
#include <sys/socket.h>

namespace weft::dataplane::vhost {
namespace {

/// Requests handled before other connections get their turn.
constexpr int kRequestsPerTurn = 32;
/// A polling worker turns within a microsecond or a few: worth waiting for, up to this many looks.
constexpr int kGraceSpins = 200;
constexpr std::chrono::microseconds kGracePoll{100};

template <class T>
std::span<const uint8_t> bytes_of(const T& value) noexcept {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

Connection::Connection(boost::asio::io_context& io, UniqueFd socket, std::unique_ptr<Device> device, Rcu& rcu,
                       PortLog& log, Events events)
    : io_(io),
      channel_(std::move(socket)),
      watch_(io, channel_.socket()),
      timer_(io),
      rcu_(rcu),
      log_(&log),
      events_(std::move(events)),
      device_(std::move(device)) {}

Connection::~Connection() { watch_.release(); }

void Connection::start() { wait_readable(); }

void Connection::wait_readable() {
  watch_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this()](const boost::system::error_code& error) {
                      if (!error) self->on_readable();
                    });
}

/// What nobody foresaw (no memory, above all) ends this connection, and it alone.
void Connection::on_readable() {
  try {
    read_messages();
  } catch (const std::exception& e) {
    refuse(/*is_whole=*/false, e.what());
  }
}

void Connection::read_messages() {
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    if (state_ != State::open) return;
    switch (channel_.receive()) {
      case Channel::Status::message:
        if (!handle_message()) return;
        break;
      case Channel::Status::incomplete:
        return wait_readable();
      case Channel::Status::closed:
        return close("the front end hung up");
      case Channel::Status::failed:
        return refuse(/*is_whole=*/false, "malformed message, or too many descriptors with it");
    }
  }
  boost::asio::post(io_, [self = shared_from_this()] { self->on_readable(); });
}

/// False: reading goes on later, or never.
bool Connection::handle_message() {
  const auto request = decode(channel_.header(), channel_.payload(), channel_.fds().size());
  if (!request) {
    refuse(/*is_whole=*/true,
           fmt::format("request {} ({}): {}", channel_.header().request,
                       request_name(static_cast<RequestType>(channel_.header().request)), to_string(request.error())));
    return false;
  }
  const RingSet touched = device_->touched(*request);
  if (touched.none()) {
    apply(*request);
    return state_ == State::open;
  }
  device_->stop(touched);
  const RingSet stopped = device_->unsettled();
  const Rcu::Token token = rcu_.start();
  if (spin_grace(token)) {
    device_->settle(stopped);
    apply(*request);
    return state_ == State::open;
  }
  poll_grace(token, [this, stopped, request = *request] {
    try {
      device_->settle(stopped);
      apply(request);
    } catch (const std::exception& e) {
      return refuse(/*is_whole=*/true, e.what());
    }
    on_readable();
  });
  return false;
}

void Connection::apply(const Request& request) {
  tell_missed();
  const auto done = device_->apply(request, channel_.fds());
  if (!done) return refuse(/*is_whole=*/true, fmt::format("{}: {}", request_name(request.type), done.error()));
  if (!done->warning.empty()) log_->warn(done->warning);
  if (const std::string wrong = device_->start_ready(); !wrong.empty()) log_->warn(wrong);
  drop_retired();
  // Its owner knows before the front end does.
  if (events_.changed) events_.changed();
  if (state_ != State::open) return;
  if (!answer(request, *done)) return close("the front end does not read its answers");
  if (const auto mac = device_->take_announced(); mac && events_.mac_announced) events_.mac_announced(*mac);
}

/// A log that is too small is the front end's mistake, which its guest will pay for where it goes: worth a word.
void Connection::tell_missed() {
  if (device_->take_missed()) log_->warn("memory was written that the front end's dirty log has no place for");
}

/// Closes descriptors that no worker can be using any more.
void Connection::drop_retired() {
  std::erase_if(retired_, [&](const Retired& r) { return rcu_.passed(r.token); });
  auto fds = device_->take_retired();
  if (fds.empty()) return;
  const Rcu::Token token = rcu_.start();
  if (!spin_grace(token)) retired_.push_back({token, std::move(fds)});
}

bool Connection::answer(const Request& request, const Device::Answer& answer) {
  switch (answer.kind) {
    case Device::Answer::Kind::u64:
      return channel_.reply(bytes_of(answer.value));
    case Device::Answer::Kind::vring_state:
      return channel_.reply(bytes_of(answer.state));
    case Device::Answer::Kind::none:
    case Device::Answer::Kind::refusal:
      break;
  }
  if (!request.needs_reply || !device_->has_protocol_feature(protocol_feature::kReplyAck)) return true;
  return channel_.reply(bytes_of(uint64_t{answer.kind == Device::Answer::Kind::refusal}));
}

/// A whole message that asked to be acknowledged is told first.
void Connection::refuse(bool is_whole, const std::string& why) {
  if (is_whole && (channel_.header().flags & MessageHeader::kNeedReply) != 0 &&
      device_->has_protocol_feature(protocol_feature::kReplyAck))
    channel_.reply(bytes_of(uint64_t{1}));
  is_error_ = true;
  close(why);
}

void Connection::close(std::string reason) {
  if (state_ != State::open) return;
  state_ = State::closing;
  tell_missed();
  watch_.cancel();
  device_->stop_all();
  // The peer sees the end now; the descriptor stays open until the last handler has gone.
  shutdown(channel_.socket(), SHUT_RDWR);
  if (events_.changed) events_.changed();
  const Rcu::Token token = rcu_.start();
  const auto finish = [this, reason = std::move(reason)] {
    state_ = State::ended;
    device_.reset();
    // The callback may let go of this object, and of the function objects with it.
    const auto ended = std::move(events_.ended);
    if (ended) ended(reason, is_error_);
  };
  // Never from inside the caller, who may be the one to be told.
  poll_grace(token, finish);
}

void Connection::abandon() noexcept {
  state_ = State::ended;
  events_ = {};
  if (device_) device_->stop_all();
  device_.reset();
  log_ = nullptr;
  boost::system::error_code ignored;
  watch_.cancel(ignored);
  timer_.cancel(ignored);
  shutdown(channel_.socket(), SHUT_RDWR);
}

void Connection::on_trouble() {
  if (state_ != State::open) return;
  if (device_->memory_is_gone()) {
    is_error_ = true;
    return close("the guest took back memory it had lent");
  }
  const RingSet broken = device_->take_broken();
  for (size_t i = 0; i < broken.size(); ++i) {
    if (broken[i]) log_->warn(fmt::format("ring {}: the guest's indices make no sense; stopped", i));
  }
  if (broken.any() && events_.changed) events_.changed();
}

bool Connection::peer_is_gone() const noexcept {
  pollfd p{channel_.socket(), POLLRDHUP, 0};
  return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

bool Connection::spin_grace(Rcu::Token token) noexcept {
  for (int i = 0; i < kGraceSpins; ++i) {
    if (rcu_.passed(token)) return true;
    __builtin_ia32_pause();
  }
  return false;
}

void Connection::poll_grace(Rcu::Token token, std::function<void()> then) {
  // Replaces an earlier wait, whose handler then finds the state changed.
  timer_.expires_after(kGracePoll);
  const State waiting_in = state_;
  timer_.async_wait(
      [self = shared_from_this(), token, waiting_in, then = std::move(then)](const boost::system::error_code&) mutable {
        // Closed meanwhile: close() waits for a grace period of its own, which covers this one.
        if (self->state_ != waiting_in) return;
        if (!self->rcu_.passed(token)) return self->poll_grace(token, std::move(then));
        then();
      });
}

}  // namespace weft::dataplane::vhost
