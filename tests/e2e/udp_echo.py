#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Whether datagrams arrive as they were sent. Addresses of both families.

    udp_echo.py serve ADDRESS PORT              answers each datagram with itself
    udp_echo.py ask ADDRESS PORT SIZE…          a datagram of each size to such an echo; prints how many came back whole"""

import os
import socket
import sys


def open_socket(address, port):
    """A socket of the address's family, and the address as that wants it."""
    family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    return socket.socket(family, kind), where


def comes_back(sock, data):
    for _ in range(3):  # one may be lost; one that is wrong never comes
        sock.send(data)
        try:
            return sock.recv(65536) == data
        except TimeoutError:
            pass
    return False


def main():
    what, address, port, *sizes = sys.argv[1:]
    sock, where = open_socket(address, int(port))
    if what == "serve":
        sock.bind(where)
        while True:
            sock.sendto(*sock.recvfrom(65536))
    sock.connect(where)
    sock.settimeout(2)
    print(sum(comes_back(sock, os.urandom(int(size))) for size in sizes), "came back")


main()
