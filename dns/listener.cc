// SPDX-License-Identifier: BSD-3-Clause
#include "dns/listener.h"

#include "dns/tcp_session.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

namespace weft::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using Error = boost::system::error_code;

constexpr size_t kUdpSize = 4096;  // a query is far smaller
constexpr size_t kUdpBurst = 32;   // datagrams read before the loop gets its turn
constexpr int kPortTries = 16;     // with port 0: until UDP and TCP have the same
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

asio::ip::address to_asio(const wire::IpAddress& address) {
  if (address.is_v4()) return asio::ip::address_v4(address.v4().host());
  return asio::ip::address_v6(address.v6().bytes);
}

ClientKey key_of(const asio::ip::address& address) {
  const std::string text = address.to_string();
  return std::hash<std::string>{}(text);
}

void set_option(int fd, int level, int option, const void* value, socklen_t size, const char* what) {
  if (setsockopt(fd, level, option, value, size) != 0)
    throw boost::system::system_error(Error(errno, boost::system::system_category()), what);
}

/// Opens, sets what both protocols need, and binds. Throws system_error.
template <class Socket, class Endpoint>
void open_bound(Socket& socket, const Endpoint& endpoint, const ListenerConfig& config, bool reuse) {
  const char* protocol = std::is_same_v<Endpoint, udp::endpoint> ? "UDP" : "TCP";
  const std::string where =
      std::string("DNS on ") + config.address.to_string() + " port " + std::to_string(endpoint.port()) + " " + protocol;
  try {
    socket.open(endpoint.protocol());
    socket.non_blocking(true);
    const int on = 1;
    const int fd = socket.native_handle();
    if (reuse) set_option(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on, "SO_REUSEADDR");
    set_option(fd, SOL_IP, IP_FREEBIND, &on, sizeof on, "IP_FREEBIND");
    if (!config.device.empty()) {
      set_option(fd, SOL_SOCKET, SO_BINDTODEVICE, config.device.c_str(),
                 static_cast<socklen_t>(config.device.size() + 1), ("interface " + config.device).c_str());
    }
    socket.bind(endpoint);
  } catch (const boost::system::system_error& e) {
    throw boost::system::system_error(e.code(), where);
  }
}

}  // namespace

class Listener::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, const ListenerConfig& config, std::weak_ptr<Resolver> resolver)
      : io_(io), config_(config), resolver_(std::move(resolver)), udp_(io), acceptor_(io), pause_(io) {
    for (int tries = 1;; ++tries) {
      open_bound(udp_, udp::endpoint(to_asio(config.address), config.port), config, false);
      port_ = udp_.local_endpoint().port();
      try {
        open_bound(acceptor_, tcp::endpoint(to_asio(config.address), port_), config, true);
        break;
      } catch (const boost::system::system_error&) {
        if (config.port != 0 || tries == kPortTries) throw;
        udp_.close();
        Error ignored;
        acceptor_.close(ignored);
      }
    }
    acceptor_.listen();
  }

  void start() {
    receive();
    accept();
  }

  void stop() {
    stopped_ = true;
    Error ignored;
    udp_.close(ignored);
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto& session : std::exchange(sessions_, {})) session->close();
  }

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] const ListenerStats& stats() const { return stats_; }

 private:
  void receive() {
    udp_.async_wait(udp::socket::wait_read, [self = shared_from_this()](Error error) {
      if (self->stopped_) return;
      if (!error) self->read_burst();
      self->receive();
    });
  }

  void read_burst() {
    for (size_t i = 0; i < kUdpBurst && !stopped_; ++i) {
      udp::endpoint from;
      Error error;
      const size_t size = udp_.receive_from(asio::buffer(datagram_), from, 0, error);
      if (error) return;  // nothing left, or an ICMP error of an earlier answer
      ++stats_.udp_queries;
      const auto resolver = resolver_.lock();
      if (!resolver) continue;
      resolver->query(std::span(datagram_).first(size), Transport::kUdp, key_of(from.address()),
                      [weak = weak_from_this(), from](std::span<const uint8_t> response) {
                        const auto self = weak.lock();
                        if (self && !response.empty()) self->send(response, from);
                      });
    }
  }

  void send(std::span<const uint8_t> response, const udp::endpoint& to) {
    if (stopped_) return;
    Error error;
    udp_.send_to(asio::buffer(response.data(), response.size()), to, 0, error);
    if (error) ++stats_.udp_send_failed;  // the client asks again
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](Error error, tcp::socket socket) {
      if (self->stopped_) return;
      if (!error) {
        self->admit(std::move(socket));
        return self->accept();
      }
      // Out of descriptors, or a connection reset in the queue: not in a tight loop.
      self->pause_.expires_after(kAcceptPause);
      self->pause_.async_wait([self](Error) {
        if (!self->stopped_) self->accept();
      });
    });
  }

  void admit(tcp::socket socket) {
    Error error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    const ClientKey client = key_of(peer.address());
    const auto same =
        std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s->client() == client; });
    if (static_cast<size_t>(same) >= config_.max_connections_per_client || !make_room()) {
      ++stats_.tcp_refused;
      return;  // the socket closes
    }
    ++stats_.tcp_accepted;
    const auto session =
        std::make_shared<TcpSession>(io_, std::move(socket), config_, resolver_, client, stats_,
                                     [weak = weak_from_this()](const TcpSession* closed) {
                                       const auto self = weak.lock();
                                       if (!self) return;
                                       std::erase_if(self->sessions_, [&](const auto& s) { return s.get() == closed; });
                                       self->stats_.tcp_open = self->sessions_.size();
                                     });
    sessions_.push_back(session);
    stats_.tcp_open = sessions_.size();
    session->start();
  }

  bool make_room() {
    if (sessions_.size() < config_.max_connections) return true;
    std::shared_ptr<TcpSession> oldest;
    for (const auto& session : sessions_) {
      if (session->is_idle() && (!oldest || session->last_active() < oldest->last_active())) oldest = session;
    }
    if (!oldest) return false;
    ++stats_.tcp_evicted;
    oldest->close();
    return true;
  }

  asio::io_context& io_;
  ListenerConfig config_;
  std::weak_ptr<Resolver> resolver_;
  udp::socket udp_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::vector<std::shared_ptr<TcpSession>> sessions_;
  std::array<uint8_t, kUdpSize> datagram_{};
  ListenerStats stats_;
  uint16_t port_ = 0;
  bool stopped_ = false;
};

Listener::Listener(asio::io_context& io, const ListenerConfig& config, std::weak_ptr<Resolver> resolver)
    : impl_(std::make_shared<Impl>(io, config, std::move(resolver))) {
  impl_->start();
}

Listener::~Listener() { impl_->stop(); }

uint16_t Listener::port() const noexcept { return impl_->port(); }

const ListenerStats& Listener::stats() const noexcept { return impl_->stats(); }

}  // namespace weft::dns
