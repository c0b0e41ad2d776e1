// SPDX-License-Identifier: BSD-3-Clause
#include "dns/reply.h"

#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

Bytes canonical(const Bytes& response) {
  auto c = canonicalise(response);
  EXPECT_TRUE(c);
  return c ? c->message : Bytes{};
}

std::string reply(const Bytes& message, const Query& query, uint32_t age = 0, Transport t = Transport::kUdp) {
  Bytes out(query.response_limit(t));
  out.resize(write_reply(message, query, age, out));
  return out.empty() ? "mismatch" : describe(out);
}

TEST(Canonicalise, DropsOptAndTakesItsRcode) {
  const Bytes q = query_bytes("www.example", type::kA);
  Bytes r = response_bytes(q, {{"www.example", "192.0.2.1"}});
  r.insert(r.end(), {0, 0, 41, 4, 208, 1, 0, 0x80, 0, 0, 0});  // extended rcode 1
  r[11] = 1;
  const auto c = canonicalise(r);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->rcode, 16);
  EXPECT_EQ(describe(c->message), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
}

TEST(Canonicalise, ExpandsNamesInDataThatLeadIntoOtherRecords) {
  // A CNAME whose target is a pointer into the question, then an OPT, then a record that points behind the
  // OPT.
  const Bytes q = query_bytes("a.example", type::kA);
  Bytes r = response_bytes(q, {});
  r.insert(r.end(), {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 'b', 0xc0, 14});  // a.example CNAME b.example
  r.insert(r.end(), {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0});
  const auto b = static_cast<uint8_t>(27 + 12);  // "b" of b.example
  r.insert(r.end(), {0xc0, b, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9});
  r[7] = 1;
  r[11] = 2;
  EXPECT_EQ(describe(canonical(r)),
            "NOERROR rd ra | a.example A | a.example 60 CNAME b.example | add b.example 60 A 192.0.2.9");
}

TEST(Canonicalise, LowersTheSoaTtlToItsMinimum) {
  const Bytes q = query_bytes("no.example", type::kA);
  Bytes out(512);
  Builder b(out, 1, flag::kResponse | rcode::kNxDomain);
  b.add_question({name("no.example"), type::kA, klass::kIn});
  b.add_soa(Section::kAuthority, name("example"), 900, name("ns.example"), name("root.example"));
  out.resize(b.finish());
  out[out.size() - 2] = 0;  // minimum 900 -> 132
  EXPECT_EQ(describe(canonical(out)), "NXDOMAIN | no.example A | auth example 132 SOA");
}

TEST(Canonicalise, RefusesWhatIsMalformed) {
  const Bytes q = query_bytes("www.example", type::kA);
  const Bytes good = response_bytes(q, {{"www.example", "192.0.2.1"}}, 0, 0, 60);
  ASSERT_TRUE(canonicalise(good));
  EXPECT_FALSE(canonicalise(q)) << "a query";
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(canonicalise(std::span(good).first(size))) << "cut at " << size;
  Bytes bad = good;
  bad[5] = 2;
  EXPECT_FALSE(canonicalise(bad)) << "two questions";
  // An A record of three bytes.
  bad = response_bytes(q, {});
  bad.insert(bad.end(), {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 3, 1, 2, 3});
  bad[7] = 1;
  EXPECT_FALSE(canonicalise(bad));
  // A CNAME whose name ends before its data does, one that runs past it, and one that points at itself.
  for (const Bytes& data : {Bytes{1, 'b', 0, 0}, Bytes{5, 'b'}, Bytes{0xc0, 41}}) {
    bad = response_bytes(q, {});
    bad.insert(bad.end(), {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, static_cast<uint8_t>(data.size())});
    bad.insert(bad.end(), data.begin(), data.end());
    bad[7] = 1;
    EXPECT_FALSE(canonicalise(bad));
  }
}

TEST(Canonicalise, UnknownTypesPassUnchanged) {
  Bytes r = response_bytes(query_bytes("www.example", 65), {});
  const Bytes record{0xc0, 12, 0, 65, 0, 1, 0, 0, 0, 60, 0, 5, 0xc0, 0xff, 0, 1, 2};
  r.insert(r.end(), record.begin(), record.end());
  r[7] = 1;
  const Bytes c = canonical(r);
  ASSERT_GE(c.size(), record.size());
  EXPECT_TRUE(std::equal(record.begin(), record.end(), c.end() - static_cast<std::ptrdiff_t>(record.size())));
}

