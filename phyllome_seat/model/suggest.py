"""What `propose` would answer to the questions of `init`, with what is known so far held fixed."""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.conversation import CREATE, NONE, Answers
from phyllome_seat.model.devices import Host
from phyllome_seat.model.match_usb import find_ports
from phyllome_seat.model.monitors import monitor_match, numbered
from phyllome_seat.model.proposal import ProposalWishes, SeatWishes
from phyllome_seat.model.propose import find_best
from phyllome_seat.model.seat import PciMatch, PortMatch, Seat
from phyllome_seat.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def suggest(host: Host, answers: Answers) -> dict[str, str]:
    """Return an answer to each question of the best proposal, by the question's key.

    Nothing where nothing fits: then the answers are refused at the end, with the reasons. That a
    seat's guest runs now is no reason: `plan`, which follows, says to stop it.
    """
    if host.guests:
        guests = tuple(replace(g, state="shut off") if g.seat else g for g in host.guests)
        host = replace(host, guests=guests)
    wishes = tuple(_known(host, answers, name) for name in answers.names)
    best = find_best(host, ProposalWishes(seats=wishes))
    if best is None:
        return {}
    seats = best.wish.seats
    if not answers.names:
        return {"seats": ",".join(seat.name for seat in seats)}
    return dict(pair for seat in seats for pair in _answers(host, seat))


def _known(host: Host, answers: Answers, name: str) -> SeatWishes:
    """Return what a seat's answers fix so far."""
    said = {key: answers.get(f"{name}.{key}") for key in ("monitor", "keyboard", "mouse", "guest")}
    number = said["monitor"]
    connector = None if number in (None, NONE) else dict(numbered(host))[int(number)]
    places = (said["keyboard"], said["mouse"])
    return SeatWishes(
        name,
        gpu=connector.gpu if connector else None,
        monitor=monitor_match(connector.monitor) if connector else None,
        ports=tuple(UsbPort.parse(text) for text in places if text not in (None, NONE)),
        is_virtual=number == NONE,
        domain=said["guest"] if said["guest"] not in (None, NONE, CREATE) else None,
    )


def _answers(host: Host, seat: Seat) -> Iterator[tuple[str, str]]:
    """Yield what a proposed seat answers."""
    numbers = [n for n, c in numbered(host) if seat.gpu and c.gpu == seat.gpu.address]
    if numbers:
        yield f"{seat.name}.monitor", str(numbers[0])
    for key in ("keyboard", "mouse"):
        places = [i.usb for i in host.inputs if key in i.kinds and i.usb and not i.remembered]
        mine = next((place for place in places if _has(host, seat, place)), None)
        if mine:
            yield f"{seat.name}.{key}", str(mine)
    if seat.create:
        mib = seat.create.memory_bytes // 2**20
        yield f"{seat.name}.cpus", str(seat.create.cpus)
        yield f"{seat.name}.memory", f"{mib // 1024}GiB" if mib % 1024 == 0 else f"{mib}MiB"


def _has(host: Host, seat: Seat, place: UsbPort) -> bool:
    """Whether a seat gets what is plugged in at a place."""
    for match in seat.usb:
        if isinstance(match, PciMatch) and match.address == place.controller:
            return True
        if isinstance(match, PortMatch):
            ports = find_ports(host, match)
            if any(place == port or place.is_below(port) for port in ports):
                return True
    return False
