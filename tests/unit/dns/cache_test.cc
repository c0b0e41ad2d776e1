// SPDX-License-Identifier: BSD-3-Clause
#include "dns/cache.h"

#include "dns/reply.h"
#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

UpstreamQuestion question(std::string_view qname, uint16_t qtype = type::kA) {
  return {.question = {name(qname), qtype, klass::kIn}};
}

Bytes answer(std::string_view qname, uint32_t ttl, uint16_t code = 0, uint16_t extra = 0, uint32_t soa_ttl = 0) {
  std::vector<Answered> records;
  if (ttl != 0) records.push_back({std::string(qname), "192.0.2.1", ttl});
  return canonicalise(response_bytes(query_bytes(qname, type::kA), records, code, extra, soa_ttl)).value().message;
}

uint32_t lifetime(const Bytes& message, const UpstreamQuestion& q) { return cache_lifetime(message, q.question, {}); }

TEST(CacheLifetime, FollowsTheRecords) {
  const auto q = question("a.example");
  EXPECT_EQ(lifetime(answer("a.example", 300), q), 300u);
  EXPECT_EQ(lifetime(answer("a.example", 300, 0, 0, 20), q), 20u) << "no record outlives its TTL";
  EXPECT_EQ(lifetime(answer("a.example", 0x7fffffff), q), 86400u);
  EXPECT_EQ(lifetime(answer("a.example", 0, 0, 0, 60), q), 60u) << "NODATA";
  EXPECT_EQ(lifetime(answer("a.example", 0, rcode::kNxDomain, 0, 60), q), 60u);
  EXPECT_EQ(lifetime(answer("a.example", 0, rcode::kNxDomain, 0, 100000), q), 3600u);
  EXPECT_EQ(lifetime(answer("a.example", 0, rcode::kNxDomain), q), 0u) << "negative without SOA (RFC 2308 section 5)";
  EXPECT_EQ(lifetime(answer("a.example", 0), q), 0u);
  EXPECT_EQ(lifetime(answer("a.example", 300, 0, flag::kTruncated), q), 0u);
  EXPECT_EQ(lifetime(answer("a.example", 0, rcode::kServFail), q), 1u);
  EXPECT_EQ(lifetime(answer("a.example", 0, rcode::kRefused), q), 0u);
  EXPECT_EQ(lifetime(answer("a.example", 300), question("a.example", type::kAaaa)), 0u)
      << "an answer without the type is negative";
}

TEST(Cache, AgesAndExpires) {
  Cache cache;
  cache.insert(question("a.example"), answer("a.example", 300), 1000);
  ASSERT_TRUE(cache.find(question("A.example"), 1000));
  EXPECT_EQ(cache.find(question("a.example"), 8500)->age_s, 7u);
  EXPECT_EQ(cache.find(question("a.example"), 300999)->age_s, 299u);
  EXPECT_FALSE(cache.find(question("a.example"), 301000));
  EXPECT_EQ(cache.stats().entries, 0u);
  EXPECT_EQ(cache.stats().bytes, 0u);
  EXPECT_EQ(cache.stats().expired, 1u);
}

TEST(Cache, KeepsTypesDoAndCdApart) {
  Cache cache;
  cache.insert(question("a.example"), answer("a.example", 300), 0);
  auto q = question("a.example", type::kAaaa);
  EXPECT_FALSE(cache.find(q, 0));
  q = question("a.example");
  q.dnssec_ok = true;
  EXPECT_FALSE(cache.find(q, 0));
  q.dnssec_ok = false;
  q.checking_disabled = true;
  EXPECT_FALSE(cache.find(q, 0));
  EXPECT_EQ(cache.stats().misses, 3u);
}

TEST(Cache, ThrowsOutTheLeastRecentlyUsed) {
  Cache cache({.max_entries = 3});
  for (const char* n : {"a.x", "b.x", "c.x"}) cache.insert(question(n), answer(n, 300), 0);
  ASSERT_TRUE(cache.find(question("a.x"), 1));
  cache.insert(question("d.x"), answer("d.x", 300), 2);
  EXPECT_TRUE(cache.find(question("a.x"), 3));
  EXPECT_FALSE(cache.find(question("b.x"), 3));
  EXPECT_TRUE(cache.find(question("c.x"), 3));
  EXPECT_EQ(cache.stats().evicted, 1u);
}

TEST(Cache, StaysWithinItsBytes) {
  Cache cache({.max_bytes = 5000});
  for (int i = 0; i < 1000; ++i) {
    const std::string n = fmt::format("n{}.example", i);
    cache.insert(question(n), answer(n, 300), 0);
    ASSERT_LE(cache.stats().bytes, 5000u);
  }
  EXPECT_GT(cache.stats().entries, 10u);
  EXPECT_TRUE(cache.find(question("n999.example"), 0));
}

TEST(Cache, ReplacesAndForgets) {
  Cache cache;
  cache.insert(question("a.x"), answer("a.x", 300), 0);
  cache.insert(question("a.x"), answer("a.x", 20), 0);
  EXPECT_EQ(cache.stats().entries, 1u);
  EXPECT_FALSE(cache.find(question("a.x"), 20000)) << "the newer TTL counts";
  cache.insert(question("a.x"), answer("a.x", 300), 0);
  cache.insert(question("a.x"), answer("a.x", 0, rcode::kRefused), 0);
  EXPECT_EQ(cache.stats().entries, 0u) << "what cannot be kept still replaces";
  cache.insert(question("a.x"), answer("a.x", 300), 0);
  cache.clear();
  EXPECT_FALSE(cache.find(question("a.x"), 0));
  EXPECT_EQ(cache.stats().bytes, 0u);
}

}  // namespace
}  // namespace weft::dns
