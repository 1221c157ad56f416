from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import UsbId, UsbPort
from phyllome_seat.model.devices import UsbDevice, UsbSocket
from phyllome_seat.system.scan_usb import read_usb
from tests.system.device_trees import hub_port, interface, root_hub, usb
from tests.system.trees import Link, make_tree

XHCI = "pci0000:00/0000:00:14.0"
BOTH_SPEEDS = root_hub(XHCI, 1) | root_hub(XHCI, 2, product=3)


def read(tmp_path, *parts):
    files = {}
    for part in parts:
        files |= part
    return read_usb(make_tree(tmp_path, files))


def port(text):
    return UsbPort.parse(f"0000:00:14.0/{text}")


def test_a_device_is_read_whole(tmp_path):
    keyboard = f"{XHCI}/usb1/1-4"

    devices, _ = read(
        tmp_path,
        BOTH_SPEEDS,
        usb(
            keyboard,
            number=7,
            speed="12\n",
            manufacturer="Logitech\n",
            product="46d/c52b/1201",
            serial="A1\n",
        ),
        interface(f"{keyboard}/1-4:1.10", "255/0/0"),
        interface(f"{keyboard}/1-4:1.1", "3/1/2", driver="usbhid"),
        interface(f"{keyboard}/1-4:1.0", "3/1/1", driver="usbhid"),
    )

    assert devices == (
        UsbDevice(
            sysname="1-4",
            port=port("usb2/4"),
            id=UsbId(0x046D, 0xC52B),
            bus=1,
            number=7,
            interfaces=("030101", "030102", "ff0000"),
            serial="A1",
            manufacturer="Logitech",
            speed_mbps=12.0,
            drivers=("usbhid",),
        ),
    )


def test_a_device_behind_hubs_has_the_whole_chain(tmp_path):
    hub = f"{XHCI}/usb2/2-13"

    devices, _ = read(
        tmp_path,
        BOTH_SPEEDS,
        usb(hub, device_class="9/0/3"),
        usb(f"{hub}/2-13.1"),
        usb(f"{hub}/2-13.1/2-13.1.4"),
    )

    assert [d.port for d in devices] == [port(f"usb3/{c}") for c in ("13", "13.1", "13.1.4")]
    assert [d.is_hub for d in devices] == [True, False, False]


def test_a_place_keeps_its_name_when_the_bus_numbers_move(tmp_path):
    before, _ = read(tmp_path / "before", BOTH_SPEEDS, usb(f"{XHCI}/usb1/1-3"))
    moved = root_hub(XHCI, 7) | root_hub(XHCI, 4, product=3)
    after, _ = read(tmp_path / "after", moved, usb(f"{XHCI}/usb7/7-3"))

    assert before[0].port == after[0].port == port("usb2/3")


def test_both_speeds_of_one_socket_are_one_socket_though_their_numbers_differ(tmp_path):
    usb2, usb3 = f"{XHCI}/usb1/1-0:1.0", f"{XHCI}/usb2/2-0:1.0"

    _, sockets = read(
        tmp_path,
        BOTH_SPEEDS,
        hub_port(usb2, "usb1-port3", peer=f"{usb3}/usb2-port13"),
        hub_port(usb3, "usb2-port13", peer=f"{usb2}/usb1-port3", connect_type="hotplug"),
        hub_port(usb2, "usb1-port13", connect_type="hardwired"),
    )

    assert sockets == (
        UsbSocket((port("usb2/3"), port("usb3/13")), "hotplug"),
        UsbSocket((port("usb2/13"),), "hardwired"),
    )


def test_one_peer_link_is_enough(tmp_path):
    usb2, usb3 = f"{XHCI}/usb1/1-0:1.0", f"{XHCI}/usb2/2-0:1.0"

    _, sockets = read(
        tmp_path,
        BOTH_SPEEDS,
        hub_port(usb2, "usb1-port1"),
        hub_port(usb3, "usb2-port2", peer=f"{usb2}/usb1-port1"),
    )

    assert [socket.ports for socket in sockets] == [(port("usb2/1"), port("usb3/2"))]


def test_a_peer_that_is_not_there_leaves_a_socket_alone(tmp_path):
    usb2 = f"{XHCI}/usb1/1-0:1.0"

    _, sockets = read(
        tmp_path, BOTH_SPEEDS, hub_port(usb2, "usb1-port1", peer=f"{XHCI}/usb2/2-0:1.0/usb2-port9")
    )

    assert [socket.ports for socket in sockets] == [(port("usb2/1"),)]


