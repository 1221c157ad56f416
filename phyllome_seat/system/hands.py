"""Steps of guests that run: done one after the other in each, tried a few times, then given up.

Those of one guest are done in a thread and on a connection of its own: one that hangs delays no
other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial

from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.model.step import AttachUsb, DetachUsb, find_going
from phyllome_seat.model.watch_event import Attached, Detached, Refused, Renumbered
from phyllome_seat.system.apart import apart
from phyllome_seat.system.guests import Libvirt
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.scan_usb import is_plugged
from phyllome_seat.system.settle_usb import find_key, why_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from phyllome_seat.model.devices import Guest
    from phyllome_seat.model.step import UsbStep
    from phyllome_seat.model.watch_event import WatchEvent
    from phyllome_seat.system.sysfs import Sysfs

_FRESH_S = 0.3  # how long a comparison holds for mass storage
_RETRIES_S = (1.0, 4.0, 15.0, 60.0)  # after those that `guests_usb` makes by itself, within 1.3 s


class Hands:
    """Those at work, and their connections, by their guest's uuid.

    What was done is said by `say`; `done` is called with the guest's uuid when its steps are.
    """

    def __init__(
        self,
        uri: str,
        sysfs: Sysfs,
        say: Callable[[WatchEvent], None],
        done: Callable[[str], None],
    ) -> None:
        self._uri, self._sysfs, self._say, self._done = uri, sysfs, say, done
        self.busy: dict[str, asyncio.Task[None]] = {}
        self.connections: dict[str, Libvirt] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._failed: dict[tuple[object, ...], tuple[int, float | None]] = {}

    def find_due(
        self, steps: Iterable[UsbStep], now_s: float
    ) -> tuple[dict[str, list[UsbStep]], float | None]:
        """Return what is to be done now, by guest, and when one is to be tried again.

        By time.monotonic, which nobody sets. What is not among them and failed before is forgotten.
        """
        steps = tuple(steps)
        keys = {find_key(step) for step in steps}
        self._failed = {key: how for key, how in self._failed.items() if key in keys}
        due: dict[str, list[UsbStep]] = {}
        again: list[float] = []
        for step in steps:
            _, at_s = self._failed.get(find_key(step), (0, 0.0))
            if at_s is not None and at_s <= now_s:
                due.setdefault(step.uuid, []).append(step)
            elif at_s is not None:
                again.append(at_s)
        return due, min(again, default=None)

    def forgive(self, uuid: str | None = None) -> None:
        """Have what was given up tried again: of one guest, or of all."""
        self._failed = {
            key: how for key, how in self._failed.items() if uuid is not None and key[0] != uuid
        }

    def begin(self, uuid: str, steps: list[UsbStep], known: Guest | None) -> None:
        """Begin with steps of a guest that is not at it; `known` is what they were found from."""
        self.busy[uuid] = asyncio.create_task(self._do_all(uuid, steps, known))

    def let_go(self) -> None:
        """Let connections go that are not in use, each apart."""
        for uuid in self.connections.keys() - self.busy.keys():
            task = asyncio.create_task(apart(self.connections.pop(uuid).__exit__))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def lose(self) -> None:
        """Forget the connections: they are of no use any more."""
        self.connections.clear()

    async def finish(self) -> None:
        """Wait for what is being done."""
        if self.busy:
            await asyncio.wait(self.busy.values(), timeout=5.0)

    async def close(self) -> None:
        """Close what is open."""
        for libvirt in self.connections.values():
            await asyncio.to_thread(libvirt.__exit__)

    async def _do_all(self, uuid: str, steps: list[UsbStep], known: Guest | None) -> None:
        """Do a guest's steps.

        Where it does not answer, what is left of them would not be answered either.
        """
        left, compared = deque(steps), time.monotonic()
        try:
            while left:
                step, began = left.popleft(), time.monotonic()
                is_old = step is not steps[0] and began - compared > _FRESH_S
                if is_old and any(device.may_store for device in find_going(step)):
                    continue  # the host may have mounted it since: it is compared again
                try:
                    why = await asyncio.to_thread(self._do, uuid, step, known)
                except (PhyllomeSeatError, OSError) as error:
                    self.connections.pop(uuid, None)
                    why = str(error)
                    if isinstance(error, NoAnswerError):
                        while left:
                            self._tell(left.popleft(), why, 0.0)
                self._tell(step, why, time.monotonic() - began)
                known = None  # as it was compared, until the first step is done
        finally:
            del self.busy[uuid]
            self._done(uuid)

    def _do(self, uuid: str, step: UsbStep, known: Guest | None) -> str | None:
        if (why := why_held(step, self._sysfs)) is not None:
            return why
        libvirt = self.connections.get(uuid)
        if libvirt is None:
            libvirt = self.connections[uuid] = Libvirt(self._uri).__enter__()
        return libvirt.do_usb(step, known, is_there=partial(is_plugged, self._sysfs))

    def _tell(self, step: UsbStep, why: str | None, took_s: float) -> None:
        key = find_key(step)
        if why is None:
            self._failed.pop(key, None)
            self._say(_done(step, took_s))
            return
        count, _ = self._failed.get(key, (0, None))
        pause_s = _RETRIES_S[count] if count < len(_RETRIES_S) else None
        again_s = None if pause_s is None else time.monotonic() + pause_s
        self._failed[key] = (count + 1, again_s)
        self._say(Refused(step, why, pause_s))


def _done(step: UsbStep, took_s: float) -> WatchEvent:
    if isinstance(step, AttachUsb):
        return Attached(step, took_s)
    return Detached(step, took_s) if isinstance(step, DetachUsb) else Renumbered(step, took_s)
