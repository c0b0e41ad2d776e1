#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Names: the network's own, leased ones, forwarded ones; what cannot be answered; large answers; the host's queries."""

from checks import check, check_equal, need, poll, run_script, section
from clients import dig
from lab import GATEWAY, WEB, Lab, config, default_network


def network():
    return default_network(
        domain={"name": "lab.test", "localOnly": True},
        dns={"hosts": [{"ip": "192.168.122.40", "hostnames": ["printer.lab.test", "printer"]}]},
        ips=[{
            "address": GATEWAY, "prefix": 24, "localPtr": True,
            "dhcp": {
                "ranges": [{"start": "192.168.122.100", "end": "192.168.122.200"}],
                "hosts": [{"mac": "52:54:00:aa:bb:cc", "name": "fixed", "ip": "192.168.122.10"}],
            },
        }],
    )  # fmt: skip


def large_names():
    """TXT records whose answers are about 900, 3000 and 12000 bytes long."""
    text = "x" * 200
    for name, count in (("medium", 4), ("large", 14), ("huge", 56)):
        for number in range(count):
            yield f"--txt-record={name}.example.test,{number:04d}{text}"


def test():
    need("dig")
    with Lab() as lab:
        lab.inet.serve_names(list(large_names()))
        c1, c2 = lab.tap_guest("c1"), lab.tap_guest("c2")
        lab.weftd.start(config([network()], [c1.port, c2.port]))
        lease1, _ = c1.dhcp()
        lease2, _ = c2.dhcp()

        def ask(name, kind="A", *options, guest=c1, **more):
            return dig(guest, name, kind, GATEWAY, *options, **more)

        def check_answer(what, answer, *values):
            check_equal(what, (answer.status, sorted(answer.values)), ("NOERROR", sorted(values)))

        section("the network's own names")
        for name, address in (("printer.lab.test", "192.168.122.40"), ("fixed.lab.test", "192.168.122.10"),
                              ("c1.lab.test", lease1.address), ("c2.lab.test", lease2.address)):  # fmt: skip
            check_answer(f"{name} A", ask(name), address)
            check_answer(f"{address} PTR", ask(address, "PTR"), name + ".")
        check_answer("a plain name", ask("c2"), lease2.address)
        check_answer("whatever the case", ask("C2.Lab.TEST"), lease2.address)
        check("authoritative", "aa" in ask("c2.lab.test").flags)
        answer = ask("c2.lab.test", "AAAA")
        check_equal("no IPv6 address: the name exists", (answer.status, answer.values), ("NOERROR", []))
        check_equal("a name nobody has", ask("nobody.lab.test").status, "NXDOMAIN")
        check_equal("an address nobody has", ask("192.168.122.99", "PTR").status, "NXDOMAIN")
        check("localOnly: the upstream was not asked", "lab.test" not in lab.inet.read("names.log"))
        check("nor for the network's addresses", "122.168.192" not in lab.inet.read("names.log"))
        c2.client.release()
        poll("a released name goes", lambda: ask("c2.lab.test").status == "NXDOMAIN", 5.0)
        check("a released name goes", True)

        section("forwarded names")
        check_answer("www.example.test A", ask("www.example.test"), WEB)
        check_answer(f"{WEB} PTR", ask(WEB, "PTR"), "www.example.test.")
        check_equal("NXDOMAIN is passed on", ask("none.example.test").status, "NXDOMAIN")
        check("recursion is available", "ra" in ask("www.example.test").flags)
        queries = lab.inet.read("names.log").count("query[A] www.example.test")
        check_answer("asked again", ask("www.example.test"), WEB)
        answer = ask("medium.example.test", "TXT", "+bufsize=512", "+ignore")
        check("larger than the asker takes: TC", "tc" in answer.flags, answer.flags)
        check_equal("larger than 512: fits with EDNS", len(ask("medium.example.test", "TXT", "+ignore").answers), 4)
        answer = ask("large.example.test", "TXT", "+ignore", "+bufsize=1232")
        check("larger than EDNS allows: TC", "tc" in answer.flags, answer.flags)
        check_equal("and whole over TCP", len(ask("large.example.test", "TXT").answers), 14)
        check_equal("larger still, over TCP", len(ask("huge.example.test", "TXT", "+tcp").answers), 56)
        check("no query left without an answer", queries >= 1)

        section("over TCP, and the host's own")
        check_answer("a local name over TCP", ask("fixed.lab.test", "A", "+tcp"), "192.168.122.10")
        check_answer("from the host, UDP", ask("fixed.lab.test", guest=lab.host), "192.168.122.10")
        check_answer("from the host, TCP", ask("fixed.lab.test", "A", "+tcp", guest=lab.host), "192.168.122.10")
        check_answer("from the host, forwarded", ask("www.example.test", guest=lab.host), WEB)

        section("odd queries")
        check("a class that is not IN is not answered with data", ask("c1.lab.test", "A", "-c", "CH").values == [])
        check_equal("an unknown type of a local name", ask("c1.lab.test", "TYPE65").status, "NOERROR")
        check("DNS COOKIE and unknown options do no harm", ask("c1.lab.test", "A", "+cookie", "+ednsopt=65001:ff").status == "NOERROR")
        lab.weftd.drops()

        section("an upstream that is silent")
        for process in list(lab.inet.spawned):
            lab.inet.end(process)
        lab.inet.run("nft", "table ip quiet { chain input { type filter hook input priority 0; udp dport 53 drop; }; }")
        answer = ask("late.example.test", timeout=15)
        check_equal("the asker hears of it", answer.status, "SERVFAIL")
        check_answer("local names do not wait", ask("fixed.lab.test"), "192.168.122.10")
        lab.weftd.expect_log(r"upstream|resolver|name server")


run_script(test)
