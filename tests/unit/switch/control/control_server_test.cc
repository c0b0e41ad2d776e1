// SPDX-License-Identifier: BSD-3-Clause
#include "switch/control_server.h"

#include "dataplane/unique_fd.h"
#include "tests/unit/switch/control/temporary_folder.h"

#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace weft::vswitch {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using dataplane::UniqueFd;
namespace fs = std::filesystem;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  EXPECT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

/// One connection, and what has come over it.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = address_of(path);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << strerror(errno);
  }
  void hang_up() { fd_.reset(); }
  void end_sending() { shutdown(fd_.get(), SHUT_WR); }
  /// How many bytes the kernel took; nothing: the other side is gone.
  std::optional<size_t> send_some(std::string_view bytes) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return static_cast<size_t>(n);
    return errno == EAGAIN ? std::optional<size_t>(0) : std::nullopt;
  }
  /// The next line that has come.
  std::optional<std::string> line() {
    receive();
    const size_t end = received_.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string first = received_.substr(0, end);
    received_.erase(0, end + 1);
    return first;
  }
  bool is_closed() {
    receive();
    return is_closed_;
  }

 private:
  void receive() {
    char buffer[65536];
    while (!is_closed_) {
      const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0)
        is_closed_ = true;
      else
        received_.append(buffer, static_cast<size_t>(n));
    }
  }
  UniqueFd fd_;
  std::string received_;
  bool is_closed_ = false;
};

std::string request(const std::string& command, const Json& arguments = Json::object()) {
  return Json{{"command", command}, {"args", arguments}}.dump() + "\n";
}

/// A server whose handler knows a few commands; the test's thread is the control thread.
class ControlServerTest : public testing::Test {
 protected:
  void SetUp() override { serve(); }
  void serve() { server_.emplace(io_, path_, SocketAccess{.mode = 0600}, handler()); }

  ControlServer::Handler handler() {
    return [this](const std::string& command, const Json& arguments, ControlServer::Respond respond) {
      ++n_handled_;
      if (command == "echo") return respond(arguments);
      if (command == "size") return respond(arguments.size());
      if (command == "later") return later_.push_back(std::move(respond));
      if (command == "fail") throw std::runtime_error("the disk is full");
      if (command == "number") return respond(arguments.at("n").get<int>());
      if (command == "bytes") return respond(std::string("a\xff") + "b");
      if (command == "much") return respond(std::string(arguments.at("size").get<size_t>(), 'm'));
      throw CommandError("no such command: " + command, 2);
    };
  }

  /// Turns the loop until `is_done`; false when it never is.
  bool run_until(const std::function<bool()>& is_done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!is_done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io_.restart();
      io_.run_one_for(1ms);
    }
    return true;
  }
  /// All of it, unless the server hangs up first.
  void send(Client& client, std::string_view bytes) {
    EXPECT_TRUE(run_until([&] {
      const auto n = client.send_some(bytes);
      if (n) bytes.remove_prefix(*n);
      return !n || bytes.empty();
    }));
  }
  Json answer(Client& client) {
    std::optional<std::string> line;
    EXPECT_TRUE(run_until([&] { return (line = client.line()) || client.is_closed(); }));
    if (!line) {
      ADD_FAILURE() << "the server hung up without an answer";
      return {};
    }
    return Json::parse(*line, nullptr, false);
  }
  Json ask(Client& client, const std::string& line) {
    send(client, line);
    return answer(client);
  }
  bool waits_for(size_t n) {
    return run_until([&] { return later_.size() == n; });
  }

  static Json error(const std::string& message, int exit) {
    return {{"error", {{"message", message}, {"exit", exit}}}};
  }
  static Json result(const Json& value) { return {{"result", value}}; }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.file("weft.sock");
  boost::asio::io_context io_;
  std::vector<ControlServer::Respond> later_;
  size_t n_handled_ = 0;
  std::optional<ControlServer> server_;
};

