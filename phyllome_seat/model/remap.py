"""A seat file whose hardware moved: where what it names is now, as the same wish with new places.

What is named by place *and* identity is followed by its identity, a card first by its monitor; of
twins each by what was plugged into it, as it was seen when seats were last applied.
The result is a proposal, with a reason for each change, that a person reads as a diff; what cannot
be told stays as it was and is said.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.claim import Refusals, find_claim
from phyllome_seat.model.consent import find_consent
from phyllome_seat.model.devices import Connector, Host, PciDevice
from phyllome_seat.model.match import is_meant, label, name_monitor
from phyllome_seat.model.monitors import monitor_match
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.seat import MonitorMatch, PciMatch, PortMatch, Seat, UsbMatch, Wish
from phyllome_seat.model.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Place = tuple[PciAddress, PciId]
    _Thing = tuple[str, str | None]


_NOTHING_SEEN = Host()


@dataclass(frozen=True, slots=True)
class Edit:
    """One text of the seat file that becomes another, in this line or one of the next."""

    line: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Remap:
    """The wish with new places. ``reasons`` has a sentence for each change, ``left`` one for each
    thing that was not found; both empty where everything is where the file says.
    """

    wish: Wish
    edits: tuple[Edit, ...]
    reasons: tuple[str, ...]
    left: tuple[str, ...]


def remap(wish: Wish, host: Host, seen: Host = _NOTHING_SEEN) -> Remap:
    """Return `wish` with what moved at its new place on `host`; `seen` is what was seen before."""
    moves = _Moves(host, wish, seen)
    seats = tuple(_move_seat(host, seat, moves) for seat in wish.seats)
    gives_up = tuple(_move_usb(match, moves) for match in wish.gives_up)
    moved = replace(wish, seats=seats, gives_up=gives_up)
    return Remap(
        moved,
        tuple(moves.edits),
        tuple(dict.fromkeys(map(one_line, moves.reasons))),
        tuple(map(one_line, _find_left(host, moved))),
    )


def edit_text(text: str, found: Remap) -> str | None:
    """Return a seat file's text with the edits made, comments and all; None where one has no place.

    An edit is looked for from its line on, for as long as one thing's lines may go. A key more or
    less is no edit of a text.
    """
    lines = text.splitlines(keepends=True)
    for edit in found.edits:
        if not (edit.old and edit.new):
            return None
        span = range(max(0, edit.line - 1), min(len(lines), edit.line + 5))
        at = next((n for n in span if edit.old in lines[n]), None)
        if at is None:
            return None
        lines[at] = lines[at].replace(edit.old, edit.new, 1)
    return "".join(lines)


class _Moves:
    """Where each named function is now, and what that changes in the file."""

    def __init__(self, host: Host, wish: Wish, seen: Host) -> None:
        self._host, self._seen = host, seen
        self.edits: list[Edit] = []
        self.reasons: list[str] = []
        self.to: dict[Place, PciDevice] = {}
        places = tuple(dict.fromkeys(_places(wish)))
        for place in places:
            here = host.by_address.get(place[0])
            if here and place[1].matches(here.id):
                self.to[place] = here
        for identity in dict.fromkeys(place[1] for place in places if place not in self.to):
            same = [place for place in places if place[1] == identity]
            self._recognise(same)
            taken = {self.to[place].address for place in same if place in self.to}
            self._follow([place for place in same if place not in self.to], taken)

    def _recognise(self, places: list[Place]) -> None:
        """Note where functions of one identity are now by what was plugged into them.

        Once one of them has moved, another of its kind may be where it was.
        """
        found: dict[Place, tuple[PciDevice, str]] = {}
        for place in places:
            had = self._seen_at(place)
            both = {d.address: had.keys() & _things(self._host, d) for d in self._twins(place[1])}
            most = max(map(len, both.values()), default=0)
            best = [address for address, things in both.items() if len(things) == most]
            if most and len(best) == 1:
                things = sorted(had[thing] for thing in both[best[0]])
                found[place] = self._host.by_address[best[0]], things[0]
        at = [device.address for device, _ in found.values()]
        found = {place: f for place, f in found.items() if at.count(f[0].address) == 1}
        known = {device.address for device, _ in found.values()}
        others = [place for place in places if place not in found]
        in_place = {self.to[place].address for place in others if place in self.to} - known
        free = {device.address for device in self._twins(places[0][1])} - known - in_place
        displaced = [p for p in others if p in self.to and self.to[p].address in known]
        if len(displaced) > len(free):
            return  # what was plugged there has changed hands, for all that is known
        for place in displaced:
            del self.to[place]  # that is another's
        for place, (device, thing) in found.items():
            self.to[place] = device
            if device.address != place[0]:
                self.reasons.append(f"{thing}, last seen on {place[0]}, is on {label(device)} now")

    def _seen_at(self, place: Place) -> dict[_Thing, str]:
        then = self._seen.by_address.get(place[0])
        return _things(self._seen, then) if then and place[1].matches(then.id) else {}

    def _twins(self, identity: PciId) -> list[PciDevice]:
        return [device for device in self._host.pci if identity.matches(device.id)]

    def _follow(self, places: list[Place], taken: set[PciAddress]) -> None:
        """Note where functions of one identity are now: the only one, or as many in one order."""
        if not places:
            return
        identity = places[0][1]
        twins = self._twins(identity)
        free = [device for device in twins if device.address not in taken]
        if len(free) != len(places):
            return
        # Twins may have changed places among themselves: a bus more moves all that come after it.
        doubt = ", if no twin took its place: check it by `identify`" if len(twins) > 1 else ""
        for place, device in zip(sorted(places), sorted(free, key=_address), strict=True):
            self.to[place] = device
            self.reasons.append(f"{place[0]} ({identity}) is at {label(device)} now{doubt}")

    def move(self, place: Place, line: int) -> PciDevice | None:
        """Return the function that a place means now, and note the edit of its line."""
        device = self.to.get(place)
        if device and device.address != place[0]:
            self.edits.append(Edit(line, str(place[0]), str(device.address)))
        return device


def _address(device: PciDevice) -> PciAddress:
    return device.address


def _things(host: Host, function: PciDevice) -> dict[_Thing, str]:
    """Return what is seen on a function, by what tells it from others: devices and monitors."""
    things: dict[_Thing, str] = {}
    for device in host.usb:
        if device.port and device.port.controller == function.address and not device.remembered:
            serial = f" (serial {device.serial})" if device.serial else ""
            things[str(device.id), device.serial] = f"{device.name}{serial}"
    for connector in host.connectors:
        monitor = connector.monitor
        if connector.gpu == function.address and monitor and not connector.remembered:
            things[str(monitor.maker), str(monitor)] = name_monitor(monitor)
    return things


def _places(wish: Wish) -> Iterator[Place]:
    for seat in wish.seats:
        if seat.gpu:
            yield seat.gpu.address, seat.gpu.id
        yield from (place for match in seat.usb for place in _place(match))
    yield from (place for match in wish.gives_up for place in _place(match))


def _place(match: UsbMatch) -> Iterator[Place]:
    if isinstance(match, PciMatch):
        yield match.address, match.id
    elif isinstance(match, PortMatch):
        yield match.controller, match.id


def _move_seat(host: Host, seat: Seat, moves: _Moves) -> Seat:
    gpu = _move_gpu(host, seat, moves)
    usb = tuple(_move_usb(match, moves) for match in seat.usb)
    return replace(seat, gpu=gpu, usb=usb, monitor=_move_monitor(host, seat, gpu, moves))


def _move_usb(match: UsbMatch, moves: _Moves) -> UsbMatch:
    for place in _place(match):
        device = moves.move(place, match.line)
        if device and isinstance(match, PciMatch):
            return replace(match, address=device.address)
        if device and isinstance(match, PortMatch):
            return replace(match, controller=device.address)
    return match


def _move_gpu(host: Host, seat: Seat, moves: _Moves) -> PciMatch | None:
    """Return a seat's card: the one its monitor is on now, else where its identity is."""
    if seat.gpu is None:
        return None
    there = _showing(host, seat.monitor)
    gpus = {connector.gpu for connector in there}
    if len(gpus) == 1 and seat.gpu.address not in gpus:
        card = host.by_address[there[0].gpu]
        if seat.gpu.id.matches(card.id):
            assert there[0].monitor is not None
            moves.reasons.append(
                f"{name_monitor(there[0].monitor)} of seat {seat.name} is on {label(card)} now"
            )
            moves.edits.append(Edit(seat.gpu.line, str(seat.gpu.address), str(card.address)))
            return replace(seat.gpu, address=card.address)
    device = moves.move((seat.gpu.address, seat.gpu.id), seat.gpu.line)
    return replace(seat.gpu, address=device.address) if device else seat.gpu


