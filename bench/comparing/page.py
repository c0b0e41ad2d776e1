# SPDX-License-Identifier: BSD-3-Clause
"""The result as a page that opens from disk, and as the table that goes into bench/README.md."""

import html
import json
import statistics

from . import plots
from .cases import FLOWS, MACS, SIZES
from .targets import Results, judge

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --text: #1d2228; --soft: #69727c; --edge: #dfe2e5; --panel: #fff;
  --good: #14713d; --bad: #b3261e; --weft: #0b6bcb; --testpmd: #8a929b; --ovs: #e08a00; --linux: #2f9e6e; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --text: #e3e6e9; --soft: #98a2ad; --edge: #2c3238;
  --panel: #1b1f23; --good: #5ccb8a; --bad: #ff8a80; --weft: #5aa9ff; --testpmd: #8b949e; --ovs: #ffb347; --linux: #5fd0a0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 28px 20px 60px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
p { margin: 6px 0; } .soft { color: var(--soft); } code { font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; background: var(--panel);
  border: 1px solid var(--edge); border-radius: 8px; overflow: hidden; }
th, td { text-align: left; padding: 6px 12px; border-top: 1px solid var(--edge); vertical-align: top; }
thead th { border-top: 0; font-weight: 600; color: var(--soft); font-size: 13px; }
td.n, th.n { text-align: right; white-space: nowrap; }
.word { font-weight: 600; white-space: nowrap; } .met .word { color: var(--good); } .missed .word { color: var(--bad); }
.not-measured .word { color: var(--soft); font-weight: 400; }
.tally { display: flex; gap: 10px; margin: 14px 0 4px; } .tally div { border: 1px solid var(--edge); background: var(--panel);
  border-radius: 8px; padding: 8px 16px; } .tally b { font-size: 22px; display: block; line-height: 1.2; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 14px 8px; border: 1px solid var(--edge); border-radius: 8px; background: var(--panel); }
