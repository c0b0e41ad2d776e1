# SPDX-License-Identifier: BSD-3-Clause
"""What weft promises, and whether a run kept it: ratios of medians within the run, never absolute figures of two."""

import statistics
from dataclasses import dataclass
from typing import Callable, Optional


class Results:
    """samples[case][switch] = a list, one sample a round."""

    def __init__(self, samples):
        self.samples = samples

    def values(self, case, switch, figure):
        found = [s.get(figure) for s in self.samples.get(case, {}).get(switch, [])]
        return [v for v in found if isinstance(v, (int, float))]

    def median(self, case, switch, figure="mpps"):
        values = self.values(case, switch, figure)
        return statistics.median(values) if values else None

    def ratio(self, case, switch="weft", peer="testpmd", figure="mpps", peer_case=None):
        above, below = self.median(case, switch, figure), self.median(peer_case or case, peer, figure)
        return above / below if above is not None and below else None


@dataclass
class Target:
    what: str
    limit: float
    is_at_most: bool
    value: Callable  # (Results) -> float, or None: not measured
    unit: str = "×"
    detail: Callable = lambda r: ""

    def is_met(self, value):
        return value <= self.limit if self.is_at_most else value >= self.limit

    def limit_text(self):
        return f"{'≤' if self.is_at_most else '≥'} {self.limit:g} {self.unit}"


@dataclass
class Verdict:
    target: Target
    value: Optional[float]
    detail: str

    @property
    def word(self):
        if self.value is None:
            return "not measured"
        return "met" if self.target.is_met(self.value) else "missed"


def _pair(case, peer, figure="mpps", unit="Mpps", peer_case=None):
    """ "weft 30.1, testpmd 10.2 Mpps", and whether the generator was the limit."""

    def detail(r):
        ours, theirs = r.median(case, "weft", figure), r.median(peer_case or case, peer, figure)
        if ours is None or theirs is None:
            return ""
        other = f"{peer_case}" if peer == "weft" else peer
        text = f"{case if peer == 'weft' else 'weft'} {ours:.2f}, {other} {theirs:.2f} {unit}"
        starved = r.median(case, "weft", "starved")
        if figure in ("mpps", "gbps") and starved is not None and starved < 0.9:
            text += f"; the generator was the limit (starved {starved:.2f})"
            cycles = [r.median("cycles", switch, "busy-cycles") for switch in ("weft", peer)]
            if case == "l2-64" and all(cycles):
                text += f"; busy cycles a packet: weft {cycles[0]:.0f}, {peer} {cycles[1]:.0f} ({cycles[1] / cycles[0]:.2f} ×)"
        return text

    return detail


def _against(what, limit, case, peer="testpmd", figure="mpps", unit="Mpps", is_at_most=False):
    return Target(what, limit, is_at_most, lambda r: r.ratio(case, peer=peer, figure=figure), "×",
                  _pair(case, peer, figure, unit))  # fmt: skip


def _against_own(what, limit, case, base, figure="mpps", unit="Mpps", is_at_most=False):
    return Target(what, limit, is_at_most, lambda r: r.ratio(case, peer="weft", figure=figure, peer_case=base), "×",
                  _pair(case, "weft", figure, unit, base))  # fmt: skip


def all_targets():
    return [
        _against("64 B against testpmd's MAC forwarding", 2.5, "l2-64"),
        _against("64 B, rewritten by the guest, against testpmd", 2.3, "l2-64-rewrite"),
        _against("512 B against testpmd", 2.2, "l2-512"),
        _against("1518 B against testpmd", 2.0, "l2-1518"),
        _against("TSO, 32 KB frames, against testpmd (tso=1)", 3.0, "l2-tso", figure="gbps", unit="Gb/s"),
        _against("64 B against OVS-DPDK", 4, "l2-64", "ovs-dpdk"),
        _against_own("busy cycles a packet, bursts of 1 against 32", 4, "burst-1", "burst-32", "busy-cycles", "cycles", True),
        _against("one-way latency at 100 kpps, p50 against testpmd", 1.5, "latency", "testpmd", "p50", "µs", True),
        _against("one-way latency at 100 kpps, p99 against OVS-DPDK", 0.6, "latency", "ovs-dpdk", "p99", "µs", True),
        _against_own("256 MACs against 2", 0.9, "macs-256", "macs-2"),
        _against_own("20 000 MACs against 2", 0.5, "macs-20000", "macs-2"),
        _against_own("100 000 MACs against 2", 0.4, "macs-100000", "macs-2"),
        _against_own("1 000 000 MACs against 2", 0.3, "macs-1000000", "macs-2"),
        _against_own("packed rings against split ones", 1.0, "packed", "l2-64"),
        _against("TCP tap to tap against OVS's userspace taps", 5, "tap-tcp", "ovs-taps", "gbps", "Gb/s"),
        _against("TCP tap to tap against bridge and veth", 0.5, "tap-tcp", "linux-bridge", "gbps", "Gb/s"),
        Target("two workers against one, worker cost alone", 1.8, False, lambda r: r.median("workers", "weft", "ratio"), "×",
               lambda r: "" if r.median("workers", "weft", "one_mpps") is None else
               f"one {r.median('workers', 'weft', 'one_mpps'):.2f}, two {r.median('workers', 'weft', 'two_mpps'):.2f} Mpps"),
        Target("100 idle ports, CPU", 1, True, lambda r: r.median("idle", "weft", "percent"), "%"),
        Target("first frame after a pause, p99 against eventfds", 2, True, lambda r: r.median("wake", "weft", "p99-ratio"), "×",
               lambda r: "" if r.median("wake", "weft", "frame-p99") is None else
               f"frame {r.median('wake', 'weft', 'frame-p99'):.1f}, eventfds {r.median('wake', 'weft', 'eventfd-p99'):.1f} µs"),
        Target("memory a port costs", 1024, True, lambda r: r.median("memory", "weft", "kib"), "KiB"),
    ]  # fmt: skip


def judge(results):
    return [Verdict(t, t.value(results), t.detail(results)) for t in all_targets()]
