#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a person can get wrong: one clear line each, the exit code of the contract, and nothing left behind. And what a
guest can do wrong: it harms itself only."""

import json
import os
import socket
import stat

from checks import check, check_equal, poll, run_script, section
from clients import Pinger
from lab import GATEWAY, HERE, Lab, config, default_network, long_run

GOOD = json.dumps(config([default_network()]), indent=2)


class BadStarts:
    """Starts that must fail."""

    def __init__(self, lab):
        self.lab = lab
        self.links = lab.host.links()

    def __call__(self, what, made, code, *says, argv=(), lines=1):
        """weftd exits with `code` and `lines` lines on stderr, which contain `says`; the host is as it was."""
        result = self.lab.weftd.run_to_end(made, *argv)
        errors = result.err.strip()
        check_equal(f"{what}: exit code", (result.code, "" if result.code == code else errors), (code, ""))
        check("   one line each", errors.count("\n") + 1 == lines, errors)
        for word in says:
            check(f"   says {word!r}", word in errors, errors if word not in errors else "")
        check("   not ready", "ready" not in result.out)
        check("   nothing left behind", self.lab.host.links() == self.links and not os.path.exists(self.lab.weftd.control))
        return errors


def configuration(lab, bad):
    section("configuration")
    weftd = lab.weftd
    path = weftd.config_path
    missing = lab.host.run(weftd.binary, "--config", f"{lab.dir}/nowhere.yaml", check=False)
    check("no file", missing.code == 2 and "nowhere.yaml" in missing.err and missing.err.count("\n") == 1, missing.err.strip())
    bad("no YAML", "networks: [", 2, f"{path}:1:")
    bad("an unknown key", "networks:\n  - name: default\n    colour: red\n", 2, f"{path}:3:5", "colour")
    bad("a wrong type", "networks:\n  - name: default\n    autostart: perhaps\n", 2, f"{path}:3:", "autostart", "perhaps")
    bad("a value out of range", "networks:\n  - name: default\n    mtu: {size: 12}\n", 2, f"{path}:3:", "12")
    bad("a duplicate key", "networks:\n  - name: a\n    name: b\n", 2, f"{path}:3:", "name")
    bad("an undefined uplink", config([default_network(forward={"mode": "nat", "dev": "lan"})]), 2, "lan")
    bad("an undefined network", config([default_network()], [{"name": "x", "network": "blue", "tap": {"name": "x"}}]), 2, "blue")
    bad("addresses that overlap", config([default_network(), default_network(name="other", bridge={"name": "virbr9"})]), 2, "192.168.122.")
    bad("all errors at once", "networks:\n  - name: a\n    colour: red\n    mtu: {size: 12}\n", 2, ":3:", ":4:", lines=2)
    later = default_network(portForwards=[{"proto": "tcp", "ip": "192.168.122.10", "ranges": [{"start": 80}]}])
    bad("what comes later", config([later]), 2, "portForwards", "not supported yet")
    result = weftd.run_to_end(GOOD, "--check")
    check_equal("--check of a good one", (result.code, result.out.strip()), (0, ""))
    check_equal("--check of a bad one", weftd.run_to_end("networks: 3\n", "--check").code, 2)
    result = weftd.run_to_end(GOOD, "--nonsense")
    check("a wrong option", result.code == 2 and result.err.count("\n") == 1, result.err)


def sockets(lab, bad):
    section("sockets")
    weftd = lab.weftd
    path = lab.socket("vm")
    made = config([default_network()], [{"name": "vm", "network": "default", "vhostuser": {"path": path}}])
    for what, at in (("the control socket", weftd.control), ("a vhost-user socket", path)):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(at)
            listener.listen(1)
            result = weftd.run_to_end(made)
            check(f"{what} of a living listener", result.code == 1 and at in result.err and result.err.strip().count("\n") == 0, result.err.strip())
            check("   it still listens", os.path.exists(at))
            check_equal("   nothing left behind", lab.host.links(), bad.links)
        os.unlink(at)
        with open(at, "w", encoding="utf-8") as file:
            file.write("precious")
        result = weftd.run_to_end(made)
        check(f"{what}: a file is there", result.code == 1 and at in result.err, result.err.strip())
        check_equal("   the file is untouched", open(at, encoding="utf-8").read(), "precious")
        os.unlink(at)
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(at)
        weftd.start(made)
        check(f"{what}: a stale one is replaced", stat.S_ISSOCK(os.stat(at).st_mode) and weftd.cli("net-list").code == 0)
        weftd.stop()
        remove_seat(lab)
    bad("a CPU that is not there", config([default_network()], switch={"workers": [1000]}), 1, "switch.workers", "1000")
    twins = config([default_network()], [{"name": "virbr0", "network": "default", "tap": {"name": "t0"}}])
    bad("a port named as the host's seat", twins, 2, "virbr0")
    bad("a socket in no directory", config([default_network()], [{"name": "vm", "network": "default", "vhostuser": {"path": "/nonexistent/vm.sock"}}]), 1, "/nonexistent")
    for what, attribute, at in (("a control socket where none can be", "control", "/proc/nothing/weft.sock"),
                                ("a state directory that cannot be", "state", "/proc/nothing")):  # fmt: skip
        usual = getattr(weftd, attribute)
        setattr(weftd, attribute, at)
        bad(what, GOOD, 1, at)
        setattr(weftd, attribute, usual)


def remove_seat(lab):
    """Taps outlive weftd on purpose; the next check wants an empty host."""
    for name in lab.host.links():
        if name not in ("wan0", "mgmt0"):
            lab.host.run("ip", "link", "delete", name)


def taps(lab, bad):
    section("taps and bridges")
    host = lab.host
    port = {"name": "t0", "network": "default", "tap": {"name": "t0"}}
    holder = host.spawn("python3", "-c", "import fcntl,struct,time; f=open('/dev/net/tun','rb+',buffering=0); "
                        "fcntl.ioctl(f,0x400454ca,struct.pack('16sH22x',b't0',0x5002)); time.sleep(600)")  # fmt: skip
    poll("the holder's tap", lambda: "t0" in host.links(), 5.0)
    bad.links = host.links()
    bad("a tap another process holds", config([default_network()], [port]), 1, "t0")
    check("   it is still held", holder.poll() is None and "t0" in host.links())
    host.end(holder, timeout=2)
    poll("the holder's tap goes", lambda: "t0" not in host.links(), 5.0)
    host.run("ip", "tuntap", "add", "t0", "mode", "tap")
    bad.links = host.links()
    bad("a tap that is not weft's", config([default_network()], [port]), 1, "t0")
    check("   it is untouched", "t0" in host.links())
    host.run("ip", "link", "delete", "t0")
    host.run("ip", "link", "add", "virbr0", "type", "bridge")
    host.run("ip", "address", "add", f"{GATEWAY}/24", "dev", "virbr0")
    bad.links = host.links()
    bad("a bridge name that libvirt has", GOOD, 1, "virbr0", "bridge")
    check("   the bridge keeps its address", host.addresses("virbr0") == [f"{GATEWAY}/24"])
    host.run("ip", "link", "delete", "virbr0")
    bad.links = host.links()
    bad("a namespace that is not there", config([default_network()], [{**port, "tap": {"name": "t0", "netns": "weft-nowhere"}}]), 1, "weft-nowhere")


def permission(lab, bad):
    section("permission")
    os.chmod(lab.dir, 0o777)
    weftd = lab.weftd
    weftd.write_config(GOOD)
    os.makedirs(f"{lab.dir}/nobody", exist_ok=True)
    os.chmod(f"{lab.dir}/nobody", 0o777)
    argv = [weftd.binary, "--config", weftd.config_path, "--control", f"{lab.dir}/nobody/s", "--state", f"{lab.dir}/nobody/state"]
    result = lab.host.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv, check=False)
    check("an ordinary user: exit 1 and one line", result.code == 1 and result.err.strip().count("\n") == 0, result.err.strip())
    check("   that says so", any(word in result.err.lower() for word in ("permission", "permitted", "root")), result.err.strip())
    check_equal("   nothing left behind", (lab.host.links(), os.path.exists(f"{lab.dir}/nobody/s")), (bad.links, False))


def no_switch(lab):
    section("weft without a switch")
    result = lab.weftd.cli("net-list")
    check("exit 3, one line", result.code == 3 and result.err.count("\n") == 1 and "no weftd listens" in result.err, result.err.strip())
    check_equal("wrong usage is exit 2", lab.weftd.cli("net-lits").code, 2)


def hostile_guest(lab):
    section("a guest that sends garbage")
    weftd = lab.weftd
    c1, c2, c3 = (lab.tap_guest(name) for name in ("c1", "c2", "c3"))
    weftd.start(config([default_network()], [g.port for g in (c1, c2, c3)]))
    c2.dhcp()
    c3.dhcp()
    target = c3.addresses()[0].split("/")[0]
    c1.wait_link()
    others = Pinger(c2, target)
    gateway_mac = lab.host.mac("virbr0")
    count = 200_000 if long_run() else 20_000
    sent = int(c1.run("python3", f"{HERE}/frames.py", c1.interface, "garbage", count, 1, gateway_mac, timeout=300).out)
    check("it is all taken", sent > count * 0.9, sent)
    lost, answered = others.stop()
    check("another guest loses nothing meanwhile", not lost, f"{answered} answered, lost {lost}")
    check("its packets end in named drops", weftd.ask("port-stats", "c1")["drops"], weftd.ask("port-stats", "c1")["drops"])
    check("the services go on", c2.must_ping(GATEWAY, 2))
    c2.client.renew()
    check("leases too", c2.client.bound().address)
    c1.static("192.168.122.201/24")
    check("and the guest itself, when it behaves again", c1.must_ping(GATEWAY, 2))


def test():
    with Lab() as lab:
        bad = BadStarts(lab)
        lab.weftd.expect_log("^weftd: ")
        no_switch(lab)
        configuration(lab, bad)
        sockets(lab, bad)
        taps(lab, bad)
        permission(lab, bad)
        remove_seat(lab)
        hostile_guest(lab)


run_script(test)
