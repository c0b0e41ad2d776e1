#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a packet runs through neither allocates, throws, locks nor prints: looks at the undefined symbols of the objects
that hold nothing but worker code. Usage: worker_objects.py ARCHIVE…"""
import re
import subprocess
import sys

WORKER = re.compile(r"(stage_\w+|icmp_error|ip_input|handoff|resolver|fdb|neighbours|split_rx|split_tx|packed_rx|packed_tx|"
                    r"ring_log|masquerade|packet_view|shard|tcp_state|offload|virtio_net_header)\.cc\.o")
FORBIDDEN = re.compile(r"\b(__cxa_throw|__cxa_allocate_exception|_Znwm|_Znam|_ZnwmSt11align_val_t|malloc|calloc|realloc|"
                       r"printf|fprintf|puts|fwrite|pthread_mutex_lock|_ZSt\w*__throw\w*)\b")

errors, seen = [], 0
for archive in sys.argv[1:]:
    listing = subprocess.run(["nm", "--undefined-only", archive], capture_output=True, text=True, check=True).stdout
    member = None
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1] if WORKER.search(line) else None
            seen += member is not None
        elif member and (found := FORBIDDEN.search(line)):
            errors.append(f"{archive}({member}): {found[0]}")
print("\n".join(errors) or f"{seen} objects of worker code: none allocates, throws, locks or prints")
sys.exit(1 if errors or seen < 15 else 0)
