// SPDX-License-Identifier: BSD-3-Clause
#include "dns/inquiry.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <net/if.h>

namespace weft::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

constexpr size_t kMaxOpenAttempts = 3;
constexpr size_t kReceiveSize = 2048;  // more than we offer by EDNS
constexpr size_t kMaxRejected = 20;    // then somebody is guessing: ask over TCP (RFC 5452 §9.3)
constexpr size_t kBindTries = 8;
constexpr size_t kMaxRounds = 4;  // through the list of servers; then only wait

/// Rcodes that say something about the name and not about the server.
bool is_an_answer(uint16_t code) {
  return code == rcode::kNoError || code == rcode::kNxDomain || code == 6;  // 6: YXDOMAIN (RFC 6672 §2.2)
}

}  // namespace

std::vector<uint8_t> write_upstream_query(const UpstreamQuestion& question, uint16_t id, bool with_edns) {
  std::vector<uint8_t> bytes(kPlainUdpSize);
  const uint16_t flags = flag::kRecursionDesired | flag::kAuthenticData |
                         (question.checking_disabled ? flag::kCheckingDisabled : uint16_t{0});
  std::optional<Edns> edns;
  if (with_edns) edns = Edns{.dnssec_ok = question.dnssec_ok};
  Builder builder(bytes, id, flags, edns);
  Question lower = question.question;
  lower.name = lower.name.lower();
  builder.add_question(lower);
  bytes.resize(builder.finish());
  return bytes;
}

Inquiry::Inquiry(std::shared_ptr<Forwarder::Core> core, UpstreamQuestion question, std::vector<Server> servers,
                 Done done)
    : core_(std::move(core)),
      question_(std::move(question)),
      servers_(std::move(servers)),
      failed_(servers_.size()),
      done_(std::move(done)),
      timer_(core_->io) {}

void Inquiry::start() {
  deadline_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(core_->config.total_timeout_ms);
  asio::post(core_->io, [self = shared_from_this()] {
    if (self->done_) self->try_next();
  });
}

void Inquiry::cancel() {
  done_ = nullptr;
  timer_.cancel();
  while (!attempts_.empty()) close(attempts_.back());
}

asio::ip::address Inquiry::address_of(const Server& server) const {
  if (server.address.is_v4()) return asio::ip::address_v4(server.address.v4().host());
  const uint32_t scope = server.scope.empty() ? 0 : if_nametoindex(server.scope.c_str());
  return asio::ip::address_v6(server.address.v6().bytes, scope);
}

void Inquiry::try_next() {
  // Tries go round the list; a round's timeout is twice the last one's.
  const size_t n = servers_.size();
  for (size_t skipped = 0; skipped < n && n_tried_ < n * kMaxRounds; ++skipped) {
    const size_t server = n_tried_ % n;
    const size_t round = n_tried_ / n;
    ++n_tried_;
    if (failed_[server]) continue;
    arm(core_->config.first_timeout_ms << round);
    return try_udp(server, true);
  }
  if (std::find(failed_.begin(), failed_.end(), false) == failed_.end() && attempts_.empty()) return give_up();
  arm(core_->config.total_timeout_ms);
}

void Inquiry::arm(uint32_t timeout_ms) {
  timer_.expires_at(std::min(deadline_, std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms)));
  timer_.async_wait([self = shared_from_this()](Error error) {
    if (!error && self->done_) self->on_timeout();
  });
}

void Inquiry::on_timeout() {
  // The timer may have been set anew after this expiry was queued.
  if (timer_.expiry() > std::chrono::steady_clock::now()) return;
  if (!attempts_.empty()) {
    ++core_->stats.server_timeouts;
    core_->dead_until_ms[servers_[attempts_.back()->server]] = core_->now_ms() + core_->config.dead_server_ms;
  }
  if (std::chrono::steady_clock::now() < deadline_) return try_next();
  give_up();
}

void Inquiry::give_up() {
  if (!fallback_.empty()) return finish(UpstreamStatus::kAnswered, fallback_);
  ++core_->stats.timed_out;
  finish(UpstreamStatus::kTimedOut, {});
}

