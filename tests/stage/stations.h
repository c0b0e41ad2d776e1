// SPDX-License-Identifier: BSD-3-Clause
//
// Stations of every kind of port: each owns a real port and plays the driver at its other end, which hands over frames
// with virtio-net headers and gets some. Several switches may use one station, one after the other. Needs a network
// namespace of the process's own (unit/dataplane/kernel_main.cc).
#pragma once

#include "bench/null_guest.h"
#include "dataplane/memory_port.h"
#include "dataplane/netdev_port.h"
#include "dataplane/rcu.h"
#include "dataplane/tap_port.h"
#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/kernel_peer.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace weft::vswitch::test {

using dataplane::OffloadSet;
using dataplane::VirtioNetHeader;
using dataplane::test::Bytes;

/// A frame as a driver hands it to its device or gets it from there.
struct Handed {
  Bytes bytes;
  VirtioNetHeader header{};
};

class Station {
 public:
  /// `takes`: what it wants unfinished.
  Station(std::string name, OffloadSet takes) : name_(std::move(name)), takes_(takes) {}
  virtual ~Station() = default;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] OffloadSet takes() const { return takes_; }
  [[nodiscard]] virtual dataplane::Port& port() = 0;
  virtual void send(const Handed& frame) = 0;
  /// What has come since the last call; does not wait.
  virtual std::vector<Handed> take() = 0;

 private:
  std::string name_;
  OffloadSet takes_;
};

class MemoryStation final : public Station {
 public:
  MemoryStation(std::string name, OffloadSet takes);
  dataplane::Port& port() override { return port_; }
  void send(const Handed& frame) override;
  std::vector<Handed> take() override;

 private:
  dataplane::MemoryPort port_;
};

/// A tap of the kernel's in this namespace, with a packet socket on its netdev.
class TapStation final : public Station {
 public:
  explicit TapStation(std::string name);
  ~TapStation() override { port_.remove_with_port(); }
  dataplane::Port& port() override { return port_; }
  void send(const Handed& frame) override { peer_.send(frame.bytes, frame.header); }
  std::vector<Handed> take() override;

 private:
  dataplane::TapPort port_;
  dataplane::test::RawPeer peer_;
};

/// A veth pair: the port on one end, a packet socket on the other.
class NetdevStation final : public Station {
 public:
  explicit NetdevStation(const std::string& name);
  ~NetdevStation() override;
  dataplane::Port& port() override { return *port_; }
  void send(const Handed& frame) override { peer_->send(frame.bytes, frame.header); }
  std::vector<Handed> take() override;

 private:
  dataplane::Netlink netlink_;
  std::unique_ptr<dataplane::NetdevPort> port_;
  std::unique_ptr<dataplane::test::RawPeer> peer_;
};

/// The control thread of vhost-user ports. It runs while guests shake hands, and no longer: afterwards ports and
/// guests belong to the test's thread alone.
class VhostControl {
 public:
  VhostControl();
  ~VhostControl();
  void start();
  void stop();
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  boost::asio::io_context io;
  dataplane::Rcu rcu{2};

 private:
  std::string directory_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

/// A vhost-user port with a null guest.
class VhostStation final : public Station {
 public:
  /// How frames it sends lie: as few descriptors as can be, or in turn these, several, and behind an indirect one.
  enum class Layout { plain, varied };
  /// Split rings, packed ones, or split ones without merged buffers: each receive buffer takes the largest frame.
  enum class Rings { split, packed, unmerged };
  VhostStation(const std::string& name, OffloadSet takes, VhostControl& control, Rings rings = Rings::split,
               Layout layout = Layout::varied);
  /// While the control thread runs.
  void shake_hands();
  dataplane::Port& port() override { return port_; }
  void send(const Handed& frame) override;
  std::vector<Handed> take() override;
  bench::NullGuest& guest() { return *guest_; }

 private:
  Layout layout_;
  std::string path_;
  dataplane::vhost::VhostUserPort port_;
  std::unique_ptr<bench::NullGuest> guest_;
  unsigned n_sent_ = 0;
};

/// A station's port as a switch has it: polled, so that a test may turn the worker by hand, and not its own.
class BorrowedPort final : public dataplane::Port {
 public:
  explicit BorrowedPort(Port& real, std::function<void()> before_tx = {})
      : real_(real), before_tx_(std::move(before_tx)) {}
  void rx(uint16_t queue, dataplane::Burst& burst) noexcept override { real_.rx(queue, burst); }
  void rx_done(uint16_t queue) noexcept override { real_.rx_done(queue); }
  void tx(uint16_t queue, std::span<dataplane::Packet* const> packets) noexcept override {
    if (before_tx_) before_tx_();
    real_.tx(queue, packets);
  }
  bool arm(uint16_t) noexcept override { return true; }
  void disarm(uint16_t) noexcept override {}
  [[nodiscard]] bool is_polled() const noexcept override { return true; }
  [[nodiscard]] uint16_t n_queues() const noexcept override { return 1; }
  [[nodiscard]] std::string_view kind() const noexcept override { return real_.kind(); }
  [[nodiscard]] bool is_up() const noexcept override { return real_.is_up(); }
  void attach(dataplane::PortId, uint16_t, dataplane::EventSet&) override {}
  void detach() noexcept override {}

 private:
  Port& real_;
  std::function<void()> before_tx_;
};

}  // namespace weft::vswitch::test