// ---- requests and answers ------------------------------------------------------------------------------------------

TEST_F(ControlServerTest, ARequestIsAnsweredWithTheHandlersResult) {
  Client client(path_);
  EXPECT_EQ(ask(client, request("echo", {{"name", "default"}})), result({{"name", "default"}}));
}

TEST_F(ControlServerTest, ARequestWithoutArgumentsHasNone) {
  Client client(path_);
  EXPECT_EQ(ask(client, "{\"command\": \"echo\"}\n"), result(Json::object()));
}

TEST_F(ControlServerTest, AConnectionServesOneRequestAfterAnother) {
  Client client(path_);
  ask(client, request("echo", {{"n", 1}}));
  EXPECT_EQ(ask(client, request("echo", {{"n", 2}})), result({{"n", 2}}));
}

TEST_F(ControlServerTest, ARequestThatComesByteByByteIsOneRequest) {
  Client client(path_);
  const std::string line = request("echo", {{"n", 1}});
  for (const char& c : line) {
    send(client, {&c, 1});
    io_.restart();
    io_.poll();
  }
  EXPECT_EQ(answer(client), result({{"n", 1}}));
}

TEST_F(ControlServerTest, ALargeAnswerArrivesWhole) {
  Client client(path_);
  const Json answer = ask(client, request("much", {{"size", 2 << 20}}));
  EXPECT_EQ(answer["result"].get<std::string>().size(), size_t{2} << 20);
}

TEST_F(ControlServerTest, BytesThatAreNoTextAreReplacedInAnAnswer) {
  Client client(path_);
  EXPECT_EQ(ask(client, request("bytes")), result("a\xef\xbf\xbd"
                                                  "b"));
}

TEST_F(ControlServerTest, ALateAnswerArrives) {
  Client client(path_);
  send(client, request("later"));
  ASSERT_TRUE(waits_for(1));
  later_[0](5);
  EXPECT_EQ(answer(client), result(5));
}

TEST_F(ControlServerTest, AfterALateAnswerTheConnectionGoesOn) {
  Client client(path_);
  send(client, request("later"));
  ASSERT_TRUE(waits_for(1));
  later_[0](5);
  answer(client);
  EXPECT_EQ(ask(client, request("echo")), result(Json::object()));
}

// ---- refusals ------------------------------------------------------------------------------------------------------

TEST_F(ControlServerTest, AnUnknownCommandIsRefusedAsTheHandlerSays) {
  Client client(path_);
  EXPECT_EQ(ask(client, request("fly")), error("no such command: fly", 2));
}

TEST_F(ControlServerTest, AfterARefusalTheConnectionGoesOn) {
  Client client(path_);
  ask(client, request("fly"));
  EXPECT_EQ(ask(client, request("echo")), result(Json::object()));
}

TEST_F(ControlServerTest, ALateRefusalHasItsMessageAndExitCode) {
  Client client(path_);
  send(client, request("later"));
  ASSERT_TRUE(waits_for(1));
  later_[0].refuse(CommandError("changed my mind", 3));
  EXPECT_EQ(answer(client), error("changed my mind", 3));
}

TEST_F(ControlServerTest, AnExceptionOfTheHandlerIsAnErrorWithExit1) {
  Client client(path_);
  EXPECT_EQ(ask(client, request("fail")), error("the disk is full", 1));
}

TEST_F(ControlServerTest, AnArgumentOfTheWrongTypeIsAnErrorWithExit2) {
  Client client(path_);
  EXPECT_EQ(ask(client, request("number", {{"n", "one"}}))["error"]["exit"], 2);
}

TEST_F(ControlServerTest, ArgumentsThatAreNoObjectAreRefused) {
  for (const char* arguments : {"null", "5", "[]", "\"text\""}) {
    Client client(path_);
    EXPECT_EQ(ask(client, std::string(R"({"command": "echo", "args": )") + arguments + "}\n"),
              error("'args' is to be an object", 2))
        << arguments;
  }
}

