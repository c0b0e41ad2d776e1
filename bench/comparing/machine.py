# SPDX-License-Identifier: BSD-3-Clause
"""What the measurements ran on, and the small things every part needs."""

import datetime
import os
import pathlib
import re
import subprocess
import time

HUGEPAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


class Skipped(Exception):
    """A case that cannot run here, and why."""


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def output_of(*command, default=""):
    """What a program prints; `default` when it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return default
    return done.stdout if done.returncode == 0 else default


def free_hugepages():
    try:
        return int((HUGEPAGES / "free_hugepages").read_text())
    except OSError:
        return 0


class Hugepages:
    """So many 2 MiB pages while it lasts, for the peers that need them; afterwards as before."""

    def __init__(self, pages):
        self.pages = pages

    def __enter__(self):
        self.before = (HUGEPAGES / "nr_hugepages").read_text()
        missing = self.pages - free_hugepages()
        self.is_changed = missing > 0
        if self.is_changed:
            try:
                (HUGEPAGES / "nr_hugepages").write_text(str(int(self.before) + missing))
            except OSError:
                pass  # fewer than wished for; who cannot do without says so
        self.is_mounted = not os.path.ismount("/dev/hugepages")
        if self.is_mounted:
            os.makedirs("/dev/hugepages", exist_ok=True)
            done = subprocess.run(["mount", "-t", "hugetlbfs", "none", "/dev/hugepages"], capture_output=True)
            self.is_mounted = done.returncode == 0
        return self

    def __exit__(self, *_):
        if self.is_mounted:
            subprocess.run(["umount", "/dev/hugepages"], capture_output=True)
        if self.is_changed:
            (HUGEPAGES / "nr_hugepages").write_text(self.before)


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def tsc_ghz():
    """Of the processor's clock, as the kernel measured it."""
    found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    bogomips = re.search(r"^bogomips\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    # BogoMIPS is twice the TSC's rate on x86; the MHz line may be the current frequency.
    if bogomips:
        return float(bogomips[1]) / 2000
    return float(found[1]) / 1000 if found else 1.0


def _package(name):
    return output_of("dpkg-query", "-W", "-f", "${Version}", name).strip() or "not installed"


def describe(build):
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    virtual = output_of("systemd-detect-virt").strip()
    if not virtual and "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text():
        virtual = "yes"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "tsc-ghz": round(tsc_ghz(), 3),
        "virtual": virtual or "no",
        "memory-gib": round(int(memory[1]) / 1048576, 1) if memory else None,
        "kernel": os.uname().release,
        "weft": output_of(f"{build}/tools/weft", "--version").strip() or "unknown",
        "commit": output_of("git", "-C", root, "log", "-1", "--format=%h %cs %s").strip() or "unknown",
        "compiler": output_of("g++", "-dumpfullversion").strip(),
        "dpdk": _package("dpdk-dev"),
        "openvswitch": _package("openvswitch-switch-dpdk"),
        "load-before": os.getloadavg()[0],
    }
