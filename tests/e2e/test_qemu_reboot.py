#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU guest that reboots, is reset, loses its driver, dies and comes back, in both socket modes, in the midst of its
traffic; the others never notice."""

from checks import check, check_equal, poll, run_script, section
from clients import NumbersFromVm, Pinger
from lab import GATEWAY, Lab, config, default_network, long_run


def interrupted(what, c1, vm, address, event):
    """`event` comes over a guest that sends: nothing it had sent comes twice, and it gets its lease again and goes on."""
    numbers = NumbersFromVm(c1, vm, "192.168.122.251")
    event()
    check_equal(f"{what}: the same lease", vm.dhcp()["ip"], address)
    check("pings a namespace guest", vm.must_ping("192.168.122.251", 2))
    flow = numbers.end()
    check("nothing it sent came twice", flow.duplicates == 0 and flow.disordered == 0, flow)


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

            def kill_and_start():
                vm.kill()
                poll("kill -9 QEMU: link down", lambda: weftd.port(vm.label)["link"] == "down", 5.0)
                vm.start()
                vm.wait_booted()

            for _ in range(rounds):
                interrupted("reboot", c1, vm, address, vm.reboot)
                interrupted("reset", c1, vm, address, vm.reset)
                interrupted("its driver reloaded", c1, vm, address, lambda: vm.must("rmmod virtio_net; modprobe virtio_net"))
                interrupted("killed and started again", c1, vm, address, kill_and_start)

        section("the others")
        check("both QEMU guests reach each other", vm1.must_ping(vm2.addresses()[0].split("/")[0], 2))
        lost, answered = others.stop()
        check("lost nothing all the while", not lost, f"{answered} answered, lost {lost}")


run_script(test)
