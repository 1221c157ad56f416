"""A saved guest is restored by the numbers that its devices have now, and by no other's."""

from __future__ import annotations

import pytest

from phyllome_seat.model.devices import Guest
from phyllome_seat.model.domain_xml import DomainXmlError
from phyllome_seat.model.guest import parse_guest, parse_saved
from phyllome_seat.model.guest_saved import find_had, has_moved, renumber_saved
from phyllome_seat.model.guest_usb import next_alias, render_usb
from phyllome_seat.model.value import replace
from tests.model.hosts import HOST_USB, usb_device

PAD = replace(
    usb_device("1-7", f"{HOST_USB}/usb2/7", "045e:028e", "Pad", interface="ff5d01", driver="xpad"),
    bus=1,
    number=30,
)
NOBODYS = replace(PAD, id=replace(PAD.id, vendor=0))  # named to libvirt by its number alone
THEIRS = (
    "<hostdev mode='subsystem' type='usb'><source><vendor id='0x045e'/><product id='0x028e'/>"
    "<address bus='1' device='9'/></source><alias name='ua-theirs'/></hostdev>"
)


def saved(device, *more):
    alias = next_alias(Guest("left", "u", run="1_b007"), "left", device.port, 1.0)
    entries = "".join([render_usb(device, alias), *more])
    return f"<domain type='kvm' id='1'><name>left</name><devices>{entries}</devices></domain>"


def sources(xml):
    hostdevs = parse_guest(xml, state="shut off").hostdevs
    return [(one.usb_bus, one.usb_number, one.usb_id) for one in hostdevs]


@pytest.mark.parametrize("device", [PAD, NOBODYS], ids=["by both", "by number"])
def test_what_was_plugged_in_again_is_named_by_its_number_of_now(device):
    now = replace(device, bus=2, number=31)
    xml = renumber_saved(saved(device, THEIRS), [now])

    identity = device.id if device.id.vendor else None
    ((had, place, found),) = find_had(parse_saved(saved(device, THEIRS)), [now])
    assert (place, found, has_moved(had, now)) == (PAD.port, now, True)
    assert sources(xml) == [(2, 31, identity), (1, 9, PAD.id)]


def test_what_stayed_where_it_was_changes_nothing():
    ((had, _, found),) = find_had(parse_saved(saved(PAD, THEIRS)), [PAD])
    assert (found, has_moved(had, PAD)) == (PAD, False)
    assert renumber_saved(saved(PAD, THEIRS), [PAD]) is None


@pytest.mark.parametrize(
    "usb",
    [
        (),
        (replace(PAD, number=0),),  # being reset
        (replace(PAD, id=replace(PAD.id, product=1), number=31),),  # another in its place
        (replace(PAD, port=replace(PAD.port, ports=(8,))),),  # its twin, in another place
    ],
    ids=["gone", "no number", "another", "elsewhere"],
)
def test_what_is_not_in_its_place_is_missing(usb):
    ((_, place, found),) = find_had(parse_saved(saved(PAD)), usb)
    assert (place, found) == (PAD.port, None)
    assert renumber_saved(saved(PAD), usb) is None


def test_a_text_that_is_no_domain_is_refused():
    with pytest.raises(DomainXmlError):
        renumber_saved("<domain", ())
