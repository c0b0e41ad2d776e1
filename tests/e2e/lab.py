# SPDX-License-Identifier: BSD-3-Clause
"""The lab: a weftd in a network namespace of its own, guests around it, an "internet" behind its uplink.

    +-----------+   +--------------------------- namespace `host` ---------------------------+   +-- `inet` --+
    | tap guest |---| tap                                                               wan0 |---| wan        |
    |   (netns) |   |     weftd ── virbr0 (host seat)                                        |   | 203.0.113.1|
    | QEMU guest|---| vhost-user socket                                                mgmt0 |---| mgmt       |
    +-----------+   +------------------------------------------------------------------------+   +------------+

Nothing of it touches the machine's own network: every namespace is named after this process and goes with it. `wan0` is
the switch's uplink; `mgmt0` is how the host itself reaches the internet (its own queries, weftd's DNS upstreams). The
internet has no route to any guest network."""

import glob
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time

from checks import Skip, TestFailure, check, need, ok, poll
from clients import DhcpClient
from machines import HERE, Namespace, QemuGuest, Result, need_program

ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("WEFT_BUILD", os.path.join(ROOT, "build")))

# The addresses of the lab (RFC 5737), the same in every script.
WAN_ADDRESS = "203.0.113.2"  # the switch's own on the uplink
WAN_GATEWAY = "203.0.113.1"
MGMT_ADDRESS = "192.0.2.2"  # the host's own
MGMT_GATEWAY = "192.0.2.1"
WEB = "198.51.100.80"  # a web server out there
NAMESERVER = "198.51.100.53"  # and a name server
GATEWAY = "192.168.122.1"  # the default network's

# Lines of weftd's log that ask for attention.
_LOUD = re.compile(
    r"^[\d:.]+ (?:warn|warning|error|critical) |AddressSanitizer|LeakSanitizer|runtime error:|terminate called|^weftd: "
)


def n_workers():
    """How many workers the switch is to have."""
    n = int(os.environ.get("WEFT_E2E_WORKERS", "1"))
    if n > len(os.sched_getaffinity(0)):
        raise Skip(f"{n} workers need as many CPUs")
    return n


# --- configuration ------------------------------------------------------------------------------------------------------
def default_network(**changes):
    """libvirt's network `default`; keys given replace or add (None removes)."""
    network = {
        "name": "default",
        "forward": {"mode": "nat"},
        "bridge": {"name": "virbr0"},
        "ips": [
            {
                "address": GATEWAY,
                "prefix": 24,
                "dhcp": {"ranges": [{"start": "192.168.122.2", "end": "192.168.122.254"}]},
            }
        ],
    }
    network.update(changes)
    return {key: value for key, value in network.items() if value is not None}


def wan(**changes):
    """The uplink on wan0, with an address of the switch's own."""
    uplink = {
        "name": "wan",
        "device": "wan0",
        "driver": "af_packet",
        "address": [f"{WAN_ADDRESS}/24"],
        "gateway": [WAN_GATEWAY],
    }
    uplink.update(changes)
    return {key: value for key, value in uplink.items() if value is not None}


def config(networks=None, ports=(), uplinks=None, switch=None):
    """A whole weft.yaml as a value. JSON is YAML, so it is written as such. WEFT_E2E_WORKERS=n: with n workers."""
    made = {"uplinks": [wan()] if uplinks is None else uplinks, "networks": networks or [default_network()]}
    if n_workers() > 1:
        switch = {"workers": sorted(os.sched_getaffinity(0))[: n_workers()], **(switch or {})}
    if ports:
        made["ports"] = list(ports)
    if switch:
        made["switch"] = switch
    return {key: value for key, value in made.items() if value}


# --- the machines around the switch ---------------------------------------------------------------------------------------
class TapGuest(Namespace):
    """A namespace that holds the netdev of a tap port. `port` is its entry for the configuration."""

    def __init__(self, lab, label, network="default", **port):
        super().__init__(lab, label)
        self.interface = label
        self.port = {"name": label, "network": network, "tap": {"name": label, "netns": self.name}, **port}
        self.client = None

    def wait_link(self, timeout=10.0):
        poll(f"{self.label}: the tap {self.interface}", lambda: self.interface in self.links(), timeout)
        self.run("ip", "link", "set", self.interface, "up")
        return self

    def dhcp(self, kind="dhclient", hostname=None):
        """Leases an address, the usual way; the client runs on. Returns (event, seconds)."""
        self.wait_link()
        started = time.monotonic()
        self.client = DhcpClient(self, kind, hostname=hostname or self.label).start()
        event = self.client.bound()
        return event, time.monotonic() - started

    def static(self, address, router=GATEWAY, resolver=None):
        """An address by hand, "192.168.122.50/24"."""
        self.wait_link()
        self.run("ip", "address", "replace", address, "dev", self.interface)
        if router:
            self.run("ip", "route", "replace", "default", "via", router)
        if resolver:
            self.set_resolver(resolver)
        return self


