# SPDX-License-Identifier: BSD-3-Clause
"""The machines of the lab: network namespaces (of the host, of tap guests, of the "internet") and QEMU guests, with
one way to run a command in either and the commands that tests need in both."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

from checks import TestFailure, poll

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class Result:
    """A command that has ended."""

    code: int
    out: str
    err: str = ""

    def __bool__(self):
        return self.code == 0

    def text(self):
        return (self.out + self.err).strip()


@dataclass
class Ping:
    sent: int
    received: int
    rtt_ms: float  # average; NaN when nothing came back
    text: str


@dataclass
class Page:
    size: int
    sha256: str
    seconds: float

    @property
    def mbit_per_second(self):
        return self.size * 8 / 1e6 / max(self.seconds, 1e-9)


class Machine:
    """What tests do on a namespace and on a QEMU guest alike. `sh` runs a line of shell on it."""

    interface = "eth0"

    def sh(self, line, timeout=30.0):
        raise NotImplementedError

    def must(self, line, timeout=30.0):
        """sh() that must succeed; returns what it printed."""
        result = self.sh(line, timeout)
        if result.code != 0:
            raise TestFailure(f"{self.label}: `{line}` exited with {result.code}: {result.text()}")
        return result.out.strip()

    def ping(self, target, count=3, timeout=1, size=None, ttl=None, extra=""):
        options = f"-c {count} -W {timeout} {extra}"
        options += f" -s {size}" if size is not None else ""
        options += f" -t {ttl}" if ttl is not None else ""
        result = self.sh(f"ping {options} {target}", timeout=count * (timeout + 1) + 15)
        counts = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", result.out)
        times = re.search(r"= [\d.]+/([\d.]+)/", result.out)
        return Ping(
            sent=int(counts[1]) if counts else 0,
            received=int(counts[2]) if counts else 0,
            rtt_ms=float(times[1]) if times else float("nan"),
            text=result.text(),
        )

    def must_ping(self, target, count=3, **options):
        """Every one of `count` echoes comes back."""
        ping = self.ping(target, count, **options)
        if ping.received != count:
            raise TestFailure(f"{self.label}: ping {target}: {ping.received} of {count} came back\n{ping.text}")
        return ping

    def fetch(self, url, timeout=60):
        raise NotImplementedError

    def addresses(self, interface=None):
        """IPv4 addresses with prefix length: ["192.168.122.2/24"]."""
        result = self.sh(f"ip -4 addr show dev {interface or self.interface}")
        return re.findall(r"inet ([\d.]+/\d+)", result.out)

    def mac(self, interface=None):
        return self.must(f"cat /sys/class/net/{interface or self.interface}/address")


# Inside the namespace's own mount namespace: its resolver, its name for itself.
_ENTER = """
for file in resolv.conf hosts nsswitch.conf; do
  [ -e "$1/$file" ] && [ -e "/etc/$file" ] && mount --bind "$1/$file" "/etc/$file"
