"""All that can change where a USB device is, heard on one asyncio loop that sleeps otherwise.

It listens before anybody looks, so that nothing slips between. What it hears says where to look,
never what to do: to hear too much costs a look.

A connection to libvirt wakes who has it every five seconds (`keepalive_interval` in libvirtd.conf;
the library answers by itself, and has no events without), and keeps a daemon running that ends by
itself otherwise. So it can be let go while nothing happens: what libvirt writes of its guests says
when to ask again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread

from phyllome_seat.model.errors import ApplyError
from phyllome_seat.model.value import dataclass
from phyllome_seat.system.apart import apart
from phyllome_seat.system.connection import run_events
from phyllome_seat.system.file_events import FileEvents
from phyllome_seat.system.guests import Libvirt
from phyllome_seat.system.udev_events import UdevEvent, UdevEvents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from phyllome_seat.model.errors import PhyllomeSeatError

_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Of qemu:///system: libvirt writes a running guest's status (NAME.xml, NAME.pid) whenever its state
# or its devices change, and its definition when that does.
GUEST_FOLDERS = ("/run/libvirt/qemu", "/etc/libvirt/qemu")


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """A guest's lifecycle has gone on (``number`` is a virDomainEventType), or its devices changed
    (None).
    """

    uuid: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """libvirt answers: a connection on which its events are heard, for who asks."""

    libvirt: Libvirt


@dataclass(frozen=True, slots=True)
class Disconnected:
    """libvirt does not answer, in its words."""

    why: str


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A file has a new content, or is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class GuestFileEvent:
    """libvirt has written something of a guest, or its folder is gone."""

    path: str


Heard = UdevEvent | GuestEvent | Connected | Disconnected | FileEvent | GuestFileEvent


class Listening:
    """Listens within ``async with``; `wait` returns what was heard, `wake` ends a wait.

    `guest_folders` are those in which libvirt writes what it knows of guests: with them libvirt can
    be let go, as `may_rest` says.
    """

    def __init__(
        self,
        uri: str,
        files: Sequence[str] = (),
        *,
        read_only: bool = False,
        buffer_bytes: int | None = None,
        guest_folders: Sequence[str] = (),
    ) -> None:
        self._uri = uri
        self._paths = files
        self._guest_folders = guest_folders
        self._read_only = read_only
        self._buffer_bytes = buffer_bytes
        self._heard: list[Heard] = []
        self._awake = asyncio.Event()
        self._libvirt: Libvirt | None = None
        self._is_down = False  # and that was told
        self._rests = False
        self._connecting: asyncio.Task[None] | None = None
        self._deaf: OSError | None = None

    async def __aenter__(self) -> Self:
        """Begin. NoUdevError, NoLibvirtError where a binding is not installed, OSError."""
        self._loop = asyncio.get_running_loop()
        self._udev = UdevEvents("usb", kind="usb_device", buffer_bytes=self._buffer_bytes)
        self._files = FileEvents(self._paths, self._guest_folders)
        run_events()
        self._loop.add_reader(self._udev.fileno(), self._read_udev)
        self._loop.add_reader(self._files.fileno(), self._read_files)
        await self._connect_once()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        self._loop.remove_reader(self._udev.fileno())
        self._loop.remove_reader(self._files.fileno())
        self._files.close()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._libvirt is not None:
            await asyncio.to_thread(self._libvirt.__exit__)

    async def wait(self, timeout_s: float | None) -> tuple[Heard, ...]:
        """Return what was heard since the last time; after `timeout_s`, or a `wake`, nothing.

        *errors*: OSError where udev cannot be heard any more: who starts anew misses nothing.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._awake.wait()
        if self._deaf is not None:
            raise self._deaf
        self._awake.clear()
        heard, self._heard = tuple(self._heard), []
        return heard

    def wake(self) -> None:
        """End a wait; from the loop's thread."""
        self._awake.set()

    def lost(self, libvirt: Libvirt, why: PhyllomeSeatError) -> None:
        """Say that a connection does not answer any more: another is made."""
        if libvirt is self._libvirt:
            self._disconnected(libvirt, str(why))

    @property
    def may_rest(self) -> bool:
        """Return whether files would tell what libvirt does while nobody is connected."""
        is_told = bool(self._guest_folders) and all(map(self._files.hears, self._guest_folders))
        return is_told and self._libvirt is not None

    def rest(self, libvirt: Libvirt | None) -> bool:
        """Let this connection go until `ask`; False where it is not the one there is (any more)."""
        if libvirt is None or libvirt is not self._libvirt:
            return False
        self._libvirt, self._rests = None, True
        self._closing = self._loop.create_task(apart(libvirt.__exit__))
        return True

    def ask(self) -> None:
        """End the rest: connect again, which is told as ever. Nothing to do where it is none."""
        if self._rests:
            self._rests = False
            self._connecting = self._loop.create_task(self._connect_once())

    def _hear(self, *heard: Heard) -> None:
        if heard:
            self._heard.extend(heard)
            self._awake.set()

    def _read_udev(self) -> None:
        try:
            self._hear(*self._udev.read())
        except OSError as error:  # it would stay readable, and this be called for ever
            self._loop.remove_reader(self._udev.fileno())
            self._deaf = error
            self._awake.set()

    def _read_files(self) -> None:
        if paths := self._files.read():
            self._hear(*(heard for heard in map(self._of_file, paths) if heard is not None))

    def _of_file(self, path: str) -> Heard | None:
        if path in self._paths:
            return FileEvent(path)
        is_guest = path.endswith((".xml", ".pid")) and not path.endswith("/driver.pid")
        return GuestFileEvent(path) if is_guest or path in self._guest_folders else None

    # -- libvirt -----------------------------------------------------------------------------------

    async def _connect_once(self) -> None:
        """Connect, or begin to try again and again."""
        if not await self._connect():
            self._try_again()

    async def _connect(self) -> bool:
        try:
            self._libvirt = await asyncio.to_thread(self._open)
        except ApplyError as error:  # also a daemon that goes while its events are asked for
            if not self._is_down:
                self._hear(Disconnected(str(error)))
            self._is_down = True
            return False
        self._is_down = False
        self._files.add(self._guest_folders)  # a daemon that has just begun made them
        self._hear(Connected(self._libvirt))
        return True

    def _open(self) -> Libvirt:
        libvirt = Libvirt(self._uri, read_only=self._read_only).__enter__()
        post = self._loop.call_soon_threadsafe
        try:
            libvirt.listen(
                heard=lambda _, uuid, number: _post(post, self._hear, GuestEvent(uuid, number)),
                changed=lambda uuid: _post(post, self._hear, GuestEvent(uuid)),
                closed=lambda: _post(post, self._disconnected, libvirt, "its daemon went"),
            )
        except ApplyError:
            libvirt.__exit__()
            raise
        return libvirt

    def _disconnected(self, libvirt: Libvirt, why: str) -> None:
        if libvirt is not self._libvirt:
            return
        self._libvirt, self._is_down = None, True
        Thread(target=libvirt.close, daemon=True).start()  # whenever that is answered
        self._hear(Disconnected(why))
        self._try_again()

    def _try_again(self) -> None:
        self._connecting = self._loop.create_task(self._keep_trying())

    async def _keep_trying(self) -> None:
        for attempt in range(1_000_000):
            await asyncio.sleep(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)])
            if await self._connect():
                return


def _post(post: Callable[..., object], *call: object) -> None:
    """Call something on the loop, unless that has ended: libvirt's thread goes on."""
    with suppress(RuntimeError):
        post(*call)
