"""USB follows its seat while guests run: hear that something happened, look, compare, do.

The same four as everywhere, begun by an event. The comparison is always whole and keeps nothing
from the last one, so a lost event costs a moment and no device. It has the lock while it compares
and does, as `apply` and `attach` have it, and not while it sleeps.

What is known of USB, of guests and of what is being done is kept by `usb_now`, `guests_now` and
`hands`. When nothing happens for a while, connections are let go; guests are then known as they
were, until a file of libvirt's says that one changed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from functools import partial

from phyllome_seat.model.assign_usb import assign_usb, find_ties
from phyllome_seat.model.errors import LockedError, PhyllomeSeatError
from phyllome_seat.model.guest_usb import find_left_behind
from phyllome_seat.model.interest import Interest
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.reconcile import reconcile
from phyllome_seat.model.seat import Wish
from phyllome_seat.model.seat_file import parse_wish
from phyllome_seat.model.step import find_going
from phyllome_seat.model.value import replace
from phyllome_seat.model.watch_event import (
    GivenBack,
    LendEnded,
    LibvirtBack,
    LibvirtLost,
    Restless,
    SeatFileRead,
    Stayed,
    Trouble,
    UdevOverrun,
    Watching,
)
from phyllome_seat.system.apart import apart
from phyllome_seat.system.connection import NoLibvirtError
from phyllome_seat.system.files import read_file
from phyllome_seat.system.give_back import give_back
from phyllome_seat.system.guests_now import GuestsNow
from phyllome_seat.system.hands import Hands
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.listen import (
    GUEST_FOLDERS,
    Connected,
    Disconnected,
    FileEvent,
    GuestEvent,
    GuestFileEvent,
    Listening,
)
from phyllome_seat.system.seating import SYSTEM
from phyllome_seat.system.state import LENDS, State
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_events import LOST, UdevEvent
from phyllome_seat.system.usb_now import BIND_S, UsbNow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from phyllome_seat.model.assignment import Assignment
    from phyllome_seat.model.devices import Host, UsbDevice
    from phyllome_seat.model.reconcile import Reconciled
    from phyllome_seat.model.watch_event import WatchEvent
    from phyllome_seat.system.listen import Heard
    from phyllome_seat.system.lock import Lock

_COMMAND = "phyllome-seat watch"
SEAT_FILE = "/etc/phyllome-seat/seats.yaml"
# From one comparison to the next where only time goes on, then twice that; while steps are done
_LEAST_S, _BUSY_LEAST_S = 0.2, 1.0
_LOCK_S, _LOCKED_S = 10.0, 1.0  # to wait for the lock, and then not to
_TROUBLE_S = 30.0  # until a comparison that failed is tried again
_REST_S = 20.0  # in which nothing happens, until connections are let go
_STUCK_S = 180.0  # a comparison is bounded, but for a device that does not answer the kernel


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
            lambda: Listening(
                uri,
                (seat_file, self._lends),
                buffer_bytes=buffer_bytes,
                guest_folders=GUEST_FOLDERS if uri == SYSTEM else (),
            )
        )
        self._listening: Listening | None = None
        self._is_reread = False
        self._wish: Wish
        self._assignment: Assignment | None = None
        self._interest: Interest | None = None  # None: everything
        self._lock: Lock | None = None
        self._told: frozenset[tuple[str, str, str]] = frozenset()
        self._vain: frozenset[str] = frozenset()
        self._trouble = ""
        self._is_due = True
        self._again_s: float | None = None  # by a clock that nobody sets: time.monotonic
        self._rest_s: float | None = None  # the same
        self._rounds = 0  # comparisons since anything was heard or done
        self._left_behind: tuple[tuple[UsbDevice, str], ...] = ()
        self._giving: set[asyncio.Task[None]] = set()
        self._comparing_s: float | None = None  # since when, by the same clock
        self._is_lost = False
        self._says: deque[WatchEvent] = deque()
        self._guests = GuestsNow(self._says.append, self._look_again)
        self._hands = Hands(uri, self._usb.sysfs, self._says.append, self._note_done)

    def __aiter__(self) -> AsyncGenerator[WatchEvent]:
        """Return the events, in their order, without an end."""
        return self._run()

    def reread(self) -> None:
        """Read the seat file and the machine again, and try again what was given up (SIGHUP)."""
        self._is_reread = True
        if self._listening is not None:
            self._listening.wake()

    @property
    def is_stuck(self) -> bool:
        """Whether a comparison goes on for minutes, with the lock that others wait for."""
        since_s = self._comparing_s
        return since_s is not None and time.monotonic() - since_s > _STUCK_S

    def _reread(self) -> None:
        """Do what `reread` asked for, when nobody is looking."""
        self._is_reread = False
        self._read_file()
        self._forget()
        self._hands.forgive()
        self._is_due = True

    def _forget(self) -> None:
        self._usb.forget()
        self._assignment, self._interest, self._guests.known = None, None, None

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
                        if not isinstance(heard, UdevEvent):  # what concerns a seat is compared
                            self._rest_s = None
                    if self._is_reread:
                        self._reread()
                    while self._says:  # what was done, before the look for what is to be done
                        yield self._says.popleft()
                    if self._is_due or self._is_time(self._again_s):
                        await self._compare(listening)
                        self._rest_s = None
                    elif self._is_time(self._rest_s):
                        self._rest(listening)
                    is_quiet = self._guests.is_known and not self._hands.busy
                    if self._rest_s is None and is_quiet and listening.may_rest:
                        self._rest_s = time.monotonic() + _REST_S
                    if not is_told and not self._hands.busy:
                        is_told = True
                        self._says.append(Watching(tuple(seat.name for seat in self._wish.seats)))
                    if self._says:
                        listening.wake()
            finally:
                await self._end()

    async def _end(self) -> None:
        await self._hands.finish()
        self._let_go()
        await self._hands.close()

    def _find_timeout(self) -> float | None:
        next_s = _earliest(self._again_s, self._rest_s)
        return None if next_s is None else max(0.0, next_s - time.monotonic())

    @staticmethod
    def _is_time(at_s: float | None) -> bool:
        return at_s is not None and at_s <= time.monotonic()

    # -- resting -----------------------------------------------------------------------------------

    def _rest(self, listening: Listening) -> None:
        """Let connections go, unless one is in use."""
        self._rest_s = None
        if self._hands.busy or self._guests.is_stale or not self._guests.is_known:
            return
        if not listening.rest(self._guests.libvirt):
            return  # what became of it is heard, and not noted yet
        self._guests.libvirt = None
        self._hands.let_go()

    def _ask(self) -> None:
        """Have libvirt asked again, where it is let go."""
        if self._listening is not None:
            self._listening.ask()

    # -- hearing -----------------------------------------------------------------------------------

    def _note(self, heard: Heard) -> None:
        """Take note of where to look; what concerns no seat costs no look."""
        self._rounds = 0
        match heard:
            case UdevEvent():
                self._note_udev(heard)
                return
            case GuestEvent(uuid=uuid, number=number):
                self._guests.note(uuid)
                if number is not None:
                    self._hands.forgive(uuid)
                elif uuid in self._hands.busy:
                    return  # likely what is being done to it: it is read when that is
            case Connected(libvirt=libvirt):
                self._guests.connect(libvirt)
                if self._is_lost:
                    self._says.append(LibvirtBack())
                self._is_lost = False
            case Disconnected(why=why):
                if not self._is_lost:
                    self._says.append(LibvirtLost(why))
                self._is_lost = True
                self._guests.lose()
                self._hands.lose()
                return
            case GuestFileEvent(path=path):
                if self._guests.libvirt is None:
                    if path.endswith(".pid"):  # it has started, or ended
                        self._hands.forgive()
                    self._ask()
                return  # where it is asked, it tells by itself
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
        given_up = self._usb.note(event, time.monotonic())
        if given_up is not None and self._concerns(event):
            self._says.append(Restless(given_up, self._usb.coming(given_up).still_s))
        if event.action not in ("add", "bind", "remove") or not self._concerns(event):
            return
        if any(guest.is_running and guest.seat for guest in self._guests.all or ()):
            self._ask()  # while udev goes on: there is likely something to do
        if event.action == "add":
            self._again_s = _earliest(self._again_s, time.monotonic() + BIND_S)
        else:
            self._is_due = True

    def _concerns(self, event: UdevEvent) -> bool:
        """Return whether an event may be of a device that a seat has, or is to have.

        Without a look at the device.
        """
        if event.seat is not None or self._interest is None:
            return True
        name = event.path.rpartition("/")[2]
        return self._interest.has(name, event.product, event.type)

    def _note_done(self, uuid: str) -> None:
        self._guests.note(uuid)
        self._rounds = 0
        self._look_again()

    def _look_again(self) -> None:
        self._is_due = True
        if self._listening is not None:
            self._listening.wake()

    def _read_file(self) -> None:
        try:
            wish = _read_wish(self.seat_file)
        except (PhyllomeSeatError, OSError) as error:
            self._says.append(Trouble(f"{error}: what it said before still holds"))
            return
        if wish == self._wish:
            return
        host = self._usb.known
        if host is not None and (ties := find_ties(wish, host)):
            said = "; ".join(ties).replace(": it is neither's", "")
            self._says.append(Trouble(f"{said}: what the seat file said before still holds"))
        else:
            self._wish, self._assignment, self._interest = wish, None, None
            self._says.append(SeatFileRead(self.seat_file))

    # -- comparing ---------------------------------------------------------------------------------

    async def _compare(self, listening: Listening) -> None:
        """Look, compare, and begin what is to be done, under the lock."""
        self._is_due, self._again_s = False, None
        self._comparing_s = time.monotonic()
        libvirt = self._guests.libvirt
        try:
            if self._lock is None:
                self._lock = await self._take()
            if libvirt is not None:
                await self._guests.read(libvirt, self._hands.busy)
            elif self._guests.is_stale:
                self._ask()
            result = await asyncio.to_thread(self._look)
        except LockedError:  # nothing is wrong: whoever has it says so
            self._again_s = time.monotonic() + _LOCKED_S
        except (PhyllomeSeatError, OSError) as error:
            if isinstance(error, (NoAnswerError, NoLibvirtError)) and libvirt is not None:
                listening.lost(libvirt, error)
            elif str(error) != self._trouble:
                self._says.append(Trouble(str(error)))
            self._trouble = str(error)
            self._forget()
            self._again_s = time.monotonic() + _TROUBLE_S
        else:
            self._trouble = ""
            self._begin(result)
        finally:
            self._comparing_s = None
        if not self._hands.busy:
            self._let_go()

    async def _take(self) -> Lock:
        """Take the lock, at once where it is free; else wait for it in a thread."""
        try:
            return self._state.lock(_COMMAND, 0.0).__enter__()
        except LockedError:
            return await _take_apart(self._state.lock(_COMMAND, _LOCK_S))

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def _look(self) -> Reconciled:
        """Read what has changed and compare: in a thread, for a device may be long.

        ``again_s`` of the answer is by this module's clock; lends are by the wall's.
        """
        now_s, clock_s = time.time(), time.monotonic()
        if self._usb.read(clock_s):
            self._assignment = None
        host, again_s = self._usb.host(clock_s)
        host = replace(host, guests=self._guests.all)
        if self._assignment is None:
            self._assignment, vain = assign_usb(self._wish, host)
            self._says.extend(Trouble(words) for words in vain if words not in self._vain)
            self._vain = frozenset(vain)
        lending = self._state.read_lending()
        # what has just come is most likely wanted: it is compared once
        new = [device for device in host.usb if device.sysname in self._usb.new]
        host = self._usb.with_needs(host, new) if new else host
        self._left_behind = self._find_left_behind(self._assignment, host)
        result = reconcile(self._assignment, host, lending, now_s)
        wanted = [device for step in result.steps for device in find_going(step)]
        if not all(device in new for device in wanted):
            host = self._usb.with_needs(host, wanted)
            result = reconcile(self._assignment, host, lending, now_s)
        if result.lending != lending:
            self._state.write_lending(result.lending)
        self._interest = Interest(self._assignment, result)
        lend_s = None if result.again_s is None else clock_s + result.again_s - now_s
        return replace(result, again_s=_earliest(lend_s, again_s))

    def _find_left_behind(
        self, assignment: Assignment, host: Host
    ) -> tuple[tuple[UsbDevice, str], ...]:
        """Return what guests that have ended since had of ours, with their names.

        And what is their seat's: the end of one may come before it is known what it got last, or
        before anybody looked.
        """
        ended = self._guests.ended
        owners = {d: find_owner(assignment, d) for d in host.usb} if ended else {}
        seats: dict[str, list[UsbDevice]] = {}
        for device, owner in owners.items():
            if owner:
                seats.setdefault(owner.seat, []).append(device)
        return tuple(
            (device, guest.name)
            for guest in ended
            for device in find_left_behind(
                guest, host.usb, host.guests_known, seats.get(guest.seat or "", ())
            )
        )

    async def _give_back(self, device: UsbDevice, guest: str) -> None:
        if await apart(partial(give_back, device, self._usb.sysfs)):
            self._says.append(GivenBack(device, guest))
            self._look_again()

    def _begin_giving(self, result: Reconciled) -> None:
        """Begin to give back what ended guests have left, but for what is to go to another."""
        self._guests.ended.clear()
        wanted = [device for step in result.steps for device in find_going(step)]
        for device, guest in self._left_behind:
            if device not in wanted:
                task = asyncio.create_task(self._give_back(device, guest))
                self._giving.add(task)
                task.add_done_callback(self._giving.discard)

    def _begin(self, result: Reconciled) -> None:
        """Begin what is to be done now, and find out when to compare next."""
        now_s = time.monotonic()
        self._begin_giving(result)
        due, retry_s = self._hands.find_due(result.steps, now_s)
        again_s = _earliest(result.again_s, retry_s, self._guests.again_s)
        for uuid, steps in due.items():
            # what was done while this was compared is not in it: it is compared again
            if uuid not in self._hands.busy and not self._guests.is_changing(uuid):
                self._hands.begin(uuid, steps, (self._guests.known or {}).get(uuid))
        if again_s is not None:
            # what has come while steps are done is looked at when they are, and they may hang
            least_s = _BUSY_LEAST_S if self._hands.busy else _LEAST_S
            least_s = min(least_s * 2**self._rounds, _TROUBLE_S)
            self._again_s = max(again_s, now_s + least_s)
            self._rounds = min(self._rounds + 1, 10)
        self._says.extend(map(LendEnded, result.ended))
        if self._guests.known is not None:
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


def watch_forever(seat_file: str = SEAT_FILE, *, uri: str = SYSTEM) -> Iterator[WatchEvent]:
    """Yield what a `Watch` tells, for a plain loop; work is done while the next is waited for."""
    with asyncio.Runner() as runner:
        events = aiter(Watch(seat_file, uri=uri))
        try:
            while True:
                yield runner.run(_next(events))
        finally:
            runner.run(events.aclose())


async def _take_apart(lock: Lock) -> Lock:
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
    return parse_wish(content.decode("utf-8", "surrogateescape"), path)


def _earliest(*times: float | None) -> float | None:
    return min((at for at in times if at is not None), default=None)
