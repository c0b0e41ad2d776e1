// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/port.h"

#include "dataplane/vhost/connection.h"
#include "dataplane/vhost/log.h"
#include "dataplane/vhost/packed_ring.h"
#include "dataplane/vhost/split_ring.h"

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <rte_pause.h>

#include <sched.h>
#include <sys/eventfd.h>

namespace weft::dataplane::vhost {
namespace {

/// How long a second front end may wait for the first one's end. A restarted QEMU can be here before the
/// kernel has taken the old one apart.
constexpr std::chrono::seconds kParkTime{2};

/// A spinlock over one ring, for the time of a burst. Nobody waits long: what is done under it is memory writes and at
/// most one eventfd. Whoever waits for a worker that lost its CPU gives his own away.
class WriterLock {
 public:
  /// nullptr: nothing to lock.
  explicit WriterLock(RingView* ring) noexcept : ring_(ring) {
    if (ring_ == nullptr) return;
    while (ring_->is_taken.exchange(true, std::memory_order_acquire))
      for (uint32_t n = 1; ring_->is_taken.load(std::memory_order_relaxed); ++n) {
        if (n % kSpins == 0) sched_yield();
        rte_pause();
      }
  }
  ~WriterLock() {
    if (ring_ != nullptr) ring_->is_taken.store(false, std::memory_order_release);
  }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  static constexpr uint32_t kSpins = 1000;
  RingView* ring_;
};

UniqueFd make_eventfd() {
  UniqueFd fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd.is_open()) throw std::system_error(errno, std::generic_category(), "eventfd");
  return fd;
}

}  // namespace

/// The control thread's half. Handlers in the io_context hold it weakly, and end when it is gone.
struct VhostUserPort::Control : std::enable_shared_from_this<Control> {
  struct QueueControl {
    EventSet* events = nullptr;
    UniqueFd wake;           // tells the worker that a ring has appeared
    RingView* tx = nullptr;  // the guest's own receive ring of this pair
    int rx_kick = -1;        // in `events`
  };

  Control(VhostUserPort& p, std::string name, const std::string& positions, PortCallbacks c, boost::asio::io_context& i,
          Rcu& r)
      : port(&p),
        log(std::move(name)),
        callbacks(std::move(c)),
        io(i),
        rcu(r),
        records(positions, static_cast<uint16_t>(2 * p.n_queues_)),
        park_timer(i),
        trouble_watch(i) {
    queues.resize(p.n_queues_);
    for (QueueControl& q : queues) q.wake = make_eventfd();
    trouble = make_eventfd();
    trouble_watch.assign(trouble.get());
  }
  ~Control() {
    if (trouble_watch.is_open()) trouble_watch.release();
  }

  void close() noexcept {
    endpoint.reset();
    if (connection) connection->abandon();
    connection.reset();
    parked.reset();
    boost::system::error_code ignored;
    park_timer.cancel(ignored);
    trouble_watch.cancel(ignored);
    port = nullptr;
  }

  void wait_trouble() {
    trouble_watch.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                             [weak = weak_from_this()](const boost::system::error_code& error) {
                               const auto self = weak.lock();
                               if (error || !self || self->port == nullptr) return;
                               uint64_t count;
                               [[maybe_unused]] const ssize_t n = read(self->trouble.get(), &count, sizeof count);
                               if (self->connection) self->connection->on_trouble();
                               self->wait_trouble();
                             });
  }

  /// A front end has connected, or we to it. The one that was here stays while it lives; a newcomer waits a
  /// while for its end.
  void on_socket(UniqueFd socket) {
    if (!connection) return adopt(std::move(socket));
    parked = std::move(socket);
    if (connection->peer_is_gone()) return connection->close("the front end hung up; another is here");
    park_timer.expires_after(kParkTime);
    park_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || !self->parked.is_open()) return;
      self->log.warn("a second front end was turned away: the first is still connected");
      self->parked.reset();
    });
  }

  void adopt(UniqueFd socket) {
    Connection::Events events;
    events.changed = [this] { changed(); };
    events.mac_announced = [this](wire::MacAddress mac) {
      if (callbacks.on_mac_announce) callbacks.on_mac_announce(mac);
    };
    events.ended = [this](const std::string& reason, bool is_error) { ended(reason, is_error); };
    RingHost& host = *port;
    auto device = std::make_unique<Device>(port->n_queues_, port->mtu_, trouble.get(), host, records);
    connection = std::make_shared<Connection>(io, std::move(socket), std::move(device), rcu, log, std::move(events));
    log.info("front end connected");
    connection->start();
  }

  void changed() {
    const bool is_up = connection && connection->is_up();
    if (port->is_up_.exchange(is_up, std::memory_order_relaxed) == is_up) return;
    log.info(is_up ? "link up" : "link down");
    if (callbacks.on_link) callbacks.on_link(is_up);
  }

  void ended(const std::string& reason, bool is_error) {
    connection.reset();
    if (is_error)
      log.warn(fmt::format("front end cut off: {}", reason));
    else
      log.info(reason);
    const auto self = shared_from_this();  // a callback may destroy the port
    if (is_error && callbacks.on_error) callbacks.on_error(reason);
    if (port == nullptr) return;
    if (parked.is_open()) {
      park_timer.cancel();
      adopt(std::move(parked));
    } else {
      endpoint->connection_ended();
    }
  }

  /// Every queue sends on its own ring, or on the first there is.
  void map_tx() noexcept {
    RingView* first = nullptr;
    for (const QueueControl& q : queues) {
      if (first == nullptr) first = q.tx;
    }
    for (size_t i = 0; i < queues.size(); ++i)
      port->queues_[i].tx.store(queues[i].tx != nullptr ? queues[i].tx : first, std::memory_order_release);
  }

  VhostUserPort* port;  // nullptr: destroyed
  PortLog log;
  PortCallbacks callbacks;
  boost::asio::io_context& io;
  Rcu& rcu;
  PackedRecords records;
  std::vector<QueueControl> queues;
  UniqueFd trouble;
  UniqueFd parked;
  boost::asio::steady_timer park_timer;
  boost::asio::posix::stream_descriptor trouble_watch;
  std::shared_ptr<Connection> connection;
  std::unique_ptr<Endpoint> endpoint;
};

