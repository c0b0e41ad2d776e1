// SPDX-License-Identifier: BSD-3-Clause
//
// ICMP queries and errors through the masquerade, by RFC 5508's requirements.
#include "dataplane/wire/checksum.h"
#include "tests/unit/nat/frame.h"

namespace weft::nat::test {
namespace {

constexpr wire::Ipv4Address kRouter{198, 18, 0, 1}, kInsideRouter{192, 168, 122, 200};
constexpr uint8_t kEcho = 8, kEchoReply = 0, kUnreachable = 3, kQuench = 4, kRedirect = 5, kTimeExceeded = 11,
                  kParameter = 12;

TEST(MasqueradeIcmp, Rfc5508Req1_echo_goes_out_and_back) {
  Bench b;
  Frame f = icmp(kGuest, kServer, kEcho, 77);
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.bytes, icmp(kOutside, kServer, kEcho, 77).bytes) << "a free identifier is kept";
  Frame r = icmp(kServer, kOutside, kEchoReply, 77);
  ASSERT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(b.network, kNetwork);
  EXPECT_EQ(r.bytes, icmp(kServer, kGuest, kEchoReply, 77).bytes);
}

TEST(MasqueradeIcmp, two_guests_with_one_identifier_get_their_own_replies) {
  Bench b;
  Frame f = icmp(kGuest, kServer, kEcho, 77), g = icmp(kOtherGuest, kServer, kEcho, 77);
  ASSERT_EQ(b.out(f), Drop::none);
  ASSERT_EQ(b.out(g), Drop::none);
  EXPECT_TRUE(checksums_are_right(g));
  const uint16_t id = g.tins().rfind_pdu<Tins::ICMP>().id();
  EXPECT_NE(id, 77);
  Frame r = icmp(kServer, kOutside, kEchoReply, id);
  ASSERT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(r.bytes, icmp(kServer, kOtherGuest, kEchoReply, 77).bytes);
}

TEST(MasqueradeIcmp, identifiers_know_no_port_range) {
  Bench b;
  b.context.ports = {20000, 20001};
  Frame f = icmp(kGuest, kServer, kEcho, 5);
  ASSERT_EQ(b.out(f), Drop::none);
  EXPECT_EQ(f.tins().rfind_pdu<Tins::ICMP>().id(), 5);
}

TEST(MasqueradeIcmp, timestamp_queries_are_translated_likewise) {
  Bench b;
  Frame echo = icmp(kGuest, kServer, kEcho, 77), stamp = icmp(kGuest, kServer, 13, 77, std::string(12, 's'));
  ASSERT_EQ(b.out(echo), Drop::none);
  ASSERT_EQ(b.out(stamp), Drop::none);
  EXPECT_EQ(b.nat.n_sessions(), 2U);
  Frame r = icmp(kServer, kOutside, 14, 77, std::string(12, 's'));
  EXPECT_EQ(b.in(r), Drop::none);
  EXPECT_EQ(r.ip().destination, kGuest);
  EXPECT_TRUE(checksums_are_right(r));
}

TEST(MasqueradeIcmp, Rfc5508Req2_a_query_lives_sixty_seconds) {
  Bench b;
  Frame f = icmp(kGuest, kServer, kEcho, 77);
  ASSERT_EQ(b.out(f), Drop::none);
  b.wait_s(60);
  Frame r = icmp(kServer, kOutside, kEchoReply, 77), late = r;
  EXPECT_EQ(b.in(r), Drop::none);
  b.wait_s(62);
  EXPECT_EQ(b.in(late), Drop::nat_no_mapping);
}

TEST(MasqueradeIcmp, replies_from_others_and_unasked_ones_are_dropped) {
  Bench b;
  Frame f = icmp(kGuest, kServer, kEcho, 77);
  ASSERT_EQ(b.out(f), Drop::none);
  Frame other = icmp(kOtherServer, kOutside, kEchoReply, 77), unasked = icmp(kServer, kOutside, kEchoReply, 78);
  EXPECT_EQ(b.in(other), Drop::nat_filtered);
  EXPECT_EQ(b.in(unasked), Drop::nat_no_mapping);
  Frame request = icmp(kServer, kOutside, kEcho, 77);
  EXPECT_EQ(b.in(request), Drop::nat_no_mapping) << "perhaps for the switch itself";
  Frame reply_out = icmp(kGuest, kServer, kEchoReply, 77);
  EXPECT_EQ(b.out(reply_out), Drop::nat_bad_state);
  Frame router_advertisement = icmp(kGuest, kServer, 9, 77);
  EXPECT_EQ(b.out(router_advertisement), Drop::nat_protocol);
}

TEST(MasqueradeIcmp, a_partial_icmp_checksum_has_nothing_to_adjust) {
  Bench b;
  Frame first = icmp(kGuest, kServer, kEcho, 77), f = icmp(kOtherGuest, kServer, kEcho, 77);
  ASSERT_EQ(b.out(first), Drop::none);
  f.make_partial();
  ASSERT_EQ(b.out(f), Drop::none);
  f.finish_partial();
  EXPECT_TRUE(checksums_are_right(f));
}

// --- errors
// -------------------------------------------------------------------------------------------------------

/// An error about a packet a guest sent must arrive as if no translator had been there.
class ErrorIn : public testing::TestWithParam<std::tuple<int, size_t>> {
 protected:
  static Frame original() {
    switch (std::get<0>(GetParam())) {
      case 0:
        return udp(kGuest, 500, kServer, 53, std::string(200, 'u'));
      case 1:
        return tcp(kGuest, 500, kServer, 80, 2);
      default:
        return icmp(kGuest, kServer, kEcho, 77);
    }
  }
};

TEST_P(ErrorIn, Rfc5508Req4_quotes_what_the_guest_sent) {
  const size_t quoted = std::get<1>(GetParam());
  for (const auto& [type, code] :
       {std::pair<uint8_t, uint8_t>{kUnreachable, 3}, {kUnreachable, 4}, {kTimeExceeded, 0}, {kParameter, 0}}) {
    Bench b;
    Frame taken = icmp(kOtherGuest, kServer, kEcho, 77);
    ASSERT_EQ(b.out(taken), Drop::none);  // so that identifiers differ too
    Frame f = original();
    const Frame sent = f;
    ASSERT_EQ(b.out(f), Drop::none);
    const auto before = b.connections();
    b.wait_s(1);
    Frame error = icmp_error(kRouter, kOutside, type, code, f, quoted);
    ASSERT_EQ(b.in(error), Drop::none);
    EXPECT_EQ(b.network, kNetwork);
    EXPECT_EQ(error.ip().source, kRouter);
    EXPECT_EQ(error.ip().destination, kGuest);
    EXPECT_EQ(error.bytes, icmp_error(kRouter, kGuest, type, code, sent, quoted).bytes);
    ASSERT_EQ(b.connections().size(), before.size()) << "an error ends nothing";
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(b.connections()[i].state, before[i].state);
      EXPECT_EQ(b.connections()[i].expires_s, before[i].expires_s - 1) << "and prolongs nothing";
    }
  }
}

