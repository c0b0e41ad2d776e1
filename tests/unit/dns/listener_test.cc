// SPDX-License-Identifier: BSD-3-Clause
//
// The listener on 127.0.0.1 with plain blocking sockets as clients; the loop runs in the same thread between
// calls.
#include "dns/listener.h"

#include "tests/unit/dns/dns_test.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/write.hpp>

namespace weft::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using Error = boost::system::error_code;

/// Holds every question until the test lets it go.
class HoldingUpstream final : public Upstream {
 public:
  explicit HoldingUpstream(std::vector<Completion>& held) : held_(held) {}
  void query(const UpstreamQuestion&, Completion done) override { held_.push_back(std::move(done)); }

 private:
  std::vector<Completion>& held_;
};

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    LocalZoneConfig zone;
    zone.hosts = {{ip("10.0.0.5"), {"known"}}};
    for (uint8_t i = 0; i < 200; ++i) zone.hosts.push_back({wire::Ipv4Address(10, 0, 1, i), {"many"}});
    resolver_ = std::make_shared<Resolver>(zone, std::make_unique<HoldingUpstream>(held_), [] { return uint64_t{0}; });
    config_.address = ip("127.0.0.1");
    config_.port = 0;
  }

  void listen() { listener_ = std::make_unique<Listener>(io_, config_, resolver_); }

  /// Lets the loop work until `done`; false after a long time.
  bool run_until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    bool is_done = done();
    for (; !is_done && std::chrono::steady_clock::now() < give_up; is_done = done())
      io_.run_one_for(std::chrono::milliseconds(20));
    return is_done;
  }

  tcp::socket connect() {
    tcp::socket s(clients_);
    s.connect({asio::ip::address_v4::loopback(), listener_->port()});
    return s;
  }
  static void send(tcp::socket& s, const Bytes& message) {
    Bytes framed{static_cast<uint8_t>(message.size() >> 8), static_cast<uint8_t>(message.size())};
    framed.insert(framed.end(), message.begin(), message.end());
    asio::write(s, asio::buffer(framed));
  }
  /// The next `n` bytes; shorter when the other side closed.
  Bytes read(tcp::socket& s, size_t n) {
    Bytes got(n);
    size_t size = 0;
    Error error;
    s.non_blocking(true);
    run_until([&] {
      size += s.read_some(asio::buffer(got.data() + size, n - size), error);
      return size == n || (error && error != asio::error::would_block);
    });
    got.resize(size);
    return got;
  }
  std::string receive(tcp::socket& s) {
    const Bytes length = read(s, 2);
    if (length.size() != 2) return "closed";
    return describe(read(s, static_cast<size_t>(length[0] << 8 | length[1])));
  }
  bool is_closed(tcp::socket& s) { return read(s, 1).empty(); }

  const std::string known_ = "NOERROR aa rd ra | known A | known 0 A 10.0.0.5";
  std::vector<Upstream::Completion> held_;
  asio::io_context io_, clients_;
  std::shared_ptr<Resolver> resolver_;
  ListenerConfig config_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, AnswersUdpFromTheQueriedAddress) {
  config_.address = ip("127.0.0.3");
  listen();
  udp::socket client(clients_, {asio::ip::address_v4::loopback(), 0});
  const udp::endpoint server(asio::ip::make_address_v4("127.0.0.3"), listener_->port());
  client.send_to(asio::buffer(query_bytes("known", type::kA)), server);
  client.non_blocking(true);
  Bytes answer(512);
  udp::endpoint from;
  Error error;
  size_t size = 0;
  ASSERT_TRUE(run_until([&] { return (size = client.receive_from(asio::buffer(answer), from, 0, error)) != 0; }));
  EXPECT_EQ(describe(std::span(answer).first(size)), known_);
  EXPECT_EQ(from, server);
}

