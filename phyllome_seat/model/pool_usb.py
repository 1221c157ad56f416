"""The USB places of a PC that a seat could have: whole controllers, and the sockets of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.climb import plain_id, port_match
from phyllome_seat.model.devices import PciDevice, UsbDevice
from phyllome_seat.model.pool import Choice, Pool, choice, is_within
from phyllome_seat.model.pool_desks import POINTERS, find_desks, find_spot, name_spots
from phyllome_seat.model.preference import Drawback, drawback
from phyllome_seat.model.proposal import SeatWishes
from phyllome_seat.model.seat import PciMatch, PortMatch, Seat, UsbMatch

_MOST_DEVICES = 5


def find_wholes(
    pool: Pool, seat: Seat, cards: Iterable[Choice]
) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Return the controllers `seat` could have whole, those that come with a card too; and why not
    for each other one.
    """
    wholes: dict[frozenset[PciAddress], Choice] = {}
    refused = []
    with_cards = list(_come_with(pool, cards))
    come_along = {a for card in cards for a in card.functions}
    for device in pool.host.pci:
        if not device.is_usb_controller or device.address in come_along:
            continue
        wish = Seat(seat.name, usb=(_whole(device),), domain=seat.domain)
        closed, claim = pool.close(wish)
        sentences = pool.judge(claim, closed)
        functions = tuple(claim.functions)
        if sentences:
            refused.append(pool.refusal(claim, device, sentences))
            continue
        if words := pool.costs_console(device, functions):
            refused.append(words)
            continue
        drawbacks = (*_plugged(pool, functions), *_where(functions))
        wholes.setdefault(
            frozenset(functions),
            choice(
                usb=closed.usb,
                functions=functions,
                takes=pool.function_bits(functions),
                node=device.numa_node,
                drawbacks=drawbacks,
                gets=tuple(_words(pool, pool.host.by_address[a]) for a in functions),
            ),
        )
    return (*with_cards, *wholes.values()), tuple(refused)


def _whole(device: PciDevice) -> PciMatch:
    return PciMatch(device.address, plain_id(device))


def _come_with(pool: Pool, cards: Iterable[Choice]) -> Iterator[Choice]:
    for card in cards:
        mine = [a for a in card.functions if pool.host.by_address[a].is_usb_controller]
        if not mine or card.gpu is None:
            continue
        own = all(a.bus == card.gpu.address.bus for a in mine)
        words = f"its only USB sockets are those of card {card.gpu.address}"
        few = (drawback("ports", words),) if own else ()
        yield choice(
            only_with=card.gpu.address,
            functions=tuple(mine),
            drawbacks=(*_plugged(pool, mine), *few),
            gets=tuple(_words(pool, pool.host.by_address[a]) for a in mine),
        )


def _where(functions: Iterable[PciAddress]) -> Iterator[Drawback]:
    for address in functions:
        if address.bus == 0:
            yield drawback(
                "board", f"{address} is the board's own controller: most sockets hang on it"
            )
            return


def _plugged(pool: Pool, controllers: Iterable[PciAddress]) -> Iterator[Drawback]:
    """Yield what speaks against whole controllers by what is plugged into them."""
    controllers = tuple(controllers)
    where = " and ".join(map(str, controllers))
    inputs = [i for i in pool.host.inputs if i.usb and i.usb.controller in controllers]
    keyboards = {i.usb for i in pool.keyboards if i.usb in {j.usb for j in inputs}}
    keyboards |= {i.usb for i in inputs if i.is_keyboard and i.remembered}
    pointers = {i.usb for i in inputs if POINTERS & set(i.kinds)}
    if not keyboards:
        yield drawback("no keyboard", f"no keyboard is on {where}: plug one in")
    if len(keyboards) > 1:
        yield drawback("several people's", f"{len(keyboards)} keyboards are on {where}")
    if not pointers:
        yield drawback("no mouse", f"no mouse is on {where}: plug one in")
    rest = [d for d in _devices(pool, controllers) if d.port not in keyboards | pointers]
    if rest:
        names = ", ".join(device.name for device in rest[:_MOST_DEVICES])
        yield drawback("device", f"takes along {names}", min(len(rest), _MOST_DEVICES))