/// An error a guest sends about a packet it was delivered must leave as if it had been delivered outside.
TEST_P(ErrorIn, Rfc5508Req5_from_inside_quotes_what_was_outside) {
  const size_t quoted = std::get<1>(GetParam());
  Bench b;
  Frame f = original();
  ASSERT_EQ(b.out(f), Drop::none);
  const auto port = b.connections().at(0).nat_port;
  const int kind = std::get<0>(GetParam());
  Frame r = kind == 0   ? udp(kServer, 53, kOutside, port, std::string(300, 'r'))
            : kind == 1 ? tcp(kServer, 80, kOutside, port, 18)
                        : icmp(kServer, kOutside, kEchoReply, port);
  const Frame outside = r;
  ASSERT_EQ(b.in(r), Drop::none);
  for (const auto sender : {kGuest, kInsideRouter}) {
    Frame error = icmp_error(sender, kServer, kUnreachable, 3, r, quoted);
    ASSERT_EQ(b.out(error), Drop::none);
    EXPECT_EQ(error.bytes, icmp_error(kOutside, kServer, kUnreachable, 3, outside, quoted).bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(MasqueradeIcmp, ErrorIn,
                         testing::Combine(testing::Values(0, 1, 2), testing::Values(28, 36, 38, 39, 40, 576)));

TEST(MasqueradeIcmp, an_error_about_a_packet_with_options_and_a_long_payload) {
  Bench b;
  Tins::IP with_options = ip(kGuest, kServer);
  for (int i = 0; i < 40; ++i) with_options.noop();
  Frame f(with_options / Tins::TCP(80, 500) / Tins::RawPDU(std::string(1000, 'x')));
  f.bytes[14 + 60 + 13] = 2;  // SYN
  const Frame sent = f;
  ASSERT_EQ(b.out(f), Drop::none);
  Frame error = icmp_error(kRouter, kOutside, kUnreachable, 4, f, 1000);
  ASSERT_EQ(b.in(error), Drop::none);
  EXPECT_EQ(error.bytes, icmp_error(kRouter, kGuest, kUnreachable, 4, sent, 1000).bytes);
}

TEST(MasqueradeIcmp, half_a_quoted_tcp_checksum_is_left_alone) {
  Bench b;
  Frame f = tcp(kGuest, 500, kServer, 80, 2);
  ASSERT_EQ(b.out(f), Drop::none);
  Frame error = icmp_error(kRouter, kOutside, kUnreachable, 3, f, 37);
  ASSERT_EQ(b.in(error), Drop::none);
  EXPECT_TRUE(checksums_are_right(error));
  EXPECT_EQ(error.bytes.back(), f.bytes[14 + 36]);
}

TEST(MasqueradeIcmp, an_error_about_a_udp_packet_without_checksum) {
  Bench b;
  Frame f = udp(kGuest, 500, kServer, 53);
  f.checksum_field() = {};
  const Frame sent = f;
  ASSERT_EQ(b.out(f), Drop::none);
  Frame error = icmp_error(kRouter, kOutside, kUnreachable, 3, f);
  ASSERT_EQ(b.in(error), Drop::none);
  EXPECT_EQ(error.bytes, icmp_error(kRouter, kGuest, kUnreachable, 3, sent).bytes);
}

TEST(MasqueradeIcmp, the_padding_of_a_short_frame_is_no_part_of_the_error) {
  Bench b;
  Frame f = udp(kGuest, 500, kServer, 53);
  ASSERT_EQ(b.out(f), Drop::none);
  Frame error = icmp_error(kRouter, kOutside, kUnreachable, 3, f);
  error.bytes.resize(error.bytes.size() + 7, 0xee);
  error.parse();
  EXPECT_EQ(b.in(error), Drop::none);
}

/// Errors that must not get through, each made from a good one.
class BadError : public testing::Test {
 protected:
  BadError() {
    EXPECT_EQ(b.out(sent), Drop::none);
    good = icmp_error(kRouter, kOutside, kUnreachable, 3, sent, 60).bytes;
  }
  /// Gives it to translate_in after `change`, with the ICMP checksum made right again.
  template <class Change>
  Drop with(Change change) {
    Frame f(good);
    change(f);
    fix_quoted_checksum(f);
    fix_checksum(f);
    const auto before = f.bytes;
    const Drop drop = b.in(f);
    EXPECT_EQ(f.bytes == before, drop != Drop::none);
    return drop;
  }
  static void fix_quoted_checksum(Frame& f) {
    if (f.bytes.size() < kQuote + 20) return;
    auto* quoted = reinterpret_cast<wire::Ipv4Header*>(f.bytes.data() + kQuote);
    if (f.bytes.size() < kQuote + quoted->header_size()) return;
    quoted->checksum = {};
    quoted->checksum = wire::be16::from_raw(wire::checksum(quoted, quoted->header_size()));
  }
  static void fix_checksum(Frame& f) {
    f.parse();
    const size_t at = f.packet.l4_offset;
    f.bytes[at + 2] = f.bytes[at + 3] = 0;
    uint32_t sum = 0;
    for (size_t i = at; i < f.bytes.size(); ++i) sum += uint32_t{f.bytes[i]} << ((i - at) % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    f.bytes[at + 2] = static_cast<uint8_t>(~sum >> 8);
    f.bytes[at + 3] = static_cast<uint8_t>(~sum);
  }
  static void cut(Frame& f, size_t quoted) {
    f.bytes.resize(kQuote + quoted);
    f.ip().total_length = wire::be16(static_cast<uint16_t>(f.bytes.size() - 14));
  }
  static constexpr size_t kQuote = 14 + 20 + 8;  // where the quoted IP header is
  Bench b;
  Frame sent = udp(kGuest, 500, kServer, 53, std::string(60, 'x'));
  std::vector<uint8_t> good;
};

TEST_F(BadError, the_good_one_passes) {
  EXPECT_EQ(with([](Frame&) {}), Drop::none);
}

TEST_F(BadError, Rfc5508Req3_a_wrong_checksum) {
  Frame f(good);
  f.bytes[14 + 20 + 2] ^= 1;
  EXPECT_EQ(b.in(f), Drop::nat_bad_icmp);
  Frame far(icmp_error(kRouter, kOutside, kUnreachable, 3,
                       udp(kOutside, b.connections().at(0).nat_port, kServer, 53, std::string(500, 'x')), 500));
  Frame far_bad = far;
  far_bad.bytes.back() ^= 1;  // beyond the head
  EXPECT_EQ(b.in(far), Drop::none);
  EXPECT_EQ(b.in(far_bad), Drop::nat_bad_icmp);
}

TEST_F(BadError, Rfc5508Req3a_a_quoted_header_with_a_wrong_checksum) {
  Frame f(good);
  f.bytes[kQuote + 8] ^= 1;  // TTL
  fix_checksum(f);
  EXPECT_EQ(b.in(f), Drop::nat_bad_icmp);
}

TEST_F(BadError, quotes_cut_short) {
  for (size_t n = 0; n < 28; ++n) {
    EXPECT_EQ(with([&](Frame& f) { cut(f, n); }), Drop::nat_bad_icmp) << n;
  }
  EXPECT_EQ(with([&](Frame& f) { cut(f, 28); }), Drop::none);
}

TEST_F(BadError, a_quote_with_wrong_lengths) {
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote] = 0x44; }), Drop::nat_bad_icmp) << "header of 16 bytes";
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote] = 0x4f; }), Drop::nat_bad_icmp) << "header of 60 bytes";
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote] = 0x65; }), Drop::nat_bad_icmp) << "version 6";
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 2] = 0, f.bytes[kQuote + 3] = 27; }), Drop::nat_bad_icmp);
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 2] = 0, f.bytes[kQuote + 3] = 0; }), Drop::nat_bad_icmp);
}

