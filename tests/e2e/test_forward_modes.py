#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding: route and isolated beside nat; no uplink; one that comes late, is a tap, or a machine; bridge mode."""

from checks import check, check_equal, poll, run_script, section
from clients import DhcpClient
from lab import WAN_ADDRESS, WAN_GATEWAY, WEB, Lab, config, default_network, wan


def network(name, octet, forward, **more):
    return {
        "name": name,
        **({"forward": {"mode": forward}} if forward else {}),
        "ips": [{"address": f"10.{octet}.0.1", "prefix": 24,
                 "dhcp": {"ranges": [{"start": f"10.{octet}.0.100", "end": f"10.{octet}.0.200"}]}}],
        **more,
    }  # fmt: skip


def modes():
    with Lab() as lab:
        weftd = lab.weftd
        lab.inet.serve_pages()
        nat, routed, isolated = lab.tap_guest("n1", "nat"), lab.tap_guest("r1", "routed"), lab.tap_guest("i1", "isolated")
        weftd.start(config([network("nat", 1, "nat"), network("routed", 2, "route"), network("isolated", 3, None)],
                           [nat.port, routed.port, isolated.port]))  # fmt: skip
        lab.inet.run("ip", "route", "add", "10.2.0.0/24", "via", WAN_ADDRESS)
        leases = {guest: guest.dhcp()[0] for guest in (nat, routed, isolated)}

        section("routed")
        routed.fetch(f"http://{WEB}/")
        check_equal("the guest keeps its own address", lab.inet.web_clients(), {leases[routed].address})
        check("the internet reaches the guest", lab.inet.must_ping(leases[routed].address, 3))
        check("what nobody has is not there", lab.inet.ping("10.2.0.77", 1, timeout=5).received == 0)
        check("no connection is tracked for it", weftd.ask("conntrack", "--network", "routed", "--count")["count"] == 0)

        section("isolated")
        check_equal("its lease has no router", leases[isolated].router, "")
        check("the gateway is there", isolated.must_ping("10.3.0.1", 2))
        isolated.run("ip", "route", "replace", "default", "via", "10.3.0.1")
        check("out it cannot", isolated.ping(WEB, 2).received == 0)
        check("by name", weftd.wait_drop("route_forbidden"), weftd.drops())
        for other in (nat, routed):
            check(f"nor to {other.label}", isolated.ping(leases[other].address, 1).received == 0)
            check(f"nor {other.label} to it", other.ping(leases[isolated].address, 1).received == 0)

        section("nat")
        nat.fetch(f"http://{WEB}/")
        check_equal("masqueraded beside the others", lab.inet.web_clients(), {leases[routed].address, WAN_ADDRESS})


def no_uplink():
    with Lab() as lab:
        weftd = lab.weftd
        guest = lab.tap_guest("c1")
        weftd.expect_log("no uplink is configured")
        weftd.start(config([default_network()], [guest.port], uplinks=[]))
        section("without an uplink")
        check_equal("one warning", weftd.log().count("no uplink is configured"), 1)
        guest.dhcp()
        check("the gateway is there", guest.must_ping("192.168.122.1", 2))
        answer = guest.ping(WEB, 1).text
        check("what would leave is dropped by name", weftd.wait_drop("route_no_uplink"))
        check("and the guest is told", "Unreachable" in answer, answer)


def late_uplink():
    with Lab() as lab:
        weftd = lab.weftd
        guest = lab.tap_guest("c1")
        weftd.expect_log("waiting for late0")
        weftd.start(config([default_network()], [guest.port], uplinks=[wan(device="late0")]))
        section("an uplink that comes late")
        check_equal("weftd says so once", weftd.log().count("waiting for late0"), 1)
        guest.static("192.168.122.11/24")
        check("meanwhile nothing leaves", guest.ping(WEB, 1).received == 0)
        check("by name", weftd.wait_drop("route_uplink_down"), weftd.drops())
        lab.host.run("ip", "link", "set", "wan0", "down")
        lab.host.run("ip", "link", "set", "wan0", "name", "late0")
        lab.host.run("ip", "link", "set", "late0", "up")
        poll("traffic flows when it is there", lambda: guest.ping(WEB, 1).received == 1, 10.0)
        check("traffic flows when it is there", True)


def tap_uplink():
    with Lab() as lab:
        weftd = lab.weftd
        lab.inet.serve_pages(big_mib=4)
        guest = lab.tap_guest("c1")
        lab.inet.run("ip", "address", "flush", "dev", "wan")
        uplink = wan(device=None, driver=None, tap={"name": "up0", "netns": lab.inet.name})
        weftd.start(config([default_network()], [guest.port], uplinks=[uplink]))
        section("an uplink that is a tap")
        lab.inet.run("ip", "address", "replace", f"{WAN_GATEWAY}/24", "dev", "up0")
        lab.inet.run("ip", "link", "set", "up0", "up")
        client = DhcpClient(guest.wait_link(), "udhcpc").start()
        client.bound()
        check_equal("a page", guest.fetch(f"http://{WEB}/big").size, 4 << 20)
        check_equal("masqueraded", lab.inet.web_clients(), {WAN_ADDRESS})


