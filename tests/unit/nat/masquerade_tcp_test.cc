// SPDX-License-Identifier: BSD-3-Clause
//
// TCP through the masquerade, by RFC 5382's requirements.
#include "tests/unit/nat/frame.h"

namespace weft::nat::test {
namespace {

constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

class MasqueradeTcp : public testing::Test {
 protected:
  Drop guest(uint8_t flags) {
    Frame f = tcp(kGuest, 40000, kServer, 80, flags, flags == kAck ? "data" : "");
    const Drop d = b.out(f);
    if (d == Drop::none) {
      EXPECT_TRUE(checksums_are_right(f));
    }
    return d;
  }
  Drop server(uint8_t flags) {
    Frame f = tcp(kServer, 80, kOutside, 40000, flags, flags == kAck ? "data" : "");
    const Drop d = b.in(f);
    if (d == Drop::none) {
      EXPECT_TRUE(checksums_are_right(f));
    }
    return d;
  }
  void establish() {
    ASSERT_EQ(guest(kSyn), Drop::none);
    ASSERT_EQ(server(kSyn | kAck), Drop::none);
    ASSERT_EQ(guest(kAck), Drop::none);
    ASSERT_EQ(state(), "established");
  }
  std::string_view state() {
    const auto all = b.connections();
    return all.size() == 1 ? state_name(all[0].state) : all.empty() ? "none" : "several";
  }
  /// How many seconds without a packet it lives.
  uint32_t lifetime_s() { return b.connections().at(0).expires_s - 1; }