class Internet(Namespace):
    """What is behind the uplink: a web server and a name server, on addresses of their own."""

    def __init__(self, lab):
        super().__init__(lab, "inet")
        self.web_log = "web.log"
        self.pages = self.path("pages")
        os.makedirs(self.pages)

    def serve_pages(self, big_mib=0):
        """A web server on WEB: /index.html, and /big of so many MiB."""
        with open(os.path.join(self.pages, "index.html"), "w", encoding="utf-8") as file:
            file.write("<html>the internet</html>\n")
        if big_mib:
            with open(os.path.join(self.pages, "big"), "wb") as file:
                file.write(os.urandom(1 << 20) * big_mib)
        self.spawn("python3", "-u", "-m", "http.server", "--bind", WEB, "--directory", self.pages, 80, log=self.web_log)
        poll("the internet's web server", lambda: self.listens(80), 10.0)

    def web_clients(self):
        """Addresses the web server saw requests from."""
        return set(re.findall(r"^([\d.]+) - - \[", self.read(self.web_log), re.MULTILINE))

    def serve_names(self, extra=()):
        """A name server on NAMESERVER: www.example.test is WEB, its reverse, and what `extra` (dnsmasq options) adds."""
        self.spawn(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
            "--bind-interfaces", f"--listen-address={NAMESERVER}", "--log-queries", "--log-facility=-", "--pid-file=",
            "--edns-packet-max=4096", "--local=/example.test/", "--local=/100.51.198.in-addr.arpa/",
            f"--host-record=www.example.test,{WEB}", *extra, log="names.log",
        )  # fmt: skip
        poll("the internet's name server", lambda: self.listens(53, "udp") and self.listens(53, "tcp"), 10.0)