TEST_F(ListenerTest, UdpGarbageIsNotAnsweredAndHurtsNobody) {
  listen();
  udp::socket client(clients_, {asio::ip::address_v4::loopback(), 0});
  client.connect({asio::ip::address_v4::loopback(), listener_->port()});
  Bytes response = query_bytes("known", type::kA);
  response[2] |= 0x80;
  for (const Bytes& b : {Bytes{}, Bytes{1, 2, 3}, response, query_bytes("known", type::kA)})
    client.send(asio::buffer(b));
  client.non_blocking(true);
  Bytes answer(512);
  Error error;
  size_t size = 0;
  ASSERT_TRUE(run_until([&] { return (size = client.receive(asio::buffer(answer), 0, error)) != 0; }));
  EXPECT_EQ(describe(std::span(answer).first(size)), known_) << "the first answer is that of the last datagram";
  EXPECT_EQ(listener_->stats().udp_queries, 4u);
}

TEST_F(ListenerTest, AnswersTcpWithoutTruncation) {
  listen();
  auto client = connect();
  send(client, query_bytes("many", type::kA));
  const std::string answer = receive(client);
  EXPECT_NE(answer.find("10.0.1.199"), std::string::npos);
  send(client, query_bytes("known", type::kA));
  EXPECT_EQ(receive(client), known_) << "the connection stays open";
}

TEST_F(ListenerTest, TcpBytesMayComeOneByOne) {
  listen();
  auto client = connect();
  const Bytes q = query_bytes("known", type::kA);
  Bytes framed{0, static_cast<uint8_t>(q.size())};
  framed.insert(framed.end(), q.begin(), q.end());
  for (const uint8_t b : framed) {
    asio::write(client, asio::buffer(&b, 1));
    io_.poll();
  }
  EXPECT_EQ(receive(client), known_);
}

TEST_F(ListenerTest, PipelinedQueriesAreAnsweredAsTheyBecomeReady) {
  listen();
  auto client = connect();
  send(client, query_bytes("slow.example", type::kA));
  send(client, query_bytes("known", type::kA));
  EXPECT_EQ(receive(client), known_);
  ASSERT_EQ(held_.size(), 1u);
  held_[0]({.status = UpstreamStatus::kTimedOut});
  EXPECT_EQ(receive(client), "SERVFAIL rd ra | slow.example A");
}

TEST_F(ListenerTest, ReadsNoFurtherThanItMayPipeline) {
  config_.max_pipelined = 2;
  listen();
  auto client = connect();
  for (int i = 0; i < 4; ++i) send(client, query_bytes(fmt::format("s{}.example", i), type::kA));
  ASSERT_TRUE(run_until([&] { return held_.size() == 2; }));
  for (int i = 0; i < 10; ++i) io_.poll();
  EXPECT_EQ(held_.size(), 2u);
  held_[0]({.status = UpstreamStatus::kTimedOut});
  EXPECT_TRUE(run_until([&] { return held_.size() == 3; }));
}

TEST_F(ListenerTest, ClosesAfterTheLastQueryAllowed) {
  config_.max_queries_per_connection = 3;
  listen();
  auto client = connect();
  for (int i = 0; i < 5; ++i) send(client, query_bytes("known", type::kA));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive(client), known_);
  EXPECT_TRUE(is_closed(client));
}

TEST_F(ListenerTest, ClientThatClosedItsSideStillGetsItsAnswers) {
  listen();
  auto client = connect();
  send(client, query_bytes("slow.example", type::kA));
  client.shutdown(tcp::socket::shutdown_send);
  ASSERT_TRUE(run_until([&] { return held_.size() == 1; }));
  for (int i = 0; i < 10; ++i) io_.poll();
  held_[0]({.status = UpstreamStatus::kTimedOut});
  EXPECT_EQ(receive(client), "SERVFAIL rd ra | slow.example A");
  EXPECT_TRUE(is_closed(client));
  EXPECT_EQ(listener_->stats().tcp_open, 0u);
}

