"""What the host would lose with each device, in plain words and as a list for programs."""

from __future__ import annotations

from collections.abc import Iterable

from phyllome_seat.model.need import Protected, Reason
from phyllome_seat.model.value import dataclass, replace


@dataclass(frozen=True, slots=True)
class Lost:
    """One thing the host would lose with what is at one place.

    ``place`` is a PCI address or a USB place as text; ``about`` the function of its group that it
    is for, where that is another. ``given_up_by`` are the words of a seat file that give it up,
    none for what never leaves.
    """

    place: str
    kind: str
    loses: str
    why: str
    evidence: str
    about: str = ""
    given_up_by: tuple[str, ...] = ()


def list_lost(protected: Protected) -> tuple[Lost, ...]:
    """Return all that the host would lose, by place: functions first."""
    places = [*protected.pci.items(), *protected.usb.items()]
    return tuple(_lost(str(place), reason) for place, reasons in places for reason in reasons)


def _lost(place: str, reason: Reason) -> Lost:
    words = (*(["console: none"] if reason.waivable else []), *(["gives-up"] * reason.by_name))
    about = str(reason.about) if reason.about else ""
    return Lost(place, reason.kind, reason.loses, reason.words, reason.evidence, about, words)


def render_lost(reasons: Iterable[Reason]) -> str:
    """Return what the host would lose for these reasons, empty where nothing.

    What a function is needed for itself is enough; else what its group is, with the function.
    """
    reasons = tuple(reasons)
    own = [reason.loses for reason in reasons if reason.about is None]
    shared = [f"with {reason.about} of its group {reason.loses}" for reason in reasons]
    return "; ".join(dict.fromkeys(own or shared))


def name_session(protected: Protected, peer: str) -> Protected:
    """Return the same for whoever came by SSH from `peer`: "your SSH session"."""
    old = f"the network to {peer} (an SSH session)"
    new = old.replace("(an", "(your")

    def told(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        return tuple(replace(reason, loses=reason.loses.replace(old, new)) for reason in reasons)

    return Protected(
        {address: told(reasons) for address, reasons in protected.pci.items()},
        {port: told(reasons) for port, reasons in protected.usb.items()},
    )
