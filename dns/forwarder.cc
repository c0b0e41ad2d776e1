// SPDX-License-Identifier: BSD-3-Clause
#include "dns/forwarder.h"

#include "dns/cache.h"
#include "dns/inquiry.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <unordered_map>

#include <sys/random.h>

namespace weft::dns {
namespace {

void random_from_kernel(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = getrandom(bytes.data(), bytes.size(), 0);
    if (n < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
    if (n > 0) bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

constexpr size_t kMaxDeadServers = 256;

}  // namespace

uint64_t Forwarder::Core::now_ms() const {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count());
}

uint16_t Forwarder::Core::random_u16() {
  std::array<uint8_t, 2> bytes;
  config.random(bytes);
  return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

std::vector<Server> Forwarder::Core::servers_for(const Name& name, const ForwardRules& rules) {
  const uint64_t now = now_ms();
  std::vector<Server> servers = rules.select(name, host_servers.servers(now));
  std::erase_if(servers, [&](const Server& s) {
    return std::find(own_addresses.begin(), own_addresses.end(), s.address) != own_addresses.end();
  });
  if (dead_until_ms.size() > kMaxDeadServers) dead_until_ms.clear();
  std::stable_partition(servers.begin(), servers.end(), [&](const Server& s) {
    const auto it = dead_until_ms.find(s);
    return it == dead_until_ms.end() || it->second <= now;
  });
  return servers;
}

/// One network's part: its rules, its limit, and its questions in flight.
class Channel final : public Upstream {
 public:
  Channel(std::shared_ptr<Forwarder::Core> core, ForwardRules rules)
      : core_(std::move(core)), rules_(std::move(rules)) {}
  ~Channel() override {
    for (auto& [key, flight] : flights_) {
      --core_->stats.in_flight;
      flight.inquiry->cancel();
    }
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void query(const UpstreamQuestion& question, Completion done) override {
    ForwarderStats& stats = core_->stats;
    const ForwarderConfig& config = core_->config;
    ++stats.questions;
    std::string key = question_key(question);
    if (const auto it = flights_.find(key); it != flights_.end()) {
      if (it->second.waiters.size() >= config.max_waiters) return refuse(stats.refused_waiters, done);
      ++stats.coalesced;
      it->second.waiters.push_back(std::move(done));
      return;
    }
    if (stats.in_flight >= config.max_in_flight) return refuse(stats.refused_total, done);
    if (flights_.size() >= config.max_in_flight_per_network) return refuse(stats.refused_network, done);
    std::vector<Server> servers;
    if (!core_->closed) servers = core_->servers_for(question.question.name, rules_);
    if (servers.empty()) {
      ++stats.no_server;
      return done({.status = UpstreamStatus::kNoServer});
    }
    auto inquiry = std::make_shared<Inquiry>(core_, question, std::move(servers),
                                             [this, key](const UpstreamResult& result) { finish(key, result); });
    ++stats.in_flight;
    Flight& flight = flights_.emplace(std::move(key), Flight{std::move(inquiry), {}}).first->second;
    flight.waiters.push_back(std::move(done));
    flight.inquiry->start();
  }

 private:
  struct Flight {
    std::shared_ptr<Inquiry> inquiry;
    std::vector<Completion> waiters;
  };

  static void refuse(uint64_t& counter, const Completion& done) {
    ++counter;
    done({.status = UpstreamStatus::kOverloaded});
  }

  void finish(const std::string& key, const UpstreamResult& result) {
    const auto it = flights_.find(key);
    if (it == flights_.end()) return;
    const Flight flight = std::move(it->second);  // the waiters may ask the same again
    flights_.erase(it);
    --core_->stats.in_flight;
    for (const Completion& waiter : flight.waiters) waiter(result);
  }

  std::shared_ptr<Forwarder::Core> core_;
  ForwardRules rules_;
  std::unordered_map<std::string, Flight> flights_;
};

Forwarder::Forwarder(boost::asio::io_context& io, ForwarderConfig config)
    : core_(std::make_shared<Core>(io, std::move(config))) {
  if (!core_->config.random) core_->config.random = random_from_kernel;
}

Forwarder::~Forwarder() { core_->closed = true; }

std::unique_ptr<Upstream> Forwarder::open_channel(ForwardRules rules) {
  return std::make_unique<Channel>(core_, std::move(rules));
}

void Forwarder::set_own_addresses(std::vector<wire::IpAddress> addresses) {
  core_->own_addresses = std::move(addresses);
}

const ForwarderStats& Forwarder::stats() const noexcept { return core_->stats; }

}  // namespace weft::dns
