// SPDX-License-Identifier: BSD-3-Clause
//
// The typed model of everything the configuration can say: plain values, one struct a section, members in the
// order and under the names of the YAML (and so of libvirt's <network>). load.h makes it from YAML,
// libvirt_xml.h from <network> XML, both give it back as text. It is a value: any thread may hold a copy,
// nobody changes a shared one.
//
// Two shapes of "not given": a member with a default initialiser simply has libvirt's default; a
// std::optional or an empty string was not given and has no default, or one that depends on something else.
// load() fills those it can (see `complete()` in load.h); what stays empty is marked "the switch decides".
#pragma once

#include "dataplane/wire/addr.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace weft::config {

/// Where an item was written: line and column count from 1, 0 is unknown (made at run time). It takes no part
/// in comparing models: two networks are equal when they ask for the same, wherever they stand.
struct Location {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;

  Location() {}  // not "= default": g++ 12 then warns of {} in an aggregate
  Location(std::string in_file, uint32_t at_line, uint32_t at_column)
      : file(std::move(in_file)), line(at_line), column(at_column) {}

  /// "file:line:column", or just the file, or "" when unknown.
  [[nodiscard]] std::string to_string() const {
    if (line == 0) return file;
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
  }
  bool operator==(const Location&) const noexcept { return true; }
};

// ---- small values
// -------------------------------------------------------------------------------------------------

/// An inclusive range of TCP/UDP ports.
struct PortRange {
  uint16_t start = 0;
  uint16_t end = 0;
  bool operator==(const PortRange&) const = default;
};

/// An inclusive range of IPv4 addresses.
struct Ipv4Range {
  wire::Ipv4Address start;
  wire::Ipv4Address end;
  bool operator==(const Ipv4Range&) const = default;
};

/// An address of either family with its prefix length; the address need not be the network's first.
struct IpPrefix {
  wire::IpAddress address;
  uint8_t length = 0;

  [[nodiscard]] bool is_v4() const noexcept { return address.is_v4(); }
  /// Only when is_v4().
  [[nodiscard]] wire::Ipv4Prefix v4() const noexcept { return {address.v4(), length}; }
  [[nodiscard]] bool contains(const wire::IpAddress& a) const noexcept;
  [[nodiscard]] bool overlaps(const IpPrefix& o) const noexcept;
  /// "192.168.122.1/24": the address as it is, not the network's.
  [[nodiscard]] std::string to_string() const { return address.to_string() + "/" + std::to_string(length); }
  bool operator==(const IpPrefix&) const = default;
};

/// Owner, group and mode of a Unix socket; what is not given stays as the process makes it.
struct SocketPermissions {
  std::string owner;             // user name or number
  std::string group;             // group name or number
  std::optional<uint16_t> mode;  // permission bits, e.g. 0660
  bool operator==(const SocketPermissions&) const = default;
};

// ---- what a port or an uplink is made of
// ----------------------------------------------------------------------------

enum class SocketMode { kServer, kClient };

/// Most queue pairs of a vhost-user port: the protocol names a ring's descriptors with one byte.
inline constexpr uint16_t kMaxQueuePairs = 128;

/// A vhost-user socket. kServer: weftd listens on `path`; kClient: it connects, and connects again.
struct VhostUser {
  std::string path;
  SocketMode mode = SocketMode::kServer;
  uint16_t queues = 1;            // queue pairs, up to kMaxQueuePairs
  SocketPermissions permissions;  // what is not given here comes from switch.sockets
  bool operator==(const VhostUser&) const = default;
};

/// A tap weftd makes (and takes again after a restart).
struct Tap {
  std::string name;    // of the netdev
  std::string netns;   // empty: weftd's own
  std::string bridge;  // uplinks only: an existing host bridge that the tap joins; empty: none
  uint16_t queues = 1;
  bool operator==(const Tap&) const = default;
};

enum class Driver { kAuto, kAfXdp, kAfPacket };

/// A netdev that exists already or appears later.
struct Netdev {
  std::string name;
  Driver driver = Driver::kAuto;
  bool operator==(const Netdev&) const = default;
};

/// A physical NIC by its PCI address, driven by DPDK.
struct Pci {
  std::string address;
  bool operator==(const Pci&) const = default;
};

