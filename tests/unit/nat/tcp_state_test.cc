// SPDX-License-Identifier: BSD-3-Clause
#include "nat/tcp_state.h"

#include <gtest/gtest.h>

namespace weft::nat {
namespace {

constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

TEST(TcpState, valid_flags_are_those_a_tcp_sends) {
  int n = 0;
  for (int flags = 0; flags < 256; ++flags) {
    if (!tcp_flags_are_valid(static_cast<uint8_t>(flags))) continue;
    ++n;
    EXPECT_LE(((flags & kSyn) != 0) + ((flags & kFin) != 0) + ((flags & kRst) != 0), 1) << flags;
    EXPECT_TRUE((flags & (kSyn | kRst | kAck)) != 0) << flags;
  }
  EXPECT_EQ(n, 9 * 8) << "nine combinations; PSH, ECE and CWR don't matter";
}

struct Step {
  Side from;
  uint8_t flags;
  State expected;
};

void expect_steps(std::initializer_list<Step> steps) {
  TcpStep s{State::free, 0};
  int i = 0;
  for (const Step& step : steps) {
    if (i == 0) {
      s = {tcp_first(step.flags).value_or(State::free), 0};
    } else {
      s = tcp_step(s, step.from, step.flags);
    }
    EXPECT_EQ(state_name(s.state), state_name(step.expected)) << "step " << i;
    ++i;
  }
}

constexpr Side in = Side::outside, out = Side::inside;

TEST(TcpState, opened_used_and_closed) {
  expect_steps({{out, kSyn, State::tcp_syn_sent},
                {out, kSyn, State::tcp_syn_sent},
                {in, kSyn | kAck, State::tcp_syn_received},
                {in, kSyn | kAck, State::tcp_syn_received},
                {out, kAck, State::tcp_established},
                {in, kAck | kPsh, State::tcp_established},
                {out, kAck | kUrg, State::tcp_established},
                {in, kFin | kAck, State::tcp_fin_wait},
                {in, kFin | kAck, State::tcp_fin_wait},
                {out, kAck, State::tcp_fin_wait},
                {out, kFin | kAck, State::tcp_closing},
                {in, kAck, State::tcp_time_wait},
                {out, kFin | kAck, State::tcp_time_wait},
                {out, kSyn, State::tcp_syn_sent}});
}

TEST(TcpState, a_server_alone_establishes_nothing) {
  expect_steps({{out, kSyn, State::tcp_syn_sent},
                {in, kAck, State::tcp_syn_sent},
                {in, kSyn | kAck, State::tcp_syn_received},
                {in, kAck, State::tcp_syn_received},
                {in, kFin | kAck, State::tcp_syn_received}});
}

TEST(TcpState, a_guest_alone_establishes_nothing) {
  expect_steps({{out, kAck, State::tcp_picked_up},
                {out, kAck, State::tcp_picked_up},
                {out, kFin | kAck, State::tcp_picked_up},
                {in, kAck, State::tcp_fin_wait}});
}

TEST(TcpState, reset_is_taken_back_with_what_had_been_closed) {
  expect_steps({{out, kSyn, State::tcp_syn_sent},
                {in, kSyn | kAck, State::tcp_syn_received},
                {out, kAck, State::tcp_established},
                {in, kFin | kAck, State::tcp_fin_wait},
                {in, kRst, State::tcp_reset},
                {in, kSyn, State::tcp_reset},
                {out, kAck, State::tcp_fin_wait}});
}

TEST(TcpState, syn_in_an_open_connection_is_ignored) {
  expect_steps({{out, kSyn, State::tcp_syn_sent},
                {in, kSyn | kAck, State::tcp_syn_received},
                {out, kAck, State::tcp_established},
                {out, kSyn, State::tcp_established},
                {in, kSyn, State::tcp_established},
                {in, kSyn | kAck, State::tcp_established}});
}

TEST(TcpState, only_syn_and_plain_ack_begin_a_connection) {
  for (int flags = 0; flags < 256; ++flags) {
    const int f = flags & (kFin | kSyn | kRst | kAck);
    EXPECT_EQ(tcp_first(static_cast<uint8_t>(flags)).has_value(), f == kSyn || f == kAck) << flags;
  }
}

}  // namespace
}  // namespace weft::nat