TEST_F(BadError, a_quote_of_a_later_fragment) {
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 7] = 1; }), Drop::nat_bad_icmp);
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 6] = 0x20; }), Drop::none) << "a first fragment has its ports";
}

TEST_F(BadError, a_quote_of_anything_else) {
  for (const uint8_t protocol : std::initializer_list<uint8_t>{0, 2, 4, 41, 47, 50, 132, 136, 255}) {
    EXPECT_EQ(with([&](Frame& f) { f.bytes[kQuote + 9] = protocol; }), Drop::nat_bad_icmp) << int{protocol};
  }
}

TEST_F(BadError, a_quote_of_an_error) {
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 9] = 1, f.bytes[kQuote + 20] = 3; }), Drop::nat_bad_icmp);
}

TEST_F(BadError, a_quote_of_no_connection) {
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 16] ^= 1; }), Drop::nat_bad_icmp) << "another server";
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 21] ^= 2; }), Drop::nat_bad_icmp) << "another port";
  EXPECT_EQ(with([](Frame& f) { f.bytes[kQuote + 9] = 6; }), Drop::nat_bad_icmp) << "TCP";
}

TEST_F(BadError, sent_to_another_address_than_it_quotes) {
  EXPECT_EQ(with([](Frame& f) { f.ip().destination = kOtherServer; }), Drop::nat_bad_icmp);
}

TEST_F(BadError, redirects_and_source_quenches) {
  EXPECT_EQ(with([](Frame& f) { f.bytes[14 + 20] = kRedirect; }), Drop::nat_bad_icmp);
  EXPECT_EQ(with([](Frame& f) { f.bytes[14 + 20] = kQuench; }), Drop::nat_bad_icmp);
}

TEST_F(BadError, from_inside_about_nothing_of_ours) {
  Frame made_up = icmp_error(kGuest, kServer, kUnreachable, 3, udp(kServer, 53, kGuest, 501), 60);
  EXPECT_EQ(b.out(made_up), Drop::nat_bad_icmp);
  Frame elsewhere = icmp_error(kGuest, kOtherServer, kUnreachable, 3, udp(kServer, 53, kGuest, 500), 60);
  EXPECT_EQ(b.out(elsewhere), Drop::nat_bad_icmp) << "not sent to whom it quotes";
  Frame good_one = icmp_error(kGuest, kServer, kUnreachable, 3, udp(kServer, 53, kGuest, 500), 60);
  EXPECT_EQ(b.out(good_one), Drop::none);
}

}  // namespace
}  // namespace weft::nat::test
