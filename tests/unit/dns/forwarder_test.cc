// SPDX-License-Identifier: BSD-3-Clause
//
// The forwarder against servers in this process, on 127.0.0.1 and ports the kernel chooses. Time is real but
// short, and no test depends on how fast things are: what must not happen is excluded by what the servers do.
#include "dns/forwarder.h"

#include "tests/unit/dns/dns_test.h"

#include <deque>
#include <set>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace weft::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using Error = boost::system::error_code;

const auto kLoopback = asio::ip::address_v4::loopback();

/// A DNS server whose answers the test writes: messages to send back for each query, over UDP and TCP.
class FakeServer {
 public:
  using Script = std::function<std::vector<Bytes>(const Bytes& query, bool over_tcp)>;

  FakeServer(asio::io_context& io, Script script) : script_(std::move(script)), udp_(io), acceptor_(io), socket_(io) {
    // A port that is free for both protocols: others use them too while we run.
    for (Error error = asio::error::address_in_use; error;) {
      udp_ = udp::socket(io, {kLoopback, 0});
      acceptor_ = tcp::acceptor(io, tcp::v4());
      acceptor_.bind({kLoopback, udp_.local_endpoint().port()}, error);
      if (error && error != asio::error::address_in_use) throw boost::system::system_error(error);
    }
    acceptor_.listen();
    receive();
    accept();
  }
  [[nodiscard]] Server server() const { return {.address = ip("127.0.0.1"), .port = udp_.local_endpoint().port()}; }
  [[nodiscard]] ForwardRule rule(std::string domain = "") const { return {domain, ip("127.0.0.1"), server().port}; }

  std::vector<Bytes> asked;  // as they came
  std::vector<uint16_t> source_ports;
  udp::socket& socket() { return udp_; }
  udp::endpoint last_client() const { return from_; }

 private:
  void receive() {
    buffer_.resize(4096);
    udp_.async_receive_from(asio::buffer(buffer_), from_, [this](Error error, size_t size) {
      if (error) return;
      asked.emplace_back(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size));
      source_ports.push_back(from_.port());
      for (const Bytes& answer : script_(asked.back(), false)) udp_.send_to(asio::buffer(answer), from_);
      receive();
    });
  }
  void accept() {
    acceptor_.async_accept(socket_, [this](Error error) {
      if (error) return;
      asio::async_read(socket_, asio::buffer(length_), [this](Error failed, size_t) {
        if (failed) return;
        tcp_query_.resize(static_cast<size_t>(length_[0] << 8 | length_[1]));
        asio::async_read(socket_, asio::buffer(tcp_query_), [this](Error broken, size_t) {
          if (broken) return;
          asked.push_back(tcp_query_);
          reply_.clear();
          for (const Bytes& answer : script_(tcp_query_, true)) {
            reply_.push_back(static_cast<uint8_t>(answer.size() >> 8));
            reply_.push_back(static_cast<uint8_t>(answer.size()));
            reply_.insert(reply_.end(), answer.begin(), answer.end());
          }
          asio::async_write(socket_, asio::buffer(reply_), [this](Error, size_t) {
            socket_.close();
            accept();
          });
        });
      });
    });
  }

  Script script_;
  udp::socket udp_;
  tcp::acceptor acceptor_;
  tcp::socket socket_;
  udp::endpoint from_;
  Bytes buffer_, tcp_query_, reply_;
  std::array<uint8_t, 2> length_{};
};

std::vector<Bytes> address(const Bytes& query, const char* a) {
  Reader reader(query);
  (void)reader.header();
  return {response_bytes(query, {{reader.question()->name.to_string(), a}})};
}
FakeServer::Script answers(const char* a) {
  return [a](const Bytes& query, bool) { return address(query, a); };
}
FakeServer::Script fails(uint16_t code) {
  return [code](const Bytes& query, bool) { return std::vector<Bytes>{response_bytes(query, {}, code)}; };
}
const FakeServer::Script kSilent = [](const Bytes&, bool) { return std::vector<Bytes>{}; };

class ForwarderTest : public testing::Test {
 protected:
  static ForwarderConfig config() {
    ForwarderConfig c;
    c.resolv_conf = "/nonexistent/resolv.conf";
    c.first_timeout_ms = 5000;  // tests of timeouts set their own
    c.total_timeout_ms = 15000;
    return c;
  }

