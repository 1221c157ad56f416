"""USB devices that a killed QEMU left without a driver: who the kernel is asked to look for."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from phyllome_seat.model.value import replace
from phyllome_seat.system import child_write
from phyllome_seat.system.give_back import give_back
from phyllome_seat.system.scan_usb import read_usb_device
from phyllome_seat.system.sysfs import Sysfs
from tests.system.device_trees import interface, pci, root_hub, usb
from tests.system.test_lending import BUS, XHCI
from tests.system.trees import make_tree

PROBE = "sys/bus/usb/drivers_probe"


@contextmanager
def kernel(root, has_driver=True):
    """The kernel, that has looked for the driver of an interface as the write of it ends.

    What it was asked is given.
    """
    asked: list[str] = []

    class Write:
        def __init__(self, path):
            assert path == str(root / PROBE)

        def finish(self, text, timeout_s):
            asked.append(text)
            if has_driver:
                (root / "sys/bus/usb/devices" / text / "driver").symlink_to("../usbhid")
            return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child_write, "ChildWrite", Write)
        yield asked


@pytest.fixture
def keyboard(tmp_path):
    """A keyboard whose second interface alone has a driver still."""
    path = f"{BUS}/1-7"
    files = pci(XHCI, identity="8086:7AE0", class_code="C0330", driver="xhci_hcd")
    files |= root_hub(XHCI, 1) | usb(path, product="627/1/100", number=9)
    files |= interface(f"{path}/1-7:1.0", "3/1/1")
    files |= interface(f"{path}/1-7:1.1", "3/0/0", driver="usbhid")
    sysfs = make_tree(tmp_path, files)
    (tmp_path / f"sys/devices/{path}/1-7:1.1/driver").symlink_to("../usbhid")
    return read_usb_device(sysfs, "1-7")


def test_an_interface_without_a_driver_gets_the_one_that_the_kernel_has(tmp_path, keyboard):
    with kernel(tmp_path) as asked:
        first = give_back(keyboard, Sysfs(str(tmp_path)))
        again = give_back(keyboard, Sysfs(str(tmp_path)))

    assert (first, again) == (True, False)
    assert asked == ["1-7:1.0"]


def test_what_no_driver_takes_is_left_as_it_is(tmp_path, keyboard):
    with kernel(tmp_path, has_driver=False) as asked:
        assert not give_back(keyboard, Sysfs(str(tmp_path)))

    assert asked == ["1-7:1.0"]


def test_another_device_that_is_plugged_in_there_by_now_is_not_touched(tmp_path, keyboard):
    with kernel(tmp_path) as asked:
        assert not give_back(replace(keyboard, number=8), Sysfs(str(tmp_path)))
        assert not give_back(replace(keyboard, sysname="1-6"), Sysfs(str(tmp_path)))

    assert asked == []
