#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job, end to end, and what `weft` says about it afterwards."""

from checks import check, check_equal, ok, run_script, section
from lab import GATEWAY, WAN_GATEWAY, Lab, n_workers, sanitized
from main_job import run_main_job


def test():
    with Lab() as lab:
        weftd = lab.weftd
        section("the main job")
        vm, c1, leases = run_main_job(lab, lambda what, function: ok(what, function()))

        section("what weft shows")
        check_equal("net-list", [(n["name"], n["state"]) for n in weftd.ask("net-list")["networks"]], [("default", "active")])
        info = weftd.ask("net-info", "default")
        check_equal("net-info: bridge, forward", (info["bridge"], info["forward"]), ("virbr0", "nat"))
        check_equal("net-info: ports, leases", (info["ports"], info["leases"]), (2, 2))
        check("net-info: connections", info["connections"] > 0, info["connections"])
        ports = {port["name"]: port for port in weftd.ask("port-list")["ports"]}
        check_equal("port-list: kinds", {name: port["kind"] for name, port in ports.items()},
                    {"vm1": "vhostuser", "c1": "tap", "virbr0": "tap", "wan": "netdev"})  # fmt: skip
        check_equal("port-list: links", {port["link"] for port in ports.values()}, {"up"})
        fdb = {entry["mac"]: entry["port"] for entry in weftd.ask("fdb", "default")["entries"]}
        check_equal("fdb: the QEMU guest", fdb.get(vm.hardware_address), "vm1")
        check_equal("fdb: the namespace guest", fdb.get(c1.mac()), "c1")
        neighbours = {n["address"]: n for n in weftd.ask("neigh")["neighbours"]}
        check_equal("neigh: the uplink's next hop", neighbours[WAN_GATEWAY]["interface"], "wan")
        check_equal("neigh: a guest", neighbours[leases[vm]]["mac"], vm.hardware_address)
        stats = weftd.ask("port-stats", "c1")
        check("port-stats", stats["rx-packets"] > 0 and stats["tx-packets"] > 0, stats)
        check_equal("stats: a line a worker", len(weftd.ask("stats")["workers"]), n_workers())
        connections = weftd.ask("conntrack")
        check_equal("conntrack lists as many as it counts", len(connections["connections"]), connections["count"])
        resident = weftd.resident_mib()
        check("resident memory is at most 150 MB", resident * 1.048576 <= 150 or sanitized(), f"{resident:.0f} MiB")
        for command in (
            ["net-list"], ["net-info", "default"], ["net-dump", "default"], ["net-dump", "default", "--xml"],
            ["net-dhcp-leases", "default"], ["port-list"], ["port-stats", "vm1"], ["fdb"], ["neigh"], ["conntrack"],
            ["conntrack", "--count"], ["stats"], ["drops"],
        ):  # fmt: skip
            result = weftd.cli(*command)
            check_equal(f"weft {' '.join(command)} as text", (result.code, result.err), (0, ""))
        check("the guests' gateway is the host's seat", GATEWAY + "/24" in lab.host.addresses("virbr0"))


run_script(test)