done
shift
exec "$@"
"""


class Namespace(Machine):
    """A network namespace with files of its own for /etc/resolv.conf and /etc/hosts."""

    def __init__(self, lab, label):
        self.lab = lab
        self.label = label
        self.name = f"{lab.prefix}-{label}"
        self.dir = os.path.join(lab.dir, label)
        self.spawned = []
        os.makedirs(self.dir)
        self.write("hosts", f"127.0.0.1 localhost {label}\n")
        self.write("resolv.conf", "# none\n")
        self.write("nsswitch.conf", "hosts: files dns\n")
        _host("ip", "netns", "add", self.name)
        lab.namespaces.append(self)
        self.run("ip", "link", "set", "lo", "up")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def set_resolver(self, *servers, search=None):
        lines = [f"search {search}"] if search else []
        lines += [f"nameserver {server}" for server in servers]
        self.write("resolv.conf", "\n".join(lines + ["options timeout:2 attempts:2"]) + "\n")

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.name, "sh", "-c", _ENTER, "sh", self.dir, *map(str, argv)]

    def run(self, *argv, check=True, timeout=30.0, stdin=None):
        try:
            done = subprocess.run(
                self.argv(*argv),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as expired:
            raise TestFailure(f"{self.label}: {' '.join(map(str, argv))}: still running after {timeout:g} s") from expired
        if check and done.returncode != 0:
            raise TestFailure(
                f"{self.label}: {' '.join(map(str, argv))} exited with {done.returncode}: "
                f"{(done.stdout + done.stderr).strip()}"
            )
        return Result(done.returncode, done.stdout, done.stderr)

    def sh(self, line, timeout=30.0):
        return self.run("sh", "-c", line, check=False, timeout=timeout)

    def spawn(self, *argv, log="spawned.log", stdin=None, stdout=None):
        """Starts a program that runs on; what it prints goes to the file `log`. It ends with the lab at the latest."""
        with open(self.path(log), "ab") as output:
            process = subprocess.Popen(
                self.argv(*argv),
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or output,
                stderr=output,
                start_new_session=True,
            )
        self.spawned.append(process)
        return process

    def end(self, process, how=signal.SIGTERM, timeout=5.0):
        """Ends one spawned program and returns its exit code."""
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.spawned:
            self.spawned.remove(process)
        return process.returncode

    def listens(self, port, protocol="tcp"):
        flag = {"tcp": "-Hltn", "udp": "-Hlun"}[protocol]
        return f":{port} " in self.run("ss", flag).out

    def fetch(self, url, timeout=60):
        file = self.path("page")
        started = time.monotonic()
        self.run("curl", "-sS", "--fail", "--max-time", timeout, "-o", file, url, timeout=timeout + 5)
        seconds = time.monotonic() - started
        digest = self.must(f"sha256sum {file}").split()[0]
        return Page(os.path.getsize(file), digest, seconds)

    def links(self):
        """Names of all netdevs but the loopback."""
        names = re.findall(r"^\d+: ([^:@\s]+)", self.run("ip", "-o", "link").out, re.MULTILINE)
        return [name for name in names if name != "lo"]

    def close(self):
        for process in list(self.spawned):
            self.end(process, timeout=2.0)
        # What a client left running in the background is the lab's too: nobody else knows this namespace.
        for pid in subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


class Qmp:
    """QEMU's monitor: commands as JSON over a unix socket; events are read over."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60.0)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self._answer()  # the greeting
        self("qmp_capabilities")

    def _answer(self):
        while True:
            line = self.lines.readline()
            if not line:
                raise TestFailure("QEMU has closed its monitor")
            message = json.loads(line)
            if "event" not in message:
                return message

    def __call__(self, command, **arguments):
        """Returns what QEMU returns; what it refuses is a TestFailure. Dashes in names are underscores here."""
        plain = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.socket.sendall(json.dumps({"execute": command, "arguments": plain}).encode() + b"\n")
        answer = self._answer()
        if "error" in answer:
            raise TestFailure(f"QEMU refuses {command} {plain}: {answer['error']['desc']}")
        return answer["return"]

    def close(self):
        self.lines.close()
        self.socket.close()


