// SPDX-License-Identifier: BSD-3-Clause
#include "dns/resolver.h"

#include "dns/reply.h"

#include <utility>

namespace weft::dns {

struct Resolver::Pending {
  Query query;
  Transport transport;
  ClientKey client;
  Reply reply;
};

Resolver::Resolver(const LocalZoneConfig& zone, std::unique_ptr<Upstream> upstream, Clock now_ms, ResolverLimits limits)
    : limits_(limits),
      now_ms_(std::move(now_ms)),
      zone_(zone),
      cache_(limits.cache),
      buffer_(kMaxMessage),
      upstream_(std::move(upstream)) {}

Resolver::~Resolver() = default;

void Resolver::query(std::span<const uint8_t> message, Transport transport, ClientKey client, Reply reply) {
  ++stats_.queries;
  const auto parsed = parse_query(message);
  if (!parsed) {
    const QueryError& error = parsed.error();
    ++(error.ignore ? stats_.ignored : stats_.errors);
    return reply(std::span(buffer_).first(write_error(error, buffer_)));
  }
  const Query& query = *parsed;
  const auto space = std::span(buffer_).first(query.response_limit(transport));
  if (const size_t size = zone_.answer(query, space)) {
    const bool refused = (buffer_[3] & flag::kRcodeMask) == rcode::kRefused;
    ++(refused ? stats_.refused : stats_.local);
    return reply(space.first(size));
  }
  const UpstreamQuestion question{query.question, query.dnssec_ok(), query.checking_disabled()};
  if (const auto hit = cache_.find(question, now_ms_())) {
    ++stats_.cached;
    return send(query, transport, hit->message, hit->age_s, reply);
  }
  ask_upstream(query, transport, client, std::move(reply));
}

void Resolver::ask_upstream(const Query& query, Transport transport, ClientKey client, Reply reply) {
  if (!upstream_) {
    ++stats_.refused;
    return send_empty(query, rcode::kRefused, reply);
  }
  size_t& n_pending = pending_of_[client];
  if (n_pending >= limits_.max_pending_per_client) {
    ++stats_.overloaded;
    return send_empty(query, rcode::kServFail, reply);
  }
  ++n_pending;
  ++stats_.forwarded;
  const uint64_t ticket = next_ticket_++;
  pending_.emplace(ticket, std::make_unique<Pending>(Pending{query, transport, client, std::move(reply)}));
  const UpstreamQuestion question{query.question, query.dnssec_ok(), query.checking_disabled()};
  upstream_->query(question, [this, ticket](const UpstreamResult& result) { finish(ticket, result); });
}

void Resolver::finish(uint64_t ticket, const UpstreamResult& result) {
  const auto it = pending_.find(ticket);
  if (it == pending_.end()) return;
  const auto pending = std::move(it->second);
  pending_.erase(it);
  if (const auto n = pending_of_.find(pending->client); n != pending_of_.end() && --n->second == 0)
    pending_of_.erase(n);

  const Query& query = pending->query;
  switch (result.status) {
    case UpstreamStatus::kAnswered:
      cache_.insert({query.question, query.dnssec_ok(), query.checking_disabled()}, result.message, now_ms_());
      return send(query, pending->transport, result.message, 0, pending->reply);
    case UpstreamStatus::kTimedOut:
      ++stats_.failed;
      return send_empty(query, rcode::kServFail, pending->reply);
    case UpstreamStatus::kOverloaded:
      ++stats_.overloaded;
      return send_empty(query, rcode::kServFail, pending->reply);
    case UpstreamStatus::kNoServer:
      ++stats_.refused;
      return send_empty(query, rcode::kRefused, pending->reply);
  }
}

void Resolver::send(const Query& query, Transport transport, std::span<const uint8_t> canonical, uint32_t age_s,
                    const Reply& reply) {
  const auto space = std::span(buffer_).first(query.response_limit(transport));
  const size_t size = write_reply(canonical, query, age_s, space);
  if (size == 0) return send_empty(query, rcode::kServFail, reply);
  reply(space.first(size));
}

void Resolver::send_empty(const Query& query, uint16_t code, const Reply& reply) {
  reply(std::span(buffer_).first(write_empty(query, code, 0, buffer_)));
}

void Resolver::set_upstream(std::unique_ptr<Upstream> upstream) {
  upstream_ = std::move(upstream);
  cache_.clear();
  pending_of_.clear();
  for (auto& [ticket, pending] : std::exchange(pending_, {})) {
    ++stats_.failed;
    send_empty(pending->query, rcode::kServFail, pending->reply);
  }
}

}  // namespace weft::dns
