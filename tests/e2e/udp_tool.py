#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""UDP as tests need it, on either end. Addresses of both families.

    udp_tool.py serve ADDRESS PORT              answers each datagram with "ADDRESS PORT" of where it came from
    udp_tool.py ask SOURCE_PORT ADDRESS PORT    one question from that source port; prints the answer, or the error
    udp_tool.py echo ADDRESS PORT               answers each datagram with itself
    udp_tool.py sizes ADDRESS PORT SIZE…        a datagram of each size to such an echo; prints how many came back whole"""

import os
import socket
import sys


def open_socket(address, port):
    """A socket of the address's family, and the address as that wants it."""
    family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    return socket.socket(family, kind), where


def ask_sizes(sock, sizes):
    n = 0
    for size in sizes:
        data = os.urandom(size)
        for _ in range(3):  # one may be lost; one that is wrong never comes
            sock.send(data)
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                continue
            if answer == data:
                n += 1
                break
    print(f"{n} came back")


def main():
    what, *rest = sys.argv[1:]
    address, port = rest[1:] if what == "ask" else rest[:2]
    sock, where = open_socket(address, int(port))
    if what in ("serve", "echo"):
        sock.bind(where)
        print("serving", flush=True)
        while True:
            data, peer = sock.recvfrom(65536)
            sock.sendto(data if what == "echo" else f"{peer[0]} {peer[1]}".encode(), peer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(2)
    if what == "sizes":
        sock.connect(where)
        return ask_sizes(sock, map(int, rest[2:]))
    sock.bind(("", int(rest[0])))
    sock.connect(where)
    try:
        sock.send(b"who am I")
        print(sock.recv(2048).decode())
    except OSError as error:
        print(type(error).__name__)


main()
