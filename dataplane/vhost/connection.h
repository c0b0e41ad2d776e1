// SPDX-License-Identifier: BSD-3-Clause
//
// One front end's connection: reads its requests, drives a Device, answers. A state machine on the control
// thread's io_context; it never blocks and never makes another connection wait.
//
// A request that changes a running ring stops it, then waits for the workers' grace period by not reading on,
// then is applied and answered and the ring restarted: no lock, no waiting thread, and the answer is a
// barrier.
#pragma once

#include "dataplane/rcu.h"
#include "dataplane/vhost/channel.h"
#include "dataplane/vhost/device.h"
#include "dataplane/vhost/log.h"

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace weft::dataplane::vhost {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Events {
    std::function<void()> changed;                        // after each request: look at is_up() again
    std::function<void(wire::MacAddress)> mac_announced;  // SEND_RARP
    /// The end, whoever wanted it: rings are stopped, a grace period has passed. `reason` is for people.
    /// `is_error`: the front end was cut off for it; otherwise it left.
    std::function<void(const std::string& reason, bool is_error)> ended;
  };
  Connection(boost::asio::io_context& io, UniqueFd socket, std::unique_ptr<Device> device, Rcu& rcu, PortLog& log,
             Events events);
  ~Connection();

  void start();
  /// Stops the rings and hangs up; Events::ended follows, later, once workers are out of the rings.
  void close(std::string reason);
  /// For the port's destruction, when no worker can hold anything: no event is sent any more and rings and
  /// memory are freed at once.
  void abandon() noexcept;
  /// A worker wrote to the trouble descriptor: stops broken rings, hangs up when the memory is gone.
  void on_trouble();

  /// Whether the peer has hung up or died, even if what it sent before has not been read yet.
  [[nodiscard]] bool peer_is_gone() const noexcept;
  [[nodiscard]] bool is_up() const noexcept { return device_ && device_->is_up(); }
  [[nodiscard]] uint64_t features() const noexcept { return device_ ? device_->features() : 0; }

 private:
  void wait_readable();
  void on_readable();
  void read_messages();
  void drop_retired();
  bool handle_message();
  void apply(const Request& request);
  void tell_missed();
  [[nodiscard]] bool answer(const Request& request, const Device::Answer& answer);
  void refuse(bool is_whole, const std::string& why);
  /// Whether every worker has been quiescent within the few microseconds a polling one needs.
  [[nodiscard]] bool spin_grace(Rcu::Token token) noexcept;
  /// Calls `then` when every worker has been quiescent, unless the state changes before.
  void poll_grace(Rcu::Token token, std::function<void()> then);

  boost::asio::io_context& io_;
  Channel channel_;
  boost::asio::posix::stream_descriptor watch_;  // the channel's socket; does not own it
  boost::asio::steady_timer timer_;
  Rcu& rcu_;
  PortLog* log_;  // the port's
  Events events_;
  struct Retired {
    Rcu::Token token;
    std::vector<UniqueFd> fds;
  };
  std::vector<Retired> retired_;
  std::unique_ptr<Device> device_;
  enum class State { open, closing, ended } state_ = State::open;
  bool is_error_ = false;
};

}  // namespace weft::dataplane::vhost
