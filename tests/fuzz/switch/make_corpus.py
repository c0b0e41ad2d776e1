#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes corpus_pipeline and corpus_udp_frame: see fuzz_pipeline.cc and fuzz_udp_frame.cc for what their bytes mean."""

import socket
import struct
from pathlib import Path

WAN, SEAT, M1, M2, R1, R2, A1, A2 = range(8)
LATER, MANY, NAIVE = 0x10, 0x20, 0x40  # of a frame's first byte; 0x08, "put checksums right", is always on

PEER, SEAT_MAC = "52:54:00:00:0f:01", "52:54:00:00:01:00"
UPLINK, GATEWAY = "52:54:00:00:02:00", ["52:54:00:00:01:00", "52:54:00:00:01:01", "52:54:00:00:01:02"]
GUEST = {M1: "52:54:00:00:00:0a", M2: "52:54:00:00:00:0b", R1: "52:54:00:00:00:14", R2: "52:54:00:00:00:15",
         A1: "52:54:00:00:00:1e", A2: "52:54:00:00:00:1f"}
ALL, OUTSIDE, POOL = "ff:ff:ff:ff:ff:ff", "198.51.100.5", "203.0.113.10"
SYN, ACK, SYN_ACK, FIN_ACK, RST = 2, 16, 18, 17, 4


def ether(destination, source, kind, payload):
    macs = bytes.fromhex((destination + source).replace(":", ""))
    return macs + struct.pack("!H", kind) + payload


def ip(source, destination, protocol, payload, ttl=64, fragment=0, options=b"", total=None):
    size = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, size, 7, fragment, ttl, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(source, destination, payload, size=None):
    return struct.pack("!4H", source, destination, 8 + len(payload) if size is None else size, 0) + payload


def tcp(source, destination, flags, payload=b"", sequence=1000):
    return struct.pack("!HHIIBBHHH", source, destination, sequence, 1, 0x50, flags, 65535, 0, 0) + payload


def icmp(kind, code, rest, payload):
    return struct.pack("!BBHI", kind, code, 0, rest) + payload


def arp(operation, sender_mac, sender, target_mac, target):
    return (struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + bytes.fromhex(sender_mac.replace(":", "")) +
            socket.inet_aton(sender) + bytes.fromhex(target_mac.replace(":", "")) + socket.inet_aton(target))


def frame(port, data, flags=0, virtio=bytes(10), size=None):
    return bytes([port | 0x08 | flags]) + virtio + struct.pack("<H", len(data) if size is None else size) + data


def ask(port, mac, address, target, to=ALL):
    return frame(port, ether(to, mac, 0x0806, arp(1, mac, address, "00:00:00:00:00:00", target)))


def reply(port, to, mac, address, target):
    return frame(port, ether(to, mac, 0x0806, arp(2, mac, address, to, target)))


def routed(port, network, packet, **kwargs):
    return frame(port, ether(GATEWAY[network], GUEST[port], 0x0800, packet), **kwargs)


def outside(packet, **kwargs):
    return frame(WAN, ether(UPLINK, PEER, 0x0800, packet), **kwargs)


def wait(milliseconds):
    shift = max(0, milliseconds.bit_length() - 8)
    return bytes([0x80 | shift, milliseconds >> shift])


def settings(bits):
    return bytes([0x90, bits])


ANSWER, PORT_DOWN, PORT_UP = b"\xa0", 0xb0, 0xb8
FORGET_MASKED, FORGET_UPLINK = b"\xd0", b"\xd4"
M, R, A = "192.168.100.10", "192.168.101.20", "192.168.102.30"
DHCP = struct.pack("!4B I HH 4s4s4s4s 16s", 1, 1, 6, 0, 0x1234, 0, 0x8000, bytes(4), bytes(4), bytes(4), bytes(4),
                   bytes.fromhex("52540000000a")) + bytes(192) + bytes.fromhex("63825363") + b"\x35\x01\x01\xff"
