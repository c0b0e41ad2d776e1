// SPDX-License-Identifier: BSD-3-Clause
//
// `weft import` as a command: files in, YAML and exit code out. What each element becomes is config's to test.
#include "config/load.h"
#include "tests/unit/tools/fake_switch.h"
#include "tools/cli.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::tools {
namespace {

using testing::HasSubstr;

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

class Import : public testing::Test {
 protected:
  std::string file(const char* name, const std::string& text) {
    const std::string path = directory_.file(name);
    std::ofstream(path) << text;
    return path;
  }

  static Outcome import(std::vector<std::string> files) {
    files.insert(files.begin(), "import");
    std::ostringstream out;
    std::ostringstream err;
    const int exit_code = run_cli(files, out, err);
    return {exit_code, out.str(), err.str()};
  }

  TemporaryDirectory directory_;
};

std::string network(const char* name, const char* third_octet, const char* more = "") {
  return std::string("<network>\n  <name>") + name + "</name>\n  <forward/>\n  " + more + "<ip address='192.168." +
         third_octet + ".1' netmask='255.255.255.0'/>\n</network>\n";
}

TEST_F(Import, PrintsYamlThatLoads) {
  const Outcome outcome = import({file("default.xml", network("default", "122"))});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const config::Loaded loaded = config::load(outcome.out, "out.yaml");
  EXPECT_TRUE(loaded.ok()) << config::to_string(loaded.errors) << outcome.out;
  ASSERT_EQ(loaded.config.networks.size(), 1u);
  EXPECT_EQ(loaded.config.networks[0].name, "default");
}

TEST_F(Import, TakesSeveralFilesIntoOneDocument) {
  const Outcome outcome = import({file("a.xml", network("a", "10")), file("b.xml", network("b", "11"))});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(config::load(outcome.out, "out.yaml").config.networks.size(), 2u) << outcome.out;
}

TEST_F(Import, FindsNetworksThatClash) {
  const Outcome outcome = import({file("a.xml", network("a", "10")), file("b.xml", network("a", "11"))});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err, "");
}

TEST_F(Import, AnErrorNamesFileAndLineAndNothingIsPrinted) {
  const std::string good = file("good.xml", network("a", "10"));
  const std::string bad = file("bad.xml", network("b", "11", "<nonsense/>\n  "));
  const Outcome outcome = import({good, bad});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("bad.xml:4:"));
  EXPECT_THAT(outcome.err, HasSubstr("nonsense"));
}

TEST_F(Import, ReportsTheErrorsOfAllFilesAtOnce) {
  const Outcome outcome = import({file("x.xml", "<network><name>"), file("y.xml", "no xml at all")});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("x.xml:"));
  EXPECT_THAT(outcome.err, HasSubstr("y.xml:"));
}

TEST_F(Import, AFileThatCannotBeReadIsNamed) {
  for (const std::string& path : {directory_.file("absent.xml"), directory_.file("")}) {
    const Outcome outcome = import({path});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("cannot be read"));
  }
}

TEST_F(Import, NeedsAFile) { EXPECT_EQ(import({}).exit_code, 2); }

}  // namespace
}  // namespace weft::tools
