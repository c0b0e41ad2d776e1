# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's own way in place of weftd: a Linux bridge, dnsmasq as libvirt runs it, nftables masquerade. The lab is
proved with it (test_lab.py), and benchmarks measure beside it."""

from checks import poll
from lab import GATEWAY, WAN_ADDRESS, WAN_GATEWAY
from machines import QemuGuest


class KernelSwitch:
    """The network `default` in the namespace `host` of a lab."""

    def __init__(self, lab):
        self.lab = lab
        host = lab.host
        host.run("ip", "link", "add", "virbr0", "type", "bridge", "stp_state", "0")
        host.run("ip", "address", "add", f"{GATEWAY}/24", "dev", "virbr0")
        host.run("ip", "link", "set", "virbr0", "up")
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        if lab.inet is not None:
            host.run("ip", "address", "add", f"{WAN_ADDRESS}/24", "dev", "wan0")
            host.run("ip", "route", "replace", "default", "via", WAN_GATEWAY)
            rules = "table ip nat { chain post { type nat hook postrouting priority 100; oifname wan0 masquerade; }; }"
            host.run("nft", rules)

    def serve(self):
        """DHCP and DNS, with the options libvirt gives dnsmasq."""
        host = self.lab.host
        host.spawn(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--strict-order", "--pid-file=",
            "--except-interface=lo", "--bind-dynamic", "--interface=virbr0", "--dhcp-no-override",
            "--dhcp-authoritative", "--dhcp-lease-max=253", "--dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0",
            "--no-ping", f"--dhcp-leasefile={host.path('leases')}", "--no-hosts", log="dnsmasq.log",
        )  # fmt: skip
        poll("dnsmasq", lambda: host.listens(53, "udp"), 10.0)

    def attach(self, guest):
        """A tap guest's netdev: a veth into the bridge."""
        port = f"p-{guest.label}"
        self.lab.cable(self.lab.host, port, guest, guest.interface)
        self.lab.host.run("ip", "link", "set", port, "master", "virbr0", "up")

    def qemu_guest(self, label, number=1):
        """A QEMU guest on a kernel tap in the bridge."""
        host = self.lab.host
        host.run("ip", "tuntap", "add", f"t-{label}", "mode", "tap", "vnet_hdr")
        host.run("ip", "link", "set", f"t-{label}", "master", "virbr0", "up")
        netdev = ["-netdev", f"tap,id=n0,ifname=t-{label},script=no,downscript=no,vhost=off"]
        return QemuGuest(self.lab, label, netdev, f"52:54:00:77:00:{number:02x}", argv_prefix=host.argv())
