# SPDX-License-Identifier: BSD-3-Clause
"""The main job: libvirt's network `default`, served by weftd to a QEMU guest on a vhost-user port and to a namespace
that holds a tap port's netdev. tests/e2e/test_default_network.py judges it, tools/demo shows it."""

import re

from checks import TestFailure
from lab import GATEWAY, WAN_ADDRESS, WEB, config, default_network

PAGE_MIB = 32


def resolve(machine, name):
    """The IPv4 address a guest's own resolver finds for `name`, or None."""
    if hasattr(machine, "wait_booted"):  # busybox
        found = re.search(rf"Name:\s+{re.escape(name)}\S*\s+Address(?: 1)?: ([\d.]+)", machine.sh(f"nslookup {name}").out)
        return found[1] if found else None
    result = machine.sh(f"getent ahostsv4 {name}")
    return result.out.split()[0] if result else None


def run_main_job(lab, step):
    """Goes through the whole of it. Each line of it calls step(what, function): it runs the function, which returns a
    figure to show or raises TestFailure."""
    lab.inet.serve_pages(big_mib=PAGE_MIB)
    lab.inet.serve_names()
    vm = lab.qemu_guest("vm1")
    c1 = lab.tap_guest("c1")
    leases = {}

    def started():
        seconds = lab.weftd.start(config([default_network()], [vm.port, c1.port]))
        return f"{seconds * 1000:.0f} ms to ready, {lab.weftd.resident_mib():.0f} MiB resident"

    def booted():
        vm.start()
        return f"{vm.wait_booted():.1f} s to its shell"

    def vm_lease():
        lease = vm.dhcp()
        leases[vm] = lease["ip"]
        return f"{lease['ip']} in {lease['seconds'] * 1000:.0f} ms"

    def c1_lease():
        lease, seconds = c1.dhcp()
        leases[c1] = lease.address
        return f"{lease.address} in {seconds * 1000:.0f} ms"

    def listed():
        names = {lease["hostname"]: lease["address"] for lease in lab.weftd.leases().values()}
        wanted = {"vm1": leases[vm], "c1": leases[c1]}
        if names != wanted:
            raise TestFailure(f"weft net-dhcp-leases shows {names}, not {wanted}")
        return ", ".join(f"{name} {address}" for name, address in wanted.items())

    def names(machine, other):
        def found():
            address = resolve(machine, other.label)
            if address != leases[other]:
                raise TestFailure(f"{machine.label} resolves {other.label} to {address}, not {leases[other]}")
            return address

        return found

    def pings(machine, target):
        return lambda: f"{machine.must_ping(target, 5).rtt_ms:.2f} ms"

    def page(machine):
        def fetched():
            got = machine.fetch(f"http://{WEB}/big", 120)
            if got.size != PAGE_MIB << 20:
                raise TestFailure(f"{machine.label}: {got.size} bytes of {PAGE_MIB} MiB came")
            return f"{PAGE_MIB} MiB, {got.mbit_per_second:,.0f} Mb/s"

        return fetched

    def masqueraded():
        if lab.inet.web_clients() != {WAN_ADDRESS}:
            raise TestFailure(f"the web server was asked by {lab.inet.web_clients()}")
        if lab.inet.run("ip", "route", "get", leases[c1], check=False).code == 0:
            raise TestFailure("the internet has a route to the guests, which would prove nothing")
        return f"the server sees {WAN_ADDRESS} only"

    step("weftd starts", started)
    step("QEMU guest boots", booted)
    step("QEMU guest: lease", vm_lease)
    step("namespace guest: lease", c1_lease)
    step("leases with their names", listed)
    step("QEMU guest resolves c1", names(vm, c1))
    step("namespace guest resolves vm1", names(c1, vm))
    step("QEMU guest pings c1", pings(vm, "c1"))
    step("namespace guest pings vm1", pings(c1, "vm1"))
    step("QEMU guest pings the gateway", pings(vm, GATEWAY))
    step("namespace guest pings the gateway", pings(c1, GATEWAY))
    step("QEMU guest: page through masquerade", page(vm))
    step("namespace guest: page through masquerade", page(c1))
    step("masquerade", masqueraded)
    return vm, c1, leases
