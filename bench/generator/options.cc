// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/options.h"

#include "bench/generator/frames.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <sstream>
#include <string_view>
#include <utility>

#include <boost/program_options.hpp>
#include <fmt/format.h>

namespace weft::bench {
namespace {

namespace po = boost::program_options;

constexpr std::array<std::pair<std::string_view, Mode>, 6> kModes{{{"throughput", Mode::throughput},
                                                                   {"latency", Mode::latency},
                                                                   {"search", Mode::search},
                                                                   {"nat", Mode::nat},
                                                                   {"wake", Mode::wake},
                                                                   {"hold", Mode::hold}}};

constexpr const char* kIntroduction =
    R"(Usage: weft bench [MODE] --socket PATH --socket PATH [OPTION…]

Plays guests on the vhost-user sockets of any switch and measures what becomes of their frames. A guest costs next to
nothing here: its frames are laid out once, to send is to move an index, to receive is to read one. What is measured is
the switch, and when it was not, the report says so.

Modes:
  throughput   each guest sends to the next, as fast as its frames are taken, or at --pps (the default)
  latency      one-way latency of each frame, at --pps (100 000 if not given)
  search       the highest rate that loses no more than --loss (RFC 2544)
  nat          the first guest sends flows out through the switch, the second, on an uplink, turns each frame round;
               what comes back inside is counted. --new-sessions: every frame is a flow of its own
  wake         one frame after a pause, by kick and interrupt, beside the ping-pong of two eventfds
  hold         connects, says `ready`, and sends nothing until the time is over
)";

constexpr const char* kEpilogue = R"(
Sizes count the frame check sequence, as on a wire: 64 is the smallest. `starved` is the share of looks at the send ring
that found it full: near 1 the switch is the limit, near 0 the generator.

Exit codes: 0 done, 1 the measurement failed, 2 wrong usage, 3 nobody at the socket.

  weft bench --socket /run/weft/a.sock --socket /run/weft/b.sock --cpu 0
  weft bench latency --socket a --socket b --pps 100000 --one-way --json
  weft bench search --socket a --socket b --size 512 --loss 0.001
)";

/// Given and parsed by hand: addresses have no stream operators.
struct Raw {
  std::string mode = "throughput", inside, gateway, remote, gateway_mac;
  unsigned n_guests = 0;
  unsigned size = 0;
};

po::options_description connection_options(Options& o, Raw& raw) {
  po::options_description d("Guests");
  d.add_options()                                                                                                 //
      ("socket", po::value(&o.sockets)->value_name("PATH"), "a guest's vhost-user socket; once a guest")          //
      ("guests", po::value(&raw.n_guests)->value_name("N"), "with one --socket that holds %d: sockets 0 to N-1")  //
      ("server", po::bool_switch(&o.listens), "listen on the sockets, the switch connects")                       //
      ("wait", po::value(&o.wait_s)->value_name("SECONDS"),
       "for the switch to connect, and for the first frame; 20 if not given")                //
      ("ring", po::value(&o.ring)->value_name("ENTRIES"), "of each ring; 256 if not given")  //
      ("packed", po::bool_switch(&o.is_packed), "packed rings instead of split ones")(
          "in-order", po::bool_switch(&o.is_in_order), "negotiate IN_ORDER")  //
      ("cpu", po::value<int>()->value_name("N"), "run there")                 //
      ("switch-cpu", po::value<int>()->value_name("N"), "wake: where the other end of the ping-pong runs");
  return d;
}

po::options_description traffic_options(Options& o, Raw& raw) {
  po::options_description d("Traffic");
  d.add_options()                                                                                                   //
      ("size", po::value(&raw.size)->value_name("BYTES"), "64 to 9018; 64 if not given")                            //
      ("tso", po::bool_switch(&o.is_segmented), "TCP segments to be cut, up to 65535; 32768 if no size given")      //
      ("flows", po::value(&o.n_flows)->value_name("N"), "UDP flows of each guest, 1 to 1048576; 256 if not given")  //
      ("macs", po::value(&o.n_macs)->value_name("N"), "MAC addresses of each guest, 1 to 1048576")                  //
      ("one-way", po::bool_switch(&o.is_one_way), "only the first guest sends")                                     //
      ("rewrite", po::bool_switch(&o.rewrites), "write every frame anew, as a real guest does")                     //
      ("check", po::bool_switch(&o.checks), "number every frame; count loss and reordering within each flow")       //
      ("pps", po::value(&o.pps)->value_name("RATE"), "frames a second of each guest")                               //
      ("burst", po::value(&o.burst)->value_name("N"),
       "frames given to the switch at a time, 1 to 256; 32 if not given")  //
      ("window", po::value(&o.window)->value_name("N"),
       "frames the switch holds of a guest at most; the ring if not given");
  return d;
}

