// SPDX-License-Identifier: BSD-3-Clause
//
// A control thread with ports on real sockets, and the test's own thread as the worker: it is online only while it is
// inside rx … rx_done, as a worker that sleeps between turns would be.
#pragma once

#include "bench/null_guest.h"
#include "dataplane/rcu.h"
#include "dataplane/vhost/port.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/stat.h>

namespace weft::dataplane::vhost::test {

using bench::NullGuest;
using bench::NullGuestOptions;
using Bytes = std::vector<uint8_t>;

inline size_t count_fds() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

/// Waits for something another thread does; false after five seconds.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

/// What a test that knows only frames is run with: the kinds of ring a guest may have.
struct RingKind {
  const char* name;
  bool is_packed = false;
  bool is_in_order = false;

  /// A driver's rings after `n` slots or entries, as the switch says it.
  [[nodiscard]] uint32_t base_after(uint16_t n) const {
    if (!is_packed) return n;
    return (n | 0x8000u) | (n | 0x8000u) << 16;
  }
};
inline constexpr RingKind kRingKinds[] = {
    {"Split"}, {"SplitInOrder", false, true}, {"Packed", true, false}, {"PackedInOrder", true, true}};
inline std::string name_of(const ::testing::TestParamInfo<RingKind>& info) { return info.param.name; }
inline void PrintTo(const RingKind& kind, std::ostream* out) { *out << kind.name; }

/// What a driver says to its device, in either kind of ring: no interrupts; only when slot or entry `n` of the first
/// lap is used.
inline void forbid_interrupts(NullGuest::Ring& ring) {
  if (ring.is_packed())
    *ring.driver_event = {0, PackedEvent::kDisable};
  else
    ring.available[0] = kAvailNoInterrupt;
}
inline void interrupt_at(NullGuest::Ring& ring, uint16_t n) {
  if (ring.is_packed())
    *ring.driver_event = {PackedPosition{n, true}.bits(), PackedEvent::kAtPosition};
  else
    ring.available[2 + ring.size] = n;
}
/// Whether the device asks its driver to kick when it makes slot or entry `n` of the first lap available.
inline bool wants_kick(const NullGuest::Ring& ring, bool has_event_idx, uint16_t n) {
  if (ring.is_packed()) {
    if (!has_event_idx) return ring.device_event->flags == PackedEvent::kEnable;
    return ring.device_event->flags == PackedEvent::kAtPosition &&
           ring.device_event->position == PackedPosition{n, true}.bits();
  }
  if (!has_event_idx) return (*reinterpret_cast<const uint16_t*>(ring.used) & kUsedNoNotify) == 0;
  uint16_t event;
  std::memcpy(&event, ring.used + 4 + 8 * ring.size, 2);
  return event == n;
}

/// The worker's epoll set.
class TestEvents final : public EventSet {
 public:
  TestEvents() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  void add(int fd, PortId, uint16_t) override {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw std::runtime_error("epoll_ctl");
    n_.fetch_add(1);
  }
  void remove(int fd) noexcept override {
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0) n_.fetch_sub(1);
  }
  /// Whether an event came within that time.
  bool wait(int timeout_ms) {
    epoll_event event;
    return epoll_wait(epoll_.get(), &event, 1, timeout_ms) > 0;
  }
  [[nodiscard]] int n() const { return n_.load(); }

 private:
  UniqueFd epoll_;
  std::atomic<int> n_{0};
};

/// What a port has told its owner.
struct Told {
  std::atomic<int> ups{0}, downs{0}, errors{0}, announces{0};
  std::mutex mutex;
  std::string last_error;
  wire::MacAddress mac;
};

struct Taken {
  Bytes frame;
  Drop drop;
  Offload offload;
};

class PortTest : public ::testing::Test {
 protected:
  PortTest() : work_(boost::asio::make_work_guard(io_)) {
    directory_ = std::filesystem::temp_directory_path() /
                 ("weft-vhost-" + std::to_string(getpid()) + "-" + std::to_string(next_directory_++));
    std::filesystem::create_directories(directory_);
    control_ = std::thread([this] { io_.run(); });
  }
  ~PortTest() override {
    for (auto& [name, port] : ports_) remove_port(name);
    ports_.clear();
    work_.reset();
    io_.stop();
    control_.join();
    std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ / (name + ".sock"); }

