// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of dns/: queries and answers in one line of code, and messages as one line of text.
#pragma once

#include "dns/message.h"

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::dns {

using Bytes = std::vector<uint8_t>;

inline Name name(std::string_view text) {
  const auto n = Name::from_text(text);
  EXPECT_TRUE(n) << text;
  return n.value_or(Name{});
}

inline wire::IpAddress ip(std::string_view text) { return wire::IpAddress::parse(text).value(); }

struct QueryOptions {
  uint16_t id = 0x1234;
  uint16_t flags = flag::kRecursionDesired;
  uint16_t klass = klass::kIn;
  std::optional<Edns> edns;
};

inline Bytes query_bytes(std::string_view qname, uint16_t qtype, QueryOptions options = {}) {
  Bytes out(600);
  Builder b(out, options.id, options.flags, options.edns);
  b.add_question({name(qname), qtype, options.klass});
  out.resize(b.finish());
  return out;
}

inline Query query_of(std::string_view qname, uint16_t qtype, QueryOptions options = {}) {
  return parse_query(query_bytes(qname, qtype, options)).value();
}

/// An answer of a server to `query` with these A records.
struct Answered {
  std::string owner;
  std::string address;
  uint32_t ttl = 300;
};
inline Bytes response_bytes(const Bytes& query, const std::vector<Answered>& answers, uint16_t code = 0,
                            uint16_t extra = 0, uint32_t soa_ttl = 0) {
  Reader reader(query);
  const auto header = reader.header().value();
  const auto question = reader.question().value();
  Bytes out(4096);
  Builder b(out, header.id, response_flags(header.flags, extra, code));
  b.add_question(question);
  for (const auto& a : answers) b.add_address(Section::kAnswer, name(a.owner), a.ttl, ip(a.address));
  if (soa_ttl != 0) b.add_soa(Section::kAuthority, name("example"), soa_ttl, name("ns.example"), name("root.example"));
  out.resize(b.finish());
  return out;
}

/// "NOERROR aa rd ra | vm.lab A | vm.lab 0 A 10.0.0.1 | auth lab 5 SOA | opt 1232". Empty sections are left
/// out; what cannot be read shows as "bad", what is left over as "trailing".
std::string describe(std::span<const uint8_t> message);

}  // namespace weft::dns
