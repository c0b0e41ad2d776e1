#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The parts of bench/compare that need neither root nor a switch: verdicts from samples, the page, the tables."""

import html.parser
import os
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "bench"))

from comparing import cases, page, plots  # noqa: E402
from comparing.targets import Results, all_targets, judge  # noqa: E402


def result(samples):
    every = cases.all_cases()
    return {
        "machine": {"cpu": "a <cpu> & more", "cpus": 2, "date": "2026-01-02T03:04:05+00:00", "kernel": "6.1"},
        "command": "bench/compare --cases '*'",
        "options": {"rounds": 3, "seconds": 2.0},
        "cases": [{k: getattr(c, k) for k in ("name", "title", "switches", "figure", "unit")} for c in every],
        "samples": samples,
        "skipped": ["one <thing>: was not there"],
    }


def everything(value):
    """Each case of each switch with a figure of that value in all rounds."""
    keys = ("mpps", "gbps", "busy-cycles", "p50", "p99", "ratio", "percent", "p99-ratio", "kib", "starved", "one_mpps",
            "two_mpps", "frame-p99", "eventfd-p99")  # fmt: skip
    sample = {key: value for key in keys}
    sample.update({f"{k}-ns": {"buckets": [[100, 5], [200, 94], [90000, 1]]} for k in ("latency", "frame", "eventfd")})
    return {c.name: {s: [sample] * 3 for s in c.switches} for c in cases.all_cases()}


class Verdicts(unittest.TestCase):
    def samples(self, weft, testpmd):
        return Results({"l2-64": {"weft": [{"mpps": v} for v in weft], "testpmd": [{"mpps": v} for v in testpmd]}})

    def test_a_ratio_of_medians_is_judged(self):
        for weft, word in (([25, 26, 1000], "met"), ([24, 24.9, 1000], "missed")):
            verdict = judge(self.samples(weft, [10, 10, 1]))[0]
            self.assertEqual(verdict.word, word)
            self.assertAlmostEqual(verdict.value, weft[1] / 10)

    def test_what_was_not_measured_is_neither(self):
        self.assertTrue(all(v.word == "not measured" for v in judge(Results({}))))
        self.assertEqual(judge(self.samples([25], []))[0].word, "not measured")

    def test_a_generator_at_its_limit_is_named(self):
        r = Results({"l2-64": {"weft": [{"mpps": 30, "starved": 0.2}], "testpmd": [{"mpps": 10}]}})
        self.assertIn("the generator was the limit", judge(r)[0].detail)

    def test_every_target_has_a_case(self):
        for verdict in judge(Results(everything(1.0))):
            self.assertIsNotNone(verdict.value, verdict.target.what)
        self.assertEqual(len(all_targets()), 20)


class Page(unittest.TestCase):
    def write(self, samples):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.html"
            page.write_page(result(samples), path)
            return path.read_text(encoding="utf-8")

    def test_it_needs_nothing_from_a_network(self):
        text = self.write(everything(3.0))
        for word in ("http:", "https:", "//", "<script", "@import", "url("):
            self.assertNotIn(word, text)

    def test_it_is_whole_with_all_and_with_nothing(self):
        for samples in (everything(3.0), {}):
            text = self.write(samples)
            html.parser.HTMLParser().feed(text)
            self.assertIn("a &lt;cpu&gt; &amp; more", text)
            self.assertIn("one &lt;thing&gt;", text)
            self.assertTrue(text.rstrip().endswith("</html>"))
        self.assertEqual(self.write(everything(3.0)).count("<figure>"), 7)
        self.assertEqual(self.write({}).count("<figure>"), 0)

    def test_the_tables_have_a_row_a_target_and_a_figure(self):
        text = page.markdown(result(everything(3.0)))
        self.assertEqual(text.count("| met |") + text.count("| missed |"), len(all_targets()))
        self.assertIn("| 64 B | testpmd | 3.00 Mpps |", text)


class Plots(unittest.TestCase):
    def test_drawings_are_well_formed(self):
        drawings = [
            plots.bars(["a<b", "c"], {"weft": [1, None], "testpmd": [0, 3]}, "Mpps", "size & more"),
            plots.lines({"weft": [(2, 5), (1e6, 1)]}, "Mpps", "MACs"),
            plots.lines({"weft": [(1, 0.2), (1000, 900)]}, "µs", "percentile", y_log_min=0.1),
            plots.lines({"weft": [(7, 5)]}, "Mpps", "one point"),
        ]
        for drawing in drawings:
            xml.etree.ElementTree.fromstring(drawing)
            self.assertNotIn("nan", drawing)
        self.assertEqual(plots.bars(["a"], {"weft": [None]}, "y", "x"), "")

    def test_figures_have_three_digits(self):
        self.assertEqual([plots.figure(v) for v in (0.1234, 12.34, 123.4, 12345.6, None)], ["0.12", "12.3", "123", "12346", "–"])


class Selection(unittest.TestCase):
    def test_patterns_choose_cases(self):
        chosen = cases.select(cases.all_cases(), ["l2-*", "wake"])
        self.assertEqual({c.name.split("-")[0] for c in chosen}, {"l2", "wake"})
        with self.assertRaises(SystemExit):
            cases.select(cases.all_cases(), ["nothing"])


if __name__ == "__main__":
    unittest.main()
