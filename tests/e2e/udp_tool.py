#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""UDP as tests need it, on either end.

    udp_tool.py serve ADDRESS PORT              answers each datagram with "ADDRESS PORT" of where it came from
    udp_tool.py ask SOURCE_PORT ADDRESS PORT    one question from that source port; prints the answer, or the error
    udp_tool.py count ADDRESS PORT INTERVAL     numbers from 1 on, one every INTERVAL seconds; ended, prints the last
    udp_tool.py log PORT                        prints each datagram (a number and a newline)"""

import signal
import socket
import sys
import time


def count(sock, address, port, interval):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(number)))
    number = 0
    due = time.monotonic()
    while True:
        number += 1
        try:
            sock.sendto(f"{number}\n".encode(), (address, port))
        except OSError:
            pass  # lost, as any other
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))


def log(sock, port):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("", port))
    while True:
        sys.stdout.write(sock.recv(2048).decode())
        sys.stdout.flush()


def main():
    what, *rest = sys.argv[1:]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if what == "serve":
        sock.bind((rest[0], int(rest[1])))
        print("serving", flush=True)
        while True:
            _, (address, port) = sock.recvfrom(2048)
            sock.sendto(f"{address} {port}".encode(), (address, port))
    if what == "count":
        return count(sock, rest[0], int(rest[1]), float(rest[2]))
    if what == "log":
        return log(sock, int(rest[0]))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", int(rest[0])))
    sock.connect((rest[1], int(rest[2])))
    sock.settimeout(2)
    try:
        sock.send(b"who am I")
        print(sock.recv(2048).decode())
    except OSError as error:
        print(type(error).__name__)


main()
