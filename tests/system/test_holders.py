"""Who holds a function: real open files on this machine, named by a made-up tree."""

import subprocess
from pathlib import Path

import pytest

from phyllome_seat.model.address import PciAddress, UsbId
from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.value import replace
from phyllome_seat.system.holders import find_holders, find_nodes, find_usb_holders
from phyllome_seat.system.sysfs import Sysfs
from tests.system.own_node import OwnNode

ADDRESS = PciAddress.parse("0000:01:00.0")


class Tree:
    """One PCI function in a folder, with device nodes below it."""

    def __init__(self, root: Path):
        self.root = root
        self.function = root / f"sys/devices/pci0000:00/{ADDRESS}"
        self.function.mkdir(parents=True)
        bus = root / "sys/bus/pci/devices"
        bus.mkdir(parents=True)
        (bus / str(ADDRESS)).symlink_to(f"../../../devices/pci0000:00/{ADDRESS}")

    def node(self, folder, subsystem, number, name=None):
        path = self.function / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / "dev").write_text(f"{number}\n")
        (path / "subsystem").symlink_to(f"/sys/class/{subsystem}")
        (path / "uevent").write_text(f"MAJOR=1\nDEVNAME={name or path.name}\n")

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def holders(self):
        return find_holders(Sysfs(str(self.root)), ADDRESS)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def closed():
    """A node that nobody has open."""
    node = OwnNode()
    yield node
    node.close()


@pytest.fixture
def held(closed):
    """A node that this process has open."""
    with closed:
        yield closed


@pytest.mark.parametrize(
    ("folder", "subsystem"),
    [
        ("sound/card1/controlC1", "sound"),
        ("skl_hda_dsp_generic/sound/card1/controlC1", "sound"),
        ("drm/card1", "drm"),
        ("drm/renderD129", "drm"),
        ("drm/card1/card1-DP-1/i2c-7/i2c-dev/i2c-7", "i2c-dev"),
        ("graphics/fb0", "graphics"),
        ("vfio-dev/vfio0", "vfio-dev"),
    ],
)
def test_an_open_node_of_the_function_is_held_by_its_process(tree, held, folder, subsystem):
    tree.node(folder, subsystem, held.number)

    assert tree.holders() == (held.holder,)


def test_a_node_that_nobody_has_open_is_not_held(tree, closed):
    tree.node("sound/card1/controlC1", "sound", closed.number)

    assert tree.holders() == ()


@pytest.mark.parametrize(
    ("folder", "subsystem"),
    [
        ("usb1/1-2/1-2:1.0/input/input7/event7", "input"),
        ("usb1/1-2/1-2:1.0/sound/card2/controlC2", "sound"),
        ("usb1/1-2", "usb"),
        ("usb1/1-2/1-2:1.0/0003:046D:C52B.0001/hidraw/hidraw0", "hidraw"),
    ],
)
def test_what_may_be_pulled_out_at_any_time_does_not_hold(tree, held, folder, subsystem):
    tree.node(folder, subsystem, held.number)

    assert tree.holders() == ()


def test_a_node_is_known_by_its_number_whatever_its_name(tree, held):
    tree.node("sound/card1/controlC1", "sound", held.number, name="snd/controlC1")
    tree.node("sound/card1/pcmC1D0p", "sound", "116:77", name=held.name)

    assert find_nodes(Sysfs(str(tree.root)), ADDRESS)[0].name == "snd/controlC1"
    assert tree.holders() == (held.holder,)


def test_a_block_device_is_not_the_character_device_of_the_same_number(tree, held):
    tree.node("nvme/nvme0/nvme0n1", "block", held.number)

    assert tree.holders() == ()


def test_the_holder_is_found_in_another_process_and_gone_with_it(tree, closed):
    tree.node("sound/card1/controlC1", "sound", closed.number)
    with Path(closed.path).open() as node:
        process = subprocess.Popen(["sleep", "60"], stdin=node)

    assert tree.holders() == (f"pid {process.pid} (sleep)",)
    process.kill()
    process.wait()
    assert tree.holders() == ()


