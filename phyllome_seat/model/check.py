"""What stands between this PC and its seats: findings, each with its evidence and the fix.

Pure: a `Host` with its `Platform`, and a wish, to findings. The worst come first.
"""

from __future__ import annotations

from phyllome_seat.model.assign import assign
from phyllome_seat.model.check_cards import check_cards
from phyllome_seat.model.check_libvirt import check_libvirt
from phyllome_seat.model.check_room import check_room
from phyllome_seat.model.check_settings import check_settings
from phyllome_seat.model.check_system import check_system
from phyllome_seat.model.devices import Host
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.finding import SEVERITIES, Finding
from phyllome_seat.model.pins import find_parted
from phyllome_seat.model.seat import Wish

# What no tool cures, for who has not spent money yet. Sources: areweanticheatyet.com names Vanguard
# among those that refuse; Apple's licences for macOS allow virtual copies on its own computers.
_SPOKEN = (
    (
        "anti-cheat",
        "some games refuse to run in any virtual machine, Vanguard's among them, and may ban",
        "look your games up before you buy: no setting here hides a guest",
    ),
    (
        "macOS",
        "Apple's licence allows it in a virtual machine on Apple's own computers only",
        "plan seats for Linux or Windows",
    ),
    ("suspend", "a PC whose cards are with guests is not safe to suspend", "stop the seats first"),
)


def check(host: Host, wish: Wish | None = None) -> tuple[Finding, ...]:
    """Return the findings, worst first; without seats in the wish, those of the PC alone."""
    wish = wish or Wish()
    found = [
        *check_system(host),
        *check_libvirt(host),
        *check_settings(host),
        *check_cards(host, wish),
        *(_check_wish(host, wish) if wish.seats else ()),
        *check_room(host, wish),
    ]
    found += [Finding("note", subject, words, "", fix) for subject, words, fix in _SPOKEN]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _check_wish(host: Host, wish: Wish) -> list[Finding]:
    """Ask `assign`, which knows of groups and of what the host needs."""
    try:
        seats = assign(wish, host).seats
    except AssignmentError as error:
        hint = error.hint or f"edit {wish.file}"
        return [Finding("error", "seats", line, wish.file, hint) for line in _lines(error)]
    fix = "keep another way to reach the host; `phyllome-seat confirm` after `apply`"
    return [
        Finding("note", f"seat {seat.seat.name}", note, wish.file, fix)
        for seat in seats
        for note in seat.notes
        if " is given up: " in note
    ] + [
        Finding("warning", f"seat {name}", words, wish.file, "pin both threads of a core, or none")
        for name, sentences in find_parted(host, wish).items()
        for words in sentences
    ]


def _lines(error: AssignmentError) -> list[str]:
    return [line.strip() for line in error.lines if line.strip()]
