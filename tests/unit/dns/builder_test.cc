// SPDX-License-Identifier: BSD-3-Clause
#include "dns/message.h"
#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

TEST(Builder, CompressesOwnersAgainstTheQuestionWhateverTheCase) {
  Bytes out(512);
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("VM1.lab.test"), type::kA, klass::kIn});
  b.add_address(Section::kAnswer, name("vm1.LAB.test"), 7, ip("10.0.0.1"));
  out.resize(b.finish());
  EXPECT_EQ(out.size(), 12 + 14 + 4 + 2 + 10 + 4u);
  EXPECT_EQ(describe(out), "NOERROR | VM1.lab.test A | VM1.lab.test 7 A 10.0.0.1");
}

TEST(Builder, SharesSuffixes) {
  Bytes out(512);
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("a.lab.test"), type::kPtr, klass::kIn});
  b.add_name(Section::kAnswer, name("a.lab.test"), type::kPtr, 0, name("b.lab.test"));
  b.add_name(Section::kAnswer, name("b.lab.test"), type::kPtr, 0, name("c.b.lab.test"));
  out.resize(b.finish());
  EXPECT_EQ(out.size(), 12 + 12 + 4 + (2 + 10 + 4) + (2 + 10 + 4u));
  EXPECT_EQ(describe(out), "NOERROR | a.lab.test PTR | a.lab.test 0 PTR b.lab.test | b.lab.test 0 PTR c.b.lab.test");
}

TEST(Builder, UncompressedNamesAreNotCompressed) {
  Bytes out(512);
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("a.test"), type::kSrv, klass::kIn});
  b.begin_record(Section::kAnswer, name("a.test"), type::kSrv, klass::kIn, 0);
  b.put_name(name("a.test"), false);
  ASSERT_TRUE(b.end_record());
  EXPECT_EQ(b.finish(), 12 + 8 + 4 + 2 + 10 + 8u);
}

TEST(Builder, LeavesOutTheWholeRrsetThatDoesNotFit) {
  Bytes out(12 + 7 + 3 * 16);  // question "a" and three A records
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("a"), type::kA, klass::kIn});
  EXPECT_TRUE(b.add_address(Section::kAnswer, name("a"), 0, ip("10.0.0.1")));
  EXPECT_TRUE(b.add_address(Section::kAnswer, name("b.a"), 0, ip("10.0.0.2")));
  EXPECT_FALSE(b.add_address(Section::kAnswer, name("b.a"), 0, ip("10.0.0.3")));
  EXPECT_FALSE(b.add_address(Section::kAnswer, name("a"), 0, ip("10.0.0.4"))) << "nothing follows a gap";
  out.resize(b.finish());
  EXPECT_EQ(describe(out), "NOERROR tc | a A | a 0 A 10.0.0.1");
}

TEST(Builder, AdditionalRecordsLeftOutAreNoTruncation) {
  Bytes out(12 + 7 + 20);
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("a"), type::kA, klass::kIn});
  EXPECT_TRUE(b.add_address(Section::kAnswer, name("a"), 0, ip("10.0.0.1")));
  EXPECT_FALSE(b.add_address(Section::kAdditional, name("a"), 0, ip("10.0.0.2")));
  out.resize(b.finish());
  EXPECT_EQ(describe(out), "NOERROR | a A | a 0 A 10.0.0.1");
}

TEST(Builder, KeepsRoomForOpt) {
  Bytes out(12 + 7 + 16 + Edns::kSize);
  Builder b(out, 1, flag::kResponse, Edns{.dnssec_ok = true});
  b.add_question({name("a"), type::kA, klass::kIn});
  EXPECT_TRUE(b.add_address(Section::kAnswer, name("a"), 0, ip("10.0.0.1")));
  EXPECT_FALSE(b.add_address(Section::kAnswer, name("c"), 0, ip("10.0.0.2")));
  EXPECT_EQ(b.finish(), out.size());
  EXPECT_EQ(describe(out), "NOERROR tc | a A | a 0 A 10.0.0.1 | opt 1232 do");
}

TEST(Builder, EverySizeGivesAReadableMessage) {
  for (size_t size = kHeaderSize; size < 400; ++size) {
    Bytes out(size);
    Builder b(out, 1, flag::kResponse, Edns{});
    b.add_question({name("host.lab.test"), type::kA, klass::kIn});
    for (uint8_t i = 0; i < 4; ++i)
      b.add_address(Section::kAnswer, name("host.lab.test"), 0, wire::Ipv4Address(10, 0, 0, i));
    for (const char* n : {"x.lab.test", "y.x.lab.test", "z.other"})
      b.add_name(Section::kAuthority, name(n), type::kNs, 1, name("ns.z.other"));
    b.add_soa(Section::kAuthority, name("lab.test"), 5, name("ns.lab.test"), name("root.lab.test"));
    const size_t used = b.finish();
    ASSERT_LE(used, size);
    out.resize(used);
    const std::string text = describe(out);
    EXPECT_EQ(text.find("bad"), std::string::npos) << size << ": " << text;
    EXPECT_EQ(text.find("trailing"), std::string::npos) << size << ": " << text;
    const bool complete = text.find("SOA") != std::string::npos;
    EXPECT_EQ(text.find(" tc") == std::string::npos, complete) << size << ": " << text;
    const bool any_address = text.find("10.0.0.0") != std::string::npos;
    EXPECT_EQ(any_address, text.find("10.0.0.3") != std::string::npos) << "all of an RRset or nothing";
  }
}

TEST(Builder, NamesBeyondPointerReachStayReadable) {
  Bytes out(kMaxMessage);
  Builder b(out, 1, flag::kResponse);
  b.add_question({name("q"), type::kTxt, klass::kIn});
  const Bytes filler(1000, 'x');
  size_t n = 0;
  for (; n < 100; ++n) {
    const std::string owner = fmt::format("n{}.some.zone", n);
    if (!b.add(Section::kAnswer, name(owner), type::kTxt, klass::kIn, 0, filler)) break;
  }
  EXPECT_EQ(n, 64u);  // as many as 65535 bytes hold
  out.resize(b.finish());
  Reader reader(out);
  (void)reader.header();
  (void)reader.question();
  for (size_t i = 0; i < n; ++i) EXPECT_EQ(reader.record()->owner.to_string(), fmt::format("n{}.some.zone", i));
}

}  // namespace
}  // namespace weft::dns
