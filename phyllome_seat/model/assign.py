"""Seats + Host → Assignment: which device of this PC each seat gets, or all reasons why not."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.claim import Claim, Refusals, find_claim
from phyllome_seat.model.conflict import (
    find_protected,
    refuse_groups,
    refuse_protected,
    refuse_shared,
)
from phyllome_seat.model.devices import Host, PciDevice, UsbDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.guest_conflict import refuse_held, refuse_names, refuse_shortage
from phyllome_seat.model.match import is_sound
from phyllome_seat.model.owner import ASK, HOST
from phyllome_seat.model.seat import DeviceMatch, Wish
from phyllome_seat.model.step import GuestPci


def assign(wish: Wish, host: Host) -> Assignment:
    """Return which devices each seat gets, the same before and after they were bound.

    AssignmentError with every conflict found: nothing is assigned by halves, and nothing that the
    seat file does not name by place or identity.
    """
    refusals = Refusals(wish.file)
    claims = tuple(find_claim(host, seat, refusals) for seat in wish.seats)
    refuse_shared(host, claims, refusals)
    protected = find_protected(host, claims)
    refuse_groups(host, claims, protected, refusals)
    given_up = refuse_protected(host, claims, protected, wish.console, refusals)
    refuse_names(host, wish, refusals)
    _refuse_unknown_seat(wish, refusals)
    refuse_held(host, claims, refusals)
    refuse_shortage(host, wish, refusals)
    if refusals.sentences:
        raise AssignmentError(
            tuple(dict.fromkeys(refusals.sentences)),
            hint="`phyllome-seat scan` shows what is where",
        )
    return Assignment(
        tuple(_assigned(host, claim, given_up.get(claim.seat.name, ())) for claim in claims),
        console=wish.console,
        unknown_usb=wish.unknown_usb,
    )


def _refuse_unknown_seat(wish: Wish, refusals: Refusals) -> None:
    names = [seat.name for seat in wish.seats]
    if wish.unknown_usb not in (HOST, ASK, *names):
        known = ", ".join([HOST, ASK, *names])
        refusals.add(f"unknown-usb names seat {wish.unknown_usb}, which there is not: name {known}")


def _assigned(host: Host, claim: Claim, given_up: tuple[str, ...]) -> SeatAssignment:
    return SeatAssignment(
        claim.seat,
        pci=_guest_pci(host, claim),
        ports=tuple(claim.ports),
        devices=tuple(match for match in claim.seat.usb if isinstance(match, DeviceMatch)),
        monitors=claim.monitors,
        notes=claim.notes + given_up,
    )


def _guest_pci(host: Host, claim: Claim) -> tuple[GuestPci, ...]:
    """Return the functions for the guest; those of one physical device are one unit."""
    units: dict[tuple[int, int, int], int] = {}
    return tuple(
        GuestPci(
            address, _what(host.by_address[address]), units.setdefault(_place(address), len(units))
        )
        for address in claim.functions
    )


def _place(address: PciAddress) -> tuple[int, int, int]:
    return address.domain, address.bus, address.device


def _what(device: PciDevice) -> str:
    """Return the word for a function in an alias."""
    if device.is_gpu:
        return "gpu"
    if device.is_usb_controller:
        return "usb"
    return "sound" if is_sound(device) else "other"


def wanted_usb(seat: SeatAssignment, host: Host) -> tuple[UsbDevice, ...]:
    """Return the USB devices plugged in now that the seat's guest is to have, one by one.

    Named by identity first, then by port, the deepest port first. No hubs, and nothing on a
    controller that the guest has whole.
    """
    wholes = set(seat.addresses)
    ranks = {}
    for device in host.usb:
        is_own = device.port is not None and device.port.controller in wholes
        if device.is_hub or device.remembered or is_own:
            continue
        rank = _rank(seat, device)
        if rank is not None:
            ranks[device] = rank
    return tuple(sorted(ranks, key=lambda device: (ranks[device], device.sysname)))


def _rank(seat: SeatAssignment, device: UsbDevice) -> int | None:
    """Return how particularly a seat names a device, 0 the most; None where it does not."""
    for match in seat.devices:
        if match.id == device.id and match.serial in (None, device.serial):
            return 0 if match.serial else 1
    if device.port is None:
        return None
    depths = [
        len(port.ports) for port in seat.ports if port == device.port or device.port.is_below(port)
    ]
    return 10 - max(depths) if depths else None
