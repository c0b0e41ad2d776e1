#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lab itself, with the kernel's bridge and dnsmasq in weftd's place: when this fails, look here before looking at
the switch."""

from checks import check, check_equal, need, run_script, section
from clients import DhcpClient, Iperf3Server, dig, gbit_per_second, iperf3, perfdhcp
from lab import GATEWAY, NAMESERVER, WAN_ADDRESS, WEB, Lab
from peer import KernelSwitch


def test():
    need("dhcpcd", "udhcpc", "iperf3", "perfdhcp", "dig", "nft")
    with Lab() as lab:
        lab.inet.serve_pages(big_mib=8)
        lab.inet.serve_names()
        peer = KernelSwitch(lab)
        peer.serve()
        vm = peer.qemu_guest("vm1").start()
        c1 = lab.tap_guest("c1")
        peer.attach(c1)

        section("namespace guests")
        for kind in ("dhclient", "udhcpc", "dhcpcd"):
            c1.wait_link()
            client = DhcpClient(c1, kind, hostname="c1").start()
            lease = client.bound()
            check(f"{kind} gets a lease", lease.address.startswith("192.168.122."), lease.address)
            check_equal(f"{kind}: the router", lease.router, GATEWAY)
            check_equal(f"{kind}: the name server", lease.dns, GATEWAY)
            check(f"{kind}: the lease time", lease.lease_seconds > 0, lease.lease_seconds)
            client.renew()
            check_equal(f"{kind} renews", client.bound().address, lease.address)
            client.release()
            check(f"{kind} releases", c1.addresses() == [] or kind != "udhcpc")
        lease, seconds = c1.dhcp()
        check("dhclient again", lease.address, f"{lease.address}, {seconds * 1000:.0f} ms")
        check("ping the gateway", c1.must_ping(GATEWAY).received == 3)

        section("QEMU guest")
        check("boots to its shell", vm.wait_booted() < 60)
        check_equal("runs commands, gives their exit code", vm.sh("echo hello; exit 3").code, 3)
        got = vm.dhcp()
        check("udhcpc gets a lease", got["ip"].startswith("192.168.122."), got["ip"])
        check("ping the other guest", vm.must_ping(lease.address).rtt_ms < 1000)
        check("and back", c1.must_ping(got["ip"]).rtt_ms < 1000)
        check("names: nslookup", lease.address in vm.sh("nslookup c1").out)

        section("internet")
        page = c1.fetch(f"http://{WEB}/big")
        check_equal("a page arrives whole", page.size, 8 << 20)
        check("the same in the QEMU guest", vm.fetch(f"http://{WEB}/big").sha256 == page.sha256)
        check_equal("the web server sees the masquerade only", lab.inet.web_clients(), {WAN_ADDRESS})
        answer = dig(c1, "www.example.test", "A", NAMESERVER)
        check_equal("dig", (answer.status, answer.values), ("NOERROR", [WEB]))
        server = Iperf3Server(lab.inet)
        check("iperf3", gbit_per_second(iperf3(c1, WEB, 1)) > 0)
        server.close()
        counts, _ = perfdhcp(c1, c1.interface, 20, 1, 10)
        check("perfdhcp", counts[1][1] > 0, counts)

        # weftd never ran: nothing to stop at the end.
        section("end")


run_script(test)
