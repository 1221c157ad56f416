"""One connection to libvirt, and the only importer of its binding: every question has a limit.

libvirt has none: its daemon waits for QEMU as long as that takes. At the limit the call is left
behind and the connection is not used again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from types import ModuleType
from typing import Any, TypeVar

from phyllome_seat.model.errors import ApplyError
from phyllome_seat.system.limit import NoAnswerError, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")
Domain = Any  # libvirt.virDomain: the binding has no types

URI = "qemu:///system"
LIMIT_S = 30.0
FOREVER = float("inf")


class NoLibvirtError(ApplyError):
    """libvirt's binding is not installed, or its daemon cannot be reached."""


class GuestError(ApplyError):
    """libvirt refused something about one guest, or did something else than it was asked."""

    def __init__(self, name: str, words: str, *, hint: str = "") -> None:
        super().__init__(f"guest {name}: {words}", hint=hint)
        self.name = name


class Connection:
    """A connection, open within ``with``. Raises NoLibvirtError, NoAnswerError.

    ``limit_s`` is for one question.
    """

    def __init__(
        self, uri: str = URI, *, read_only: bool = False, limit_s: float = LIMIT_S
    ) -> None:
        self.uri = uri
        self.limit_s = limit_s
        self._read_only = read_only
        self._lost = False
        self._libvirt: ModuleType
        self._connection: Any = None
        self._callbacks: list[Callable[[], object]] = []
        self._domains: dict[str, Domain] = {}

    def __enter__(self) -> Self:
        self._libvirt = _import()
        # Without one, libvirt prints every error to standard error (virSetErrorFunc).
        self._libvirt.registerErrorHandler(lambda *_: None, None)
        connect = self._libvirt.openReadOnly if self._read_only else self._libvirt.open
        try:
            self._connection = self._ask("connecting", lambda: connect(self.uri))
        except self._libvirt.libvirtError as error:
            raise NoLibvirtError(
                f"{self.uri}: {error}", hint="is libvirtd installed and running?"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if not self._lost:  # closing a lost connection would wait for the same answer
            with suppress(NoAnswerError, NoLibvirtError, self._libvirt.libvirtError):
                self._ask("closing", self.close)  # one call: left behind, it still closes

    def close(self) -> None:
        """Close, however long that is.

        A domain's object keeps a connection open (virConnectClose returns how many still do), and
        an error's traceback may have one until garbage is collected: in an idle program, never.
        """
        for forget in self._callbacks:
            with suppress(self._libvirt.libvirtError):
                forget()
        self._domains.clear()
        with suppress(self._libvirt.libvirtError):
            if self._connection.close() > 0:
                gc.collect()

    # -- hearing -----------------------------------------------------------------------------------

    def listen(
        self,
        heard: Callable[[str, str, int], None],
        changed: Callable[[str], None],
        closed: Callable[[], None],
    ) -> None:
        """Have these called from now on, in libvirt's own thread, which `run_events` began.

        `heard` with name, UUID and the number of a lifecycle event (virDomainEventType); `changed`
        with the UUID of a guest whose devices changed; `closed` when the daemon goes.
        """
        libvirt, connection = self._libvirt, self._connection

        def register() -> None:
            connection.registerCloseCallback(lambda *_: closed(), None)
            self._callbacks.append(connection.unregisterCloseCallback)
            calls = {
                libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: lambda _, domain, event, *__: heard(
                    domain.name(), domain.UUIDString(), event
                ),
                libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: lambda _, domain, *__: changed(
                    domain.UUIDString()
                ),
                libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: lambda _, domain, *__: changed(
                    domain.UUIDString()
                ),
            }
            for event, call in calls.items():
                number = connection.domainEventRegisterAny(None, event, call, None)
                self._callbacks.append(partial(connection.domainEventDeregisterAny, number))

        self._asked("libvirt", "listening", register)

    # -- asking ------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Domain:
        return self._found(name, lambda: self._connection.lookupByName(name))

    def _by_uuid(self, uuid: str) -> Domain:
        return self._found(uuid, lambda: self._connection.lookupByUUIDString(uuid))

    def _found(self, which: str, look_up: Callable[[], Domain]) -> Domain:
        try:
            return self._ask("looking up", look_up)
        except self._libvirt.libvirtError as error:
            raise GuestError(
                which, str(error), hint="`virsh list --all` lists the domains there are"
            ) from error

    def _by_uuid_or_none(self, uuid: str) -> Domain:
        try:
            return self._connection.lookupByUUIDString(uuid)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            self._check_alive(error)
            raise GuestError(uuid, str(error)) from error

    def _asked(
        self, name: str, what: str, call: Callable[[], T], *, limit_s: float | None = None
    ) -> T:
        """Ask, and turn libvirt's error into one that names the guest."""
        try:
            return self._ask(what, call, limit_s=limit_s)
        except self._libvirt.libvirtError as error:
            raise GuestError(name, f"{what}: {error}") from error

    def _ask(self, what: str, call: Callable[[], T], *, limit_s: float | None = None) -> T:
        if self._lost:
            raise NoLibvirtError(f"{self.uri}: lost: an earlier question was not answered")
        limit = self.limit_s if limit_s is None else limit_s
        try:
            if limit == FOREVER:
                return call()
            return within(limit, f"libvirt ({self.uri})", what, call, hint="look at its journal")
        except NoAnswerError:
            self._lost = True
            raise
        except self._libvirt.libvirtError as error:
            self._check_alive(error)
            raise

    def _check_alive(self, error: Exception) -> None:
        """Raise NoLibvirtError where it is the connection that has ended.

        libvirt says that with code 1, as much else, and its close callback is for who has one and
        registered it in time. `isAlive` looks at the socket and asks nobody (remoteConnectIsAlive).
        """
        if self._connection is None:
            return
        with suppress(self._libvirt.libvirtError):
            if self._connection.isAlive():
                return
        self._lost = True
        raise NoLibvirtError(
            f"{self.uri}: lost: {error}", hint="is libvirtd installed and running?"
        ) from error


def run_events() -> None:
    """Have libvirt's events heard by connections opened after this; NoLibvirtError without it.

    A thread of libvirt's own loop, which sleeps until something comes: `libvirtaio` puts its work
    on asyncio's loop from whatever thread a call is made in, and our calls are made in threads.
    """
    global _loop  # noqa: PLW0603 - the library has one loop for the whole process
    libvirt = _import()
    if _loop is None:
        libvirt.virEventRegisterDefaultImpl()

        def run() -> None:
            while True:
                libvirt.virEventRunDefaultImpl()

        _loop = Thread(target=run, name="libvirt events", daemon=True)
        _loop.start()


_loop: Thread | None = None


def _import() -> ModuleType:
    try:
        import libvirt
    except ImportError as error:
        raise NoLibvirtError(
            "libvirt's Python binding is not installed",
            hint="install your distribution's python3-libvirt",
        ) from error
    module: ModuleType = libvirt
    return module
