#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real TCP and UDP stacks with their offloads on and off in every combination that matters: namespaces on taps, the
internet behind the uplink, QEMU guests with and without offloads. What is sent arrives, by hash, and nobody counts a
bad checksum."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

from checks import check, check_equal, need, poll, run_script, section
from lab import HERE, WAN_GATEWAY, Lab, config, default_network, long_run

# What `ethtool -K` is told; what of it is fixed on a netdev stays as it is.
COMBINATIONS = {
    "all offloads": "rx on tx on sg on tso on gso on gro on",
    "no GRO": "gro off",
    "no TSO": "tso off",
    "no TSO, no GSO": "tso off gso off",
    "no checksums": "tx off",
    "no offloads": "rx off tx off sg off tso off gso off gro off",
}
# Of QEMU's virtio-net device: whatever the guest's driver could ask for otherwise.
NO_OFFLOADS = ",".join(
    f"{feature}=off"
    for feature in "csum gso guest_csum host_tso4 host_tso6 host_ecn guest_tso4 guest_tso6 guest_ecn".split()
)
NO_TSO = "host_tso4=off,host_tso6=off,host_ecn=off,guest_tso4=off,guest_tso6=off,guest_ecn=off"

UDP_ECHO = f"python3 -B {HERE}/udp_echo.py"

ports = itertools.count(9001)


def set_offloads(namespace, device, combination):
    for words in (COMBINATIONS["all offloads"], COMBINATIONS[combination]):
        for feature, state in zip(words.split()[::2], words.split()[1::2]):
            namespace.run("ethtool", "-K", device, feature, state, check=False)
    for feature, name in (("tso", "tcp-segmentation-offload"), ("tx", "tx-checksumming")):
        if f"{feature} off" in COMBINATIONS[combination]:
            shown = namespace.must(f"ethtool -k {device} | grep '^{name}:'")
            check_equal(f"{namespace.label}: {name}", shown.split()[1], "off")


class Blob:
    """What is sent."""

    def __init__(self, namespace, mib):
        self.path = namespace.path(f"blob-{mib}")
        self.size = mib << 20
        with open(self.path, "wb") as file:
            file.write(os.urandom(self.size))
        self.sha256 = namespace.must(f"sha256sum {self.path}").split()[0]


def stream(what, blob, client, server, address, client_sends):
    """`client` connects to `server`, and one of them sends all of the blob."""
    port = next(ports)
    family = "-6" if ":" in address else "-4"
    sink = (server if client_sends else client).path(f"sink-{port}")
    receives, sends = f"-d {port} >{sink}", f"-N {port} <{blob.path}"
    listener = server.spawn("sh", "-c", f"exec nc {family} -l {receives if client_sends else sends}", log="nc.log")
    poll(f"nc on {server.label}", lambda: server.listens(port), 5.0)
    end = f"-N -w 20 {address} {port} <{blob.path}" if client_sends else f"-d -w 20 {address} {port} >{sink}"
    client.must(f"nc {family} {end}", 60)
    listener.wait(30)
    check(what, server.must(f"sha256sum {sink}").split()[0] == blob.sha256, f"{os.path.getsize(sink)} bytes")
    os.unlink(sink)


def both_ways(what, blob, client, server, address):
    stream(what, blob, client, server, address, client_sends=True)
    stream(f"{what}, back", blob, client, server, address, client_sends=False)


