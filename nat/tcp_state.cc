// SPDX-License-Identifier: BSD-3-Clause
#include "nat/tcp_state.h"

namespace weft::nat {

namespace {

using wire::TcpHeader;
constexpr uint8_t kFin = TcpHeader::kFin, kSyn = TcpHeader::kSyn, kRst = TcpHeader::kRst, kAck = TcpHeader::kAck,
                  kUrg = TcpHeader::kUrg;

/// Established, or as far on as the FINs seen make it.
TcpStep established(uint8_t flags) noexcept {
  constexpr uint8_t kBoth = Session::kFinOut | Session::kFinIn;
  const uint8_t fins = flags & kBoth;
  flags |= Session::kEstablished;
  if (fins == 0) return {State::tcp_established, flags};
  return {fins == kBoth ? State::tcp_closing : State::tcp_fin_wait, flags};
}

TcpStep on_syn(TcpStep now, Side from) noexcept {
  if (from == Side::outside) {
    // Simultaneous open (RFC 9293 §3.5, RFC 5382 REQ-2). Elsewhere an outside SYN changes nothing (RFC 5961
    // §4).
    return now.state == State::tcp_syn_sent ? TcpStep{State::tcp_syn_received, 0} : now;
  }
  switch (now.state) {
    case State::tcp_picked_up:
    case State::tcp_syn_sent:
    case State::tcp_closing:
    case State::tcp_time_wait:
    case State::tcp_reset:
      return {State::tcp_syn_sent, 0};  // the guest uses the port again
    default:
      return now;
  }
}

TcpStep on_syn_ack(TcpStep now, Side from) noexcept {
  if (from == Side::outside && now.state == State::tcp_syn_sent) return {State::tcp_syn_received, 0};
  if (from == Side::inside && now.state == State::tcp_syn_received) return established(now.flags);
  return now;
}

}  // namespace

bool tcp_flags_are_valid(uint8_t tcp_flags) noexcept {
  switch (tcp_flags & (kFin | kSyn | kRst | kAck | kUrg)) {
    case kSyn:
    case kSyn | kUrg:
    case kSyn | kAck:
    case kRst:
    case kRst | kAck:
    case kFin | kAck:
    case kFin | kAck | kUrg:
    case kAck:
    case kAck | kUrg:
      return true;
    default:
      return false;
  }
}

std::optional<State> tcp_first(uint8_t tcp_flags) noexcept {
  switch (tcp_flags & (kFin | kSyn | kRst | kAck)) {
    case kSyn:
      return State::tcp_syn_sent;
    case kAck:
      return State::tcp_picked_up;
    default:
      return std::nullopt;
  }
}

TcpStep tcp_step(TcpStep now, Side from, uint8_t tcp_flags) noexcept {
  if ((tcp_flags & kRst) != 0) return {State::tcp_reset, now.flags};
  if ((tcp_flags & kSyn) != 0) return (tcp_flags & kAck) != 0 ? on_syn_ack(now, from) : on_syn(now, from);

  const bool is_fin = (tcp_flags & kFin) != 0;
  uint8_t flags = now.flags;
  if (is_fin) flags |= from == Side::inside ? Session::kFinOut : Session::kFinIn;
  switch (now.state) {
    case State::tcp_syn_sent:
      return {now.state, flags};
    case State::tcp_syn_received:
      return from == Side::inside ? established(flags) : TcpStep{now.state, flags};
    case State::tcp_picked_up:
      return from == Side::outside ? established(flags) : TcpStep{now.state, flags};
    case State::tcp_closing:
      return {is_fin ? now.state : State::tcp_time_wait, flags};
    case State::tcp_time_wait:
      return {now.state, flags};
    case State::tcp_reset:
      return (flags & Session::kEstablished) != 0 ? established(flags) : TcpStep{now.state, flags};
    default:
      return established(flags);
  }
}

}  // namespace weft::nat
