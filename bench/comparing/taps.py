# SPDX-License-Identifier: BSD-3-Clause
"""One TCP flow of iperf3 between network namespaces, with weft, Open vSwitch or the kernel between them. The namespaces
are those of the end-to-end tests' lab; nothing outside them is touched. Both CPUs are everybody's."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "e2e"))

from clients import Iperf3Server, gbit_per_second, iperf3  # noqa: E402
from lab import WEB, Lab, config, default_network  # noqa: E402
from peer import KernelSwitch  # noqa: E402

from .switches import OvsDpdk  # noqa: E402

ADDRESSES = ("192.168.122.11", "192.168.122.12")


class OvsTaps(OvsDpdk):
    """Open vSwitch's userspace datapath on taps, in the lab's namespace `host`."""

    name = "ovs-taps"

    def __init__(self, build, lab):
        super().__init__(build)
        self.lab = lab

    def spawn(self, *command, **options):
        return super().spawn(*self.lab.host.argv(), *command, **options)

    @staticmethod
    def _pin():
        pass  # on all CPUs, as everybody here

    def start(self):
        self.start_daemons()

    def attach(self, guest):
        port = guest.interface
        self.vsctl("add-port", "br0", port, "--", "set", "interface", port, "type=tap")
        self.lab.host.run("ip", "link", "set", port, "netns", guest.name)


def _flow(client, server, address, seconds):
    listener = Iperf3Server(server, address=address)
    report = iperf3(client, address, seconds, 5201, "-O", "1")
    listener.close()
    return {"gbps": gbit_per_second(report), "retransmits": report["end"]["sum_sent"].get("retransmits", 0)}


def _guests(lab):
    return [lab.tap_guest(label) for label in ("c1", "c2")]


def _between(guests, seconds):
    for guest, address in zip(guests, ADDRESSES):
        guest.static(f"{address}/24", router=None)
    guests[0].must_ping(ADDRESSES[1], 1)
    return _flow(guests[0], guests[1], ADDRESSES[1], seconds)


def tap_to_tap(switch, build, seconds):
    """Two guests of one network; `switch` is weft, ovs-taps or linux-bridge."""
    os.environ["WEFT_BUILD"] = build
    with Lab(internet=False, judge=False) as lab:
        lab.weftd.binary, lab.weftd.weft = f"{build}/switch/weftd", f"{build}/tools/weft"
        guests = _guests(lab)
        if switch == "weft":
            lab.weftd.start(config([{"name": "default"}], [g.port for g in guests], uplinks=[]))
            return _between(guests, seconds)
        if switch == "linux-bridge":
            kernel = KernelSwitch(lab)
            for guest in guests:
                kernel.attach(guest)
            return _between(guests, seconds)
        with OvsTaps(build, lab) as ovs:
            for guest in guests:
                ovs.attach(guest)
            return _between(guests, seconds)


def through_masquerade(switch, build, seconds):
    """A tap guest to a server on the "internet": weft with an AF_PACKET uplink, or bridge, veth and nftables."""
    os.environ["WEFT_BUILD"] = build
    with Lab(judge=False) as lab:
        lab.weftd.binary, lab.weftd.weft = f"{build}/switch/weftd", f"{build}/tools/weft"
        guest = lab.tap_guest("c1")
        if switch == "weft":
            lab.weftd.start(config([default_network()], [guest.port]))
        else:
            KernelSwitch(lab).attach(guest)
        guest.static("192.168.122.11/24")
        guest.must_ping(WEB, 1)
        out = _flow(guest, lab.inet, WEB, seconds)
        listener = Iperf3Server(lab.inet, address=WEB)
        back = gbit_per_second(iperf3(guest, WEB, seconds, 5201, "-O", "1", "-R"))
        listener.close()
        return {"gbps": out["gbps"], "gbps-back": back}
