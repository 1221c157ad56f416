"""`scan` on machines that were recorded elsewhere, against what udev and people said of them."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from phyllome_seat.model.address import UsbPort
from tests.recorded import GROUPED, MACHINES, recorded

# udev has no kind for these; its own name for a sound jack, "sndjack", went in systemd 218.
GONE_KINDS = {"sndjack"}


@pytest.fixture
def read_with_truth(read_machine):
    """Return what gives the Host of a recorded machine, with udev's answers."""

    def read(name):
        host, root = read_machine(name)
        return host, json.loads((root / "truth.json").read_text())

    return read


def ids(text):
    """Return each id of udev's ``:030101:030102:``."""
    return {word for word in (text or "").split(":") if word}


@pytest.mark.parametrize("name", MACHINES)
def test_every_pci_function_is_the_one_udev_saw(read_with_truth, name):
    host, truth = read_with_truth(name)

    found = {
        str(d.address): (
            f"{d.id.vendor:04x}:{d.id.device:04x}",
            f"{d.class_code:06x}",
            d.driver,
            str(d.parent) if d.parent else None,
        )
        for d in host.pci
    }

    assert found == {
        row["bdf"]: (
            f"{row['vendor']}:{row['device']}",
            row["cls"],
            row["driver"],
            row["parents"][-1] if row["parents"] else None,
        )
        for row in truth["pci"]
    }
    assert [str(d.address) for d in host.pci if d.is_gpu] == sorted(truth["gpus"])
    controllers = [d for d in host.pci if d.is_usb_controller]
    assert [(str(d.address), f"{d.class_code & 0xFF:02x}") for d in controllers] == [
        (row["bdf"], row["prog_if"])
        for row in sorted(truth["usb_controllers"], key=lambda row: row["bdf"])
        if row["prog_if"] != "40"  # a USB4 host interface: its USB is another function's
    ]


def expected_port(row, root_hubs):
    if row["controller"] is None:
        return None
    bus, _, chain = row["name"].partition("-")
    speed = "usb3" if root_hubs["usb" + bus]["pid"] == "0003" else "usb2"
    return UsbPort.parse(f"{row['controller']}/{speed}/{chain}")


@pytest.mark.parametrize("name", MACHINES)
def test_every_usb_device_is_where_udev_saw_it(read_with_truth, name):
    host, truth = read_with_truth(name)
    root_hubs = {row["name"]: row for row in truth["usb_devices"] if row["root_hub"]}
    rows = {row["name"]: row for row in truth["usb_devices"] if not row["root_hub"]}

    assert {d.sysname: (str(d.id), d.bus, d.number, d.port) for d in host.usb} == {
        row["name"]: (
            f"{row['vid']}:{row['pid']}",
            int(row["busnum"]),
            int(row["devnum"]),
            expected_port(row, root_hubs),
        )
        for row in rows.values()
    }
    for device in host.usb:
        # udev lists every alternate setting, sysfs the one in use
        assert set(device.interfaces) <= ids(rows[device.sysname]["interfaces"])
        assert bool(device.interfaces) == bool(rows[device.sysname]["interfaces"])


@pytest.mark.parametrize("name", MACHINES)
def test_every_input_device_is_what_and_where_udev_said(read_with_truth, name):
    host, truth = read_with_truth(name)

    found = {d.node: (d.name, set(d.kinds), str(d.pci) if d.pci else None) for d in host.inputs}

    assert found == {
        row["node"].removeprefix("/dev/input/"): (
            row["name"],
            set(row["udev_labels"]) - GONE_KINDS,
            row["controller"],
        )
        for row in truth["input"]
    }
    places = {device.sysname: device.port for device in host.usb}
    for row, device in zip(
        sorted(truth["input"], key=lambda r: int(r["node"].removeprefix("/dev/input/event"))),
        host.inputs,
        strict=True,
    ):
        assert device.usb == places.get(row["usb_device"])


