// SPDX-License-Identifier: BSD-3-Clause
#include "tools/print.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace weft::tools {
namespace {

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable("vm1.lab.test"), "vm1.lab.test");
  EXPECT_EQ(printable("büro-東京"), "büro-東京");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("\x1b[2Jvm"), "\\x1b[2Jvm");
  EXPECT_EQ(printable("a\nb\rc\td"), "a\\x0ab\\x0dc\\x09d");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\u{9b}") << "C1: CSI in one character";
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, EscapesWhatCannotBeSeenOrTurnsTheDirection) {
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u{202e}b");
  EXPECT_EQ(printable("a\xe2\x80\x8b"
                      "b"),
            "a\\u{200b}b");
}

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc3"), "\\xc3") << "cut short";
  EXPECT_EQ(printable("\xc0\x80"), "\\xc0\\x80") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
}

TEST(Printable, ABackslashCannotPassForAnEscape) { EXPECT_EQ(printable("\\x1b"), "\\\\x1b"); }

TEST(Printable, LinesKeepTheirNewlinesOnly) { EXPECT_EQ(printable_lines("a\nb\x1b\n"), "a\nb\\x1b\n"); }

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Numbers, BytesGetAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes((uint64_t{1} << 20) - 1), "1.0 MiB") << "never 1024.0 KiB";
  EXPECT_EQ(human_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(Numbers, DurationsShowTheUnitsThatMatter) {
  EXPECT_EQ(human_duration(0), "0 s");
  EXPECT_EQ(human_duration(59), "59 s");
  EXPECT_EQ(human_duration(3600), "1 h");
  EXPECT_EQ(human_duration(93784), "1 d 2 h 3 min");
}

TEST(Numbers, TimesAreLocalAndNeverIsZero) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ(local_time(1714570620), "2024-05-01 13:37:00");
  EXPECT_EQ(local_time(0), "never");
}

TEST(Table, LooksAsVirshDrawsIt) {
  Table table({{"Id"}, {"Name"}, {"State"}});
  table.row({"1", "debian", "running"});
  EXPECT_EQ(table.str(),
            " Id   Name     State\n"
            "------------------------\n"
            " 1    debian   running\n"
            "\n");
}

TEST(Table, RightAlignsNumbersAndCountsCharactersNotBytes) {
  Table table({{"N", Table::Align::kRight}, {"Name"}, {"X"}});
  table.row({"1,000", "büro", "x"});
  EXPECT_EQ(table.str(),
            "     N   Name   X\n"
            "-------------------\n"
            " 1,000   büro   x\n"
            "\n");
}

TEST(Table, EscapesItsCells) {
  Table table({{"Hostname"}});
  table.row({"\x1b]0;owned\x07"});
  EXPECT_EQ(table.str().find('\x1b'), std::string::npos);
}

TEST(Facts, AlignTheirValues) {
  Facts facts;
  facts.add("Name", "default");
  facts.add("Persistent", "yes");
  EXPECT_EQ(facts.str(), "Name:           default\nPersistent:     yes\n");
}

}  // namespace
}  // namespace weft::tools