DNS = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x04host\x03lab\0" + struct.pack("!HH", 1, 1)
discover = ether(ALL, GUEST[M1], 0x0800, ip("0.0.0.0", "255.255.255.255", 17, udp(68, 67, DHCP)))
query = ether(GATEWAY[0], GUEST[M1], 0x0800, ip(M, "192.168.100.1", 17, udp(5353, 53, DNS)))
flow = routed(M1, 0, ip(M, OUTSIDE, 17, udp(5000, 33434, b"probe")))
quoted = ip(POOL, OUTSIDE, 17, udp(5000, 33434, b"probe"), ttl=1)
syn = routed(M1, 0, ip(M, OUTSIDE, 6, tcp(4000, 80, SYN)))
needs_csum = struct.pack("<BBHHHH", 1, 0, 0, 0, 34, 16)
tso4 = struct.pack("<BBHHHH", 1, 1, 54, 500, 34, 16)
big = tcp(4000, 80, ACK, bytes(range(256)) * 8)

PIPELINE = {
    "arp_request": ask(M1, GUEST[M1], M, "192.168.100.1") + ask(M1, GUEST[M1], M, "192.168.100.11") +
                   ask(M2, GUEST[M2], "192.168.100.1", "192.168.100.1") + ask(SEAT, SEAT_MAC, "192.168.100.1", M) +
                   ask(WAN, PEER, "203.0.113.1", POOL) + ask(A1, GUEST[A1], A, "192.168.102.1"),
    "dhcp_discover": frame(M1, discover) + frame(A1, discover) + ANSWER,
    "dns_query": frame(M1, query) + frame(M1, query, MANY) + ANSWER +
                 routed(A1, 2, ip(A, "192.168.102.1", 17, udp(5353, 53, DNS))) + ANSWER,
    "tcp_out_and_in": syn + outside(ip(OUTSIDE, POOL, 6, tcp(80, 4000, SYN_ACK))) +
                      routed(M1, 0, ip(M, OUTSIDE, 6, tcp(4000, 80, ACK, b"GET /"))) +
                      outside(ip(OUTSIDE, POOL, 6, tcp(80, 4000, FIN_ACK))) +
                      routed(M1, 0, ip(M, OUTSIDE, 6, tcp(4000, 80, FIN_ACK))) + wait(250_000) +
                      outside(ip(OUTSIDE, POOL, 6, tcp(80, 4000, RST))),
    "echo": routed(M1, 0, ip(M, "192.168.100.1", 1, icmp(8, 0, 0x70001, b"ping"))) +
            routed(M1, 0, ip(M, OUTSIDE, 1, icmp(8, 0, 0x70001, b"ping"))) +
            outside(ip(OUTSIDE, POOL, 1, icmp(0, 0, 0x70001, b"ping"))) +
            routed(A1, 2, ip(A, "192.168.102.1", 1, icmp(8, 0, 0x70001, b"ping"))) +
            outside(ip("203.0.113.1", "203.0.113.2", 1, icmp(8, 0, 0x70001, b"ping"))),
    "icmp_error": flow + outside(ip("203.0.113.1", POOL, 1, icmp(11, 0, 0, quoted))) +
                  outside(ip("203.0.113.1", POOL, 1, icmp(3, 4, 1280, quoted[:28]))) +
                  outside(ip(OUTSIDE, POOL, 17, udp(33434, 5000, b"x"))) +
                  routed(M1, 0, ip(M, OUTSIDE, 1, icmp(3, 3, 0, ip(OUTSIDE, M, 17, udp(33434, 5000, b"x"))))),
    "fragment": routed(M1, 0, ip(M, OUTSIDE, 17, udp(1, 2, bytes(64)), fragment=0x2000)) +
                routed(R1, 1, ip(R, OUTSIDE, 17, udp(1, 2, bytes(64)), fragment=0x2000)) +
                routed(R1, 1, ip(R, OUTSIDE, 17, bytes(64), fragment=8)) +
                routed(R1, 1, ip(R, "192.168.101.1", 1, bytes(64), fragment=8)),
    "tso": syn + routed(M1, 0, ip(M, OUTSIDE, 6, big), virtio=tso4) +
           outside(ip(OUTSIDE, POOL, 6, tcp(80, 4000, ACK, bytes(3000))), virtio=tso4) +
           routed(R1, 1, ip(R, "198.18.0.1", 6, big), virtio=tso4) +
           frame(M1, ether(GUEST[M2], GUEST[M1], 0x0800, ip(M, "192.168.100.11", 6, big)), virtio=tso4) +
           routed(M1, 0, ip(M, OUTSIDE, 6, tcp(4000, 80, ACK)), virtio=needs_csum) +
           routed(M1, 0, ip(M, OUTSIDE, 6, big), flags=NAIVE, virtio=tso4),
    "bad_lengths": routed(M1, 0, ip(M, OUTSIDE, 17, udp(1, 2, b"x"), total=400)) +
                   routed(M1, 0, ip(M, OUTSIDE, 17, udp(1, 2, b"x"), total=19)) +
                   routed(M1, 0, ip(M, OUTSIDE, 17, udp(1, 2, b"x", size=7))) +
                   routed(R1, 1, ip(R, OUTSIDE, 17, udp(1, 2, b"x", size=300))) +
                   routed(R1, 1, ip(R, OUTSIDE, 6, tcp(1, 2, SYN)[:12])) +
                   routed(R1, 1, ip(R, OUTSIDE, 17, udp(1, 2, b"x"), options=b"\x83\x07\x04\xc0\xa8\x65\x14\0")) +
                   frame(R1, bytes(13)) + frame(R1, b""),
    "truncated": ask(M1, GUEST[M1], M, "192.168.100.1") + frame(M1, query[:40], size=1500),
    "route_and_resolve": routed(R1, 1, ip(R, "192.168.101.77", 17, udp(1, 2, b"held")), flags=MANY) +
                         reply(R2, GATEWAY[1], GUEST[R2], "192.168.101.77", "192.168.101.1") +
                         routed(R1, 1, ip(R, "192.168.101.78", 17, udp(1, 2, b"held"))) + wait(5_000) +
                         outside(ip(OUTSIDE, "192.168.101.79", 17, udp(1, 2, b"in"))) +
                         outside(ip(OUTSIDE, "198.18.5.5", 17, udp(1, 2, b"in"), ttl=1)) +
                         outside(ip(OUTSIDE, R, 17, udp(1, 2, b"in"))) + wait(60_000) +
                         outside(ip(OUTSIDE, R, 17, udp(1, 2, bytes(1400)))),
    "isolated": routed(A1, 2, ip(A, OUTSIDE, 17, udp(1, 2, b"x"))) + routed(A1, 2, ip(A, R, 17, udp(1, 2, b"x"))) +
                routed(A1, 2, ip(A, "192.168.102.31", 17, udp(1, 2, b"x"))) +
                routed(R1, 1, ip(R, A, 17, udp(1, 2, b"x"))) + outside(ip(OUTSIDE, A, 17, udp(1, 2, b"x"))) +
                routed(M1, 0, ip(M, A, 17, udp(1, 2, b"x"))) +
                settings(16) + frame(A1, ether(ALL, GUEST[A1], 0x88b5, b"x")),
    "changes": flow + frame(M2, ether(GUEST[M1], GUEST[M2], 0x88b5, bytes(300)), flags=LATER) + settings(1) +
               frame(M1, query) + settings(6) + flow + settings(0xf8) + flow +
               routed(M1, 0, ip(M, "198.51.100.7", 17, udp(1, 2, b"x"))) + FORGET_MASKED + flow + FORGET_UPLINK +
               bytes([PORT_DOWN | WAN]) + flow + bytes([PORT_UP | WAN]) + flow + wait(400_000),
    "from_control": b"\xc0" + struct.pack("<H", len(discover)) + discover + b"\xc3" +
                    struct.pack("<H", len(query)) + query + frame(M1, query) + settings(2) + ANSWER,
}
UDP_FRAME = {
    "discover": b"\0" + discover,
    "query": b"\1" + query,
    "partial": b"\2" + query,
    "options": b"\1" + ether(GATEWAY[0], PEER, 0x0800, ip(M, R, 17, udp(1, 53, DNS), options=bytes(8))),
    "padded": b"\1" + ether(GATEWAY[0], PEER, 0x0800, ip(M, R, 17, udp(1, 53, b"x")) + bytes(17)),
    "long": b"\1" + ether(GATEWAY[0], PEER, 0x0800, ip(M, R, 17, udp(1, 53, b"x", size=1000))),
    "fragment": b"\1" + ether(GATEWAY[0], PEER, 0x0800, ip(M, R, 17, udp(1, 53, b"x"), fragment=0x2000)),
}

for folder, files in ("corpus_pipeline", PIPELINE), ("corpus_udp_frame", UDP_FRAME):
    for name, data in files.items():
        (Path(__file__).parent / folder / name).write_bytes(data)
