#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a QEMU guest is given: memory plugged in while data flows to it, and an MTU that its network has, or has not."""

import re

from checks import check, check_equal, poll, run_script, section
from clients import Pinger
from lab import Lab, config, default_network

C1 = "192.168.122.251"
MODULES = 3  # of memory, 128 MiB each


def memory_mib(vm):
    return int(vm.must("grep MemTotal /proc/meminfo").split()[1]) >> 10


def normal_zone(vm):
    """Pages (managed, free) of the guest's zone Normal: all of it is memory plugged in, the rest is below 4 GiB."""
    zone = vm.must("cat /proc/zoneinfo").split("zone   Normal")[1].split("zone ")[0]
    return int(re.search(r"managed\s+(\d+)", zone)[1]), int(re.search(r"pages free\s+(\d+)", zone)[1])


def send_blob(c1, vm, address, want):
    vm.must("(nc -l -p 9000 | sha256sum >/tmp/sum; touch /tmp/done) >/dev/null 2>&1 & "
            "until netstat -ltn | grep -q :9000; do usleep 20000; done")  # fmt: skip
    c1.must(f"nc -N -w 20 {address} 9000 <{c1.path('blob')}", 60)
    vm.must("until [ -e /tmp/done ]; do usleep 20000; done; rm /tmp/done")
    check_equal("16 MiB arrive whole", vm.must("cat /tmp/sum").split()[0], want)


def plug(c1, vm):
    section("memory is plugged in")
    vm.wait_booted()
    address = vm.dhcp()["ip"]
    vm.must("echo online >/sys/devices/system/memory/auto_online_blocks")
    c1.must("head -c 16777216 /dev/urandom >" + c1.path("blob"))
    want = c1.must(f"sha256sum {c1.path('blob')}").split()[0]
    pinger = Pinger(c1, address, 0.01)
    for number in range(MODULES):
        before = memory_mib(vm)
        vm.plug_memory(number)
        poll(f"the guest has module {number}", lambda: memory_mib(vm) >= before + 100, 20.0, 0.1)
        send_blob(c1, vm, address, want)
    lost, answered = pinger.stop()
    check("hardly an echo is lost", len(lost) <= MODULES, f"{answered} answered, lost {lost}")
    # New receive buffers: the kernel takes them from the highest zone.
    vm.must("ip link set eth0 down; rmmod virtio_net; modprobe virtio_net")
    check_equal("the driver is reloaded: the same lease", vm.dhcp()["ip"], address)
    managed, free = normal_zone(vm)
    check("the guest uses the new memory", managed - free > 512, f"{managed - free} of {managed} pages")
    send_blob(c1, vm, address, want)


def mtu(weftd, fits, jumbo, too_large):
    section("MTU")
    weftd.expect_log("port vm4: the front end gives its guest an MTU of 9000, the network's is 1400: refused")
    for vm, size, interface, address in ((fits, 1400, C1, None), (jumbo, 9000, "192.168.123.252", "192.168.123.253")):
        vm.wait_booted()
        check_equal(f"{vm.label}: the MTU QEMU was told", vm.must("cat /sys/class/net/eth0/mtu"), str(size))
        vm.must(f"ip address add {address}/24 dev eth0; ip link set eth0 up") if address else vm.dhcp()
        check_equal("link up", weftd.port(vm.label)["link"], "up")
        check("the largest packet passes", vm.must_ping(interface, 2, size=size - 28))
    too_large.wait_booted()
    poll("more than the network has: refused", lambda: "MTU not supported by the backend" in too_large.log(), 5.0)
    too_large.must("ip address add 192.168.122.240/24 dev eth0; ip link set eth0 up")
    check_equal("no packet passes", too_large.ping(C1, 2).received, 0)
    check_equal("link down", weftd.port("vm4")["link"], "down")


def test():
    with Lab() as lab:
        small = default_network(mtu={"size": 1400})
        large = {"name": "jumbo", "mtu": {"size": 9000}, "ips": [{"address": "192.168.123.1", "prefix": 24}]}
        grows = lab.qemu_guest("vm1", 1, memory_slots=MODULES)
        fits = lab.qemu_guest("vm2", 2, device_options=",host_mtu=1400")
        jumbo = lab.qemu_guest("vm3", 3, network="jumbo", device_options=",host_mtu=9000")
        too_large = lab.qemu_guest("vm4", 4, device_options=",host_mtu=9000")
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2", network="jumbo")
        lab.weftd.start(config([small, large], [g.port for g in (grows, fits, jumbo, too_large, c1, c2)]))
        c1.static(f"{C1}/24")
        c2.static("192.168.123.252/24", router=None)
        grows.start()
        plug(c1, grows)
        grows.close()
        for vm in (fits, jumbo, too_large):
            vm.start()
        mtu(lab.weftd, fits, jumbo, too_large)


run_script(test)
