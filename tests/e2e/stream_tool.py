#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""stream_tool.py ADDRESS PORT: random bytes over TCP, as fast as they go, until SIGTERM; then prints how many it were and
their SHA-256."""

import hashlib
import os
import signal
import socket
import sys

ended = False


def end(*_):
    global ended
    ended = True


signal.signal(signal.SIGTERM, end)
digest, size = hashlib.sha256(), 0
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
    while not ended:
        block = os.urandom(1 << 16)
        peer.sendall(block)
        digest.update(block)
        size += len(block)
print(size, digest.hexdigest(), flush=True)
