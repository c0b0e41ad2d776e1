#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""DHCP as real clients speak it: three clients through lease, renewal and release; static hosts; NAK; a crowd."""

from checks import check, check_equal, need, poll, run_script, section
from clients import DhcpClient, perfdhcp
from lab import GATEWAY, Lab, config, default_network

STATIC_MAC = "52:54:00:aa:bb:cc"


def network():
    return default_network(
        domain={"name": "lab.test"},
        mtu={"size": 1400},
        ips=[{
            "address": GATEWAY, "prefix": 24,
            "dhcp": {
                "ranges": [{"start": "192.168.122.100", "end": "192.168.122.220", "lease": {"expiry": 10, "unit": "minutes"}}],
                "hosts": [{"mac": STATIC_MAC, "name": "fixed", "ip": "192.168.122.10"}],
            },
        }],
    )  # fmt: skip


def test_client(lab, guest, kind):
    section(kind)
    client = DhcpClient(guest, kind, hostname=f"by-{kind}").start()
    lease = client.bound()
    check("an address of the range", 100 <= int(lease.address.split(".")[3]) <= 220, lease.address)
    check_equal("router", lease.router, GATEWAY)
    check_equal("name server", lease.dns, GATEWAY)
    check_equal("domain", lease.domain, "lab.test")
    check_equal("broadcast address", lease.broadcast, "192.168.122.255")
    check_equal("MTU", lease.mtu, "1400")
    check_equal("lease time in seconds", lease.lease_seconds, 600)
    check_equal("server identifier", lease.server, GATEWAY)
    check("the gateway answers at once", guest.must_ping(GATEWAY, 1))
    shown = lab.weftd.leases()[guest.mac()]
    check_equal("shown with its name", (shown["address"], shown["hostname"]), (lease.address, f"by-{kind}"))
    client.renew()
    check_equal("renewed: the same address", client.bound().address, lease.address)
    client.release()
    poll("the released lease is gone from the list", lambda: guest.mac() not in lab.weftd.leases(), 5.0)
    check("released", True)
    again = DhcpClient(guest, kind, hostname=f"by-{kind}").start()
    check_equal("asked again: the same address as before", again.bound().address, lease.address)
    again.release()


def test_static_host(guest):
    section("static host")
    guest.run("ip", "link", "set", guest.interface, "down")
    guest.run("ip", "link", "set", guest.interface, "address", STATIC_MAC)
    client = DhcpClient(guest, "dhclient", hostname="itself").start()
    lease = client.bound()
    check_equal("its own address", lease.address, "192.168.122.10")
    check_equal("its own name", lease.hostname, "fixed")
    client.release()


def test_nak(guest):
    section("NAK")
    lease_of_elsewhere = """lease {
  interface "%s";
  fixed-address 10.99.0.5;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 864000;
  option dhcp-message-type 5;
  option dhcp-server-identifier 10.99.0.1;
  renew 4 2037/01/01 00:00:00;
  rebind 4 2037/01/02 00:00:00;
  expire 4 2037/01/03 00:00:00;
}
"""
    guest.write("dhclient.leases", lease_of_elsewhere % guest.interface)
    client = DhcpClient(guest, "dhclient").start()
    lease = client.bound()
    check("a client from elsewhere gets an address of this network", lease.address.startswith("192.168.122."), lease.address)
    check("because it was told NAK", "DHCPNAK" in guest.read("dhclient.log"))
    client.release()


def test_crowd(lab, guest):
    section("a crowd")
    guest.static("192.168.122.250/24")
    rate, seconds = 40, 2
    (offers, acks), report = perfdhcp(guest, guest.interface, rate, seconds, 25)
    check(f"{rate} exchanges a second asked, at least 20 a second done", acks[1] >= 20 * seconds, f"{acks[1]} in {seconds} s")
    check("hardly any goes unanswered", acks[1] >= 0.95 * acks[0] and offers[1] >= 0.95 * offers[0], f"{offers} {acks}")
    # perfdhcp's clients, by the MAC addresses it makes up.
    leases = {mac: lease for mac, lease in lab.weftd.leases().items() if mac.startswith("00:0c:01:")}
    addresses = {lease["address"] for lease in leases.values()}
    check_equal("no address is leased twice", len(addresses), len(leases))
    check("all of them of the range", all(100 <= int(a.split(".")[3]) <= 220 for a in addresses), len(addresses))
    check_equal("one address a client", len(leases), 25)


def test_greed(lab, guest):
    section("a guest that wants everything")
    neighbour = lab.tap_guest("c2")
    lab.weftd.ask("port-add", "default", "c2", "--tap", "c2", "--netns", neighbour.name)
    perfdhcp(guest, guest.interface, 200, 2, 200)
    held = len(lab.weftd.leases())
    check("one port does not get the whole range", held < 121, f"{held} of 121 addresses")
    check("another guest still gets its lease", neighbour.dhcp()[0].address)


def test():
    need("dhclient", "udhcpc", "dhcpcd", "perfdhcp")
    with Lab() as lab:
        guest = lab.tap_guest("c1")
        lab.weftd.start(config([network()], [guest.port]))
        guest.wait_link()
        for kind in ("dhclient", "udhcpc", "dhcpcd"):
            test_client(lab, guest, kind)
        test_static_host(guest)
        test_nak(guest)
        test_crowd(lab, guest)
        test_greed(lab, guest)


run_script(test)
