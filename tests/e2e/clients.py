# SPDX-License-Identifier: BSD-3-Clause
"""Real clients, as a user of a network runs them in a namespace: dhclient, udhcpc, dhcpcd, dig, iperf3, perfdhcp."""

import json
import os
import re
import signal
import tempfile
from dataclasses import dataclass, field

from checks import TestFailure, poll

UDP_TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "udp_tool.py")

# What all three DHCP clients call. dhclient and dhcpcd give new_* and the reason in the environment, udhcpc plain names
# and the reason as $1. The lease is taken over (dhcpcd does that itself, but for the resolver), and every call is kept
# for the test to read.
_LEASE_SCRIPT = """#!/bin/sh
reason=${reason:-$1}
n=$(ls @DIR@ | grep -c '^call\\.')
env >@DIR@/.call
echo "reason=$reason" >>@DIR@/.call
case @KIND@-$reason in
  dhcpcd-*) ;;
  *-PREINIT | *-deconfig | *-EXPIRE | *-FAIL | *-RELEASE | *-STOP)
    ip -4 address flush dev $interface
    ip link set $interface up ;;
  *-BOUND | *-RENEW | *-REBIND | *-REBOOT | *-bound | *-renew)
    address=${new_ip_address:-$ip} mask=${new_subnet_mask:-$mask} router=${new_routers:-$router}
    ip -4 address flush dev $interface
    ip address add $address/$mask dev $interface
    ip link set $interface up
    [ -z "$router" ] || ip route replace default via ${router%% *} dev $interface
    mtu=${new_interface_mtu:-$mtu}
    [ -z "$mtu" ] || ip link set $interface mtu $mtu ;;
esac
case $reason in
  BOUND | RENEW | REBIND | REBOOT | bound | renew)
    { for server in ${new_domain_name_servers:-$dns}; do echo "nameserver $server"; done
      search=${new_domain_name:-$domain}
      [ -z "$search" ] || echo "search $search"
      echo "options timeout:2 attempts:2"; } >@RESOLV@ ;;
esac
mv @DIR@/.call @DIR@/call.$n
"""

_BOUND = {"BOUND", "RENEW", "REBIND", "REBOOT", "bound", "renew"}


@dataclass
class Event:
    """One call of the lease script, whichever client called."""

    reason: str
    env: dict = field(repr=False)

    def _get(self, new, plain):
        return self.env.get("new_" + new, self.env.get(plain, ""))

    @property
    def address(self):
        return self._get("ip_address", "ip")

    @property
    def mask(self):
        return self.env.get("new_subnet_mask", self.env.get("subnet", ""))

    @property
    def router(self):
        return self._get("routers", "router")

    @property
    def dns(self):
        return self._get("domain_name_servers", "dns")

    @property
    def domain(self):
        return self._get("domain_name", "domain")

    @property
    def broadcast(self):
        return self._get("broadcast_address", "broadcast")

    @property
    def mtu(self):
        return self._get("interface_mtu", "mtu")

    @property
    def lease_seconds(self):
        return int(self._get("dhcp_lease_time", "lease") or 0)

    @property
    def server(self):
        return self._get("dhcp_server_identifier", "serverid")

    @property
    def hostname(self):
        return self._get("host_name", "hostname")


