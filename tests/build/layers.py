#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which folder may include which: an arrow only ever points up the list of layers. Also: every source file carries its
licence. Usage: layers.py SOURCE-ROOT"""
import pathlib
import re
import sys

# A folder, and what it may use beside itself.
LAYERS = {
    "dataplane/wire": set(),
    "dataplane": {"dataplane/wire"},
    "config": {"dataplane/wire"},
    "nat": {"dataplane", "dataplane/wire"},
    "dhcp": {"config", "dataplane/wire"},
    "dns": {"config", "dataplane/wire"},
    "switch": {"dataplane", "dataplane/wire", "config", "nat", "dhcp", "dns"},
    "tools": {"config", "dataplane/wire"},
}


def layer_of(path):
    parts = path.split("/")
    if parts[:2] == ["dataplane", "wire"]:
        return "dataplane/wire"
    return parts[0] if len(parts) > 1 else None


def main(root):
    errors = []
    n_files = 0
    for source in sorted([*root.rglob("*.h"), *root.rglob("*.cc")]):
        name = source.relative_to(root).as_posix()
        if name.startswith(("build", ".")):
            continue
        n_files += 1
        text = source.read_text()
        if not text.startswith("// SPDX-License-Identifier: BSD-3-Clause\n"):
            errors.append(f"{name}:1: no SPDX line")
        layer = layer_of(name)
        if layer not in LAYERS:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            include = re.match(r'#include "([^"]+)"', line)
            if not include:
                continue
            target = layer_of(include[1])
            if target is None or not (root / include[1]).exists():
                errors.append(f"{name}:{number}: includes are written from the root: {include[1]}")
            elif target != layer and target not in LAYERS[layer]:
                errors.append(f"{name}:{number}: {layer}/ may not use {target}/ ({include[1]})")
    print("\n".join(errors) or f"{n_files} files, every include points up")
    return 1 if errors or n_files == 0 else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
