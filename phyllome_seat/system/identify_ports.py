"""Which socket is it: wait until something is plugged in, again and again."""

from __future__ import annotations

import selectors
import time

from phyllome_seat.model.sockets import find_learned, plugs
from phyllome_seat.system.scan import scan
from phyllome_seat.system.terminal import is_enter, is_escape, quiet, read_typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from phyllome_seat.model.climb import Climb
    from phyllome_seat.system.identify import Changes
    from phyllome_seat.system.sysfs import Sysfs

# A hub's two halves and what is behind it come one after the other, within about a second.
_SETTLE_S = 1.0


def watch_sockets(
    sysfs: Sysfs,
    changes: Changes,
    *,
    timeout_s: float = 60.0,
    terminal: int | None = None,
    seat: str = "this",
) -> Generator[Climb]:
    """Yield each socket that something is plugged into, once.

    Ends by Enter or Esc in `terminal`, or when nothing was plugged for `timeout_s`. What is in a
    socket already has to be pulled out and plugged again.
    """
    known = plugs(scan(sysfs))
    told = set()
    with quiet(terminal), selectors.DefaultSelector() as selector:
        selector.register(changes, selectors.EVENT_READ)
        if terminal is not None:
            selector.register(terminal, selectors.EVENT_READ)
        while _wait(selector, changes, terminal, timeout_s):
            host = scan(sysfs)
            for socket in find_learned(host, known, seat):
                if socket.ports not in told:
                    told.add(socket.ports)
                    yield socket
            known = plugs(host)


def _wait(
    selector: selectors.BaseSelector, changes: Changes, terminal: int | None, timeout_s: float
) -> bool:
    """Wait until something changed and nothing more does; False when it is time to end."""
    deadline = time.monotonic() + timeout_s
    has_changed = False
    while True:
        ready = selector.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            return has_changed
        for key, _ in ready:
            if key.fileobj is changes:
                changes.read()
                has_changed = True
                deadline = time.monotonic() + _SETTLE_S
            elif terminal is not None:
                typed = read_typed(terminal)
                if not typed or is_escape(typed) or is_enter(typed):
                    return False
