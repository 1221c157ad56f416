from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import InputDevice
from phyllome_seat.system.scan_input import read_inputs
from phyllome_seat.system.scan_usb import read_usb
from tests.system.device_trees import event, root_hub, usb
from tests.system.trees import make_tree

XHCI = "pci0000:00/0000:00:14.0"
KEYBOARD = f"{XHCI}/usb1/1-2/1-2.3/1-2.3:1.0/0003:046D:C52B.0001/input/input9"
PLUGGED = root_hub(XHCI, 1) | usb(f"{XHCI}/usb1/1-2", device_class="9/0/2")
PLUGGED |= usb(f"{XHCI}/usb1/1-2/1-2.3")
ALL_KEYS = "feffffdfffefffff fffffffffffffffe"


def read(tmp_path, *parts):
    files = {}
    for part in parts:
        files |= part
    tree = make_tree(tmp_path, files)
    return read_inputs(tree, read_usb(tree)[0])


def test_an_input_device_is_read_whole(tmp_path):
    files = event(
        KEYBOARD,
        5,
        name="Logitech K400",
        udev="E:ID_INPUT=1\nE:ID_INPUT_KEY=1\nE:ID_INPUT_KEYBOARD=1\nE:ID_SEAT=seat-left\n",
    )
    files[f"sys/devices/{KEYBOARD}/phys"] = "usb-0000:00:14.0-2.3/input0\n"
    files[f"sys/devices/{KEYBOARD}/uniq"] = "\n"

    assert read(tmp_path, PLUGGED, files) == (
        InputDevice(
            node="event5",
            name="Logitech K400",
            kinds=("key", "keyboard"),
            bus_type=3,
            vendor=0x046D,
            product=0xC52B,
            version=0x0111,
            phys="usb-0000:00:14.0-2.3/input0",
            usb=UsbPort.parse("0000:00:14.0/usb2/2.3"),
            pci=PciAddress.parse("0000:00:14.0"),
            seat="seat-left",
        ),
    )


def test_udevs_word_is_taken_over_the_bitmaps(tmp_path):
    udev = "E:ID_INPUT=1\nE:ID_INPUT_KEY=0\nE:ID_INPUT_TRACKBALL=1\nE:ID_INPUT_WIDTH_MM=1\n"

    (device,) = read(tmp_path, PLUGGED, event(KEYBOARD, 5, udev=udev, ev="3", key=ALL_KEYS))

    assert device.kinds == ("trackball",)


def test_without_udev_the_bitmaps_tell(tmp_path):
    (device,) = read(tmp_path, PLUGGED, event(KEYBOARD, 5, ev="120013", key=ALL_KEYS))

    assert device.kinds == ("key", "keyboard")
    assert device.is_keyboard


def test_of_one_that_was_read_before_what_may_change_is_read_again(tmp_path):
    files = event(KEYBOARD, 5, udev="E:ID_INPUT=1\nE:ID_INPUT_KEY=1\n")
    known = {}
    tree = make_tree(tmp_path / "first", PLUGGED | files)
    (first,) = read_inputs(tree, (), known)  # as what is plugged in may not be known yet
    assert first.usb is None

    files |= event(KEYBOARD, 5, name="Another", udev="E:ID_INPUT=1\nE:ID_SEAT=seat-left\n")
    files |= event(KEYBOARD.replace("input9", "input11"), 6)
    tree = make_tree(tmp_path / "then", PLUGGED | files)
    again, other = read_inputs(tree, read_usb(tree)[0], known)
    assert (again.name, again.kinds, again.seat) == (first.name, (), "seat-left")
    assert again.usb == other.usb is not None
    assert len(known) == 2


def test_a_device_of_the_board_has_no_usb_place(tmp_path):
    board = "platform/i8042/serio0/input/input4"

    (device,) = read(tmp_path, event(board, 4))

    assert (device.usb, device.pci) == (None, None)


def test_a_sound_jack_belongs_to_its_card(tmp_path):
    jack = "pci0000:00/0000:00:01.0/0000:01:00.1/sound/card1/input20"

    (device,) = read(tmp_path, event(jack, 20))

    assert (device.usb, str(device.pci)) == (None, "0000:01:00.1")


def test_nodes_come_in_the_order_of_their_numbers(tmp_path):
    files = event("virtual/input/input1", 10) | event("virtual/input/input2", 9)

    assert [device.node for device in read(tmp_path, files)] == ["event9", "event10"]


def test_a_device_that_vanishes_is_left_out(tmp_path):
    files = event(KEYBOARD, 5)
    del files[f"sys/devices/{KEYBOARD}/event5/dev"]

    assert read(tmp_path, files) == ()


ATTRIBUTES = (
    *("name", "phys", "uniq", "properties", "event5/dev", "id/vendor", "id/bustype"),
    *("capabilities/ev", "capabilities/key", "capabilities/rel", "capabilities/abs"),
)


@settings(max_examples=50)  # a tree of files for each
@given(st.dictionaries(st.sampled_from(ATTRIBUTES), st.binary(max_size=60)))
def test_any_bytes_in_any_attribute_are_read(attributes):
    files = event(KEYBOARD, 5)
    files |= {f"sys/devices/{KEYBOARD}/{name}": value for name, value in attributes.items()}
    with tempfile.TemporaryDirectory() as root:
        (device,) = read(Path(root), files)
    assert device.node == "event5"
    assert device.name.isprintable()


@settings(max_examples=50)  # a tree of files for each
@given(st.binary(max_size=200))
def test_any_bytes_in_udevs_database_are_read(content):
    files = event(KEYBOARD, 5) | {"run/udev/data/c13:69": content}
    with tempfile.TemporaryDirectory() as root:
        (device,) = read(Path(root), files)
    assert device.node == "event5"
