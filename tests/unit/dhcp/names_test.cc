// SPDX-License-Identifier: BSD-3-Clause
#include "dhcp/names.h"

#include <gtest/gtest.h>

namespace weft::dhcp {
namespace {

std::span<const uint8_t> bytes(const std::string& s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

TEST(DhcpNames, ALabelIsWhatStandsBeforeTheFirstDot) {
  struct Row {
    std::string name, label;
  };
  const Row rows[] = {
      {"vm1", "vm1"},
      {"VM_1-x", "VM_1-x"},
      {"vm2.lab.test", "vm2"},
      {"vm3.evil.org", "vm3"},
      {"9vm", "9vm"},
      {"", ""},
      {"-vm", ""},
      {"_vm", ""},
      {"bad name", ""},
      {"bad_name!", ""},
      {".lab", ""},
      {"vm?1", ""},
      {"v\xc3\xa4", ""},
      {"vm-", "vm-"},
      {std::string(63, 'a'), std::string(63, 'a')},
      {std::string(64, 'a'), ""},
  };
  for (const Row& row : rows) EXPECT_EQ(host_label(row.name), row.label) << row.name;
}

TEST(DhcpNames, WhatIsKeptCanBeShown) {
  EXPECT_EQ(printable_name(bytes("bad_name!")), "bad_name!");
  EXPECT_EQ(printable_name(bytes(std::string("vm\0tail", 7))), "vm");
  EXPECT_EQ(printable_name(bytes("a\x1b[31m b\xff")), "a?[31m?b?");
  EXPECT_EQ(printable_name(bytes(std::string(300, 'x'))).size(), 255u);
}

TEST(DhcpNames, ReadsFqdnInBothForms) {  // RFC 4702 §2.3
  const auto wire = parse_fqdn(bytes(std::string("\x05\0\0\x03vm4\x03lab\x04test\0", 17)));
  ASSERT_TRUE(wire);
  EXPECT_EQ(wire->name, "vm4.lab.test");
  EXPECT_EQ(wire->flags, 5);
  EXPECT_EQ(parse_fqdn(bytes(std::string("\x04\0\0\x03vm4", 7)))->name, "vm4") << "a partial name";
  EXPECT_EQ(parse_fqdn(bytes(std::string("\x01\0\0vm5.lab.test.", 16)))->name, "vm5.lab.test");
  EXPECT_EQ(parse_fqdn(bytes(std::string("\x04\0\0", 3)))->name, "");
}

TEST(DhcpNames, RefusesFqdnThatDoesNotAddUp) {
  EXPECT_FALSE(parse_fqdn(bytes(std::string("\x04\0", 2))));
  EXPECT_FALSE(parse_fqdn(bytes(std::string("\x04\0\0\x05vm4", 7))));
  EXPECT_FALSE(parse_fqdn(bytes(std::string("\x04\0\0\xc0\x0c", 5)))) << "a compression pointer";
  std::string endless("\x04\0\0", 3);
  for (int i = 0; i < 100; ++i)
    endless +=
        "\x03"
        "abc";
  EXPECT_FALSE(parse_fqdn(bytes(endless)));
}

TEST(DhcpNames, ADotInsideALabelDoesNotEndIt) {
  EXPECT_EQ(parse_fqdn(bytes(std::string("\x04\0\0\x05"
                                         "a.b\0c",
                                         9)))
                ->name,
            "a?b?c");
}

TEST(DhcpNames, AnswersFqdnInTheClientsForm) {
  EXPECT_EQ(make_fqdn(0x05, "vm4.lab"), std::string("\x05\xff\xff\x03vm4\x03lab\0", 12));
  EXPECT_EQ(make_fqdn(0xf1, "vm4.lab"), "\x01\xff\xffvm4.lab") << "the flags' upper half must be zero";
  EXPECT_EQ(make_fqdn(0x04, "a..b"), "");
  EXPECT_EQ(make_fqdn(0x04, std::string(64, 'a')), "");
}

}  // namespace
}  // namespace weft::dhcp