TEST(WriteReply, GivesEachClientItsOwnShape) {
  const Bytes c =
      canonical(response_bytes(query_bytes("www.example", type::kA, {.id = 9}), {{"www.example", "192.0.2.1"}}, 0,
                               flag::kAuthoritative | flag::kAuthenticData));
  EXPECT_EQ(reply(c, query_of("wWw.eXample", type::kA)), "NOERROR rd ra | wWw.eXample A | wWw.eXample 300 A 192.0.2.1");
  EXPECT_EQ(reply(c, query_of("www.example", type::kA, {.flags = flag::kAuthenticData | flag::kCheckingDisabled})),
            "NOERROR ra ad cd | www.example A | www.example 300 A 192.0.2.1");
  EXPECT_EQ(reply(c, query_of("www.example", type::kA, {.edns = Edns{.dnssec_ok = true}})),
            "NOERROR rd ra ad | www.example A | www.example 300 A 192.0.2.1 | opt 1232 do");
  EXPECT_EQ(reply(c, query_of("www.other", type::kA)), "mismatch");
  EXPECT_EQ(reply(c, query_of("www.example", type::kAaaa)), "mismatch");
  Bytes out(512);
  write_reply(c, query_of("www.example", type::kA, {.id = 0xabcd}), 0, out);
  EXPECT_EQ(out[0], 0xab);
  EXPECT_EQ(out[1], 0xcd);
}

TEST(WriteReply, CountsTtlsDownToZero) {
  const Bytes c =
      canonical(response_bytes(query_bytes("a.b", type::kA), {{"a.b", "192.0.2.1", 300}, {"c.b", "192.0.2.2", 5}}));
  EXPECT_EQ(reply(c, query_of("a.b", type::kA), 7), "NOERROR rd ra | a.b A | a.b 293 A 192.0.2.1 | c.b 0 A 192.0.2.2");
}

TEST(WriteReply, TruncatesAtRrsetsForSmallClientsOnly) {
  std::vector<Answered> many;
  for (int i = 0; i < 10; ++i) many.push_back({"first.example", fmt::format("192.0.2.1{}", i)});
  for (int i = 0; i < 60; ++i) many.push_back({"second.example", fmt::format("192.0.2.{}", i)});
  const Bytes c = canonical(response_bytes(query_bytes("first.example", type::kA), many));
  const auto n_answers = [](const std::string& text) {
    size_t n = 0;
    for (size_t at = 0; (at = text.find(" 300 A ", at)) != std::string::npos; ++at) ++n;
    return n;
  };
  const std::string plain = reply(c, query_of("first.example", type::kA));
  EXPECT_EQ(n_answers(plain), 10u);
  EXPECT_EQ(plain.substr(0, 16), "NOERROR tc rd ra");
  const std::string edns = reply(c, query_of("first.example", type::kA, {.edns = Edns{.udp_size = 4096}}));
  EXPECT_EQ(n_answers(edns), 70u);
  EXPECT_EQ(edns.find(" tc"), std::string::npos);
  EXPECT_EQ(n_answers(reply(c, query_of("first.example", type::kA), 0, Transport::kTcp)), 70u);
}

TEST(WriteReply, EveryLimitGivesAReadableMessage) {
  const Bytes c = canonical(
      response_bytes(query_bytes("a.example", type::kA),
                     {{"a.example", "192.0.2.1"}, {"a.example", "192.0.2.2"}, {"b.example", "192.0.2.3"}}, 0, 0, 60));
  const Query q = query_of("a.example", type::kA, {.edns = Edns{}});
  for (size_t limit = 0; limit < c.size() + 30; ++limit) {
    Bytes out(limit);
    const size_t size = write_reply(c, q, 1, out);
    ASSERT_LE(size, limit);
    if (size == 0) continue;
    const std::string text = describe(std::span(out).first(size));
    EXPECT_EQ(text.find("bad"), std::string::npos) << text;
    EXPECT_EQ(text.find("trailing"), std::string::npos) << text;
    EXPECT_EQ(text.find("192.0.2.1") == std::string::npos, text.find("192.0.2.2") == std::string::npos) << text;
    // The SOA of a positive answer may be missing without TC; a record of the answer may not.
    EXPECT_EQ(text.find(" tc") == std::string::npos, text.find("192.0.2.3") != std::string::npos) << text;
  }
}

}  // namespace
}  // namespace weft::dns
