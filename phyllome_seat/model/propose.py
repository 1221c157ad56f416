"""A Host and what people want of it → whole seat files, best first, each with its reasons.

What each seat could have is in a `Pool`; `search` finds the way with the fewest points
(`preference`); `assign` and `plan` have the last word on it. The runners-up are the best ways
without one thing of the best: why each lost is what it has against it that the best has not.
"""

from __future__ import annotations

import re
from functools import partial

from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import Host
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.match import is_meant
from phyllome_seat.model.plan import refuse_in_use
from phyllome_seat.model.plan_drivers import plan_restore
from phyllome_seat.model.pool import Choice, Pool
from phyllome_seat.model.pool_cards import find_cards, is_weak
from phyllome_seat.model.pool_usb import find_pinned, find_sockets, find_wholes
from phyllome_seat.model.preference import Drawback, drawback
from phyllome_seat.model.proposal import NoProposalError, Proposal, ProposalWishes, SeatWishes
from phyllome_seat.model.proposal_wish import build_wish, guest_of, name_seats
from phyllome_seat.model.proposal_words import build_proposal
from phyllome_seat.model.search import Chooser, Found, search
from phyllome_seat.model.seat import Seat
from phyllome_seat.model.seat_value import PATTERNS
from phyllome_seat.model.value import replace
from phyllome_seat.model.way_out import find_ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.search import Pick

_RUNNERS_UP = 4


def propose(host: Host, wishes: ProposalWishes = ProposalWishes()) -> tuple[Proposal, ...]:  # noqa: B008 - a value
    """Return proposals for the seats of `wishes`, best first, at least one.

    Each is a whole `Wish` that `assign` and `plan` accept on `host`. NoProposalError, with what
    would make it fit, where there is none.
    """
    return _ask(host, wishes).proposals()


def find_best(host: Host, wishes: ProposalWishes) -> Proposal | None:
    """Return the first of what `propose` returns, None where it has none.

    Quicker: neither the runners-up nor what would make it fit are looked for.
    """
    return _ask(host, wishes).first()


def _ask(host: Host, wishes: ProposalWishes) -> _Asked:
    """Return the question; where no seats are named, for as many with their own card as fit, and
    for those that run now.
    """
    if wishes.count is not None or wishes.seats:
        return _Asked(host, replace(wishes, seats=name_seats(wishes)))
    cards, _ = find_cards(Pool(host, keeps_console=wishes.console == "keep"), Seat("any"))
    good = [card for card in cards if not is_weak(card)]
    running = _running_seats(host)
    for count in range(len(running) + len(good), max(0, len(running) - 1), -1):
        some = replace(wishes, seats=running, count=count)
        asked = _Asked(host, replace(some, seats=name_seats(some)))
        if asked.best is not None:
            return asked
    one = replace(wishes, seats=running, count=1)
    return _Asked(host, replace(one, seats=name_seats(one)))


def _running_seats(host: Host) -> tuple[SeatWishes, ...]:
    """Return the seats whose guests run: what those have, no other seat can have.

    Their names are of domains' metadata, which anybody may have written, and copied.
    """
    cards = {device.address for device in host.pci if device.is_gpu}
    seats: dict[str, SeatWishes] = {}
    for guest in host.guests_known:
        if guest.is_running and guest.seat and re.fullmatch(PATTERNS["seat"], guest.seat):
            is_virtual = not any(hostdev.pci in cards for hostdev in guest.hostdevs)
            seat = SeatWishes(guest.seat, domain=guest.name, is_virtual=is_virtual)
            seats.setdefault(seat.name, seat)
    return tuple(seats.values())


