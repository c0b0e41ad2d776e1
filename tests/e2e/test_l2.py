#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The switch as a switch: networks apart, flooding, multicast, station moves, storms, address floods."""

from checks import check, check_equal, poll, run_script, section
from clients import Pinger
from lab import HERE, Lab, config, long_run, sanitized

FRAMES = f"{HERE}/frames.py"


def frames(guest, *what, timeout=120):
    return int(guest.run("python3", FRAMES, guest.interface, *what, timeout=timeout).out)


def heard(guest, expression, provoke, seconds=5):
    """Does the guest see a frame that matches, when provoke() is called?"""
    sniffer = guest.spawn("timeout", seconds, "tcpdump", "-i", guest.interface, "-c", 1, "-l", "-n", "-p", expression,
                          log="sniffer.log")  # fmt: skip
    before = guest.read("sniffer.log").count("listening on")
    poll("tcpdump listens", lambda: guest.read("sniffer.log").count("listening on") >= max(1, before), 10.0)
    provoke()
    return sniffer.wait(seconds + 5) == 0


def test():
    with Lab(internet=False) as lab:
        a1, a2, a3 = (lab.tap_guest(name, "a") for name in ("a1", "a2", "a3"))
        b1 = lab.tap_guest("b1", "b")
        # Two networks without services: nothing but a wire each, with the same addresses on both.
        networks = [{"name": name, "bridge": {"host": False}} for name in ("a", "b")]
        lab.weftd.expect_log("no uplink is configured")
        lab.weftd.start(config(networks, [g.port for g in (a1, a2, a3, b1)], uplinks=[]))
        for guest, host in ((a1, 1), (a2, 2), (a3, 3), (b1, 2)):
            guest.run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_broadcasts=0", "net.ipv6.conf.all.disable_ipv6=1")
            guest.static(f"10.0.0.{host}/24", router=None)

        section("isolation")
        check("two guests of a network reach each other", a1.must_ping("10.0.0.2", 3))
        check_equal("answered by its own network's 10.0.0.2", a1.must("ip neigh show 10.0.0.2").split()[4], a2.mac())
        check("a guest of another network does not see its broadcasts",
              not heard(b1, "ether proto 0x88b5", lambda: frames(a1, "broadcasts", 5), seconds=2))  # fmt: skip
        check("nor does it reach it", b1.ping("10.0.0.1", 1).received == 0)

        section("flooding")
        check("a broadcast reaches everybody of the network",
              all(heard(g, "ether proto 0x88b5", lambda: frames(a1, "broadcasts", 2)) for g in (a2, a3)))  # fmt: skip
        # Multicast: each of the others answers once, so the first answer has a duplicate.
        out = a1.sh(f"ping -c 2 -W 2 -I {a1.interface} 224.0.0.1").out
        check("multicast reaches both others", "10.0.0.2" in out and "10.0.0.3" in out)

        section("learning")

        def fdb():
            return {entry["mac"]: entry["port"] for entry in lab.weftd.ask("fdb", "a")["entries"]}

        check_equal("every guest's port is known", {fdb().get(g.mac()) for g in (a1, a2, a3)}, {"a1", "a2", "a3"})
        check("known addresses are not flooded",
              not heard(a3, f"icmp and ether dst {a2.mac()}", lambda: a1.must_ping("10.0.0.2", 3), seconds=2))  # fmt: skip
        moved = a2.mac()
        a2.run("ip", "link", "set", "a2", "down")
        a3.run("ip", "link", "set", "a3", "down")
        a3.run("ip", "link", "set", "a3", "address", moved)
        a3.run("ip", "link", "set", "a3", "up")
        a3.run("ip", "address", "add", "10.0.0.2/24", "dev", "a3")
        frames(a3, "gratuitous-arp", "10.0.0.2")
        poll("the station's new port", lambda: fdb().get(moved) == "a3", 5.0)
        check("a station moves to another port, and traffic follows", a1.must_ping("10.0.0.2", 3))
        a2.run("ip", "link", "set", "a2", "address", "52:54:00:00:00:02", "up")
        a2.run("ip", "address", "replace", "10.0.0.4/24", "dev", "a2")
        check("the others go on", a2.must_ping("10.0.0.1", 3))

        section("storm")
        sent = frames(a1, "broadcasts", 200_000 if long_run() else 40_000)
        dropped = lab.weftd.wait_drop("ingress_storm")
        check("broadcasts above the limit are dropped by name", 0 < dropped < sent, f"{dropped} of {sent}")
        check("the guest's other traffic goes on", a1.must_ping("10.0.0.2", 3))
        check("and everybody else's", a2.must_ping("10.0.0.2", 3))

        section("address flood")
        before = lab.weftd.resident_mib()
        pinger = Pinger(a2, "10.0.0.2")
        frames(a1, "random-macs", 1_000_000 if long_run() else 60_000, timeout=300)
        lost, answered = pinger.stop()
        check("nobody else loses a packet", not lost, f"{answered} answered, lost {lost}")
        grown = lab.weftd.resident_mib() - before
        # A table of the configured million entries (switch.fdb.entries), and each port's list of what it brought in.
        check("memory grows by the table, and no more", grown < 96 or sanitized(), f"{grown:+.1f} MiB")
        learned = lab.weftd.ask("fdb", "a")["count"]
        # Not all: the table grows a little each tick, and meanwhile has no room for more.
        check("they were learned, not dropped before", learned > 20_000, f"{learned} entries")
        check("known stations are still known",
              not heard(a1, f"icmp and ether dst {moved}", lambda: a2.must_ping("10.0.0.2", 3), seconds=2))  # fmt: skip


run_script(test)
