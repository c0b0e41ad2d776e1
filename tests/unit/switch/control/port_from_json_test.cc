// SPDX-License-Identifier: BSD-3-Clause
#include "switch/commands.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::vswitch {
namespace {

using Json = nlohmann::json;

/// A port's arguments with this device.
Json port(const Json& device) {
  Json arguments = {{"name", "p1"}, {"network", "default"}};
  arguments.update(device);
  return arguments;
}
Json vhostuser(const Json& more = Json::object()) {
  Json socket = {{"path", "/run/p1.sock"}};
  socket.update(more);
  return port({{"vhostuser", socket}});
}
Json tap(const Json& more = Json::object()) {
  Json t = {{"name", "tap1"}};
  t.update(more);
  return port({{"tap", t}});
}
Json netdev(const std::string& name = "eth1") { return port({{"device", name}}); }
Json without(Json arguments, const char* key) {
  arguments.erase(key);
  return arguments;
}
Json with(Json arguments, const Json& more) {
  arguments.update(more);
  return arguments;
}

config::VhostUser socket_of(const Json& arguments) {
  return std::get<config::VhostUser>(port_from_json(arguments).device);
}
config::Tap tap_of(const Json& arguments) { return std::get<config::Tap>(port_from_json(arguments).device); }

TEST(PortFromJson, HasItsNameAndNetwork) {
  const auto made = port_from_json(tap());
  EXPECT_EQ(made.name, "p1");
  EXPECT_EQ(made.network, "default");
}

TEST(PortFromJson, SaysNothingOfWhatWasNotAsked) {
  config::Port plain;
  plain.name = "p1";
  plain.network = "default";
  plain.device = config::Netdev{.name = "eth1"};
  EXPECT_EQ(port_from_json(netdev()), plain);
}

TEST(PortFromJson, AVhostUserSocketIsAServerWithOneQueueUnlessItSaysSo) {
  EXPECT_EQ(socket_of(vhostuser()), (config::VhostUser{.path = "/run/p1.sock"}));
}

TEST(PortFromJson, AVhostUserSocketMayBeAClients) {
  EXPECT_EQ(socket_of(vhostuser({{"mode", "client"}})).mode, config::SocketMode::kClient);
}

TEST(PortFromJson, AVhostUserSocketMayBeAServerExplicitly) {
  EXPECT_EQ(socket_of(vhostuser({{"mode", "server"}})).mode, config::SocketMode::kServer);
}

TEST(PortFromJson, AVhostUserSocketMayHaveOneQueueExplicitly) {
  EXPECT_EQ(socket_of(vhostuser({{"queues", 1}})).queues, 1);
}

TEST(PortFromJson, AVhostUserSocketMayHaveManyQueues) {
  EXPECT_EQ(socket_of(vhostuser({{"queues", 128}})).queues, 128);
}

TEST(PortFromJson, ATapHasItsName) { EXPECT_EQ(tap_of(tap()), (config::Tap{.name = "tap1"})); }

TEST(PortFromJson, ATapMayBeInANamespace) { EXPECT_EQ(tap_of(tap({{"netns", "guests"}})).netns, "guests"); }

TEST(PortFromJson, ATapsNamespaceMayBeNull) { EXPECT_EQ(tap_of(tap({{"netns", nullptr}})).netns, ""); }

TEST(PortFromJson, TheNetworkNeedNotExistYet) {
  EXPECT_EQ(port_from_json(with(tap(), {{"network", "no-such"}})).network, "no-such");
}

struct Refused {
  const char* what;
  Json arguments;
  const char* names;  // what the message is to name
};
void PrintTo(const Refused& r, std::ostream* out) { *out << r.arguments.dump(); }

class RefusedPort : public testing::TestWithParam<Refused> {
 protected:
  CommandError error() {
    try {
      (void)port_from_json(GetParam().arguments);
    } catch (const CommandError& e) {
      return e;
    }
    ADD_FAILURE() << "it is accepted";
    return CommandError("");
  }
};

TEST_P(RefusedPort, IsWrongUsage) { EXPECT_EQ(error().exit, 2); }

TEST_P(RefusedPort, NamesWhatIsWrong) {
  const std::string message = error().what();
  EXPECT_NE(message.find(GetParam().names), std::string::npos) << message;
}

std::string name_of(const testing::TestParamInfo<Refused>& info) { return info.param.what; }

INSTANTIATE_TEST_SUITE_P(Keys, RefusedPort,
                         testing::Values(Refused{"Null", nullptr, "object"}, Refused{"Number", 5, "object"},
                                         Refused{"List", Json::array({1}), "object"},
                                         Refused{"Empty", Json::object(), "name"},
                                         Refused{"UnknownKey", with(tap(), {{"speed", 5}}), "'speed'"},
                                         Refused{"KeyOfTheFileOnly", with(tap(), {{"mtu", 1400}}), "'mtu'"},
                                         Refused{"UnknownTapKey", tap({{"queues", 2}}), "'queues'"},
                                         Refused{"TapInABridge", tap({{"bridge", "br0"}}), "'bridge'"},
                                         Refused{"UnknownSocketKey", vhostuser({{"owner", "root"}}), "'owner'"}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Missing, RefusedPort,
                         testing::Values(Refused{"Name", without(tap(), "name"), "'name'"},
                                         Refused{"NameEmpty", with(tap(), {{"name", ""}}), "'name'"},
                                         Refused{"NameNull", with(tap(), {{"name", nullptr}}), "'name'"},
                                         Refused{"Network", without(tap(), "network"), "'network'"},
                                         Refused{"NetworkEmpty", with(tap(), {{"network", ""}}), "'network'"},
                                         Refused{"Device", without(tap(), "tap"), "one of"},
                                         Refused{"TapName", port({{"tap", Json::object()}}), "'name'"},
                                         Refused{"Path", port({{"vhostuser", Json::object()}}), "'path'"},
                                         Refused{"DeviceEmpty", netdev(""), "'device'"}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    TwoDevices, RefusedPort,
    testing::Values(Refused{"TapAndSocket", with(tap(), {{"vhostuser", {{"path", "/run/p1.sock"}}}}), "one of"},
                    Refused{"TapAndNetdev", with(tap(), {{"device", "eth1"}}), "one of"},
                    Refused{"AllThree", with(vhostuser(), {{"tap", {{"name", "t"}}}, {"device", "eth1"}}), "one of"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(Types, RefusedPort,
                         testing::Values(Refused{"NameNumber", with(tap(), {{"name", 5}}), "'name'"},
                                         Refused{"NameList", with(tap(), {{"name", Json::array()}}), "'name'"},
                                         Refused{"NetworkNumber", with(tap(), {{"network", 5}}), "'network'"},
                                         Refused{"DeviceObject", port({{"device", {{"name", "eth1"}}}}), "'device'"},
                                         Refused{"DeviceNull", port({{"device", nullptr}}), "'device'"},
                                         Refused{"TapText", port({{"tap", "tap1"}}), "'tap'"},
                                         Refused{"TapNull", port({{"tap", nullptr}}), "'tap'"},
                                         Refused{"TapNameNumber", tap({{"name", 5}}), "'name'"},
                                         Refused{"NamespaceNumber", tap({{"netns", 5}}), "'netns'"},
                                         Refused{"SocketText", port({{"vhostuser", "/run/p1.sock"}}), "'vhostuser'"},
                                         Refused{"SocketList", port({{"vhostuser", Json::array({"/run/p1.sock"})}}),
                                                 "'vhostuser'"},
                                         Refused{"PathNumber", vhostuser({{"path", 5}}), "'path'"}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    Values, RefusedPort,
    testing::Values(Refused{"NameWithASlash", with(tap(), {{"name", "a/b"}}), "a/b"},
                    Refused{"NameUnprintable", with(tap(), {{"name", "a\nb"}}), "a"},
                    Refused{"UnknownMode", vhostuser({{"mode", "peer"}}), "mode"},
                    Refused{"NoQueues", vhostuser({{"queues", 0}}), "queues"},
                    Refused{"FewerQueues", vhostuser({{"queues", -1}}), "queues"},
                    Refused{"OneQueueTooMany", vhostuser({{"queues", 129}}), "1 to 128"},
                    Refused{"ManyQueues", vhostuser({{"queues", 65536}}), "queues"},
                    Refused{"QueuesBeyond32Bits", vhostuser({{"queues", int64_t{1} << 32 | 1}}), "queues"},
                    Refused{"QueuesBeyond63Bits", vhostuser({{"queues", UINT64_MAX}}), "queues"},
                    Refused{"RelativePath", vhostuser({{"path", "p1.sock"}}), "p1.sock"},
                    Refused{"LongPath", vhostuser({{"path", "/" + std::string(107, 'x')}}), "107"},
                    Refused{"LongTapName", tap({{"name", "tap4567890123456"}}), "tap4567890123456"},
                    Refused{"TapNameWithASlash", tap({{"name", "a/b"}}), "a/b"},
                    Refused{"NamespaceWithASlash", tap({{"netns", "../x"}}), "../x"},
                    Refused{"LongNetdevName", netdev("eth4567890123456"), "eth4567890123456"},
                    Refused{"NetdevNameWithASpace", netdev("eth 1"), "eth 1"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(SocketTypes, RefusedPort,
                         testing::Values(Refused{"ModeNumber", vhostuser({{"mode", 5}}), "mode"},
                                         Refused{"ModeNull", vhostuser({{"mode", nullptr}}), "mode"},
                                         Refused{"QueuesText", vhostuser({{"queues", "one"}}), "queues"},
                                         Refused{"QueuesBoolean", vhostuser({{"queues", true}}), "queues"},
                                         Refused{"QueuesFraction", vhostuser({{"queues", 1.5}}), "queues"},
                                         Refused{"QueuesBeyondAnyInteger", vhostuser({{"queues", 1e30}}), "queues"}),
                         name_of);

}  // namespace
}  // namespace weft::vswitch
