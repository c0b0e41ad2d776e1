# SPDX-License-Identifier: BSD-3-Clause
"""What every end-to-end script is made of: checks that say what they look at, and waits that end when a condition
holds. Nothing here knows about networks."""

import os
import shutil
import sys
import time
import traceback

SKIPPED = 77  # meson's exit code for "could not run here"


class TestFailure(Exception):
    """Something is not as it should be; the text says what."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


def poll(what, condition, timeout=10.0, interval=0.02):
    """Waits until condition() gives something true and returns it. After `timeout` seconds: TestFailure."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TestFailure(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


_started = time.monotonic()


def section(title):
    print(f"\n{title}  [{time.monotonic() - _started:.1f} s]", flush=True)


_quiet = False


def be_quiet():
    """What is in order is not printed any more: for tools/demo, which has its own table."""
    global _quiet
    _quiet = True


def ok(what, detail=""):
    if not _quiet:
        print(f"  ok    {what}{f'  ({detail})' if detail != '' else ''}", flush=True)


def check(what, condition, detail=""):
    """`condition` must be true; `detail` is printed beside it, and is what one wants to see when it is not."""
    if not condition:
        raise TestFailure(f"{what}: {detail}" if detail != "" else what)
    ok(what, detail)
    return condition


def check_equal(what, found, expected):
    if found != expected:
        raise TestFailure(f"{what}: expected {expected!r}, found {found!r}")
    ok(what, found)
    return found


def need(*programs):
    """Programs the script runs besides those the lab needs; missing: the test is skipped by name."""
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed (tools/setup installs it)")


def run_script(function):
    """The main() of a script: runs function(), prints the verdict, exits 0, 1, or 77 for "cannot run here"."""
    sys.stdout.reconfigure(line_buffering=True)
    name = os.path.basename(sys.argv[0])
    started = time.monotonic()
    try:
        if os.geteuid() != 0:
            raise Skip("needs root, for network namespaces")
        function()
    except Skip as reason:
        print(f"SKIP {name}: {reason}")
        sys.exit(SKIPPED)
    except TestFailure as failure:
        print(f"\nFAIL {name}: {failure}")
        sys.exit(1)
    except Exception:  # a mistake of the script's own is a failure too
        traceback.print_exc()
        print(f"\nFAIL {name}: the script itself failed")
        sys.exit(1)
    print(f"\nPASS {name} ({time.monotonic() - started:.1f} s)")
    sys.exit(0)