def test_the_sockets_of_a_hub_are_joined_too(tmp_path):
    slow, fast = f"{XHCI}/usb1/1-4", f"{XHCI}/usb2/2-14"

    _, sockets = read(
        tmp_path,
        BOTH_SPEEDS,
        usb(slow, device_class="9/0/2"),
        usb(fast, device_class="9/0/3"),
        interface(f"{slow}/1-4:1.0", "9/0/2", driver="hub"),
        interface(f"{fast}/2-14:1.0", "9/0/0", driver="hub"),
        hub_port(f"{slow}/1-4:1.0", "1-4-port2", peer=f"{fast}/2-14:1.0/2-14-port1"),
        hub_port(f"{fast}/2-14:1.0", "2-14-port1", peer=f"{slow}/1-4:1.0/1-4-port2"),
    )

    assert [socket.ports for socket in sockets] == [(port("usb2/4.2"), port("usb3/14.1"))]


def test_a_controller_that_is_not_pci_has_devices_without_a_place(tmp_path):
    devices, sockets = read(
        tmp_path,
        root_hub("platform/vhci_hcd.0", 5),
        usb("platform/vhci_hcd.0/usb5/5-1"),
        hub_port("platform/vhci_hcd.0/usb5/5-0:1.0", "usb5-port1"),
    )

    assert [(d.sysname, d.port) for d in devices] == [("5-1", None)]
    assert sockets == ()


def test_a_device_that_vanishes_is_left_out(tmp_path):
    gone = {"sys/bus/usb/devices/1-9": Link(f"sys/devices/{XHCI}/usb1/1-9")}
    gone |= {"sys/bus/usb/devices/1-9:1.0": Link(f"sys/devices/{XHCI}/usb1/1-9/1-9:1.0")}

    devices, _ = read(tmp_path, BOTH_SPEEDS, usb(f"{XHCI}/usb1/1-4"), gone)

    assert [d.sysname for d in devices] == ["1-4"]


def test_strings_cannot_move_the_cursor_and_are_not_endless(tmp_path):
    (device,), _ = read(
        tmp_path,
        BOTH_SPEEDS,
        usb(f"{XHCI}/usb1/1-4", serial="1\n2\x1b]0;x\x07\u202e", manufacturer="x" * 4000),
    )

    assert device.serial == "1 2 ]0;x"
    assert device.manufacturer == "x" * 126


def test_a_device_that_tells_no_name_has_the_databases(tmp_path):
    udev = "E:ID_VENDOR_FROM_DATABASE=Realtek\nE:ID_MODEL_FROM_DATABASE=Hub\n"

    (device,), _ = read(
        tmp_path, BOTH_SPEEDS, usb(f"{XHCI}/usb1/1-4", number=3), {"run/udev/data/c189:2": udev}
    )

    assert device.name == "Realtek Hub"


def test_a_device_deeper_than_usb_allows_has_no_place(tmp_path):
    hubs = "/".join("1-" + ".".join("1" * depth) for depth in range(1, 8))

    (device,), _ = read(tmp_path, BOTH_SPEEDS, usb(f"{XHCI}/usb1/{hubs}"))

    assert device.port is None


ATTRIBUTES = ("uevent", "manufacturer", "product", "serial", "speed", "connect_type")


@settings(max_examples=50)  # a tree of files for each
@given(
    st.dictionaries(st.sampled_from(ATTRIBUTES), st.binary(max_size=60)),
    st.sampled_from(["usb1", "usb1/1-4", "usb1/1-0:1.0", "usb1/1-4/1-4:1.0"]),
)
def test_any_bytes_in_any_attribute_are_read_or_left_out(attributes, where):
    files = BOTH_SPEEDS | usb(f"{XHCI}/usb1/1-4") | interface(f"{XHCI}/usb1/1-4/1-4:1.0", "3/1/1")
    files |= {f"sys/devices/{XHCI}/{where}/{name}": value for name, value in attributes.items()}
    with tempfile.TemporaryDirectory() as root:
        devices, _ = read_usb(make_tree(Path(root), files))
    assert {d.sysname for d in devices} <= {"1-4"}


@settings(max_examples=50)  # a tree of files for each
@given(st.text(alphabet="0123456789-.:usbport", max_size=12).filter(lambda n: n not in ".."))
def test_any_name_of_a_folder_is_read_or_left_out(name):
    files = BOTH_SPEEDS | {
        f"sys/bus/usb/devices/x{name}": Link(f"sys/devices/{XHCI}/usb1"),
        f"sys/bus/usb/devices/{name or 'x'}": Link(f"sys/devices/{XHCI}/usb1"),
        f"sys/devices/{XHCI}/usb1/1-0:1.0/{name or 'x'}/connect_type": "hotplug",
    }
    with tempfile.TemporaryDirectory() as root:
        read_usb(make_tree(Path(root), files))
