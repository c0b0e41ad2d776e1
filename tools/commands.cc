// SPDX-License-Identifier: BSD-3-Clause
//
// The command table. Above each entry's functions stands the result it prints, as the control socket sends
// it.
#include "config/model.h"
#include "tools/client.h"
#include "tools/command.h"
#include "tools/print.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>

namespace weft::tools {
namespace {

using nlohmann::json;
using Align = Table::Align;

std::string yes_no(const json& value) { return value.get<bool>() ? "yes" : "no"; }
std::string text(const json& object, const char* key) { return object.at(key).get<std::string>(); }
uint64_t number(const json& object, const char* key) { return object.at(key).get<uint64_t>(); }

/// What is optional in a result and empty when absent; a dash, as virsh prints it.
std::string text_or_dash(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty()) return "-";
  return found->get<std::string>();
}

json no_arguments(const Arguments&) { return json::object(); }
std::string prints_nothing(const json&) { return {}; }

json network_argument(const Arguments& arguments) { return {{"network", arguments.get("NET")}}; }

json optional_network_argument(const Arguments& arguments) {
  return arguments.has("NET") ? network_argument(arguments) : json::object();
}

// --- networks
// ---------------------------------------------------------------------------------------------------

// {"networks":[{"name","uuid","state":"active","autostart":bool,"persistent":bool}]}
json net_list_request(const Arguments& arguments) { return {{"all", arguments.has("all")}}; }

std::string print_net_list(const json& result) {
  Table table({{"Name"}, {"State"}, {"Autostart"}, {"Persistent"}});
  for (const json& net : result.at("networks")) {
    table.row({text(net, "name"), text(net, "state"), yes_no(net.at("autostart")), yes_no(net.at("persistent"))});
  }
  return table.str();
}

// {"name","uuid","active":bool,"persistent":bool,"autostart":bool,"bridge","forward","ports":n,"leases":n,
//  "connections":n}
std::string print_net_info(const json& net) {
  Facts facts;
  facts.add("Name", text(net, "name"));
  facts.add("UUID", text(net, "uuid"));
  facts.add("Active", yes_no(net.at("active")));
  facts.add("Persistent", yes_no(net.at("persistent")));
  facts.add("Autostart", yes_no(net.at("autostart")));
  facts.add("Bridge", text_or_dash(net, "bridge"));
  facts.add("Forward", text_or_dash(net, "forward"));
  facts.add("Ports", grouped(number(net, "ports")));
  facts.add("Leases", grouped(number(net, "leases")));
  facts.add("Connections", grouped(number(net, "connections")));
  return facts.str() + "\n";
}

// {"format":"yaml|xml","text"}
json net_dump_request(const Arguments& arguments) {
  if (arguments.has("yaml") && arguments.has("xml")) {
    throw Failure(kExitUsage, "--yaml and --xml exclude each other");
  }
  return {{"network", arguments.get("NET")}, {"format", arguments.has("xml") ? "xml" : "yaml"}};
}

std::string print_net_dump(const json& result) {
  std::string out = printable_lines(text(result, "text"));
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out;
}

// {"leases":[{"expiry":epoch seconds, 0
// never,"mac","protocol":"ipv4","address","prefix","hostname","client-id"}]}
json net_dhcp_leases_request(const Arguments& arguments) {
  json args{{"network", arguments.get("NET")}};
  if (arguments.has("mac")) args["mac"] = arguments.get("mac");
  return args;
}

std::string print_net_dhcp_leases(const json& result) {
  Table table({{"Expiry Time"}, {"MAC address"}, {"Protocol"}, {"IP address"}, {"Hostname"}, {"Client ID or DUID"}});
  for (const json& lease : result.at("leases")) {
    table.row({local_time(lease.at("expiry").get<int64_t>()), text_or_dash(lease, "mac"), text(lease, "protocol"),
               fmt::format("{}/{}", text(lease, "address"), number(lease, "prefix")), text_or_dash(lease, "hostname"),
               text_or_dash(lease, "client-id")});
  }
  return table.str();
}

// --- ports
// --------------------------------------------------------------------------------------------------------

// {"ports":[{"name","network","role":"guest|uplink|seat","kind":"vhostuser|tap|netdev","source","link":"up|down",
//  "mac"}]}
std::string print_port_list(const json& result) {
  Table table({{"Name"}, {"Network"}, {"Role"}, {"Kind"}, {"Source"}, {"Link"}, {"MAC address"}});
  for (const json& port : result.at("ports")) {
    table.row({text(port, "name"), text_or_dash(port, "network"), text_or_dash(port, "role"), text(port, "kind"),
               text_or_dash(port, "source"), text(port, "link"), text_or_dash(port, "mac")});
  }
  return table.str();
}

uint32_t queues_argument(const std::string& given) {
  uint32_t queues = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), queues);
  if (error != std::errc{} || end != given.data() + given.size() || queues == 0 || queues > config::kMaxQueuePairs) {
    throw Failure(kExitUsage,
                  fmt::format("--queues: a number from 1 to {} is needed, not '{}'", config::kMaxQueuePairs, given));
  }
  return queues;
}

