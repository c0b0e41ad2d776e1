#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run inside a guest's namespace: sends frames no ordinary program sends.

    frames.py INTERFACE broadcasts COUNT        broadcasts, as fast as they go
    frames.py INTERFACE random-macs COUNT       each from another source MAC, to this interface's own
    frames.py INTERFACE garbage COUNT SEED      ARP, IPv4, ICMP, TCP, UDP, DHCP and DNS with wrong bytes and lengths
    frames.py INTERFACE gratuitous-arp ADDRESS  says that ADDRESS is at this interface's MAC
Prints how many frames were sent."""

import fcntl
import random
import socket
import struct
import sys

BROADCAST = b"\xff" * 6


def interface_mac(sock, name):
    request = fcntl.ioctl(sock.fileno(), 0x8927, struct.pack("256s", name.encode()))  # SIOCGIFHWADDR
    return request[18:24]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data if len(data) % 2 == 0 else data[:-1]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))  # fmt: skip
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp(source_port, destination_port, payload):
    return struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def seeds(mac):
    """Whole, sensible frames; garbage() damages them."""
    gateway, guest = "192.168.122.1", "192.168.122.77"
    dhcp = struct.pack("!BBBBIHHIIII", 1, 1, 6, 0, 0x1234, 0, 0x8000, 0, 0, 0, 0) + mac + bytes(10 + 192)
    dhcp += b"\x63\x82\x53\x63" + bytes([53, 1, 1, 12, 3, 97, 98, 99, 55, 4, 1, 3, 6, 15, 61, 7, 1]) + mac + b"\xff"
    dns = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 1) + b"\x03www\x07example\x04test\x00\x00\x01\x00\x01"
    dns += b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
    arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + socket.inet_aton(guest) + bytes(6) + socket.inet_aton(gateway)
    tcp = struct.pack("!HHIIBBHHH", 1000, 80, 1, 0, 0x50, 2, 1000, 0, 0)
    icmp = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"x" * 32
    error = struct.pack("!BBHI", 3, 3, 0, 0) + ipv4("198.51.100.80", guest, 17, udp(53, 1000, b"")[:8])
    yield 0x0806, BROADCAST, arp
    yield 0x0800, BROADCAST, ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67, dhcp))
    for target in (gateway, "198.51.100.80"):
        yield 0x0800, None, ipv4(guest, target, 17, udp(5000, 53, dns))
        yield 0x0800, None, ipv4(guest, target, 6, tcp)
        yield 0x0800, None, ipv4(guest, target, 1, icmp)
        yield 0x0800, None, ipv4(guest, target, 1, error)
        yield 0x0800, None, ipv4(guest, target, 47, b"\x00\x00\x08\x00" + bytes(20))
    yield 0x86DD, None, b"\x60\x00\x00\x00\x00\x08\x3a\x40" + bytes(32) + bytes(8)


def garbage(mac, gateway_mac, count, seed):
    rng = random.Random(seed)
    whole = list(seeds(mac))
    for _ in range(count):
        ethertype, to, body = rng.choice(whole)
        body = bytearray(body)
        for _ in range(rng.randint(0, 6)):
            body[rng.randrange(len(body))] = rng.choice((0, 1, 0x7F, 0x80, 0xC0, 0xFF, rng.randrange(256)))
        cut = rng.random()
        if cut < 0.3:
            body = body[: rng.randrange(len(body))]
        elif cut < 0.5:
            body += rng.randbytes(rng.randrange(1000))
        if rng.random() < 0.05:
            ethertype = rng.randrange(65536)
        yield (to or gateway_mac) + mac + struct.pack("!H", ethertype) + bytes(body)


def main():
    interface, what, *rest = sys.argv[1:]
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    mac = interface_mac(sock, interface)
    sent = 0

    def send(frame):
        nonlocal sent
        while True:
            try:
                sock.send(frame)
                sent += 1
                return
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno == 105:  # ENOBUFS: the device's queue is full
                    continue
                if len(frame) < 14 or len(frame) > 1514 or error.errno in (90, 22):  # too short or long for a frame
                    return
                raise

    if what == "broadcasts":
        frame = BROADCAST + mac + b"\x88\xb5" + b"storm".ljust(46, b"\0")
        for _ in range(int(rest[0])):
            send(frame)
    elif what == "random-macs":
        rng = random.Random(1)
        for _ in range(int(rest[0])):
            # To itself: each is learned, and none goes anywhere.
            send(mac + bytes([0x02]) + rng.randbytes(5) + b"\x88\xb5" + bytes(46))
    elif what == "garbage":
        count, seed, gateway_mac = int(rest[0]), int(rest[1]), bytes.fromhex(rest[2].replace(":", ""))
        for frame in garbage(mac, gateway_mac, count, seed):
            send(frame)
    elif what == "gratuitous-arp":
        address = socket.inet_aton(rest[0])
        send(BROADCAST + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address)
    else:
        sys.exit(__doc__)
    print(sent)


main()
