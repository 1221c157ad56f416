from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress
from phyllome_seat.system.scan_drm import read_connectors
from tests.system.device_trees import connector, edid
from tests.system.trees import make_tree

CARD = "pci0000:00/0000:00:01.0/0000:01:00.0/drm/card1"
GPU = PciAddress.parse("0000:01:00.0")


def read(tmp_path, *parts):
    files = {}
    for part in parts:
        files |= part
    return read_connectors(make_tree(tmp_path, files))


def test_a_connector_has_its_gpu_and_monitor(tmp_path):
    (dp,) = read(
        tmp_path,
        connector(f"{CARD}/card1-DP-1", enabled="enabled\n", edid=edid(name="DELL U2720Q")),
    )

    assert (dp.gpu, dp.name, dp.connected, dp.enabled) == (GPU, "DP-1", True, True)
    assert dp.monitor is not None
    assert (dp.monitor.maker, dp.monitor.name) == ("DEL", "DELL U2720Q")


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xff", bytes(128), b"\xff" * 300])
def test_a_broken_edid_is_a_connector_without_a_monitor(tmp_path, content):
    (dp,) = read(tmp_path, connector(f"{CARD}/card1-DP-1", edid=content))

    assert (dp.connected, dp.monitor) == (True, None)


@pytest.mark.parametrize(
    ("status", "connected"), [("connected", True), ("disconnected", False), ("unknown", None)]
)
def test_unknown_is_not_disconnected(tmp_path, status, connected):
    (dp,) = read(tmp_path, connector(f"{CARD}/card1-DP-1", status=status))

    assert dp.connected is connected


def test_a_connector_that_records_pictures_is_no_socket(tmp_path):
    found = read(
        tmp_path,
        connector(f"{CARD}/card1-Writeback-1", status="unknown"),
        connector(f"{CARD}/card1-HDMI-A-1"),
    )

    assert [c.name for c in found] == ["HDMI-A-1"]


def test_a_gpu_that_is_not_pci_is_left_out(tmp_path):
    assert read(tmp_path, connector("platform/vkms/drm/card0/card0-Virtual-1")) == ()


def test_a_gpu_behind_a_virtual_bus_is_found(tmp_path):
    virtio = "pci0000:00/0000:00:02.0/virtio0/drm/card0/card0-Virtual-1"

    (virtual,) = read(tmp_path, connector(virtio))

    assert str(virtual.gpu) == "0000:00:02.0"


def test_64_gpus_are_64_gpus(tmp_path):
    files = {}
    for n in range(64):
        path = f"pci0000:00/0000:{n + 1:02x}:00.0/drm/card{n}"
        files |= connector(f"{path}/card{n}-DP-1", edid=edid(name=f"monitor {n}"))

    found = read(tmp_path, files)

    assert [c.gpu.bus for c in found] == list(range(1, 65))
    assert [c.monitor.name for c in found] == [f"monitor {n}" for n in range(64)]


@settings(max_examples=50)  # a tree of files for each
@given(
    st.dictionaries(st.sampled_from(("status", "enabled", "edid")), st.binary(max_size=300)),
)
def test_any_bytes_in_any_attribute_are_read(attributes):
    files = connector(f"{CARD}/card1-DP-1")
    files |= {f"sys/devices/{CARD}/card1-DP-1/{name}": value for name, value in attributes.items()}
    with tempfile.TemporaryDirectory() as root:
        (dp,) = read_connectors(make_tree(Path(root), files))
    assert (dp.gpu, dp.name) == (GPU, "DP-1")