class _Asked:
    """One question: the seats are named, the host is known."""

    def __init__(self, host: Host, wishes: ProposalWishes) -> None:
        self.host = host
        self.wishes = wishes
        self.pool = Pool(host, keeps_console=wishes.console == "keep")
        self._found: dict[str | None, tuple[tuple[Choice, ...], tuple[Choice, ...]]] = {}
        self.refused: dict[str, None] = {}
        self.last_refusal: tuple[str, ...] = ()
        self.sockets = find_sockets(self.pool, len(wishes.seats))
        self.choosers = tuple(self._chooser(seat) for seat in wishes.seats)
        self.best = self._search(self.choosers)

    def first(self) -> Proposal | None:
        """Return the best."""
        return None if self.best is None else self._proposal(self.best)

    def proposals(self) -> tuple[Proposal, ...]:
        """Return the best and its runners-up."""
        if self.best is None:
            reasons = tuple(dict.fromkeys((*self.last_refusal, *self.refused)))
            count = len(self.wishes.seats)
            what = f"nothing fits for {count} seat{'s' if count != 1 else ''} on this PC"
            ways = find_ways(self.host, self.wishes, _fits)
            raise NoProposalError(what, reasons, ways)
        first = self._proposal(self.best)
        return first, *(
            replace(self._proposal(other), lost=_why_lost(self.best, other))
            for other in self._runners_up(self.best)
        )

    # -- what each seat may choose from ------------------------------------------------------------

    def _chooser(self, seat: SeatWishes) -> Chooser:
        cards, wholes = self._offered(seat)
        if seat.is_virtual:
            mine: tuple[Choice, ...] = (Choice(),)
        else:
            mine = tuple(card for card in cards if self._is_wanted(seat, card))
        places: tuple[Choice, ...] = (*wholes, *self.sockets)
        if seat.ports or seat.controllers:
            try:
                places = find_pinned(self.pool, seat, wholes)
            except AssignmentError as error:
                places, self.last_refusal = (), error.conflicts
        in_order = tuple(sorted(places, key=lambda place: place.cost))
        pins = (seat.gpu, seat.monitor, seat.ports, seat.controllers, seat.is_virtual)
        return Chooser(mine, in_order, (pins, self._holder(seat)))

    def _holder(self, seat: SeatWishes) -> str | None:
        """Return the guest of a seat where it has devices already: no other seat can have those."""
        name, _ = guest_of(self.host, seat)
        guests = (g.name for g in self.host.guests_known if g.hostdevs)
        return next((guest for guest in guests if guest == name), None)

    def _offered(self, seat: SeatWishes) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
        holder = self._holder(seat)
        if holder not in self._found:
            like = Seat(seat.name, domain=holder)
            cards, no_cards = find_cards(self.pool, like)
            wholes, no_wholes = find_wholes(self.pool, like, cards)
            self.refused.update(dict.fromkeys((*no_cards, *no_wholes)))
            self._found[holder] = cards, wholes
        return self._found[holder]

    def _is_wanted(self, seat: SeatWishes, card: Choice) -> bool:
        """Whether a card is the one that a seat is pinned to."""
        gpu = card.gpu
        if gpu is None or seat.gpu not in (None, gpu.address):
            return False
        if seat.monitor is None:
            return True
        outputs = [c for c in self.host.connectors if c.gpu == gpu.address]
        shown = [c.monitor for c in outputs if c.monitor]
        is_blind = seat.gpu is not None and not outputs
        return is_blind or any(is_meant(seat.monitor, monitor) for monitor in shown)

    # -- the search --------------------------------------------------------------------------------

    def _search(self, choosers: tuple[Chooser, ...]) -> Found | None:
        return search(choosers, _joint, self.pool.keep(), self._accepts)

    def _accepts(self, pairs: Pick) -> bool:
        try:
            assignment = assign(build_wish(self.host, self.wishes, pairs), self.host)
            if any(guest.is_running for guest in self.host.guests_known):
                refuse_in_use(assignment, self.host, plan_restore(assignment, self.host))
        except AssignmentError as error:
            self.last_refusal = error.conflicts
            return False
        return True

    def _runners_up(self, best: Found) -> list[Found]:
        """Return the best ways without one thing of the best way, cheapest first."""
        found: dict[object, Found] = {_same(best): best}
        for choice in dict.fromkeys(choice for pair in best.pairs for choice in pair):
            if choice.is_empty or len(found) > 2 * _RUNNERS_UP:
                continue
            without = tuple(partial(_without, choice)(chooser) for chooser in self.choosers)
            other = self._search(without)
            if other is not None:
                found.setdefault(_same(other), other)
        others = sorted(list(found.values())[1:], key=lambda way: way.cost)
        told = {_why_lost(best, other): other for other in reversed(others)}  # one of each kind
        return sorted(told.values(), key=lambda way: way.cost)[:_RUNNERS_UP]

    def _proposal(self, found: Found) -> Proposal:
        return build_proposal(self.host, self.wishes, found, _beside, tuple(self.refused))


def _fits(host: Host, wishes: ProposalWishes) -> bool:
    return _Asked(host, wishes).best is not None


def _without(choice: Choice, chooser: Chooser) -> Chooser:
    return Chooser(
        tuple(first for first in chooser.firsts if first != choice),
        tuple(second for second in chooser.seconds if second != choice),
        chooser.kind,
    )


def _same(found: Found) -> frozenset[int]:
    """Return what makes two ways the same: who has what together, whatever the seats' order."""
    return frozenset(card.takes | place.takes for card, place in found.pairs)


def _joint(card: Choice, place: Choice) -> int | None:
    if place.only_with is not None and (card.gpu is None or card.gpu.address != place.only_with):
        return None
    return sum(item.points for item in _beside(card, place))


def _beside(card: Choice, place: Choice) -> tuple[Drawback, ...]:
    """Return what speaks against a card and places together."""
    if card.gpu is None or place.only_with or None in (card.node, place.node):
        return ()
    if card.node == place.node:
        return ()
    words = f"{card.gpu.address} and its USB are on two NUMA nodes, {card.node} and {place.node}"
    return (drawback("far", words),)


def _all_drawbacks(found: Found) -> list[Drawback]:
    return [
        item
        for card, place in found.pairs
        for item in (*card.drawbacks, *place.drawbacks, *_beside(card, place))
    ]


def _why_lost(best: Found, other: Found) -> str:
    """Return in one sentence what a way has against it that the best one has not."""
    first = {item.words for item in _all_drawbacks(best)}
    more = [item for item in _all_drawbacks(other) if item.words not in first]
    if other.cost == best.cost:
        return "as good as the first; it differs only in which one of equal things goes where"
    heaviest = sorted(more, key=lambda item: -item.points)[:2]
    return "; ".join(item.words for item in heaviest) or "it weighs more"