class QemuGuest(Machine):
    """A virtual machine of busybox (see guest/), with one virtio NIC, a console in a file, and a shell on its second
    serial port. TCG only."""

    def __init__(self, lab, label, netdev, mac, memory_mib=256, queues=1, cpus=None, memory_slots=0, device_options="",
                 argv_prefix=()):  # fmt: skip
        """`netdev` are QEMU's arguments that make the netdev n0 (see vhost_user()). A CPU for each queue pair, unless
        `cpus` says how many. With `memory_slots`, memory can be plugged in: see plug_memory()."""
        self.lab = lab
        self.label = label
        self.dir = os.path.join(lab.dir, label)
        os.makedirs(self.dir)
        self.hardware_address = mac
        self.started = None
        kernel, initramfs = lab.guest_image()
        multi_queue = ",mq=on" if queues > 1 else ""
        more_memory = f",slots={memory_slots},maxmem={memory_mib + 128 * memory_slots}M" if memory_slots else ""
        self.command = [
            *argv_prefix,
            "qemu-system-x86_64", "-machine", "q35,memory-backend=mem", "-accel", "tcg", "-smp", str(cpus or queues),
            "-m", f"{memory_mib}M{more_memory}", "-object", f"memory-backend-memfd,id=mem,size={memory_mib}M,share=on",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", kernel, "-initrd", initramfs,
            "-append", "console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check",
            "-chardev", f"file,id=console,path={self.dir}/console,append=on", "-serial", "chardev:console",
            "-chardev", f"socket,id=shell,path={self.dir}/shell,server=on,wait=off", "-serial", "chardev:shell",
            "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off",
            *netdev,
            # Without vectors=0, QEMU 7.2 crashes under TCG with a vhost-user NIC.
            "-device", f"virtio-net-pci,netdev=n0,mac={mac},vectors=0{multi_queue}{device_options}",
        ]  # fmt: skip
        self.process = None
        self.shell = None
        self.lines = None
        self._qmp = None
        lab.guests.append(self)

    @staticmethod
    def vhost_user(path, server=False, queues=1):
        """QEMU's end of a vhost-user port: it connects (weftd listens), or listens itself."""
        mode = "server=on,wait=off" if server else "reconnect=1"
        return [
            "-chardev", f"socket,id=c0,path={path},{mode}",
            "-netdev", f"vhost-user,id=n0,chardev=c0,queues={queues}",
        ]  # fmt: skip

    def start(self, is_incoming=False):
        """Starts QEMU; the guest boots while the caller goes on. See wait_booted(). `is_incoming`: there is no guest
        yet, one is to migrate here. See migrate_to()."""
        self.started = time.monotonic()
        for name in ("shell", "qmp", "incoming"):
            if os.path.exists(f"{self.dir}/{name}"):
                os.unlink(f"{self.dir}/{name}")
        incoming = ["-incoming", f"unix:{self.dir}/incoming"] if is_incoming else []
        with open(f"{self.dir}/qemu.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command + incoming, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        # At once: what the guest says while nobody is connected is lost.
        self.shell = poll(f"{self.label}: QEMU's serial port", self._connect, 20.0)
        self.lines = self.shell.makefile("rb")
        return self

    def log(self):
        with open(f"{self.dir}/qemu.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def console(self):
        try:
            with open(f"{self.dir}/console", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _connect(self):
        if self.process.poll() is not None:
            raise TestFailure(f"{self.label}: QEMU ended with {self.process.returncode}: {self.log()[-500:]}")
        shell = socket.socket(socket.AF_UNIX)
        try:
            shell.connect(f"{self.dir}/shell")
        except OSError:
            shell.close()
            return None
        return shell

    def wait_booted(self, timeout=60.0):
        """Waits for the guest's shell; returns the seconds since start()."""
        self._wait_ready(timeout)
        return time.monotonic() - self.started

    def _wait_ready(self, timeout):
        self.shell.settimeout(timeout)
        while True:
            line = self._line("its shell")
            if b"\x01ready" in line:
                return

    def _line(self, what):
        try:
            line = self.lines.readline()
        except TimeoutError as late:
            raise TestFailure(f"{self.label}: {what} does not answer; console:\n{self.console()[-1500:]}") from late
        except OSError as broken:
            line = b""
            what = f"{what} ({broken})"
        if not line:
            raise TestFailure(f"{self.label}: QEMU ended while {what} was waited for: {self.log()[-500:]}")
        return line

    def sh(self, line, timeout=30.0):
        if "\n" in line:
            raise ValueError("a command for a guest is one line")
        # Emulated guests share the CPUs with everything else: twice the time.
        self.shell.settimeout(timeout * 2)
        self.shell.sendall(line.encode() + b"\n")
        out = b""
        while True:
            got = self._line(f"`{line}`")
            if got.startswith(b"\x01"):
                if got.startswith(b"\x01ready"):
                    raise TestFailure(f"{self.label}: restarted while `{line}` ran")
                return Result(int(got[1:]), out[:-1].decode(errors="replace"))
            out += got

    def dhcp(self, hostname=None, timeout=20.0):
        """Leases an address with busybox's udhcpc; returns what the lease says and the seconds it took."""
        name = f"-x hostname:{hostname or self.label}"
        started = time.monotonic()
        self.must(f"ip link set {self.interface} up; rm -f /tmp/lease.*; "
                  f"udhcpc -i {self.interface} -n -q -t 10 -T 1 {name}", timeout)
        seconds = time.monotonic() - started
        lease = dict(line.split("=", 1) for line in self.must("cat /tmp/lease.bound").splitlines() if "=" in line)
        lease["seconds"] = seconds
        return lease

    def fetch(self, url, timeout=60):
        started = time.monotonic()
        self.must(f"timeout {timeout} wget -q -O /tmp/page {url}", timeout + 5)
        seconds = time.monotonic() - started
        size, digest = self.must("wc -c </tmp/page; sha256sum </tmp/page").split()[:2]
        self.sh("rm -f /tmp/page")
        return Page(int(size), digest, seconds)

    def reboot(self, timeout=60.0):
        """The guest's kernel resets the machine; returns when its shell is back."""
        self.started = time.monotonic()
        self.shell.sendall(b"reboot -f\n")
        self._wait_ready(timeout)
        return time.monotonic() - self.started

    def qmp(self, command, **arguments):
        """A command for QEMU's monitor."""
        if self._qmp is None:
            self._qmp = Qmp(f"{self.dir}/qmp")
        return self._qmp(command, **arguments)

    def reset(self, timeout=60.0):
        """The reset button: nothing in the guest is told. Returns when its shell is back."""
        self.started = time.monotonic()
        self.qmp("system_reset")
        self._wait_ready(timeout)
        return time.monotonic() - self.started

    def migrate_to(self, other, timeout=60.0):
        """The running guest moves to the QEMU of `other`, started with is_incoming; ask that one from then on, and
        close this. Returns what QEMU says of the migration."""
        self.qmp("migrate-set-parameters", max_bandwidth=1 << 30)
        self.qmp("migrate", uri=f"unix:{other.dir}/incoming")

        def finished():
            state = self.qmp("query-migrate")
            if state.get("status") in ("failed", "cancelled"):
                raise TestFailure(f"{self.label}: the migration {state['status']}: {state.get('error-desc')} {other.log()[-500:]}")
            return state if state.get("status") == "completed" else None

        state = poll(f"{self.label} migrates to {other.label}", finished, timeout)
        poll(f"{other.label} runs", lambda: other.qmp("query-status")["running"], timeout)
        return state

    def plug_memory(self, number, mib=128):
        """Plugs a module of memory in; `number` names it."""
        self.qmp("object-add", qom_type="memory-backend-memfd", id=f"more{number}", size=mib << 20, share=True)
        self.qmp("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"more{number}")

    def kill(self):
        """kill -9: what a crash of QEMU looks like."""
        self.process.kill()
        self.process.wait()
        self._drop_shell()

    def _drop_shell(self):
        for file in (self.lines, self.shell, self._qmp):
            if file is not None:
                file.close()
        self.lines = self.shell = self._qmp = None

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._drop_shell()


def _host(*argv):
    """A command of the lab's own, outside of all namespaces."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise TestFailure(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def need_program(name):
    if shutil.which(name) is None:
        raise TestFailure(f"{name} is not installed: run tools/setup")
