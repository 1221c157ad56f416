"""`scan` on a real kernel with a real udev, against what the PC was built of and other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phyllome_seat.lab.describe import read_description
from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.host_json import parse_host

pytestmark = pytest.mark.lab

SETS = {"TAGS": ":", "CURRENT_TAGS": ":", "DEVLINKS": " "}
ROOT = Path(__file__).parents[2]
READ_UDEV = """
import json, os
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import read_udev
entries = {name: read_udev(Sysfs(), name) for name in os.listdir("/run/udev/data")}
print(json.dumps({n: [e.properties, e.links, e.tags] for n, e in entries.items()}))
"""


@pytest.fixture(scope="module")
def pc(open_pc):
    with open_pc(read_description(ROOT / "examples/two-seat-gaming-pc/pc.yaml")) as pc:
        yield pc


@pytest.fixture(scope="module")
def host(pc):
    return parse_host(pc.run("phyllome-seat scan --json").stdout)


def functions(host, address):
    return {d.address.function: d for d in host.functions_of(PciAddress.parse(address))}


def read_both(pc):
    """Return the database as udev exports it and as we read it, while it stood still."""
    pc.put("/root/read_udev.py", READ_UDEV.encode())
    after, entries = {}, ""
    for _ in range(10):
        before = after
        after = parse_export(pc.run("udevadm settle; udevadm info --export-db").stdout)
        if before == after:
            return after, json.loads(entries)
        entries = pc.run("/opt/phyllome-seat/bin/python /root/read_udev.py").stdout
    raise AssertionError("udev's database does not stand still")


def test_udevs_database_is_read_as_udev_reads_it(pc):
    exported, entries = read_both(pc)
    compared = 0

    for name, device in exported.items():
        properties, links, tags = entries.get(name, ({}, [], []))
        theirs = {k: v for k, v in device["E"].items() if k.startswith("ID_")}
        assert {k: v for k, v in properties.items() if k.startswith("ID_")} == theirs, name
        assert set(links) == device["S"], name
        assert set(tags) == set(device["E"].get("CURRENT_TAGS", "").split(":")) - {""}, name
        compared += bool(theirs)
    assert compared > 30


def parse_export(text):
    """Return the devices that udev exports, by the name of their file in its database."""
    devices = {}
    for block in text.strip().split("\n\n"):
        lines = [line.split(": ", 1) for line in block.split("\n")]
        facts = dict(value.split("=", 1) for kind, value in lines if kind == "E")
        for key, mark in SETS.items():  # in another order each time: they are sets in udevadm
            facts[key] = mark.join(sorted(facts.get(key, "").split(mark)))
        path = facts["DEVPATH"]
        name = f"+{facts['SUBSYSTEM']}:{path.rpartition('/')[2]}"
        if "IFINDEX" in facts:
            name = f"n{facts['IFINDEX']}"
        elif "MAJOR" in facts:
            kind = "b" if facts["SUBSYSTEM"] == "block" else "c"
            name = f"{kind}{facts['MAJOR']}:{facts['MINOR']}"
        devices[name] = {"E": facts, "S": {value for kind, value in lines if kind == "S"}}
    return devices


def test_every_function_is_what_lspci_sees(pc, host):
    lines = [line.split() for line in pc.run("lspci -D -n").stdout.splitlines()]

    assert [
        [str(d.address), f"{d.class_code >> 8:04x}:", f"{d.id.vendor:04x}:{d.id.device:04x}"]
        for d in host.pci
    ] == [line[:3] for line in lines]
    assert all(device.iommu_group is not None for device in host.pci)


def test_names_are_those_of_the_hardware_database(pc, host):
    controller = functions(host, pc.address("left-usb"))[0]

    assert controller.vendor_name == "Red Hat, Inc."
    assert "XHCI" in controller.device_name


def test_each_card_has_its_own_monitor(pc, host):
    for card, name, serial in (
        ("console", "Host screen", "H0001"),
        ("left", "DELL U2720Q", "8KTXF13"),
        ("right", "LG ULTRAGEAR", "104NTAB"),
    ):
        address = PciAddress.parse(pc.address(card))
        monitors = [c.monitor for c in host.connectors if c.gpu == address and c.connected]
        assert [(m.name, m.serial) for m in monitors] == [(name, serial)]


def test_what_is_plugged_in_is_at_its_place(pc, host):
    places = {d.serial: (str(d.port.controller), d.port.ports) for d in host.usb}

    for controller, serial, port in (
        ("host-usb", "HK1", 1),
        ("left-usb", "LK1", 1),
        ("left-usb", "LT1", 2),
        ("right-usb", "RK1", 1),
        ("right-usb", "RT1", 2),
    ):
        assert places[serial] == (pc.address(controller), (port,))


def test_both_speeds_of_a_socket_are_one(pc, host):
    left = PciAddress.parse(pc.address("left-usb"))
    sockets = [s for s in host.sockets if s.ports[0].controller == left]

    assert sockets
    for socket in sockets:
        assert [port.speed for port in socket.ports] == ["usb2", "usb3"]


def test_keyboards_and_tablets_are_traced_to_their_controllers(pc, host):
    for controller in ("left-usb", "right-usb"):
        address = PciAddress.parse(pc.address(controller))
        found = [d for d in host.inputs if d.pci == address]
        assert any(d.is_keyboard and d.usb.ports == (1,) for d in found)
        assert any("mouse" in d.kinds and d.usb.ports == (2,) for d in found)
