# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: each case runs each of its switches once a round, one after the other."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable

from .machine import Skipped
from .switches import GUEST_CPU, SWITCH_CPU, OvsDpdk, Testpmd, Weft, generate

SIZES = (64, 128, 256, 512, 1024, 1518)
MACS = (256, 20_000, 100_000, 1_000_000)
FLOWS = (1_000, 50_000, 1_000_000)
GATEWAY_MAC = "02:01:00:00:00:00"  # of the guest that testpmd forwards to


@dataclass
class Case:
    """`measure(switch, options)` returns a sample, a dict of figures; `figure` is the one to compare by."""

    name: str
    title: str
    switches: tuple
    measure: Callable
    figure: str = "mpps"
    unit: str = "Mpps"
    is_less_better: bool = False


def _start(switch, build, **options):
    if switch == "testpmd":
        return Testpmd(build, **options)
    return OvsDpdk(build) if switch == "ovs-dpdk" else Weft(build)


def _switching(*arguments, **testpmd):
    """weft-bench's throughput with these arguments."""

    def measure(switch, o):
        with _start(switch, o.build, **(testpmd if switch == "testpmd" else {})) as s:
            return generate(s, "throughput", "--seconds", o.seconds, *arguments)

    return measure


def _cycles(switch, o):
    """Busy cycles a packet at 64 B, as each switch counts its own."""
    with _start(switch, o.build, **({"record": True} if switch == "testpmd" else {})) as s:
        report = generate(s, "throughput", "--seconds", o.seconds)
        if switch != "weft":
            report["busy-cycles"] = s.cycles_a_packet()
        return report


def _search(switch, o):
    """RFC 2544 with one frame in a thousand lost."""
    with _start(switch, o.build) as s:
        return generate(s, "search", "--loss", 0.001, "--resolution", 0.02, "--seconds", o.seconds / 2)


def _latency(switch, o):
    with _start(switch, o.build) as s:
        report = generate(s, "latency", "--one-way", "--pps", 100_000, "--seconds", o.seconds)
        report.update({key: report["latency-ns"][key] / 1000 for key in ("p50", "p99", "p99.9", "max")})
        return report


def _nat(*arguments):
    def measure(switch, o):
        # testpmd passes frames on as they are: the generator's own cost, and a yardstick for the machine.
        if switch == "testpmd":
            with Testpmd(o.build) as s:
                return generate(s, "nat", "--seconds", o.seconds, "--gateway-mac", GATEWAY_MAC, *arguments)
        with Weft(o.build, is_nat=True) as s:
            report = generate(s, "nat", "--seconds", o.seconds, *arguments)
            report["drops"] = {d["name"]: d["count"] for d in s.ask("drops")["drops"]}
            return report

    return measure


def _wake(switch, o):
    with Weft(o.build, idle="adaptive") as s:
        report = generate(s, "wake", "--switch-cpu", SWITCH_CPU, "--seconds", max(3, o.seconds))
        for side in ("frame", "eventfd"):
            report.update({f"{side}-{key}": report[f"{side}-ns"][key] / 1000 for key in ("p50", "p99")})
        return report


