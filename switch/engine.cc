// SPDX-License-Identifier: BSD-3-Clause
#include "switch/engine.h"

#include "switch/guest_limits.h"

#include <algorithm>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include <unistd.h>

namespace weft::vswitch {

namespace {
constexpr uint32_t kPuntedAtOnce = 64;
}

using dataplane::Drop;
using dataplane::OwnedPool;
using dataplane::Packet;
using dataplane::PortTotals;

Engine::Lane::Lane(Engine& engine, const Options& options, uint16_t index)
    : pipeline({.worker = index,
                .seed = options.seed,
                .nat_key = options.nat_key,
                .handoffs = engine.handoffs_ ? &*engine.handoffs_ : nullptr},
               engine.published_, engine.fdb_, engine.owned_),
      worker({.index = index, .cpu = options.cpus[index], .sleeps_when_idle = options.sleeps_when_idle}, engine.rcu_,
             pipeline),
      event(engine.io_, dup(pipeline.mail().event_fd())) {}

Engine::Engine(boost::asio::io_context& io, const Options& options, PuntHandler on_punt)
    : io_(io),
      on_punt_(std::move(on_punt)),
      rcu_(static_cast<uint16_t>(options.cpus.size())),
      fdb_(options.fdb),
      owned_("weft-owned", limits::kOwnedPackets),
      spread_(static_cast<uint16_t>(options.cpus.size())),
      current_(std::make_unique<Snapshot>()),
      published_(current_.get()),
      maintenance_(io) {
  frame_.reserve(limits::kLocalFrame);  // the largest that is ever punted
  current_->queues.resize(options.cpus.size());
  if (options.cpus.size() > 1) handoffs_.emplace(static_cast<uint16_t>(options.cpus.size()));
  for (uint16_t w = 0; w < options.cpus.size(); ++w) {
    lanes_.push_back(std::make_unique<Lane>(*this, options, w));
    if (handoffs_) handoffs_->set_worker(w, lanes_.back()->worker);
    wait_for(*lanes_.back());
  }
  maintain();
}

/// What the workers' tables leave for this thread to do: memory that growth left behind goes back to the kernel.
void Engine::maintain() {
  for (auto& lane : lanes_) lane->pipeline.masquerade().maintain();
  maintenance_.expires_after(std::chrono::seconds(1));
  maintenance_.async_wait([this](boost::system::error_code ec) {
    if (!ec) maintain();
  });
}

Engine::~Engine() { stop(); }

void Engine::start() {
  for (auto& lane : lanes_) lane->worker.start();
  is_running_ = true;
}

void Engine::stop() noexcept {
  is_running_ = false;
  for (auto& lane : lanes_) lane->worker.stop();
}

void Engine::publish(std::unique_ptr<Snapshot> snapshot) {
  std::vector<QueueSpread::Queue> queues;
  for (PortId id = 0; id < snapshot->ports.size(); ++id)
    if (const dataplane::Port* port = snapshot->ports[id].port; port != nullptr)
      for (uint16_t q = 0; q < port->n_queues(); ++q) queues.push_back({id, q});
  const auto moves = spread_.serve(queues);
  if (!moves.empty()) {
    show(std::make_unique<Snapshot>(*snapshot), moves);
    // What they handed over must be out before another worker hands over what comes after.
    if (is_running_) handoffs_->run_empty();
    for (const auto& m : moves) move(*snapshot, m);
  }
  show(std::move(snapshot), {});
}

/// Lets a queue's descriptors announce input to its new worker. What was announced to the old one is no loss: a worker
/// looks at a queue it has been given before it sleeps.
void Engine::move(const Snapshot& snapshot, const QueueSpread::Move& m) {
  const auto [id, queue] = m.queue;
  dataplane::Port& port = *snapshot.ports[id].port;
  try {
    port.attach(id, queue, lanes_[m.to]->worker);
  } catch (const std::exception& e) {
    spdlog::warn("queue {} of port {} stays with its worker: {}", queue, id, e.what());
    spread_.undo(m);
    try {
      port.attach(id, queue, lanes_[m.from]->worker);
    } catch (const std::exception& again) {
      spdlog::error("queue {} of port {} is served only while its worker is awake: {}", queue, id, again.what());
    }
  }
}

/// Publishes a snapshot in which those queues are served by nobody.
void Engine::show(std::unique_ptr<Snapshot> snapshot, std::span<const QueueSpread::Move> resting) {
  snapshot->queues.assign(lanes_.size(), {});
  for (PortId id = 0; id < snapshot->ports.size(); ++id) {
    dataplane::Port* port = snapshot->ports[id].port;
    if (port == nullptr) continue;
    for (uint16_t q = 0; q < port->n_queues(); ++q) {
      const QueueSpread::Queue queue{id, q};
      const bool rests = std::any_of(resting.begin(), resting.end(), [&](const auto& m) { return m.queue == queue; });
      if (!rests) snapshot->queues[spread_.worker_of(queue)].queues.push_back({port, id, q});
    }
  }
  for (auto& list : snapshot->queues) list.generation = next_generation_++;

  const std::unique_ptr<Snapshot> previous = std::exchange(current_, std::move(snapshot));
  published_.store(current_.get(), std::memory_order_release);
  for (auto& lane : lanes_) lane->worker.wake();
  rcu_.synchronize();
}

void Engine::add_port(PortId id, dataplane::Port& port) {
  highest_port_ = std::max(highest_port_, id);
  fdb_.add_port(id);
  for (uint16_t q = 0; q < port.n_queues(); ++q) port.attach(id, q, lanes_[spread_.add({id, q})]->worker);
}

void Engine::remove_port(PortId id, dataplane::Port& port) noexcept {
  port.detach();
  spread_.remove_port(id);
  fdb_.remove_port(id);
}

bool Engine::inject(std::span<const uint8_t> frame, NetworkId network) {
  dataplane::Segment rest{};
  Packet p{};
  p.head = const_cast<uint8_t*>(frame.data());  // only read from
  p.head_size = static_cast<uint16_t>(std::min<size_t>(frame.size(), dataplane::kHeaderCopy));
  p.size = static_cast<uint32_t>(frame.size());
  if (p.size > p.head_size) {
    rest = {frame.data() + p.head_size, p.size - p.head_size};
    p.payload = &rest;
    p.n_payload = 1;
  }
  p.in_port = kNoPort;
  p.out_port = kNoPort;
  p.network = network;

  auto& counters = counters_[kNoPort];
  counters.injected.add(1);
  Lane& lane = *lanes_.front();
  rte_mbuf* m = owned_.copy(p);
  if (m == nullptr || !lane.pipeline.mail().inject(m)) {
    owned_.free(m);
    counters.drops[static_cast<size_t>(Drop::local_queue_full)].add(1);
    return false;
  }
  counters.held.add(1);
  lane.worker.wake();
  return true;
}

bool Engine::run_on_worker(uint16_t w, std::function<void()> work, std::function<void()> done) {
  if (!lanes_[w]->pipeline.mail().post(std::move(work), std::move(done))) return false;
  lanes_[w]->worker.wake();
  return true;
}

void Engine::wait_for(Lane& lane) {
  lane.event.async_read_some(boost::asio::buffer(&lane.event_value, sizeof lane.event_value),
                             [this, &lane](boost::system::error_code ec, size_t) {
                               if (ec) return;
                               lane.pipeline.mail().finish_jobs();
                               take_punted(lane);
                             });
}

void Engine::take_punted(Lane& lane) {
  for (uint32_t n = 0; n < kPuntedAtOnce; ++n) {
    rte_mbuf* m = lane.pipeline.mail().take();
    if (m == nullptr) return wait_for(lane);
    const auto& meta = OwnedPool::meta(m);
    punted_.clear();
    const Packet& p = OwnedPool::load(m, punted_);
    frame_.assign(p.head, p.head + p.head_size);
    for (const auto& piece : p.payload_segments()) frame_.insert(frame_.end(), piece.data, piece.data + piece.size);
    auto& counters = counters_[meta.in_port];
    const Drop verdict = on_punt_(frame_, meta);
    counters.released.add(1);
    if (verdict == Drop::none)
      counters.consumed.add(1);
    else
      counters.drops[static_cast<size_t>(verdict)].add(1);
    OwnedPool::free(m);
  }
  // More may wait; everybody else on the loop gets a turn first.
  boost::asio::post(io_, [this, &lane] { take_punted(lane); });
}

PortTotals Engine::totals_of(PortId port) const {
  PortTotals t;
  t.add(counters_[port]);
  for (const auto& lane : lanes_) t.add(lane->pipeline.counters()[port]);
  return t;
}

PortTotals Engine::totals() const {
  PortTotals t;
  for (PortId id = 0; id <= highest_port_; ++id) t.add(totals_of(id));
  t.add(totals_of(kNoPort));
  return t;
}

}  // namespace weft::vswitch
