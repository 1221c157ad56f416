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
from phyllome_seat.model.consent import find_consent
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.guest_conflict import refuse_held, refuse_names, refuse_shortage
from phyllome_seat.model.match import is_sound
from phyllome_seat.model.owner import ASK, HOST
from phyllome_seat.model.pins import find_parted, refuse_pins
from phyllome_seat.model.seat import DeviceMatch, Wish
from phyllome_seat.model.step import GuestPci


def assign(wish: Wish, host: Host, *, plugged: bool = True) -> Assignment:
    """Return which devices each seat gets, the same before and after they were bound.

    AssignmentError with every conflict found: nothing is assigned by halves, and nothing that the
    seat file does not name by place or identity. With `plugged` false, which USB devices are
    plugged in now is no reason to refuse: guests run while that changes, and `reconcile` looks at
    each device before it goes.
    """
    refusals = Refusals(wish.file)
    claims = tuple(find_claim(host, seat, refusals, plugged=plugged) for seat in wish.seats)
    refuse_shared(host, claims, refusals)
    protected = find_protected(host, claims)
    consent = find_consent(host, wish, refusals)
    refuse_groups(host, claims, protected, refusals)
    given_up = refuse_protected(host, claims, protected, consent, refusals, plugged=plugged)
    refuse_names(host, wish, refusals)
    _refuse_unknown_seat(wish, refusals)
    refuse_held(host, claims, refusals, plugged=plugged)
    refuse_shortage(host, wish, refusals)
    refuse_pins(host, wish, refusals)
    if refusals.sentences:
        raise AssignmentError(
            tuple(dict.fromkeys(refusals.sentences)),
            hint="`phyllome-seat scan` shows what is where",
        )
    parted = find_parted(host, wish)
    return Assignment(
        tuple(
            _assigned(
                host,
                claim,
                given_up.get(claim.seat.name, ()) + parted.get(claim.seat.name, ()),
                is_unknowns=claim.seat.name == wish.unknown_usb,
            )
            for claim in claims
        ),
        console=wish.console,
        unknown_usb=wish.unknown_usb,
        consent=consent,
    )


def _refuse_unknown_seat(wish: Wish, refusals: Refusals) -> None:
    names = [seat.name for seat in wish.seats]
    if wish.unknown_usb not in (HOST, ASK, *names):
        known = ", ".join([HOST, ASK, *names])
        refusals.add(f"unknown-usb names seat {wish.unknown_usb}, which there is not: name {known}")


def _assigned(
    host: Host, claim: Claim, given_up: tuple[str, ...], *, is_unknowns: bool
) -> SeatAssignment:
    devices = tuple(match for match in claim.seat.usb if isinstance(match, DeviceMatch))
    return SeatAssignment(
        claim.seat,
        pci=_guest_pci(host, claim),
        ports=tuple(claim.ports),
        devices=devices,
        monitors=claim.monitors,
        notes=claim.notes + given_up,
        takes_usb=bool(claim.ports or devices or is_unknowns),
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
