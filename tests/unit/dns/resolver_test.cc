// SPDX-License-Identifier: BSD-3-Clause
#include "dns/resolver.h"

#include "dns/reply.h"
#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

/// Keeps what it is asked until the test answers.
class FakeUpstream final : public Upstream {
 public:
  struct Asked {
    UpstreamQuestion question;
    Completion done;
  };
  explicit FakeUpstream(std::vector<Asked>& asked) : asked_(asked) {}
  ~FakeUpstream() override { asked_.clear(); }
  void query(const UpstreamQuestion& question, Completion done) override {
    asked_.push_back({question, std::move(done)});
  }

 private:
  std::vector<Asked>& asked_;
};

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { make({}); }

  void make(ResolverLimits limits, bool isolated = false) {
    LocalZoneConfig zone;
    zone.domain = "lab";
    zone.local_only = true;
    zone.hosts = {{ip("10.0.0.5"), {"known"}}};
    zone.isolated = isolated;
    resolver_.reset();
    std::unique_ptr<Upstream> upstream;
    if (!isolated) upstream = std::make_unique<FakeUpstream>(asked_);
    resolver_ = std::make_unique<Resolver>(
        zone, std::move(upstream), [this] { return now_ms_; }, limits);
  }

  /// Sends a query; its answer, once there, is appended to replies_ as text ("" = ignored).
  void ask(const Bytes& message, ClientKey client = 1, Transport transport = Transport::kUdp) {
    resolver_->query(message, transport, client, [this](std::span<const uint8_t> response) {
      replies_.push_back(response.empty() ? "" : describe(response));
      last_.assign(response.begin(), response.end());
    });
  }

  std::string answered(const Bytes& message, ClientKey client = 1) {
    replies_.clear();
    ask(message, client);
    return replies_.size() == 1 ? replies_[0] : std::to_string(replies_.size()) + " replies";
  }

  void answer(size_t i, uint32_t ttl = 300) {
    const std::string owner = asked_.at(i).question.question.name.to_string();
    Bytes response = response_bytes(query_bytes(owner, type::kA), {{owner, "192.0.2.1", ttl}});
    const auto done = asked_.at(i).done;
    done({UpstreamStatus::kAnswered, canonicalise(response)->message});
  }

  uint64_t now_ms_ = 1000;
  std::vector<FakeUpstream::Asked> asked_;
  std::vector<std::string> replies_;
  Bytes last_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, AnswersLocalNamesAtOnce) {
  EXPECT_EQ(answered(query_bytes("known.lab", type::kA)), "NOERROR aa rd ra | known.lab A | known.lab 0 A 10.0.0.5");
  resolver_->zone().set_lease("vm1", ip("10.0.0.9"));
  EXPECT_EQ(answered(query_bytes("vm1", type::kA)), "NOERROR aa rd ra | vm1 A | vm1 0 A 10.0.0.9");
  EXPECT_EQ(answered(query_bytes("none.lab", type::kA)), "NXDOMAIN aa rd ra | none.lab A | auth lab 5 SOA");
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(resolver_->stats().local, 3u);
}

TEST_F(ResolverTest, AnswersErrorsAndIgnoresResponses) {
  Bytes b = query_bytes("known", type::kA);
  b[2] |= 0x80;
  EXPECT_EQ(answered(b), "");
  EXPECT_EQ(answered({}), "");
  EXPECT_EQ(answered(Bytes(12)), "FORMERR ra");
  EXPECT_EQ(resolver_->stats().ignored, 2u);
  EXPECT_EQ(resolver_->stats().errors, 1u);
}

TEST_F(ResolverTest, ForwardsThenAnswersFromTheCacheWithLessTtl) {
  ask(query_bytes("Www.example", type::kA, {.id = 7}));
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_TRUE(replies_.empty());
  answer(0);
  ASSERT_EQ(replies_.size(), 1u);
  EXPECT_EQ(replies_[0], "NOERROR rd ra | Www.example A | Www.example 300 A 192.0.2.1");
  EXPECT_EQ(last_[1], 7);
  now_ms_ += 10500;
  EXPECT_EQ(answered(query_bytes("www.EXAMPLE", type::kA)),
            "NOERROR rd ra | www.EXAMPLE A | www.EXAMPLE 290 A 192.0.2.1");
  EXPECT_EQ(resolver_->stats().cached, 1u);
  now_ms_ += 300000;
  ask(query_bytes("www.example", type::kA));
  EXPECT_EQ(asked_.size(), 2u);
}

