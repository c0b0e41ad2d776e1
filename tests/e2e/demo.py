#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What tools/demo shows: the main job, a line and a figure for each part. The work itself is main_job.py, which the
tests judge as well."""

import sys

from checks import TestFailure, be_quiet
from lab import Lab
from main_job import run_main_job

_COLOURS = sys.stdout.isatty()
WIDTH = 42


def paint(text, colour):
    return f"\x1b[{colour}m{text}\x1b[0m" if _COLOURS else text


def step(what, function):
    if _COLOURS:
        print(f"  ....  {what}", end="\r", flush=True)
    try:
        figure = function()
    except BaseException:
        print(f"  {paint('FAIL', 31)}  {what}", flush=True)
        raise
    print(f"  {paint('ok', 32)}    {what:<{WIDTH}}{figure}", flush=True)


def accounted(lab):
    """The same judgement as at the end of every test, in a line."""
    for guest in lab.guests:
        guest.close()
    lab.weftd.check_counting_law()
    totals = lab.weftd.ask("stats")["totals"]
    return f"{totals['received']:,} received, {totals['sent']:,} sent, {totals['dropped']:,} dropped by name"


def main():
    print("\nweft: libvirt's network `default`, served to a QEMU guest (vhost-user) and to a namespace (tap)\n")
    be_quiet()
    try:
        with Lab() as lab:
            run_main_job(lab, step)
            leases = lab.weftd.cli("net-dhcp-leases", "default").out
            step("every packet is accounted for", lambda: accounted(lab))
        # The lab's end has judged weftd's log, its stop, and what it left behind.
        print(f"  {paint('ok', 32)}    {'a clean stop':<{WIDTH}}exit 0, no warning in the log, nothing left behind")
    except TestFailure as failure:
        print(f"\n{paint('The demonstration failed', 31)}: {failure}")
        return 1
    print(f"\nweft net-dhcp-leases default\n{leases}")
    print(paint("All of it worked.", 32))
    return 0


sys.exit(main())
