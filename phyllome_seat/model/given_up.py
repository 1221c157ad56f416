"""What a wish takes although the host needs it, named device by device, as `gives-up` writes it.

``console: none`` is one word for every screen and the last keyboard. Whoever reads a seat file
later should see which they were: what writes one for a person names each.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.claim import Refusals, find_claim
from phyllome_seat.model.conflict import find_needed, find_protected
from phyllome_seat.model.consent import match_consent
from phyllome_seat.model.devices import Host
from phyllome_seat.model.match import label
from phyllome_seat.model.seat import PciMatch, PortMatch, UsbMatch, Wish
from phyllome_seat.model.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.model.need import Reason


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One device that goes although the host needs it; ``words`` are a sentence."""

    match: UsbMatch
    words: str


def find_given_up(host: Host, wish: Wish) -> tuple[GivenUp, ...]:
    """Return what the ``console: none`` of a wish gives up: functions first, then sockets."""
    if wish.console != "none":
        return ()
    claims = tuple(find_claim(host, seat, Refusals("")) for seat in wish.seats)
    protected = find_protected(host, claims)
    found: dict[UsbMatch, dict[str, bool]] = {}  # sentences, and whether it is needed itself
    for claim in claims:
        for place, _, reason in find_needed(host, claim, protected):
            match = match_consent(host, place, reason) if reason.waivable else None
            if match is not None:
                found.setdefault(match, {})[_words(host, place, reason)] = not reason.about
    return tuple(GivenUp(match, _joined(found[match])) for match in sorted(found, key=_order))


def name_given_up(host: Host, wish: Wish, before: Wish | None = None) -> Wish:
    """Return `wish` with a line of ``gives-up`` for all that its ``console: none`` gives up.

    Of `before`, the seat file until now, the lines stay for what the seats have already: the host
    is no longer seen to need that.
    """
    if wish.console != "none":
        return wish
    claims = tuple(find_claim(host, seat, Refusals("")) for seat in wish.seats)
    held = {kept.address for kept in host.before} & {a for c in claims for a in c.functions}
    lines = before.gives_up if before else ()
    kept = [m for m in lines if isinstance(m, PciMatch) and m.address in held]
    named = {replace(match, line=0) for match in (*wish.gives_up, *kept)}
    named |= {given.match for given in find_given_up(host, wish)}
    return replace(wish, gives_up=tuple(sorted(named, key=_order)))


def _joined(sentences: dict[str, bool]) -> str:
    """Return what a device is needed for itself; else what those are that share its group."""
    return "; ".join([words for words, is_own in sentences.items() if is_own] or sentences)


def _words(host: Host, place: PciAddress | UsbPort, reason: Reason) -> str:
    what = str(place) if isinstance(place, UsbPort) else label(host.by_address[place])
    return f"{what}, which {reason.words}"


def _order(match: UsbMatch) -> tuple[object, ...]:
    """Return what sorts functions by address, then sockets by place, then what has no place."""
    if isinstance(match, PciMatch):
        return 0, match.address
    if isinstance(match, PortMatch):
        return 1, match.controller, match.usb2, match.usb3
    return 2, str(match.id), match.serial or ""