  template <class F>
  auto on_control(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }

  VhostUserPort& add_port(const std::string& name, PortConfig config = {}) {
    if (config.socket.path.empty()) config.socket.path = path(name);
    Told& told = told_[name];
    PortCallbacks callbacks;
    callbacks.on_link = [&told](bool is_up) { ++(is_up ? told.ups : told.downs); };
    callbacks.on_mac_announce = [&told](wire::MacAddress mac) {
      const std::scoped_lock lock(told.mutex);
      told.mac = mac;
      ++told.announces;
    };
    callbacks.on_error = [&told](const std::string& reason) {
      const std::scoped_lock lock(told.mutex);
      told.last_error = reason;
      ++told.errors;
    };
    ports_[name] = on_control([&] {
      auto port = std::make_unique<VhostUserPort>(name, config, callbacks, io_, rcu_);
      for (uint16_t q = 0; q < port->n_queues(); ++q) port->attach(7, q, events_);
      return port;
    });
    return *ports_[name];
  }
  void remove_port(const std::string& name) {
    if (!ports_[name]) return;
    on_control([&] {
      ports_[name]->detach();
      ports_[name].reset();
    });
  }
  Told& told(const std::string& name) { return told_[name]; }

  std::unique_ptr<NullGuest> make_guest(const std::string& name, NullGuestOptions options = {}) {
    options.path = path(name);
    options.is_packed |= kind_.is_packed;
    options.is_in_order |= kind_.is_in_order;
    auto guest = std::make_unique<NullGuest>(std::move(options));
    return guest;
  }
  /// A guest that has shaken hands; its port exists.
  std::unique_ptr<NullGuest> join(const std::string& name, NullGuestOptions options = {}) {
    auto guest = make_guest(name, std::move(options));
    guest->connect();
    guest->handshake();
    return guest;
  }

  // --- the worker ---
  std::vector<Taken> take(VhostUserPort& port, uint16_t queue = 0) {
    std::vector<Taken> taken;
    rcu_.online(0);
    burst_.clear();
    port.rx(queue, burst_);
    for (const Packet& p : burst_) {
      Taken t{Bytes(p.head, p.head + p.head_size), p.drop, p.offload};
      for (const Segment& s : p.payload_segments()) t.frame.insert(t.frame.end(), s.data, s.data + s.size);
      if (p.drop == Drop::none) {
        EXPECT_EQ(t.frame.size(), p.size);
      }
      taken.push_back(std::move(t));
    }
    port.rx_done(queue);
    rcu_.quiescent(0);
    rcu_.offline(0);
    return taken;
  }
  /// One turn from `from` to `to`; the drops of the packets, none for those sent.
  std::vector<Drop> forward(VhostUserPort& from, VhostUserPort& to) {
    std::vector<Drop> drops;
    rcu_.online(0);
    burst_.clear();
    from.rx(0, burst_);
    std::vector<Packet*> alive;
    for (Packet& p : burst_) {
      if (p.drop == Drop::none) alive.push_back(&p);
    }
    if (!alive.empty()) to.tx(0, alive);
    for (const Packet& p : burst_) drops.push_back(p.drop);
    from.rx_done(0);
    rcu_.quiescent(0);
    rcu_.offline(0);
    return drops;
  }
  /// Sends a frame of the switch's own, whole in its head.
  Drop send(VhostUserPort& port, const Bytes& frame) {
    burst_.clear();
    Packet& p = burst_.add();
    std::memcpy(p.head, frame.data(), frame.size());
    p.size = p.head_size = static_cast<uint16_t>(frame.size());
    Packet* const packets[] = {&p};
    rcu_.online(0);
    port.tx(0, packets);
    rcu_.offline(0);
    return p.drop;
  }

  RingKind kind_ = kRingKinds[0];  // of guests made from here on
  boost::asio::io_context io_;
  Rcu rcu_{2};
  TestEvents events_;
  std::filesystem::path directory_;
  std::map<std::string, std::unique_ptr<VhostUserPort>> ports_;
  std::map<std::string, Told> told_;
  Burst burst_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread control_;
  static inline int next_directory_ = 0;
};

