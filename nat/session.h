// SPDX-License-Identifier: BSD-3-Clause
//
// What the connection table holds: sessions (one guest endpoint talking to one remote endpoint) and the
// mappings they share (RFC 4787 §4.1: one guest endpoint ↔ one outside endpoint, whoever it talks to). Owned
// by one worker.
#pragma once

#include "dataplane/packet.h"
#include "nat/flow_key.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace weft::nat {

/// Stable number of an uplink, given by the caller.
using UplinkId = uint16_t;

/// The table's clock: whole seconds of the worker's monotonic time; differences survive its wrapping.
using Tick = uint32_t;
constexpr Tick tick_of(uint64_t now_ms) noexcept { return static_cast<Tick>(now_ms / 1000); }

/// What a session is doing; its idle timeout hangs on nothing else.
enum class State : uint8_t {
  free,  // the record is not in use
  udp,
  icmp_query,
  tcp_picked_up,     // a guest's segment without a connection we know, e.g. after a restart; unanswered so far
  tcp_syn_sent,      // SYN from one or both sides, nothing acknowledged
  tcp_syn_received,  // SYN from inside answered by SYN ACK
  tcp_established,
  tcp_fin_wait,   // FIN from one side: the other may go on sending for hours
  tcp_closing,    // FIN from both
  tcp_time_wait,  // and the last one acknowledged
  tcp_reset,      // RST seen; another segment takes back what was established (RFC 6146 §3.5.2.2)
  count_
};
inline constexpr size_t kStates = static_cast<size_t>(State::count_);

inline constexpr std::array<std::string_view, kStates> kStateNames{
    "free",        "udp",      "icmp",    "picked-up", "syn-sent", "syn-received",
    "established", "fin-wait", "closing", "time-wait", "reset"};
[[nodiscard]] constexpr std::string_view state_name(State s) noexcept { return kStateNames[static_cast<size_t>(s)]; }

/// Seconds without a packet after which a session ends.
struct Timeouts {
  uint16_t udp = 300;               // RFC 4787 REQ-5: default of 5 minutes or more
  uint16_t icmp_query = 60;         // RFC 5508 REQ-2: 60 s or more
  uint16_t tcp_transitory = 240;    // RFC 5382 REQ-5: opening and closing, 4 minutes or more
  uint16_t tcp_established = 7440;  // RFC 5382 REQ-5: 2 hours 4 minutes or more

  [[nodiscard]] constexpr std::array<uint16_t, kStates> by_state() const noexcept {
    return {0,
            udp,
            icmp_query,
            tcp_transitory,
            tcp_transitory,
            tcp_transitory,
            tcp_established,
            tcp_established,
            tcp_transitory,
            tcp_transitory,
            tcp_transitory};
  }
};

inline constexpr uint32_t kNone = 0xffffffff;  // no session, no mapping

/// One connection; one cache line, which is all a packet of a known connection touches beside its index
/// bucket.
struct alignas(64) Session {
  // flags of TCP: FIN seen from inside, from outside; it has been established
  static constexpr uint8_t kFinOut = 1, kFinIn = 2, kEstablished = 4;

  FlowKey inside;
  FlowKey outside;
  uint16_t address_delta;  // outward change of a checksum that covers the local address (wire::ChecksumDelta)
  uint16_t l4_delta;       // … of the transport checksum; the inward change is the complement
  uint32_t mapping;        // free record: the next free one
  uint64_t bytes;          // of IP, both ways
  uint32_t packets_out;
  uint32_t packets_in;
  Tick last_seen;
  uint16_t epoch;  // of its network and uplink when it was made; another now: it is flushed
  State state;
  uint8_t flags;
};
static_assert(sizeof(Session) == 64);

/// One guest endpoint and the outside endpoint all its sessions over one uplink use. Lives while it has
/// sessions.
struct Mapping {
  wire::Ipv4Address inside_address;
  wire::Ipv4Address outside_address;
  wire::be16 inside_port;
  wire::be16 outside_port;
  dataplane::NetworkId network;
  UplinkId uplink;
  uint32_t n_sessions;
  uint32_t next_free;
  uint16_t epoch;
  uint16_t address_slot;  // the port pool's
  uint8_t protocol;
  bool is_retired;  // flushed: out of the index and without a port, but sessions not yet swept still point
                    // here
  uint16_t unused;

  [[nodiscard]] FlowKey inside_key() const noexcept {
    return {inside_address, {}, inside_port, wire::be16(uplink), protocol, Side::inside, network};
  }
  [[nodiscard]] FlowKey outside_key() const noexcept {
    return {outside_address, {}, outside_port, {}, protocol, Side::outside, uplink};
  }
};
static_assert(sizeof(Mapping) == 32);

/// One line of `weft conntrack`.
struct ConnectionInfo {
  dataplane::NetworkId network;
  UplinkId uplink;
  uint8_t protocol;
  State state;
  wire::Ipv4Address source;  // the guest
  wire::Ipv4Address destination;
  wire::Ipv4Address nat_address;
  uint16_t source_port;       // ICMP: the identifier
  uint16_t destination_port;  // ICMP: 0
  uint16_t nat_port;
  uint32_t expires_s;  // seconds until it ends if nothing more comes
  uint64_t packets;    // both ways
  uint64_t bytes;      // of IP, both ways
};

}  // namespace weft::nat
