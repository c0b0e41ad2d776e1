// SPDX-License-Identifier: BSD-3-Clause
//
// Each command against a fake switch: what it asks, and how it prints what comes back.
#include "tests/unit/tools/fake_switch.h"
#include "tools/cli.h"
#include "tools/command.h"

#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::tools {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Conversation {
  int exit_code;
  std::string out;
  std::string err;
  json request;
};

Conversation talk(std::vector<std::string> arguments, const json& result) {
  FakeSwitch fake(FakeSwitch::result(result));
  arguments.insert(arguments.begin(), {"--socket", fake.path()});
  std::ostringstream out;
  std::ostringstream err;
  const int exit_code = run_cli(arguments, out, err);
  EXPECT_EQ(err.str(), "");
  if (exit_code != 0) return {exit_code, out.str(), err.str(), {}};
  return {exit_code, out.str(), err.str(), fake.request()};
}

json request(const char* command, const json& args) { return {{"command", command}, {"args", args}}; }

TEST(NetList, HasVirshsColumns) {
  const Conversation c =
      talk({"net-list"},
           {{"networks",
             {{{"name", "default"}, {"uuid", "u"}, {"state", "active"}, {"autostart", true}, {"persistent", true}}}}});
  EXPECT_EQ(c.out,
            " Name      State    Autostart   Persistent\n"
            "--------------------------------------------\n"
            " default   active   yes         yes\n"
            "\n");
  EXPECT_EQ(c.request, request("net-list", {{"all", false}}));
}

TEST(NetList, AsksForAll) {
  EXPECT_EQ(talk({"net-list", "--all"}, {{"networks", json::array()}}).request, request("net-list", {{"all", true}}));
}

TEST(NetInfo, HasVirshsLines) {
  const Conversation c = talk({"net-info", "default"}, {{"name", "default"},
                                                        {"uuid", "6e0f"},
                                                        {"active", true},
                                                        {"persistent", true},
                                                        {"autostart", false},
                                                        {"bridge", "virbr0"},
                                                        {"forward", "nat"},
                                                        {"ports", 2},
                                                        {"leases", 1},
                                                        {"connections", 1234}});
  EXPECT_EQ(c.request, request("net-info", {{"network", "default"}}));
  EXPECT_THAT(c.out, HasSubstr("Name:           default\nUUID:           6e0f\nActive:         yes\n"
                               "Persistent:     yes\nAutostart:      no\nBridge:         virbr0\n"));
  EXPECT_THAT(c.out, HasSubstr("Connections:    1,234\n"));
}

TEST(NetDump, PrintsTheTextAsItIs) {
  const Conversation c = talk({"net-dump", "default", "--xml"}, {{"format", "xml"}, {"text", "<network>\n</network>"}});
  EXPECT_EQ(c.out, "<network>\n</network>\n");
  EXPECT_EQ(c.request, request("net-dump", {{"network", "default"}, {"format", "xml"}}));
}

TEST(NetDump, IsYamlWhenNothingElseIsSaid) {
  EXPECT_EQ(talk({"net-dump", "default"}, {{"format", "yaml"}, {"text", ""}}).request["args"]["format"], "yaml");
}

TEST(NetDhcpLeases, HasVirshsColumnsAndEscapesHostNames) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const Conversation c =
      talk({"net-dhcp-leases", "default", "--mac", "52:54:00:00:00:01"}, {{"leases",
                                                                           {{{"expiry", 1714570620},
                                                                             {"mac", "52:54:00:00:00:01"},
                                                                             {"protocol", "ipv4"},
                                                                             {"address", "192.168.122.10"},
                                                                             {"prefix", 24},
                                                                             {"hostname", "vm\x1b[2J"},
                                                                             {"client-id", ""}}}}});
  EXPECT_EQ(c.out,
            " Expiry Time           MAC address         Protocol   IP address          Hostname    Client "
            "ID or DUID\n"
            "------------------------------------------------------------------------------------------------"
            "---------\n"
            " 2024-05-01 13:37:00   52:54:00:00:00:01   ipv4       192.168.122.10/24   vm\\x1b[2J   -\n"
            "\n");
  EXPECT_EQ(c.request, request("net-dhcp-leases", {{"network", "default"}, {"mac", "52:54:00:00:00:01"}}));
}