po::options_description measurement_options(Options& o, Raw& raw) {
  po::options_description d("Measurement");
  d.add_options()                                                                                                   //
      ("seconds", po::value(&o.seconds)->value_name("S"), "to measure; of each trial of a search; 5 if not given")  //
      ("warm-up", po::value(&o.warm_up)->value_name("S"), "before that; 1 if not given")                            //
      ("loss", po::value(&o.loss)->value_name("SHARE"), "search: that may be lost; 0 if not given")                 //
      ("resolution", po::value(&o.resolution)->value_name("SHARE"), "search: of the answer; 0.01 if not given")     //
      ("gap", po::value(&o.gap_ms)->value_name("MS"), "wake: mean pause; 2 if not given")                           //
      ("new-sessions", po::bool_switch(&o.is_new_sessions), "nat: no flow comes twice")                             //
      ("inside", po::value(&raw.inside)->value_name("ADDRESS"), "nat: the first guest's; 192.168.122.10")           //
      ("gateway", po::value(&raw.gateway)->value_name("ADDRESS"), "nat: its router's; 192.168.122.1")               //
      ("gateway-mac", po::value(&raw.gateway_mac)->value_name("MAC"),
       "nat: the router's; asked for by ARP if not given")                                              //
      ("remote", po::value(&raw.remote)->value_name("ADDRESS"), "nat: where the flows go; 198.19.0.1")  //
      ("json", po::bool_switch(&o.is_json), "print one JSON document instead of text")                  //
      ("version", "print the version and exit")("help,h", "print this and exit");
  return d;
}

[[noreturn]] void refuse(const std::string& what) { throw Failure(kExitUsage, what); }

template <class T>
void check_range(const char* option, T value, T least, T most) {
  if (!(value >= least && value <= most)) refuse(fmt::format("--{}: {} to {}, not {}", option, least, most, value));
}

void read_address(const char* option, const std::string& given, wire::Ipv4Address& into) {
  if (given.empty()) return;
  const auto address = wire::Ipv4Address::parse(given);
  if (!address) refuse(fmt::format("--{}: an IPv4 address is needed, not '{}'", option, given));
  into = *address;
}

/// One path for each guest.
void expand_sockets(Options& o, unsigned n_guests) {
  if (n_guests != 0) {
    check_range("guests", n_guests, 1u, 4096u);
    const size_t at = o.sockets.size() == 1 ? o.sockets[0].find("%d") : std::string::npos;
    if (at == std::string::npos) refuse("--guests needs one --socket with %d in it");
    const std::string pattern = o.sockets[0];
    o.sockets.clear();
    for (unsigned i = 0; i < n_guests; ++i)
      o.sockets.push_back(pattern.substr(0, at) + std::to_string(i) + pattern.substr(at + 2));
  }
  const size_t least = o.mode == Mode::hold ? 1 : 2;
  const bool is_pair = o.mode == Mode::nat || o.mode == Mode::wake;
  if (o.sockets.size() < least || (is_pair && o.sockets.size() != 2))
    refuse(fmt::format("--socket: {} needs {} of them, not {}", mode_name(o.mode),
                       is_pair ? "two" : (least == 1 ? "at least one" : "at least two"), o.sockets.size()));
  if (o.mode != Mode::hold && o.sockets.size() > 250) refuse("--guests: at most 250 that send");
}