Inquiry::AttemptPtr Inquiry::open_attempt(size_t server, bool with_edns) {
  if (attempts_.size() >= kMaxOpenAttempts) close(attempts_.front());
  const auto attempt = std::make_shared<Attempt>(core_->io);
  attempt->server = server;
  attempt->with_edns = with_edns;
  attempts_.push_back(attempt);
  return attempt;
}

void Inquiry::close(const AttemptPtr& attempt) {
  const AttemptPtr keep = attempt;  // may be an element of attempts_
  keep->closed = true;
  Error ignored;
  keep->udp.close(ignored);
  keep->tcp.close(ignored);
  std::erase(attempts_, keep);
}

void Inquiry::bind_random_port(udp::socket& socket, bool v6) {
  const auto any = v6 ? asio::ip::address(asio::ip::address_v6::any()) : asio::ip::address(asio::ip::address_v4::any());
  const ForwarderConfig& config = core_->config;
  const uint32_t n_ports = uint32_t{config.port_last} - config.port_first + 1;
  // The largest multiple of n_ports: numbers above would favour the first ports.
  const uint32_t fair = 65536 / n_ports * n_ports;
  for (size_t i = 0; i < kBindTries; ++i) {
    const uint32_t random = core_->random_u16();
    if (random >= fair) continue;
    Error error;
    socket.bind(udp::endpoint(any, static_cast<uint16_t>(config.port_first + random % n_ports)), error);
    if (!error) return;
  }
  // All taken: connect() lets the kernel choose, which is random too.
}

void Inquiry::try_udp(size_t server, bool with_edns) {
  const AttemptPtr attempt = open_attempt(server, with_edns);
  const Server& to = servers_[server];
  const udp::endpoint endpoint(address_of(to), to.port);
  attempt->sent = write_upstream_query(question_, core_->random_u16(), with_edns);
  attempt->received.resize(kReceiveSize);
  Error error;
  attempt->udp.open(endpoint.protocol(), error);
  if (!error) attempt->udp.non_blocking(true, error);
  if (!error) bind_random_port(attempt->udp, to.address.is_v6());
  if (!error) attempt->udp.connect(endpoint, error);
  if (!error) attempt->udp.send(asio::buffer(attempt->sent), 0, error);
  if (error) {
    ++core_->stats.unreachable;
    // Through the loop: a list of unreachable servers must not become a recursion.
    asio::post(core_->io, [self = shared_from_this(), attempt] {
      if (self->done_ && !attempt->closed) self->on_failure(attempt);
    });
    return;
  }
  ++core_->stats.sent_udp;
  receive(attempt);
}

void Inquiry::receive(const AttemptPtr& attempt) {
  attempt->udp.async_receive(asio::buffer(attempt->received),
                             [self = shared_from_this(), attempt](Error error, size_t size) {
                               if (!self->done_ || attempt->closed) return;
                               if (error) {
                                 ++self->core_->stats.unreachable;
                                 return self->on_failure(attempt);
                               }
                               self->on_message(attempt, std::span(attempt->received).first(size), false);
                             });
}

void Inquiry::try_tcp(size_t server, bool with_edns) {
  const AttemptPtr attempt = open_attempt(server, with_edns);
  const Server& to = servers_[server];
  const auto message = write_upstream_query(question_, core_->random_u16(), with_edns);
  attempt->sent = {static_cast<uint8_t>(message.size() >> 8), static_cast<uint8_t>(message.size())};
  attempt->sent.insert(attempt->sent.end(), message.begin(), message.end());
  ++core_->stats.sent_tcp;
  arm(core_->config.first_timeout_ms * 2);
  attempt->tcp.async_connect(tcp::endpoint(address_of(to), to.port), [self = shared_from_this(), attempt](Error error) {
    if (!self->done_ || attempt->closed) return;
    if (!error) return self->on_connected(attempt);
    ++self->core_->stats.unreachable;
    self->on_failure(attempt);
  });
}

