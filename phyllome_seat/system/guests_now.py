"""What guests there are, read again where they may have changed; for whoever watches them.

Each is read in a thread of its own, so one that hangs delays no other: it is as it was until it
answers.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from phyllome_seat.model.devices import NOT_READ, Guest
from phyllome_seat.model.domain_xml import DomainXmlError
from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.model.watch_event import GuestStarted, GuestStopped, Trouble
from phyllome_seat.system.apart import apart
from phyllome_seat.system.connection import FOREVER, GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from phyllome_seat.model.watch_event import WatchEvent
    from phyllome_seat.system.guests import Libvirt

_READ_S = 1.0  # how long is waited for a guest to be read
_AGAIN_S = 30.0  # until one that cannot be read is tried again


class GuestsNow:
    """The guests as they are, by uuid; what becomes of those that have a seat is said by `say`.

    `due` is called when one answered for whom nobody waited any more.
    """

    def __init__(self, say: Callable[[WatchEvent], None], due: Callable[[], None]) -> None:
        self.known: dict[str, Guest] | None = None  # None: nothing is known of them
        self.libvirt: Libvirt | None = None  # None: it is let go, or lost
        self._is_listed = False  # on this connection
        self._stale: set[str] = set()  # of those, to be read again
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._late: set[str] = set()  # of those, whom nobody waits for
        self._broken: dict[str, str] = {}  # those that libvirt has, and cannot or will not tell
        self.again_s: float | None = None  # when they are asked for again, by time.monotonic
        self._told: dict[str, Guest] = {}
        # those with a seat that are off, as they were: whoever looks takes them out
        self.ended: list[Guest] = []
        self._say, self._due = say, due

    @property
    def all(self) -> tuple[Guest, ...] | None:
        """All of them; None where nothing is known of them.

        One that was never read, for it does not answer, is a guest of no name that is not read.
        """
        if self.known is None:
            return None
        unread = (self._reading.keys() | self._stale | self._broken.keys()) - self.known.keys()
        return (*self.known.values(), *(Guest("", uuid, NOT_READ) for uuid in sorted(unread)))

    @property
    def is_known(self) -> bool:
        """Whether all are known, and none is being read."""
        return self.known is not None and not self._reading

    @property
    def is_stale(self) -> bool:
        """Whether some are to be read, or all."""
        return self.known is None or bool(self._stale)

    def note(self, uuid: str) -> None:
        """Take note that a guest may have changed."""
        self._stale.add(uuid)

    def is_changing(self, uuid: str) -> bool:
        """Return whether a guest may be another than the known one."""
        return uuid in self._stale or uuid in self._reading or uuid in self._broken

    def connect(self, libvirt: Libvirt) -> None:
        """Ask there from now on; who is there is asked anew."""
        self.libvirt, self._is_listed = libvirt, False

    def lose(self) -> None:
        """Forget them, and whom to ask."""
        self.libvirt, self.known = None, None

    async def read(self, libvirt: Libvirt, busy: Collection[str]) -> None:
        """Read those that may have changed, but for `busy` ones: they are read when they are not.

        Until one is read it is as it was last. One that cannot be read is said, and tried again.
        *errors*: NoAnswerError and NoLibvirtError of those that are waited for.
        """
        if self.known is None or not self._is_listed:
            uuids = await asyncio.to_thread(libvirt.list_guests)
            known = self._told if self.known is None else self.known
            self._stale &= {*uuids}
            self._broken.clear()
            self.again_s = None
            self.known = {uuid: known[uuid] for uuid in uuids if uuid in known}
            self._is_listed = True
            self._stale |= {*uuids}
        if self.again_s is not None and self.again_s <= time.monotonic():
            self._stale |= self._broken.keys()
            self.again_s = None
        stale = self._stale - {*busy} - self._reading.keys()
        self._stale -= stale
        for uuid in stale:
            self._reading[uuid] = asyncio.create_task(self._read(libvirt, uuid))
        tasks = {uuid: self._reading[uuid] for uuid in stale}
        if tasks:
            done, late = await asyncio.wait(tasks.values(), timeout=_READ_S)
            self._late |= {uuid for uuid, task in tasks.items() if task in late}
            for task in done:
                task.result()
        if self.known is not None:
            doing = self._reading.keys() | {*busy}
            unknown = {u: guest for u, guest in self._told.items() if u in doing}
            self._tell(self._told, {**unknown, **self.known})
            self._told = {**unknown, **self.known}

    async def _read(self, libvirt: Libvirt, uuid: str) -> None:
        try:
            guest = await apart(partial(libvirt.read_guest, uuid, limit_s=FOREVER))
            if libvirt is self.libvirt and self.known is not None:
                others = {key: one for key, one in self.known.items() if key != uuid}
                self.known = others if guest is None else {**others, uuid: guest}
            self._broken.pop(uuid, None)
        except (PhyllomeSeatError, OSError) as error:
            is_known = isinstance(error, (GuestError, DomainXmlError))
            if uuid not in self._late and not is_known:
                raise
            if self._broken.get(uuid) != str(error):
                self._say(Trouble(str(error)))
            if uuid in self._late and not isinstance(error, DomainXmlError):
                self._stale.add(uuid)
            else:
                self._broken[uuid] = str(error)
                self.again_s = time.monotonic() + _AGAIN_S
        finally:
            del self._reading[uuid]
            if uuid in self._late:
                self._late.discard(uuid)
                self._due()

    def _tell(self, before: dict[str, Guest], after: dict[str, Guest]) -> None:
        for uuid in dict.fromkeys((*before, *after)):
            was, now = before.get(uuid), after.get(uuid)
            guest = now or was
            if guest is None or guest.seat is None:
                continue
            ran, runs = (g is not None and g.is_running for g in (was, now))
            is_another = ran and runs and was is not None and was.run != guest.run
            if was is None and not runs:
                self.ended.append(guest)  # before anybody looked, for all that is known
            if ran and (is_another or not runs):
                state = "shut off" if is_another else now.state if now else "gone"
                self._say(GuestStopped(guest.name, guest.seat, state))
                self.ended += [was] if was else []
            if runs and (is_another or not ran):
                self._say(GuestStarted(guest.name, guest.seat))