class DhcpClient:
    """One of the three on one interface of a namespace. start() returns at once, bound() waits for the lease."""

    def __init__(self, namespace, kind="dhclient", interface=None, hostname=None):
        self.ns = namespace
        self.kind = kind
        self.interface = interface or namespace.interface
        self.hostname = hostname
        self.calls_dir = tempfile.mkdtemp(prefix=f"{kind}-", dir=namespace.dir)
        self.process = None
        self.seen = 0
        script = _LEASE_SCRIPT.replace("@KIND@", kind).replace("@DIR@", self.calls_dir).replace("@RESOLV@", namespace.path("resolv.conf"))
        self.script = namespace.write(f"{kind}-script", script)
        os.chmod(self.script, 0o755)

    def argv(self):
        name = self.hostname
        if self.kind == "dhclient":
            conf = "timeout 20;\nretry 2;\ninitial-interval 1;\nbackoff-cutoff 2;\n"
            conf += "request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, host-name, interface-mtu;\n"
            conf += f'send host-name "{name}";\n' if name else ""
            self.ns.write("dhclient.conf", conf)
            return ["dhclient", "-d", "-v", "-sf", self.script, "-cf", self.ns.path("dhclient.conf"),
                    "-lf", self.ns.path("dhclient.leases"), "-pf", self.ns.path("dhclient.pid"), self.interface]  # fmt: skip
        if self.kind == "udhcpc":
            return ["udhcpc", "-f", "-i", self.interface, "-s", self.script, "-t", "10", "-T", "1", "-R",
                    "-O", "mtu", "-O", "broadcast"] + (["-x", f"hostname:{name}"] if name else [])  # fmt: skip
        if self.kind == "dhcpcd":
            conf = "clientid\noption subnet_mask, routers, domain_name_servers, domain_name, broadcast_address, interface_mtu, host_name\n"
            conf += "require dhcp_server_identifier\nnoarp\nnoipv4ll\n"
            conf += f"hostname {name}\n" if name else ""
            self.ns.write("dhcpcd.conf", conf)
            # Its state and its pid file are the machine's: give it places of its own.
            places = "mkdir -p /var/lib/dhcpcd /run/dhcpcd && mount -t tmpfs -o mode=755 t /var/lib/dhcpcd && mount -t tmpfs -o mode=755 t /run/dhcpcd"
            command = f"dhcpcd -4 -B -f {self.ns.path('dhcpcd.conf')} -c {self.script} {self.interface}"
            return ["sh", "-c", f"{places} && exec {command}"]
        raise ValueError(self.kind)

    def start(self):
        self.ns.run("ip", "link", "set", self.interface, "up")
        self.process = self.ns.spawn(*self.argv(), log=f"{self.kind}.log")
        return self

    def events(self):
        """All calls of the script so far, in order."""
        found = []
        names = [name for name in os.listdir(self.calls_dir) if name.startswith("call.")]
        for name in sorted(names, key=lambda n: int(n.split(".")[1])):
            with open(os.path.join(self.calls_dir, name), encoding="utf-8", errors="replace") as file:
                env = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
            found.append(Event(env["reason"], env))
        return found

    def _next_of(self, reasons):
        events = self.events()
        for at in range(self.seen, len(events)):
            if events[at].reason in reasons:
                self.seen = at + 1
                return events[at]
        if self.process is not None and self.process.poll() is not None:
            raise TestFailure(f"{self.ns.label}: {self.kind} ended: {self.ns.read(self.kind + '.log')[-1500:]}")
        return None

    def bound(self, timeout=20.0):
        """The next lease (or renewal) this client takes over."""
        return self.wait_for(_BOUND, timeout)

    def wait_for(self, reasons, timeout=20.0):
        try:
            return poll(f"{self.ns.label}: {self.kind}: {'/'.join(sorted(reasons))}",
                        lambda: self._next_of(reasons), timeout, 0.005)  # fmt: skip
        except TestFailure as failure:
            raise TestFailure(f"{failure}\n{self.ns.read(self.kind + '.log')[-2000:]}") from failure

    def renew(self):
        """Asks the server again now; bound() sees the answer."""
        if self.kind == "udhcpc":
            self.process.send_signal(signal.SIGUSR1)
        elif self.kind == "dhcpcd":
            before = len(self.events())
            self._signal_until(signal.SIGHUP, "rebinds", lambda: len(self.events()) > before)
        else:  # dhclient: a new one starts from the lease file (INIT-REBOOT)
            self.kill()
            self.start()

    def _signal_until(self, number, what, condition):
        """dhcpcd misses a signal that comes while its script runs: say it again until something happens."""

        def done():
            if condition():
                return True
            self.process.send_signal(number)
            return False

        poll(f"{self.ns.label}: dhcpcd {what}", done, 20.0, 0.5)

    def release(self):
        """Gives the lease back and ends."""
        if self.kind == "udhcpc":
            self.process.send_signal(signal.SIGUSR2)
            self.wait_for({"deconfig"})
        elif self.kind == "dhcpcd":
            self._signal_until(signal.SIGALRM, "releases and ends", lambda: self.process.poll() is not None)
        else:
            self.kill()
            self.ns.run(*[a for a in self.argv() if a != "-d"], "-r")
        self.kill()

    def kill(self):
        """Without a word to the server, as a guest that loses power."""
        if self.process is not None:
            self.ns.end(self.process, signal.SIGKILL)
            self.process = None


