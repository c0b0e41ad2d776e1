// SPDX-License-Identifier: BSD-3-Clause
#include "tests/stage/stations.h"

#include "tests/stage/test_switch.h"

#include <stdexcept>

#include <stdlib.h>
#include <unistd.h>

namespace weft::vswitch::test {

using dataplane::Checksum;
using dataplane::Gso;
using dataplane::Offload;
using dataplane::Packet;

namespace {

/// What a receiver without virtio-net headers of its own would have found there.
VirtioNetHeader header_of(const Offload& o) {
  VirtioNetHeader h;
  if (o.checksum != Checksum::partial) return h;
  h.flags = VirtioNetHeader::kNeedsCsum;
  h.csum_start = o.csum_start;
  h.csum_offset = o.csum_offset;
  if (o.gso == Gso::none) return h;
  h.gso_type = o.gso == Gso::tcp4 ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
  if (o.gso_ecn != 0) h.gso_type |= VirtioNetHeader::kGsoEcn;
  h.gso_size = o.gso_size;
  return h;
}

std::vector<Handed> take_all(dataplane::test::RawPeer& peer) {
  std::vector<Handed> frames;
  while (auto bytes = peer.receive(0)) frames.push_back({std::move(*bytes), peer.last_header()});
  return frames;
}

uint64_t features_for(OffloadSet takes) {
  namespace f = dataplane::vhost::feature;
  const auto bit = [](unsigned n) { return uint64_t{1} << n; };
  uint64_t features = bench::linux_guest_features();
  if (!takes.checksum) features &= ~bit(f::kGuestCsum);
  if (!takes.tso4) features &= ~bit(f::kGuestTso4);
  if (!takes.tso6) features &= ~bit(f::kGuestTso6);
  if (!takes.ecn) features &= ~bit(f::kGuestEcn);
  return features;
}

}  // namespace

// --- memory ---------------------------------------------------------------------------------------------------------

MemoryStation::MemoryStation(std::string name, OffloadSet takes)
    : Station(std::move(name), takes), port_({.takes = takes, .piece_size = 3001}) {}

void MemoryStation::send(const Handed& frame) {
  // As a port does it.
  Bytes bytes = frame.bytes;
  dataplane::Segment rest;
  Packet p = packet_over(bytes, rest);
  const bool is_taken = to_offload(frame.header, OffloadSet::kernel(), p);
  bytes.resize(p.size);
  port_.push({std::move(bytes), p.offload, is_taken ? dataplane::Drop::none : dataplane::Drop::rx_bad_offload});
}

std::vector<Handed> MemoryStation::take() {
  std::vector<Handed> frames;
  for (auto& f : port_.take_sent()) frames.push_back({std::move(f.bytes), header_of(f.offload)});
  return frames;
}

// --- tap, netdev ----------------------------------------------------------------------------------------------------

TapStation::TapStation(std::string name)
    : Station(name, OffloadSet::kernel()),
      port_({.name = name, .id = "port/" + name}),
      peer_(name, dataplane::test::RawPeer::VnetHeader::yes) {
  dataplane::test::wait_until_sending(name);
}

std::vector<Handed> TapStation::take() { return take_all(peer_); }

NetdevStation::NetdevStation(const std::string& name) : Station(name, OffloadSet::kernel()) {
  const std::string other = name + "p";
  netlink_.add_veth(name, other);
  for (const std::string& n : {name, other}) netlink_.set_up(netlink_.find(n).value().index);
  for (const std::string& n : {name, other}) dataplane::test::wait_until_sending(n);
  port_ = std::make_unique<dataplane::NetdevPort>(dataplane::NetdevOptions{.device = name});
  peer_ = std::make_unique<dataplane::test::RawPeer>(other, dataplane::test::RawPeer::VnetHeader::yes);
}

NetdevStation::~NetdevStation() {
  if (const auto link = netlink_.find(name())) netlink_.remove(link->index);
}

std::vector<Handed> NetdevStation::take() { return take_all(*peer_); }

// --- vhost-user -----------------------------------------------------------------------------------------------------

VhostControl::VhostControl() : work_(boost::asio::make_work_guard(io)) {
  char name[] = "/tmp/weft-stations-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("no directory for sockets");
  directory_ = name;
}

VhostControl::~VhostControl() {
  stop();
  rmdir(directory_.c_str());
}

void VhostControl::start() {
  io.restart();
  thread_ = std::thread([this] { io.run(); });
}

void VhostControl::stop() {
  if (!thread_.joinable()) return;
  io.stop();
  thread_.join();
}

VhostStation::VhostStation(const std::string& name, OffloadSet takes, VhostControl& control, Rings rings, Layout layout)
    : Station(name, takes),
      layout_(layout),
      path_(control.path(name)),
      port_(name, {.socket = {.path = path_}}, {}, control.io, control.rcu) {
  bench::NullGuestOptions options;
  options.path = path_;
  options.features = features_for(takes);
  options.is_packed = rings == Rings::packed;
  if (rings == Rings::unmerged) {
    options.features &= ~(uint64_t{1} << dataplane::vhost::feature::kMrgRxbuf);
    options.receive_chain = 17;
    options.receive_buffer = 17 * 4096;
    options.ring_size = 1024;  // room for the cuts of a whole TSO frame
  }
  guest_ = std::make_unique<bench::NullGuest>(std::move(options));
}

void VhostStation::shake_hands() {
  guest_->connect();
  guest_->handshake();
  if (!port_.is_up()) throw std::runtime_error(name() + " is not up after the handshake");
}

void VhostStation::send(const Handed& frame) {
  bench::NullGuest::SendOptions options;
  static_cast<VirtioNetHeader&>(options.header) = frame.header;
  switch (layout_ == Layout::varied ? n_sent_++ % 4 : 0) {
    case 1:
      options.pieces = {12, 14, 52, 150, 999};
      break;
    case 2:
      options.pieces = {5, 300, 1};
      options.is_indirect = true;
      break;
    case 3:
      options.pieces = {203, 7, 7, 7};
      break;
    default:
      break;  // as large as buffers are
  }
  if (!guest_->send(frame.bytes, options)) throw std::runtime_error(name() + ": the send ring is full");
}

std::vector<Handed> VhostStation::take() {
  std::vector<Handed> frames;
  for (auto& r : guest_->receive()) frames.push_back({std::move(r.frame), r.header});
  return frames;
}

}  // namespace weft::vswitch::test