def at_once(*calls):
    """Each is a function and its arguments."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(*call) for call in calls]:
            done.result()


def datagrams(what, client, server, address):
    """Every one comes back as it was: odd sizes, empty, as large as the MTU, and in fragments (finished checksums)."""
    port = next(ports)
    echo = server.spawn("sh", "-c", f"exec {UDP_ECHO} serve {address} {port}", log="udp.log")
    poll(f"UDP echo on {server.label}", lambda: server.listens(port, "udp"), 5.0)
    mtu = 1452 if ":" in address else 1472
    sizes = [0, 1, 2, 17, 18, 63, 148, 149, 150, 151, 777, mtu - 1, mtu]
    answer = client.must(f"{UDP_ECHO} ask {address} {port} {' '.join(map(str, sizes))}", 30)
    check_equal(what, answer, f"{len(sizes)} came back")
    server.end(echo)


def stream_with_vm(what, vm, peer, vm_address, peer_address, blob):
    """The same with a guest of busybox, whose blob is /tmp/blob from then on."""
    vm.must("(nc -l -p 9000 >/tmp/blob; touch /tmp/done) & until netstat -ltn | grep -q :9000; do usleep 20000; done")
    peer.must(f"nc -N -w 20 {vm_address} 9000 <{blob.path}", 90)
    vm.must("until [ -e /tmp/done ]; do usleep 20000; done; rm /tmp/done")
    check(f"{what} to {vm.label}", vm.must("sha256sum /tmp/blob").split()[0] == blob.sha256)
    send_from_vm(f"{what} from {vm.label}", vm, peer, peer_address, blob)


def send_from_vm(what, vm, peer, peer_address, blob):
    port, sink = next(ports), peer.path("sink")
    family = "-6" if ":" in peer_address else "-4"
    listener = peer.spawn("sh", "-c", f"exec nc {family} -l -d {port} >{sink}", log="nc.log")
    poll(f"nc on {peer.label}", lambda: peer.listens(port), 5.0)
    vm.must(f"nc {peer_address} {port} </tmp/blob", 90)
    listener.wait(30)
    check(what, peer.must(f"sha256sum {sink}").split()[0] == blob.sha256)


def link_local(machine):
    line = f"ip -6 addr show dev {machine.interface} scope link"
    poll(f"{machine.label}: a link-local address", lambda: "fe80" in (out := machine.must(line)) and "tentative" not in out)
    return machine.must(line).split("inet6 ")[1].split("/")[0]


def bad_checksums(namespace):
    names = "TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors IcmpInCsumErrors Icmp6InCsumErrors"
    lines = namespace.must(f"nstat -asz {names}").splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines)


def combinations(lab, c1, c2, blob):
    six = f"{link_local(c2)}%{c1.interface}"
    for combination in COMBINATIONS:
        section(f"a tap guest with {combination}")
        set_offloads(c1, c1.interface, combination)
        at_once(
            (both_ways, "tap to tap", blob, c1, c2, "192.168.122.12"),
            (both_ways, "tap to tap, IPv6", blob, c1, c2, six),
            (datagrams, "tap to tap, UDP", c1, c2, "192.168.122.12"),
            (both_ways, "tap to the uplink", blob, c1, lab.inet, WAN_GATEWAY),
            (datagrams, "tap to the uplink, UDP", c1, lab.inet, WAN_GATEWAY),
            (both_ways, "tap to the host's seat", blob, c1, lab.host, "192.168.122.1"),
        )
    set_offloads(c1, c1.interface, "all offloads")
    for combination in COMBINATIONS if long_run() else ("no TSO, no GSO", "no offloads"):
        section(f"an internet with {combination}")
        set_offloads(lab.inet, "wan", combination)
        at_once(
            (both_ways, "tap to the uplink", blob, c1, lab.inet, WAN_GATEWAY),
            (datagrams, "tap to the uplink, UDP", c1, lab.inet, WAN_GATEWAY),
        )
    set_offloads(lab.inet, "wan", "all offloads")


def machines(vms, c1, lab, blob):
    addresses = {}
    for vm in vms:
        vm.wait_booted()
        addresses[vm] = vm.dhcp()["ip"]
        vm.must("echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    for combination in COMBINATIONS if long_run() else ("all offloads", "no offloads"):
        section(f"QEMU guests and a tap guest with {combination}")
        set_offloads(c1, c1.interface, combination)
        for vm in vms:
            stream_with_vm("TCP", vm, c1, addresses[vm], "192.168.122.11", blob)
    section("QEMU guests, IPv6 and the uplink")
    set_offloads(c1, c1.interface, "all offloads")
    for vm in vms:
        stream_with_vm("TCP over IPv6", vm, c1, f"{link_local(vm)}%{c1.interface}", f"{link_local(c1)}%eth0", blob)
        send_from_vm(f"uplink from {vm.label}", vm, lab.inet, WAN_GATEWAY, blob)
        page = vm.fetch("http://198.51.100.80/big")
        check_equal(f"{vm.label} from the uplink", page.sha256, lab.inet.must(f"sha256sum {lab.inet.pages}/big").split()[0])
    section("between QEMU guests")
    for vm, other in zip(vms, vms[1:] + vms[:1]):
        # busybox's nc ends with either side: its own input must not.
        other.must("[ -p /tmp/hold ] || mkfifo /tmp/hold; (nc -l -p 9000 <>/tmp/hold >/tmp/got; touch /tmp/done) & "
                   "until netstat -ltn | grep -q :9000; do usleep 20000; done")
        vm.must(f"nc {addresses[other]} 9000 </tmp/blob", 90)
        other.must("until [ -e /tmp/done ]; do usleep 20000; done; rm /tmp/done")
        check(f"{vm.label} to {other.label}", other.must("sha256sum /tmp/got").split()[0] == blob.sha256)
    for vm in vms:
        counted = [line.split() for line in vm.must("grep -E '^(Tcp|Udp): [0-9]' /proc/net/snmp").splitlines()]
        check_equal(f"{vm.label} counted no bad segment", [counted[0][13], counted[1][3]], ["0", "0"])


def test():
    need("ethtool", "nc", "nstat")
    with Lab() as lab:
        lab.inet.serve_pages(big_mib=2)
        vms = [
            lab.qemu_guest("all", 1),
            lab.qemu_guest("notso", 2, device_options="," + NO_TSO),
            lab.qemu_guest("nothing", 3, device_options="," + NO_OFFLOADS),
        ]
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2")
        lab.weftd.start(config([default_network()], [c1.port, c2.port, *(vm.port for vm in vms)]))
        c1.static("192.168.122.11/24")
        c2.static("192.168.122.12/24")
        for vm in vms:
            vm.start()  # they boot meanwhile
        combinations(lab, c1, c2, Blob(c1, 8))
        machines(vms, c1, lab, Blob(c1, 2))

        section("checksums")
        for namespace in (c1, c2, lab.inet, lab.host):
            check_equal(f"{namespace.label} counted no bad checksum", bad_checksums(namespace), 0)
        check_equal("frames dropped for their offloads", lab.weftd.drops().get("rx_bad_offload", 0), 0)


run_script(test)