TEST(PortList, ShowsRolesAndDashes) {
  const Conversation c = talk({"port-list"}, {{"ports",
                                               {{{"name", "wan"},
                                                 {"network", ""},
                                                 {"role", "uplink"},
                                                 {"kind", "netdev"},
                                                 {"source", "eth0"},
                                                 {"link", "up"},
                                                 {"mac", ""}}}}});
  EXPECT_THAT(c.out, HasSubstr(" wan    -         uplink   netdev   eth0     up     -\n"));
}

TEST(PortAdd, AsksForAVhostUserSocketByAbsolutePath) {
  const Conversation c = talk(
      {"port-add", "default", "vm1", "--vhostuser", "vm1.sock", "--mode", "client", "--queues", "4"}, json::object());
  EXPECT_EQ(c.out, "");
  EXPECT_EQ(c.request, request("port-add", {{"network", "default"},
                                            {"name", "vm1"},
                                            {"vhostuser",
                                             {{"path", (std::filesystem::current_path() / "vm1.sock").string()},
                                              {"mode", "client"},
                                              {"queues", 4}}}}));
}

TEST(PortAdd, AsksForATapOrADevice) {
  EXPECT_EQ(talk({"port-add", "default", "c1", "--tap", "c1", "--netns", "c1"}, json::object()).request,
            request("port-add", {{"network", "default"}, {"name", "c1"}, {"tap", {{"name", "c1"}, {"netns", "c1"}}}}));
  EXPECT_EQ(talk({"port-add", "default", "old", "--device", "vnet7"}, json::object()).request,
            request("port-add", {{"network", "default"}, {"name", "old"}, {"device", "vnet7"}}));
}

