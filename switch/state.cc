// SPDX-License-Identifier: BSD-3-Clause
#include "switch/state.h"

#include "switch/random.h"

#include <stdexcept>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace weft::vswitch {

using Json = nlohmann::json;

namespace {

constexpr const char* kIdentities = "identities";
constexpr const char* kTaps = "taps";
constexpr const char* kPorts = "ports";

std::string make_uuid() {
  uint64_t high = random_u64(), low = random_u64();
  high = (high & ~uint64_t{0xf000}) | 0x4000;              // version 4
  low = (low & ~(uint64_t{3} << 62)) | uint64_t{2} << 62;  // RFC 4122 variant
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
                     low & 0xffffffffffff);
}

/// What somebody wrote into the store that weftd would not have is as good as absent.
std::string text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Json& table_of(Json& document, const char* key) {
  Json& table = document[key];
  if (!table.is_object()) table = Json::object();
  return table;
}

/// 52:54:00 as QEMU and libvirt make theirs.
wire::MacAddress make_mac() { return wire::MacAddress::from_u64(uint64_t{0x525400} << 24 | (random_u64() & 0xffffff)); }

}  // namespace

State::State(dhcp::LeaseStore& store) : store_(&store) {
  identities_ = read(kIdentities);
  ports_ = read(kPorts);
  const Json taps = read(kTaps);
  if (const auto list = taps.find("taps"); list != taps.end() && list->is_array())
    for (const auto& tap : *list)
      if (tap.is_object() && !text_of(tap, "name").empty() && (!tap.contains("netns") || tap["netns"].is_string()))
        taps_.emplace(text_of(tap, "netns"), text_of(tap, "name"));
}

Json State::read(const char* key) {
  const auto text = store_->get(key);
  if (!text) throw std::runtime_error(text.error());
  if (!*text) return Json::object();
  Json document = Json::parse(**text, nullptr, false);
  return document.is_object() ? document : Json::object();
}

void State::write(const char* key, const Json& document) {
  std::string text = document.dump();
  if (thread_ == nullptr) {
    if (const auto ok = store_->put(key, text); !ok) throw std::runtime_error(ok.error());
    return;
  }
  const bool queued = thread_->run([key = std::string(key), text = std::move(text)](dhcp::LeaseStore& store) {
    if (const auto ok = store.put(key, text); !ok) spdlog::error("state '{}' could not be kept: {}", key, ok.error());
  });
  if (!queued) spdlog::error("state '{}' could not be kept: the store's queue is full", key);
}

std::string State::network_uuid(const std::string& network) {
  Json& uuid = table_of(identities_, "uuid")[network];
  if (!uuid.is_string() || uuid.get<std::string>().size() != 36) {
    uuid = make_uuid();
    write(kIdentities, identities_);
  }
  return uuid.get<std::string>();
}

wire::MacAddress State::mac(const std::string& owner) {
  Json& kept = table_of(identities_, "mac")[owner];
  if (kept.is_string())
    if (const auto mac = wire::MacAddress::parse(kept.get<std::string>());
        mac && !mac->is_multicast() && !mac->is_zero())
      return *mac;
  const auto mac = make_mac();
  kept = mac.to_string();
  write(kIdentities, identities_);
  return mac;
}

void State::write_taps() {
  Json taps = Json::array();
  for (const auto& [netns, name] : taps_) taps.push_back({{"netns", netns}, {"name", name}});
  write(kTaps, {{"taps", taps}});
}

bool State::add_tap(const TapPlace& tap) {
  if (!taps_.insert(tap).second) return false;
  write_taps();
  return true;
}

void State::remove_tap(const TapPlace& tap) {
  if (taps_.erase(tap) != 0) write_taps();
}

void State::add_port(const std::string& name, const Json& arguments) {
  ports_[name] = arguments;
  write(kPorts, ports_);
}

void State::remove_port(const std::string& name) {
  if (ports_.erase(name) != 0) write(kPorts, ports_);
}

}  // namespace weft::vswitch
