"""Answers of the conversation → the seat file they mean, on this machine."""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.answer import size_bytes
from phyllome_seat.model.assign import assign
from phyllome_seat.model.climb import plain_id, port_match
from phyllome_seat.model.conversation import CREATE, NONE, Answers
from phyllome_seat.model.devices import Host, UsbDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.match_usb import find_peer
from phyllome_seat.model.monitors import monitor_match, numbered
from phyllome_seat.model.pins import give_cores
from phyllome_seat.model.seat import NewGuest, PciMatch, Seat, UsbMatch, Wish
from phyllome_seat.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import PciAddress


def build_wish(host: Host, answers: Answers, console: str = "keep") -> Wish:
    """Return the seat file that the answers mean; whether it fits the machine, `assign` says.

    A controller goes whole to the one seat that uses it where the machine allows that, else the
    sockets do: the outermost hub's where all that is plugged into it is the seat's.
    """
    seats = tuple(_seat(host, answers, name) for name in answers.names)
    wish = Wish(seats, console=console, file="")
    places = {name: _places(answers, name) for name in answers.names}
    for seat in wish.seats:
        for controller in dict.fromkeys(port.controller for port in places[seat.name]):
            if _is_alone(host, controller, seat.name, places):
                wish = _try_whole(host, wish, seat.name, controller)
    seats = tuple(replace(s, usb=tuple(dict.fromkeys(s.usb))) for s in wish.seats)
    return give_cores(host, replace(wish, seats=seats))


def find_conflicts(host: Host, wish: Wish) -> tuple[str, ...]:
    """Return why a wish does not fit, nothing where it does."""
    try:
        assign(wish, host)
    except AssignmentError as error:
        return error.conflicts
    return ()


def _seat(host: Host, answers: Answers, name: str) -> Seat:
    number = answers.get(f"{name}.monitor")
    connector = None if number in (None, NONE) else dict(numbered(host))[int(number)]
    card = host.by_address.get(connector.gpu) if connector else None
    guest = answers.get(f"{name}.guest")
    return Seat(
        name,
        gpu=PciMatch(card.address, plain_id(card)) if card else None,
        monitor=monitor_match(connector.monitor) if connector else None,
        usb=tuple(_port(host, place, _places(answers, name)) for place in _places(answers, name)),
        domain=None if guest in (None, NONE, CREATE) else guest,
        create=_new_guest(answers, name) if guest == CREATE else None,
    )


def _new_guest(answers: Answers, name: str) -> NewGuest:
    def answer(key: str, otherwise: str) -> str:
        return answers.get(f"{name}.{key}") or otherwise

    disk = answer("disk", NONE)
    size, _, path = disk.partition(" ")
    return NewGuest(
        name,
        memory_bytes=size_bytes(answer("memory", "1GiB")),
        cpus=int(answer("cpus", "1")),
        firmware=answer("firmware", "efi"),
        disk_path=path or None,
        disk_bytes=None if disk == NONE else size_bytes(size),
    )


def _places(answers: Answers, name: str) -> tuple[UsbPort, ...]:
    """Return where a seat's keyboard and mouse are, each place once."""
    given = (answers.get(f"{name}.{key}") for key in ("keyboard", "mouse"))
    texts = dict.fromkeys(text for text in given if text not in (None, NONE))
    return tuple(UsbPort.parse(text) for text in texts)


def _port(host: Host, place: UsbPort, mine: tuple[UsbPort, ...]) -> UsbMatch:
    """Return the socket to name for a device: a hub's, where two of the seat's are all it has."""
    port = place
    while port.parent and _is_all_mine(host, port.parent, mine):
        port = port.parent
    peer = find_peer(host, port)
    controller = host.by_address[port.controller]
    return port_match(controller, (port, peer) if peer else (port,))


def _is_all_mine(host: Host, hub: UsbPort, mine: tuple[UsbPort, ...]) -> bool:
    behind = [d.port for d in _plugged(host) if d.port and d.port.is_below(hub) and not d.is_hub]
    return len(behind) > 1 and all(port in mine for port in behind)


def _plugged(host: Host) -> tuple[UsbDevice, ...]:
    return tuple(device for device in host.usb if not device.remembered)


def _is_alone(
    host: Host, controller: PciAddress, name: str, places: dict[str, tuple[UsbPort, ...]]
) -> bool:
    """Whether no other seat, and no further keyboard, is on a controller."""
    used = {seat for seat, ports in places.items() for p in ports if p.controller == controller}
    typed_on = {
        i.usb
        for i in host.inputs
        if i.is_keyboard and i.usb and i.usb.controller == controller and not i.remembered
    }
    return used == {name} and typed_on <= set(places[name])


def _try_whole(host: Host, wish: Wish, name: str, controller: PciAddress) -> Wish:
    """Return the wish with a controller instead of its sockets, where that costs nothing more."""
    whole = PciMatch(controller, plain_id(host.by_address[controller]))

    def swap(match: UsbMatch) -> UsbMatch:
        return whole if getattr(match, "controller", None) == controller else match

    tried = replace(
        wish,
        seats=tuple(
            replace(seat, usb=tuple(dict.fromkeys(map(swap, seat.usb))))
            if seat.name == name
            else seat
            for seat in wish.seats
        ),
    )
    return tried if set(find_conflicts(host, tried)) <= set(find_conflicts(host, wish)) else wish
