"""Which events are worth a look."""

from __future__ import annotations

import pytest

from phyllome_seat.model.address import UsbId, UsbPort
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.interest import Interest
from phyllome_seat.model.lend import Lend, Lending
from phyllome_seat.model.reconcile import Reconciled
from phyllome_seat.model.seat import DeviceMatch, Seat
from tests.model.hosts import HOST_USB

PAD = UsbId(0x045E, 0x028E)
WHEEL = UsbId(0x046D, 0xC24F)


def port(chain):
    return UsbPort.parse(f"{HOST_USB}/usb2/{chain}")


def interest(unknown_usb="host"):
    seat = Seat("left", usb=(DeviceMatch(PAD),), domain="left")
    seats = (SeatAssignment(seat, pci=(), ports=(port("4.1"),), devices=(DeviceMatch(PAD),)),)
    lending = Lending((Lend(port("9"), WHEEL, None, "left"),), ())
    return Interest(Assignment(seats, unknown_usb=unknown_usb), Reconciled(lending=lending))


@pytest.mark.parametrize(
    ("name", "product", "kind", "is_meant"),
    (
        ("1-4.1", "1/2/3", "0/0/0", True),  # the very port
        ("7-4.1", "1/2/3", "0/0/0", True),  # on whatever bus
        ("1-4.1.2", "1/2/3", "0/0/0", True),  # behind a hub in it
        ("1-4.2", "1/2/3", "0/0/0", False),
        ("1-4.11", "1/2/3", "0/0/0", False),
        ("1-9", "46d/c24f/100", "0/0/0", True),  # what is lent
        ("1-3", "45e/28e/100", "0/0/0", True),  # a device by its id, wherever it is
        ("1-3", "45e/28e5/100", "0/0/0", False),
        ("1-3", None, None, False),
        ("1-4", "5e3/610/100", "9/0/2", True),  # a hub, and what is named may be behind it
        ("usb5", "1d6b/2/612", "9/0/1", True),  # a controller
    ),
)
def test_an_event_is_worth_a_look_where_a_seat_may_be_meant(name, product, kind, is_meant):
    assert interest().has(name, product, kind) is is_meant


def test_every_event_is_where_devices_of_no_seat_are_to_be_asked_for():
    assert interest("ask").has("1-3", "1/2/3", "0/0/0")