/// A DPDK virtual device: its name and arguments.
struct Vdev {
  std::string arguments;
  bool operator==(const Vdev&) const = default;
};

using Device = std::variant<Netdev, VhostUser, Tap, Pci, Vdev>;

// ---- switch
// ---------------------------------------------------------------------------------------------------------

enum class Idle { kAdaptive, kPoll };

inline constexpr const char* kDefaultControlPath = "/run/weft/weft.sock";
inline constexpr const char* kDefaultStateDirectory = "/var/lib/weft";

struct Control {
  std::string path = kDefaultControlPath;
  SocketPermissions permissions;
  bool operator==(const Control&) const = default;
};

/// Memory for the packets the switch must keep. Automatic: hugepages when there are some, else ordinary
/// pages.
struct Memory {
  std::optional<bool> hugepages;     // not given: automatic
  std::optional<uint32_t> size_mib;  // not given: automatic
  bool operator==(const Memory&) const = default;
};

struct Fdb {
  uint32_t entries = 2097152;
  uint32_t per_port = 1048576;  // over its share a port replaces only its own oldest entries
  uint32_t ageing_seconds = 300;
  bool operator==(const Fdb&) const = default;
};

struct Metrics {
  wire::IpAddress address;
  uint16_t port = 0;
  bool operator==(const Metrics&) const = default;
};

struct Switch {
  std::vector<uint16_t> workers;  // CPU numbers, one polling thread each; empty: automatic
  Idle idle = Idle::kAdaptive;
  Control control;
  SocketPermissions sockets;  // default of vhost-user sockets weftd listens on
  Memory memory;
  Fdb fdb;
  std::string state = kDefaultStateDirectory;
  std::optional<Metrics> metrics;
  bool operator==(const Switch&) const = default;
};

// ---- uplinks
// --------------------------------------------------------------------------------------------------------

enum class UplinkAddress {
  kHost,  // share the host's own address
  kDhcp,
  kList,  // `addresses`
};

struct Uplink {
  Location where;
  std::string name;
  Device device;
  std::optional<UplinkAddress> address_mode;  // not given: kHost; always set after load()
  std::vector<IpPrefix> addresses;            // kList only, at least one
  std::optional<PortRange> ports;             // the switch's own ports on these addresses
  std::vector<wire::IpAddress> gateways;      // kList only; each in the subnet of one of `addresses`
  bool operator==(const Uplink&) const = default;
};

// ---- networks
// -------------------------------------------------------------------------------------------------------

enum class ForwardMode { kNone, kNat, kRoute, kOpen, kBridge };
enum class NatMapping { kEndpointIndependent, kEndpointDependent };

struct Nat {
  std::optional<Ipv4Range> address;  // not given: the uplink's own
  PortRange port{1024, 65535};
  bool ipv6 = false;
  NatMapping mapping = NatMapping::kEndpointIndependent;
  bool operator==(const Nat&) const = default;
};

/// `dev` is an uplink's name; empty: the only one. In bridge mode the uplinks are `dev`, the `interfaces`, or
/// the one that joins the host bridge called `bridge.name`.
struct Forward {
  ForwardMode mode = ForwardMode::kNone;
  std::string dev;
  std::vector<std::string> interfaces;  // bridge mode only
  Nat nat;                              // nat mode only
  bool operator==(const Forward&) const = default;
};

enum class MacTableManager { kKernel, kLibvirt };

/// `name` is the tap that is the host's own seat in the network; in bridge mode the existing host bridge to
/// join.
struct Bridge {
  std::string name;  // may be a template ("virbr%d") until load() has completed it
  bool stp = true;
  uint32_t delay_seconds = 0;
  std::optional<bool> host;  // has the host a seat? always set after load()
  std::string zone;
  MacTableManager mac_table_manager = MacTableManager::kKernel;
  bool operator==(const Bridge&) const = default;
};

struct Domain {
  std::string name;  // empty: the network has no domain
  bool local_only = false;
  bool register_domain = false;
  bool operator==(const Domain&) const = default;
};

/// At least one of domain and addr. A domain without addr: ask the host's resolvers for it.
struct Forwarder {
  Location where;
  std::string domain;
  std::optional<wire::IpAddress> addr;
  uint16_t port = 53;
  bool operator==(const Forwarder&) const = default;
};

