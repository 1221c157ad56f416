"""USB follows its seat while guests run: hear that something happened, look, compare, do.

The same four as everywhere, begun by an event. The comparison is always whole and keeps nothing
from the last one, so a lost event costs a moment and no device. It has the lock while it compares
and does, as `apply` and `attach` have it, and not while it sleeps.

Steps of one guest are done one after the other, in a thread and on a connection of the guest's own,
and each guest is read in a thread of its own: one that hangs delays no other.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from functools import partial

from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.errors import LockedError, PhyllomeSeatError
from phyllome_seat.model.interest import Interest
from phyllome_seat.model.reconcile import reconcile
from phyllome_seat.model.seat import Wish
from phyllome_seat.model.seat_file import parse_wish
from phyllome_seat.model.step import AttachUsb
from phyllome_seat.model.value import replace
from phyllome_seat.model.watch_event import (
    Attached,
    Detached,
    GuestStarted,
    GuestStopped,
    LendEnded,
    LibvirtBack,
    LibvirtLost,
    Refused,
    Restless,
    SeatFileRead,
    Stayed,
    Trouble,
    UdevOverrun,
    Watching,
)
from phyllome_seat.system.apart import apart
from phyllome_seat.system.files import read_file
from phyllome_seat.system.guests import FOREVER, Libvirt, NoLibvirtError
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.listen import (
    Connected,
    Disconnected,
    FileEvent,
    GuestEvent,
    Listening,
)
from phyllome_seat.system.seating import SYSTEM
from phyllome_seat.system.settle_usb import find_key
from phyllome_seat.system.state import LENDS, State
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_events import LOST, UdevEvent
from phyllome_seat.system.usb_now import BIND_S, UsbNow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from phyllome_seat.model.assignment import Assignment
    from phyllome_seat.model.devices import Guest
    from phyllome_seat.model.reconcile import Reconciled
    from phyllome_seat.model.step import UsbStep
    from phyllome_seat.model.watch_event import WatchEvent
    from phyllome_seat.system.listen import Heard
    from phyllome_seat.system.lock import Lock

SEAT_FILE = "/etc/phyllome-seat/seats.yaml"
_RETRIES_S = (1.0, 4.0, 15.0, 60.0)  # after those that `guests` makes by itself, within 1.3 s
_LEAST_S = 0.2  # from one comparison to the next where only time goes on, then twice that
_READ_S = 1.0  # how long a look waits for a guest to be read
_LOCK_S, _LOCKED_S = 10.0, 1.0  # to wait for the lock, and then not to
_TROUBLE_S = 30.0  # until a comparison that failed is tried again


class NoSeatFileError(PhyllomeSeatError):
    """There is no seat file to watch for."""

    exit_status = 2


class Watch:
    """Makes running guests have what their seats are to have; what it does, ``async for`` tells.

    Work is done while the next event is waited for. `seat_file` is read again when it changes; one
    that does not parse leaves the old one in force. Needs root. *errors*: SeatFileError,
    NoSeatFileError and OSError at the start; NoUdevError, NoLibvirtError where a binding is not
    installed.
    """

    def __init__(
        self,
        seat_file: str = SEAT_FILE,
        *,
        uri: str = SYSTEM,
        root: str = "/",
        buffer_bytes: int | None = None,
        listen: Callable[[], Listening] | None = None,
    ) -> None:
        self.seat_file = seat_file
        self._uri = uri
        self._state = State(root)
        self._usb = UsbNow(Sysfs(root))
        self._lends = f"{self._state.root.rstrip('/')}/{LENDS}"
        self._listen = listen or (
            lambda: Listening(uri, (seat_file, self._lends), buffer_bytes=buffer_bytes)
        )
        self._listening: Listening | None = None
        self._is_reread = False
        self._wish: Wish
        self._assignment: Assignment | None = None
        self._interest: Interest | None = None  # None: everything
        self._libvirt: Libvirt | None = None
        self._guests: dict[str, Guest] | None = None  # None: all are to be read
        self._stale: set[str] = set()  # of those, to be read again
        self._hands: dict[str, Libvirt] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._late: set[str] = set()  # of those, whom the look did not wait for
        self._lock: Lock | None = None
        self._failed: dict[tuple[object, ...], tuple[int, float | None]] = {}
        self._told_guests: dict[str, Guest] = {}
        self._told: frozenset[tuple[str, str, str]] = frozenset()
        self._vain: frozenset[str] = frozenset()
        self._trouble = ""
        self._is_due = True
        self._again_s: float | None = None  # Unix time
        self._rounds = 0  # comparisons since anything was heard or done
        self._is_lost = False
        self._says: deque[WatchEvent] = deque()

    def __aiter__(self) -> AsyncGenerator[WatchEvent]:
        """Return the events, in their order, without an end."""
        return self._run()

    def reread(self) -> None:
        """Read the seat file and the machine again, and try again what was given up (SIGHUP)."""
        self._is_reread = True
        if self._listening is not None:
            self._listening.wake()

    def _reread(self) -> None:
        """Do what `reread` asked for, when nobody is looking."""
        self._is_reread = False
        self._read_file()
        self._forget()
        self._failed.clear()
        self._is_due = True

    def _forget(self) -> None:
        self._usb.forget()
        self._assignment, self._interest, self._guests = None, None, None

    async def _run(self) -> AsyncGenerator[WatchEvent]:
        self._wish = _read_wish(self.seat_file)
        # what is listened to must be there, and is until the boot ends
        os.makedirs(os.path.dirname(self._lends), exist_ok=True)
        is_told = False
        async with self._listen() as listening:
            self._listening = listening
            listening.wake()
            try:
                while True:
                    for heard in await listening.wait(self._find_timeout()):
                        self._note(heard)
                    if self._is_reread:
                        self._reread()
                    while self._says:  # what was done, before the look for what is to be done
                        yield self._says.popleft()
                    if self._is_due or self._find_timeout() == 0.0:
                        await self._compare(listening)
                    if not is_told and not self._busy:
                        is_told = True
                        self._says.append(Watching(tuple(seat.name for seat in self._wish.seats)))
                    if self._says:
                        listening.wake()
            finally:
                await self._end()

    async def _end(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=5.0)
        self._let_go()
        for libvirt in self._hands.values():
            await asyncio.to_thread(libvirt.__exit__)

    def _find_timeout(self) -> float | None:
        return None if self._again_s is None else max(0.0, self._again_s - time.time())

    # -- hearing -----------------------------------------------------------------------------------

    def _note(self, heard: Heard) -> None:
        """Take note of where to look; what concerns no seat costs no look."""
        self._rounds = 0
        match heard:
            case UdevEvent():
                self._note_udev(heard)
                return
            case GuestEvent(uuid=uuid, number=number):
                self._stale.add(uuid)
                if number is not None:
                    self._forget_failures(uuid)
            case Connected(libvirt=libvirt):
                self._libvirt, self._guests = libvirt, None
                if self._is_lost:
                    self._says.append(LibvirtBack())
                self._is_lost = False
            case Disconnected(why=why):
                if not self._is_lost:
                    self._says.append(LibvirtLost(why))
                self._is_lost = True
                self._libvirt, self._guests = None, None
                self._hands.clear()
                return
            case FileEvent(path=self.seat_file):
                self._read_file()
        self._is_due = True

    def _note_udev(self, event: UdevEvent) -> None:
        if event.action == LOST:
            self._usb.forget()
            self._says.append(UdevOverrun())
            self._is_due = True
            return
        if event.asked_for:
            return
        given_up = self._usb.note(event, time.time())
        if given_up is not None and self._concerns(event):
            self._says.append(Restless(given_up, self._usb.coming(given_up).still_s))
        if event.action in ("bind", "remove"):
            self._is_due = self._is_due or self._concerns(event)
        elif event.action == "add" and self._concerns(event):
            self._again_s = _earliest(self._again_s, time.time() + BIND_S)

    def _concerns(self, event: UdevEvent) -> bool:
        """Return whether an event may be of a device that a seat has, or is to have.

        Without a look at the device.
        """
        if event.seat is not None or self._interest is None:
            return True
        name = event.path.rpartition("/")[2]
        return self._interest.has(name, event.product, event.type)

    def _forget_failures(self, uuid: str) -> None:
        self._failed = {key: how for key, how in self._failed.items() if key[0] != uuid}

    def _read_file(self) -> None:
        try:
            wish = _read_wish(self.seat_file)
        except (PhyllomeSeatError, OSError) as error:
            self._says.append(Trouble(f"{error}: what it said before still holds"))
            return
        if wish != self._wish:
            self._wish, self._assignment, self._interest = wish, None, None
            self._says.append(SeatFileRead(self.seat_file))

    # -- comparing ---------------------------------------------------------------------------------

    async def _compare(self, listening: Listening) -> None:
        """Look, compare, and begin what is to be done, under the lock."""
        self._is_due, self._again_s = False, None
        libvirt = self._libvirt
        try:
            if self._lock is None:
                self._lock = await _take(self._state.lock("phyllome-seat watch", _LOCK_S))
            if libvirt is not None:
                await self._read_guests(libvirt, listening)
            result = await asyncio.to_thread(self._look)
        except LockedError:  # nothing is wrong: whoever has it says so
            self._again_s = time.time() + _LOCKED_S
        except (PhyllomeSeatError, OSError) as error:
            if isinstance(error, (NoAnswerError, NoLibvirtError)) and libvirt is not None:
                listening.lost(libvirt, error)
            elif str(error) != self._trouble:
                self._says.append(Trouble(str(error)))
            self._trouble = str(error)
            self._forget()
            self._again_s = time.time() + _TROUBLE_S
        else:
            self._trouble = ""
            self._begin(result, listening)
        if not self._busy:
            self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def _look(self) -> Reconciled:
        """Read what has changed and compare: in a thread, for a device may be long."""
        now_s = time.time()
        if self._usb.read(now_s):
            self._assignment = None
        host, again_s = self._usb.host(now_s)
        known = None if self._guests is None else tuple(self._guests.values())
        host = replace(host, guests=known)
        if self._assignment is None:
            self._assignment, vain = assign_usb(self._wish, host)
            self._says.extend(Trouble(words) for words in vain if words not in self._vain)
            self._vain = frozenset(vain)
        lending = self._state.read_lending()
        # what has just come is most likely wanted: it is compared once
        new = [device for device in host.usb if device.sysname in self._usb.new]
        host = self._usb.with_needs(host, new) if new else host
        result = reconcile(self._assignment, host, lending, now_s)
        wanted = [step.device for step in result.steps if isinstance(step, AttachUsb)]
        if not all(device in new for device in wanted):
            host = self._usb.with_needs(host, wanted)
            result = reconcile(self._assignment, host, lending, now_s)
        if result.lending != lending:
            self._state.write_lending(result.lending)
        self._interest = Interest(self._assignment, result)
        return replace(result, again_s=_earliest(result.again_s, again_s))

    async def _read_guests(self, libvirt: Libvirt, listening: Listening) -> None:
        """Read the guests that may have changed, each in a thread of its own.

        One that does not answer soon is as it was until it does; then all is compared again. One
        whose steps are done is read when they are.
        """
        if self._guests is None:
            uuids = await asyncio.to_thread(libvirt.list_guests)
            self._guests, self._stale = {}, {*uuids, *self._stale}
        stale = self._stale - self._busy.keys() - self._reading.keys()
        self._stale -= stale
        for uuid in stale:
            self._reading[uuid] = asyncio.create_task(self._read_guest(libvirt, uuid, listening))
        tasks = {uuid: self._reading[uuid] for uuid in stale}
        if tasks:
            done, late = await asyncio.wait(tasks.values(), timeout=_READ_S)
            self._late |= {uuid for uuid, task in tasks.items() if task in late}
            for task in done:
                task.result()
        if self._guests is not None:
            unknown = {u: guest for u, guest in self._told_guests.items() if u in self._reading}
            self._say_guests(self._told_guests, {**unknown, **self._guests})
            self._told_guests = {**unknown, **self._guests}

    async def _read_guest(self, libvirt: Libvirt, uuid: str, listening: Listening) -> None:
        try:
            guest = await apart(partial(libvirt.read_guest, uuid, limit_s=FOREVER))
            if libvirt is self._libvirt and self._guests is not None:
                others = {key: one for key, one in self._guests.items() if key != uuid}
                self._guests = others if guest is None else {**others, uuid: guest}
        except (PhyllomeSeatError, OSError) as error:
            if uuid not in self._late:
                raise
            self._says.append(Trouble(str(error)))
            self._stale.add(uuid)
        finally:
            del self._reading[uuid]
            if uuid in self._late:
                self._late.discard(uuid)
                self._is_due = True
                listening.wake()

    def _say_guests(self, before: dict[str, Guest], after: dict[str, Guest]) -> None:
        for uuid in dict.fromkeys((*before, *after)):
            was, now = before.get(uuid), after.get(uuid)
            guest = now or was
            if guest is None or guest.seat is None:
                continue
            ran, runs = (g is not None and g.is_running for g in (was, now))
            if runs and not ran:
                self._says.append(GuestStarted(guest.name, guest.seat))
            elif ran and not runs:
                state = now.state if now else "gone"
                self._says.append(GuestStopped(guest.name, guest.seat, state))

    # -- doing -------------------------------------------------------------------------------------

    def _begin(self, result: Reconciled, listening: Listening) -> None:
        now_s = time.time()
        keys = {find_key(step) for step in result.steps}
        self._failed = {key: how for key, how in self._failed.items() if key in keys}
        again_s = result.again_s
        by_guest: dict[str, list[UsbStep]] = {}
        for step in result.steps:
            count, at_s = self._failed.get(find_key(step), (0, 0.0))
            if at_s is not None and at_s <= now_s:
                by_guest.setdefault(step.uuid, []).append(step)
            elif count and at_s is not None:
                again_s = _earliest(again_s, at_s)
        for uuid, steps in by_guest.items():
            # what was done while this was compared is not in it: it is compared again
            if not any(uuid in one for one in (self._busy, self._reading, self._stale)):
                self._busy[uuid] = asyncio.create_task(self._do(uuid, steps, listening))
        if again_s is not None and (again_s > now_s or not self._busy):
            # a time that has come while steps are done is looked at when they are
            least_s = min(_LEAST_S * 2**self._rounds, _TROUBLE_S)
            self._again_s = max(again_s, now_s + least_s)
            self._rounds = min(self._rounds + 1, 10)
        self._says.extend(map(LendEnded, result.ended))
        self._say_kept(result)

    def _say_kept(self, result: Reconciled) -> None:
        told = set()
        for kept in result.kept:
            if kept.kind in ("hub", "later"):
                continue
            key = (kept.device.sysname, kept.kind, kept.why)
            told.add(key)
            if key not in self._told:
                self._says.append(Stayed(kept))
        self._told = frozenset(told)

    async def _do(self, uuid: str, steps: list[UsbStep], listening: Listening) -> None:
        """Do a guest's steps, then have all compared again.

        Where the guest does not answer, what is left of its steps would not be answered either.
        """
        left = deque(steps)
        known = (self._guests or {}).get(uuid)  # as it was compared, until the first step is done
        try:
            while left:
                step, began = left.popleft(), time.monotonic()
                try:
                    why = await asyncio.to_thread(self._do_step, uuid, step, known)
                except (PhyllomeSeatError, OSError) as error:
                    self._hands.pop(uuid, None)
                    why = str(error)
                    if isinstance(error, NoAnswerError):
                        while left:
                            self._tell(left.popleft(), why, 0.0)
                self._tell(step, why, time.monotonic() - began)
                known = None
        finally:
            del self._busy[uuid]
            self._stale.add(uuid)
            self._rounds = 0
            self._is_due = True
            listening.wake()

    def _do_step(self, uuid: str, step: UsbStep, known: Guest | None) -> str | None:
        libvirt = self._hands.get(uuid)
        if libvirt is None:
            libvirt = self._hands[uuid] = Libvirt(self._uri).__enter__()
        return libvirt.do_usb(step, known, is_there=self._usb.is_there)

    def _tell(self, step: UsbStep, why: str | None, took_s: float) -> None:
        key = find_key(step)
        if why is None:
            self._failed.pop(key, None)
            attached = isinstance(step, AttachUsb)
            self._says.append(Attached(step, took_s) if attached else Detached(step, took_s))  # type: ignore[arg-type]
            return
        count, _ = self._failed.get(key, (0, None))
        pause_s = _RETRIES_S[count] if count < len(_RETRIES_S) else None
        self._failed[key] = (count + 1, None if pause_s is None else time.time() + pause_s)
        self._says.append(Refused(step, why, pause_s))


def watch_forever(seat_file: str = SEAT_FILE, *, uri: str = SYSTEM) -> Iterator[WatchEvent]:
    """Yield what a `Watch` tells, for a plain loop; work is done while the next is waited for."""
    with asyncio.Runner() as runner:
        events = aiter(Watch(seat_file, uri=uri))
        try:
            while True:
                yield runner.run(_next(events))
        finally:
            runner.run(events.aclose())


async def _take(lock: Lock) -> Lock:
    """Take the lock in a thread; give it back where nobody waits for that any more."""
    taking = asyncio.ensure_future(asyncio.to_thread(lock.__enter__))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(_give_back)
        raise


def _give_back(taking: asyncio.Future[Lock]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        taking.result().__exit__(None, None, None)


async def _next(events: AsyncGenerator[WatchEvent]) -> WatchEvent:
    return await anext(events)


def _read_wish(path: str) -> Wish:
    content = read_file(path)
    if content is None:
        raise NoSeatFileError(f"{path}: no such file", hint="name another with -f")
    return parse_wish(content.decode("utf-8", "backslashreplace"), path)


def _earliest(*times: float | None) -> float | None:
    return min((at for at in times if at is not None), default=None)
