// SPDX-License-Identifier: BSD-3-Clause
//
// Masquerade: many guests behind a few outside addresses (NAPT, RFC 3022). Endpoint-independent mapping,
// address- and port-dependent filtering (RFC 4787), TCP (RFC 5382), ICMP (RFC 5508).
//
// One object a worker; translate_*, tick, flush_* and snapshot are called by that worker only and never
// allocate, lock or make a system call. n_sessions may be asked by any thread; maintain() is the control
// thread's.
//
// A packet comes here parsed and validated: l3 is IPv4 with a right header; l4_offset, l4_protocol and
// offload are set. It is rewritten in its head; a payload is never touched. On a drop the packet is
// untouched, but for a checksum inside of what it encapsulates, which may have been finished.
#pragma once

#include "dataplane/packet.h"
#include "nat/conntrack.h"
#include "nat/packet_view.h"
#include "nat/port_pool.h"
#include "nat/random.h"
#include "nat/session.h"

#include <array>
#include <cstdint>
#include <span>

namespace weft::nat {

/// Where a packet from a guest is to leave, and as whom.
struct OutContext {
  dataplane::NetworkId network;
  UplinkId uplink;
  /// The addresses guests are seen with; a guest keeps to one of them (paired pooling, RFC 4787 REQ-2).
  /// Empty: the uplink's own.
  std::span<const wire::Ipv4Address> pool;
  wire::Ipv4Address uplink_address;
  /// Of TCP and UDP; ICMP identifiers may be any.
  PortRange ports;
};

struct InResult {
  dataplane::Drop drop;          // none: translated
  dataplane::NetworkId network;  // where it goes now, when translated
};

class Masquerade {
 public:
  struct Config {
    Conntrack::Config table;
    /// Secret of the port choice (RFC 6056); production: from getrandom().
    std::array<uint64_t, 2> random_key{};
  };
  /// Reserves address space, no memory. Throws std::bad_alloc.
  explicit Masquerade(const Config& config);

  // --- worker
  // -------------------------------------------------------------------------------------------------
  /// A packet from an inside network that is to leave by an uplink: its source becomes the outside endpoint.
  /// A TCP or UDP packet or ICMP query that belongs to no session makes one. Drops: nat_fragment,
  /// nat_protocol, nat_bad_icmp, nat_bad_state, nat_no_port, nat_table_full; route_no_uplink
  /// when the uplink has no address yet; ip_bad_l4 when there is no whole
  /// transport header; rx_bad_offload when the partial checksum's place is not the transport's.
  dataplane::Drop translate_out(dataplane::Packet& packet, const OutContext& context, uint64_t now_ms) noexcept;

  /// A packet that came in on an uplink for an address guests are seen with (the caller knows which those
  /// are): its destination becomes the guest's endpoint. Drops as above, and nat_no_mapping (nobody asked for
  /// it: if the address is also the switch's own, it may be for the switch) and nat_filtered.
  InResult translate_in(dataplane::Packet& packet, UplinkId uplink, uint64_t now_ms) noexcept;

  /// Bounded housekeeping (some microseconds): expiry, sweeping after a flush, index growth. Once a turn of
  /// the worker and at least once a second. True: there is more to do.
  bool tick(uint64_t now_ms) noexcept { return table_.tick(tick_of(now_ms)); }

  /// Every session and mapping of the network (the uplink) is void from now on; their memory comes back by
  /// and by.
  void flush_network(dataplane::NetworkId network) noexcept { table_.flush_network(network); }
  void flush_uplink(UplinkId uplink) noexcept { table_.flush_uplink(uplink); }

  /// Copies live sessions from `cursor` (0 at first) on into `into` and moves the cursor; returns how many.
  /// Looks at a bounded number of records, so it may return fewer than fit; the end is reached when the
  /// cursor is kNone. To be called in slices between bursts. Sessions made or ended meanwhile may or may not
  /// be seen.
  size_t snapshot(uint32_t& cursor, std::span<ConnectionInfo> into, uint64_t now_ms) const noexcept {
    return table_.snapshot(cursor, into, tick_of(now_ms));
  }

  // --- any thread
  // -----------------------------------------------------------------------------------------------
  [[nodiscard]] uint32_t n_sessions() const noexcept { return table_.n_sessions(); }
  /// Sessions of one network; those flushed but not yet swept are still counted.
  [[nodiscard]] uint32_t n_sessions(dataplane::NetworkId network) const noexcept { return table_.n_sessions(network); }

  // --- control
  // --------------------------------------------------------------------------------------------------
  /// Gives back memory that growth left behind. Now and then (a second).
  void maintain() noexcept { table_.maintain(); }

  [[nodiscard]] const Conntrack& table() const noexcept { return table_; }

 private:
  void follow(const PacketView& view, Side from, Session& session, Tick now) noexcept;
  dataplane::Drop open_session(const FlowKey& inside, State state, const OutContext& context, Tick now,
                               Session*& session) noexcept;
  dataplane::Drop error_out(dataplane::Packet& packet, const PacketView& view, const OutContext& context,
                            Tick now) noexcept;
  InResult error_in(dataplane::Packet& packet, const PacketView& view, UplinkId uplink, Tick now) noexcept;
  [[nodiscard]] wire::Ipv4Address paired_address(const FlowKey& inside, const OutContext& context) const noexcept;

  Conntrack table_;
  PortRandom random_;
};

}  // namespace weft::nat
