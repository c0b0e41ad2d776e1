# SPDX-License-Identifier: BSD-3-Clause
"""The switches that are compared on vhost-user sockets. Each is started for one measurement, polls one CPU, and is gone
afterwards; the generator has the other CPU."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from .machine import Skipped, free_hugepages, tsc_ghz, wait_until

GUEST_CPU, SWITCH_CPU = 0, 1


class Switch:
    """A process with a folder of its own, in which the guests' sockets are: `a` and `b`, or `0`, `1`, …"""

    generator_listens = False

    def __init__(self, build):
        self.build = build
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="weft-bench-"))
        self.log = open(self.dir / "log", "w+")
        self.processes = []

    def sockets(self):
        return [str(self.dir / "a"), str(self.dir / "b")]

    def spawn(self, *command, **options):
        process = subprocess.Popen(list(map(str, command)), stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def wait_ready(self, is_ready, seconds=30):
        def ready():
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended with {process.returncode}: {self.text()[-2000:]}")
            return is_ready()

        try:
            wait_until(ready, f"{self.name} did not start", seconds)
        except TimeoutError as late:
            raise RuntimeError(f"{late}: {self.text()[-2000:]}") from late

    def text(self):
        return (self.dir / "log").read_text(errors="replace")

    def busy(self):
        """(nanoseconds of work, packets) so far, or None."""
        return None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def __exit__(self, *_):
        self.stop()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Testpmd(Switch):
    """DPDK's own forwarder on its vhost library: MAC addresses are swapped, nothing is looked up."""

    name = "testpmd"

    def __init__(self, build, tso=False, record=False):
        super().__init__(build)
        self.tso = tso
        self.record = record

    def start(self):
        if not shutil.which("dpdk-testpmd"):
            raise Skipped("no dpdk-testpmd (tools/setup installs it)")
        a, b = self.sockets()
        memory = ["--in-memory", "-m", "512"] if free_hugepages() >= 256 else ["--no-huge", "--no-shconf", "-m", "512"]
        vdev = f"queues=1{',tso=1' if self.tso else ''}"
        self.spawn(
            "dpdk-testpmd", "-l", f"{GUEST_CPU},{SWITCH_CPU}", "--main-lcore", GUEST_CPU, *memory, "--no-pci",
            "--no-telemetry", f"--file-prefix=bench{os.getpid()}",
            f"--vdev=net_vhost0,iface={a},{vdev}", f"--vdev=net_vhost1,iface={b},{vdev}",
            "--", "--forward-mode=mac", "--nb-cores=1", "--stats-period=3600", "--no-lsc-interrupt",
            f"--total-num-mbufs={65536 if self.tso else 16384}", *(["--record-core-cycles"] if self.record else []),
        )  # fmt: skip
        self.wait_ready(lambda: all(os.path.exists(s) for s in (a, b)))

    def cycles_a_packet(self):
        """Of the forwarding core's busy turns; it tells when it ends."""
        self.stop()
        found = re.search(r"CPU cycles/packet=([\d.]+)", self.text())
        return float(found[1]) if found else None


class Weft(Switch):
    """Learns from and looks up every frame. `network` replaces or adds keys of its network."""

    name = "weft"

    def __init__(self, build, idle="poll", n_ports=2, is_nat=False):
        super().__init__(build)
        self.idle = idle
        self.n_ports = n_ports
        self.is_nat = is_nat

    def sockets(self):
        if self.is_nat or self.n_ports == 2:
            return super().sockets()
        return [str(self.dir / "%d")]

    def config(self):
        config = {
            "switch": {
                "workers": [SWITCH_CPU], "idle": self.idle, "control": f"{self.dir}/weft.sock",
                "state": f"{self.dir}/state",
            },
            "networks": [{"name": "bench"}],
        }  # fmt: skip
        names = ["a", "b"] if self.n_ports == 2 else [str(i) for i in range(self.n_ports)]
        if self.is_nat:
            names = ["a"]
            config["uplinks"] = [
                {
                    "name": "wan", "vhostuser": {"path": f"{self.dir}/b"}, "address": ["203.0.113.2/24"],
                    "gateway": ["203.0.113.1"],
                }
            ]  # fmt: skip
            config["networks"] = [
                {
                    "name": "bench", "forward": {"mode": "nat"}, "bridge": {"host": False},
                    "ips": [{"address": "192.168.122.1", "prefix": 24}],
                }
            ]  # fmt: skip
        config["ports"] = [{"name": f"p{n}", "network": "bench", "vhostuser": {"path": f"{self.dir}/{n}"}} for n in names]
        return config

    def start(self):
        (self.dir / "weft.yaml").write_text(json.dumps(self.config(), indent=1))
        self.spawn(f"{self.build}/switch/weftd", "--config", f"{self.dir}/weft.yaml", preexec_fn=self._pin)
        self.wait_ready(lambda: "ready" in self.text().split())

    @staticmethod
    def _pin():
        os.sched_setaffinity(0, {GUEST_CPU, SWITCH_CPU})

    @property
    def pid(self):
        return self.processes[0].pid

    def ask(self, *command):
        done = subprocess.run(
            [f"{self.build}/tools/weft", "--socket", f"{self.dir}/weft.sock", "--json", *command],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def busy(self):
        stats = self.ask("stats")
        return sum(w["busy-ns"] for w in stats["workers"]), stats["totals"]["received"]

    def resident_bytes(self):
        found = re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024

    def cpu_seconds(self):
        """Of all its threads, to the nanosecond: /proc/PID/stat counts in hundredths."""
        ran = [p.read_text().split()[0] for p in pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        return sum(map(int, ran)) / 1e9


class OvsDpdk(Switch):
    """Open vSwitch on DPDK, NORMAL forwarding: it learns too. It connects, the generator listens."""

    name = "ovs-dpdk"
    generator_listens = True
    VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
    SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

    def ovs(self, program, *arguments, timeout=20):
        environment = {**os.environ, "OVS_RUNDIR": str(self.dir), "OVS_LOGDIR": str(self.dir), "OVS_DBDIR": str(self.dir)}
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: {done.stderr}{self.text()[-2000:]}")
        return done.stdout

    def vsctl(self, *arguments):
        return self.ovs("ovs-vsctl", f"--db=unix:{self.dir}/db.sock", "--timeout=15", *arguments)

    def start_daemons(self, *settings):
        if not os.access(self.VSWITCHD, os.X_OK):
            raise Skipped("no OVS-DPDK (tools/setup bench installs it)")
        environment = {**os.environ, "OVS_RUNDIR": str(self.dir), "OVS_LOGDIR": str(self.dir), "OVS_DBDIR": str(self.dir)}
        self.ovs("ovsdb-tool", "create", self.dir / "conf.db", self.SCHEMA)
        self.spawn(
            "ovsdb-server", self.dir / "conf.db", f"--remote=punix:{self.dir}/db.sock",
            f"--unixctl={self.dir}/ovsdb.ctl", env=environment,
        )  # fmt: skip
        self.wait_ready(lambda: os.path.exists(self.dir / "db.sock"))
        self.vsctl("--no-wait", "init")
        if settings:
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *settings)
        self.spawn(
            self.VSWITCHD, f"unix:{self.dir}/db.sock", f"--unixctl={self.dir}/vswitchd.ctl", "-vconsole:warn",
            "-vsyslog:off", env=environment, preexec_fn=self._pin,
        )  # fmt: skip
        self.wait_ready(lambda: os.path.exists(self.dir / "vswitchd.ctl"))
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=standalone")

    @staticmethod
    def _pin():
        # DPDK puts its vhost thread on a CPU that is none of its lcores': it would starve beside the polling thread, which
        # is bound to its own CPU later.
        os.sched_setaffinity(0, {GUEST_CPU})

    def start(self):
        if free_hugepages() < 256:
            raise Skipped("OVS-DPDK needs 512 MiB of hugepages")
        self.start_daemons(
            "other_config:dpdk-init=true", f"other_config:pmd-cpu-mask={1 << SWITCH_CPU:#x}",
            f"other_config:dpdk-lcore-mask={1 << GUEST_CPU:#x}", "other_config:dpdk-socket-mem=512",
            f"other_config:dpdk-extra=--no-pci --file-prefix=ovs{os.getpid()} --no-telemetry",
        )  # fmt: skip
        for name, path in zip("ab", self.sockets()):
            self.vsctl("add-port", "br0", name, "--", "set", "interface", name, "type=dpdkvhostuserclient",
                       f"options:vhost-server-path={path}")  # fmt: skip

    def cycles_a_packet(self):
        shown = self.ovs("ovs-appctl", "-t", self.dir / "vswitchd.ctl", "dpif-netdev/pmd-stats-show")
        found = re.search(r"avg processing cycles per packet: ([\d.]+)", shown)
        return float(found[1]) if found else None


def generate(switch, *arguments, timeout=120):
    """Runs the generator against a switch that runs; its report. Adds the worker's busy cycles a packet when the switch
    tells them."""
    command = [f"{switch.build}/bench/generator/weft-bench", "--json", "--cpu", str(GUEST_CPU), *map(str, arguments)]
    for socket in switch.sockets():
        command += ["--socket", socket]
    if switch.generator_listens:
        command += ["--server"]
    before = switch.busy()
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{switch.name}: {' '.join(command)}: {done.stdout}{done.stderr}{switch.text()[-2000:]}")
    report = json.loads(done.stdout)
    if before is not None:
        busy_ns, packets = (now - then for now, then in zip(switch.busy(), before))
        if packets:
            report["busy-cycles"] = busy_ns * tsc_ghz() / packets
    return report