@dataclass
class DnsAnswer:
    status: str  # NOERROR, NXDOMAIN, …; "" when nothing came
    flags: set
    answers: list  # (name, type, value)
    text: str

    @property
    def values(self):
        return [value for _, _, value in self.answers]


def dig(namespace, name, kind="A", server=None, *options, timeout=2, tries=1):
    """One query with dig. A query that is not answered gives an empty status, not an exception."""
    argv = ["dig", f"+time={timeout}", f"+tries={tries}", "+noadditional", *options]
    argv += [f"@{server}"] if server else []
    argv += ["-x", name] if kind == "PTR" and re.fullmatch(r"[\d.]+", name) else ["-t", kind, name]
    result = namespace.run(*argv, check=False, timeout=timeout * tries + 10)
    status = re.search(r"status: (\w+)", result.out)
    flags = re.search(r"flags: ([a-z ]*);", result.out)
    answers = []
    section = re.search(r";; ANSWER SECTION:\n(.*?)\n\n", result.out, re.DOTALL)
    if section:
        for line in section[1].splitlines():
            name_, _ttl, _class, kind_, value = line.split(None, 4)
            answers.append((name_, kind_, value))
    return DnsAnswer(status[1] if status else "", set(flags[1].split()) if flags else set(), answers, result.text())


class Iperf3Server:
    def __init__(self, namespace, port=5201, address=None):
        self.ns = namespace
        self.port = port
        bind = ["-B", address] if address else []
        self.process = namespace.spawn("iperf3", "-s", "-p", port, *bind, log="iperf3-server.log")
        poll(f"{namespace.label}: iperf3 server", lambda: namespace.listens(port), 5.0)

    def close(self):
        self.ns.end(self.process)


def iperf3(namespace, server, seconds=2, port=5201, *options):
    """Runs a client for whole seconds; returns iperf3's own report (JSON)."""
    result = namespace.run("iperf3", "-c", server, "-p", port, "-t", seconds, "-J", *options,
                           check=False, timeout=seconds + 20)  # fmt: skip
    try:
        report = json.loads(result.out)
    except ValueError as bad:
        raise TestFailure(f"iperf3: {result.text()[:500]}") from bad
    if "error" in report:
        raise TestFailure(f"{namespace.label}: iperf3 to {server}: {report['error']}")
    return report


def gbit_per_second(report):
    """What the receiver of a TCP (or UDP) run got."""
    end = report["end"]
    return (end.get("sum_received") or end["sum"])["bits_per_second"] / 1e9


