"""Devices that come and go: when to leave one alone, and until when.

A device that is plugged in once is taken at once. One that has come three times within ten seconds
still changes (a mode switch, firmware, a bad contact): it is left alone until it was still for two
seconds. One that has come six times within twelve seconds resets itself over and over, perhaps
because it is attached: it is given up until it was still for a minute, the next time for two, and
so on up to half an hour, or until it was out for five seconds, which is a hand.
"""

from __future__ import annotations

from phyllome_seat.model.lend import COMES_BACK_S
from phyllome_seat.model.value import dataclass, replace

_CHANGES, _CHANGES_S, _STILL_S = 3, 10.0, 2.0
_RESTLESS, _RESTLESS_S, _GIVEN_UP_S, _MOST_S = 6, 12.0, 60.0, 1800.0


@dataclass(frozen=True, slots=True)
class Coming:
    """How often what is at one place has come; times in seconds of one clock.

    ``given_up`` counts how often it was given up, the last time until ``given_up_s``;
    ``changes_s`` is until when it may still change.
    """

    times: tuple[float, ...] = ()
    given_up: int = 0
    given_up_s: float = 0.0
    changes_s: float = 0.0
    gone_s: float | None = None

    @property
    def until_s(self) -> float:
        """When it may be taken."""
        return max(self.given_up_s, self.changes_s)

    @property
    def still_s(self) -> float:
        """How long it has to be still after it was given up, 0 where it was not."""
        return min(_GIVEN_UP_S * 2 ** (self.given_up - 1), _MOST_S) if self.given_up else 0.0


def come(coming: Coming, now_s: float) -> Coming:
    """Return what it is when the device has come once more."""
    if coming.gone_s is not None and now_s - coming.gone_s >= COMES_BACK_S:
        coming = Coming()
    times = (*(t for t in coming.times if now_s - t < _RESTLESS_S), now_s)
    coming = replace(coming, times=times, gone_s=None)
    if now_s < coming.given_up_s:
        return replace(coming, given_up_s=now_s + coming.still_s)
    if len(times) >= _RESTLESS:
        coming = replace(coming, times=(), given_up=coming.given_up + 1, changes_s=0.0)
        return replace(coming, given_up_s=now_s + coming.still_s)
    lately = sum(now_s - t < _CHANGES_S for t in times)
    return replace(coming, changes_s=now_s + _STILL_S if lately >= _CHANGES else 0.0)


def go(coming: Coming, now_s: float) -> Coming:
    """Return what it is when the device has gone."""
    return replace(coming, gone_s=now_s)
