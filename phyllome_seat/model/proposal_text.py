"""Proposals as text that a person can keep, a seat file whose comments say why, and as JSON.

What a device calls itself stands in comments here, so each is made one line of signs first.
"""

from __future__ import annotations

from collections.abc import Iterator

from phyllome_seat.model.printable import one_line
from phyllome_seat.model.proposal import Proposal, ProposedSeat
from phyllome_seat.model.seat_file import render_wish

VERSION = 1


def render_proposal(proposals: tuple[Proposal, ...], number: int = 0) -> str:
    """Return the proposal of this number as a seat file that `parse_wish` reads as its wish.

    With the first come the others, a line each, and what no seat can have.
    """
    proposal = proposals[number]
    lines = [*_head(proposals, number), *_file(proposal)]
    if number == 0:
        lines += ["", *_section("also possible, and why not first:", _one_liners(proposals))]
        lines += _section("what no seat can have:", proposal.refused)
        lines += _section("what would be better, and `apply` cannot do yet:", proposal.others)
    while not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def _head(proposals: tuple[Proposal, ...], number: int) -> Iterator[str]:
    proposal = proposals[number]
    if number:
        yield _comment(f"Proposal {number + 1} of {len(proposals)}. Not the first, because:")
        yield _comment(f"  {proposal.lost}")
    else:
        yield _comment(
            "Proposed by `phyllome-seat propose` for this PC: change what you like, keep"
        )
        yield _comment(
            "it as /etc/phyllome-seat/seats.yaml; `phyllome-seat plan` says what it does."
        )
    yield _comment("The host keeps:")
    yield from (_comment(f"  {words}") for words in proposal.keeps)
    yield from _section("the host gives up, as `gives-up` names:", proposal.gives_up)


def _file(proposal: Proposal) -> Iterator[str]:
    """Yield the lines of the seat file, with comments before each seat."""
    by_name = {seat.name: seat for seat in proposal.seats}
    is_inside = False
    for line in render_wish(proposal.wish).splitlines():
        name = line.strip().partition(":")[0]
        if is_inside and line.startswith("  ") and line[2] != " " and name in by_name:
            yield from (f"  {_comment(words)}" for words in _why(by_name[name]))
        is_inside = is_inside or line == "seats:"
        yield line


def _why(seat: ProposedSeat) -> Iterator[str]:
    yield from seat.gets
    yield from (f"but: {words}" for words in seat.drawbacks)


def _one_liners(proposals: tuple[Proposal, ...]) -> Iterator[str]:
    for number, proposal in enumerate(proposals[1:], 2):
        more = proposal.points - proposals[0].points
        yield f"{number}. (+{more}) {_devices(proposal)}: {proposal.lost}"


def _devices(proposal: Proposal) -> str:
    """Return who gets what in one line, by addresses."""
    parts = []
    for seat in proposal.wish.seats:
        things = [str(seat.gpu.address)] if seat.gpu else ["virtio"]
        places = dict.fromkeys(
            str(getattr(match, "address", "")) or f"ports of {getattr(match, 'controller', '')}"
            for match in seat.usb
        )
        parts.append(f"{seat.name} {' + '.join([*things, *places])}")
    return ", ".join(parts)


def _section(title: str, sentences: Iterator[str] | tuple[str, ...]) -> Iterator[str]:
    found = tuple(sentences)
    if found:
        yield _comment(title[0].upper() + title[1:])
        yield from (_comment(f"  {words}") for words in found)


def _comment(words: str) -> str:
    return f"# {one_line(words)}"


def proposals_json(proposals: tuple[Proposal, ...]) -> dict[str, object]:
    """Return proposals as JSON's own types, best first.

    *shape*: ``{"phyllome_seat_proposals": 1, "proposals": [{"points", "lost", "seats": [{"seat",
    "gets", "drawbacks", "cpus"}], "keeps", "gives_up", "seat_file"}], "refused": [...],
    "others": [...]}``.
    """
    return {
        "phyllome_seat_proposals": VERSION,
        "proposals": [
            {
                "points": proposal.points,
                "lost": one_line(proposal.lost),
                "seats": [_seat_json(seat) for seat in proposal.seats],
                "keeps": [one_line(words) for words in proposal.keeps],
                "gives_up": [one_line(words) for words in proposal.gives_up],
                "seat_file": render_proposal(proposals, number),
            }
            for number, proposal in enumerate(proposals)
        ],
        "refused": [one_line(words) for words in proposals[0].refused],
        "others": [one_line(words) for words in proposals[0].others],
    }


def _seat_json(seat: ProposedSeat) -> dict[str, object]:
    return {
        "seat": seat.name,
        "gets": [one_line(words) for words in seat.gets],
        "drawbacks": [one_line(words) for words in seat.drawbacks],
        "cpus": list(seat.cpus),
    }
