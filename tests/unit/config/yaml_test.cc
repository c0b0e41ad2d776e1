// SPDX-License-Identifier: BSD-3-Clause
//
// Files that are not YAML, or too much of it: refused in one line, never a crash.
#include "config/load.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::config {
namespace {

using testing::Eq;
using testing::HasSubstr;
using testing::StartsWith;

std::string only_error(const std::string& text) {
  const Loaded loaded = load(text, "f.yaml");
  EXPECT_EQ(loaded.errors.size(), 1u) << to_string(loaded.errors);
  return loaded.errors.empty() ? "" : loaded.errors[0].to_string();
}

std::string repeated(const std::string& piece, size_t times) {
  std::string s;
  for (size_t i = 0; i < times; ++i) s += piece;
  return s;
}

TEST(Yaml, EmptyFileIsAnEmptyConfiguration) {
  for (const char* text : {"", "# nothing\n", "---\n", "networks:\n", "networks: []\nports: []\n"}) {
    const Loaded loaded = load(text, "f.yaml");
    EXPECT_TRUE(loaded.ok()) << text << to_string(loaded.errors);
    EXPECT_EQ(loaded.config, Config{}) << text;
  }
}

TEST(Yaml, SyntaxErrorNamesItsPlace) {
  EXPECT_THAT(only_error("networks:\n  - name: \"open\n"),
              Eq("f.yaml:2:11: not YAML: the quote that begins here is never closed"));
  EXPECT_THAT(only_error("switch: {state: 'it''s\n}\n"), HasSubstr("f.yaml:1:17: not YAML: the quote"));
  EXPECT_THAT(only_error("a: b: c\n"), StartsWith("f.yaml:1:5: not YAML: "));
  EXPECT_THAT(only_error("networks: *nobody\n"), StartsWith("f.yaml:1:11: not YAML: "));
}

TEST(Yaml, RootMustBeAMap) {
  EXPECT_EQ(only_error("- a\n"), "f.yaml:1:1: expected a map of keys and values, found a list");
  EXPECT_EQ(only_error("hello\n"), "f.yaml:1:1: expected a map of keys and values, found 'hello'");
}

TEST(Yaml, SecondDocumentIsRefused) { EXPECT_THAT(only_error("a: 1\n---\nb: 2\n"), HasSubstr("a second document")); }

TEST(Yaml, TagsAndStructuredKeysAreRefused) {
  EXPECT_THAT(only_error("a: !!binary aGk=\n"), HasSubstr("tags are not used here"));
  EXPECT_THAT(only_error("? [a]\n: 1\n"), HasSubstr("a key is a single word"));
}

TEST(Yaml, ControlCharactersAreRefusedWithTheirPlace) {
  EXPECT_EQ(only_error(std::string("a: 1\nb: \0x\n", 11)), "f.yaml:2:4: a control character (byte 0x00)");
}

TEST(Yaml, OnlyUtf8IsRead) {
  EXPECT_EQ(only_error("a: 1\nb: \"\xff\"\n"), "f.yaml:2:5: not UTF-8, which is the one encoding read here");
  EXPECT_TRUE(load("\xef\xbb\xbfnetworks: [{name: \"\xc3\xa4\"}]\n", "f").ok());
}

TEST(Yaml, DeepNestingOfAnyKindIsRefused) {
  for (const std::string& text : {repeated("[", 300000), repeated("{a: ", 300000), repeated("- ", 300000),
                                  repeated("? ", 300000), repeated("{", 300000)})
    EXPECT_THAT(only_error(text), HasSubstr("nested more than 32 levels deep")) << text.substr(0, 8);
  std::string by_indentation;
  for (size_t i = 0; i < 200; ++i) by_indentation += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(only_error(by_indentation), HasSubstr("nested more than 32 levels deep"));
}

TEST(Yaml, AliasBombIsRefusedBeforeItGrows) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string n = std::to_string(i), p = std::to_string(i - 1);
    text += "a" + n + ": &a" + n + " [" + repeated("*a" + p + ",", 9) + "*a" + p + "]\n";
  }
  EXPECT_THAT(only_error(text), HasSubstr("more than 1000000 values"));
}

TEST(Yaml, AliasInsideItselfIsRefused) { EXPECT_THAT(only_error("a: &a [*a]\n"), HasSubstr("inside what it names")); }

TEST(Yaml, AliasesWork) {
  const Loaded loaded = load(
      "networks:\n  - name: a\n    ips: [{address: 192.0.2.1, prefix: 25, dhcp: {ranges: [{start: "
      "192.0.2.10, end: 192.0.2.20, "
      "lease: &l {expiry: 5}}, {start: 192.0.2.30, end: 192.0.2.40, lease: *l}]}}]\n",
      "f.yaml");
  ASSERT_TRUE(loaded.ok()) << to_string(loaded.errors);
  EXPECT_EQ(loaded.config.networks[0].ips[0].dhcp.ranges[1].lease_seconds, 300u);
}

TEST(Yaml, FilesBeyondTheLimitAreRefused) {
  EXPECT_THAT(only_error(std::string((size_t{16} << 20) + 1, '#')), HasSubstr("the limit is 16 MiB"));
}

TEST(Yaml, UnreadableFilesSayWhy) {
  EXPECT_EQ(to_string(load_file("/nonexistent/weft.yaml").errors),
            "/nonexistent/weft.yaml: cannot be read: No such file or directory\n");
  EXPECT_EQ(to_string(load_file("/").errors), "/: cannot be read: it is a directory\n");
  EXPECT_THAT(to_string(load_file("/dev/zero").errors), HasSubstr("the limit is 16 MiB"));
}

TEST(Yaml, MessagesAreOneLineWhateverTheFileHolds) {
  const Loaded loaded = load("switch: {idle: \"a\\nb\\x1b[31m\"}\n", "f.yaml");
  EXPECT_EQ(to_string(loaded.errors), "f.yaml:1:16: switch.idle: expected adaptive or poll, found 'a\\nb\\x1b[31m'\n");
}

}  // namespace
}  // namespace weft::config
