#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libvirt's own network `default`, as `virsh net-dumpxml` prints it: imported, served, dumped again."""

import re

from checks import check, check_equal, need, run_script, section
from clients import DhcpClient, dig
from lab import GATEWAY, WAN_ADDRESS, WEB, Lab, wan
import json

XML = """<network>
  <name>default</name>
  <uuid>6e0f5dc4-9a59-4a92-a4c1-cbf0a1a3cbcc</uuid>
  <forward mode='nat'>
    <nat>
      <port start='20000' end='29999'/>
    </nat>
  </forward>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:6a:1c:01'/>
  <dns>
    <host ip='192.168.122.77'>
      <hostname>printer</hostname>
    </host>
  </dns>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
      <host mac='52:54:00:aa:bb:cc' name='fixed' ip='192.168.122.10'/>
    </dhcp>
  </ip>
</network>
"""


def canonical(xml):
    """The XML without what only a running libvirt adds, and white space evened out."""
    return re.sub(r"\s+", " ", xml.replace('"', "'")).strip()


def test():
    need("dig")
    with Lab() as lab:
        weftd, guest = lab.weftd, lab.tap_guest("c1")
        lab.inet.serve_pages()
        with open(f"{lab.dir}/default.xml", "w", encoding="utf-8") as file:
            file.write(XML)

        section("import")
        result = weftd.cli("import", f"{lab.dir}/default.xml")
        check_equal("weft import", result.code, 0)
        check("starts with networks:", result.out.startswith("networks:\n"), result.out)
        yaml = result.out + f"uplinks:\n  - {json.dumps(wan())}\nports:\n  - {json.dumps(guest.port)}\n"
        weftd.start(yaml)

        section("the same network")
        info = weftd.ask("net-info", "default")
        check_equal("uuid", info["uuid"], "6e0f5dc4-9a59-4a92-a4c1-cbf0a1a3cbcc")
        check_equal("bridge", (info["bridge"], info["forward"]), ("virbr0", "nat"))
        check_equal("its MAC", lab.host.mac("virbr0"), "52:54:00:6a:1c:01")
        check_equal("its address", lab.host.addresses("virbr0"), [f"{GATEWAY}/24"])
        guest.wait_link()
        guest.run("ip", "link", "set", guest.interface, "address", "52:54:00:aa:bb:cc")
        lease = DhcpClient(guest, "dhclient").start().bound()
        check_equal("the static host", lease.address, "192.168.122.10")
        check_equal("a name of <dns>", dig(guest, "printer", "A", GATEWAY).values, ["192.168.122.77"])
        check_equal("the static host's name", dig(guest, "fixed", "A", GATEWAY).values, ["192.168.122.10"])
        guest.fetch(f"http://{WEB}/")
        check_equal("masquerade", lab.inet.web_clients(), {WAN_ADDRESS})
        ports = {c["nat-port"] for c in weftd.ask("conntrack")["connections"] if c["protocol"] == "tcp"}
        check("ports of its range only", ports and all(20000 <= port <= 29999 for port in ports), ports)

        section("and back")
        dumped = weftd.cli("net-dump", "default", "--xml").out
        check_equal("net-dump --xml", canonical(dumped), canonical(XML))
        with open(f"{lab.dir}/again.xml", "w", encoding="utf-8") as file:
            file.write(dumped)
        check_equal("imported again: the same YAML", weftd.cli("import", f"{lab.dir}/again.xml").out, result.out)

        section("refused")
        with open(f"{lab.dir}/odd.xml", "w", encoding="utf-8") as file:
            file.write(XML.replace("  <dns>", "  <teleport/>\n  <dns>"))
        odd = weftd.cli("import", f"{lab.dir}/default.xml", f"{lab.dir}/odd.xml")
        check("an unknown element: exit 2, its line", odd.code == 2 and "odd.xml:11:" in odd.err and "teleport" in odd.err, odd.err)
        check_equal("and nothing on stdout", odd.out, "")


run_script(test)