TEST_F(ControlServerTest, DeeplyNestedArgumentsDoNoHarm) {
  Client client(path_);
  const size_t depth = 200'000;
  const std::string nested = std::string(depth, '[') + std::string(depth, ']');
  EXPECT_EQ(ask(client, R"({"command": "size", "args": {"a": )" + nested + "}}\n"), result(1));
}

class MalformedRequest : public ControlServerTest, public testing::WithParamInterface<const char*> {};

TEST_P(MalformedRequest, IsRefused) {
  Client client(path_);
  EXPECT_EQ(ask(client, std::string(GetParam()) + "\n")["error"]["exit"], 2);
}

TEST_P(MalformedRequest, NeverReachesTheHandler) {
  Client client(path_);
  ask(client, std::string(GetParam()) + "\n");
  EXPECT_EQ(n_handled_, 0u);
}

TEST_P(MalformedRequest, EndsTheConnection) {
  Client client(path_);
  send(client, std::string(GetParam()) + "\n");
  EXPECT_TRUE(run_until([&] { return client.is_closed(); }));
}

INSTANTIATE_TEST_SUITE_P(Kinds, MalformedRequest,
                         testing::Values("", " ", "echo", "{", "null", "5", "[]", "{}", R"({"args": {}})",
                                         R"({"command": 5})", R"({"command": null})", R"({"command": {}})",
                                         R"({"command": "echo"} {"command": "echo"})", R"({"command": "echo)",
                                         "{\"command\": \"\xff\"}", "[[[[[[[["));

TEST_F(ControlServerTest, ARequestOfTheGreatestSizeIsServed) {
  Client client(path_);
  std::string line = request("size", {{"a", ""}});
  line.insert(line.find("\"\"") + 1, ControlServer::kMaxRequest - line.size(), 'x');
  ASSERT_EQ(line.size(), ControlServer::kMaxRequest);
  EXPECT_EQ(ask(client, line), result(1));
}

TEST_F(ControlServerTest, ARequestThatIsTooLongIsRefused) {
  Client client(path_);
  EXPECT_EQ(ask(client, std::string(ControlServer::kMaxRequest, 'x')), error("request too long", 2));
}

TEST_F(ControlServerTest, ARequestThatIsTooLongEndsTheConnection) {
  Client client(path_);
  send(client, std::string(4 * ControlServer::kMaxRequest, 'x'));
  EXPECT_TRUE(run_until([&] { return client.is_closed(); }));
}

// ---- several at once -----------------------------------------------------------------------------------------------

TEST_F(ControlServerTest, RequestsSentTogetherAreAnsweredInOrder) {
  Client client(path_);
  constexpr int kRequests = 1000;
  std::string lines;
  for (int i = 0; i < kRequests; ++i) lines += request("echo", {{"n", i}});
  send(client, lines);
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(answer(client), result({{"n", i}}));
}

TEST_F(ControlServerTest, TheNextRequestWaitsForTheAnswerToTheOneBefore) {
  Client client(path_), other(path_);
  send(client, request("later") + request("later"));
  ASSERT_TRUE(waits_for(1));
  ask(other, request("echo"));
  EXPECT_EQ(later_.size(), 1u);
}

TEST_F(ControlServerTest, AnswersMayComeInAnyOrderOfConnections) {
  Client first(path_), second(path_);
  send(first, request("later"));
  ASSERT_TRUE(waits_for(1));
  send(second, request("later"));
  ASSERT_TRUE(waits_for(2));
  later_[1]("second");
  EXPECT_EQ(answer(second), result("second"));
  later_[0]("first");
  EXPECT_EQ(answer(first), result("first"));
}

