// SPDX-License-Identifier: BSD-3-Clause
#include "tools/cli.h"

#include "tests/unit/tools/fake_switch.h"
#include "tools/bench.h"
#include "tools/command.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

Outcome weft(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int exit_code = run_cli(arguments, out, err);
  return {exit_code, out.str(), err.str()};
}

constexpr const char* kNobody = "/nonexistent/weft.sock";

TEST(Help, NamesEveryCommandAndNoneOfLater) {
  const Outcome outcome = weft({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const Command& command : commands()) EXPECT_THAT(outcome.out, HasSubstr(command.name));
  EXPECT_THAT(outcome.out, Not(HasSubstr("capture")));
  EXPECT_EQ(outcome.err, "");
}

TEST(Help, TellsEachCommandsArguments) {
  for (const Command& command : commands()) {
    const Outcome outcome = weft({command.name, "--help"});
    EXPECT_EQ(outcome.exit_code, 0) << command.name;
    for (const Positional& positional : command.positionals) EXPECT_THAT(outcome.out, HasSubstr(positional.name));
    for (const Option& option : command.options) EXPECT_THAT(outcome.out, HasSubstr(std::string("--") + option.name));
  }
}

TEST(Help, ComesBeforeMissingArguments) { EXPECT_EQ(weft({"net-info", "--help"}).exit_code, 0); }

TEST(Version, IsPrinted) {
  EXPECT_EQ(weft({"--version"}).out, "weft " WEFT_VERSION "\n");
  EXPECT_EQ(weft({"stats", "--version"}).exit_code, 0);
}

TEST(Usage, AMissingCommandIsWrongUsage) {
  const Outcome outcome = weft({});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "weft: a command is missing (weft --help lists them)\n");
}

TEST(Usage, AnUnknownCommandIsWrongUsageAndTheNearestIsNamed) {
  EXPECT_EQ(weft({"net-lst"}).exit_code, 2);
  EXPECT_EQ(weft({"net-lst"}).err, "weft: unknown command 'net-lst'; did you mean net-list?\n");
  EXPECT_EQ(weft({"conn"}).err, "weft: unknown command 'conn'; did you mean conntrack?\n");
  EXPECT_THAT(weft({"frobnicate"}).err, Not(HasSubstr("did you mean")));
  EXPECT_THAT(weft({"\x1b[2J"}).err, Not(HasSubstr("\x1b")));
}

TEST(Usage, ACommandOfLaterIsNotSupportedYet) {
  const Outcome outcome = weft({"capture", "vm1", "-w", "-"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "weft: capture is not supported yet\n");
}

TEST(Usage, WrongArgumentsAreWrongUsage) {
  EXPECT_EQ(weft({"net-info"}).exit_code, 2);
  EXPECT_THAT(weft({"net-info"}).err, HasSubstr("NET is missing"));
  EXPECT_EQ(weft({"net-info", "a", "b"}).exit_code, 2);
  EXPECT_EQ(weft({"net-list", "--al"}).exit_code, 2) << "no guessing of options";
  EXPECT_EQ(weft({"net-list", "--nonsense"}).exit_code, 2);
  EXPECT_EQ(weft({"--nonsense", "net-list"}).exit_code, 2);
  EXPECT_EQ(weft({"--socket"}).exit_code, 2);
  EXPECT_EQ(weft({"net-dump", "default", "--xml", "--yaml"}).exit_code, 2);
}

TEST(Usage, WrongUsageIsFoundBeforeTheSwitchIsAsked) {
  EXPECT_EQ(weft({"--socket", kNobody, "port-add", "default", "vm1"}).exit_code, 2);
}

TEST(NoSwitch, ExitsWithThree) {
  const Outcome outcome = weft({"--socket", kNobody, "net-list"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "weft: no weftd listens on /nonexistent/weft.sock (start it, or give --socket)\n");
}

// The generator is not installed beside this test.
TEST(Bench, WithoutTheGeneratorSaysWhereItLooked) {
  ASSERT_FALSE(has_bench());
  const Outcome outcome = weft({"bench", "--socket", "a", "--no-option-of-ours"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("weft-bench is not installed (looked for "));
}

TEST(Bench, TheGeneratorIsLookedForInTheBuildAndWhereItIsInstalled) {
  const auto places = bench_places("/usr/bin/weft");
  EXPECT_THAT(places, testing::Contains("/usr/libexec/weft/weft-bench"));
  EXPECT_THAT(places, testing::Contains("/usr/bin/weft-bench"));
  EXPECT_THAT(bench_places("/src/build/tools/weft"), testing::Contains("/src/build/bench/generator/weft-bench"));
}

TEST(Globals, MayStandBeforeOrAfterTheCommand) {
  for (const bool is_before : {true, false}) {
    FakeSwitch fake(FakeSwitch::result({{"networks", nlohmann::json::array()}}));
    const Outcome outcome = is_before ? weft({"--json", "--socket", fake.path(), "net-list"})
                                      : weft({"net-list", "--socket=" + fake.path(), "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out), nlohmann::json({{"networks", nlohmann::json::array()}}));
  }
}

TEST(Json, PrintsTheResultAsItIsAndAsPlainAscii) {
  const nlohmann::json result{{"leases", {{{"hostname", "\x1b[2Jvm\xc2\x9b"}}}}};
  FakeSwitch fake(FakeSwitch::result(result));
  const Outcome outcome = weft({"--socket", fake.path(), "--json", "net-dhcp-leases", "default"});
  EXPECT_EQ(nlohmann::json::parse(outcome.out), result);
  for (const char c : outcome.out) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
}

TEST(Refusal, GoesToStderrWithItsExitCode) {
  FakeSwitch fake(R"({"error":{"message":"port 'vm\u001b1' exists","exit":1}})"
                  "\n");
  const Outcome outcome = weft({"--socket", fake.path(), "--json", "port-remove", "vm1"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "weft: port 'vm\\x1b1' exists\n");
}

TEST(Answer, AResultOfAnotherShapeIsSaidSo) {
  FakeSwitch fake(FakeSwitch::result({{"nets", 1}}));
  const Outcome outcome = weft({"--socket", fake.path(), "net-list"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("not what weft"));
}

}  // namespace
}  // namespace weft::tools
