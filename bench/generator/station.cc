// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/station.h"

#include "bench/generator/tsc.h"

#include <numeric>

namespace weft::bench {

namespace {

/// The headers that a slot may have lost to an ARP answer or a reflected frame, with the virtio-net header.
constexpr size_t kHead = Lane::kHeader + sizeof(ArpFrame);
constexpr uint16_t kSegment = 1448;  // payload of a TCP segment on an Ethernet of 1500 bytes, with timestamps

}  // namespace

std::vector<uint32_t> scattered(uint32_t n) {
  // A step near the golden section of n that has no factor in common with it meets every number once.
  auto step = static_cast<uint32_t>(static_cast<double>(n) * 0.618);
  while (std::gcd(step, n) != 1) ++step;
  std::vector<uint32_t> order(n);
  for (uint64_t i = 0; i < n; ++i) order[i] = static_cast<uint32_t>(i * step % n);
  return order;
}

Station::Station(NullGuest& guest, const Load& load, Limits limits)
    : lane_(guest, limits.is_in_order), load_(load), limits_(limits), base_(load.ends) {
  if (limits_.window == 0) limits_.window = lane_.n_slots();
  const auto frame = load.is_segmented ? make_tcp_frame(load.ends, load.size) : make_udp_frame(load.ends, load.size);
  const bool is_patched = load.n_flows > lane_.n_slots() || load.is_new_sessions;
  n_laid_out_ = is_patched ? 1 : load.n_flows;
  std::vector<std::vector<uint8_t>> frames(n_laid_out_, frame);
  for (uint32_t f = 0; f < n_laid_out_; ++f) {
    const Patch patch = patch_of(f, load.n_macs);
    apply_flow(patch, base_, frames[f].data());
    if (load.n_macs > 1) apply_macs(patch, frames[f].data());
  }
  guest.lay_out(frames);
  lane_.set_send_size(static_cast<uint32_t>(Lane::kHeader + frame.size()));
  const auto header = load.is_segmented ? segmentation_header(kSegment) : dataplane::VirtioNetHeaderV1{};
  for (const auto& f : frames) {
    images_.emplace_back(Lane::kHeader);
    std::memcpy(images_.back().data(), &header, Lane::kHeader);
    images_.back().insert(images_.back().end(), f.begin(), f.end());
  }
  for (uint16_t s = 0; s < lane_.n_slots(); ++s) {
    std::memcpy(lane_.memory(s), &header, Lane::kHeader);
    image_of_.push_back(static_cast<uint16_t>(s % n_laid_out_));
  }
  if (is_patched && !load.is_new_sessions)
    for (const uint32_t flow : scattered(load.n_flows)) order_.push_back(patch_of(flow, load.n_macs));
  numbers_.resize(n_flows());
  choose();
}

void Station::choose() noexcept {
  const bool patches = !order_.empty() || load_.is_new_sessions;
  // Answers destroy a slot's headers, patches need an image to be written over.
  const bool rewrites = load_.rewrites || is_answering_;
  if (rewrites)
    write_ = patches ? (load_.stamps ? &Station::write<true, true, true> : &Station::write<true, true, false>)
                     : (load_.stamps ? &Station::write<true, false, true> : &Station::write<true, false, false>);
  else
    write_ = patches ? (load_.stamps ? &Station::write<false, true, true> : &Station::write<false, true, false>)
                     : (load_.stamps ? &Station::write<false, false, true> : &Station::write<false, false, false>);
  if (load_.stamps)
    receive_ = is_answering_ ? &Station::take<true, true> : &Station::take<true, false>;
  else
    receive_ = is_answering_ ? &Station::take<false, true> : &Station::take<false, false>;
}

void Station::answer_arp(wire::MacAddress mac) {
  own_mac_ = mac;
  is_answering_ = true;
  answers_.reserve(lane_.n_slots());
  choose();
}

void Station::aim(wire::MacAddress mac) {
  load_.ends.destination_mac = mac;
  for (auto& image : images_) std::memcpy(image.data() + Lane::kHeader, &mac, sizeof mac);
  for (uint16_t s = 0; s < lane_.n_slots(); ++s) std::memcpy(lane_.memory(s) + Lane::kHeader, &mac, sizeof mac);
}

Patch Station::next_patch(uint32_t& flow) noexcept {
  if (load_.is_new_sessions) return session_patch(session_++);
  flow = static_cast<uint32_t>(at_);
  if (++at_ == order_.size()) at_ = 0;
  return order_[flow];
}

template <bool kRewrites, bool kPatches, bool kStamps>
void Station::write(uint16_t n) noexcept {
  if constexpr (kRewrites || kPatches || kStamps) {
    // Locals: a store into a frame could alias any field, as far as the compiler knows.
    uint8_t* const* memories = lane_.memories();
    const std::vector<uint8_t>* images = images_.data();
    const uint16_t* image_of = image_of_.data();
    const size_t n_copied = load_.rewrites ? images->size() : kHead;
    const bool patches_macs = load_.n_macs > 1;
    const PatchBase base = base_;
    const uint16_t n_slots = lane_.n_slots();
    uint16_t slot = lane_.slot(0);
    for (uint16_t i = 0; i < n; ++i) {
      uint8_t* memory = memories[slot];
      uint32_t flow = image_of[slot];
      if (++slot == n_slots) slot = 0;
      if constexpr (kRewrites) std::memcpy(memory, images[flow].data(), n_copied);
      uint8_t* frame = memory + Lane::kHeader;
      if constexpr (kPatches) {
        const Patch patch = next_patch(flow);
        apply_flow(patch, base, frame);
        if (patches_macs) apply_macs(patch, frame);
      }
      if constexpr (kStamps) {
        const Stamp stamp{flow, numbers_[flow]++, ticks()};
        std::memcpy(frame + Stamp::kOffset, &stamp, sizeof stamp);
      }
    }
  }
  lane_.publish(n);
}

void Station::send(uint64_t now) noexcept {
  uint16_t room = lane_.room();
  if (!answers_.empty() && room != 0) {
    say(answers_.back());
    answers_.pop_back();
    --room;
  }
  const auto held = static_cast<uint16_t>(lane_.n_slots() - room);
  const uint16_t open = held < limits_.window ? static_cast<uint16_t>(limits_.window - held) : uint16_t{0};
  ++counts_.polls;
  if (open == 0) ++counts_.starved;
  uint16_t n = std::min(open, limits_.burst);
  if (pacer_.is_paced()) {
    n = static_cast<uint16_t>(std::min<uint32_t>(pacer_.due(now, open != 0), n));
    pacer_.sent(n);
  }
  if (n == 0) return;
  (this->*write_)(n);
  counts_.sent += n;
}

void Station::check(const uint8_t* frame) noexcept {
  Stamp stamp;
  std::memcpy(&stamp, frame + Stamp::kOffset, sizeof stamp);
  if (stamp.flow >= trackers_.size()) return;
  trackers_[stamp.flow].see(stamp.number, sequence_);
  latency_.record(ticks() - stamp.ticks);
}

/// Answers what is no traffic, or counts it.
template <bool kChecks, bool kAnswers>
uint64_t Station::take() noexcept {
  uint64_t other = 0;
  const uint16_t n = lane_.receive(limits_.burst, [&](const uint8_t* frame, uint32_t size) {
    if constexpr (kChecks || kAnswers) {
      if (size < sizeof(ArpFrame) - 18 || !is_traffic(frame)) {
        ++other;
        if (kAnswers && answers_.size() < lane_.n_slots())
          if (const auto reply = make_arp_reply({frame, size}, own_mac_)) answers_.push_back(*reply);
        return;
      }
      if constexpr (kChecks) check(frame);
    }
  });
  counts_.received += n - other;
  return other;
}

bool Station::say(const ArpFrame& frame) noexcept {
  if (lane_.room() == 0) return false;
  uint8_t* memory = lane_.memory(lane_.slot(0));
  std::memset(memory, 0, Lane::kHeader);
  std::memcpy(memory + Lane::kHeader, frame.data(), frame.size());
  lane_.publish(1);
  return true;
}

void Station::reflect() noexcept {
  const uint16_t room = lane_.room();
  ++counts_.polls;
  if (room == 0) ++counts_.starved;
  uint16_t n = 0;
  lane_.receive(std::min(room, limits_.burst), [&](const uint8_t* frame, uint32_t size) {
    uint8_t* to = lane_.memory(lane_.slot(n)) + Lane::kHeader;
    if (size >= sizeof(ArpFrame) && is_traffic(frame)) {
      std::memcpy(to, frame, sizeof(ArpFrame));
      turn_round(to);
      ++counts_.received;
      ++n;
    } else if (const auto reply = make_arp_reply({frame, size}, own_mac_)) {
      std::memcpy(to, reply->data(), reply->size());
      ++n;
    } else {
      ++counts_.other;
    }
  });
  if (n == 0) return;
  lane_.publish(n);
  counts_.sent += n;
}

const StationCounts& Station::counts() noexcept { return counts_; }

void Station::forget() noexcept {
  latency_.clear();
  sequence_ = {};
}

}  // namespace weft::bench