def test_a_guest_holds_a_function_by_its_group(tree, held):
    (tree.function / "iommu_group").symlink_to("/sys/kernel/iommu_groups/14")
    (tree.function / "driver").symlink_to("/sys/bus/pci/drivers/vfio-pci")
    tree.write("sys/class/vfio/14/dev", f"{held.number}\n")

    assert tree.holders() == (held.holder,)


def test_the_group_of_a_function_with_its_own_driver_is_another_s(tree, held):
    (tree.function / "iommu_group").symlink_to("/sys/kernel/iommu_groups/14")
    (tree.function / "driver").symlink_to("/sys/bus/pci/drivers/snd_hda_intel")
    tree.write("sys/class/vfio/14/dev", f"{held.number}\n")

    assert tree.holders() == ()


def test_a_mounted_disk_is_held_also_where_the_file_system_has_its_own_number(tree):
    tree.node("usb1/1-2/host6/target6/6:0:0:0/block/sdb/sdb1", "block", "8:17")
    tree.node("usb1/1-2/host6/target6/6:0:0:0/block/sdb/sdb2", "block", "8:18")
    tree.write(
        "proc/self/mountinfo",
        "25 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
        "80 25 8:17 / /media/my\\040stick rw,nosuid shared:9 - vfat /dev/sdb1 rw\n"
        "81 25 0:55 /@ /srv rw - btrfs /dev/sdb2 rw\n",
    )

    assert tree.holders() == ("a mount at /media/my stick", "a mount at /srv")


def test_a_disk_in_a_volume_or_with_swap_is_held(tree):
    tree.node("ata1/block/sdb", "block", "8:16")
    tree.node("ata1/block/sdb/sdb2", "block", "8:18")
    (tree.function / "ata1/block/sdb/holders/dm-3").mkdir(parents=True)
    tree.write("sys/class/block/dm-3/dm/name", "vg0-home\n")
    tree.write("proc/swaps", "Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2\n")

    assert tree.holders() == ("swap on /dev/sdb2", "the volume vg0-home")


def test_a_disk_of_a_usb_device_is_held_by_what_has_it_whatever_its_class(tree):
    tree.node("usb1/1-2/1-2:1.0/mmc_host/mmc0/block/mmcblk0", "block", "179:0")
    tree.write("proc/self/mountinfo", "80 25 179:0 / /card rw - vfat /dev/mmcblk0 rw\n")
    devices = tree.root / "sys/bus/usb/devices"
    devices.mkdir(parents=True)
    (devices / "1-2").symlink_to(f"../../../devices/pci0000:00/{ADDRESS}/usb1/1-2")
    reader = UsbDevice("1-2", None, UsbId(0x0BDA, 0x0129), 1, 5, interfaces=("ff0650",))

    def holders(device):
        return find_usb_holders(Sysfs(str(tree.root)), device)

    assert holders(reader) == holders(replace(reader, interfaces=("080650",)))
    assert holders(reader) == ("a mount at /card",)
    assert holders(replace(reader, interfaces=("030101",))) == ()  # not looked through
    assert holders(replace(reader, sysname="1-3")) == ()


def test_nvidia_s_own_node_counts(tree):
    tree.write(
        f"proc/driver/nvidia/gpus/{ADDRESS}/information",
        "Model: \t\t NVIDIA GeForce RTX 4070\nDevice Minor: \t 1\n",
    )

    (node,) = find_nodes(Sysfs(str(tree.root)), ADDRESS)

    assert (node.number, node.name) == ("195:1", "nvidia1")


def test_a_function_that_is_not_there_is_not_held(tmp_path):
    assert find_holders(Sysfs(str(tmp_path)), ADDRESS) == ()