def _showing(host: Host, match: MonitorMatch | None) -> tuple[Connector, ...]:
    if match is None:
        return ()
    return tuple(c for c in host.connectors if c.monitor and is_meant(match, c.monitor))


def _move_monitor(
    host: Host, seat: Seat, gpu: PciMatch | None, moves: _Moves
) -> MonitorMatch | None:
    """Return a seat's monitor: the only one on its card where the named one is nowhere."""
    if seat.monitor is None or gpu is None or _showing(host, seat.monitor):
        return seat.monitor
    on = [c.monitor for c in host.connectors if c.gpu == gpu.address and c.monitor]
    new = monitor_match(on[0]) if len(on) == 1 else None
    if new is None:
        return seat.monitor
    moves.reasons.append(
        f"the monitor of seat {seat.name} is nowhere; its card shows {name_monitor(on[0])} now"
    )
    pairs = zip(
        (seat.monitor.maker, seat.monitor.name, seat.monitor.serial),
        (new.maker, new.name, new.serial),
        strict=True,
    )
    moves.edits += [Edit(seat.monitor.line, old or "", to or "") for old, to in pairs if old != to]
    return replace(new, line=seat.monitor.line)


def _find_left(host: Host, wish: Wish) -> tuple[str, ...]:
    """Return a sentence for everything that is still not where the wish says."""
    refusals = Refusals(wish.file)
    for seat in wish.seats:
        find_claim(host, seat, refusals)
    find_consent(host, wish, refusals)
    return tuple(dict.fromkeys(refusals.sentences))
