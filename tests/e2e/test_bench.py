#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The traffic generator against weftd: each of its modes gives figures that agree with the switch's own counters, and it
says plainly when it cannot measure. No figure is judged here."""

import json
import os
import subprocess

from checks import check, check_equal, poll, run_script, section
from lab import BUILD, Lab, config

NAT = {
    "name": "nat", "forward": {"mode": "nat"}, "bridge": {"host": False},
    "ips": [{"address": "192.168.122.1", "prefix": 24}],
}  # fmt: skip


class Bench:
    """`weft bench` as a user runs it."""

    def __init__(self, lab, *sockets):
        self.lab = lab
        self.sockets = [lab.socket(name) for name in sockets]

    def run(self, *arguments, timeout=60):
        argv = [self.lab.weftd.weft, "bench", *map(str, arguments)]
        for socket in self.sockets:
            argv += ["--socket", socket]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)

    def report(self, *arguments):
        done = self.run(*arguments, "--json", "--warm-up", "0.1", "--seconds", "0.3")
        check(f"weft bench {' '.join(map(str, arguments))}", done.returncode == 0, done.stderr.strip())
        return json.loads(done.stdout)


def vhost_port(lab, name, network="bench"):
    return {"name": name, "network": network, "vhostuser": {"path": lab.socket(name)}}


def modes(lab):
    weftd, bench = lab.weftd, Bench(lab, "a", "b")

    section("throughput")
    before = weftd.ask("stats")["totals"]["received"]
    report = bench.report()
    seen = weftd.ask("stats")["totals"]["received"] - before
    check("the switch counted what was sent", report["sent"] <= seen, f"sent {report['sent']}, the switch received {seen}")
    check("frames arrived", report["received"] > 100 and report["mpps"] > 0, f"{report['mpps']:.2f} Mpps")
    check("whose limit it was is said", isinstance(report["generator-limited"], bool) and 0 <= report["starved"] <= 1)
    for size in (65, 1518):
        check_equal(f"{size} B", bench.report("--size", size)["size"], size)
    check("segments pass", bench.report("--tso")["received"] > 10)
    check("packed rings pass", bench.report("--packed", "--ring", 100)["received"] > 100)
    check("frames written anew pass", bench.report("--rewrite")["received"] > 100)
    said = bench.run("--warm-up", "0.1", "--seconds", "0.3", "--one-way")
    check("the text says it too", "was the limit" in said.stdout and "frames/s" in said.stdout, said.stdout + said.stderr)

    section("flows, addresses, order")
    report = bench.report("--macs", 3000, "--flows", 5000, "--check", "--pps", 50000)
    learned = {entry["mac"] for entry in weftd.ask("fdb", "bench")["entries"]}
    wanted = {f"02:0{guest}:00:00:{i >> 8:02x}:{i & 255:02x}" for guest in (0, 1) for i in range(3000)}
    # A table that grows fast may replace a few.
    check("the addresses were learned", len(wanted - learned) < 60, f"{len(wanted & learned)} of {len(wanted)}")
    check("nothing is late or twice", report["sequence"]["late"] == 0 and report["sequence"]["twice"] == 0, str(report["sequence"]))
    check("the numbers agree with the counts", report["sequence"]["in-order"] == report["received"], str(report["sequence"]))

    section("latency and search")
    latency = bench.report("latency", "--pps", 20000, "--one-way")["latency-ns"]
    check("latency has its percentiles", 0 < latency["p50"] <= latency["p99"] <= latency["max"], str({k: latency[k] for k in ("p50", "p99", "max")}))
    check("about as many as were sent for", 100 < latency["count"] < 9000, str(latency["count"]))
    search = bench.report("search", "--loss", 0.01, "--resolution", 0.2)
    check("the search tried and found", search["trials"] and 0 <= search["mpps"] <= 1.2 * search["free-mpps"], str(search["trials"]))


def sleeping(lab):
    section("a switch that sleeps")
    report = Bench(lab, "a", "b").report("wake", "--gap", 5)
    check("each frame woke the receiver", report["frame-ns"]["count"] >= 3 and report["lost"] == 0, str(report["lost"]))
    check("beside eventfds", report["eventfd-ns"]["p50"] > 0 and report["p99-ratio"] > 0)
    hold = subprocess.Popen(
        [lab.weftd.weft, "bench", "hold", "--socket", lab.socket("p%d").replace(".sock", ""), "--guests", "2", "--seconds", "1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    check_equal("held guests say so", hold.stdout.readline().strip(), "ready")
    poll("their links are up", lambda: lab.weftd.port("p0")["link"] == "up", 5.0)
    check_equal("and leave in time", hold.wait(10), 0)


def nat(lab):
    bench = Bench(lab, "inside", "wan")
    section("round trips through masquerade")
    report = bench.report("nat", "--flows", 500)
    check("frames come back", report["received"] > 100, str(report["received"]))
    known = {c["source-port"] for c in lab.weftd.ask("conntrack", "--network", "nat")["connections"]}
    check_equal("each flow is a connection", len(known), 500)
    report = bench.report("nat", "--new-sessions", "--pps", 20000)
    check("new sessions come back", report["received"] > 100, str(report["received"]))
    count = lab.weftd.ask("conntrack", "--network", "nat", "--count")["count"]
    check("each is a connection", count >= 500 + report["received"], f"{count} connections")


def refusals(lab):
    section("what cannot be measured")
    check_equal("wrong usage", Bench(lab, "a", "b").run("--size", "12").returncode, 2)
    nobody = Bench(lab, "nobody", "none").run("--wait", "0.1")
    check_equal("nobody at the socket", nobody.returncode, 3)
    check("it is named", lab.socket("nobody") in nobody.stderr, nobody.stderr.strip())
    check("help tells the modes", "--new-sessions" in Bench(lab).run("--help").stdout)
    check("weft --help names it", "bench" in lab.weftd.cli("--help").out)
    lab.weftd.cli("port-remove", "none")
    lonely = Bench(lab, "a", "elsewhere").run("--seconds", "0.2", "--warm-up", "0.1", "--wait", "0.5")
    check_equal("no way through is a failure", lonely.returncode, 1)
    check("and said", "no frame came through" in lonely.stderr, lonely.stderr.strip())


def test():
    check("weft-bench is built", os.access(f"{BUILD}/bench/generator/weft-bench", os.X_OK))
    with Lab(internet=False) as lab:
        uplink = {"name": "wan", "vhostuser": {"path": lab.socket("wan")}, "address": ["203.0.113.2/24"], "gateway": ["203.0.113.1"]}
        ports = [vhost_port(lab, "a"), vhost_port(lab, "b"), vhost_port(lab, "inside", "nat"), vhost_port(lab, "elsewhere", "other")]
        ports += [{"name": f"p{i}", "network": "bench", "vhostuser": {"path": f"{lab.dir}/p{i}"}} for i in range(2)]
        lab.weftd.start(config([{"name": "bench"}, {"name": "other"}, NAT], ports, uplinks=[uplink]))
        modes(lab)
        sleeping(lab)
        nat(lab)
        refusals(lab)


run_script(test)
