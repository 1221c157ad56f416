"""Description → QEMU's arguments."""

from dataclasses import replace
from pathlib import Path

import pytest

from phyllome_seat.lab.description import (
    Card,
    CardModel,
    Description,
    Disk,
    DiskModel,
    Place,
    PlaceKind,
    UsbController,
    UsbKind,
    UsbThing,
)
from phyllome_seat.lab.errors import DescriptionError
from phyllome_seat.lab.qemu import (
    DirectBoot,
    FirmwareBoot,
    arguments,
    disk_files,
    unmigratable,
    usb_properties,
)

KERNEL = DirectBoot(Path("k"), Path("i"), "root=x")


def devices(pc, boot=KERNEL, acceleration="tcg"):
    argv = arguments(pc, boot, acceleration, disks=Path("d"), sockets=Path("s"))
    found = [argv[at + 1] for at, word in enumerate(argv) if word == "-device"]
    return {
        dict(pair.split("=", 1) for pair in device.split(",")[1:] if "=" in pair).get("id"): device
        for device in found
    }, argv


def test_a_card_of_its_own_sits_behind_its_root_port_with_its_sound(two_seats):
    found, _ = devices(two_seats)
    assert found["left-port"].startswith("pcie-root-port,")
    assert "bus=left-port,addr=0x0.0" in found["left"]
    assert "xres=1280,yres=800" in found["left"]
    assert "multifunction=on" in found["left"]
    assert found["left-sound"] == "intel-hda,id=left-sound,bus=left-port,addr=0x0.1"


def test_a_card_on_the_root_bus_needs_no_port(two_seats):
    found, _ = devices(two_seats)
    assert "console-port" not in found
    assert "bus=pcie.0" in found["console"]


def test_shared_parts_hang_on_functions_of_one_port_without_acs():
    place = Place(PlaceKind.SHARED, "a")
    found, _ = devices(Description(cards=(Card("x", place=place), Card("y", place=place))))
    assert "addr=0x19.0" in found["x-port"]
    assert "addr=0x19.1" in found["y-port"]
    assert all(found[port].startswith("ioh3420,") for port in ("x-port", "y-port"))


def test_a_switch_has_a_downstream_port_for_each_part():
    place = Place(PlaceKind.SWITCH, "s")
    found, _ = devices(Description(cards=(Card("x", place=place), Card("y", place=place))))
    assert found["s-up"].startswith("x3130-upstream,")
    assert all(found[p].startswith("xio3130-downstream,") for p in ("x-port", "y-port"))


def test_a_disk_more_moves_no_slot_but_comes_before_the_cards(two_seats):
    before, argv = devices(two_seats)
    after, more = devices(two_seats.with_disk(Disk("extra")))
    assert after["left-port"] == before["left-port"]
    assert int(after["extra-port"].split("addr=")[1].split(".")[0], 16) < 0x10
    assert len(more) > len(argv)


def test_hubs_come_before_what_is_behind_them():
    plugged = (
        UsbThing("k", UsbKind.KEYBOARD, "1.1"),
        UsbThing("h", UsbKind.HUB, "1"),
    )
    found, _ = devices(Description(usb=(UsbController("u", plugged=plugged),)))
    assert list(found).index("h") < list(found).index("k")


def test_a_keyboard_is_reached_by_its_card_and_keeps_an_empty_serial(two_seats):
    thing = UsbThing("k", UsbKind.KEYBOARD, "3", serial="", card="right")
    properties = usb_properties(two_seats, "host-usb", thing)
    assert properties["display"] == "right"
    assert properties["serial"] == ""
    assert properties["bus"] == "host-usb.0"


def test_a_comma_in_a_serial_stays_a_comma():
    plugged = (UsbThing("k", UsbKind.MOUSE, "1", serial="a,id=b"),)
    found, _ = devices(Description(usb=(UsbController("u", plugged=plugged),)))
    assert "serial=a,,id=b" in found["b"]


def test_ps2_is_off_unless_described():
    _, argv = devices(Description())
    assert "i8042=off" in argv[argv.index("-machine") + 1]
    _, argv = devices(Description(ps2=True))
    assert "i8042=on" in argv[argv.index("-machine") + 1]


def test_firmware_boot_hands_in_no_kernel():
    _, argv = devices(Description(), FirmwareBoot(Path("code"), Path("vars")), "kvm")
    assert "-kernel" not in argv
    assert "pflash1=variables" in argv[argv.index("-machine") + 1]
    assert argv[argv.index("-cpu") + 1] == "host"


def test_what_qemu_cannot_keep_in_a_snapshot_is_known(two_seats):
    assert unmigratable(two_seats) == ()
    cold = replace(
        two_seats,
        system_disk=DiskModel.NVME,
        cards=(Card("old", CardModel.ATI),),
        disks=(Disk("fast", DiskModel.NVME), Disk("plain")),
    )
    assert unmigratable(cold) == ("system", "fast", "old")


def test_sticks_are_disks_too():
    stick = UsbThing("stick", UsbKind.STORAGE, "1")
    pc = Description(disks=(Disk("d", size_mib=7),), usb=(UsbController("u", plugged=(stick,)),))
    assert disk_files(pc) == (("d", 7), ("stick", 64))


def test_more_than_fits_is_refused():
    with pytest.raises(DescriptionError, match="at most 9 of a kind fit"):
        devices(Description(cards=tuple(Card(f"c{n}") for n in range(10))))