  /// Runs until `n` results are there; fails the test when nothing happens for long.
  void run_until(size_t n) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (results.size() < n && std::chrono::steady_clock::now() < give_up)
      io.run_one_for(std::chrono::milliseconds(100));
    ASSERT_EQ(results.size(), n);
  }

  void ask(Upstream& channel, std::string_view qname, bool dnssec_ok = false, bool checking_disabled = false) {
    channel.query({{name(qname), type::kA, klass::kIn}, dnssec_ok, checking_disabled}, [this](const UpstreamResult& r) {
      switch (r.status) {
        case UpstreamStatus::kAnswered:
          results.push_back(describe(r.message));
          break;
        case UpstreamStatus::kTimedOut:
          results.emplace_back("timed out");
          break;
        case UpstreamStatus::kNoServer:
          results.emplace_back("no server");
          break;
        case UpstreamStatus::kOverloaded:
          results.emplace_back("overloaded");
          break;
      }
    });
  }

  std::string asked_once(Forwarder& forwarder, const std::vector<ForwardRule>& rules,
                         std::string_view qname = "www.example") {
    const auto channel = forwarder.open_channel(ForwardRules(rules));
    results.clear();
    ask(*channel, qname);
    run_until(1);
    return results.empty() ? "" : results[0];
  }

  asio::io_context io;
  std::vector<std::string> results;
};

TEST_F(ForwarderTest, AsksInLowerCaseWithEdnsAndReturnsTheAnswer) {
  FakeServer server(io, answers("192.0.2.1"));
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}, "Www.Example"),
            "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
  EXPECT_EQ(describe(server.asked.at(0)), "NOERROR query rd ad | www.example A | opt 1232");
  EXPECT_EQ(forwarder.stats().answered, 1u);
  EXPECT_EQ(forwarder.stats().in_flight, 0u);
}

TEST_F(ForwarderTest, PassesDoAndCd) {
  FakeServer server(io, answers("192.0.2.1"));
  Forwarder forwarder(io, config());
  const auto channel = forwarder.open_channel(ForwardRules({server.rule()}));
  ask(*channel, "www.example", true, true);
  run_until(1);
  EXPECT_EQ(describe(server.asked.at(0)), "NOERROR query rd ad cd | www.example A | opt 1232 do");
}

TEST_F(ForwarderTest, EveryQueryHasItsOwnIdAndPort) {
  FakeServer server(io, answers("192.0.2.1"));
  Forwarder forwarder(io, config());
  const auto channel = forwarder.open_channel(ForwardRules({server.rule()}));
  constexpr size_t kQueries = 100;
  for (size_t i = 0; i < kQueries; ++i) {
    ask(*channel, fmt::format("n{}.example", i));
    run_until(i + 1);
  }
  std::set<uint16_t> ids;
  for (const Bytes& q : server.asked) ids.insert(static_cast<uint16_t>(q[0] << 8 | q[1]));
  const std::set<uint16_t> ports(server.source_ports.begin(), server.source_ports.end());
  // 100 draws of 65536 or 28232 without 20 doubles: fails once in more than 10^20 runs.
  EXPECT_GT(ids.size(), kQueries - 20);
  EXPECT_GT(ports.size(), kQueries - 20);
  EXPECT_GE(*ports.begin(), config().port_first);
  EXPECT_LE(*ports.rbegin(), config().port_last);
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 5000) << "not the next one each time";
}

TEST_F(ForwarderTest, IdsAndPortsComeFromTheGivenRandomness) {
  FakeServer server(io, answers("192.0.2.1"));
  ForwarderConfig c = config();
  std::deque<uint8_t> bytes = {0xab, 0xcd, 0x00, 0x11, 0x00, 0x12, 0x00, 0x13};
  c.random = [&](std::span<uint8_t> out) {
    for (uint8_t& b : out) {
      b = bytes.empty() ? 0x55 : bytes.front();
      if (!bytes.empty()) bytes.pop_front();
    }
  };
  Forwarder forwarder(io, c);
  asked_once(forwarder, {server.rule()});
  EXPECT_EQ(server.asked.at(0)[0], 0xab);
  EXPECT_EQ(server.asked.at(0)[1], 0xcd);
  EXPECT_GE(server.source_ports.at(0), c.port_first + 0x11);
  EXPECT_LE(server.source_ports.at(0), c.port_first + 0x13) << "the next number when a port is taken";
}

