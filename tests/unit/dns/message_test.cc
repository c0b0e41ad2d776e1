// SPDX-License-Identifier: BSD-3-Clause
#include "dns/message.h"

#include "tests/unit/dns/dns_test.h"

namespace weft::dns {
namespace {

Bytes bytes(std::initializer_list<int> values) { return Bytes(values.begin(), values.end()); }

TEST(Name, TextAndBack) {
  EXPECT_EQ(name("vm1.Lab.test").to_string(), "vm1.Lab.test");
  EXPECT_EQ(name("vm1.lab.test.").to_string(), "vm1.lab.test");
  EXPECT_EQ(name(".").to_string(), ".");
  EXPECT_EQ(name("a.b").n_labels(), 2u);
  EXPECT_EQ(name("a.b").wire().size(), 5u);
}

TEST(Name, RefusesTextThatIsNoName) {
  for (const char* text : {"", "..", ".a", "a..b", "a b", "a\\b", "a\tb", "\x7f", "\xc3\xa4.test"})
    EXPECT_FALSE(Name::from_text(text)) << text;
  EXPECT_FALSE(Name::from_text(std::string_view("a\0b", 3)));
}

TEST(Name, LabelOf63FitsAndOf64DoesNot) {
  EXPECT_TRUE(Name::from_text(std::string(63, 'a')));
  EXPECT_FALSE(Name::from_text(std::string(64, 'a')));
}

TEST(Name, NameOf255BytesFitsAndOf256DoesNot) {
  const std::string label(63, 'a');
  const std::string base = label + "." + label + "." + label + ".";   // 192 bytes on the wire
  const auto longest = Name::from_text(base + std::string(61, 'b'));  // + 62 + 1
  ASSERT_TRUE(longest);
  EXPECT_EQ(longest->wire().size(), 255u);
  EXPECT_FALSE(Name::from_text(base + std::string(62, 'b')));
  EXPECT_FALSE(Name::join(*longest, name("c")));
  EXPECT_TRUE(Name::join(*longest, Name{}));
}

TEST(Name, WireNameOf255BytesFitsAndOf256DoesNot) {
  for (const int last : {61, 62}) {
    Bytes b;
    for (const int n : {63, 63, 63, last}) {
      b.push_back(static_cast<uint8_t>(n));
      b.insert(b.end(), static_cast<size_t>(n), 'x');
    }
    b.push_back(0);
    size_t offset = 0;
    EXPECT_EQ(Name::from_message(b, offset).has_value(), last == 61);
  }
}

TEST(Name, ComparesWithoutCaseAndKeepsIt) {
  EXPECT_TRUE(name("VM.lab") == name("vm.LAB"));
  EXPECT_FALSE(name("vm.lab") == name("vn.lab"));
  EXPECT_FALSE(name("@.lab") == name("`.lab"));  // 0x40 and 0x60 are no letters
  EXPECT_EQ(name("VM.lab").to_string(), "VM.lab");
  EXPECT_EQ(name("VM.lab").lower().key(), name("vm.lab").key());
}

TEST(Name, IsUnderWholeLabelsOnly) {
  EXPECT_TRUE(name("a.lab.test").is_under(name("LAB.test")));
  EXPECT_TRUE(name("lab.test").is_under(name("lab.test")));
  EXPECT_TRUE(name("lab.test").is_under(Name{}));
  EXPECT_FALSE(name("xlab.test").is_under(name("lab.test")));
  EXPECT_FALSE(name("test").is_under(name("lab.test")));
}

TEST(Name, EscapesWhatIsNotPrintable) {
  const Bytes b = bytes({3, 'a', '.', 1, 0});
  size_t offset = 0;
  EXPECT_EQ(Name::from_message(b, offset)->to_string(), "a\\046\\001");
}

struct WireName {
  const char* what;
  Bytes message;
  size_t offset;
  const char* expected;  // nullptr: refused
  size_t end = 0;
};

TEST(Name, ReadsWireNamesWithinTheirBounds) {
  const WireName cases[] = {
      {"root", bytes({0}), 0, ".", 1},
      {"plain", bytes({1, 'a', 0}), 0, "a", 3},
      {"pointer to an earlier name", bytes({1, 'a', 0, 1, 'b', 0xc0, 0}), 3, "b.a", 7},
      {"pointer only", bytes({1, 'a', 0, 0xc0, 0}), 3, "a", 5},
      {"pointer to a pointer", bytes({1, 'a', 0, 0xc0, 0, 0xc0, 3}), 5, "a", 7},
      {"pointer to itself", bytes({0xc0, 0}), 0, nullptr},
      {"pointer to itself behind a label", bytes({1, 'a', 0xc0, 0}), 0, nullptr},
      {"pointer into its own label", bytes({3, 'a', 'b', 'c', 0xc0, 1}), 0, nullptr},
      {"pointer forwards", bytes({0xc0, 3, 0, 1, 'a', 0}), 0, nullptr},
      {"two pointers at each other", bytes({0xc0, 2, 0xc0, 0}), 2, nullptr},
      {"pointer past the end", bytes({0xc0, 0xff}), 0, nullptr},
      {"pointer cut short", bytes({1, 'a', 0xc0}), 0, nullptr},
      {"no closing zero", bytes({1, 'a'}), 0, nullptr},
      {"label cut short", bytes({5, 'a', 'b'}), 0, nullptr},
      {"label type 01", bytes({0x41, 'a', 0}), 0, nullptr},
      {"label type 10", bytes({0x81, 'a', 0}), 0, nullptr},
      {"empty message", bytes({}), 0, nullptr},
      {"offset at the end", bytes({0}), 1, nullptr},
  };
  for (const auto& c : cases) {
    size_t offset = c.offset;
    const auto read = Name::from_message(c.message, offset);
    ASSERT_EQ(read.has_value(), c.expected != nullptr) << c.what;
    if (!read) continue;
    EXPECT_EQ(read->to_string(), c.expected) << c.what;
    EXPECT_EQ(offset, c.end) << c.what;
  }
}

TEST(Name, FollowsAtMost127Pointers) {
  // A ladder: each pointer leads to the one before it.
  Bytes b = bytes({1, 'a', 0});
  size_t last = 0;
  for (size_t i = 0; i < 200; ++i) {
    const size_t at = b.size();
    b.push_back(static_cast<uint8_t>(0xc0 | last >> 8));
    b.push_back(static_cast<uint8_t>(last));
    last = at;
    size_t offset = at;
    EXPECT_EQ(Name::from_message(b, offset).has_value(), i < 127) << i;
  }
}

TEST(Name, LoopThatGrowsEndsAt255Bytes) {
  // Labels in a row, each suffix reachable: a pointer back to the start would repeat them for ever.
  Bytes b;
  for (int i = 0; i < 10; ++i) {
    b.push_back(30);
    b.insert(b.end(), 30, 'x');
  }
  b.push_back(0xc0);
  b.push_back(0);
  size_t offset = 31;
  EXPECT_FALSE(Name::from_message(b, offset));
}

TEST(Query, ReadsAnOrdinaryOne) {
  const auto q =
      parse_query(query_bytes("VM1.lab.test", type::kAaaa, {.edns = Edns{.udp_size = 4096, .dnssec_ok = true}}));
  ASSERT_TRUE(q);
  EXPECT_EQ(q->id, 0x1234);
  EXPECT_EQ(q->question.name.to_string(), "VM1.lab.test");
  EXPECT_EQ(q->question.type, type::kAaaa);
  EXPECT_EQ(q->question.klass, klass::kIn);
  ASSERT_TRUE(q->edns);
  EXPECT_EQ(q->edns->udp_size, 4096);
  EXPECT_TRUE(q->dnssec_ok());
}

TEST(Query, TruncatedAtEveryByteIsNeverAQuery) {
  const Bytes whole = query_bytes("vm1.lab.test", type::kA, {.edns = Edns{}});
  ASSERT_TRUE(parse_query(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto q = parse_query(cut);
    ASSERT_FALSE(q) << size;
    EXPECT_EQ(q.error().ignore, size < kHeaderSize) << size;
    if (size >= kHeaderSize) {
      EXPECT_EQ(q.error().rcode, rcode::kFormErr) << size;
    }
  }
}

struct BadQuery {
  const char* what;
  std::function<void(Bytes&)> spoil;
  const char* answer;  // "" = none
};

TEST(Query, AnswersErrorsByTheirCode) {
  const BadQuery cases[] = {
      {"a response", [](Bytes& b) { b[2] |= 0x80; }, ""},
      {"opcode STATUS", [](Bytes& b) { b[2] |= 0x10; }, "NOTIMP rd ra"},
      {"opcode UPDATE", [](Bytes& b) { b[2] |= 0x28; }, "NOTIMP rd ra"},
      {"no question", [](Bytes& b) { b[5] = 0; }, "FORMERR rd ra"},
      {"two questions", [](Bytes& b) { b[5] = 2; }, "FORMERR rd ra"},
      {"65535 questions", [](Bytes& b) { b[4] = b[5] = 0xff; }, "FORMERR rd ra"},
      {"an answer that is not there", [](Bytes& b) { b[7] = 1; }, "FORMERR rd ra"},
      {"name points at itself", [](Bytes& b) { b[12] = 0xc0, b[13] = 12; }, "FORMERR rd ra"},
      {"name points into the header",
       [](Bytes& b) {
         b[12] = 0xc0, b[13] = 0;
         b.resize(14);
       },
       "FORMERR rd ra"},
      {"EDNS version 1", [](Bytes& b) { b[b.size() - 5] = 1; }, "NOERROR rd ra | opt 1232 high 1"},
      {"OPT not at the root",
       [](Bytes& b) {
         b.insert(b.end() - 11, {1, 'x'});
       },
       "FORMERR rd ra"},
      {"two OPT records",
       [](Bytes& b) {
         const Bytes opt(b.end() - 11, b.end());
         b.insert(b.end(), opt.begin(), opt.end());
         b[11] = 2;
       },
       "FORMERR rd ra | opt 1232"},
      {"OPT in the answer section", [](Bytes& b) { b[7] = 1, b[11] = 0; }, "FORMERR rd ra"},
  };
  for (const auto& c : cases) {
    Bytes b = query_bytes("vm1.lab.test", type::kA, {.edns = Edns{}});
    c.spoil(b);
    const auto q = parse_query(b);
    ASSERT_FALSE(q) << c.what;
    Bytes out(64);
    out.resize(write_error(q.error(), out));
    if (std::string_view(c.answer).empty()) {
      EXPECT_TRUE(out.empty()) << c.what;
      continue;
    }
    std::string text = describe(out);
    // The opcode comes back; describe() does not show it.
    EXPECT_EQ(out[2] & 0x78, b[2] & 0x78) << c.what;
    EXPECT_EQ(text, c.answer) << c.what;
    EXPECT_EQ(out[0], 0x12) << c.what;
    EXPECT_EQ(out[1], 0x34) << c.what;
  }
}

TEST(Query, BytesBehindTheLastRecordAreIgnored) {
  Bytes b = query_bytes("vm1.lab.test", type::kA);
  b.push_back(0xff);
  EXPECT_TRUE(parse_query(b));
}

TEST(Query, ResponseLimitRespectsEdnsWithin512And1232) {
  const auto limit = [](std::optional<Edns> edns, Transport t) {
    return query_of("a", 1, {.edns = edns}).response_limit(t);
  };
  EXPECT_EQ(limit({}, Transport::kUdp), 512u);
  EXPECT_EQ(limit(Edns{.udp_size = 0}, Transport::kUdp), 512u);
  EXPECT_EQ(limit(Edns{.udp_size = 700}, Transport::kUdp), 700u);
  EXPECT_EQ(limit(Edns{.udp_size = 65535}, Transport::kUdp), 1232u);
  EXPECT_EQ(limit(Edns{.udp_size = 512}, Transport::kTcp), 65535u);
}

TEST(Reader, TtlWithTheTopBitReadsAsZero) {
  Bytes b = response_bytes(query_bytes("a", 1), {{"a", "10.0.0.1", 0x80000001}});
  Reader reader(b);
  (void)reader.header();
  (void)reader.question();
  EXPECT_EQ(reader.record()->ttl, 0u);
}

}  // namespace
}  // namespace weft::dns
