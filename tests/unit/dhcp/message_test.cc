// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/message.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::dhcp {
namespace {

using Bytes = std::vector<uint8_t>;

/// A request of `size` bytes (or more, when options need it) with these bytes as its options field.
Bytes request(const Bytes& options) {
  Bytes b(kFixedSize + options.size(), 0);
  b[0] = kBootRequest;
  b[1] = kHtypeEthernet;
  b[2] = 6;
  const uint8_t mac[] = {0x52, 0x54, 0, 1, 2, 3};
  std::copy(std::begin(mac), std::end(mac), b.begin() + 28);
  const uint8_t cookie[] = {0x63, 0x82, 0x53, 0x63};
  std::copy(std::begin(cookie), std::end(cookie), b.begin() + 236);
  for (size_t i = 0; i < options.size(); ++i) b[kFixedSize + i] = options[i];
  return b;
}

std::string text(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

std::string error_of(const Bytes& b) {
  const auto m = Message::parse(b);
  return m ? "none" : std::string(to_string(m.error()));
}

TEST(DhcpMessage, ReadsTheFixedPart) {
  Bytes b = request({53, 1, 1, 255});
  b[4] = 0xde, b[10] = 0x80, b[12] = 192, b[24] = 10;
  const auto m = Message::parse(b);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->type(), MessageType::discover);
  EXPECT_EQ(m->header().xid.host(), 0xde000000u);
  EXPECT_TRUE(m->wants_broadcast());
  EXPECT_EQ(m->header().ciaddr.to_string(), "192.0.0.0");
  EXPECT_EQ(m->header().giaddr.to_string(), "10.0.0.0");
  EXPECT_EQ(m->header().chaddr.to_string(), "52:54:00:01:02:03");
}

TEST(DhcpMessage, RefusesWhatIsNoRequest) {
  const Bytes good = request({53, 1, 1, 255});
  ASSERT_EQ(error_of(good), "none");
  const auto with = [&](size_t offset, uint8_t value) {
    Bytes b = good;
    b[offset] = value;
    return error_of(b);
  };
  for (const size_t size : {size_t{0}, size_t{1}, kFixedSize - 1})
    EXPECT_EQ(error_of(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))),
              "shorter than a DHCP message");
  Bytes long_one = good;
  long_one.resize(kMaxParsedSize + 1);
  EXPECT_EQ(error_of(long_one), "longer than a DHCP message may be");
  long_one.resize(kMaxParsedSize);
  EXPECT_EQ(error_of(long_one), "none");
  EXPECT_EQ(with(0, kBootReply), "not a request");
  EXPECT_EQ(with(0, 0), "not a request");
  EXPECT_EQ(with(236, 0), "no DHCP cookie");
  const std::string hardware = "hardware address is not an Ethernet station's";
  EXPECT_EQ(with(1, 6), hardware);
  EXPECT_EQ(with(2, 0), hardware);
  EXPECT_EQ(with(2, 17), hardware);
  EXPECT_EQ(with(28, 0x53), hardware) << "multicast";
  Bytes zero = good;
  std::fill_n(zero.begin() + 28, 6, uint8_t{0});
  EXPECT_EQ(error_of(zero), hardware);
}

TEST(DhcpMessage, SkipsPadsAndStopsAtEnd) {
  const Bytes b = request({0, 0, 53, 1, 3, 0, 12, 2, 'v', 'm', 255, 12, 9});
  const auto m = Message::parse(b);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->type(), MessageType::request);
  EXPECT_EQ(text(m->option(12)), "vm");
}

TEST(DhcpMessage, ForgivesAMissingEnd) {
  const Bytes b = request({53, 1, 3});
  EXPECT_EQ(error_of(b), "none");
}

TEST(DhcpMessage, RefusesAnOptionThatIsCutShort) {
  EXPECT_EQ(error_of(request({53, 1, 1, 12})), "option reaches past its field");
  EXPECT_EQ(error_of(request({53, 1, 1, 12, 3, 'a', 'b'})), "option reaches past its field");
}

TEST(DhcpMessage, RefusesLengthsThatTypesCannotHave) {
  const std::string wrong = "option of a length it cannot have";
  EXPECT_EQ(error_of(request({53, 0, 255})), wrong);
  EXPECT_EQ(error_of(request({53, 2, 1, 1, 255})), wrong);
  EXPECT_EQ(error_of(request({53, 1, 0, 255})), wrong) << "type 0 is not BOOTP";
  EXPECT_EQ(error_of(request({50, 3, 1, 2, 3, 255})), wrong);
  EXPECT_EQ(error_of(request({54, 5, 1, 2, 3, 4, 5, 255})), wrong);
  EXPECT_EQ(error_of(request({51, 2, 1, 2, 255})), wrong);
  EXPECT_EQ(error_of(request({57, 1, 1, 255})), wrong);
  EXPECT_EQ(error_of(request({118, 1, 1, 255})), wrong);
  EXPECT_EQ(error_of(request({52, 0, 255})), wrong);
}

TEST(DhcpMessage, JoinsAnOptionInParts) {  // RFC 3396 §5
  const Bytes b = request({12, 2, 'a', 'b', 53, 1, 1, 12, 0, 12, 3, 'c', 'd', 'e', 255});
  const auto m = Message::parse(b);
  ASSERT_TRUE(m);
  EXPECT_EQ(text(m->option(12)), "abcde");
  EXPECT_EQ(m->type(), MessageType::discover);
}

