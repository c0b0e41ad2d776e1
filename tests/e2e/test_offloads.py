#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checksums and segmentation over every pair of port kinds: data arrives whole, nobody counts a bad checksum, and
large frames pass uncut where both ends can take them."""

import re

from checks import check, check_equal, poll, run_script, section
from clients import Iperf3Server, gbit_per_second, iperf3
from lab import WAN_GATEWAY, Lab, config, default_network


def bad_checksums(namespace):
    counters = dict(re.findall(r"^(\w+)\s+(\d+)", namespace.must("nstat -az TcpInCsumErrors UdpInCsumErrors IcmpInCsumErrors"), re.M))
    return sum(map(int, counters.values()))


def tcp(what, client, server_namespace, address, *options):
    server = Iperf3Server(server_namespace, address=address)
    for direction in ((), ("-R",)):
        report = iperf3(client, address, 1, 5201, *direction, *options)
        check(f"{what}{' back' if direction else ''}", gbit_per_second(report) > 0.02, f"{gbit_per_second(report):.2f} Gb/s")
    server.close()


def udp(what, client, server_namespace, address):
    server = Iperf3Server(server_namespace, address=address)
    report = iperf3(client, address, 1, 5201, "-u", "-b", "20M", "-l", "1400")
    # A busy machine may lose some; with wrong checksums it would be all.
    lost, sent = report["end"]["sum"]["lost_packets"], report["end"]["sum"]["packets"]
    check(what, sent > 100 and lost < sent / 2, f"{lost} of {sent} lost")
    server.close()


def test():
    with Lab() as lab:
        weftd = lab.weftd
        lab.inet.serve_pages(big_mib=16)
        vm = lab.qemu_guest("vm1")
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2")
        weftd.start(config([default_network()], [vm.port, c1.port, c2.port]))
        vm.start()
        c1.static("192.168.122.11/24")
        c2.static("192.168.122.12/24")
        everybody = (c1, c2, lab.inet, lab.host)

        for state in ("on", "off"):
            section(f"the guests' offloads {state}")
            for guest in (c1, c2):
                guest.run("ethtool", "-K", guest.interface, "tx", state, "tso", state, check=False)
            before = weftd.ask("port-stats", "c1")
            tcp("tap to tap", c1, c2, "192.168.122.12")
            after = weftd.ask("port-stats", "c1")
            mean = (after["rx-bytes"] - before["rx-bytes"]) / max(1, after["rx-packets"] - before["rx-packets"])
            if state == "on":
                check("large frames pass uncut", mean > 3000, f"{mean:.0f} bytes a frame")
            udp("tap to tap, UDP", c1, c2, "192.168.122.12")
            tcp("tap to the uplink (netdev)", c1, lab.inet, WAN_GATEWAY)
            udp("tap to the uplink, UDP", c1, lab.inet, WAN_GATEWAY)
            tcp("tap to the host's seat", c1, lab.host, "192.168.122.1")
        lab.inet.run("ethtool", "-K", "wan", "tx", "off", "tso", "off", "gso", "off", check=False)
        tcp("the internet without offloads", c1, lab.inet, WAN_GATEWAY)
        lab.inet.run("ethtool", "-K", "wan", "tx", "on", "tso", "on", "gso", "on", check=False)
        for guest in (c1, c2):
            guest.run("ethtool", "-K", guest.interface, "tx", "on", "tso", "on", check=False)

        section("QEMU guest")
        vm.wait_booted()
        address = vm.dhcp()["ip"]
        c1.must("head -c 16777216 /dev/urandom >" + c1.path("blob"))
        want = c1.must(f"sha256sum {c1.path('blob')}").split()[0]
        for state in ("as it comes", "without TSO to it"):
            if state != "as it comes":
                c1.run("ethtool", "-K", c1.interface, "tso", "off", "gso", "off")
            vm.must("(nc -l -p 9000 >/tmp/blob; touch /tmp/done) & until netstat -ltn | grep -q :9000; do usleep 20000; done")
            c1.must(f"nc -N -w 20 {address} 9000 <{c1.path('blob')}", 60)
            vm.must("until [ -e /tmp/done ]; do usleep 20000; done; rm /tmp/done")
            check("tap to vhost-user, " + state, vm.must("sha256sum /tmp/blob").split()[0] == want)
            receiver = c1.spawn("sh", "-c", f"exec nc -l -d 9001 >{c1.path('back')}")
            poll("nc listens", lambda: c1.listens(9001), 5.0)
            vm.must("nc 192.168.122.11 9001 </tmp/blob", 60)
            receiver.wait(30)
            check("vhost-user to tap, " + state, c1.must(f"sha256sum {c1.path('back')}").split()[0] == want)
        check_equal("vhost-user from the uplink", vm.fetch("http://198.51.100.80/big").size, 16 << 20)
        received = vm.must("cat /proc/net/snmp | grep ^Tcp: | tail -n 1").split()
        check_equal("the QEMU guest counted no bad TCP segment", received[13], "0")

        section("checksums")
        for namespace in everybody:
            check_equal(f"{namespace.label} counted no bad checksum", bad_checksums(namespace), 0)


run_script(test)
