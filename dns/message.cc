// SPDX-License-Identifier: BSD-3-Clause
#include "dns/message.h"

#include <algorithm>

namespace weft::dns {

Edns Edns::from(const Record& opt) noexcept {
  // RFC 6891 §6.1.2 and §6.1.3: the class is the payload size, the TTL holds rcode, version and flags.
  return {.udp_size = opt.klass,
          .extended_rcode = static_cast<uint8_t>(opt.ttl >> 24),
          .version = static_cast<uint8_t>(opt.ttl >> 16),
          .dnssec_ok = (opt.ttl & 0x8000) != 0};
}

uint16_t Reader::u16() noexcept {
  const auto v = static_cast<uint16_t>(message_[offset_] << 8 | message_[offset_ + 1]);
  offset_ += 2;
  return v;
}

std::optional<Header> Reader::header() noexcept {
  if (!has(kHeaderSize)) return std::nullopt;
  Header h;
  h.id = u16();
  h.flags = u16();
  for (uint16_t& count : h.counts) count = u16();
  return h;
}

std::optional<Question> Reader::question() noexcept {
  const auto name = Name::from_message(message_, offset_);
  if (!name || !has(4)) return std::nullopt;
  Question q{.name = *name};
  q.type = u16();
  q.klass = u16();
  return q;
}

std::optional<Record> Reader::record() noexcept {
  Record r{.start = offset_};
  const auto owner = Name::from_message(message_, offset_);
  if (!owner || !has(10)) return std::nullopt;
  r.owner = *owner;
  r.type = u16();
  r.klass = u16();
  r.ttl_offset = offset_;
  r.ttl = uint32_t{u16()} << 16;
  r.ttl |= u16();
  if (r.type != type::kOpt && (r.ttl & 0x80000000) != 0) r.ttl = 0;
  r.data_size = u16();
  r.data_offset = offset_;
  if (!has(r.data_size)) return std::nullopt;
  offset_ += r.data_size;
  return r;
}

size_t Query::response_limit(Transport transport) const noexcept {
  if (transport == Transport::kTcp) return kMaxMessage;
  if (!edns) return kPlainUdpSize;
  return std::clamp<size_t>(edns->udp_size, kPlainUdpSize, kEdnsUdpSize);
}

namespace {

/// Everything behind the question; fills `edns`. Returns an rcode.
uint16_t read_query_records(Reader& reader, const Header& header, std::optional<Edns>& edns) noexcept {
  const size_t n = size_t{header.counts[1]} + header.counts[2] + header.counts[3];
  for (size_t i = 0; i < n; ++i) {
    const auto record = reader.record();
    if (!record) return rcode::kFormErr;
    if (record->type != type::kOpt) continue;
    if (edns || !record->owner.is_root() || i < size_t{header.counts[1]} + header.counts[2]) return rcode::kFormErr;
    edns = Edns::from(*record);
  }
  return edns && edns->version != 0 ? rcode::kBadVers : rcode::kNoError;
}

}  // namespace

tl::expected<Query, QueryError> parse_query(std::span<const uint8_t> message) noexcept {
  Reader reader(message);
  const auto header = reader.header();
  if (!header || (header->flags & flag::kResponse) != 0) return tl::unexpected(QueryError{.ignore = true});
  QueryError error{.id = header->id, .flags = header->flags};
  if ((header->flags & flag::kOpcodeMask) != 0) {
    error.rcode = rcode::kNotImp;
    return tl::unexpected(error);
  }
  error.rcode = rcode::kFormErr;
  if (header->counts[0] != 1) return tl::unexpected(error);
  const auto question = reader.question();
  if (!question) return tl::unexpected(error);
  error.rcode = read_query_records(reader, *header, error.edns);
  if (error.rcode != rcode::kNoError) return tl::unexpected(error);
  return Query{.id = header->id, .flags = header->flags, .question = *question, .edns = error.edns};
}

uint16_t response_flags(uint16_t query_flags, uint16_t extra, uint16_t code) noexcept {
  const uint16_t kept = query_flags & (flag::kOpcodeMask | flag::kRecursionDesired | flag::kCheckingDisabled);
  return static_cast<uint16_t>(flag::kResponse | flag::kRecursionAvailable | kept | extra | (code & flag::kRcodeMask));
}

namespace {

/// What we put into our own OPT records: our size, the client's DO (RFC 3225 §3), the rcode's upper bits.
std::optional<Edns> edns_reply(const std::optional<Edns>& client, uint16_t code) noexcept {
  if (!client) return std::nullopt;
  return Edns{.extended_rcode = static_cast<uint8_t>(code >> 4), .dnssec_ok = client->dnssec_ok};
}

}  // namespace

size_t write_error(const QueryError& error, std::span<uint8_t> out) noexcept {
  if (error.ignore) return 0;
  Builder builder(out, error.id, response_flags(error.flags, 0, error.rcode), edns_reply(error.edns, error.rcode));
  return builder.finish();
}

size_t write_empty(const Query& query, uint16_t code, uint16_t extra_flags, std::span<uint8_t> out) noexcept {
  Builder builder(out, query.id, response_flags(query.flags, extra_flags, code), edns_reply(query.edns, code));
  builder.add_question(query.question);
  return builder.finish();
}

}  // namespace weft::dns