TEST_F(ListenerTest, ClosesIdleConnectionsAndThoseThatDribble) {
  config_.idle_timeout_ms = 60;
  listen();
  auto idle = connect();
  auto dribbles = connect();
  const uint8_t zero = 0;
  asio::write(dribbles, asio::buffer(&zero, 1));
  EXPECT_TRUE(is_closed(idle));
  EXPECT_TRUE(is_closed(dribbles));
  EXPECT_EQ(listener_->stats().tcp_idle_closed, 2u);
}

TEST_F(ListenerTest, NewestConnectionReplacesTheOneIdleLongest) {
  config_.max_connections = 2;
  listen();
  auto a = connect();
  send(a, query_bytes("known", type::kA));
  EXPECT_EQ(receive(a), known_);
  auto b = connect();
  send(b, query_bytes("known", type::kA));
  EXPECT_EQ(receive(b), known_);
  send(a, query_bytes("known", type::kA));
  EXPECT_EQ(receive(a), known_);
  auto c = connect();
  send(c, query_bytes("known", type::kA));
  EXPECT_EQ(receive(c), known_);
  EXPECT_TRUE(is_closed(b));
  EXPECT_EQ(listener_->stats().tcp_evicted, 1u);
  EXPECT_EQ(listener_->stats().tcp_open, 2u);
}

TEST_F(ListenerTest, BusyConnectionsAreNotReplaced) {
  config_.max_connections = 1;
  listen();
  auto busy = connect();
  send(busy, query_bytes("slow.example", type::kA));
  ASSERT_TRUE(run_until([&] { return held_.size() == 1; }));
  auto late = connect();
  EXPECT_TRUE(is_closed(late));
  EXPECT_EQ(listener_->stats().tcp_refused, 1u);
  held_[0]({.status = UpstreamStatus::kTimedOut});
  EXPECT_EQ(receive(busy), "SERVFAIL rd ra | slow.example A");
}

TEST_F(ListenerTest, OneClientHasOnlySoManyConnections) {
  config_.max_connections_per_client = 1;
  listen();
  auto first = connect();
  auto second = connect();
  EXPECT_TRUE(is_closed(second));
  send(first, query_bytes("known", type::kA));
  EXPECT_EQ(receive(first), known_);
}

TEST_F(ListenerTest, ANetworkThatIsGoneAnswersNothing) {
  listen();
  auto waiting = connect();
  send(waiting, query_bytes("slow.example", type::kA));
  ASSERT_TRUE(run_until([&] { return held_.size() == 1; }));
  const auto held = std::move(held_);
  resolver_.reset();
  send(waiting, query_bytes("known", type::kA));
  EXPECT_TRUE(is_closed(waiting));
}

TEST_F(ListenerTest, RemovedListenerClosesEverything) {
  listen();
  auto client = connect();
  send(client, query_bytes("slow.example", type::kA));
  ASSERT_TRUE(run_until([&] { return held_.size() == 1; }));
  const uint16_t port = listener_->port();
  listener_.reset();
  EXPECT_TRUE(is_closed(client));
  held_[0]({.status = UpstreamStatus::kTimedOut});  // reaches nobody
  config_.port = port;
  EXPECT_NO_THROW(listen()) << "the port is free again";
}

TEST_F(ListenerTest, TakenPortIsAnErrorThatNamesIt) {
  listen();
  config_.port = listener_->port();
  try {
    Listener second(io_, config_, resolver_);
    FAIL() << "bound twice";
  } catch (const boost::system::system_error& e) {
    const std::string text = e.what();
    EXPECT_NE(text.find("DNS on 127.0.0.1 port " + std::to_string(config_.port) + " UDP"), std::string::npos) << text;
    EXPECT_NE(text.find("in use"), std::string::npos) << text;
  }
}

TEST_F(ListenerTest, AnAddressThatDoesNotExistYetIsFine) {
  config_.address = ip("192.0.2.1");
  EXPECT_NO_THROW(listen());
}

TEST_F(ListenerTest, AnInterfaceThatDoesNotExistIsAnError) {
  config_.device = "weft-none0";
  EXPECT_THROW(listen(), boost::system::system_error);
}

}  // namespace
}  // namespace weft::dns
