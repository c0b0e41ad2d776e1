// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/crew.h"

#include "bench/generator/tsc.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

namespace weft::bench {
namespace {

constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }

/// What any switch offers, and what the load needs.
uint64_t features(const Options& o) {
  namespace f = vhost::feature;
  uint64_t wanted = bit(f::kVersion1) | bit(f::kMrgRxbuf) | bit(f::kProtocolFeatures);
  if (o.is_segmented) wanted |= bit(f::kCsum) | bit(f::kGuestCsum) | bit(f::kHostTso4) | bit(f::kGuestTso4);
  return wanted;
}

/// Frames lie in one buffer each, whatever their size.
uint32_t buffer_size(unsigned frame_size) { return frame_size <= 1600 ? 2048 : (frame_size + 127) / 64 * 64; }

}  // namespace

double Measured::loss() const noexcept {
  const auto offered = static_cast<double>(sent + refused);
  return offered > 0 ? std::max(0.0, 1 - static_cast<double>(arrived) / offered) : 0;
}
double Measured::pps() const noexcept { return seconds > 0 ? static_cast<double>(received) / seconds : 0; }
double Measured::starved_share() const noexcept {
  return polls == 0 ? 0 : static_cast<double>(starved) / static_cast<double>(polls);
}

Crew::Crew(const Options& options, Signals signals) : options_(options), ticks_per_second_(measure_ticks_per_second()) {
  for (const std::string& socket : options.sockets) {
    NullGuestOptions o;
    o.path = socket;
    o.listens = options.listens;
    o.is_packed = options.is_packed;
    o.is_in_order = options.is_in_order;
    o.ring_size = static_cast<uint16_t>(options.ring);
    o.can_kick = o.wants_calls = signals == Signals::interrupted;
    o.send_buffer = o.receive_buffer = buffer_size(options.size);
    o.features = features(options);
    guests_.push_back(std::make_unique<NullGuest>(o));
  }
}

Station& Crew::add_station(size_t i, const Load& load) {
  const Limits limits{static_cast<uint16_t>(options_.burst), static_cast<uint16_t>(options_.window),
                      options_.is_in_order};
  stations_.push_back(std::make_unique<Station>(*guests_.at(i), load, limits));
  return *stations_.back();
}

void Crew::connect() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(options_.wait_s);
  for (size_t i = 0; i < guests_.size(); ++i) {
    const std::chrono::duration<double, std::milli> left = deadline - std::chrono::steady_clock::now();
    try {
      guests_[i]->connect(static_cast<int>(std::max(1.0, left.count())));
    } catch (const std::system_error& e) {
      throw Failure(kExitNobody, fmt::format("nobody listens on {} ({})", options_.sockets[i], e.code().message()));
    } catch (const std::runtime_error&) {
      throw Failure(kExitNobody, fmt::format("nobody connects to {}", options_.sockets[i]));
    }
  }
  for (size_t i = 0; i < guests_.size(); ++i) {
    try {
      guests_[i]->handshake();
    } catch (const std::exception& e) {
      throw Failure(kExitFailed, fmt::format("{}: the switch does not agree: {}", options_.sockets[i], e.what()));
    }
  }
}

void Crew::check_connected() {
  for (size_t i = 0; i < guests_.size(); ++i)
    if (guests_[i]->was_hung_up_on(0)) throw Failure(kExitFailed, options_.sockets[i] + ": the switch has hung up");
}

uint64_t Crew::after(double seconds) const noexcept {
  return ticks() + static_cast<uint64_t>(seconds * ticks_per_second_);
}

void Crew::turn_until(uint64_t end, size_t n_senders) noexcept {
  for (;;) {
    // The clock once a turn: it paces, and costs less than one frame of any switch.
    const uint64_t now = ticks();
    if (now >= end) return;
    for (size_t i = 0; i < n_senders; ++i) stations_[i]->send(now);
    for (auto& s : stations_) s->receive();
  }
}

void Crew::drain() noexcept {
  // Quiet for 20 ms with nothing outstanding, or a switch that takes nothing for half a second.
  const auto quiet = static_cast<uint64_t>(0.02 * ticks_per_second_);
  uint64_t seen = 0;
  const uint64_t give_up = after(0.5);
  for (uint64_t since = ticks(); ticks() < give_up && ticks() - since < quiet;) {
    uint64_t now_seen = 0, outstanding = 0;
    for (auto& s : stations_) {
      s->receive();
      now_seen += s->counts().received;
      outstanding += s->outstanding();
    }
    if (now_seen != seen || outstanding != 0) since = ticks();
    seen = now_seen;
  }
}

void Crew::warm_up(double seconds, bool is_one_way) {
  for (auto& s : stations_) s->run_freely();
  // A switch may take a while after the handshake until it forwards.
  const uint64_t give_up = after(options_.wait_s);
  const auto is_known = [](const std::unique_ptr<Station>& s) {
    return s->counts().sent > 2 * uint64_t{s->n_flows()} && s->counts().received != 0;
  };
  do {
    turn_until(after(0.01), stations_.size());
  } while (ticks() < give_up && !std::all_of(stations_.begin(), stations_.end(), is_known));
  turn_until(after(seconds), senders(is_one_way));
}

Measured Crew::counts() noexcept {
  Measured m;
  for (auto& s : stations_) {
    const StationCounts& c = s->counts();
    m.sent += c.sent;
    m.received += c.received;
    m.other += c.other;
    m.polls += c.polls;
    m.starved += c.starved;
  }
  return m;
}

Measured Crew::measure(double seconds, double pps, bool is_one_way) {
  drain();
  for (auto& s : stations_) {
    s->forget();
    if (pps > 0)
      s->pace(ticks_per_second_ / pps, ticks());
    else
      s->run_freely();
  }
  const Measured before = counts();
  const uint64_t start = ticks();
  turn_until(after(seconds), senders(is_one_way));
  Measured m = counts();
  m.seconds = static_cast<double>(ticks() - start) / ticks_per_second_;
  drain();
  m.arrived = counts().received - before.received;
  m.sent -= before.sent;
  m.received -= before.received;
  m.other -= before.other;
  m.polls -= before.polls;
  m.starved -= before.starved;
  m.is_checked = options_.checks;
  for (size_t i = 0; i < stations_.size(); ++i) {
    const Station& s = *stations_[i];
    if (i < senders(is_one_way)) {
      m.refused += s.pacer().refused();
      m.late += s.pacer().late();
    }
    m.sequence.in_order += s.sequence().in_order;
    m.sequence.late += s.sequence().late;
    m.sequence.twice += s.sequence().twice;
    m.sequence.missing += s.sequence().missing;
  }
  check_connected();
  return m;
}

Load switching_load(const Options& o, unsigned i) {
  const auto next = static_cast<unsigned>((i + 1) % o.sockets.size());
  Load load;
  // The benchmarking range of RFC 2544 (RFC 6890): a /24 for each guest.
  load.ends = {mac_of(i, 0), mac_of(next, 0), wire::Ipv4Address(198, 18, static_cast<uint8_t>(i), 1),
               wire::Ipv4Address(198, 18, static_cast<uint8_t>(next), 1)};
  load.size = o.size;
  load.is_segmented = o.is_segmented;
  load.n_flows = o.flows();
  load.n_macs = o.n_macs;
  load.rewrites = o.rewrites;
  load.stamps = o.checks;
  return load;
}

}  // namespace weft::bench