struct DnsHost {
  Location where;
  wire::IpAddress ip;
  std::vector<std::string> hostnames;  // at least one; the first is the name of `ip` (PTR)
  bool operator==(const DnsHost&) const = default;
};

struct DnsTxt {
  Location where;
  std::string name;
  std::string value;
  bool operator==(const DnsTxt&) const = default;
};

struct DnsSrv {
  Location where;
  std::string service;
  std::string protocol;  // "tcp" or "udp"
  std::string domain;
  std::string target;  // empty or ".": the service is not offered
  std::optional<uint16_t> port, priority, weight;
  bool operator==(const DnsSrv&) const = default;
};

struct Dns {
  bool enable = true;
  bool forward_plain_names = true;
  std::vector<Forwarder> forwarders;
  std::vector<DnsHost> hosts;
  std::vector<DnsTxt> txts;
  std::vector<DnsSrv> srvs;
  bool operator==(const Dns&) const = default;
};

inline constexpr uint32_t kInfiniteLease = 0;
inline constexpr uint32_t kDefaultLeaseSeconds = 3600;
inline constexpr uint32_t kDefaultLeaseSecondsIpv6 = 86400;
inline constexpr uint32_t kMinimumLeaseSeconds = 120;

struct DhcpRange {
  Location where;
  wire::IpAddress start;
  wire::IpAddress end;                    // inclusive
  std::optional<uint32_t> lease_seconds;  // kInfiniteLease: for ever; always set after load()
  bool operator==(const DhcpRange&) const = default;
};

/// A static host. IPv4: mac or name; IPv6: id or name.
struct DhcpHost {
  Location where;
  std::optional<wire::MacAddress> mac;
  std::string id;  // DUID, IPv6 only
  std::string name;
  wire::IpAddress ip;
  std::optional<uint32_t> lease_seconds;  // not given: as the first range has it, else the default
  bool operator==(const DhcpHost&) const = default;
};

/// Any DHCP option by its number, with one typed value.
struct DhcpOption {
  struct Number {
    uint8_t bits = 8;  // 8, 16 or 32
    uint32_t value = 0;
    bool operator==(const Number&) const = default;
  };
  struct Bytes {
    std::vector<uint8_t> bytes;
    bool operator==(const Bytes&) const = default;
  };
  Location where;
  uint16_t code = 0;
  std::variant<std::vector<wire::IpAddress>, std::string, Number, Bytes> value;
  bool operator==(const DhcpOption&) const = default;
};

struct Bootp {
  std::string file;
  std::optional<wire::Ipv4Address> server;  // not given: the gateway
  bool operator==(const Bootp&) const = default;
};

struct Dhcp {
  std::vector<DhcpRange> ranges;
  std::vector<DhcpHost> hosts;
  std::vector<DhcpOption> options;
  std::optional<Bootp> bootp;
  /// DHCP is served here when there is something to hand out.
  [[nodiscard]] bool is_served() const noexcept { return !ranges.empty() || !hosts.empty(); }
  bool operator==(const Dhcp&) const = default;
};

/// One gateway address of a network with its subnet, and what is served there.
struct Ip {
  Location where;
  IpPrefix address;  // family, address, prefix or netmask in one
  bool local_ptr = false;
  Dhcp dhcp;
  std::string tftp_root;  // empty: no TFTP
  bool operator==(const Ip&) const = default;
};

struct Route {
  Location where;
  IpPrefix destination;  // a network's first address
  wire::IpAddress gateway;
  uint32_t metric = 1;
  bool operator==(const Route&) const = default;
};

/// libvirt's units: average, peak and floor in kilobytes (1000 bytes) a second, burst in KiB.
struct Rate {
  std::optional<uint64_t> average, peak, burst, floor;
  bool operator==(const Rate&) const = default;
};

inline constexpr uint64_t kMostRate = uint64_t{1} << 54;
inline constexpr uint64_t kMostBurst = 4194303;

/// inbound: towards the guests; outbound: from them.
struct Bandwidth {
  std::optional<Rate> inbound, outbound;
  bool operator==(const Bandwidth&) const = default;
};

enum class NativeMode { kTagged, kUntagged };

