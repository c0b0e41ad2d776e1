#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""UDP as tests need it, on either end.

    udp_tool.py serve ADDRESS PORT              answers each datagram with "ADDRESS PORT" of where it came from
    udp_tool.py ask SOURCE_PORT ADDRESS PORT    one question from that source port; prints the answer, or the error"""

import socket
import sys


def main():
    what, *rest = sys.argv[1:]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if what == "serve":
        sock.bind((rest[0], int(rest[1])))
        print("serving", flush=True)
        while True:
            _, (address, port) = sock.recvfrom(2048)
            sock.sendto(f"{address} {port}".encode(), (address, port))
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