void check_traffic(const Options& o) {
  check_range("size", o.size, kSmallest, o.is_segmented ? kLargestSegmented : kLargest);
  check_range("flows", o.flows(), 1u, kMostFlows);
  check_range("macs", o.n_macs, 1u, kMostMacs);
  if (o.is_segmented && o.flows() > kPortsPerHost) refuse(fmt::format("--tso: at most {} flows", kPortsPerHost));
  if (o.is_segmented && o.size < 128) refuse("--tso: a segment is at least 128 bytes");
  if (o.is_segmented && o.checks) refuse("--tso: frames that are cut cannot be numbered");
  if (o.n_macs > o.flows()) refuse("--macs: at most as many as --flows");
  check_range("ring", o.ring, 2u, 32768u);
  if (!o.is_packed && !std::has_single_bit(o.ring)) refuse("--ring: a power of two, unless --packed");
  check_range("burst", o.burst, 1u, 256u);
  check_range("window", o.window, 0u, o.ring);
  if (o.mode == Mode::nat && (o.is_segmented || o.n_macs > 1)) refuse("nat: neither --tso nor --macs");
  if (o.is_new_sessions && o.mode != Mode::nat) refuse("--new-sessions belongs to nat");
  if (o.is_new_sessions && o.checks) refuse("--check: sessions of one frame have no order");
  if (o.is_packed && o.mode == Mode::wake) refuse("wake: not with --packed");
}

void check_numbers(const Options& o) {
  check_range("seconds", o.seconds, 0.01, 86400.0);
  check_range("warm-up", o.warm_up, 0.0, 3600.0);
  check_range("wait", o.wait_s, 0.0, 3600.0);
  check_range("pps", o.pps, 0.0, 1e9);
  check_range("loss", o.loss, 0.0, 0.5);
  check_range("resolution", o.resolution, 0.0001, 0.5);
  check_range("gap", o.gap_ms, 0.1, 1000.0);
}

}  // namespace

const char* mode_name(Mode mode) noexcept {
  const auto* found = std::find_if(kModes.begin(), kModes.end(), [mode](const auto& m) { return m.second == mode; });
  return found == kModes.end() ? "" : found->first.data();
}

uint32_t Options::flows() const noexcept { return n_flows != 0 ? n_flows : std::max(n_macs, 256u); }

std::optional<Options> parse_options(const std::vector<std::string>& arguments) try {
  Options o;
  Raw raw;
  po::options_description shown;
  shown.add(connection_options(o, raw)).add(traffic_options(o, raw)).add(measurement_options(o, raw));
  po::options_description all;
  all.add(shown).add_options()("mode", po::value(&raw.mode));
  po::positional_options_description positional;
  positional.add("mode", 1);
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map given;
  po::store(po::command_line_parser(arguments).options(all).positional(positional).style(style).run(), given);
  po::notify(given);
  if (given.contains("help")) {
    const std::string text = (std::ostringstream() << kIntroduction << shown << kEpilogue).str();
    std::fputs(text.c_str(), stdout);
    return std::nullopt;
  }
  if (given.contains("version")) {
    std::puts("weft-bench " WEFT_VERSION);
    return std::nullopt;
  }
  const auto* mode = std::find_if(kModes.begin(), kModes.end(), [&](const auto& m) { return m.first == raw.mode; });
  if (mode == kModes.end())
    refuse(fmt::format("'{}' is no mode: throughput, latency, search, nat, wake or hold", raw.mode));
  o.mode = mode->second;
  o.size = raw.size != 0 ? raw.size : (o.is_segmented ? 32768 : 64);
  if (given.contains("cpu")) o.cpu = given["cpu"].as<int>();
  if (given.contains("switch-cpu")) o.switch_cpu = given["switch-cpu"].as<int>();
  read_address("inside", raw.inside, o.inside);
  read_address("gateway", raw.gateway, o.gateway);
  read_address("remote", raw.remote, o.remote);
  if (!raw.gateway_mac.empty()) {
    o.gateway_mac = wire::MacAddress::parse(raw.gateway_mac);
    if (!o.gateway_mac) refuse(fmt::format("--gateway-mac: '{}' is no MAC address", raw.gateway_mac));
  }
  if (o.mode == Mode::latency) {
    o.checks = true;
    if (o.pps == 0) o.pps = 100'000;
  }
  expand_sockets(o, raw.n_guests);
  check_traffic(o);
  check_numbers(o);
  return o;
} catch (const po::error& e) {
  throw Failure(kExitUsage, e.what());
}

}  // namespace weft::bench
