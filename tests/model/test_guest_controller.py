"""Ports for USB devices: how many a guest has free, and a controller of ours where they are few."""

from __future__ import annotations

import pytest

from phyllome_seat.model.domain_xml import parse_domain
from phyllome_seat.model.guest_edit import edit_guest, needs_edit, restore_guest
from phyllome_seat.model.guest_ports import count_free, count_xhci_ports, find_bus
from tests.model.domains import I440FX_GUEST, OWNERS_GUEST, with_device

OURS = "ua-phyllome-left-xhci-1"


def controllers(xml):
    return [
        (c.get("index"), c.get("model"), c.get("ports"))
        for c in parse_domain(xml).findall("devices/controller[@type='usb']")
    ]


@pytest.mark.parametrize("xml", [OWNERS_GUEST, I440FX_GUEST], ids=["xhci", "uhci"])
def test_a_guest_with_few_ports_gets_a_controller_of_ours_beside_its_own(xml):
    edited = edit_guest(xml, "left", (), takes_usb=True)

    assert controllers(edited) == [*controllers(xml), ("1", "qemu-xhci", "15")]
    assert OURS in edited
    assert not needs_edit(edited, "left", (), takes_usb=True)
    assert restore_guest(edited, xml) == xml


def test_a_guest_with_all_the_ports_a_controller_can_have_keeps_what_it_has():
    xml = OWNERS_GUEST.replace("model='qemu-xhci'", "model='qemu-xhci' ports='15'")

    assert controllers(edit_guest(xml, "left", (), takes_usb=True)) == controllers(xml)


def test_a_guest_whose_owner_turned_usb_off_stays_so():
    xml = I440FX_GUEST.replace("piix3-uhci", "none")

    assert controllers(edit_guest(xml, "left", (), takes_usb=True)) == controllers(xml)


def test_a_seat_that_needs_no_ports_any_more_gives_the_controller_back():
    edited = edit_guest(OWNERS_GUEST, "left", (), takes_usb=True)

    assert controllers(edit_guest(edited, "left", ())) == controllers(OWNERS_GUEST)


def test_the_controller_of_a_seat_that_was_is_the_new_seats():
    edited = edit_guest(OWNERS_GUEST, "left", (), takes_usb=True)

    again = edit_guest(edited, "right", (), takes_usb=True)

    assert "ua-phyllome-right-xhci-1" in again and OURS not in again
    assert len(controllers(again)) == 2


def test_what_libvirt_put_on_our_controller_gets_another_place_from_it():
    edited = edit_guest(OWNERS_GUEST, "left", (), takes_usb=True)
    tablet = "    <input type='tablet' bus='usb'><address type='usb' bus='1' port='1'/></input>\n"

    restored = restore_guest(with_device(edited, tablet), OWNERS_GUEST)

    assert "<input" in restored
    assert "type='usb' bus='1'" not in restored and 'type="usb" bus="1"' not in restored
    assert controllers(restored) == controllers(OWNERS_GUEST)


def domain(*devices):
    return parse_domain(f"<domain><devices>{''.join(devices)}</devices></domain>")


def at(bus, port, tag="hostdev"):
    return f"<{tag}><address type='usb' bus='{bus}' port='{port}'/></{tag}>"


def controller(model, index=0, ports=""):
    ports = f" ports='{ports}'" if ports else ""
    return f"<controller type='usb' index='{index}' model='{model}'{ports}/>"


@pytest.mark.parametrize(
    ("devices", "free"),
    [
        ([controller("qemu-xhci")], 4),
        ([controller("qemu-xhci", ports="15"), at(0, 1), at(0, 2, "input")], 13),
        ([controller("qemu-xhci", ports="1"), at(0, 1)], 0),
        ([controller("piix3-uhci"), at(0, 1)], 1),
        ([controller("ich9-ehci1"), controller("ich9-uhci1"), at(0, 1)], 5),
        ([controller("piix3-uhci"), controller("qemu-xhci", 1, "15"), at(0, 1), at(1, 1)], 14),
        ([controller("qemu-xhci"), at(0, 1, "hub"), at(0, "1.1")], 10),
        ([controller("none")], 0),
        ([], 0),
        ([controller("qusb1")], None),
    ],
)
def test_free_ports_are_those_of_controllers_that_take_any_device(devices, free):
    assert count_free(domain(*devices)) == free


def test_a_device_is_asked_for_the_xhci_only_where_libvirt_might_choose_another():
    mixed = [controller("piix3-uhci"), controller("qemu-xhci", 1, "1")]

    assert find_bus(domain(*mixed)) == 1
    assert find_bus(domain(*mixed, at(1, 1))) is None
    assert find_bus(domain(controller("qemu-xhci"), controller("qemu-xhci", 1))) is None
    assert find_bus(domain(controller("piix3-uhci"))) is None
    assert count_xhci_ports(domain(*mixed, controller("nec-xhci", 2))) == 5
