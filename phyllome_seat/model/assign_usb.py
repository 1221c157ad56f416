"""Seats + Host → what of USB each seat is to have, whatever is plugged in and whatever is wrong.

`assign` refuses a whole wish for one thing that does not fit, as it must before anything is bound.
While guests run that would stop all because somebody plugged in a twin: here what fits stands, and
what does not is said.
"""

from __future__ import annotations

from collections import Counter

from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.claim import Claim, Refusals, find_claim
from phyllome_seat.model.consent import find_consent
from phyllome_seat.model.devices import Host
from phyllome_seat.model.seat import DeviceMatch, Wish
from phyllome_seat.model.step import GuestPci
from phyllome_seat.model.value import replace


def assign_usb(wish: Wish, host: Host) -> tuple[Assignment, tuple[str, ...]]:
    """Return what each seat is to have of USB, and in sentences what the wish names in vain.

    What two seats name alike is neither's. ``pci`` has the functions without the guest's view of
    them: enough to tell which controllers are a guest's whole.
    """
    refusals = Refusals(wish.file)
    claims = tuple(find_claim(host, seat, refusals, plugged=False) for seat in wish.seats)
    shared_ports = _shared(refusals, [(port, c) for c in claims for port in c.ports])
    shared_devices = _shared(refusals, [(match, c) for c in claims for match in _named(c)])
    seats = tuple(
        SeatAssignment(
            claim.seat,
            pci=tuple(GuestPci(address, "", 0) for address in claim.functions),
            ports=tuple(port for port in claim.ports if port not in shared_ports),
            devices=tuple(
                match
                for match in claim.seat.usb
                if isinstance(match, DeviceMatch) and replace(match, line=0) not in shared_devices
            ),
        )
        for claim in claims
    )
    assignment = Assignment(
        seats,
        console=wish.console,
        unknown_usb=wish.unknown_usb,
        consent=find_consent(host, wish, refusals),
    )
    return assignment, tuple(dict.fromkeys(refusals.sentences))


def find_ties(wish: Wish, host: Host) -> tuple[str, ...]:
    """Return in sentences what two seats name alike: `assign` refuses such a wish."""
    claims = [find_claim(host, seat, Refusals(wish.file), plugged=False) for seat in wish.seats]
    ties = Refusals(wish.file)
    _shared(ties, [(port, c) for c in claims for port in c.ports])
    _shared(ties, [(match, c) for c in claims for match in _named(c)])
    return tuple(dict.fromkeys(ties.sentences))


def _named(claim: Claim) -> list[DeviceMatch]:
    return [replace(m, line=0) for m in claim.seat.usb if isinstance(m, DeviceMatch)]


def _shared(refusals: Refusals, named: list[tuple[object, Claim]]) -> set[object]:
    """Return what more than one seat names, after noting it."""
    counts = Counter(thing for thing, _ in named)
    shared = {thing for thing, count in counts.items() if count > 1}
    for thing, claim in named:
        if thing in shared:
            words = thing.id if isinstance(thing, DeviceMatch) else thing
            refusals.add(
                f"{words} of seat {claim.seat.name} is another seat's too: it is neither's"
            )
    return shared