struct VlanTag {
  uint16_t id = 0;
  std::optional<NativeMode> native_mode;
  bool operator==(const VlanTag&) const = default;
};

struct Vlan {
  bool trunk = false;
  std::vector<VlanTag> tags;  // at least one
  bool operator==(const Vlan&) const = default;
};

/// Kept, not used: labels for an external port manager.
struct VirtualPort {
  std::string type;  // "openvswitch"; may be empty in a portgroup
  std::map<std::string, std::string> parameters;
  bool operator==(const VirtualPort&) const = default;
};

struct PortGroup {
  Location where;
  std::string name;
  bool is_default = false;
  std::optional<bool> trust_guest_rx_filters;
  std::optional<Bandwidth> bandwidth;
  std::optional<Vlan> vlan;
  std::optional<VirtualPort> virtualport;
  bool operator==(const PortGroup&) const = default;
};

enum class ForwardProtocol { kTcp, kUdp };

/// A published port: what arrives for `address` on `dev` goes to `ip`.
struct PortForward {
  struct Range {
    uint16_t start = 0;
    uint16_t end = 0;            // not given: start; set after load()
    std::optional<uint16_t> to;  // not given: the same port
    bool operator==(const Range&) const = default;
  };
  Location where;
  ForwardProtocol proto = ForwardProtocol::kTcp;
  std::string dev;                         // an uplink; empty: the network's
  std::optional<wire::IpAddress> address;  // not given: any of the uplink's
  wire::IpAddress ip;
  std::vector<Range> ranges;  // empty: all ports
  bool operator==(const PortForward&) const = default;
};

struct Network {
  Location where;
  std::string name;
  std::string uuid;  // canonical lower case with dashes; empty: the switch makes and keeps one
  std::string title;
  std::string description;
  std::string metadata;  // raw XML, the children of <metadata>
  bool autostart = true;
  bool ipv6 = false;
  std::optional<bool> trust_guest_rx_filters;
  Forward forward;
  Bridge bridge;
  std::optional<wire::MacAddress> mac;  // the gateway's; not given: the switch makes and keeps one
  std::optional<uint16_t> mtu;          // not given: 1500
  Domain domain;
  Dns dns;
  std::vector<Ip> ips;
  std::vector<Route> routes;
  std::optional<Bandwidth> bandwidth;
  std::optional<Vlan> vlan;
  std::vector<PortGroup> portgroups;
  std::optional<bool> isolated;  // port.isolated: the default of its ports
  std::optional<VirtualPort> virtualport;
  std::vector<std::string> dnsmasq_options;
  std::vector<PortForward> port_forwards;
  bool operator==(const Network&) const = default;
};

/// The uplinks that are members of a bridge-mode network, by name; none in other modes.
[[nodiscard]] inline std::vector<std::string> bridged_uplinks(const Network& n) {
  if (n.forward.mode != ForwardMode::kBridge) return {};
  std::vector<std::string> names = n.forward.interfaces;
  if (!n.forward.dev.empty() && std::find(names.begin(), names.end(), n.forward.dev) == names.end())
    names.push_back(n.forward.dev);
  if (!n.bridge.name.empty()) names.push_back(n.bridge.name);
  return names;
}

// ---- ports
// ----------------------------------------------------------------------------------------------------------

struct FilterRef {
  std::string filter;
  std::map<std::string, std::vector<std::string>> parameters;
  bool operator==(const FilterRef&) const = default;
};

/// A guest's port. Its device is a vhost-user socket, a tap or an existing netdev (never Pci or Vdev).
struct Port {
  Location where;
  std::string name;
  std::string network;
  Device device;
  std::optional<wire::MacAddress> mac;
  std::string portgroup;
  std::optional<uint16_t> mtu;
  bool link_up = true;
  std::optional<bool> isolated;  // not given: as the network has it
  std::optional<Vlan> vlan;
  std::optional<Bandwidth> bandwidth;
  std::optional<FilterRef> filterref;
  bool operator==(const Port&) const = default;
};

struct Config {
  Switch switch_;  // `switch` is a keyword
  std::vector<Uplink> uplinks;
  std::vector<Network> networks;
  std::vector<Port> ports;
  bool operator==(const Config&) const = default;
};

}  // namespace weft::config
