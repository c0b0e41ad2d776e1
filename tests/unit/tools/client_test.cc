// SPDX-License-Identifier: BSD-3-Clause
#include "tools/client.h"

#include "tests/unit/tools/fake_switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::tools {
namespace {

using testing::HasSubstr;

/// The failure `ask` ends in; exit code 0 when it does not fail.
Failure failure_of(const std::string& path, std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
  try {
    (void)ask(path, "stats", nlohmann::json::object(), timeout);
  } catch (const Failure& failure) {
    return failure;
  }
  return {kExitDone, "no failure"};
}

TEST(Ask, SendsOneLineAndGivesBackTheResult) {
  FakeSwitch fake(FakeSwitch::result({{"count", 7}}));
  EXPECT_EQ(ask(fake.path(), "conntrack", {{"count", true}}), nlohmann::json({{"count", 7}}));
  EXPECT_EQ(fake.request(), nlohmann::json({{"command", "conntrack"}, {"args", {{"count", true}}}}));
}

TEST(Ask, TakesAnAnswerOfManyReads) {
  nlohmann::json list = nlohmann::json::array();
  for (int i = 0; i < 50000; ++i) list.push_back(i);
  FakeSwitch fake(FakeSwitch::result(list));
  EXPECT_EQ(ask(fake.path(), "fdb", nlohmann::json::object()).size(), 50000u);
}

TEST(Ask, SendsAnArgumentThatIsNoUtf8WithoutThrowing) {
  FakeSwitch fake(FakeSwitch::result(nlohmann::json::object()));
  EXPECT_EQ(ask(fake.path(), "net-info", {{"network", "\xff"}}), nlohmann::json::object());
}

TEST(Ask, SaysWhatToDoWhenNobodyListens) {
  const Failure failure = failure_of("/nonexistent/weft.sock");
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_STREQ(failure.what(), "no weftd listens on /nonexistent/weft.sock (start it, or give --socket)");
}

TEST(Ask, ASocketLeftByADeadSwitchIsNobodyListening) {
  TemporaryDirectory directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, directory.file("stale").c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  const Failure failure = failure_of(directory.file("stale"));
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_THAT(failure.what(), HasSubstr("no weftd listens on"));
}

TEST(Ask, RefusesAPathNoSocketCanHave) {
  const Failure failure = failure_of("/tmp/" + std::string(200, 'x'));
  EXPECT_EQ(failure.exit_code, 2);
  EXPECT_THAT(failure.what(), HasSubstr("107 characters"));
}

TEST(Ask, PassesOnWhyTheSwitchRefused) {
  FakeSwitch fake(R"({"error":{"message":"no network is called 'x'","exit":1}})"
                  "\n");
  const Failure failure = failure_of(fake.path());
  EXPECT_EQ(failure.exit_code, 1);
  EXPECT_STREQ(failure.what(), "no network is called 'x'");
}

TEST(Ask, TellsWrongUsageFromRefusal) {
  FakeSwitch fake(R"({"error":{"message":"queues: 1 to 8","exit":2}})"
                  "\n");
  EXPECT_EQ(failure_of(fake.path()).exit_code, 2);
}

TEST(Ask, AnErrorNeverLooksLikeSuccess) {
  FakeSwitch fake(R"({"error":{"exit":0}})"
                  "\n");
  EXPECT_EQ(failure_of(fake.path()).exit_code, 1);
}

TEST(Ask, NoticesASwitchThatHangsUp) {
  FakeSwitch fake("{\"result\":");
  const Failure failure = failure_of(fake.path());
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_THAT(failure.what(), HasSubstr("hung up"));
}

TEST(Ask, NoticesSomethingElseBehindTheSocket) {
  FakeSwitch fake("HTTP/1.0 400 Bad Request\n");
  const Failure failure = failure_of(fake.path());
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_THAT(failure.what(), HasSubstr("does not speak as weftd does"));
}

TEST(Ask, DoesNotWaitForeverForASilentSwitch) {
  TemporaryDirectory directory;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, directory.file("mute").c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  const Failure failure = failure_of(directory.file("mute"), std::chrono::milliseconds(50));
  ::close(fd);
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_THAT(failure.what(), HasSubstr("does not answer"));
}

}  // namespace
}  // namespace weft::tools