  Bench b;
};

TEST_F(MasqueradeTcp, a_connection_goes_through_bit_for_bit) {
  Frame syn = tcp(kGuest, 40000, kServer, 80, kSyn);
  ASSERT_EQ(b.out(syn), Drop::none);
  EXPECT_EQ(syn.bytes, tcp(kOutside, 40000, kServer, 80, kSyn).bytes);
  Frame answer = tcp(kServer, 80, kOutside, 40000, kSyn | kAck);
  ASSERT_EQ(b.in(answer), Drop::none);
  EXPECT_EQ(answer.bytes, tcp(kServer, 80, kGuest, 40000, kSyn | kAck).bytes);
}

TEST_F(MasqueradeTcp, Rfc5382Req5_established_lives_two_hours_four_minutes) {
  establish();
  EXPECT_GE(lifetime_s(), 7440U);
  b.wait_s(7440);
  b.settle();
  EXPECT_EQ(server(kAck), Drop::none);
  b.wait_s(7442);
  b.settle();
  EXPECT_EQ(server(kAck), Drop::nat_no_mapping);
}

TEST_F(MasqueradeTcp, Rfc5382Req5_opening_and_closing_live_four_minutes) {
  ASSERT_EQ(guest(kSyn), Drop::none);
  EXPECT_EQ(lifetime_s(), 240U);
  ASSERT_EQ(server(kSyn | kAck), Drop::none);
  EXPECT_EQ(lifetime_s(), 240U);
  ASSERT_EQ(guest(kAck), Drop::none);
  ASSERT_EQ(guest(kFin | kAck), Drop::none);
  EXPECT_EQ(state(), "fin-wait");
  EXPECT_EQ(lifetime_s(), 7440U) << "half-closed: the server may go on";
  ASSERT_EQ(server(kAck), Drop::none);
  EXPECT_EQ(state(), "fin-wait");
  ASSERT_EQ(server(kFin | kAck), Drop::none);
  EXPECT_EQ(state(), "closing");
  ASSERT_EQ(guest(kAck), Drop::none);
  EXPECT_EQ(state(), "time-wait");
  EXPECT_EQ(lifetime_s(), 240U);
  b.wait_s(242);
  b.settle();
  EXPECT_EQ(state(), "none");
}

TEST_F(MasqueradeTcp, Rfc5382Req2_simultaneous_open) {
  ASSERT_EQ(guest(kSyn), Drop::none);
  ASSERT_EQ(server(kSyn), Drop::none);
  ASSERT_EQ(guest(kSyn | kAck), Drop::none);
  EXPECT_EQ(state(), "established");
  ASSERT_EQ(server(kSyn | kAck), Drop::none);
  EXPECT_EQ(state(), "established");
}

TEST_F(MasqueradeTcp, Rfc5382Req3_others_cannot_use_the_mapping) {
  establish();
  Frame other = tcp(kOtherServer, 80, kOutside, 40000, kSyn);
  EXPECT_EQ(b.in(other), Drop::nat_filtered);
  Frame unasked = tcp(kServer, 80, kOutside, 40001, kSyn);
  EXPECT_EQ(b.in(unasked), Drop::nat_no_mapping);
}

TEST_F(MasqueradeTcp, a_reset_only_shortens_and_is_taken_back_by_data) {
  establish();
  ASSERT_EQ(server(kRst), Drop::none);
  EXPECT_EQ(state(), "reset");
  EXPECT_EQ(lifetime_s(), 240U);
  b.wait_s(100);
  ASSERT_EQ(server(kRst), Drop::none);
  EXPECT_EQ(lifetime_s(), 140U) << "nor does a second one prolong it";
  ASSERT_EQ(guest(kAck), Drop::none);
  EXPECT_EQ(state(), "established") << "it was forged";
  EXPECT_EQ(lifetime_s(), 7440U);
}

TEST_F(MasqueradeTcp, a_reset_does_not_prolong_what_is_about_to_end) {
  ASSERT_EQ(guest(kSyn), Drop::none);
  b.wait_s(230);
  ASSERT_EQ(server(kRst | kAck), Drop::none);
  EXPECT_EQ(lifetime_s(), 10U);
  b.wait_s(11);
  b.settle();
  EXPECT_EQ(state(), "none");
}

TEST_F(MasqueradeTcp, a_reset_session_really_ends) {
  establish();
  b.wait_s(200);
  ASSERT_EQ(guest(kAck), Drop::none);
  b.wait_s(100);
  b.settle();  // from here it would be looked at in two hours
  ASSERT_EQ(guest(kRst), Drop::none);
  b.wait_s(241);
  b.settle();
  EXPECT_EQ(state(), "none");
  EXPECT_EQ(b.nat.table().n_mappings(), 0U);
}

TEST_F(MasqueradeTcp, a_refused_connection_is_not_revived_by_the_server) {
  ASSERT_EQ(guest(kSyn), Drop::none);
  ASSERT_EQ(server(kRst | kAck), Drop::none);
  ASSERT_EQ(server(kAck), Drop::none);
  EXPECT_EQ(state(), "reset");
  ASSERT_EQ(guest(kSyn), Drop::none);
  EXPECT_EQ(state(), "syn-sent") << "but by the guest's next try";
}

TEST_F(MasqueradeTcp, a_port_used_again_begins_anew) {
  establish();
  ASSERT_EQ(guest(kFin | kAck), Drop::none);
  ASSERT_EQ(server(kFin | kAck), Drop::none);
  ASSERT_EQ(guest(kAck), Drop::none);
  ASSERT_EQ(guest(kSyn), Drop::none);
  EXPECT_EQ(state(), "syn-sent");
  ASSERT_EQ(server(kSyn | kAck), Drop::none);
  ASSERT_EQ(guest(kAck), Drop::none);
  EXPECT_EQ(state(), "established");
}

TEST_F(MasqueradeTcp, an_outside_syn_changes_nothing_in_a_connection) {
  establish();
  ASSERT_EQ(server(kSyn), Drop::none);
  EXPECT_EQ(state(), "established");
}

TEST_F(MasqueradeTcp, a_connection_from_before_the_switch_is_picked_up) {
  ASSERT_EQ(guest(kAck), Drop::none);
  EXPECT_EQ(state(), "picked-up");
  EXPECT_EQ(lifetime_s(), 240U);
  ASSERT_EQ(server(kAck), Drop::none);
  EXPECT_EQ(state(), "established");
}

TEST_F(MasqueradeTcp, a_reset_fin_or_syn_ack_begins_nothing) {
  EXPECT_EQ(guest(kRst), Drop::nat_bad_state);
  EXPECT_EQ(guest(kRst | kAck), Drop::nat_bad_state);
  EXPECT_EQ(guest(kFin | kAck), Drop::nat_bad_state);
  EXPECT_EQ(guest(kSyn | kAck), Drop::nat_bad_state);
  EXPECT_EQ(b.nat.n_sessions(), 0U);
}

TEST_F(MasqueradeTcp, impossible_flags_are_dropped) {
  establish();
  for (const int flags : {0, int{kFin}, kSyn | kFin, kSyn | kRst, kRst | kFin, kFin | 8 | 32, 0xff}) {
    EXPECT_EQ(guest(static_cast<uint8_t>(flags)), Drop::nat_bad_state) << flags;
    EXPECT_EQ(server(static_cast<uint8_t>(flags)), Drop::nat_bad_state) << flags;
  }
  EXPECT_EQ(guest(kSyn | 0xc0), Drop::none) << "ECN-setup SYN (RFC 3168)";
  EXPECT_EQ(state(), "established");
}

TEST_F(MasqueradeTcp, a_tso_frame_passes_whole) {
  establish();
  const std::string payload(30000, 'p');
  Frame f = tcp(kGuest, 40000, kServer, 80, kAck, payload);
  f.make_partial();
  f.packet.offload.gso = dataplane::Gso::tcp4;
  f.packet.offload.gso_size = 1448;
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.packet.offload.gso, dataplane::Gso::tcp4);
  EXPECT_EQ(f.packet.offload.gso_size, 1448);
  f.finish_partial();
  EXPECT_EQ(f.bytes, tcp(kOutside, 40000, kServer, 80, kAck, payload).bytes);
}

TEST_F(MasqueradeTcp, ip_options_are_no_obstacle) {
  Tins::IP with_options = ip(kGuest, kServer);
  for (int i = 0; i < 8; ++i) with_options.noop();
  Tins::TCP t(80, 500);
  t.flags(kSyn);
  Frame f(with_options / t);
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_TRUE(checksums_are_right(f));
}

TEST_F(MasqueradeTcp, packets_and_bytes_are_counted) {
  establish();
  const auto c = b.connections().at(0);
  EXPECT_EQ(c.packets, 3U);
  EXPECT_EQ(c.bytes, 40U + 40U + 44U);
  EXPECT_EQ(c.network, kNetwork);
  EXPECT_EQ(c.source, kGuest);
  EXPECT_EQ(c.source_port, 40000);
  EXPECT_EQ(c.destination, kServer);
  EXPECT_EQ(c.destination_port, 80);
  EXPECT_EQ(c.nat_address, kOutside);
  EXPECT_EQ(c.nat_port, 40000);
}

}  // namespace
}  // namespace weft::nat::test