def _devices(pool: Pool, controllers: Iterable[PciAddress]) -> list[UsbDevice]:
    return [d for a in controllers for d in pool.plugged.get(a, ()) if not d.is_hub]


def _words(pool: Pool, controller: PciDevice) -> str:
    names = [device.name for device in _devices(pool, (controller.address,))]
    plugged = f", with {', '.join(names)}" if names else ""
    return f"USB controller {controller.address} ({controller.name}), whole{plugged}"


def find_sockets(pool: Pool, count: int) -> tuple[Choice, ...]:
    """Return single sockets that a seat could have, a keyboard's and a mouse's together, and empty
    ones for as many seats as `count`.
    """
    return tuple(_sockets(pool, desk) for desk in find_desks(pool, count))


def _sockets(pool: Pool, spots: Iterable[tuple[UsbPort, ...]]) -> Choice:
    spots = tuple(spots)
    ports = tuple(port for spot in spots for port in spot)
    inputs = [i for i in pool.host.inputs if i.usb and any(is_within(i.usb, p) for p in ports)]
    names = name_spots(spots)
    drawbacks = [drawback("ports", f"single sockets ({names}) instead of a whole controller")]
    if not any(i.is_keyboard for i in inputs):
        drawbacks.append(drawback("no keyboard", f"no keyboard is in {names}: plug one in"))
    if not any(POINTERS & set(i.kinds) for i in inputs):
        drawbacks.append(drawback("no mouse", f"no mouse is in {names}: plug one in"))
    return choice(
        usb=tuple(_socket_match(pool, spot) for spot in spots),
        takes=pool.port_bits(ports),
        node=pool.host.by_address[ports[0].controller].numa_node,
        drawbacks=drawbacks,
        gets=tuple(_socket_words(pool, spot) for spot in spots),
    )


def _socket_match(pool: Pool, spot: tuple[UsbPort, ...]) -> PortMatch:
    return port_match(pool.host.by_address[spot[0].controller], spot)


def _socket_words(pool: Pool, spot: tuple[UsbPort, ...]) -> str:
    devices = [
        device.name
        for device in pool.plugged.get(spot[0].controller, ())
        if not device.is_hub and device.port and any(is_within(device.port, p) for p in spot)
    ]
    return f"socket {name_spots((spot,))}, " + (
        f"with {', '.join(devices)}" if devices else "empty"
    )


def find_pinned(pool: Pool, wish: SeatWishes, wholes: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return the ways to give a seat the ports and controllers it names, all of them in each way;
    whole controllers where they can go.

    *errors*: AssignmentError where a controller has no such port.
    """
    wholes = tuple(wholes)
    parts: dict[PciAddress, list[Choice]] = {}
    for address in dict.fromkeys((*wish.controllers, *(p.controller for p in wish.ports))):
        parts[address] = [whole for whole in wholes if address in whole.functions]
        ports = [port for port in wish.ports if port.controller == address]
        if address not in wish.controllers and address in pool.host.by_address:
            spots = dict.fromkeys(find_spot(pool, port, wish.ports) for port in ports)
            parts[address].append(_sockets(pool, spots))
    return tuple(_together(ways) for ways in product(*parts.values()))


def _together(ways: tuple[Choice, ...]) -> Choice:
    """Return several choices as one."""
    usb: dict[UsbMatch, None] = {match: None for way in ways for match in way.usb}
    takes = 0
    for way in ways:
        takes |= way.takes
    return choice(
        usb=tuple(usb),
        functions=tuple(a for way in ways for a in way.functions),
        takes=takes,
        node=ways[0].node,
        only_with=next((way.only_with for way in ways if way.only_with), None),
        drawbacks=_in_sum(ways),
        gets=tuple(words for way in ways for words in way.gets),
    )


def _in_sum(ways: tuple[Choice, ...]) -> Iterator[Drawback]:
    """Yield the drawbacks of several choices: a keyboard on one is a keyboard for the seat."""
    kinds = [{item.kind for item in way.drawbacks} for way in ways]
    for way in ways:
        for item in way.drawbacks:
            is_lack = item.kind in ("no keyboard", "no mouse")
            if not is_lack or all(item.kind in lacks for lacks in kinds):
                yield item