TEST_F(ControlServerTest, AConnectionBeyondTheMostIsClosed) {
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < ControlServer::kMaxConnections; ++i) {
    clients.push_back(std::make_unique<Client>(path_));
    ask(*clients.back(), request("echo"));
  }
  Client one_more(path_);
  EXPECT_TRUE(run_until([&] { return one_more.is_closed(); }));
}

TEST_F(ControlServerTest, AConnectionThatEndsMakesRoomForAnother) {
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < ControlServer::kMaxConnections; ++i) {
    clients.push_back(std::make_unique<Client>(path_));
    ask(*clients.back(), request("echo"));
  }
  clients.pop_back();
  io_.restart();
  while (io_.poll_one() != 0) {
  }
  Client another(path_);
  EXPECT_EQ(ask(another, request("echo")), result(Json::object()));
}

// ---- clients that go away ------------------------------------------------------------------------------------------

TEST_F(ControlServerTest, AClientThatHangsUpBeforeItsAnswerDisturbsNobody) {
  Client client(path_), other(path_);
  send(client, request("later"));
  ASSERT_TRUE(waits_for(1));
  client.hang_up();
  later_[0](std::string(1 << 20, 'x'));
  EXPECT_EQ(ask(other, request("echo")), result(Json::object()));
}

TEST_F(ControlServerTest, AClientThatHangsUpBeforeItsAnswerFreesItsPlace) {
  for (size_t i = 0; i < ControlServer::kMaxConnections; ++i) {
    Client client(path_);
    send(client, request("later"));
    ASSERT_TRUE(waits_for(i + 1));
  }
  for (const auto& respond : later_) respond(5);
  io_.restart();
  while (io_.poll_one() != 0) {
  }
  Client another(path_);
  EXPECT_EQ(ask(another, request("echo")), result(Json::object()));
}

TEST_F(ControlServerTest, AClientThatHangsUpInTheMiddleOfARequestIsForgotten) {
  Client client(path_), other(path_);
  send(client, "{\"command\": \"ec");
  client.hang_up();
  ask(other, request("echo"));
  EXPECT_EQ(n_handled_, 1u);
}

TEST_F(ControlServerTest, AClientThatOnlyStopsSendingGetsItsAnswer) {
  Client client(path_);
  send(client, request("later"));
  client.end_sending();
  ASSERT_TRUE(waits_for(1));
  later_[0](5);
  EXPECT_EQ(answer(client), result(5));
}

TEST_F(ControlServerTest, AnAnswerAfterTheServersEndGoesNowhere) {
  Client client(path_);
  send(client, request("later"));
  ASSERT_TRUE(waits_for(1));
  server_.reset();
  later_[0](5);
  EXPECT_TRUE(run_until([&] { return client.is_closed(); }));
  EXPECT_EQ(client.line(), std::nullopt);
}

TEST_F(ControlServerTest, TheServersEndClosesIdleConnections) {
  Client client(path_);
  ask(client, request("echo"));
  server_.reset();
  EXPECT_TRUE(run_until([&] { return client.is_closed(); }));
}

// ---- the socket ----------------------------------------------------------------------------------------------------

class ControlSocket : public ControlServerTest {
 protected:
  void SetUp() override {}
  void serve_at(const std::string& path, const SocketAccess& access = {}) {
    server_.reset();
    server_.emplace(io_, path, access, handler());
  }
  /// What it says when it cannot serve there; empty: it can.
  std::string why_not(const std::string& path, const SocketAccess& access = {}) {
    try {
      ControlServer another(io_, path, access, handler());
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
    return st;
  }
  /// A socket nobody listens on, as a killed weftd leaves it.
  void leave_stale_socket() {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path_);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(fd.get(), 1), 0);
  }
};

TEST_F(ControlSocket, HasTheModeAskedFor) {
  for (const int mode : {0600, 0640, 0660, 0666, 0000}) {
    serve_at(path_, {.mode = mode});
    EXPECT_EQ(stat_of(path_).st_mode & 07777, static_cast<mode_t>(mode));
  }
}

