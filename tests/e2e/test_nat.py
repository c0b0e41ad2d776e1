#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Masquerade: TCP, UDP and echo out, nothing unasked in, ports kept, errors translated back."""

import os

from checks import check, check_equal, need, poll, run_script, section
from lab import GATEWAY, HERE, NAMESERVER, WAN_ADDRESS, WAN_GATEWAY, WEB, Lab, config, default_network

TOOL = f"{HERE}/udp_tool.py"
FAR = "198.18.0.9"  # one router behind the internet (RFC 2544 range), over a link with a small MTU


def make_far(lab):
    """A machine behind one more router, so that there is somebody to send ICMP errors from the middle."""
    far = lab.namespace("far")
    lab.cable(lab.inet, "far0", far, "eth0")
    lab.inet.run("ip", "address", "add", "198.18.0.1/24", "dev", "far0")
    lab.inet.run("ip", "link", "set", "far0", "mtu", "1400", "up")
    far.run("ip", "address", "add", f"{FAR}/24", "dev", "eth0")
    far.run("ip", "link", "set", "eth0", "mtu", "1400", "up")
    far.run("ip", "route", "add", "default", "via", "198.18.0.1")
    lab.inet.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    # The kernel sends one error a second only to one destination, which would make the test wait.
    lab.inet.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
    return far


def serve_udp(lab, address, port):
    log = f"udp-{address}-{port}.log"
    lab.inet.spawn("python3", TOOL, "serve", address, port, log=log)
    poll("the UDP server", lambda: "serving" in lab.inet.read(log), 5.0)


def ask(guest, source_port, address, port):
    return guest.run("python3", TOOL, "ask", source_port, address, port).out.strip()


def test():
    need("traceroute", "nc")
    with Lab() as lab:
        weftd = lab.weftd
        lab.inet.serve_pages(big_mib=16)
        far = make_far(lab)
        for address, port in ((WEB, 7001), (NAMESERVER, 7001), (WEB, 7002)):
            serve_udp(lab, address, port)
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2")
        weftd.start(config([default_network()], [c1.port, c2.port]))
        c1.static("192.168.122.11/24")
        c2.static("192.168.122.12/24")

        section("out and back")
        page = c1.fetch(f"http://{WEB}/big")
        sent = open(f"{lab.inet.pages}/big", "rb").read()
        check("TCP down: 16 MiB unharmed", open(c1.path("page"), "rb").read() == sent, f"{page.mbit_per_second:.0f} Mb/s")
        lab.inet.spawn("sh", "-c", f"nc -l -N {WEB} 9000 >{lab.inet.path('upload')}")
        poll("nc listens", lambda: lab.inet.listens(9000), 5.0)
        c1.must(f"nc -N -w 20 {WEB} 9000 <{c1.path('page')}", 40)
        poll("TCP up: all arrives", lambda: os.path.getsize(lab.inet.path("upload")) == len(sent), 10.0)
        check("TCP up: 16 MiB unharmed", open(lab.inet.path("upload"), "rb").read() == sent)
        check_equal("the web server saw the uplink's address", lab.inet.web_clients(), {WAN_ADDRESS})
        check("echo", c1.must_ping(WEB, 3))
        check("echo of a whole frame", c1.must_ping(WEB, 1, size=1472))

        section("UDP and its ports")
        check_equal("the port is kept", ask(c1, 40000, WEB, 7001), f"{WAN_ADDRESS} 40000")
        check_equal("towards others too (endpoint-independent)", ask(c1, 40000, NAMESERVER, 7001), f"{WAN_ADDRESS} 40000")
        check_equal("and other ports", ask(c1, 40000, WEB, 7002), f"{WAN_ADDRESS} 40000")
        address, port = ask(c2, 40000, WEB, 7001).split()
        check("another guest's same port becomes another", address == WAN_ADDRESS and port != "40000", port)
        listed = weftd.ask("conntrack", "--network", "default")["connections"]
        mine = [c for c in listed if c["protocol"] == "udp" and c["source"] == "192.168.122.11"]
        check_equal("conntrack shows the mapping", {(c["source-port"], c["nat-address"], c["nat-port"]) for c in mine},
                    {(40000, WAN_ADDRESS, 40000)})  # fmt: skip
        check("conntrack --count", weftd.ask("conntrack", "--count")["count"] >= 4)

        section("errors from outside come back to the guest")
        check_equal("UDP to a closed port", ask(c1, 40001, WEB, 9), "ConnectionRefusedError")
        check("TCP to a closed port", "refused" in c1.sh(f"nc -w 3 -v -z {WEB} 9").text())
        answer = c1.sh("ping -c 1 -W 6 192.0.2.200").text()
        check("no such host", "Unreachable" in answer, answer.splitlines()[1] if "\n" in answer else answer)
        for how, name in (("-I", "ICMP"), ("-U", "UDP"), ("-T", "TCP")):
            out = c1.must(f"traceroute -n -q 1 -w 2 -m 5 {how} {FAR} | tail -n +2", 40)
            check_equal(f"traceroute with {name}", [line.split()[1] for line in out.splitlines()], [GATEWAY, WAN_GATEWAY, FAR])
        answer = c1.sh(f"ping -c 1 -W 2 -M do -s 1422 {FAR}").text()
        check("path MTU: the router's 1400 is told", "mtu = 1400" in answer or "mtu=1400" in answer, answer)
        check("TTL 1 ends at the gateway", f"From {GATEWAY}" in c1.ping(WEB, 1, ttl=1).text)
        check("route_ttl counts it", weftd.wait_drop("route_ttl") >= 1)
        check("the far machine answers", far.addresses("eth0") and c1.must_ping(FAR, 1))

        section("nothing comes in unasked")
        before = weftd.drops().get("nat_no_mapping", 0)
        lab.inet.sh(f"nc -w 1 -z {WAN_ADDRESS} 8080")
        lab.inet.sh(f"echo x | nc -u -w 1 -q 0 {WAN_ADDRESS} 8081")
        check("TCP and UDP to the switch's address", weftd.wait_drop("nat_no_mapping", 2, before) > before)
        lab.inet.run("ip", "route", "add", "192.168.122.0/24", "via", WAN_ADDRESS)
        before = sum(weftd.drops().values())
        check("a guest's own address cannot be reached", lab.inet.ping("192.168.122.11", 2).received == 0)
        check("and what tried is dropped by name", sum(weftd.drops().values()) >= before + 2, weftd.drops())
        lab.inet.run("ip", "route", "del", "192.168.122.0/24")

        section("many at once")
        c1.run("sh", "-c", f"for i in $(seq 200); do curl -s -o /dev/null http://{WEB}/ & done; wait", timeout=60)
        check("200 connections at once", c1.fetch(f"http://{WEB}/").size > 0)


run_script(test)
