"""What makes one proposal better than another: each drawback, and how much it weighs.

The proposal with the fewest points is the best. A weight says which of two drawbacks a person would
rather have: a seat with single ports (20) rather than one whose card shows no monitor (40).
"""

from __future__ import annotations

from phyllome_seat.model.value import dataclass

WEIGHTS = {
    # the card
    "the host's screen": 200,  # only with `console: none`: the host is then reached by SSH
    "no output": 100,  # a 3D controller: a notebook's second chip, a compute card
    "management": 100,  # a server's remote screen
    "no monitor": 40,
    "processor": 30,  # a processor's own graphics: fewer of them work in a guest
    # No weight: it is over with a log-out and after `apply`, and the same question would then be
    # answered otherwise.
    "in use": 0,
    "narrow": 8,  # a slot of fewer lanes than the card has
    # the USB places
    "several people's": 25,  # a whole controller with more than one keyboard on it
    "ports": 20,  # instead of a whole controller
    "no keyboard": 10,
    "board": 6,  # the board's own controller: most of the case's sockets are on it
    "no mouse": 4,
    "device": 2,  # each thing more that is plugged into a whole controller, at most five
    # both
    "along": 3,  # each function that the IOMMU group forces along
    "far": 6,  # card and controller on two NUMA nodes
}


@dataclass(frozen=True, slots=True)
class Drawback:
    """One thing that speaks against a choice: its key in ``WEIGHTS``, and a sentence."""

    kind: str
    points: int
    words: str


def drawback(kind: str, words: str, times: int = 1) -> Drawback:
    """Return a drawback of a kind in ``WEIGHTS``, so many times."""
    return Drawback(kind, WEIGHTS[kind] * times, words)
