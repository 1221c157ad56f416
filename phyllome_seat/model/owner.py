"""Whose a USB device is, and which rule says so. The udev rules say the same: see `rules`.

The most specific rule wins, in this order: the very port; the device by its serial number; the
device by its id; the port of a hub above it, the nearest first; and for what no rule names, the
seat file's ``unknown-usb``. A port comes before a device because it is the only thing that tells
twins apart, and the only one that no device can claim by itself; a hub comes after a device
because a device that is named is meant wherever it is, behind somebody's hub as well.

What is plugged into a controller that a guest has whole is that guest's: nothing is to be done.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.seat import DeviceMatch
from phyllome_seat.model.value import dataclass

HOST, ASK = "host", "ask"  # what `unknown-usb` may say besides a seat's name


@dataclass(frozen=True, slots=True)
class Owner:
    """The seat a device belongs to.

    ``rule`` is udev's ``PHYLLOME_SEAT_RULE`` of the device, "port 0000:00:14.0/usb2/3": never text
    that a device supplied. ``rank`` orders rules, the most specific first.
    """

    seat: str
    rule: str
    rank: tuple[int, int]


def find_owner(assignment: Assignment, device: UsbDevice) -> Owner | None:
    """Return whose a device is by the seat file, None where no rule names it.

    None too for what is on a controller that a seat has whole.
    """
    if device.port is not None and device.port.controller in assignment.addresses:
        return None
    found = [
        owner
        for seat in assignment.seats
        for owner in (*_by_port(seat, device.port), *_by_identity(seat, device))
    ]
    if found:
        return min(found, key=lambda owner: owner.rank)
    if assignment.unknown_usb in {seat.seat.name for seat in assignment.seats}:
        return Owner(assignment.unknown_usb, "unknown-usb", (4, 0))
    return None


def port_rule(port: UsbPort, *, is_hub: bool = False) -> str:
    """Return what `Owner.rule` says of a port, or of a hub's port for what is behind it."""
    return f"hub {port}" if is_hub else f"port {port}"


def device_rule(match: DeviceMatch) -> str:
    """Return what `Owner.rule` says of a device by identity; its serial number is not in it."""
    return f"device {match.id} by serial" if match.serial else f"device {match.id}"


def _by_port(seat: SeatAssignment, place: UsbPort | None) -> list[Owner]:
    if place is None:
        return []
    name = seat.seat.name
    above = [port for port in seat.ports if place.is_below(port)]
    owners = [Owner(name, port_rule(port, is_hub=True), (3, -len(port.ports))) for port in above]
    if place in seat.ports:
        owners.append(Owner(name, port_rule(place), (0, 0)))
    return owners


def _by_identity(seat: SeatAssignment, device: UsbDevice) -> list[Owner]:
    return [
        Owner(seat.seat.name, device_rule(match), (1, 0) if match.serial else (2, 0))
        for match in seat.devices
        if match.id == device.id and match.serial in (None, device.serial)
    ]
