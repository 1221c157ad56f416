"""Sockets that belong to one person: a keyboard's with a mouse's, found by where they are plugged.

A *spot* is one socket: its port of each speed, USB 2 first. A hub's spot is all behind the hub; a
hub with several keyboards behind it is several people's, so its own sockets are the spots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phyllome_seat.model.address import PciAddress, UsbPort, render_port_chain
from phyllome_seat.model.climb import port_match
from phyllome_seat.model.devices import InputDevice
from phyllome_seat.model.groups import is_harmless
from phyllome_seat.model.match_usb import find_peer, find_ports
from phyllome_seat.model.pool import Pool, is_within
from phyllome_seat.model.value import dataclass

Spot = tuple[UsbPort, ...]
POINTERS = frozenset({"mouse", "touchpad", "tablet", "trackball", "pointingstick"})


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is plugged into one spot."""

    spot: Spot
    keyboards: int
    pointers: int
    others: int
    is_wired: bool  # hardwired: no hole that a person could use

    @property
    def is_empty(self) -> bool:
        return not (self.keyboards or self.pointers or self.others or self.is_wired)


def find_desks(pool: Pool, count: int) -> tuple[tuple[Spot, ...], ...]:
    """Return the spots of one person, for each that could be meant: with keyboard and mouse, with a
    keyboard, with a mouse; and empty ones for `count` seats. No spot is in two of them.
    """
    seen = [item for controller in _served(pool) for item in _look(pool, controller)]
    keys = [item for item in seen if item.keyboards and not item.pointers]
    mice = [item for item in seen if item.pointers and not item.keyboards]
    free = [item for item in seen if item.is_empty]
    pairs = list(_pair(keys, mice))
    alone = keys[len(pairs) :] or mice[len(pairs) :]
    desks: list[tuple[Spot, ...]] = [
        (item.spot,) for item in seen if item.keyboards and item.pointers
    ]
    desks += [(key.spot, mouse.spot) for key, mouse in pairs]
    desks += [(key.spot, empty.spot) for key, empty in _pair(alone, free)]
    free = [item for item in free if not any(item.spot in desk for desk in desks)]
    desks += [(key.spot,) for key in alone if not any(key.spot in desk for desk in desks)]
    twos: list[tuple[Spot, ...]] = [
        (free[number].spot, free[number + 1].spot) for number in range(0, len(free) - 1, 2)
    ]
    ones: list[tuple[Spot, ...]] = [(item.spot,) for item in free]
    return (*desks, *(twos or ones)[:count])


def _pair(ones: list[_Seen], others: list[_Seen]) -> Iterator[tuple[_Seen, _Seen]]:
    """Pair things in their order, those on one controller first."""
    left = list(others)
    for one in ones:
        if not left:
            return
        near = next((o for o in left if o.spot[0].controller == one.spot[0].controller), left[0])
        left.remove(near)
        yield one, near


def _served(pool: Pool) -> Iterator[PciAddress]:
    """Yield the controllers whose sockets the host can hand out: it has a driver for them, or had
    one before we bound them.
    """
    before = {kept.address: kept.driver for kept in pool.host.before}
    for device in pool.host.pci:
        driver = before.get(device.address, device.driver)
        if device.is_usb_controller and driver is not None and not is_harmless(driver):
            yield device.address


def _look(pool: Pool, controller: PciAddress) -> Iterator[_Seen]:
    """Yield each spot of a controller that a seat could have, the inner ones of a shared hub."""
    known = {UsbPort(controller, p.speed, p.ports[:1]) for p in pool.places.get(controller, ())}
    in_order = sorted(known, key=lambda port: (port.speed, port.ports))
    for spot in dict.fromkeys(_spot(pool, port) for port in in_order):
        yield from _look_into(pool, spot)


def _look_into(pool: Pool, spot: Spot) -> Iterator[_Seen]:
    inputs = _inputs(pool, spot)
    keyboards = {i.usb for i in inputs if i in pool.keyboards or (i.is_keyboard and i.remembered)}
    is_needed = any(
        is_within(place, port)
        for place, reasons in pool.needed.usb.items()
        for port in spot
        if not all(reason.waivable for reason in reasons)
    )
    if is_needed or len(keyboards) > 1:
        inner = [p for p in pool.places.get(spot[0].controller, ()) if p.parent in spot]
        for below in dict.fromkeys(_spot(pool, port) for port in inner):
            yield from _look_into(pool, below)
        return
    pointers = {i.usb for i in inputs if POINTERS & set(i.kinds)}
    plugged = [d for d in pool.plugged.get(spot[0].controller, ()) if _is_in(d.port, spot)]
    others = sum(d.port not in keyboards | pointers for d in plugged)
    socket = pool.host.by_port.get(spot[0])
    is_wired = socket is not None and socket.connect_type in ("hardwired", "not used")
    yield _Seen(spot, len(keyboards), len(pointers), others, is_wired)


def _inputs(pool: Pool, spot: Spot) -> list[InputDevice]:
    return [i for i in pool.host.inputs if _is_in(i.usb, spot)]


def _is_in(place: UsbPort | None, spot: Spot) -> bool:
    return place is not None and any(is_within(place, port) for port in spot)


def _spot(pool: Pool, port: UsbPort) -> Spot:
    peer = find_peer(pool.host, port)
    return tuple(sorted((port, peer), key=lambda p: p.speed)) if peer else (port,)


def find_spot(pool: Pool, port: UsbPort, mine: tuple[UsbPort, ...]) -> Spot:
    """Return the socket to name for a port: a hub's, where all that is plugged into it is `mine`
    and more than one thing.

    *errors*: AssignmentError where the controller has no such port.
    """
    while port.parent and _is_all_mine(pool, port.parent, mine):
        port = port.parent
    spot = _spot(pool, port)
    controller = pool.host.by_address[port.controller]
    return find_ports(pool.host, port_match(controller, spot))


def _is_all_mine(pool: Pool, hub: UsbPort, mine: Iterable[UsbPort]) -> bool:
    plugged = pool.plugged.get(hub.controller, ())
    behind = [d.port for d in plugged if d.port and d.port.is_below(hub) and not d.is_hub]
    return len(behind) > 1 and all(port in mine for port in behind)


def name_spots(spots: Iterable[Spot]) -> str:
    """Return sockets in words: "USB 2 port 4.1 of 0000:00:14.0"."""
    words = []
    for spot in spots:
        speed = "USB 2" if spot[0].speed == "usb2" else "USB 3"
        chain = render_port_chain(spot[0].ports)
        words.append(f"{speed} port {chain} of {spot[0].controller}")
    return " and ".join(words)
