#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ports come and go while the others carry traffic, and nobody loses a packet by it."""

import json

from checks import check, check_equal, poll, run_script, section
from clients import Iperf3Server, Pinger
from lab import Lab, config, default_network, long_run


def test():
    with Lab() as lab:
        weftd = lab.weftd
        c1, c2, c3, quiet1, quiet2 = (lab.tap_guest(name) for name in ("c1", "c2", "c3", "quiet1", "quiet2"))
        weftd.start(config([default_network()], [g.port for g in (c1, c2, quiet1, quiet2)]))
        c1.static("192.168.122.11/24")
        c2.static("192.168.122.12/24")
        quiet1.static("192.168.122.21/24")
        quiet2.static("192.168.122.22/24")
        rounds = 60 if long_run() else 15

        section("a port at run time")
        result = weftd.cli("port-add", "default", "c3", "--tap", "c3", "--netns", c3.name)
        check_equal("port-add", (result.code, result.out, result.err), (0, "", ""))
        c3.static("192.168.122.13/24")
        check("it works", c3.must_ping("192.168.122.11", 2))
        check_equal("port-list has it", weftd.port("c3")["network"], "default")
        check_equal("port-remove", weftd.cli("port-remove", "c3").code, 0)
        check_equal("its tap is gone with it", c3.links(), [])
        check_equal("and its fdb entries", [e for e in weftd.ask("fdb")["entries"] if e["port"] == "c3"], [])

        section("refused")
        for what, argv, code, says in (
            ("a name that is taken", ["default", "c1", "--tap", "cx"], 1, "c1"),
            ("a network that is not there", ["nowhere", "c9", "--tap", "c9"], 1, "nowhere"),
            ("a namespace that is not there", ["default", "c9", "--tap", "c9", "--netns", "weft-nowhere"], 1, "weft-nowhere"),
            ("a name no netdev can have", ["default", "c9", "--tap", "a/b"], (1, 2), "a/b"),
            ("a socket in a directory that is not there", ["default", "c9", "--vhostuser", "/nonexistent/x.sock"], 1, "/nonexistent"),
            ("a socket path too long", ["default", "c9", "--vhostuser", "/tmp/" + "x" * 120], (1, 2), "107"),
        ):  # fmt: skip
            result = weftd.cli("port-add", *argv)
            codes = code if isinstance(code, tuple) else (code,)
            check(what, result.code in codes and result.err.count("\n") == 1 and says in result.err, result.err.strip())
        result = weftd.cli("port-remove", "nobody")
        check("removing what is not there", result.code == 1 and "nobody" in result.err, result.err.strip())
        check_equal("none of them is there", sorted(p["name"] for p in weftd.ask("port-list")["ports"]), ["c1", "c2", "quiet1", "quiet2", "virbr0", "wan"])

        section(f"{rounds} times while others talk")
        server = Iperf3Server(c2)
        # Not beside iperf3's own packets: those fill the tap's queue, and a full queue drops.
        pinger = Pinger(quiet1, "192.168.122.22")
        client = c1.spawn("iperf3", "-c", "192.168.122.12", "-t", 120, "-J", "--logfile", c1.path("iperf.json"))
        poll("traffic flows", lambda: weftd.ask("port-stats", "c1")["rx-bytes"] > 1 << 20, 10.0)
        for i in range(rounds):
            kind = (["--tap", "c3", "--netns", c3.name], ["--vhostuser", lab.socket("extra")])[i % 2]
            check_equal(f"add {kind[0][2:]}", weftd.cli("port-add", "default", "c3", *kind).code, 0) if i < 2 else weftd.ask(
                "port-add", "default", "c3", *kind
            )
            if i % 2 == 0:
                c3.static("192.168.122.13/24")
                c3.must_ping("192.168.122.11", 1)
            weftd.ask("port-remove", "c3")
        check(f"added and removed {rounds} times", True)
        c1.end(client, timeout=10.0)
        report = json.loads(c1.read("iperf.json"))
        check("TCP flowed all the time", report["end"]["sum_sent"]["bytes"] > 0 and
              all(i["sum"]["bytes"] > 0 for i in report["intervals"][:-1]), f"{len(report['intervals'])} intervals")  # fmt: skip
        lost, answered = pinger.stop()
        check("not one ping was lost", not lost, f"{answered} answered, lost {lost}")
        server.close()


run_script(test)