@pytest.mark.parametrize("name", MACHINES)
def test_every_connector_is_on_the_gpu_udev_saw(read_with_truth, name):
    host, truth = read_with_truth(name)

    assert Counter((c.name, str(c.gpu)) for c in host.connectors) == Counter(
        (row["connector"].partition("-")[2], row["pci"])
        for row in truth["drm_connectors"]
        if "Writeback" not in row["connector"]  # records pictures, is no socket
    )


@pytest.mark.parametrize("name", MACHINES)
def test_people_counted_as_many(read_machine, name):
    host, _ = read_machine(name)
    tests = json.loads(recorded("machines/expected_counts.json").read_text())[name]
    cards = {str(d.address).rpartition(".")[0] for d in host.pci if d.is_gpu}
    found = {
        "VIDEO": len(cards),
        "KEYBOARD": sum(d.is_keyboard for d in host.inputs),
        "MOUSE": sum("mouse" in d.kinds and not d.is_keyboard for d in host.inputs),
        "TOUCHPAD": sum("touchpad" in d.kinds for d in host.inputs),
        "TOUCHSCREEN": sum("touchscreen" in d.kinds for d in host.inputs),
        "ACCELEROMETER": sum("accelerometer" in d.kinds for d in host.inputs),
    }

    for test in tests:
        counted = {kind: test["counts"][kind] for kind in found if kind in test["counts"]}
        assert {kind: found[kind] for kind in counted} == counted


def test_a_true_tree_is_read_as_its_own_files_say(read_machine):
    host, root = read_machine("thinkpad-t60")
    attributes = sorted((root / "sys/bus/pci/devices").iterdir())

    assert [
        (str(d.address), f"0x{d.id.vendor:04x}", f"0x{d.id.device:04x}", f"0x{d.class_code:06x}")
        for d in host.pci
    ] == [
        (f.name, *((f / name).read_text().strip() for name in ("vendor", "device", "class")))
        for f in attributes
    ]
    assert len(host.pci) == 20
    assert {d.sysname: str(d.port) for d in host.usb} == {
        "3-1": "0000:00:1d.2/usb2/1",
        "4-1": "0000:00:1d.3/usb2/1",
        "4-2": "0000:00:1d.3/usb2/2",
        "5-1": "0000:00:1d.7/usb2/1",
        "5-2": "0000:00:1d.7/usb2/2",
    }
    assert len(host.inputs) == 8
    assert [d.name for d in host.inputs if d.is_keyboard] == ["AT Translated Set 2 keyboard"]


@pytest.mark.parametrize("name", GROUPED)
def test_groups_are_those_people_listed(read_machine, name):
    host, _ = read_machine(name)
    expected = json.loads(recorded(f"iommu/{name}.json").read_text())
    truth = expected["truth"]

    assert {str(d.address): d.iommu_group for d in host.pci} == {
        bdf: row["group"] for bdf, row in expected["devices"].items()
    }
    assert (len(host.pci), len(host.groups)) == (truth["n_devices"], truth["n_groups"])
    by_name = {str(d.address): d for d in host.pci}
    assert sorted(a for a, d in by_name.items() if d.is_gpu) == sorted(
        row["bdf"] for row in truth["gpus"]
    )
    for row in truth["gpus"]:
        gpu = by_name[row["bdf"]]
        members = host.group_of(gpu.address)
        others = [d for d in host.functions_of(gpu.address) if d != gpu]
        assert {str(d.address) for d in members} == set(row["group_members"])
        assert {str(d.address) for d in others} == set(row["slot_functions"])
        assert {str(d.address) for d in others if d not in members} == set(
            row["functions_in_other_groups"]
        )
    for row in truth["usb_controllers"]:
        controller = by_name[row["bdf"]]
        assert controller.is_usb_controller
        members = host.group_of(controller.address)
        others = {str(d.address) for d in members if not d.is_bridge and d != controller}
        assert others == set(row["others"])