TEST(PortAdd, RefusesCombinationsThatMakeNoSense) {
  const std::vector<std::vector<std::string>> kWrong{
      {},
      {"--tap", "a", "--device", "b"},
      {"--tap", "a", "--mode", "server"},
      {"--device", "a", "--netns", "n"},
      {"--vhostuser", "p", "--mode", "sideways"},
      {"--vhostuser", "p", "--queues", "0"},
      {"--vhostuser", "p", "--queues", "-1"},
      {"--vhostuser", "p", "--queues", "129"},
      {"--vhostuser", "p", "--queues", "2x"},
  };
  for (const auto& wrong : kWrong) {
    std::vector<std::string> arguments{"port-add", "default", "vm1"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(run_cli(arguments, out, err), 2) << testing::PrintToString(wrong);
    EXPECT_THAT(err.str(), HasSubstr("--"));
  }
}

TEST(PortRemove, NamesThePort) {
  EXPECT_EQ(talk({"port-remove", "vm1"}, json::object()).request, request("port-remove", {{"name", "vm1"}}));
}

json port_counters(const char* name) {
  return {{"name", name},     {"rx-packets", 1500},
          {"rx-bytes", 2048}, {"tx-packets", 3},
          {"tx-bytes", 180},  {"injected", 4},
          {"copies", 5},      {"consumed", 6},
          {"held", 0},        {"drops", {{"l2_same_port", 3}, {"route_ttl", 2}}}};
}

TEST(PortStats, ShowsTrafficAndDrops) {
  const Conversation c = talk({"port-stats", "vm1"}, port_counters("vm1"));
  EXPECT_THAT(c.out, HasSubstr("Received:       1,500 packets, 2.0 KiB\n"));
  EXPECT_THAT(c.out, HasSubstr(" l2_same_port       3\n"));
}

TEST(Fdb, AsksForOneNetworkOrAll) {
  const json result{
      {"count", 3},
      {"entries", {{{"network", "default"}, {"mac", "52:54:00:00:00:01"}, {"port", "vm1"}, {"age", 61}}}}};
  EXPECT_EQ(talk({"fdb"}, result).request, request("fdb", json::object()));
  const Conversation c = talk({"fdb", "default"}, result);
  EXPECT_EQ(c.request, request("fdb", {{"network", "default"}}));
  EXPECT_THAT(c.out, HasSubstr(" default   52:54:00:00:00:01   vm1    1 min 1 s\n"));
  EXPECT_THAT(c.out, HasSubstr("2 more are not listed\n"));
}

TEST(Neigh, ShowsADashForAMacNotKnownYet) {
  const Conversation c = talk(
      {"neigh"},
      {{"neighbours", {{{"interface", "wan"}, {"address", "203.0.113.1"}, {"mac", ""}, {"state", "incomplete"}}}}});
  EXPECT_THAT(c.out, HasSubstr(" wan         203.0.113.1   -             incomplete\n"));
}

TEST(Conntrack, ListsConnectionsWithTheirOutsideEndpoint) {
  const Conversation c = talk({"conntrack", "--network", "default"}, {{"count", 1},
                                                                      {"connections",
                                                                       {{{"network", "default"},
                                                                         {"protocol", "tcp"},
                                                                         {"source", "192.168.122.10"},
                                                                         {"source-port", 40000},
                                                                         {"destination", "198.51.100.80"},
                                                                         {"destination-port", 80},
                                                                         {"nat-address", "203.0.113.2"},
                                                                         {"nat-port", 40000},
                                                                         {"state", "established"},
                                                                         {"expires", 7440},
                                                                         {"packets", 12},
                                                                         {"bytes", 3000}}}}});
  EXPECT_EQ(c.request, request("conntrack", {{"count", false}, {"network", "default"}}));
  EXPECT_THAT(c.out, HasSubstr("192.168.122.10:40000   198.51.100.80:80   203.0.113.2:40000   established"));
}

TEST(Conntrack, CountsOnly) {
  const Conversation c = talk({"conntrack", "--count"}, {{"count", 1000000}});
  EXPECT_EQ(c.request, request("conntrack", {{"count", true}}));
  EXPECT_EQ(c.out, "1000000\n");
}

TEST(Stats, SumsUpTheDrops) {
  const Conversation c =
      talk({"stats"}, {{"uptime", 192},
                       {"version", "0.1.0"},
                       {"workers", {{{"cpu", 1}, {"busy-percent", 3.25}}, {{"cpu", nullptr}, {"busy-percent", 0.0}}}},
                       {"memory", {{"resident-bytes", 50 << 20}}},
                       {"totals",
                        {{"received", 1500},
                         {"injected", 4},
                         {"copies", 5},
                         {"sent", 3},
                         {"consumed", 6},
                         {"held", 0},
                         {"dropped", 5}}},
                       {"ports", {port_counters("vm1")}}});
  EXPECT_THAT(c.out, HasSubstr("Uptime:          3 min 12 s\n"));
  EXPECT_THAT(c.out, HasSubstr("Worker on CPU 1: 3.2 % busy\nWorker 1:        0.0 % busy\n"));
  EXPECT_THAT(c.out, HasSubstr(" vm1       1,500   2.0 KiB      3   180 B         5\n"));
}

TEST(Drops, SayWhatTheyMean) {
  const Conversation c =
      talk({"drops"}, {{"drops", {{{"port", "vm1"}, {"name", "route_ttl"}, {"count", 3}, {"text", "TTL ran out"}}}}});
  EXPECT_THAT(c.out, HasSubstr(" vm1    route_ttl       3   TTL ran out\n"));
}

TEST(Nearest, FindsTypingMistakesAndStarts) {
  EXPECT_EQ(nearest_command("net-dhcp-lease"), "net-dhcp-leases");
  EXPECT_EQ(nearest_command("ftb"), "fdb");
  EXPECT_EQ(nearest_command("port-remvoe"), "port-remove");
  EXPECT_EQ(nearest_command(""), "");
  EXPECT_EQ(nearest_command(std::string(10000, 'n')), "");
}

TEST(Table, EveryCommandEitherAsksOrRunsOrIsAnotherProgram) {
  for (const Command& command : commands()) {
    const bool asks = command.request != nullptr && command.print != nullptr;
    EXPECT_EQ((command.run != nullptr) + asks + command.is_another_program, 1) << command.name;
    EXPECT_FALSE(is_future_command(command.name)) << command.name;
    EXPECT_EQ(find_command(command.name), &command);
  }
}

}  // namespace
}  // namespace weft::tools
