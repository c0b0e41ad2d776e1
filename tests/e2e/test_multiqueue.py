#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ports of several queues: a QEMU guest that uses all, some, one and again all of four while it talks; guests and ports
that have more than the other; taps."""

import re

from checks import check, check_equal, poll, run_script, section
from clients import Iperf3Server, NumbersFromVm, NumbersToVm, Pinger, gbit_per_second, iperf3
from lab import GATEWAY, Lab, config, default_network, long_run

C1, C2 = "192.168.122.251", "192.168.122.252"


def queues_in_use(vm):
    """Combined channels: (most, now)."""
    return tuple(int(n) for n in re.findall(r"Combined:\s+(\d+)", vm.must("ethtool -l eth0")))


def sent_on(vm):
    """Packets by send queue."""
    return [int(n) for n in re.findall(r"tx_queue_\d+_packets: (\d+)", vm.must("ethtool -S eth0"))]


def uses_every_queue(vm, n):
    """The driver sends on the queue of the CPU it runs on."""
    for cpu in range(n):
        before = sent_on(vm)
        vm.must(f"taskset {1 << cpu:x} ping -q -c 3 -i 0.1 -W 2 {C1}")
        after = sent_on(vm)
        check(f"CPU {cpu} sends on queue {cpu}, and is answered", after[cpu] - before[cpu] >= 3, f"{before} {after}")


def test():
    with Lab() as lab:
        weftd = lab.weftd
        vm = lab.qemu_guest("vm1", 1, queues=4)
        few = lab.qemu_guest("vm2", 2, queues=4, cpus=1)  # four queues, of which its driver uses one
        old = lab.qemu_guest("vm3", 3, mode="client")  # knows of one queue only
        old.port["vhostuser"]["queues"] = 4
        c1 = lab.tap_guest("c1")
        c2 = lab.tap_guest("c2")
        c2.port["tap"]["queues"] = 4
        weftd.start(config([default_network()], [g.port for g in (vm, few, old, c1, c2)]))
        for guest in (vm, few, old):
            guest.start()
        c1.static(f"{C1}/24")
        c2.static(f"{C2}/24")

        section("taps")
        check_equal("a tap of four queues", c2.must("ls /sys/class/net/c2/queues | grep -c ^tx"), "4")
        server = Iperf3Server(c2, address=C2)
        for direction in ((), ("-R",)):
            report = iperf3(c1, C2, 1, 5201, "-P", "4", *direction)
            check(f"four flows {'from' if direction else 'to'} it", gbit_per_second(report) > 0.1, f"{gbit_per_second(report):.2f} Gb/s")
        server.close()

        section("four queues of which one is used")
        for guest in (few, old):
            guest.wait_booted()
            guest.dhcp()
            check(f"{guest.label} pings", guest.must_ping(GATEWAY, 3))
            check_equal(f"{guest.label}: link", weftd.port(guest.label)["link"], "up")
        check_equal("one of four", queues_in_use(few), (4, 1))
        few.close()
        old.close()

        section("four queues")
        vm.wait_booted()
        address = vm.dhcp()["ip"]
        check_equal("all in use", queues_in_use(vm), (4, 4))
        uses_every_queue(vm, 4)

        section("rings enabled and disabled while it talks")
        pinger = Pinger(c1, address, 0.02)
        to_vm, from_vm = NumbersToVm(c1, vm, address), NumbersFromVm(c1, vm, C1)
        for round_ in range(20 if long_run() else 3):
            for n in (1, 3, 2, 4):
                vm.must(f"ethtool -L eth0 combined {n}")
                check_equal("in use", queues_in_use(vm), (4, n)) if round_ == 0 else None
                vm.must_ping(C1, 1)
        uses_every_queue(vm, 4)
        lost, answered = pinger.stop()
        check("hardly an echo is lost", len(lost) <= 2, f"{answered} answered, lost {lost}")
        for what, flow in (("to the guest", to_vm.stop()), ("from the guest", from_vm.stop())):
            check(f"{what}: none comes twice", flow.duplicates == 0, flow)
            check(f"{what}: hardly one is lost", flow.lost <= 5, flow)

        section("restarts")
        vm.must("ethtool -L eth0 combined 2")
        vm.reboot()
        vm.dhcp()
        check_equal("after a reboot all are in use", queues_in_use(vm), (4, 4))
        uses_every_queue(vm, 4)
        weftd.kill()
        weftd.start()
        poll("weftd is killed and started: goes on", lambda: c1.ping(address, 1).received == 1, 20.0)
        uses_every_queue(vm, 4)
        check("the tap too", c2.must_ping(C1, 2))


run_script(test)