/// {"network","name"} and one of {"vhostuser":{"path","mode","queues"}}, {"tap":{"name","netns"?}},
/// {"device"}.
json port_add_request(const Arguments& arguments) {
  const bool is_vhostuser = arguments.has("vhostuser");
  const bool is_tap = arguments.has("tap");
  const bool is_device = arguments.has("device");
  if (is_vhostuser + is_tap + is_device != 1) {
    throw Failure(kExitUsage, "one of --vhostuser PATH, --tap NAME and --device NETDEV is needed");
  }
  for (const char* option : {"mode", "queues"}) {
    if (arguments.has(option) && !is_vhostuser) {
      throw Failure(kExitUsage, fmt::format("--{} belongs to --vhostuser", option));
    }
  }
  if (arguments.has("netns") && !is_tap) throw Failure(kExitUsage, "--netns belongs to --tap");

  json args{{"network", arguments.get("NET")}, {"name", arguments.get("NAME")}};
  if (is_vhostuser) {
    const std::string mode = arguments.has("mode") ? arguments.get("mode") : "server";
    if (mode != "server" && mode != "client") {
      throw Failure(kExitUsage,
                    fmt::format("--mode: server (weftd listens) or client (weftd connects), not '{}'", mode));
    }
    // weftd runs in another directory: a relative path means the caller's.
    const std::string path = std::filesystem::absolute(arguments.get("vhostuser")).lexically_normal().string();
    args["vhostuser"] = {{"path", path},
                         {"mode", mode},
                         {"queues", arguments.has("queues") ? queues_argument(arguments.get("queues")) : 1u}};
  } else if (is_tap) {
    args["tap"] = {{"name", arguments.get("tap")}};
    if (arguments.has("netns")) args["tap"]["netns"] = arguments.get("netns");
  } else {
    args["device"] = arguments.get("device");
  }
  return args;
}

json port_argument(const Arguments& arguments) { return {{"name", arguments.get("NAME")}}; }

// {"name","rx-packets","rx-bytes","tx-packets","tx-bytes","injected","copies","consumed","held",
//  "drops":{"l2_same_port":3,…}}
std::string print_port_stats(const json& port) {
  const auto traffic = [&](const char* packets, const char* bytes) {
    return fmt::format("{} packets, {}", grouped(number(port, packets)), human_bytes(number(port, bytes)));
  };
  Facts facts;
  facts.add("Name", text(port, "name"));
  facts.add("Received", traffic("rx-packets", "rx-bytes"));
  facts.add("Sent", traffic("tx-packets", "tx-bytes"));
  for (const auto& [title, key] : {std::pair{"Injected", "injected"}, std::pair{"Copies", "copies"},
                                   std::pair{"Consumed", "consumed"}, std::pair{"Held", "held"}}) {
    facts.add(title, grouped(number(port, key)));
  }
  std::string out = facts.str() + "\n";
  const json& drops = port.at("drops");
  if (drops.empty()) return out;
  Table table({{"Drop"}, {"Count", Align::kRight}});
  for (const auto& [name, count] : drops.items()) table.row({name, grouped(count.get<uint64_t>())});
  return out + table.str();
}