def _hold(switch, n_guests, seconds):
    """Guests that are there and silent."""
    command = [f"{switch.build}/bench/generator/weft-bench", "hold", "--cpu", str(GUEST_CPU), "--guests", str(n_guests)]
    command += ["--seconds", str(seconds), "--socket", str(switch.dir / "%d")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline().strip() != "ready":
        process.wait()
        raise RuntimeError(f"the guests did not connect: {switch.text()[-2000:]}")
    return process


def _idle(switch, o):
    """100 connected ports and no traffic: percent of a CPU that all of weftd takes."""
    seconds = max(3, o.seconds)
    with Weft(o.build, idle="adaptive", n_ports=100) as s:
        guests = _hold(s, 100, seconds + 3)
        time.sleep(1)
        before, start = s.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        percent = 100 * (s.cpu_seconds() - before) / (time.monotonic() - start)
        guests.wait()
        return {"percent": percent}


def _memory(switch, o):
    """Resident bytes of weftd with 101 connected ports above those with one, a port."""
    resident = {}
    for n in (1, 101):
        with Weft(o.build, idle="adaptive", n_ports=n) as s:
            guests = _hold(s, n, 2)
            time.sleep(1)
            resident[n] = s.resident_bytes()
            guests.wait()
    return {"kib": (resident[101] - resident[1]) / 100 / 1024, "one-mib": resident[1] / 2**20}


def _micro(program, pattern, read):
    """Figures of one of the micro-benchmarks."""

    def measure(switch, o):
        path = f"{o.build}/bench/{program}"
        if not os.access(path, os.X_OK):
            raise Skipped(f"{path} is not built")
        done = subprocess.run(
            [path, f"--benchmark_filter={pattern}", "--benchmark_format=json"],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout).get("benchmarks", [])
        if not found:
            raise Skipped(f"{program} has no benchmark named {pattern}")
        return read(found)

    return measure


def _two_workers(found):
    return {key: found[0][key] for key in ("one_mpps", "two_mpps", "ratio")}


def _tap(switch, o):
    from . import taps

    return taps.tap_to_tap(switch, o.build, max(2, round(o.seconds)))


def _masquerade(switch, o):
    from . import taps

    return taps.through_masquerade(switch, o.build, max(2, round(o.seconds)))


def all_cases():
    three = ("testpmd", "weft", "ovs-dpdk")
    cases = [Case(f"l2-{n}", f"{n} B", three, _switching("--size", n)) for n in SIZES]
    # Beside the split rings that it is compared with.
    cases.insert(1, Case("packed", "64 B, packed rings", ("weft",), _switching("--packed")))
    cases += [
        Case("l2-64-rewrite", "64 B, rewritten", ("testpmd", "weft"), _switching("--rewrite")),
        Case("l2-tso", "TSO, 32 KB", ("testpmd", "weft"), _switching("--tso", tso=True), "gbps", "Gb/s"),
        Case("search-64", "64 B, at most 0.1 % lost (RFC 2544)", three, _search),
        Case("cycles", "64 B, busy cycles a packet", three, _cycles, "busy-cycles", "cycles", True),
        Case("burst-32", "64 B, bursts of 32", ("weft",), _switching("--burst", 32, "--window", 32), "busy-cycles", "cycles", True),
        Case("burst-1", "64 B, bursts of 1", ("weft",), _switching("--burst", 1, "--window", 1), "busy-cycles", "cycles", True),
        Case("latency", "100 kpps, one way", three, _latency, "p99", "µs", True),
        Case("macs-2", "2 MACs, rewritten", ("weft",), _switching("--rewrite")),
    ]
    cases += [
        # So many in the table: half of them on each side.
        Case(f"macs-{n}", f"{n} MACs, rewritten", ("weft", "ovs-dpdk") if n <= 20_000 else ("weft",),
             _switching("--rewrite", "--macs", n // 2)) for n in MACS
    ]  # fmt: skip
    cases += [
        Case("tap-tcp", "TCP, tap to tap", ("weft", "ovs-taps", "linux-bridge"), _tap, "gbps", "Gb/s"),
        Case("nat-tcp", "TCP, tap through masquerade", ("weft", "linux-bridge"), _masquerade, "gbps", "Gb/s"),
        Case("workers", "two workers against one", ("weft",), _micro("bench_pipeline", "two_workers/l2", _two_workers), "ratio", "×"),
        Case("idle", "100 idle ports", ("weft",), _idle, "percent", "% of a CPU", True),
        Case("wake", "first frame after a pause", ("weft",), _wake, "p99-ratio", "× eventfds", True),
        Case("memory", "a port's memory", ("weft",), _memory, "kib", "KiB", True),
    ]
    cases += [Case(f"nat-{n}", f"NAT, {n} flows", ("testpmd", "weft"), _nat("--flows", n)) for n in FLOWS]
    cases.append(Case("nat-new", "NAT, every frame a session", ("testpmd", "weft"), _nat("--new-sessions")))
    return cases


def select(cases, patterns):
    """Those whose name one of the patterns (fnmatch) covers."""
    import fnmatch

    chosen = [c for c in cases if any(fnmatch.fnmatch(c.name, p) for p in patterns)]
    unknown = [p for p in patterns if not any(fnmatch.fnmatch(c.name, p) for c in cases)]
    if unknown:
        sys.exit(f"compare: no case is named {', '.join(unknown)}; there are: {' '.join(c.name for c in cases)}")
    return chosen