TEST(DhcpMessage, JoinsMoreThan255Bytes) {
  Bytes options{53, 1, 1};
  for (int part = 0; part < 3; ++part) {
    options.insert(options.end(), {43, 200});
    options.insert(options.end(), 200, static_cast<uint8_t>('a' + part));
  }
  const Bytes b = request(options);
  const auto m = Message::parse(b);
  ASSERT_TRUE(m);
  EXPECT_EQ(text(m->option(43)), std::string(200, 'a') + std::string(200, 'b') + std::string(200, 'c'));
}

TEST(DhcpMessage, RefusesAClientIdentifierOverLength) {
  Bytes options{53, 1, 1};
  for (int part = 0; part < 2; ++part) {
    options.insert(options.end(), {61, 128});
    options.insert(options.end(), 128, 'x');
  }
  EXPECT_EQ(error_of(request(options)), "option of a length it cannot have");
}

TEST(DhcpMessage, ReadsOverloadedFieldsInTheirOrder) {  // RFC 2131 §4.1: options, file, sname
  Bytes b = request({53, 1, 1, 52, 1, 3, 12, 1, 'a', 255});
  const Bytes file{12, 1, 'b', 51, 4, 0, 0, 1, 0, 255}, sname{12, 1, 'c', 255};
  std::copy(file.begin(), file.end(), b.begin() + 108);
  std::copy(sname.begin(), sname.end(), b.begin() + 44);
  const auto m = Message::parse(b);
  ASSERT_TRUE(m);
  EXPECT_EQ(text(m->option(12)), "abc");
  EXPECT_EQ(m->lease_time(), 256u);
}

TEST(DhcpMessage, ReadsOnlyTheFieldOption52Names) {
  for (const uint8_t fields : {uint8_t{1}, uint8_t{2}}) {
    Bytes b = request({53, 1, 1, 52, 1, fields, 255});
    const Bytes file{12, 1, 'f', 255}, sname{12, 1, 's', 255};
    std::copy(file.begin(), file.end(), b.begin() + 108);
    std::copy(sname.begin(), sname.end(), b.begin() + 44);
    const auto m = Message::parse(b);
    ASSERT_TRUE(m);
    EXPECT_EQ(text(m->option(12)), fields == 1 ? "f" : "s");
  }
}

TEST(DhcpMessage, LeavesFileAloneWithoutOption52) {
  Bytes b = request({53, 1, 1, 255});
  std::fill_n(b.begin() + 108, 128, uint8_t{12});
  EXPECT_EQ(error_of(b), "none");
  Bytes inner = request({53, 1, 1, 52, 1, 1, 255});
  const Bytes file{52, 1, 3, 255};  // a second 52, inside the field it opens
  std::copy(file.begin(), file.end(), inner.begin() + 108);
  EXPECT_EQ(error_of(inner), "option of a length it cannot have");
}

TEST(DhcpMessage, RefusesAnOverloadedFieldThatIsCutShort) {
  Bytes b = request({53, 1, 1, 52, 1, 2, 255});
  b[44 + 62] = 12, b[44 + 63] = 5;
  EXPECT_EQ(error_of(b), "option reaches past its field");
}

TEST(DhcpMessage, WantsEverythingWithoutAList) {
  EXPECT_TRUE(Message::parse(request({53, 1, 1, 255}))->requests(3));
  const Bytes b = request({53, 1, 1, 55, 2, 1, 6, 255});
  EXPECT_TRUE(Message::parse(b)->requests(6));
  EXPECT_FALSE(Message::parse(b)->requests(3));
}

TEST(DhcpMessage, ReadsBootpAsType0) { EXPECT_EQ(Message::parse(request({255}))->type(), MessageType::bootp); }

TEST(DhcpMessageBuilder, PadsTo300Bytes) {
  MessageBuilder out(548);
  EXPECT_TRUE(out.add_u8(53, 2));
  const auto b = out.finish();
  EXPECT_EQ(b.size(), 300u);
  EXPECT_EQ(b[240], 53);
  EXPECT_EQ(b[243], 255);
  EXPECT_EQ(b[299], 0);
}

TEST(DhcpMessageBuilder, LeavesOutWhatDoesNotFit) {
  MessageBuilder out(300);  // 59 bytes of options and End
  EXPECT_TRUE(out.add(43, std::string_view("0123456789012345678901234567890123456789012345678901234")));  // 57
  EXPECT_FALSE(out.add_u8(53, 2));
  EXPECT_TRUE(out.add(80, std::string_view{}));  // the last two
  const auto b = out.finish();
  EXPECT_EQ(b.size(), 300u);
  EXPECT_EQ(b[299], 255);
}

TEST(DhcpMessageBuilder, KeepsRoomThatIsReserved) {
  MessageBuilder out(300);
  out.reserve(option_size(40));
  EXPECT_FALSE(out.add(12, std::string(20, 'x')));
  EXPECT_TRUE(out.add(12, std::string(15, 'x')));
  out.reserve(0);
  EXPECT_TRUE(out.add(61, std::string(40, 'y')));
}

TEST(DhcpMessageBuilder, SplitsLongValues) {  // RFC 3396 §5
  MessageBuilder out(1472);
  ASSERT_TRUE(out.add(43, std::string(300, 'z')));
  const auto b = out.finish();
  EXPECT_EQ(b[241], 255);
  EXPECT_EQ(b[242 + 255], 43);
  EXPECT_EQ(b[242 + 256], 45);
  EXPECT_EQ(option_size(300), 304u);
  EXPECT_EQ(option_size(0), 2u);
  EXPECT_EQ(option_size(255), 257u);
}

}  // namespace
}  // namespace weft::dhcp