TEST_F(ControlSocket, HasTheModeAskedForWhateverTheUmask) {
  const mode_t before = umask(0777);
  serve_at(path_, {.mode = 0660});
  umask(before);
  EXPECT_EQ(stat_of(path_).st_mode & 07777, 0660u);
}

TEST_F(ControlSocket, TakesOwnerAndGroupAsNumbers) {
  serve_at(path_, {.owner = std::to_string(geteuid()), .group = std::to_string(getegid())});
  EXPECT_EQ(stat_of(path_).st_uid, geteuid());
  EXPECT_EQ(stat_of(path_).st_gid, getegid());
}

TEST_F(ControlSocket, AnUnknownOwnerIsAnErrorThatNamesIt) {
  EXPECT_NE(why_not(path_, {.owner = "no-such-user"}).find("no-such-user"), std::string::npos);
}

TEST_F(ControlSocket, AnUnknownGroupIsAnErrorThatNamesIt) {
  EXPECT_NE(why_not(path_, {.group = "no-such-group"}).find("no-such-group"), std::string::npos);
}

TEST_F(ControlSocket, ARefusedOneLeavesNothingBehind) {
  why_not(path_, {.owner = "no-such-user"});
  EXPECT_FALSE(fs::exists(fs::symlink_status(path_)));
}

TEST_F(ControlSocket, MissingFoldersAreMade) {
  serve_at(folder_.file("a/b/weft.sock"));
  EXPECT_TRUE(fs::is_socket(folder_.file("a/b/weft.sock")));
}

TEST_F(ControlSocket, ALivingListenerIsAnErrorThatNamesThePath) {
  serve_at(path_);
  EXPECT_NE(why_not(path_).find(path_), std::string::npos);
}

TEST_F(ControlSocket, ALivingListenerStaysAlive) {
  serve_at(path_);
  why_not(path_);
  Client client(path_);
  EXPECT_EQ(ask(client, request("echo")), result(Json::object()));
}

TEST_F(ControlSocket, AStaleSocketIsReplaced) {
  leave_stale_socket();
  serve_at(path_);
  Client client(path_);
  EXPECT_EQ(ask(client, request("echo")), result(Json::object()));
}

TEST_F(ControlSocket, SomethingThatIsNoSocketIsAnErrorThatNamesThePath) {
  std::ofstream(path_) << "precious";
  EXPECT_NE(why_not(path_).find(path_), std::string::npos);
}

TEST_F(ControlSocket, SomethingThatIsNoSocketIsKept) {
  std::ofstream(path_) << "precious";
  why_not(path_);
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(ControlSocket, ALinkThatLeadsNowhereIsKept) {
  fs::create_symlink(folder_.file("nowhere"), path_);
  why_not(path_);
  EXPECT_TRUE(fs::is_symlink(path_));
}

TEST_F(ControlSocket, IsRemovedAtTheEnd) {
  serve_at(path_);
  server_.reset();
  EXPECT_FALSE(fs::exists(fs::symlink_status(path_)));
}

TEST_F(ControlSocket, SomebodyElsesInItsPlaceIsKeptAtTheEnd) {
  serve_at(path_);
  fs::rename(path_, path_ + ".away");  // so that its inode is not given out again
  leave_stale_socket();
  server_.reset();
  EXPECT_TRUE(fs::is_socket(path_));
}

TEST_F(ControlSocket, APathOf107CharactersServes) {
  serve_at(path_ + std::string(107 - path_.size(), 'x'));
  Client client(path_ + std::string(107 - path_.size(), 'x'));
  EXPECT_EQ(ask(client, request("echo")), result(Json::object()));
}

TEST_F(ControlSocket, ALongerPathIsAnError) { EXPECT_NE(why_not(path_ + std::string(108 - path_.size(), 'x')), ""); }

}  // namespace
}  // namespace weft::vswitch