TEST_F(ForwarderTest, ForgedAnswersAreIgnoredUntilTheRealOneComes) {
  FakeServer server(io, [](const Bytes& query, bool) {
    const Bytes real = address(query, "192.0.2.1")[0];
    std::vector<Bytes> all;
    const auto forge = [&](auto spoil) {
      Bytes forged = address(query, "203.0.113.66")[0];
      spoil(forged);
      all.push_back(forged);
    };
    forge([](Bytes& b) { b[1] ^= 1; });                     // id
    forge([](Bytes& b) { b[13] = 'x'; });                   // another name
    forge([](Bytes& b) { b[13] = 'W'; });                   // another case
    forge([](Bytes& b) { b[12 + 13 + 1] = type::kAaaa; });  // type
    forge([](Bytes& b) { b[12 + 13 + 3] = klass::kChaos; });
    forge([](Bytes& b) { b[2] &= 0x7f; });            // no response
    forge([](Bytes& b) { b[2] |= 0x28; });            // opcode
    forge([](Bytes& b) { b[5] = 0; });                // no question
    forge([](Bytes& b) { b.resize(b.size() - 1); });  // cut short
    forge([](Bytes& b) { b.resize(11); });
    forge([](Bytes& b) { b.clear(); });
    all.push_back(real);
    return all;
  });
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
  EXPECT_EQ(forwarder.stats().rejected, 11u);
  EXPECT_EQ(forwarder.stats().sent_udp, 1u);
}

TEST_F(ForwarderTest, AnAnswerFromAnotherAddressOrPortIsNotTaken) {
  udp::socket stranger(io, {kLoopback, 0});
  udp::socket neighbour(io, {asio::ip::make_address_v4("127.0.0.2"), 0});
  FakeServer* self = nullptr;
  FakeServer server(io, [&](const Bytes& query, bool) {
    // As good as the real one, but for where they come from; they arrive first.
    const Bytes forged = address(query, "203.0.113.66")[0];
    stranger.send_to(asio::buffer(forged), self->last_client());
    neighbour.send_to(asio::buffer(forged), self->last_client());
    return address(query, "192.0.2.1");
  });
  self = &server;
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
}

TEST_F(ForwarderTest, ManyForgedAnswersMakeItAskOverTcp) {
  FakeServer server(io, [](const Bytes& query, bool over_tcp) {
    if (over_tcp) return address(query, "192.0.2.1");
    std::vector<Bytes> all;
    for (int i = 0; i < 25; ++i) {
      all.push_back(address(query, "203.0.113.66")[0]);
      all.back()[0] ^= 0x80;
    }
    return all;
  });
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
  EXPECT_EQ(forwarder.stats().sent_tcp, 1u);
}

TEST_F(ForwarderTest, SilentServerHandsOverToTheNextAndIsThenTriedLast) {
  FakeServer silent(io, kSilent), good(io, answers("192.0.2.2"));
  ForwarderConfig c = config();
  c.first_timeout_ms = 500;
  Forwarder forwarder(io, c);
  const std::vector<ForwardRule> rules = {silent.rule(), good.rule()};
  EXPECT_EQ(asked_once(forwarder, rules), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.2");
  EXPECT_EQ(silent.asked.size(), 1u);
  EXPECT_EQ(forwarder.stats().server_timeouts, 1u);
  asked_once(forwarder, rules, "other.example");
  EXPECT_EQ(silent.asked.size(), 1u) << "dead for a while";
}

TEST_F(ForwarderTest, AnAnswerThatComesAfterItsServersTurnIsStillTaken) {
  Bytes first_query;
  udp::endpoint first_client;
  FakeServer* late = nullptr;
  FakeServer slow(io, [&](const Bytes& query, bool) {
    first_query = query;
    first_client = late->last_client();
    return std::vector<Bytes>{};
  });
  late = &slow;
  // The second server never answers itself: it only makes the first one do so.
  FakeServer second(io, [&](const Bytes&, bool) {
    slow.socket().send_to(asio::buffer(address(first_query, "192.0.2.1")[0]), first_client);
    return std::vector<Bytes>{};
  });
  ForwarderConfig c = config();
  c.first_timeout_ms = 50;
  Forwarder forwarder(io, c);
  EXPECT_EQ(asked_once(forwarder, {slow.rule(), second.rule()}),
            "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
}

TEST_F(ForwarderTest, NobodyAnswersWithinTheTotalTime) {
  FakeServer silent(io, kSilent);
  ForwarderConfig c = config();
  c.first_timeout_ms = 50;
  c.total_timeout_ms = 500;
  Forwarder forwarder(io, c);
  EXPECT_EQ(asked_once(forwarder, {silent.rule()}), "timed out");
  EXPECT_GE(silent.asked.size(), 2u) << "tried again";
  EXPECT_LE(silent.asked.size(), 4u) << "at 0, 50, 150 and 350 ms: each wait twice the last";
  EXPECT_EQ(forwarder.stats().timed_out, 1u);
  EXPECT_EQ(forwarder.stats().in_flight, 0u);
}

TEST_F(ForwarderTest, FailuresTryTheNextServerAtOnce) {
  FakeServer servfail(io, fails(rcode::kServFail)), refused(io, fails(rcode::kRefused)), good(io, answers("192.0.2.3"));
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {servfail.rule(), refused.rule(), good.rule()}),
            "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.3");
  EXPECT_EQ(forwarder.stats().server_failures, 2u);
}

