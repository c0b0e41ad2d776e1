// SPDX-License-Identifier: BSD-3-Clause
//
// Two null guests on two vhost-user sockets of any switch, sending to each other as fast as it takes their frames.
// Prints one JSON line: frames a second received by both, loss, and `starved`, the share of polls that found a send
// ring full: near 1 the switch is the limit, near 0 this program is.
//
//   null-guests --socket A --socket B [--server] [--size 64] [--flows 1024] [--seconds 5] [--warm-up 1]
//               [--rewrite] [--one-way] [--cpu N] [--ring 256] [--macs 1]
#include "bench/null_guest.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/headers.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include <boost/program_options.hpp>
#include <fmt/format.h>

#include <sched.h>

namespace {

namespace options = boost::program_options;
namespace wire = weft::wire;
using weft::bench::NullGuest;
using weft::bench::NullGuestOptions;
using Clock = std::chrono::steady_clock;

wire::MacAddress mac_of(unsigned guest, unsigned index) {
  return wire::MacAddress::from_u64(0x020000000000u | uint64_t{guest} << 32 | index);
}

/// UDP over IPv4 from `guest` to the other, flow `index`; `size` as it is counted on a wire, without the checksum.
std::vector<uint8_t> make_frame(unsigned guest, unsigned index, size_t size, unsigned n_macs) {
  std::vector<uint8_t> frame(std::max<size_t>(size, 64) - 4);
  auto* ethernet = reinterpret_cast<wire::EthernetHeader*>(frame.data());
  *ethernet = {mac_of(1 - guest, index % n_macs), mac_of(guest, index % n_macs), wire::be16(wire::ethertype::kIpv4)};
  auto* ip = reinterpret_cast<wire::Ipv4Header*>(frame.data() + sizeof *ethernet);
  *ip = {};
  const size_t ip_size = frame.size() - sizeof *ethernet;
  ip->version_ihl = 0x45;
  ip->total_length = wire::be16(static_cast<uint16_t>(ip_size));
  ip->ttl = 64;
  ip->protocol = wire::ipproto::kUdp;
  ip->source = wire::Ipv4Address(198, 18, static_cast<uint8_t>(guest), 1);
  ip->destination = wire::Ipv4Address(198, 18, static_cast<uint8_t>(1 - guest), 1);
  ip->checksum = wire::be16::from_raw(wire::checksum(ip, sizeof *ip));
  auto* udp = reinterpret_cast<wire::UdpHeader*>(ip + 1);
  *udp = {wire::be16(static_cast<uint16_t>(1024 + index)), wire::be16(4000),
          wire::be16(static_cast<uint16_t>(ip_size - sizeof *ip)), wire::be16(0)};
  return frame;
}

struct Sample {
  uint64_t sent = 0, received = 0, polls = 0, starved = 0;
  explicit Sample(const std::vector<std::unique_ptr<NullGuest>>& guests) {
    for (const auto& g : guests) {
      sent += g->counters().sent;
      received += g->counters().received;
      polls += g->counters().polls;
      starved += g->counters().starved;
    }
  }
};

void run_for(std::vector<std::unique_ptr<NullGuest>>& guests, double seconds, bool is_one_way) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    for (int i = 0; i < 1000; ++i) {
      guests[0]->poll(32);
      if (is_one_way)
        guests[1]->poll_receive(32);
      else
        guests[1]->poll(32);
    }
  }
}

int run(const options::variables_map& o) {
  if (o.count("cpu") != 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(o["cpu"].as<int>()), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity");
  }
  const auto sockets = o["socket"].as<std::vector<std::string>>();
  if (sockets.size() != 2) throw std::invalid_argument("--socket: two are needed");
  const auto size = o["size"].as<unsigned>();
  const bool is_one_way = o.count("one-way") != 0;
  std::vector<std::unique_ptr<NullGuest>> guests;
  for (unsigned g = 0; g < 2; ++g) {
    NullGuestOptions go;
    go.path = sockets[g];
    go.listens = o.count("server") != 0;
    go.ring_size = static_cast<uint16_t>(o["ring"].as<unsigned>());
    go.wants_calls = go.can_kick = false;
    go.send_buffer = go.receive_buffer = size <= 1600 ? 2048 : size + 64;
    // What any switch offers.
    go.features = uint64_t{1} << weft::dataplane::vhost::feature::kVersion1 |
                  uint64_t{1} << weft::dataplane::vhost::feature::kMrgRxbuf |
                  uint64_t{1} << weft::dataplane::vhost::feature::kProtocolFeatures;
    guests.push_back(std::make_unique<NullGuest>(go));
    std::vector<std::vector<uint8_t>> frames;
    for (unsigned i = 0; i < o["flows"].as<unsigned>(); ++i)
      frames.push_back(make_frame(g, i, size, o["macs"].as<unsigned>()));
    guests.back()->lay_out(frames);
    guests.back()->set_rewriting(o.count("rewrite") != 0);
  }
  for (auto& g : guests) g->connect(20000);
  for (auto& g : guests) g->handshake();

  run_for(guests, o["warm-up"].as<double>(), is_one_way);
  const Sample before(guests);
  const auto start = Clock::now();
  run_for(guests, o["seconds"].as<double>(), is_one_way);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const Sample after(guests);
  const auto sent = static_cast<double>(after.sent - before.sent);
  const auto received = static_cast<double>(after.received - before.received);
  fmt::print("{{\"size\":{},\"mpps\":{:.3f},\"gbps\":{:.2f},\"loss\":{:.5f},\"starved\":{:.3f},\"seconds\":{:.2f}}}\n",
             size, received / seconds / 1e6, received * size * 8 / seconds / 1e9,
             sent > 0 ? std::max(0.0, 1 - received / sent) : 0.0,
             static_cast<double>(after.starved - before.starved) / static_cast<double>(after.polls - before.polls),
             seconds);
  return received > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  options::options_description description("null-guests: two costless guests on two vhost-user sockets");
  description.add_options()("socket", options::value<std::vector<std::string>>(), "vhost-user socket; twice")(
      "server", "listen on the sockets instead of connecting")("size", options::value<unsigned>()->default_value(64),
                                                               "frame size, with its checksum")(
      "flows", options::value<unsigned>()->default_value(256), "UDP flows; at most one a ring entry")(
      "macs", options::value<unsigned>()->default_value(1), "MAC addresses a guest")(
      "seconds", options::value<double>()->default_value(5))("warm-up", options::value<double>()->default_value(1))(
      "rewrite", "write every frame anew")("one-way", "only the first guest sends")(
      "cpu", options::value<int>(), "run there")("ring", options::value<unsigned>()->default_value(256),
                                                 "ring entries")("help", "this text");
  try {
    options::variables_map o;
    options::store(options::parse_command_line(argc, argv, description), o);
    if (o.count("help") != 0 || o.count("socket") == 0) {
      std::string text = (std::ostringstream() << description).str();
      std::fputs(text.c_str(), stdout);
      return o.count("help") != 0 ? 0 : 2;
    }
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "null-guests: %s\n", e.what());
    return 1;
  }
}
