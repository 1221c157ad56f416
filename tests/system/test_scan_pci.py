from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import Link as PciLink
from phyllome_seat.model.devices import PciDevice
from phyllome_seat.system.scan_pci import read_pci
from phyllome_seat.system.sysfs import Sysfs
from tests.system.device_trees import pci
from tests.system.trees import Link, make_tree

ADDRESS = PciAddress.parse("0000:01:00.0")
BRIDGE = PciAddress.parse("0000:00:01.0")
GPU = "pci0000:00/0000:00:01.0/0000:01:00.0"
NAMES = (
    "E:ID_VENDOR_FROM_DATABASE=NVIDIA Corporation\n"
    "E:ID_MODEL_FROM_DATABASE=AD104 [GeForce RTX 4070]\n"
)
ATTRIBUTES = (
    *("uevent", "vendor", "device", "class", "revision", "driver_override", "boot_vga"),
    *("reset_method", "sriov_totalvfs", "sriov_numvfs", "numa_node"),
    *("max_link_speed", "max_link_width", "current_link_speed", "current_link_width"),
)


def read_gpu(tmp_path, **facts):
    return read_pci(make_tree(tmp_path, pci(GPU, **facts)))[0]


def test_a_function_is_read_whole(tmp_path):
    device = read_gpu(
        tmp_path,
        driver="nvidia",
        udev=NAMES,
        revision="0xa1\n",
        driver_override="vfio-pci\n",
        iommu_group="sys/kernel/iommu_groups/14",
        boot_vga="1\n",
        reset_method="flr bus\n",
        sriov_totalvfs="7\n",
        sriov_numvfs="2\n",
        numa_node="1\n",
        max_link_speed="16.0 GT/s PCIe\n",
        max_link_width="16\n",
        current_link_speed="2.5 GT/s PCIe\n",
        current_link_width="8\n",
    )

    assert device == PciDevice(
        address=ADDRESS,
        id=PciId(0x10DE, 0x2786, 0x1043, 0x88E2),
        class_code=0x030000,
        revision=0xA1,
        vendor_name="NVIDIA Corporation",
        device_name="AD104 [GeForce RTX 4070]",
        driver="nvidia",
        override="vfio-pci",
        iommu_group=14,
        boot_vga=True,
        reset_methods=("flr", "bus"),
        vfs=2,
        vfs_max=7,
        numa_node=1,
        link=PciLink(2.5, 8, 16.0, 16),
        parent=BRIDGE,
    )


def test_what_the_machine_does_not_say_is_none(tmp_path):
    assert read_gpu(tmp_path, subsystem="0000:0000") == PciDevice(
        address=ADDRESS, id=PciId(0x10DE, 0x2786), class_code=0x030000, parent=BRIDGE
    )


@pytest.mark.parametrize("text", ["(null)\n", "\n", ""])
def test_an_override_that_is_not_set_is_none(tmp_path, text):
    assert read_gpu(tmp_path, driver_override=text).override is None


def test_no_numa_node_is_none(tmp_path):
    assert read_gpu(tmp_path, numa_node="-1\n").numa_node is None


def test_no_reset_method_at_all_is_known(tmp_path):
    assert read_gpu(tmp_path, reset_method="\n").reset_methods == ()


@pytest.mark.parametrize(
    ("speed", "width", "link"),
    [
        ("Unknown", "0", PciLink(0.0, 0, 8.0, 4)),
        ("5 GT/s", "63", PciLink(5.0, 63, 8.0, 4)),
        ("Unknown speed", "", PciLink(0.0, 0, 8.0, 4)),
    ],
)
def test_a_link_that_is_down_still_has_its_best(tmp_path, speed, width, link):
    device = read_gpu(
        tmp_path,
        max_link_speed="8.0 GT/s PCIe\n",
        max_link_width="4\n",
        current_link_speed=speed,
        current_link_width=width,
    )

    assert device.link == link


def test_a_function_without_a_link_has_none(tmp_path):
    assert read_gpu(tmp_path, max_link_speed="Unknown\n", max_link_width="0\n").link is None