class Pinger:
    """Pings on in the background; stop() tells which echoes were lost."""

    def __init__(self, namespace, target, interval=0.02):
        self.ns = namespace
        self.log = f"ping-{target}.log"
        namespace.write(self.log, "")
        self.process = namespace.spawn("ping", "-i", interval, "-W", "3", target, log=self.log)
        poll(f"{namespace.label}: echoes from {target}", self.answered, 10.0)

    def answered(self):
        return [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", self.ns.read(self.log))]

    def stop(self):
        """(lost, answered); an echo that was on its way when ping ended is not lost."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.ns.spawned.remove(self.process)
        answered = self.answered()
        return sorted(set(range(1, max(answered) + 1)) - set(answered)), len(answered)


@dataclass
class Numbered:
    """What became of numbered datagrams that went one way."""

    sent: int
    received: int  # different ones
    duplicates: int
    disordered: int  # came after one that was sent later

    @property
    def lost(self):
        return self.sent - self.received

    @staticmethod
    def of(sent, numbers):
        return Numbered(sent, len(set(numbers)), len(numbers) - len(set(numbers)),
                        sum(1 for a, b in zip(numbers, numbers[1:]) if b < a))  # fmt: skip


# The same in a guest that has no Python.
_COUNT_NUMBERS = (
    "awk '$1 in seen {twice++} !($1 in seen) {n++} {seen[$1]; if ($1 < last) back++; last = $1} "
    "END {print n + 0, twice + 0, back + 0}' /tmp/numbers"
)


class NumbersToVm:
    """Numbered datagrams from a namespace to a QEMU guest, until stop()."""

    PORT = 9002

    def __init__(self, namespace, vm, address, interval=0.005):
        self.ns = namespace
        self.vm = vm
        self.log = f"numbers-to-{vm.label}.log"
        vm.must(f"nc.openbsd -d -u -l {self.PORT} >/tmp/numbers 2>/dev/null & echo $! >/tmp/numbers.pid; "
                f"until netstat -lun | grep -q :{self.PORT}; do usleep 20000; done")  # fmt: skip
        namespace.write(self.log, "")
        self.process = namespace.spawn("python3", UDP_TOOL, "count", address, self.PORT, interval, log=self.log)
        poll(f"{vm.label}: numbers arrive", lambda: vm.sh("[ -s /tmp/numbers ]"), 10.0)

    def stop(self, vm=None):
        """`vm`: where the guest is now."""
        vm = vm or self.vm
        self.ns.end(self.process)
        sent = int(self.ns.read(self.log).split()[-1])
        poll(f"{vm.label}: the last number", lambda: vm.must("tail -n 1 /tmp/numbers") == str(sent), 10.0, 0.2)
        vm.must("kill $(cat /tmp/numbers.pid)")
        return Numbered(sent, *map(int, vm.must(_COUNT_NUMBERS).split()))


class NumbersFromVm:
    """Numbered datagrams from a QEMU guest to a namespace, until stop()."""

    n_made = 0

    def __init__(self, namespace, vm, address, port=9003):
        """`address` is the namespace's."""
        NumbersFromVm.n_made += 1
        self.ns = namespace
        self.vm = vm
        self.log = f"numbers-from-{vm.label}.log"
        self.file = f"/tmp/numbers-{self.n_made}"  # in the guest: sends as long as it is there; .sent: the last number
        namespace.write(self.log, "")
        self.process = namespace.spawn("python3", UDP_TOOL, "log", port, log=self.log)
        poll(f"{namespace.label} listens", lambda: namespace.listens(port, "udp"), 5.0)
        vm.must(f"touch {self.file}; {{ i=0; while [ -e {self.file} ]; do i=$((i+1)); echo $i; usleep 5000; done; "
                f"echo $i >{self.file}.sent; }} | nc.openbsd -q 1 -u {address} {port} >/dev/null 2>&1 &")  # fmt: skip
        poll(f"{namespace.label}: numbers arrive", self.numbers, 10.0)

    def numbers(self):
        return [int(line) for line in self.ns.read(self.log).split("\n")[:-1]]

    def stop(self, vm=None):
        """`vm`: where the guest is now."""
        vm = vm or self.vm
        sent = int(vm.must(f"rm {self.file}; until [ -s {self.file}.sent ]; do usleep 20000; done; cat {self.file}.sent"))
        poll(f"{self.ns.label}: the last number", lambda: self.numbers()[-1] == sent, 10.0)
        self.ns.end(self.process)
        return Numbered.of(sent, self.numbers())

    def end(self):
        """What came of a guest that may have been started anew meanwhile."""
        self.vm.sh(f"rm -f {self.file}")
        self.ns.end(self.process)
        numbers = self.numbers()
        return Numbered.of(max(numbers), numbers)


def perfdhcp(namespace, interface, rate, seconds, clients):
    """Complete four-message exchanges with perfdhcp; returns (sent, answered) of DISCOVER and of REQUEST."""
    result = namespace.run("perfdhcp", "-4", "-r", rate, "-p", seconds, "-R", clients, "-l", interface, "-W", "1000000",
                           check=False, timeout=seconds + 30)  # fmt: skip
    exchanges = re.findall(r"sent packets: (\d+).*?received packets: (\d+)", result.out, re.DOTALL)
    if len(exchanges) < 2:
        raise TestFailure(f"perfdhcp: {result.text()[-1500:]}")
    return [(int(sent), int(received)) for sent, received in exchanges[:2]], result.out
