#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""QEMU guests, with split and with packed rings, that migrate to another QEMU, away and back, while data flows to them
and from them: what is received is what was sent, the MAC is found at its new port at once, and what was lost meanwhile
has a name."""

import os

from checks import check, check_equal, poll, run_script, section
from clients import NumbersFromVm, NumbersToVm, Pinger
from lab import HERE, Lab, config, default_network, long_run

C1 = "192.168.122.251"

# Where a frame may end that was on its way to a guest which stood still, or was leaving.
EXPECTED_DROPS = {"tx_not_ready", "tx_ring_full"}


class Stream:
    """Bytes over TCP to the guest, which hashes them."""

    def __init__(self, namespace, vm, address):
        self.ns = namespace
        vm.must("rm -f /tmp/stream; { nc -l -p 9000 | sha256sum >/tmp/stream.new; mv /tmp/stream.new /tmp/stream; } "
                ">/dev/null 2>&1 & until netstat -ltn | grep -q :9000; do usleep 20000; done")  # fmt: skip
        namespace.write("stream.log", "")
        self.process = namespace.spawn("python3", os.path.join(HERE, "stream_tool.py"), address, 9000, log="stream.log")

    def stop(self, vm):
        """(bytes sent, SHA-256 of what was sent, of what came)"""
        self.ns.end(self.process, timeout=30.0)
        size, sent = self.ns.read("stream.log").split()
        poll("the stream's end", lambda: vm.sh("[ -e /tmp/stream ]"), 30.0, 0.1)
        return int(size), sent, vm.must("cat /tmp/stream").split()[0]


def place_of(weftd, mac):
    return [entry["port"] for entry in weftd.ask("fdb", "default")["entries"] if entry["mac"] == mac]


def is_packed(vm):
    """Whether the driver has accepted RING_PACKED."""
    return vm.must("cat /sys/bus/virtio/devices/virtio0/features")[34] == "1"


def move(weftd, c1, here, there, address):
    section(f"from {here.label} to {there.label}")
    mac = here.hardware_address
    check_equal("the guest's MAC is at", place_of(weftd, mac), [here.label])
    there.start(is_incoming=True)
    pinger = Pinger(c1, address, 0.02)
    to_vm, from_vm = NumbersToVm(c1, here, address), NumbersFromVm(c1, here, C1)
    stream = Stream(c1, here, address)
    before = weftd.drops()
    poll("the stream flows", lambda: weftd.ask("port-stats", here.label)["tx-bytes"] > 4 << 20, 20.0)

    state = here.migrate_to(there)
    check("migrated under load", state["ram"]["transferred"] > 0,
          f"{state['total-time']} ms, paused {state['downtime']} ms, {state['ram']['dirty-sync-count']} rounds")  # fmt: skip
    here.close()
    check_equal(f"link of {there.label}", weftd.port(there.label)["link"], "up")
    poll("its MAC is at its new port", lambda: place_of(weftd, mac) == [there.label], 2.0)
    check_equal(f"link of {here.label}", weftd.port(here.label)["link"], "down")
    n = len(pinger.answered())
    poll("echoes go on", lambda: len(pinger.answered()) > n + 5, 10.0)

    size, sent, received = stream.stop(there)
    check_equal(f"{size >> 20} MiB arrive whole", received, sent)
    # The guest stands still for a moment, and its MAC is at the old port until it says a word.
    lost, answered = pinger.stop()
    check("few echoes are lost", len(lost) <= 150, f"{answered} answered, {len(lost)} lost")
    there_and = to_vm.stop(there)
    check("to the guest: none comes twice or late", there_and.duplicates == 0 and there_and.disordered == 0, there_and)
    check("few are lost", there_and.lost <= 600, there_and)
    back = from_vm.stop(there)
    check("from the guest: none comes twice or late", back.duplicates == 0 and back.disordered == 0, back)
    check("at most one burst is lost", back.lost <= 32, back)
    after = weftd.drops()
    dropped = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    check("what was dropped is explained", set(dropped) <= EXPECTED_DROPS, dropped)


def test():
    with Lab() as lab:
        weftd = lab.weftd
        # The same machine twice, on ports of its own in either socket mode; and one with packed rings.
        one, two = lab.qemu_guest("vm1", 1, mode="server"), lab.qemu_guest("vm1b", 1, mode="client")
        packed = [lab.qemu_guest(name, 2, device_options=",packed=on") for name in ("vm2", "vm2b")]
        c1 = lab.tap_guest("c1")
        weftd.start(config([default_network()], [g.port for g in (one, two, *packed, c1)]))
        c1.static(f"{C1}/24")
        for first, second, rounds in ((one, two, 5 if long_run() else 1), (*packed, 1)):
            first.start()
            first.wait_booted()
            address = first.dhcp()["ip"]
            check("pings", first.must_ping(C1, 2))
            check_equal("packed rings", is_packed(first), first in packed)
            for _ in range(rounds):
                move(weftd, c1, first, second, address)
                if first not in packed or long_run():
                    move(weftd, c1, second, first, address)
            last = first if first.process.poll() is None else second
            check_equal("counted no bad TCP segment", last.must("cat /proc/net/snmp | grep ^Tcp: | tail -n 1").split()[13], "0")
            last.close()
        check_equal("one lease each all the while", sorted(weftd.leases()), [one.hardware_address, packed[0].hardware_address])


run_script(test)