TEST_F(ForwarderTest, TheLastFailureIsPassedOnWhenAllFail) {
  FakeServer servfail(io, fails(rcode::kServFail)), refused(io, fails(rcode::kRefused));
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {servfail.rule(), refused.rule()}), "REFUSED rd ra | www.example A");
}

TEST_F(ForwarderTest, NxdomainIsAnAnswer) {
  FakeServer no(io, fails(rcode::kNxDomain)), other(io, answers("192.0.2.3"));
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {no.rule(), other.rule()}), "NXDOMAIN rd ra | www.example A");
  EXPECT_TRUE(other.asked.empty());
}

TEST_F(ForwarderTest, ClosedPortIsNoticedAtOnce) {
  uint16_t closed_port;
  {
    udp::socket gone(io, {kLoopback, 0});
    closed_port = gone.local_endpoint().port();
  }
  FakeServer good(io, answers("192.0.2.2"));
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {{"", ip("127.0.0.1"), closed_port}, good.rule()}),
            "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.2");
  EXPECT_EQ(forwarder.stats().unreachable, 1u);
  EXPECT_EQ(asked_once(forwarder, {{"", ip("127.0.0.1"), closed_port}}), "timed out");
}

TEST_F(ForwarderTest, TruncatedAnswerIsAskedForAgainOverTcp) {
  FakeServer server(io, [](const Bytes& query, bool over_tcp) {
    if (!over_tcp) return std::vector<Bytes>{response_bytes(query, {}, 0, flag::kTruncated)};
    std::vector<Answered> many;
    for (int i = 0; i < 100; ++i) many.push_back({"www.example", fmt::format("192.0.2.{}", i)});
    return std::vector<Bytes>{response_bytes(query, many)};
  });
  Forwarder forwarder(io, config());
  const std::string answer = asked_once(forwarder, {server.rule()});
  EXPECT_NE(answer.find("192.0.2.99"), std::string::npos) << answer;
  EXPECT_EQ(forwarder.stats().sent_tcp, 1u);
  ASSERT_EQ(server.asked.size(), 2u);
  EXPECT_FALSE(std::equal(server.asked[0].begin(), server.asked[0].begin() + 2, server.asked[1].begin())) << "a new id";
}

TEST_F(ForwarderTest, TruncatedAnswerIsPassedOnWhenTcpFails) {
  FakeServer server(io, [](const Bytes& query, bool over_tcp) {
    if (over_tcp) return std::vector<Bytes>{};  // closes without a word
    return std::vector<Bytes>{response_bytes(query, {{"www.example", "192.0.2.1"}}, 0, flag::kTruncated)};
  });
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "NOERROR tc rd ra | www.example A | www.example 300 A 192.0.2.1");
}

TEST_F(ForwarderTest, ServerThatKnowsNoEdnsIsAskedWithout) {
  FakeServer server(io, [](const Bytes& query, bool) {
    if (query[11] != 0) return std::vector<Bytes>{response_bytes(query, {}, rcode::kFormErr)};
    return address(query, "192.0.2.1");
  });
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.1");
}

