#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""QEMU guests with packed rings: they do what guests with split ones do, and go on when weftd was killed, although
neither QEMU nor the guest's memory can tell where their rings stood."""

import random
import re
import signal
import time

from checks import check, check_equal, poll, run_script, section
from lab import GATEWAY, Lab, config, default_network, long_run

BURST = 32
RING_PACKED = 34


def pass_blob(c1, vm, address, during=lambda: None):
    """A file to the guest and back, by TCP; it must arrive whole whatever happens meanwhile."""
    want = c1.must(f"sha256sum {c1.path('blob')}").split()[0]
    vm.must("rm -f /tmp/done; (nc -l -p 9000 >/tmp/blob; touch /tmp/done) & "
            "until netstat -ltn | grep -q :9000; do usleep 20000; done")
    sender = c1.spawn("sh", "-c", f"exec nc -N -w 60 {address} 9000 <{c1.path('blob')}")
    during()
    vm.must("until [ -e /tmp/done ]; do usleep 20000; done", 90)
    c1.end(sender)
    check_equal(f"a file to {vm.label}", vm.must("sha256sum /tmp/blob").split()[0], want)
    receiver = c1.spawn("sh", "-c", f"exec nc -l -d 9001 >{c1.path('back')}")
    poll("nc listens", lambda: c1.listens(9001), 5.0)
    vm.must("nc 192.168.122.250 9001 </tmp/blob", 90)
    receiver.wait(60)
    check_equal(f"and back from {vm.label}", c1.must(f"sha256sum {c1.path('back')}").split()[0], want)


def back_after(guest, target):
    poll(f"{guest.label} reaches {target} again", lambda: guest.ping(target, 1).received == 1, 30.0)


def restart(weftd, rng):
    time.sleep(rng.uniform(0.05, 0.3))  # any moment will do
    weftd.kill()
    weftd.start()


def kills_under_load(weftd, c1, vms, addresses):
    """Echoes to and fro all the while, and a file by TCP."""
    kills = 20 if long_run() else 2
    rng = random.Random(5)
    for vm in vms:
        section(f"weftd killed {kills} times under traffic of {vm.label}")
        log = f"echoes-{vm.label}.log"
        pinger = c1.spawn("ping", "-i", "0.002", "-s", "400", addresses[vm], log=log)
        poll("echoes come", lambda: "icmp_seq=50 " in c1.read(log), 10.0)

        def kill_again():
            for _ in range(kills):
                restart(weftd, rng)
                back_after(vm, GATEWAY)

        pass_blob(c1, vm, addresses[vm], during=kill_again)
        seen = len(c1.read(log))
        poll("echoes still come", lambda: c1.read(log).count("icmp_seq", seen) > 50, 10.0)
        pinger.send_signal(signal.SIGINT)
        pinger.wait(10)
        duplicates = re.search(r"\+(\d+) duplicates", c1.read(log))
        n = int(duplicates[1]) if duplicates else 0
        # The burst that was on its way: the question once more, or the answer.
        check("no more than a burst a kill came twice", n <= BURST * kills, f"{n} echoes")


def test():
    with Lab() as lab:
        weftd = lab.weftd
        vms = [lab.qemu_guest("vm1", 1, mode="server", device_options=",packed=on"),
               lab.qemu_guest("vm2", 2, mode="client", device_options=",packed=on")]  # fmt: skip
        c1 = lab.tap_guest("c1")
        weftd.start(config([default_network()], [*(vm.port for vm in vms), c1.port]))
        for vm in vms:
            vm.start()
        c1.static("192.168.122.250/24")
        c1.must("head -c 8388608 /dev/urandom >" + c1.path("blob"))
        addresses = {}
        for vm in vms:
            vm.wait_booted()
            addresses[vm] = vm.dhcp()["ip"]
            features = vm.must("cat /sys/bus/virtio/devices/virtio0/features")
            check_equal(f"{vm.label} has packed rings", features[RING_PACKED], "1")
            check("pings", vm.must_ping(GATEWAY, 2))
            pass_blob(c1, vm, addresses[vm])

        section("rings that begin anew")
        vm = vms[0]
        vm.reboot()
        check_equal("after a reboot: the same lease", vm.dhcp()["ip"], addresses[vm])
        pass_blob(c1, vm, addresses[vm])
        vm.must("ip link set eth0 down; rmmod virtio_net; modprobe virtio_net")
        vm.dhcp()
        check("its driver is reloaded", vm.must_ping(GATEWAY, 2))
        vm.kill()
        poll("kill -9 QEMU: link down", lambda: weftd.port(vm.label)["link"] == "down", 5.0)
        vm.start()
        vm.wait_booted()
        check_equal("started again: the same lease", vm.dhcp()["ip"], addresses[vm])

        kills_under_load(weftd, c1, vms, addresses)

        section("a guest that is reset while there is no weftd")
        for vm in vms:
            weftd.kill()
            vm.reboot()
            weftd.start()
            check_equal(f"{vm.label}: the same lease", vm.dhcp()["ip"], addresses[vm])
        check("they reach each other", vms[0].must_ping(addresses[vms[1]], 2))


run_script(test)