void Inquiry::on_connected(const AttemptPtr& attempt) {
  const auto self = shared_from_this();
  const auto live = [self, attempt](Error error) {
    if (!self->done_ || attempt->closed) return false;
    if (error) self->on_failure(attempt);
    return !error;
  };
  asio::async_write(attempt->tcp, asio::buffer(attempt->sent), [live](Error error, size_t) { (void)live(error); });
  asio::async_read(attempt->tcp, asio::buffer(attempt->length), [self, attempt, live](Error error, size_t) {
    if (!live(error)) return;
    attempt->received.resize(static_cast<size_t>(attempt->length[0] << 8 | attempt->length[1]));
    asio::async_read(attempt->tcp, asio::buffer(attempt->received), [self, attempt, live](Error failed, size_t) {
      if (live(failed)) self->on_message(attempt, attempt->received, true);
    });
  });
}

bool Inquiry::repeats_question(std::span<const uint8_t> sent, std::span<const uint8_t> message) const {
  // Id, then everything from the question's first byte to its class; QR set, opcode QUERY, one question.
  const size_t size = kHeaderSize + question_.question.name.size() + 4;
  return message.size() >= size && std::equal(sent.begin(), sent.begin() + 2, message.begin()) &&
         (message[2] & 0xf8) == 0x80 && message[4] == 0 && message[5] == 1 &&
         std::equal(sent.begin() + kHeaderSize, sent.begin() + static_cast<std::ptrdiff_t>(size),
                    message.begin() + kHeaderSize);
}

void Inquiry::on_message(const AttemptPtr& attempt, std::span<const uint8_t> message, bool over_tcp) {
  const auto sent = std::span<const uint8_t>(attempt->sent).subspan(over_tcp ? 2 : 0);
  const bool ours = repeats_question(sent, message);
  const bool truncated = ours && (message[2] & flag::kTruncated >> 8) != 0;
  std::optional<CanonicalAnswer> answer;
  if (ours) answer = canonicalise(message);
  if (truncated && !over_tcp) {  // perhaps in the middle of a record
    if (answer) fallback_ = std::move(answer->message);
    return retry_over_tcp(attempt);
  }
  if (!answer) {
    ++core_->stats.rejected;
    if (over_tcp) return on_failure(attempt);
    if (++attempt->n_rejected < kMaxRejected) return receive(attempt);
    return retry_over_tcp(attempt);
  }
  core_->dead_until_ms.erase(servers_[attempt->server]);
  if (is_an_answer(answer->rcode)) {
    ++core_->stats.answered;
    return finish(UpstreamStatus::kAnswered, answer->message);
  }
  const bool may_dislike_edns =
      answer->rcode == rcode::kFormErr || answer->rcode == rcode::kNotImp || answer->rcode == rcode::kBadVers;
  if (may_dislike_edns && attempt->with_edns && !over_tcp) {  // RFC 6891 §6.2.2
    const size_t server = attempt->server;
    close(attempt);
    return try_udp(server, false);
  }
  ++core_->stats.server_failures;
  if (answer->rcode < 16) fallback_ = std::move(answer->message);
  on_failure(attempt);
}

void Inquiry::retry_over_tcp(const AttemptPtr& attempt) {
  const auto [server, with_edns] = std::pair(attempt->server, attempt->with_edns);
  close(attempt);
  try_tcp(server, with_edns);
}

void Inquiry::on_failure(const AttemptPtr& attempt) {
  const bool newest = attempt == attempts_.back();
  const size_t server = attempt->server;
  failed_[server] = true;
  const auto open = attempts_;
  for (const AttemptPtr& other : open)
    if (other->server == server) close(other);
  if (newest) try_next();
}

void Inquiry::finish(UpstreamStatus status, std::span<const uint8_t> message) {
  const Done done = std::exchange(done_, nullptr);
  const std::vector<uint8_t> kept(message.begin(), message.end());
  cancel();
  done({.status = status, .message = kept});
}

}  // namespace weft::dns