def test_a_domain_may_have_32_bits(tmp_path):
    path = "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0"

    (device,) = read_pci(make_tree(tmp_path, pci(path)))

    assert str(device.address) == "10000:e1:00.0"
    assert str(device.parent) == "10000:e0:06.0"


def test_a_virtual_function_knows_its_physical_one(tmp_path):
    virtual = pci("pci0000:00/0000:01:00.1", physfn="sys/devices/pci0000:00/0000:01:00.0")

    (device,) = read_pci(make_tree(tmp_path, virtual))

    assert device.physical_function == ADDRESS


def test_functions_come_in_the_order_of_lspci(tmp_path):
    names = ["10000:00:00.0", "0000:80:00.0", "0000:00:1f.0", "0000:00:02.0"]
    files = {}
    for name in names:
        files |= pci(f"pci/{name}")

    assert [str(d.address) for d in read_pci(make_tree(tmp_path, files))] == names[::-1]


def test_a_function_that_vanishes_is_left_out(tmp_path):
    files = pci(GPU) | {"sys/bus/pci/devices/0000:02:00.0": Link("sys/devices/gone")}

    assert [device.address for device in read_pci(make_tree(tmp_path, files))] == [ADDRESS]


def test_a_name_cannot_move_the_cursor(tmp_path):
    name = "E:ID_MODEL_FROM_DATABASE=evil\x1b[2J\x07\u202eeman " + "x" * 500 + "\n"

    device = read_gpu(tmp_path, udev=name)

    assert device.device_name is not None
    assert device.device_name.startswith("evil [2J  eman xxx")
    assert len(device.device_name) <= 126


def test_a_function_being_unbound_is_read_without_waiting_for_its_lock(tmp_path):
    files = pci(GPU, driver="nvidia", driver_override="vfio-pci\n", sriov_totalvfs="7\n")
    folder = f"sys/devices/{GPU}"
    lock_free = {"vendor": "0x10de", "device": "0x2786", "class": "0x030000"}
    lock_free |= {"subsystem_vendor": "0x1043", "subsystem_device": "0x88e2"}
    files |= {f"{folder}/{name}": value + "\n" for name, value in lock_free.items()}
    files |= {f"{folder}/sriov_numvfs": "1\n"}
    tree = make_tree(tmp_path, files)
    (free,) = read_pci(tree)
    read = Opened(tree.root)

    (locked,) = read_pci(read, locked={ADDRESS})

    assert not read.opened & {f"{folder}/{name}" for name in ("uevent", "driver_override")}
    assert f"{folder}/sriov_numvfs" not in read.opened
    assert (locked.id, locked.class_code, locked.driver) == (free.id, free.class_code, "nvidia")
    assert (locked.override, locked.vfs) == (None, None)


class Opened(Sysfs):
    """A machine that keeps what was read of it."""

    def __init__(self, root):
        super().__init__(root)
        self.opened = set()

    def read_bytes(self, path):
        self.opened.add(path)
        return super().read_bytes(path)


@settings(max_examples=50)  # a tree of files for each
@given(st.dictionaries(st.sampled_from(ATTRIBUTES), st.binary(max_size=60)))
def test_any_bytes_in_any_attribute_are_read_or_left_out(attributes):
    folder = f"sys/devices/{GPU}"
    files = pci(GPU) | {f"{folder}/{name}": value for name, value in attributes.items()}
    with tempfile.TemporaryDirectory() as root:
        for device in read_pci(make_tree(Path(root), files)):
            assert device.address == ADDRESS


@settings(max_examples=50)  # a tree of files for each
@given(
    st.text(st.sampled_from("0123456789abcdefABCDEF:=\n-+_x PCI_IDCLASSSUBSYSDRIVER"), max_size=99)
)
def test_any_uevent_is_read_or_left_out(text):
    with tempfile.TemporaryDirectory() as root:
        read_pci(make_tree(Path(root), pci(GPU) | {f"sys/devices/{GPU}/uevent": text}))
