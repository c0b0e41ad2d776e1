// SPDX-License-Identifier: BSD-3-Clause
#include "bench/generator/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::bench {
namespace {

using testing::HasSubstr;

std::vector<std::string> with_sockets(std::vector<std::string> more) {
  more.insert(more.begin(), {"--socket", "a", "--socket", "b"});
  return more;
}

/// What it is refused with; empty: it is not.
std::string refusal(const std::vector<std::string>& arguments) {
  try {
    (void)parse_options(arguments);
    return "";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.exit_code, kExitUsage);
    return failure.what();
  }
}

TEST(Options, Defaults) {
  const auto o = parse_options(with_sockets({}));
  ASSERT_TRUE(o);
  EXPECT_EQ(o->mode, Mode::throughput);
  EXPECT_EQ(o->size, 64u);
  EXPECT_EQ(o->flows(), 256u);
  EXPECT_THAT(o->sockets, testing::ElementsAre("a", "b"));
}

TEST(Options, TheModeMayStandAnywhere) {
  EXPECT_EQ(parse_options(with_sockets({"latency"}))->mode, Mode::latency);
  EXPECT_EQ(parse_options({"nat", "--socket", "a", "--socket", "b"})->mode, Mode::nat);
  EXPECT_THAT(refusal(with_sockets({"fast"})), HasSubstr("'fast' is no mode"));
}

TEST(Options, WhatFollowsFromOthers) {
  EXPECT_EQ(parse_options(with_sockets({"--tso"}))->size, 32768u);
  EXPECT_EQ(parse_options(with_sockets({"--macs", "100000"}))->flows(), 100'000u);
  const auto latency = parse_options(with_sockets({"latency"}));
  EXPECT_TRUE(latency->checks);
  EXPECT_EQ(latency->pps, 100'000);
}

TEST(Options, AGuestForEachNumber) {
  const auto o = parse_options({"hold", "--socket", "/tmp/p%d.sock", "--guests", "3"});
  EXPECT_THAT(o->sockets, testing::ElementsAre("/tmp/p0.sock", "/tmp/p1.sock", "/tmp/p2.sock"));
  EXPECT_THAT(refusal({"--socket", "a", "--guests", "3"}), HasSubstr("%d"));
}

TEST(Options, WhatMakesNoSenseIsRefused) {
  EXPECT_THAT(refusal({}), HasSubstr("--socket"));
  EXPECT_THAT(refusal({"--socket", "a"}), HasSubstr("at least two"));
  EXPECT_THAT(refusal({"nat", "--socket", "a", "--socket", "b", "--socket", "c"}), HasSubstr("two"));
  EXPECT_THAT(refusal(with_sockets({"--size", "63"})), HasSubstr("--size: 64 to 9018, not 63"));
  EXPECT_THAT(refusal(with_sockets({"--size", "10000"})), HasSubstr("--size"));
  EXPECT_THAT(refusal(with_sockets({"--ring", "100"})), HasSubstr("power of two"));
  EXPECT_THAT(refusal(with_sockets({"--flows", "5000000"})), HasSubstr("--flows"));
  EXPECT_THAT(refusal(with_sockets({"--macs", "10", "--flows", "5"})), HasSubstr("--macs"));
  EXPECT_THAT(refusal(with_sockets({"--burst", "0"})), HasSubstr("--burst"));
  EXPECT_THAT(refusal(with_sockets({"--seconds", "-1"})), HasSubstr("--seconds"));
  EXPECT_THAT(refusal(with_sockets({"--seconds", "nan"})), HasSubstr("--seconds"));
  EXPECT_THAT(refusal(with_sockets({"--new-sessions"})), HasSubstr("nat"));
  EXPECT_THAT(refusal(with_sockets({"latency", "--tso"})), HasSubstr("--tso"));
  EXPECT_THAT(refusal(with_sockets({"nat", "--gateway", "1.2.3"})), HasSubstr("--gateway"));
  EXPECT_THAT(refusal(with_sockets({"nat", "--gateway-mac", "zz"})), HasSubstr("--gateway-mac"));
  EXPECT_NE(refusal(with_sockets({"--nonsense"})), "");
  EXPECT_NE(refusal(with_sockets({"--siz", "64"})), "") << "no guessing";
}

}  // namespace
}  // namespace weft::bench