// --- tables
// ---------------------------------------------------------------------------------------------------------

/// weftd lists so many entries at most, and tells how many there are.
std::string unlisted(const json& result, const char* list) {
  const uint64_t count = number(result, "count"), shown = result.at(list).size();
  return count > shown ? fmt::format("{} more are not listed\n", grouped(count - shown)) : "";
}

// {"count","entries":[{"network","mac","port","age":seconds}]}
std::string print_fdb(const json& result) {
  Table table({{"Network"}, {"MAC address"}, {"Port"}, {"Age", Align::kRight}});
  for (const json& entry : result.at("entries")) {
    table.row({text(entry, "network"), text(entry, "mac"), text(entry, "port"), human_duration(number(entry, "age"))});
  }
  return table.str() + unlisted(result, "entries");
}

// {"neighbours":[{"interface","address","mac","state":"incomplete|reachable|stale|failed"}]}
std::string print_neigh(const json& result) {
  Table table({{"Interface"}, {"Address"}, {"MAC address"}, {"State"}});
  for (const json& entry : result.at("neighbours")) {
    table.row({text(entry, "interface"), text(entry, "address"), text_or_dash(entry, "mac"), text(entry, "state")});
  }
  return table.str();
}

// {"count":n,"connections":[{"network","protocol":"tcp|udp|icmp","source","source-port","destination",
//  "destination-port","nat-address","nat-port","state","expires":seconds,"packets","bytes"}]}; with --count
//  no list
json conntrack_request(const Arguments& arguments) {
  json args{{"count", arguments.has("count")}};
  if (arguments.has("network")) args["network"] = arguments.get("network");
  return args;
}

std::string print_conntrack(const json& result) {
  if (!result.contains("connections")) return fmt::format("{}\n", number(result, "count"));
  const auto endpoint = [](const json& c, const char* address, const char* port) {
    const std::string host = text(c, address);
    const bool is_v6 = host.find(':') != std::string::npos;
    return is_v6 ? fmt::format("[{}]:{}", host, number(c, port)) : fmt::format("{}:{}", host, number(c, port));
  };
  Table table({{"Network"},
               {"Protocol"},
               {"Source"},
               {"Destination"},
               {"Outside"},
               {"State"},
               {"Expires", Align::kRight},
               {"Packets", Align::kRight},
               {"Bytes", Align::kRight}});
  for (const json& c : result.at("connections")) {
    const bool is_translated = text_or_dash(c, "nat-address") != "-";
    table.row({text(c, "network"), text(c, "protocol"), endpoint(c, "source", "source-port"),
               endpoint(c, "destination", "destination-port"),
               is_translated ? endpoint(c, "nat-address", "nat-port") : std::string("-"), text(c, "state"),
               human_duration(number(c, "expires")), grouped(number(c, "packets")), human_bytes(number(c, "bytes"))});
  }
  return table.str() + unlisted(result, "connections");
}

// --- counters
// -------------------------------------------------------------------------------------------------------