# --- the switch -----------------------------------------------------------------------------------------------------------
class Weftd:
    """One weftd process in the namespace `host`, its files in the lab's directory."""

    def __init__(self, lab):
        self.lab = lab
        self.binary = os.environ.get("WEFT_WEFTD", f"{BUILD}/switch/weftd")
        self.weft = os.environ.get("WEFT_CLI", f"{BUILD}/tools/weft")
        self.config_path = f"{lab.dir}/weft.yaml"
        self.control = f"{lab.dir}/weft.sock"
        self.state = f"{lab.dir}/state"
        self.process = None
        self.log_name = "weftd.log"
        self.expected = []
        self.was_started = False

    def need_built(self):
        for binary in (self.binary, self.weft):
            if not os.access(binary, os.X_OK):
                raise TestFailure(f"{binary} is missing: build first (meson compile -C build)")

    def write_config(self, what):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(what if isinstance(what, str) else json.dumps(what, indent=2) + "\n")

    def argv(self, *more):
        level = ["--log", os.environ["WEFT_E2E_LOG"]] if "WEFT_E2E_LOG" in os.environ else []
        return [self.binary, "--config", self.config_path, "--control", self.control, "--state", self.state, *level, *more]

    def start(self, what=None, timeout=20.0):
        """Starts it and waits for `ready`; returns the seconds that took."""
        if what is not None:
            self.write_config(what)
        self.need_built()
        self.was_started = True
        started = time.monotonic()
        self.process = self.lab.host.spawn(*self.argv(), log=self.log_name, stdout=subprocess.PIPE)
        line = self._first_line(timeout)
        seconds = time.monotonic() - started
        if line.strip() != "ready":
            raise TestFailure(f"weftd did not get ready (said {line!r}, exit {self.process.poll()}):\n{self.log()}")
        return seconds

    def _first_line(self, timeout):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise TestFailure(f"weftd is not ready within {timeout:g} s:\n{self.log()}")
        line = self.process.stdout.readline().decode(errors="replace")
        if not line:
            self.process.wait(10)
        return line

    def run_to_end(self, what=None, *more, timeout=20.0):
        """For starts that must fail: runs weftd until it exits."""
        self.need_built()
        self.was_started = True
        if what is not None:
            self.write_config(what)
        return self.lab.host.run(*self.argv(*more), check=False, timeout=timeout)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM, timeout=10.0):
        """A clean stop: exit 0, and its sockets gone."""
        if not self.is_running():
            raise TestFailure(f"weftd had ended with {self.process.returncode}:\n{self.log()}")
        self.process.send_signal(how)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise TestFailure(f"weftd does not stop on {how.name} within {timeout:g} s") from late
        self._forget()
        if code != 0:
            raise TestFailure(f"weftd exited with {code} on {how.name}:\n{self.log()[-3000:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._forget()

    def _forget(self):
        self.process.stdout.close()
        if self.process in self.lab.host.spawned:
            self.lab.host.spawned.remove(self.process)
        self.process = None

    # --- asking it
    def cli(self, *argv, timeout=40.0):
        """`weft …` as a user runs it, in text; a Result."""
        argv = [self.weft, "--socket", self.control, *map(str, argv)]
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout)
        return Result(done.returncode, done.stdout, done.stderr)

    def ask(self, *argv):
        """`weft --json …` that must succeed, as a value."""
        result = self.cli("--json", *argv)
        if result.code != 0:
            raise TestFailure(f"weft {' '.join(map(str, argv))} exited with {result.code}: {result.err.strip()}")
        return json.loads(result.out)

    def leases(self, network="default"):
        """Leases by MAC."""
        return {lease["mac"]: lease for lease in self.ask("net-dhcp-leases", network)["leases"]}

    def drops(self):
        """{name: count} over all ports."""
        counts = {}
        for drop in self.ask("drops")["drops"]:
            counts[drop["name"]] = counts.get(drop["name"], 0) + drop["count"]
        return counts

    def wait_drop(self, name, at_least=1, before=0, timeout=5.0):
        """The drop counter `name` rises by so many above `before`; returns its value."""

        def risen():
            count = self.drops().get(name, 0)
            return count if count >= before + at_least else None

        try:
            return poll(f"drop {name} +{at_least}", risen, timeout)
        except TestFailure as failure:
            raise TestFailure(f"{failure}; drops are {self.drops()}") from failure

    def port(self, name):
        for port in self.ask("port-list")["ports"]:
            if port["name"] == name:
                return port
        return None

    def wait_link_up(self, name, timeout=30.0):
        poll(f"port {name}: link up", lambda: (self.port(name) or {}).get("link") == "up", timeout)

    def resident_mib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) / 1024

    # --- judging it
    def log(self):
        return self.lab.host.read(self.log_name)

    def expect_log(self, *patterns):
        """Warnings that belong to the test; every other one fails it."""
        self.expected += [re.compile(pattern) for pattern in patterns]

    def check_log(self):
        loud = [
            line
            for line in self.log().splitlines()
            if _LOUD.search(line) and not any(pattern.search(line) for pattern in self.expected)
        ]
        if loud:
            raise TestFailure("weftd's log has warnings:\n  " + "\n  ".join(loud[:20]))
        ok("weftd's log has no unexpected warning")

    def check_counting_law(self):
        """received + injected + copies = sent + consumed + held + dropped, as soon as nothing is in flight."""
        seen = {}

        def holds():
            seen.update(self.ask("stats")["totals"])
            made = seen["received"] + seen["injected"] + seen["copies"]
            return made == seen["sent"] + seen["consumed"] + seen["held"] + seen["dropped"]

        try:
            poll("the counting law", holds, 5.0)
        except TestFailure as failure:
            raise TestFailure(f"{failure}: {seen}") from failure
        ok("every packet is accounted for", ", ".join(f"{key} {value}" for key, value in seen.items()))


