// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/switch/guests/guest_lab.h"

#include "dataplane/wire/headers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>
#include <rte_eal.h>
#include <spdlog/spdlog.h>

#include <sched.h>

namespace weft::vswitch::test {
namespace {

/// Once a process; this thread may run anywhere afterwards, as before.
void start_eal() {
  static const bool started = [] {
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::vector<std::string> words = {"guests", "--no-huge", "--no-shconf",    "--no-pci",
                                      "-m",     "64",        "--no-telemetry", "--log-level=3"};
    std::vector<char*> arguments;
    for (auto& w : words) arguments.push_back(w.data());
    if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) throw std::runtime_error("no EAL");
    sched_setaffinity(0, sizeof allowed, &allowed);
    spdlog::set_level(spdlog::level::err);  // what ports say of hostile guests is for people
    return true;
  }();
  (void)started;
}

std::optional<std::pair<int, int>> find_two_cpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::nullopt;
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpus.push_back(cpu);
  if (cpus.size() < 2) return std::nullopt;
  return std::pair(cpus.back(), cpus.front());
}

uint8_t pattern(uint64_t number, size_t i) { return static_cast<uint8_t>(number * 31 + i * 7 + (i >> 8)); }

}  // namespace

bool is_long_run() { return std::getenv("WEFT_LONG") != nullptr; }

uint64_t test_seed() {
  const char* given = std::getenv("WEFT_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20'260'712;
  std::printf("seed %llu (WEFT_SEED chooses another)\n", static_cast<unsigned long long>(seed));
  return seed;
}

std::optional<std::pair<int, int>> two_cpus() {
  // As it was at first: a thread that was pinned may run on one CPU only.
  static const auto found = find_two_cpus();
  return found;
}

void pin_this_thread(int cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<size_t>(cpu), &only);
  sched_setaffinity(0, sizeof only, &only);
}

wire::MacAddress mac_of(PortId port) { return wire::MacAddress::from_u64(0x52540000000a + port); }

Bytes numbered_frame(PortId to, PortId from, uint64_t number, size_t size) {
  Bytes bytes(std::max<size_t>(size, 60));
  auto* eth = reinterpret_cast<wire::EthernetHeader*>(bytes.data());
  *eth = {mac_of(to), mac_of(from), wire::be16(0x88b5)};  // IEEE 802 local experimental
  std::memcpy(bytes.data() + sizeof *eth, &number, sizeof number);
  for (size_t i = sizeof *eth + sizeof number; i < bytes.size(); ++i) bytes[i] = pattern(number, i);
  return bytes;
}

std::optional<uint64_t> number_of(const Bytes& frame, PortId to, PortId from) {
  uint64_t number;
  if (frame.size() < sizeof(wire::EthernetHeader) + sizeof number) return std::nullopt;
  std::memcpy(&number, frame.data() + sizeof(wire::EthernetHeader), sizeof number);
  if (frame != numbered_frame(to, from, number, frame.size())) return std::nullopt;
  return number;
}

GuestLab::GuestLab(const Options& options) : work_(boost::asio::make_work_guard(io_)) {
  start_eal();
  static int next = 0;
  directory_ = std::filesystem::temp_directory_path() / fmt::format("weft-guests-{}-{}", getpid(), next++);
  std::filesystem::create_directories(directory_);
  Engine::Options o;
  o.cpus = {options.worker_cpu};
  o.sleeps_when_idle = options.sleeps_when_idle;
  engine_ = std::make_unique<Engine>(io_, o, [](auto, const auto&) { return dataplane::Drop::none; });
  control_ = std::thread([this] { io_.run(); });
}

GuestLab::~GuestLab() {
  on_control([&] {
    engine_->publish(std::make_unique<Snapshot>());
    for (auto& [id, entry] : ports_) engine_->remove_port(id, *entry.port);
    ports_.clear();
  });
  engine_->stop();
  work_.reset();
  io_.stop();
  control_.join();
  engine_.reset();
  std::filesystem::remove_all(directory_);
}

std::string GuestLab::path(PortId port) const { return directory_ / fmt::format("{}.sock", port); }

PortId GuestLab::add_port(NetworkId network, uint16_t queues) {
  dataplane::vhost::PortConfig config;
  config.socket.path = path(static_cast<PortId>(ports_.size()));
  config.queues = queues;
  return add_port(network, on_control([&] {
                    return std::make_unique<dataplane::vhost::VhostUserPort>(fmt::format("p{}", ports_.size()), config,
                                                                             dataplane::vhost::PortCallbacks{}, io_,
                                                                             engine_->rcu());
                  }));
}

PortId GuestLab::add_port(NetworkId network, std::unique_ptr<dataplane::Port> port) {
  const auto id = static_cast<PortId>(ports_.size());
  on_control([&] { engine_->add_port(id, *port); });
  ports_[id] = {std::move(port), network};
  return id;
}

void GuestLab::publish() {
  on_control([&] {
    auto snapshot = std::make_unique<Snapshot>();
    for (const auto& [id, entry] : ports_) {
      if (entry.network >= snapshot->networks.size()) snapshot->networks.resize(entry.network + 1u);
      if (id >= snapshot->ports.size()) snapshot->ports.resize(id + 1u);
      NetworkEntry& network = snapshot->networks[entry.network];
      network.exists = true;
      network.members.push_back(id);
      snapshot->ports[id] = {.port = entry.port.get(), .network = entry.network};
    }
    engine_->publish(std::move(snapshot));
  });
}

std::unique_ptr<NullGuest> GuestLab::join(PortId id, NullGuestOptions options) {
  options.path = path(id);
  auto guest = std::make_unique<NullGuest>(std::move(options));
  guest->connect();
  guest->handshake();
  return guest;
}

}  // namespace weft::vswitch::test
