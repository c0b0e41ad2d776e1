// SPDX-License-Identifier: BSD-3-Clause
//
// The socket: whose it is, what may be in its way, who comes first, and how fast a lost peer is found again.
#include "tests/unit/dataplane/vhost/harness.h"

#include <fstream>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace weft::dataplane::vhost::test {
namespace {

class VhostSockets : public PortTest {
 protected:
  PortConfig config(SocketMode mode = SocketMode::server) const {
    PortConfig c;
    c.socket.path = path("vm");
    c.socket.mode = mode;
    return c;
  }
  std::string error_of(const PortConfig& c) {
    try {
      add_port("vm", c);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  }
  UniqueFd bind_socket(int type = SOCK_STREAM) const {
    UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path("vm").c_str());
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
};

TEST_F(VhostSockets, PermissionsAreAsConfigured) {
  PortConfig c = config();
  c.socket.permissions = 0600;
  c.socket.owner = std::to_string(getuid());
  c.socket.group = std::to_string(getgid());
  add_port("vm", c);
  struct stat st {};
  ASSERT_EQ(lstat(path("vm").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
}

TEST_F(VhostSockets, OwnerAndGroupAreGivenByNumberOrName) {
  if (getuid() != 0) GTEST_SKIP() << "giving a socket away needs root";
  PortConfig c = config();
  c.socket.owner = "daemon";
  c.socket.group = "4242";
  add_port("vm", c);
  struct stat st {};
  ASSERT_EQ(lstat(path("vm").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 1u);
  EXPECT_EQ(st.st_gid, 4242u);
}

TEST_F(VhostSockets, UnknownOwnerIsAnErrorThatNamesItAndLeavesNothing) {
  PortConfig c = config();
  c.socket.owner = "nobody-of-this-name";
  const std::string error = error_of(c);
  EXPECT_NE(error.find("nobody-of-this-name"), std::string::npos) << error;
  EXPECT_NE(error.find(path("vm")), std::string::npos) << error;
  EXPECT_FALSE(std::filesystem::exists(path("vm")));
}

TEST_F(VhostSockets, StaleSocketIsReplaced) {
  { const UniqueFd dead = bind_socket(); }
  ASSERT_TRUE(std::filesystem::exists(path("vm")));
  add_port("vm", config());
  auto guest = join("vm");
  EXPECT_TRUE(ports_["vm"]->is_up());
}

TEST_F(VhostSockets, LivingListenerIsLeftAlone) {
  const UniqueFd alive = bind_socket();
  ASSERT_EQ(listen(alive.get(), 1), 0);
  const std::string error = error_of(config());
  EXPECT_NE(error.find("listens"), std::string::npos) << error;
  EXPECT_NE(error.find(path("vm")), std::string::npos) << error;
  EXPECT_TRUE(std::filesystem::exists(path("vm")));
}

TEST_F(VhostSockets, ListenerWithAFullBacklogIsAliveToo) {
  const UniqueFd alive = bind_socket();
  ASSERT_EQ(listen(alive.get(), 0), 0);
  std::vector<UniqueFd> waiting;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path("vm").c_str());
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  EXPECT_NE(error_of(config()), "");
  EXPECT_TRUE(std::filesystem::exists(path("vm")));
}

TEST_F(VhostSockets, WhatIsNoSocketIsLeftAlone) {
  std::ofstream(path("vm")) << "precious";
  const std::string error = error_of(config());
  EXPECT_NE(error.find("no socket"), std::string::npos) << error;
  std::string text;
  std::ifstream(path("vm")) >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(VhostSockets, PathsThatCannotBeAreErrors) {
  PortConfig c = config();
  c.socket.path = "/" + std::string(107, 'x');
  EXPECT_NE(error_of(c).find("107"), std::string::npos);
  c.socket.path = (directory_ / "missing" / "vm.sock").string();
  EXPECT_NE(error_of(c).find("missing"), std::string::npos);
  c.socket.path.clear();
  c.socket.path = "";
  EXPECT_THROW(VhostUserPort("vm", c, {}, io_, rcu_), std::runtime_error);
}

TEST_F(VhostSockets, OnlyOurOwnSocketIsUnlinked) {
  add_port("vm", config());
  std::filesystem::remove(path("vm"));
  const UniqueFd other = bind_socket();
  remove_port("vm");
  EXPECT_TRUE(std::filesystem::exists(path("vm")));
}

TEST_F(VhostSockets, SecondFrontEndTakesOverWhenTheFirstIsGone) {
  add_port("vm", config());
  auto first = join("vm");
  auto second = make_guest("vm");
  // On the control thread, so that the first's end and the second's beginning are seen in one turn, the second first.
  std::promise<void> gate;
  boost::asio::post(io_, [&] { gate.get_future().wait(); });
  second->connect();
  first.reset();
  gate.set_value();
  second->handshake();
  EXPECT_TRUE(ports_["vm"]->is_up());
  EXPECT_TRUE(second->send(make_frame(60)));
  EXPECT_EQ(take(*ports_["vm"]).size(), 1u);
}

TEST_F(VhostSockets, SecondFrontEndWaitsForTheFirstThatLives) {
  add_port("vm", config());
  auto first = join("vm");
  auto second = make_guest("vm");
  second->connect();
  EXPECT_FALSE(second->was_hung_up_on(100));
  EXPECT_TRUE(first->send(make_frame(60)));
  EXPECT_EQ(take(*ports_["vm"]).size(), 1u) << "the first is not disturbed";
  first.reset();
  second->handshake();
  EXPECT_TRUE(ports_["vm"]->is_up());
}

TEST_F(VhostSockets, SecondFrontEndIsTurnedAwayWhileTheFirstLives) {
  add_port("vm", config());
  auto first = join("vm");
  auto second = make_guest("vm");
  second->connect();
  EXPECT_TRUE(second->was_hung_up_on(5000));
  EXPECT_TRUE(first->send(make_frame(60)));
  EXPECT_EQ(take(*ports_["vm"]).size(), 1u);
}

TEST_F(VhostSockets, ClientConnectsToAGuestThatIsThere) {
  NullGuestOptions options;
  options.listens = true;
  auto guest = make_guest("vm", options);
  add_port("vm", config(SocketMode::client));
  guest->connect();
  guest->handshake();
  EXPECT_TRUE(ports_["vm"]->is_up());
}

TEST_F(VhostSockets, ClientFindsAGuestThatComesLaterWithinMilliseconds) {
  add_port("vm", config(SocketMode::client));
  // Let the retries become rare: the directory watch must do it.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  NullGuestOptions options;
  options.listens = true;
  auto guest = make_guest("vm", options);
  const auto start = std::chrono::steady_clock::now();
  guest->connect();
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took, std::chrono::milliseconds(200)) << "the next timed attempt would have been 256 ms later";
  guest->handshake();
  EXPECT_TRUE(ports_["vm"]->is_up());
}

TEST_F(VhostSockets, ClientFindsARestartedGuestAgainAndAgain) {
  add_port("vm", config(SocketMode::client));
  NullGuestOptions options;
  options.listens = true;
  {
    auto guest = make_guest("vm", options);
    guest->connect();
    guest->handshake();
  }
  ASSERT_TRUE(eventually([&] { return !ports_["vm"]->is_connected(); }));
  const size_t before = on_control(count_fds);
  for (int i = 0; i < 20; ++i) {
    auto guest = make_guest("vm", options);
    guest->connect();
    guest->handshake();
    EXPECT_TRUE(ports_["vm"]->is_up());
  }
  EXPECT_TRUE(eventually([&] { return count_fds() <= before; })) << count_fds() << " instead of " << before;
}

TEST_F(VhostSockets, ClientWaitsForADirectoryThatIsNotThereYet) {
  PortConfig c = config(SocketMode::client);
  const auto directory = directory_ / "later";
  c.socket.path = directory / "vm.sock";
  add_port("vm", c);
  std::filesystem::create_directory(directory);
  NullGuestOptions options;
  options.listens = true;
  options.path = c.socket.path;
  NullGuest guest(options);
  guest.connect();
  guest.handshake();
  EXPECT_TRUE(ports_["vm"]->is_up());
}

TEST_F(VhostSockets, ConnectionsThatEndAtOnceDoNotKeepAClientBusy) {
  NullGuestOptions options;
  options.listens = true;
  auto guest = make_guest("vm", options);
  add_port("vm", config(SocketMode::client));
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  int n = 0;
  while (std::chrono::steady_clock::now() < end) {
    guest->connect();
    guest->disconnect();
    ++n;
  }
  EXPECT_LE(n, 15) << "1, 2, 4, … milliseconds apart";
}

}  // namespace
}  // namespace weft::dataplane::vhost::test