def vhost_user_uplink():
    with Lab() as lab:
        weftd = lab.weftd
        router, guest = lab.qemu_guest("router"), lab.tap_guest("c1")
        uplink = wan(device=None, driver=None, vhostuser=router.port["vhostuser"])
        weftd.start(config([default_network()], [guest.port], uplinks=[uplink]))
        router.start()
        router.wait_booted()
        router.must(f"ip link set eth0 up; ip address add {WAN_GATEWAY}/24 dev eth0; echo weft >/tmp/index.html; "
                    "httpd -p 80 -h /tmp")  # fmt: skip
        section("an uplink that is a QEMU machine")
        guest.static("192.168.122.11/24")
        check("the machine beyond answers", guest.must_ping(WAN_GATEWAY, 3))
        check_equal("a page", guest.fetch(f"http://{WAN_GATEWAY}/").size, 5)
        check_equal("masqueraded", {c["nat-address"] for c in weftd.ask("conntrack")["connections"]}, {WAN_ADDRESS})
        check("it reaches the switch's own address", router.must_ping(WAN_ADDRESS, 2))


def bridge_mode():
    with Lab() as lab:
        weftd = lab.weftd
        lab.inet.serve_pages()
        near, far = lab.tap_guest("near", "lan"), lab.tap_guest("far", "br")
        neighbour = lab.namespace("beside")
        lab.host.run("ip", "link", "add", "br0", "type", "bridge")
        lab.cable(lab.host, "leg0", neighbour, "leg")
        lab.host.run("ip", "link", "set", "leg0", "master", "br0")
        for namespace, device in ((lab.host, "br0"), (lab.host, "leg0"), (neighbour, "leg")):
            namespace.run("ip", "link", "set", device, "up")
        neighbour.run("ip", "address", "add", "10.9.0.1/24", "dev", "leg")
        weftd.start(config(
            [{"name": "lan", "forward": {"mode": "bridge", "dev": "wan"}},
             {"name": "br", "forward": {"mode": "bridge"}, "bridge": {"name": "br0"}}],
            [near.port, far.port],
            uplinks=[wan(address=None, gateway=None), {"name": "br0", "tap": {"name": "weft-br0", "bridge": "br0"}}],
        ))  # fmt: skip
        section("guests on the wire of a device")
        near.static("203.0.113.50/24", router=WAN_GATEWAY)
        check("the next machine", near.must_ping(WAN_GATEWAY, 3))
        near.fetch(f"http://{WEB}/")
        check_equal("by the guest's own address", lab.inet.web_clients(), {"203.0.113.50"})
        check_equal("port-list has the uplink in the network", weftd.port("wan")["network"], "lan")
        section("guests on the host's bridge")
        far.static("10.9.0.2/24", router=None)
        check("who is on the bridge", far.must_ping("10.9.0.1", 3))


def device_guest():
    with Lab() as lab:
        weftd = lab.weftd
        guest, other = lab.namespace("vm"), lab.tap_guest("c1")
        lab.cable(lab.host, "vnet7", guest, "eth0")
        for namespace, device in ((lab.host, "vnet7"), (guest, "eth0")):
            namespace.run("ip", "link", "set", device, "up")
        weftd.expect_log("waiting for vnet8")
        weftd.start(config([default_network()], [other.port, {"name": "vm", "network": "default", "device": "vnet7"},
                                                 {"name": "later", "network": "default", "device": "vnet8"}]))  # fmt: skip
        section("a guest's own netdev as its port")
        other.static("192.168.122.12/24")
        client = DhcpClient(guest, "udhcpc", interface="eth0").start()
        check("leases", client.bound().address.startswith("192.168.122."))
        check("reaches its neighbour", guest.must_ping("192.168.122.12", 3))
        check("the gateway", guest.must_ping("192.168.122.1", 2))
        check("and out", guest.must_ping(WEB, 2))
        section("one that comes later")
        check_equal("is waited for", weftd.port("later")["link"], "down")
        late = lab.namespace("late")
        lab.cable(lab.host, "vnet8", late, "eth0")
        for namespace, device in ((lab.host, "vnet8"), (late, "eth0")):
            namespace.run("ip", "link", "set", device, "up")
        late.run("ip", "address", "add", "192.168.122.13/24", "dev", "eth0")
        poll("it is taken", lambda: late.ping("192.168.122.12", 1).received == 1, 10.0)


def test():
    modes()
    no_uplink()
    late_uplink()
    tap_uplink()
    vhost_user_uplink()
    bridge_mode()
    device_guest()


run_script(test)
