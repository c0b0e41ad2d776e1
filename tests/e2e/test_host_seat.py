#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The host's seat in a network: virbr0 without a bridge. Who answers what at the gateway's address."""

from checks import check, check_equal, need, poll, run_script, section
from clients import dig
from lab import GATEWAY, MGMT_ADDRESS, Lab, config, default_network


def serve(lab, address, port):
    lab.host.write("seat.txt", "from the host\n")
    lab.host.spawn("python3", "-u", "-m", "http.server", "--bind", address, "--directory", lab.host.dir, port,
                   log=f"http-{port}.log")  # fmt: skip
    poll("the host's web server", lambda: lab.host.listens(port), 10.0)


def test():
    need("dig")
    with Lab() as lab:
        weftd, host = lab.weftd, lab.host
        vm, c1 = lab.qemu_guest("vm1"), lab.tap_guest("c1")
        q1, i1 = lab.tap_guest("q1", "quiet"), lab.tap_guest("i1", "apart")
        quiet = {"name": "quiet", "forward": {"mode": "nat"}, "bridge": {"host": False},
                 "ips": [{"address": "10.5.0.1", "prefix": 24}]}  # fmt: skip
        apart = {"name": "apart", "bridge": {"name": "virbr5"}, "ips": [{"address": "10.6.0.1", "prefix": 24}]}
        weftd.start(config([default_network(), quiet, apart], [vm.port, c1.port, q1.port, i1.port]))
        vm.start()
        c1.dhcp()
        address = c1.addresses()[0].split("/")[0]

        section("the seat")
        check_equal("virbr0 carries the gateway's address", host.addresses("virbr0"), [f"{GATEWAY}/24"])
        check_equal("and its MAC", host.mac("virbr0"), c1.must(f"ping -c 1 {GATEWAY} >&2; ip neigh show {GATEWAY}").split()[4])
        check_equal("it is no bridge", "bridge" in host.must("ip -d link show virbr0"), False)
        check_equal("a network with host: no has none", [n for n in host.links() if n not in ("wan0", "mgmt0")], ["virbr0", "virbr5"])
        check("no firewall rule was made", host.must("nft list ruleset") == "")

        section("both ways")
        check("a guest pings the host", c1.must_ping(GATEWAY, 3))
        check("the host pings a guest", host.must_ping(address, 3))
        serve(lab, GATEWAY, 8000)
        check_equal("a guest fetches from the host", c1.fetch(f"http://{GATEWAY}:8000/seat.txt").size, 14)
        check("the host sees the guest's own address", address in host.read("http-8000.log"))
        serve(lab, MGMT_ADDRESS, 8001)
        check_equal("also at the host's other address", c1.fetch(f"http://{MGMT_ADDRESS}:8001/seat.txt").size, 14)
        check("without translation", address in host.read("http-8001.log"))
        c1.spawn("python3", "-u", "-m", "http.server", "--bind", address, "--directory", c1.dir, 8002, log="http.log")
        poll("the guest's web server", lambda: c1.listens(8002), 10.0)
        check("the host fetches from a guest", host.fetch(f"http://{address}:8002/").size > 0)
        check("an isolated guest reaches the host", i1.static("10.6.0.9/24", "10.6.0.1").must_ping("10.6.0.1", 2))
        i1.fetch(f"http://{MGMT_ADDRESS}:8001/seat.txt")
        check("at its other address too, as with libvirt", "10.6.0.9" in host.read("http-8001.log"))
        check_equal("a closed port is refused", "refused" in c1.sh(f"nc -w 3 -v -z {GATEWAY} 9999").text(), True)

        section("names on the seat")
        host.run("ip", "route", "get", GATEWAY)
        check_equal("UDP 53 from a guest", dig(c1, "c1", "A", GATEWAY).values, [address])
        check_equal("TCP 53 from a guest", dig(c1, "c1", "A", GATEWAY, "+tcp").values, [address])
        check_equal("from the host", dig(host, "c1", "A", GATEWAY).values, [address])

        section("the QEMU guest")
        vm.wait_booted()
        lease = vm.dhcp()
        check("it pings the host", vm.must_ping(GATEWAY, 3))
        check("the host pings it", host.must_ping(lease["ip"], 3))
        check_equal("it fetches from the host", vm.fetch(f"http://{GATEWAY}:8000/seat.txt").size, 14)

        section("host: no")
        q1.static("10.5.0.9/24", "10.5.0.1")
        check("the switch answers ping itself", q1.must_ping("10.5.0.1", 3))
        check("nothing else answers there", not q1.sh("nc -w 1 -z 10.5.0.1 8000"))
        check("the host has no way in", host.ping("10.5.0.9", 1).received == 0)

        section("nobody can take the gateway's place")
        before = weftd.drops()
        c1.run("ip", "link", "add", "link", c1.interface, "name", "fake", "type", "macvlan", "mode", "bridge")
        c1.run("ip", "link", "set", "fake", "address", host.mac("virbr0"), "up")
        c1.run("ip", "address", "add", "192.168.122.240/24", "dev", "fake")
        c1.sh("ping -c 1 -W 1 -I fake 192.168.122.241")
        check("frames with its MAC are dropped by name",
              weftd.wait_drop("l2_spoofed_gateway", 1, before.get("l2_spoofed_gateway", 0)))  # fmt: skip
        c1.run("ip", "link", "del", "fake")
        check("and the gateway is still there", vm.must_ping(GATEWAY, 2))


run_script(test)
