#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU guest that reboots, dies, comes back, in both socket modes; the others never notice."""

from checks import check, check_equal, poll, run_script, section
from clients import Pinger
from lab import GATEWAY, Lab, config, default_network, long_run


def test():
    with Lab() as lab:
        weftd = lab.weftd
        vm1, vm2 = lab.qemu_guest("vm1", 1, mode="server"), lab.qemu_guest("vm2", 2, mode="client")
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2")
        weftd.start(config([default_network()], [g.port for g in (vm1, vm2, c1, c2)]))
        c1.static("192.168.122.251/24")
        c2.static("192.168.122.252/24")
        others = Pinger(c1, "192.168.122.252", 0.05)
        rounds = 5 if long_run() else 1

        for vm in (vm1, vm2):
            section(f"weftd is {vm.port['vhostuser']['mode']} on the socket")
            check_equal("no guest yet: link down", weftd.port(vm.label)["link"], "down")
            vm.start()
            vm.wait_booted()
            address = vm.dhcp()["ip"]
            check_equal("link up", weftd.port(vm.label)["link"], "up")
            check("pings", vm.must_ping(GATEWAY, 2))
            for _ in range(rounds):
                vm.reboot()
                check_equal("reboots: the same lease", vm.dhcp()["ip"], address)
                check("pings a namespace guest", vm.must_ping("192.168.122.251", 2))
            vm.must("ip link set eth0 down; rmmod virtio_net; modprobe virtio_net")
            vm.dhcp()
            check("its driver is reloaded", vm.must_ping(GATEWAY, 2))
            for _ in range(rounds):
                vm.kill()
                poll("kill -9 QEMU: link down", lambda: weftd.port(vm.label)["link"] == "down", 5.0)
                vm.start()
                vm.wait_booted()
                check_equal("started again: the same lease", vm.dhcp()["ip"], address)
                check("pings", vm.must_ping("192.168.122.251", 2))

        section("the others")
        check("both QEMU guests reach each other", vm1.must_ping(vm2.addresses()[0].split("/")[0], 2))
        lost, answered = others.stop()
        check("lost nothing all the while", not lost, f"{answered} answered, lost {lost}")


run_script(test)