// {"uptime":s,"version","workers":[{"cpu","busy-ns","busy-percent"}],"memory":{"resident-bytes"},
//  "totals":{"received","injected","copies","sent","consumed","held","dropped"},"ports":[as port-stats]}
std::string print_stats(const json& result) {
  Facts facts;
  facts.add("Version", text(result, "version"));
  facts.add("Uptime", human_duration(number(result, "uptime")));
  facts.add("Memory", human_bytes(number(result.at("memory"), "resident-bytes")));
  const json& workers = result.at("workers");
  for (size_t i = 0; i < workers.size(); ++i) {
    const json& cpu = workers[i].at("cpu");  // null: not bound to one
    facts.add(cpu.is_null() ? fmt::format("Worker {}", i) : fmt::format("Worker on CPU {}", cpu.get<int64_t>()),
              fmt::format("{:.1f} % busy", workers[i].at("busy-percent").get<double>()));
  }
  Table totals({{"Received", Align::kRight},
                {"Injected", Align::kRight},
                {"Copies", Align::kRight},
                {"Sent", Align::kRight},
                {"Consumed", Align::kRight},
                {"Held", Align::kRight},
                {"Dropped", Align::kRight}});
  std::vector<std::string> cells;
  for (const char* key : {"received", "injected", "copies", "sent", "consumed", "held", "dropped"}) {
    cells.push_back(grouped(number(result.at("totals"), key)));
  }
  totals.row(cells);
  Table ports({{"Port"},
               {"Received", Align::kRight},
               {"Bytes", Align::kRight},
               {"Sent", Align::kRight},
               {"Bytes", Align::kRight},
               {"Dropped", Align::kRight}});
  for (const json& port : result.at("ports")) {
    uint64_t dropped = 0;
    for (const auto& [name, count] : port.at("drops").items()) dropped += count.get<uint64_t>();
    ports.row({text(port, "name"), grouped(number(port, "rx-packets")), human_bytes(number(port, "rx-bytes")),
               grouped(number(port, "tx-packets")), human_bytes(number(port, "tx-bytes")), grouped(dropped)});
  }
  return facts.str() + "\n" + totals.str() + ports.str();
}

// {"drops":[{"port","name","count","text"}]}, those that are not zero
std::string print_drops(const json& result) {
  Table table({{"Port"}, {"Drop"}, {"Count", Align::kRight}, {"Meaning"}});
  for (const json& drop : result.at("drops")) {
    table.row({text_or_dash(drop, "port"), text(drop, "name"), grouped(number(drop, "count")), text(drop, "text")});
  }
  return table.str();
}

// --- the table
// ------------------------------------------------------------------------------------------------------

constexpr const char* kNetworks = "Networks";
constexpr const char* kPorts = "Ports";
constexpr const char* kTables = "Tables";
constexpr const char* kCounters = "Counters";
constexpr const char* kFiles = "Files (no switch needed)";
constexpr const char* kMeasuring = "Measuring (any vhost-user switch)";

const Positional kNet{"NET", "name of the network"};
const Positional kNetOptional{"NET", "only this network", Positional::Count::kOptional};