figcaption { font-weight: 600; margin-bottom: 2px; } figcaption small { display: block; font-weight: 400; color: var(--soft); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
svg text.value { fill: var(--text); font-size: 11px; } svg .grid { stroke: var(--edge); stroke-width: 1; }
svg path.line { fill: none !important; stroke-width: 2.2; stroke-linejoin: round; }
.legend { font-size: 13px; color: var(--soft); } .key { display: inline-block; width: 11px; height: 11px; border-radius: 3px;
  margin: 0 6px 0 14px; } .key:first-child { margin-left: 0; }
.s-weft { fill: var(--weft); stroke: none; background: var(--weft); } path.s-weft { stroke: var(--weft); }
.s-testpmd { fill: var(--testpmd); background: var(--testpmd); } path.s-testpmd { stroke: var(--testpmd); }
.s-ovs-dpdk, .s-ovs-taps { fill: var(--ovs); background: var(--ovs); } path.s-ovs-dpdk { stroke: var(--ovs); }
.s-linux-bridge, .s-eventfds { fill: var(--linux); background: var(--linux); } path.s-eventfds { stroke: var(--linux); }
.machine { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; } .machine dt { color: var(--soft); }
.machine dd { margin: 0; } details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
"""


def _figure(title, note, drawing, names):
    if not drawing:
        return ""
    return (
        f"<figure><figcaption>{html.escape(title)}<small>{html.escape(note)}</small></figcaption>"
        f"{drawing}{plots.legend(names)}</figure>"
    )


def _by_size(r):
    sizes = [n for n in SIZES if r.median(f"l2-{n}", "weft") is not None]
    if not sizes:
        return ""
    series = {s: [r.median(f"l2-{n}", s) for n in sizes] for s in ("testpmd", "ovs-dpdk", "weft")}
    series = {s: column for s, column in series.items() if any(v is not None for v in column)}
    return _figure(
        "Throughput by frame size", "two guests, both directions added; weft and OVS learn and look up, testpmd does not",
        plots.bars([f"{n} B" for n in sizes], series, "Mpps", "frame size"), list(series),
    )  # fmt: skip


def _by_macs(r):
    series = {}
    for switch in ("weft", "ovs-dpdk"):
        line = [(n, r.median(f"macs-{n}", switch)) for n in (2, *MACS)]
        line = [(n, v) for n, v in line if v is not None]
        if line:
            series[switch] = line
    return _figure(
        "Throughput by addresses in the table", "64 B, every frame written anew, addresses in scattered order",
        plots.lines(series, "Mpps", "MAC addresses"), list(series),
    )  # fmt: skip


def _by_flows(r):
    series = {}
    for switch in ("weft", "testpmd"):
        line = [(n, r.median(f"nat-{n}", switch)) for n in FLOWS]
        line = [(n, v) for n, v in line if v is not None]
        if line:
            series[switch] = line
    return _figure(
        "NAT round trips by flows", "UDP, 64 B, returned to the inside; each crossed the NAT twice (testpmd translates nothing)",
        plots.lines(series, "Mpps", "flows"), list(series),
    )  # fmt: skip


PERCENTILES = (0.0, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99)


def _latency_lines(histograms):
    """{name: buckets} as latency over how rare it is: x = 1 / (1 - share)."""
    series = {}
    for name, buckets in histograms.items():
        total = sum(count for _, count in buckets)
        line, seen, wanted = [], 0, 0
        for ns, count in buckets:
            seen += count
            while wanted < len(PERCENTILES) and seen >= total * PERCENTILES[wanted] / 100:
                line.append((100 / (100 - PERCENTILES[wanted]), max(ns, 1) / 1000))
                wanted += 1
        series[name] = line
    return series


def _merged(samples, key):
    """All rounds' buckets of a histogram together, sorted."""
    together = {}
    for sample in samples:
        for ns, count in sample.get(key, {}).get("buckets", []):
            together[ns] = together.get(ns, 0) + count
    return sorted(together.items())


def _latency_plot(histograms, title, note, y_low):
    histograms = {name: buckets for name, buckets in histograms.items() if buckets}
    drawing = plots.lines(
        _latency_lines(histograms), "µs", "percentile", x_ticks=[1, 2, 10, 100, 1000, 10000],
        x_labels=["0", "50", "90", "99", "99.9", "99.99"], y_log_min=y_low,
    ) if histograms else ""  # fmt: skip
    return _figure(title, note, drawing, list(histograms))


def _latency(r):
    found = {s: _merged(r.samples.get("latency", {}).get(s, []), "latency-ns") for s in ("testpmd", "ovs-dpdk", "weft")}
    return _latency_plot(found, "One-way latency", "100 000 frames/s one way, the switch polls; all rounds together", 0.1)


def _wake(r):
    samples = r.samples.get("wake", {}).get("weft", [])
    found = {"eventfds": _merged(samples, "eventfd-ns"), "weft": _merged(samples, "frame-ns")}
    return _latency_plot(found, "First frame after a pause", "kick, wake, forward, interrupt; beside two eventfds' ping-pong", 1)


def _cycles(r):
    series = {s: [r.median("cycles", s, "busy-cycles")] for s in ("testpmd", "ovs-dpdk", "weft")}
    groups = ["64 B"]
    if r.median("burst-1", "weft", "busy-cycles") is not None:
        groups += ["bursts of 32", "bursts of 1"]
        for s, column in series.items():
            column += [r.median(c, s, "busy-cycles") for c in ("burst-32", "burst-1")]
    series = {s: column for s, column in series.items() if any(v is not None for v in column)}
    return _figure(
        "What a packet costs the switch", "cycles of busy turns a packet, each by its own count",
        plots.bars(groups, series, "cycles", "load") if series else "", list(series),
    )  # fmt: skip


def _tcp(r):
    cases = [c for c in ("tap-tcp", "nat-tcp") if r.median(c, "weft", "gbps") is not None]
    switches = [s for s in ("ovs-taps", "linux-bridge", "weft") if any(r.median(c, s, "gbps") is not None for c in cases)]
    if not cases:
        return ""
    titles = {"tap-tcp": "tap to tap", "nat-tcp": "through masquerade"}
    return _figure(
        "One TCP flow", "iperf3 between namespaces, both CPUs everybody's",
        plots.bars([titles[c] for c in cases], {s: [r.median(c, s, "gbps") for c in cases] for s in switches}, "Gb/s", "path"),
        switches,
    )  # fmt: skip


def _target_rows(r):
    rows = []
    for v in judge(r):
        value = f"{plots.figure(v.value)} {v.target.unit}" if v.value is not None else "–"
        rows.append((v.word, v.target.what, v.target.limit_text(), value, v.detail))
    return rows


def _targets_table(r):
    body = "".join(
        f'<tr class="{word.replace(" ", "-")}"><td>{html.escape(what)}</td><td class="n">{html.escape(limit)}</td>'
        f'<td class="n">{html.escape(value)}</td><td class="word">{word}</td><td class="soft">{html.escape(detail)}</td></tr>'
        for word, what, limit, value, detail in _target_rows(r)
    )
    head = '<thead><tr><th>target</th><th class="n">wanted</th><th class="n">found</th><th></th><th>medians</th></tr></thead>'
    return f"<table>{head}<tbody>{body}</tbody></table>"


def medians(result):
    """(case title, switch, median, least, most, unit, starved) of every case that ran."""
    r = Results(result["samples"])
    rows = []
    for case in result["cases"]:
        for switch in case["switches"]:
            values = r.values(case["name"], switch, case["figure"])
            if values:
                # Of a paced run it says nothing.
                is_free = case["figure"] in ("mpps", "gbps", "busy-cycles")
                starved = r.median(case["name"], switch, "starved") if is_free else None
                rows.append((case["title"], switch, statistics.median(values), min(values), max(values), case["unit"], starved))
    return rows


def _medians_table(result):
    body = ""
    for title, switch, median, least, most, unit, starved in medians(result):
        body += (
            f'<tr><td>{html.escape(title)}</td><td>{switch}</td><td class="n">{plots.figure(median)}</td>'
            f'<td class="n soft">{plots.figure(least)} – {plots.figure(most)}</td><td>{html.escape(unit)}</td>'
            f'<td class="n">{"" if starved is None else f"{starved:.2f}"}</td></tr>'
        )
    head = (
        '<thead><tr><th>case</th><th>switch</th><th class="n">median</th><th class="n">least – most</th><th></th>'
        '<th class="n">starved</th></tr></thead>'
    )
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _machine(result):
    names = {
        "date": "date", "cpu": "processor", "cpus": "CPUs", "tsc-ghz": "TSC, GHz", "virtual": "virtual machine",
        "memory-gib": "memory, GiB", "kernel": "kernel", "weft": "weft", "commit": "commit", "compiler": "g++",
        "dpdk": "DPDK (testpmd)", "openvswitch": "Open vSwitch (DPDK)", "load-before": "load average before",
    }  # fmt: skip
    rows = "".join(f"<dt>{names.get(k, k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in result["machine"].items())
    return f'<dl class="machine">{rows}</dl>'


def write_page(result, path):
    r = Results(result["samples"])
    verdicts = judge(r)
    tally = "".join(
        f'<div class="{word.replace(" ", "-")}"><b>{sum(v.word == word for v in verdicts)}</b><span class="word">{word}</span></div>'
        for word in ("met", "missed", "not measured")
    )
    plotted = "".join(f(r) for f in (_by_size, _latency, _by_macs, _by_flows, _cycles, _tcp, _wake))
    skipped = "".join(f"<li>{html.escape(s)}</li>" for s in result["skipped"])
    o = result["options"]
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>weft beside its peers</title><style>{STYLE}</style></head><body>
<h1>weft beside its peers</h1>
<p class="soft">{html.escape(result["machine"]["cpu"])} · {html.escape(result["machine"]["date"])} · {o["rounds"]} rounds of
{o["seconds"]:g} s, the switches in turn, medians. One CPU polls for the switch, the other plays the guests.
Only ratios within one run count.</p>
<div class="tally">{tally}</div>
<h2>Targets</h2>{_targets_table(r)}
<h2>Plots</h2><div class="grid2">{plotted}</div>
<h2>Medians</h2>{_medians_table(result)}
<p class="soft">starved: the share of looks at a guest's send ring that found it full. Near 1 the switch was the limit, near 0
the generator.</p>
{f"<h2>Not run</h2><ul>{skipped}</ul>" if skipped else ""}
<h2>Machine</h2>{_machine(result)}
<details><summary>command</summary><p><code>{html.escape(result["command"])}</code></p></details>
</body></html>
"""
    path.write_text(page, encoding="utf-8")


def markdown(result):
    """The tables for bench/README.md."""
    r = Results(result["samples"])
    m = result["machine"]
    text = f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['date'][:10]}; `{result['command']}`, medians.\n\n"
    text += "| target | wanted | found | | medians |\n|---|---|---|---|---|\n"
    for word, what, limit, value, detail in _target_rows(r):
        text += f"| {what} | {limit} | {value} | {word} | {detail} |\n"
    text += "\n| case | switch | median | least – most | starved |\n|---|---|---|---|---|\n"
    for title, switch, median, least, most, unit, starved in medians(result):
        shown = "" if starved is None else f"{starved:.2f}"
        text += f"| {title} | {switch} | {plots.figure(median)} {unit} | {plots.figure(least)} – {plots.figure(most)} | {shown} |\n"
    return text


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))
