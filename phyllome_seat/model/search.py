"""The cheapest way to give each of several seats a pair of things, no thing to two of them.

A branch and bound over whole numbers: what a choice takes, and what must not be taken whole, are
bits of an int, so that a step of the search is a few operations. It knows nothing of PCs.

Seats that may choose among the same are interchangeable: of all their orders one is looked at. What
is still to come costs at least the cheapest choices that are free, each counted once; where that is
no less than the best found so far, nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Choice(Protocol):
        """Something to choose: its cost, 0 or more, and the bits of what it takes."""

        @property
        def cost(self) -> int: ...  # noqa: D102 - said above
        @property
        def takes(self) -> int: ...  # noqa: D102 - said above

    Pick = tuple[tuple[Any, Any], ...]


_REFUSALS = 40  # whole ways that are not accepted, after which the search gives up


@dataclass(frozen=True, slots=True)
class Chooser:
    """One seat: of each tuple, cheapest first, it takes one. ``kind`` is equal for equal seats."""

    firsts: tuple[Choice, ...]
    seconds: tuple[Choice, ...]
    kind: object


@dataclass(frozen=True, slots=True)
class Found:
    """The cheapest way, a pair for each chooser in their order.

    ``is_proven`` is false where the search gave up looking for a cheaper one.
    """

    pairs: Pick
    cost: int
    is_proven: bool


def search(
    choosers: tuple[Chooser, ...],
    joint: Callable[[Any, Any], int | None],
    keep: tuple[int, ...] = (),
    accepts: Callable[[Pick], bool] = lambda _: True,
    longest: int = 2000,
) -> Found | None:
    """Return the cheapest pairs for all `choosers`, None where there are none.

    `joint` is what a pair costs beside its parts, None where the two do not go together. Of each
    set of bits in `keep`, one at least stays free. `accepts` has the last word on a whole way.
    Looks at no more than `longest` nodes.
    """
    run = _Search(choosers, joint, keep, accepts, longest)
    run.seat(0, 0, 0, 0)
    if run.best is None:
        return None
    order = run.order
    placed = dict(zip(order, run.best, strict=True))
    pairs = tuple(placed[number] for number in range(len(choosers)))
    return Found(pairs, run.best_cost, run.nodes < longest)


class _Search:
    """One search: the way so far, and the best one."""

    def __init__(
        self,
        choosers: tuple[Chooser, ...],
        joint: Callable[[Any, Any], int | None],
        keep: tuple[int, ...],
        accepts: Callable[[Pick], bool],
        longest: int,
    ) -> None:
        # who has least to choose from, first; equal ones side by side
        kinds = list(dict.fromkeys(chooser.kind for chooser in choosers))
        size = {c.kind: len(c.firsts) * len(c.seconds) for c in choosers}
        kinds.sort(key=lambda kind: size[kind])
        self.order = sorted(range(len(choosers)), key=lambda n: kinds.index(choosers[n].kind))
        self.choosers = tuple(choosers[number] for number in self.order)
        self.joint, self.keep, self.accepts, self.longest = joint, keep, accepts, longest
        self.rest = [self._kinds_from(start) for start in range(len(choosers) + 1)]
        self.way: list[tuple[Choice, Choice]] = []
        self.best: Pick | None = None
        self.best_cost = 0
        self.nodes = 0

    def _kinds_from(self, start: int) -> list[tuple[Chooser, int]]:
        """Return one chooser of each kind from `start` on, and how many there are of it."""
        counts: dict[object, tuple[Chooser, int]] = {}
        for chooser in self.choosers[start:]:
            counts[chooser.kind] = chooser, counts.get(chooser.kind, (chooser, 0))[1] + 1
        return list(counts.values())

    def seat(self, number: int, taken: int, cost: int, after: int) -> None:
        """Try all pairs for a chooser and those that follow; equal ones choose from `after` on."""
        if number == len(self.choosers):
            if self.accepts(self._in_order()):
                self.best, self.best_cost = tuple(self.way), cost
            else:
                self.nodes += self.longest // _REFUSALS
            return
        chooser = self.choosers[number]
        bound = self._bound(number + 1, taken)
        if bound is None:
            return
        is_single = len(chooser.firsts) == 1  # then the seconds tell equal seats apart
        for at, first in enumerate(chooser.firsts):
            if first.takes & taken or (at < after and not is_single):
                continue
            if self._is_no_better(cost + first.cost + bound) or self._takes_all(first, taken):
                continue
            for other, second in enumerate(chooser.seconds):
                if second.takes & taken or (is_single and other < after):
                    continue
                if self._is_no_better(cost + first.cost + second.cost + bound):
                    break  # the others cost as much or more
                extra = self.joint(first, second)
                if extra is not None:
                    total = cost + first.cost + second.cost + extra
                    self._go(number, (first, second), taken, total, other if is_single else at)

    def _go(self, number: int, pair: tuple[Choice, Choice], taken: int, cost: int, at: int) -> None:
        taken |= pair[0].takes | pair[1].takes
        if self.nodes >= self.longest or any(keep & taken == keep for keep in self.keep):
            return
        self.nodes += 1
        bound = self._bound(number + 1, taken)
        if bound is None or self._is_no_better(cost + bound):
            return
        is_equal = number + 1 < len(self.choosers) and (
            self.choosers[number + 1].kind == self.choosers[number].kind
        )
        self.way.append(pair)
        self.seat(number + 1, taken, cost, at if is_equal else 0)
        self.way.pop()

    def _is_no_better(self, cost: int) -> bool:
        return self.best is not None and cost >= self.best_cost

    def _takes_all(self, choice: Choice, taken: int) -> bool:
        return any(keep & (taken | choice.takes) == keep for keep in self.keep)

    def _bound(self, start: int, taken: int) -> int | None:
        """Return what the choosers from `start` on cost at least; None where they cannot choose."""
        bound = 0
        for chooser, count in self.rest[start]:
            for choices in (chooser.firsts, chooser.seconds):
                left = count
                for choice in choices:
                    if choice.takes & taken:
                        continue
                    number = 1 if choice.takes else left  # what takes nothing is enough for all
                    bound += choice.cost * number
                    left -= number
                    if not left:
                        break
                if left:
                    return None
        return bound

    def _in_order(self) -> Pick:
        placed = dict(zip(self.order, self.way, strict=True))
        return tuple(placed[number] for number in range(len(self.way)))