const std::vector<Command>& table() {
  static const std::vector<Command> kCommands{
      {"net-list",
       kNetworks,
       "list the networks",
       {},
       {{"all", nullptr, "inactive ones too"}},
       "",
       net_list_request,
       print_net_list},
      {"net-info", kNetworks, "show a network", {kNet}, {}, "", network_argument, print_net_info},
      {"net-dump",
       kNetworks,
       "print a network's definition",
       {kNet},
       {{"yaml", nullptr, "as YAML (the default)"}, {"xml", nullptr, "as libvirt's <network>"}},
       "",
       net_dump_request,
       print_net_dump},
      {"net-dhcp-leases",
       kNetworks,
       "list the addresses a network has leased",
       {kNet},
       {{"mac", "MAC", "only leases of this MAC address"}},
       "",
       net_dhcp_leases_request,
       print_net_dhcp_leases},
      {"port-list", kPorts, "list guests' ports, uplinks and host seats", {}, {}, "", no_arguments, print_port_list},
      {"port-add",
       kPorts,
       "give a network a port while it runs",
       {kNet, {"NAME", "name of the new port"}},
       {{"vhostuser", "PATH", "a vhost-user socket, for a virtual machine"},
        {"mode", "server|client", "with --vhostuser: weftd listens (the default), or connects and reconnects"},
        {"queues", "N", "with --vhostuser: queue pairs, 1 if not given"},
        {"tap", "NAME", "a tap device that weftd makes"},
        {"netns", "NS", "with --tap: the network namespace to put it in"},
        {"device", "NETDEV", "a network device that exists already"}},
       "  weft port-add default vm1 --vhostuser /run/weft/vm1.sock\n"
       "  weft port-add default c1 --tap c1 --netns c1\n",
       port_add_request,
       prints_nothing},
      {"port-remove",
       kPorts,
       "take a port away while it runs",
       {{"NAME", "name of the port"}},
       {},
       "",
       port_argument,
       prints_nothing},
      {"port-stats",
       kPorts,
       "show a port's counters",
       {{"NAME", "name of the port"}},
       {},
       "",
       port_argument,
       print_port_stats},
      {"fdb", kTables, "list the MAC addresses learned", {kNetOptional}, {}, "", optional_network_argument, print_fdb},
      {"neigh",
       kTables,
       "list the neighbours (ARP) of gateways and uplinks",
       {kNetOptional},
       {},
       "",
       optional_network_argument,
       print_neigh},
      {"conntrack",
       kTables,
       "list the connections through masquerade",
       {},
       {{"network", "NET", "only connections of this network"}, {"count", nullptr, "print their number only"}},
       "",
       conntrack_request,
       print_conntrack},
      {"stats", kCounters, "show the switch's counters", {}, {}, "", no_arguments, print_stats},
      {"drops", kCounters, "show every packet that was dropped, by reason", {}, {}, "", no_arguments, print_drops},
      {"import",
       kFiles,
       "translate libvirt's <network> XML to YAML",
       {{"FILE.xml", "what virsh net-dumpxml printed", Positional::Count::kMany}},
       {},
       "Prints `networks:` (and `uplinks:` when the XML names a device) for weft.yaml on stdout, notes on "
       "stderr.\n"
       "An element that the switch cannot honour is an error with its line, and exit code 2.\n\n"
       "  virsh net-dumpxml default > default.xml && weft import default.xml\n",
       nullptr,
       nullptr,
       run_import},
      {"bench",
       kMeasuring,
       "the built-in traffic generator and its report",
       {},
       {},
       "Plays guests on vhost-user sockets and measures what becomes of their frames. weft-bench does it; once it is\n"
       "installed, `weft bench --help` prints its options.\n",
       nullptr,
       nullptr,
       nullptr,
       true},
  };
  return kCommands;
}

/// What the contract promises for later; named so that nobody takes them for typing mistakes.
constexpr std::array<std::string_view, 19> kFuture{
    "net-define", "net-create", "net-start", "net-destroy",   "net-undefine", "net-autostart", "net-update",
    "net-event",  "net-edit",   "net-uuid",  "net-port-list", "port-set",     "route",         "conntrack-flush",
    "top",        "capture",    "trace",     "plan",          "apply"};

/// Fewest insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string
/// alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> now(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, replaced});
      const bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_swap) now[j] = std::min(now[j], before_last[j - 2] + 1);
    }
    before_last = last;
    last = now;
  }
  return last[b.size()];
}

}  // namespace

std::string Arguments::get(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string() : found->second.front();
}

const std::vector<std::string>& Arguments::all(const std::string& name) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second;
}

std::span<const Command> commands() { return table(); }

const Command* find_command(std::string_view name) {
  const auto found = std::ranges::find_if(table(), [name](const Command& c) { return c.name == name; });
  return found == table().end() ? nullptr : &*found;
}

bool is_future_command(std::string_view name) { return std::ranges::find(kFuture, name) != kFuture.end(); }

std::string_view nearest_command(std::string_view name) {
  if (name.size() > 64) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const Command& command : table()) {
    const std::string_view candidate = command.name;
    const bool is_start = name.size() >= 3 && candidate.starts_with(name);
    const size_t distance = is_start ? 1 : edit_distance(name, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

}  // namespace weft::tools