TEST_F(ForwarderTest, DomainsGoToTheirOwnServers) {
  FakeServer corp(io, answers("192.0.2.1")), other(io, answers("192.0.2.2"));
  Forwarder forwarder(io, config());
  const std::vector<ForwardRule> rules = {other.rule(), corp.rule("corp.example"), {"www.corp.example", {}}};
  EXPECT_NE(asked_once(forwarder, rules, "x.corp.example").find("192.0.2.1"), std::string::npos);
  EXPECT_NE(asked_once(forwarder, rules, "www.corp.example").find("192.0.2.2"), std::string::npos);
  EXPECT_NE(asked_once(forwarder, rules, "a.example").find("192.0.2.2"), std::string::npos);
}

TEST_F(ForwarderTest, WithoutServersItSaysSo) {
  Forwarder forwarder(io, config());
  EXPECT_EQ(asked_once(forwarder, {}), "no server");
}

TEST_F(ForwarderTest, NeverAsksItself) {
  FakeServer server(io, answers("192.0.2.1"));
  Forwarder forwarder(io, config());
  forwarder.set_own_addresses({ip("127.0.0.1")});
  EXPECT_EQ(asked_once(forwarder, {server.rule()}), "no server");
  EXPECT_TRUE(server.asked.empty());
}

TEST_F(ForwarderTest, SameQuestionInFlightIsAskedOnce) {
  FakeServer server(io, answers("192.0.2.1"));
  ForwarderConfig c = config();
  c.max_waiters = 3;
  Forwarder forwarder(io, c);
  const auto channel = forwarder.open_channel(ForwardRules({server.rule()}));
  for (const char* n : {"www.example", "WWW.example", "www.EXAMPLE", "www.example"}) ask(*channel, n);
  EXPECT_EQ(results, std::vector<std::string>{"overloaded"}) << "one waiter too many";
  run_until(4);
  EXPECT_EQ(server.asked.size(), 1u);
  EXPECT_EQ(forwarder.stats().coalesced, 2u);
  EXPECT_EQ(forwarder.stats().refused_waiters, 1u);
}

TEST_F(ForwarderTest, NetworksDoNotShareQuestionsButTheTotalLimit) {
  FakeServer silent(io, kSilent);
  ForwarderConfig c = config();
  c.max_in_flight = 3;
  c.max_in_flight_per_network = 2;
  Forwarder forwarder(io, c);
  auto one = forwarder.open_channel(ForwardRules({silent.rule()}));
  const auto two = forwarder.open_channel(ForwardRules({silent.rule()}));
  ask(*one, "a.example");
  ask(*one, "b.example");
  ask(*one, "c.example");
  EXPECT_EQ(forwarder.stats().refused_network, 1u);
  ask(*two, "a.example");
  EXPECT_EQ(forwarder.stats().in_flight, 3u);
  ask(*two, "b.example");
  EXPECT_EQ(forwarder.stats().refused_total, 1u);
  EXPECT_EQ(results, (std::vector<std::string>{"overloaded", "overloaded"}));
  one.reset();
  EXPECT_EQ(forwarder.stats().in_flight, 1u);
  ask(*two, "b.example");
  EXPECT_EQ(forwarder.stats().in_flight, 2u);
}

TEST_F(ForwarderTest, RemovedNetworkIsNeverCalledBack) {
  FakeServer server(io, answers("192.0.2.1")), marker(io, answers("192.0.2.2"));
  Forwarder forwarder(io, config());
  auto removed = forwarder.open_channel(ForwardRules({server.rule()}));
  ask(*removed, "gone.example");
  io.poll();  // sent, perhaps answered, but not handed over
  removed.reset();
  results.clear();
  EXPECT_EQ(asked_once(forwarder, {marker.rule()}), "NOERROR rd ra | www.example A | www.example 300 A 192.0.2.2");
  EXPECT_EQ(forwarder.stats().in_flight, 0u);
}

TEST_F(ForwarderTest, ChannelOutlivesTheForwarder) {
  FakeServer server(io, answers("192.0.2.1"));
  auto forwarder = std::make_unique<Forwarder>(io, config());
  const auto channel = forwarder->open_channel(ForwardRules({server.rule()}));
  forwarder.reset();
  ask(*channel, "www.example");
  EXPECT_EQ(results, std::vector<std::string>{"no server"});
}

}  // namespace
}  // namespace weft::dns