TEST_F(ResolverTest, PassesDoAndCdUpstream) {
  ask(query_bytes("www.example", type::kA, {.flags = flag::kCheckingDisabled, .edns = Edns{.dnssec_ok = true}}));
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_TRUE(asked_[0].question.dnssec_ok);
  EXPECT_TRUE(asked_[0].question.checking_disabled);
}

TEST_F(ResolverTest, SaysServfailOrRefusedWhenUpstreamHasNothing) {
  const std::pair<UpstreamStatus, const char*> cases[] = {
      {UpstreamStatus::kTimedOut, "SERVFAIL rd ra | www.example A"},
      {UpstreamStatus::kOverloaded, "SERVFAIL rd ra | www.example A"},
      {UpstreamStatus::kNoServer, "REFUSED rd ra | www.example A"},
  };
  for (const auto& [status, expected] : cases) {
    asked_.clear();
    replies_.clear();
    ask(query_bytes("www.example", type::kA));
    const auto done = asked_.at(0).done;
    done({.status = status});
    EXPECT_EQ(replies_.at(0), expected);
  }
}

TEST_F(ResolverTest, LimitsTheQueriesOneClientHasWaiting) {
  make({.max_pending_per_client = 3});
  for (int i = 0; i < 5; ++i) ask(query_bytes(fmt::format("n{}.example", i), type::kA), 1);
  EXPECT_EQ(asked_.size(), 3u);
  EXPECT_EQ(replies_, (std::vector<std::string>{"SERVFAIL rd ra | n3.example A", "SERVFAIL rd ra | n4.example A"}));
  EXPECT_EQ(resolver_->stats().overloaded, 2u);
  ask(query_bytes("other.example", type::kA), 2);
  EXPECT_EQ(asked_.size(), 4u) << "another client is not held up";
  answer(0);
  ask(query_bytes("n5.example", type::kA), 1);
  EXPECT_EQ(asked_.size(), 5u);
}

TEST_F(ResolverTest, IsolatedNetworkNeedsNoUpstream) {
  make({}, true);
  EXPECT_EQ(answered(query_bytes("www.example", type::kA)), "REFUSED rd ra | www.example A");
  EXPECT_EQ(answered(query_bytes("known", type::kA)), "NOERROR aa rd ra | known A | known 0 A 10.0.0.5");
}

TEST_F(ResolverTest, OtherServersEmptyTheCacheAndFailWhatWaits) {
  ask(query_bytes("a.example", type::kA));
  answer(0);
  ask(query_bytes("b.example", type::kA));
  replies_.clear();
  std::vector<FakeUpstream::Asked> other;
  resolver_->set_upstream(std::make_unique<FakeUpstream>(other));
  EXPECT_EQ(replies_, (std::vector<std::string>{"SERVFAIL rd ra | b.example A"}));
  ask(query_bytes("a.example", type::kA));
  EXPECT_EQ(other.size(), 1u) << "not from the cache of the former servers";
  resolver_.reset();
}

TEST_F(ResolverTest, DestroyedWithQueriesWaitingCallsNobody) {
  ask(query_bytes("a.example", type::kA));
  resolver_.reset();
  EXPECT_TRUE(replies_.empty());
}

TEST_F(ResolverTest, TcpAnswersAreNotTruncated) {
  LocalZoneConfig zone;
  for (uint8_t i = 0; i < 200; ++i) zone.hosts.push_back({wire::Ipv4Address(10, 0, 1, i), {"many"}});
  resolver_->reconfigure(zone);
  ask(query_bytes("many", type::kA), 1, Transport::kTcp);
  EXPECT_NE(replies_.at(0).find("10.0.1.199"), std::string::npos);
  EXPECT_EQ(answered(query_bytes("many", type::kA)), "NOERROR aa tc rd ra | many A");
}

}  // namespace
}  // namespace weft::dns