VhostUserPort::VhostUserPort(std::string name, PortConfig config, PortCallbacks callbacks, boost::asio::io_context& io,
                             Rcu& rcu)
    : n_queues_(config.queues), has_several_writers_(rcu.max_workers() > 1), mtu_(config.mtu) {
  if (n_queues_ == 0 || n_queues_ > kMaxRings / 2)
    throw std::invalid_argument(fmt::format("port {}: queues: 1 to {}, not {}", name, kMaxRings / 2, n_queues_));
  queues_ = std::make_unique<Queue[]>(n_queues_);
  control_ = std::make_shared<Control>(*this, std::move(name), config.positions, std::move(callbacks), io, rcu);
  control_->endpoint = Endpoint::open(
      io, config.socket, [control = control_.get()](UniqueFd socket) { control->on_socket(std::move(socket)); });
  control_->wait_trouble();
}

VhostUserPort::~VhostUserPort() { control_->close(); }

void VhostUserPort::rx(uint16_t queue, Burst& burst) noexcept {
  Queue& q = queues_[queue];
  // Kept for rx_done: what is published may change in between.
  q.rx_now = q.rx.load(std::memory_order_acquire);
  if (q.rx_now == nullptr) return;
  if (q.rx_now->is_packed())
    packed_rx(*q.rx_now, burst);
  else
    split_rx(*q.rx_now, burst);
}

void VhostUserPort::rx_done(uint16_t queue) noexcept {
  Queue& q = queues_[queue];
  if (q.rx_now == nullptr) return;
  if (q.rx_now->is_packed())
    packed_rx_done(*q.rx_now);
  else
    split_rx_done(*q.rx_now);
  q.rx_now = nullptr;
}

void VhostUserPort::tx(uint16_t queue, std::span<Packet* const> packets) noexcept {
  if (queue >= n_queues_) queue = static_cast<uint16_t>(queue % n_queues_);
  RingView* ring = queues_[queue].tx.load(std::memory_order_acquire);
  if (ring == nullptr) {
    for (Packet* p : packets) p->drop = Drop::tx_not_ready;
    return;
  }
  const WriterLock lock(has_several_writers_ ? ring : nullptr);
  if (ring->is_packed())
    packed_tx(*ring, packets);
  else
    split_tx(*ring, packets);
}

bool VhostUserPort::arm(uint16_t queue) noexcept {
  RingView* ring = queues_[queue].rx.load(std::memory_order_acquire);
  // Without a ring there is nothing to wait for but its appearance, of which the wake descriptor tells.
  return ring != nullptr && (ring->is_packed() ? packed_arm(*ring) : split_arm(*ring));
}

void VhostUserPort::disarm(uint16_t queue) noexcept {
  RingView* ring = queues_[queue].rx.load(std::memory_order_acquire);
  if (ring == nullptr) return;
  if (ring->is_packed())
    packed_disarm(*ring);
  else
    split_disarm(*ring);
}

void VhostUserPort::attach(PortId id, uint16_t queue, EventSet& events) {
  Control::QueueControl& q = control_->queues.at(queue);
  if (q.events != nullptr) {
    q.events->remove(q.wake.get());
    if (q.rx_kick >= 0) q.events->remove(q.rx_kick);
  }
  queues_[queue].id = id;
  q.events = &events;
  events.add(q.wake.get(), id, queue);
  if (q.rx_kick >= 0) events.add(q.rx_kick, id, queue);
  signal_eventfd(q.wake.get());
}

void VhostUserPort::detach() noexcept {
  for (Control::QueueControl& q : control_->queues) {
    if (q.events == nullptr) continue;
    q.events->remove(q.wake.get());
    if (q.rx_kick >= 0) q.events->remove(q.rx_kick);
    q.events = nullptr;
  }
}

bool VhostUserPort::publish(uint16_t ring, RingView& view, int kick_fd) {
  const auto index = static_cast<uint16_t>(ring / 2);
  Control::QueueControl& q = control_->queues[index];
  if (ring % 2 == 0) {
    q.tx = &view;
    control_->map_tx();
    return true;
  }
  if (kick_fd >= 0 && q.events != nullptr) {
    try {
      q.events->add(kick_fd, queues_[index].id, index);
    } catch (const std::exception&) {
      return false;
    }
  }
  q.rx_kick = kick_fd;
  queues_[index].rx.store(&view, std::memory_order_release);
  // The guest may have filled the ring long ago and never kick again.
  signal_eventfd(q.wake.get());
  return true;
}

void VhostUserPort::unpublish(uint16_t ring, int kick_fd) noexcept {
  const auto index = static_cast<uint16_t>(ring / 2);
  Control::QueueControl& q = control_->queues[index];
  if (ring % 2 == 0) {
    q.tx = nullptr;
    control_->map_tx();
    return;
  }
  queues_[index].rx.store(nullptr, std::memory_order_release);
  if (kick_fd >= 0 && q.events != nullptr) q.events->remove(kick_fd);
  q.rx_kick = -1;
}

uint64_t VhostUserPort::features() const noexcept {
  return control_->connection ? control_->connection->features() : 0;
}

bool VhostUserPort::is_connected() const noexcept { return control_->connection != nullptr; }

}  // namespace weft::dataplane::vhost