# --- the lab --------------------------------------------------------------------------------------------------------------
class Lab:
    """Use it as a context: what was made goes when it ends, whatever happened. When all was well, the end also checks
    the daemon's log, the counting law and a clean stop."""

    def __init__(self, internet=True, judge=True):
        for program in ("ip", "ss", "python3", "curl", "dhclient", "dnsmasq", "qemu-system-x86_64"):
            need_program(program)
        self.prefix = f"weft{os.getpid()}"
        self.dir = tempfile.mkdtemp(prefix="weft-e2e-")
        self.namespaces = []
        self.guests = []
        self.weftd = None
        self.inet = None
        self._image = None
        self._with_internet = internet
        self._judge = judge  # no: for measurements, which only clean up

    def __enter__(self):
        try:
            self.host = Namespace(self, "host")
            self.weftd = Weftd(self)
            if self._with_internet:
                self._make_internet()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None and self._judge:
                self._finish()
        except BaseException:
            self.explain()
            self.close()
            raise
        if error is not None:
            self.explain()
        self.close()
        return False

    def _make_internet(self):
        self.inet = Internet(self)
        self.cable(self.host, "wan0", self.inet, "wan")
        self.cable(self.host, "mgmt0", self.inet, "mgmt")
        # Nobody's IPv6 chatter on these two.
        for namespace in (self.host, self.inet):
            namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        # The host can reach the internet, but not by way of the uplink that is the switch's.
        self.host.run("ip", "address", "add", f"{MGMT_ADDRESS}/24", "dev", "mgmt0")
        self.inet.run("ip", "address", "add", f"{MGMT_GATEWAY}/24", "dev", "mgmt")
        self.inet.run("ip", "address", "add", f"{WAN_GATEWAY}/24", "dev", "wan")
        for address in (WEB, NAMESERVER):
            self.inet.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        for namespace, device in ((self.host, "wan0"), (self.host, "mgmt0"), (self.inet, "wan"), (self.inet, "mgmt")):
            namespace.run("ip", "link", "set", device, "up")
        self.host.run("ip", "route", "add", "default", "via", MGMT_GATEWAY)
        self.host.set_resolver(NAMESERVER)

    @staticmethod
    def cable(a, a_device, b, b_device):
        """A veth pair between two namespaces."""
        a.run("ip", "link", "add", a_device, "type", "veth", "peer", "name", b_device, "netns", b.name)

    def guest_image(self):
        if self._image is None:
            done = subprocess.run([f"{HERE}/guest/build"], capture_output=True, text=True)
            if done.returncode != 0:
                raise TestFailure(done.stderr.strip())
            self._image = done.stdout.split()
        return self._image

    def socket(self, name):
        return f"{self.dir}/{name}.sock"

    def tap_guest(self, label, network="default", **port):
        return TapGuest(self, label, network, **port)

    def namespace(self, label):
        return Namespace(self, label)

    def qemu_guest(self, label, number=1, mode="server", network="default", queues=1, **options):
        """A QEMU guest with its vhost-user port; .port is its entry for the configuration. `mode` is weftd's side."""
        path = self.socket(label)
        netdev = QemuGuest.vhost_user(path, server=mode == "client", queues=queues)
        guest = QemuGuest(self, label, netdev, f"52:54:00:77:00:{number:02x}", queues=queues, **options)
        guest.port = {"name": label, "network": network, "vhostuser": {"path": path, "mode": mode, "queues": queues}}
        return guest

    # --- the end
    def _finish(self):
        weftd = self.weftd
        if weftd.process is not None:
            for guest in self.guests:
                guest.close()
            for namespace in self.namespaces:
                if isinstance(namespace, TapGuest):
                    for process in list(namespace.spawned):
                        namespace.end(process)
            weftd.check_counting_law()
            weftd.stop()
            ok("weftd stops on SIGTERM with exit 0")
        if weftd.was_started:
            weftd.check_log()
            self.check_nothing_left()

    def check_nothing_left(self):
        """What a stopped weftd may leave: its state, and taps that wait for the next start (they carry its mark)."""
        sockets = glob.glob(f"{self.dir}/*.sock")
        check("no socket is left behind", not sockets, ", ".join(sockets))
        strange = []
        for namespace in self.namespaces:
            links = json.loads(namespace.run("ip", "-j", "-d", "link").out or "[]")
            for link in links:
                kind = link.get("linkinfo", {}).get("info_kind", "")
                if kind == "tun" and not link.get("ifalias", "").startswith("weft:"):
                    strange.append(f"{namespace.label}/{link['ifname']}")
        check("no tap without weft's mark is left behind", not strange, ", ".join(strange))

    def explain(self):
        """On failure: what a person wants to see beside it."""
        if self.weftd is not None:
            if self.weftd.is_running():
                for command in ("port-list", "drops", "stats"):
                    try:
                        print(f"--- weft {command}\n{self.weftd.cli(command, timeout=5).text()}")
                    except (subprocess.TimeoutExpired, OSError) as silent:
                        print(f"--- weft {command}: {silent}")
            print("--- weftd's log\n" + self.weftd.log()[-6000:])
        for guest in self.guests:
            print(f"--- console of {guest.label}\n" + guest.console()[-1000:])

    def close(self):
        for guest in self.guests:
            guest.close()
        if self.weftd is not None and self.weftd.is_running():
            self.weftd.kill()
        for namespace in self.namespaces:
            namespace.close()
        if os.environ.get("WEFT_E2E_KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def long_run():
    """Are the storms and kills to be run at full length?"""
    return bool(os.environ.get("WEFT_LONG"))


def sanitized():
    """Is this a build with sanitizers? Its figures say nothing."""
    return bool(os.environ.get("WEFT_SANITIZED"))


__all__ = [
    "BUILD", "GATEWAY", "HERE", "Internet", "Lab", "MGMT_ADDRESS", "MGMT_GATEWAY", "NAMESERVER", "ROOT", "TapGuest",
    "WAN_ADDRESS", "WAN_GATEWAY", "WEB", "Weftd", "config", "default_network", "long_run", "n_workers", "need",
    "sanitized", "wan",
]  # fmt: skip