/// A frame of a local experimental type with a pattern of its own.
inline Bytes make_frame(size_t size, uint8_t seed = 1) {
  Bytes frame(size);
  for (size_t i = 0; i < size; ++i) frame[i] = static_cast<uint8_t>(seed + i * 7 + i / 251);
  if (size >= 14) {
    const uint8_t header[14] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5};
    std::memcpy(frame.data(), header, sizeof header);
  }
  return frame;
}

inline constexpr size_t kTcp4 = 14 + 20, kTcpPayload4 = kTcp4 + 20;

/// Ethernet, IPv4, TCP with `payload` bytes; the TCP checksum field holds the pseudo-header sum, to be finished.
inline Bytes make_tcp4(size_t payload) {
  Bytes frame = make_frame(kTcpPayload4 + payload, 3);
  frame[12] = 0x08;
  frame[13] = 0x00;
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(frame.data() + 14);
  *ip = {};
  ip->version_ihl = 0x45;
  ip->total_length = wire::be16(static_cast<uint16_t>(40 + payload));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kTcp;
  ip->source = wire::Ipv4Address(192, 168, 122, 2);
  ip->destination = wire::Ipv4Address(192, 168, 122, 3);
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* tcp = reinterpret_cast<wire::TcpHeader*>(frame.data() + kTcp4);
  *tcp = {};
  tcp->source_port = wire::be16(1000);
  tcp->destination_port = wire::be16(80);
  tcp->sequence = wire::be32(1);
  tcp->data_offset = 0x50;
  tcp->flags = wire::TcpHeader::kAck;
  wire::ChecksumSum sum;
  sum.add_pseudo(ip->source, ip->destination, wire::ipproto::kTcp, static_cast<uint16_t>(20 + payload));
  tcp->checksum = wire::be16::from_raw(sum.fold());
  return frame;
}

/// Whether the TCP checksum of such a frame is finished and right.
inline bool tcp4_checksum_is_right(const Bytes& frame) {
  const auto* ip = reinterpret_cast<const wire::Ipv4Header*>(frame.data() + 14);
  const size_t size = ip->total_length.host() - 20u;
  if (kTcp4 + size > frame.size()) return false;
  wire::ChecksumSum sum;
  sum.add_pseudo(ip->source, ip->destination, wire::ipproto::kTcp, static_cast<uint16_t>(size));
  sum.add(frame.data() + kTcp4, size);
  return sum.checksum() == 0;
}

inline VirtioNetHeaderV1 partial_checksum_header() {
  VirtioNetHeaderV1 h;
  h.flags = VirtioNetHeader::kNeedsCsum;
  h.csum_start = kTcp4;
  h.csum_offset = 16;
  return h;
}
inline VirtioNetHeaderV1 tso4_header(uint16_t gso_size) {
  VirtioNetHeaderV1 h = partial_checksum_header();
  h.gso_type = VirtioNetHeader::kGsoTcp4;
  h.gso_size = gso_size;
  h.hdr_len = kTcpPayload4;
  return h;
}

/// A guest that does what no driver does, on the port "bad", and one on the port "good" that must not notice.
template <class Base>
class BesideAGoodGuest : public Base {
 protected:
  void SetUp() override {
    port_ = &this->add_port("bad");
    other_ = &this->add_port("good");
    guest_ = this->join("bad");
    good_ = this->join("good");
  }
  void TearDown() override {
    // Whatever the bad guest did, the good one's frames pass.
    ASSERT_TRUE(good_->send(make_frame(200)));
    const auto taken = this->take(*other_);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken[0].drop, Drop::none);
    EXPECT_EQ(this->send(*other_, make_frame(100)), Drop::none);
    EXPECT_EQ(good_->receive().size(), 1u);
  }
  NullGuest::Ring& ring(uint16_t i) { return guest_->ring(i); }

  VhostUserPort *port_ = nullptr, *other_ = nullptr;
  std::unique_ptr<NullGuest> guest_, good_;
};

}  // namespace weft::dataplane::vhost::test
