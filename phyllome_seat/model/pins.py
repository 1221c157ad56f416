"""The CPUs that seats pin, held against the PC: what cannot be, what is not wise, what is best."""

from __future__ import annotations

from phyllome_seat.model.claim import Refusals
from phyllome_seat.model.cores import render_cpus, share_cores
from phyllome_seat.model.devices import Host
from phyllome_seat.model.seat import NewGuest, PciMatch, Seat, Wish
from phyllome_seat.model.value import replace


def refuse_pins(host: Host, wish: Wish, refusals: Refusals) -> None:
    """Note CPUs that are not there or off, that two seats pin, or that the host has none besides.

    Nothing where the machine does not say which CPUs it has.
    """
    online = {cpu.number for cpu in host.cpus if cpu.online}
    pinned: dict[int, Seat] = {}
    for seat, guest in _pinning(wish) if host.cpus else ():
        line = guest.pin_line or seat.line
        if gone := [number for number in guest.pin if number not in online]:
            there = f"this PC has {render_cpus(tuple(sorted(online)))}"
            known = {cpu.number for cpu in host.cpus}
            why = "is offline" if known.issuperset(gone) else "is not in this PC"
            which = render_cpus(tuple(gone))
            refusals.add(f"CPU {which} of seat {seat.name} {why}: {there}: pin others", line)
        shared: dict[str, list[int]] = {}
        for number in guest.pin:
            other = pinned.setdefault(number, seat)
            if other is not seat:
                shared.setdefault(other.name, []).append(number)
        for name, numbers in shared.items():
            which = render_cpus(tuple(numbers))
            both = f"is pinned by seat {name} and by seat {seat.name}"
            refusals.add(f"CPU {which} {both}: give it to one of them", line)
    left, kept = len(online - set(pinned)), wish.host_cpus or 1
    if pinned and left < kept:
        last = max((guest.pin_line for _, guest in _pinning(wish)), default=0)
        words = f"the seats pin all CPUs but {left}, and the host keeps {kept}"
        refusals.add(f"{words}: pin fewer, or make `cpus` under `host` smaller", last)


def give_cores(host: Host, wish: Wish) -> Wish:
    """Return the wish whose guests to create have cores of their own, where that is just as many.

    Of the NUMA node of the seat's card and of one L3, as far as there are. No pins where the host
    would have no CPU besides, and none where a guest is to have another number of them.
    """
    nodes = tuple(_node(host, seat) for seat in wish.seats)
    shares = share_cores(host, nodes, wish.host_cpus)
    online = sum(cpu.online for cpu in host.cpus)
    if online - sum(map(len, shares)) < (wish.host_cpus or 1):
        return wish
    seats = tuple(
        replace(seat, create=replace(seat.create, pin=own))
        if seat.create and len(own) == seat.create.cpus
        else seat
        for seat, own in zip(wish.seats, shares, strict=True)
    )
    return replace(wish, seats=seats)


def _node(host: Host, seat: Seat) -> int | None:
    card = host.by_address.get(seat.gpu.address) if isinstance(seat.gpu, PciMatch) else None
    return card.numa_node if card else None


def find_parted(host: Host, wish: Wish) -> dict[str, tuple[str, ...]]:
    """Return by seat a sentence for each core whose threads are parted between it and others.

    The two threads of a core share its units and its first caches, so what runs on one slows what
    runs on the other: Documentation/admin-guide/cputopology.rst, ``thread_siblings``.
    """
    owners = {number: seat.name for seat, guest in _pinning(wish) for number in guest.pin}
    parted: dict[str, dict[str, None]] = {}
    for cpu in host.cpus:
        name = owners.get(cpu.number)
        others = tuple(n for n in cpu.core if cpu.online and owners.get(n) != name)
        if name is None or not others:
            continue
        whose = sorted({f"seat {owners[n]}'s" if n in owners else "the host's" for n in others})
        which = f"its sibling {render_cpus(others)} is {' and '.join(whose)}"
        words = f"CPU {cpu.number} is pinned without its whole core, {which}: they slow each other"
        parted.setdefault(name, {})[words] = None
    return {name: tuple(words) for name, words in parted.items()}


def _pinning(wish: Wish) -> list[tuple[Seat, NewGuest]]:
    return [(seat, seat.create) for seat in wish.seats if seat.create and seat.create.pin]
