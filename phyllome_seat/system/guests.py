"""libvirt, and nothing else of this project speaks with it: domains read, defined, run, stopped.

Every call has a limit, because libvirt has none: its daemon waits for QEMU as long as that takes.
At the limit the call is left behind and the connection is not used again. What a call did is read
back from libvirt, not from what it returned: `defineXML` accepts what cannot start, and one error
code covers "device gone" and "no free port" alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from types import ModuleType
from typing import Any, TypeVar

from phyllome_seat.model.devices import Guest, Hostdev
from phyllome_seat.model.domain_xml import parse_domain
from phyllome_seat.model.errors import ApplyError
from phyllome_seat.model.guest import parse_guest, parse_live
from phyllome_seat.model.guest_usb import (
    has_alias,
    has_usb,
    next_alias,
    parse_alias,
    render_usb,
    why_not,
)
from phyllome_seat.model.step import AttachUsb
from phyllome_seat.system.limit import NoAnswerError, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.devices import UsbDevice
    from phyllome_seat.model.step import UsbStep

T = TypeVar("T")
Domain = Any  # libvirt.virDomain: the binding has no types

URI = "qemu:///system"
LIMIT_S = 30.0
FOREVER = float("inf")
START_LIMIT_S = 180.0  # all of a guest's memory is pinned when it starts with a PCI device
_ASK_AGAIN_S = 10.0  # a guest that is still booting misses the first press of its power button
_POLL_S = 0.25
_RETRIES_S = (0.3, 1.0)  # libvirt's look at USB fails when any device goes meanwhile
_DETACH_S = 5.0  # QEMU asks no guest about a USB device: 0.3 to 0.8 s in an emulated PC
_USB_POLL_S, _USB_POLL_MOST_S = 0.05, 0.4

# The words of virsh(1), "list", for virDomainState.
_STATES = (
    "no state",
    "running",
    "idle",
    "paused",
    "in shutdown",
    "shut off",
    "crashed",
    "pmsuspended",
)


class NoLibvirtError(ApplyError):
    """libvirt's binding is not installed, or its daemon cannot be reached."""


class GuestError(ApplyError):
    """libvirt refused something about one guest, or did something else than it was asked."""

    def __init__(self, name: str, words: str, *, hint: str = "") -> None:
        super().__init__(f"guest {name}: {words}", hint=hint)
        self.name = name


def read_guests(uri: str = URI) -> tuple[Guest, ...] | None:
    """Return all domains, None where libvirt is not installed, not there or does not answer."""
    try:
        with Libvirt(uri, read_only=True) as libvirt:
            return libvirt.read_guests()
    except (NoLibvirtError, NoAnswerError):
        return None


class Libvirt:
    """A connection to one libvirt, open within ``with``. Raises NoLibvirtError, NoAnswerError.

    ``limit_s`` is for one question; starting a guest has a limit of its own.
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

    def __enter__(self) -> Libvirt:
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
            for forget in self._callbacks:
                with suppress(NoAnswerError, NoLibvirtError, self._libvirt.libvirtError):
                    self._ask("closing", forget)
            with suppress(NoAnswerError, self._libvirt.libvirtError):  # all is done and read back
                self._ask("closing", self._connection.close)

    # -- reading -----------------------------------------------------------------------------------

    def read_guests(self) -> tuple[Guest, ...]:
        """Return every domain, sorted by name; one that goes meanwhile is left out."""
        domains = self._asked("libvirt", "listing", lambda: self._connection.listAllDomains(0))
        guests = (self._read(domain) for domain in domains)
        return tuple(sorted((g for g in guests if g is not None), key=lambda g: g.name))

    def list_guests(self) -> tuple[str, ...]:
        """Return the UUID of every domain; none of them is asked for."""
        domains = self._asked("libvirt", "listing", lambda: self._connection.listAllDomains(0))
        return tuple(domain.UUIDString() for domain in domains)

    def read_guest(self, uuid: str, *, limit_s: float | None = None) -> Guest | None:
        """Return one domain, None where it is gone.

        A domain whose QEMU hangs in a call of anybody's may not be read before that ends: it is
        waited for `limit_s`, which may be FOREVER, and the connection serves others meanwhile.
        """
        look_up = partial(self._by_uuid_or_none, uuid)
        domain = self._ask("looking up", look_up, limit_s=limit_s)
        return None if domain is None else self._read(domain, limit_s=limit_s)

    def _by_uuid_or_none(self, uuid: str) -> Domain:
        try:
            return self._connection.lookupByUUIDString(uuid)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            self._check_alive(error)
            raise GuestError(uuid, str(error)) from error

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

    def read_xml(self, uuid: str, *, secure: bool = True) -> str:
        """Return the inactive definition, with its secrets unless told not to: what is defined
        again without them loses them.
        """
        flags = self._libvirt.VIR_DOMAIN_XML_INACTIVE
        flags |= self._libvirt.VIR_DOMAIN_XML_SECURE if secure else 0
        domain = self._by_uuid(uuid)
        xml: str = self._asked(domain.name(), "reading", lambda: domain.XMLDesc(flags))
        return xml

    def _read(self, domain: Domain, *, limit_s: float | None = None) -> Guest | None:
        def read() -> Guest:
            state, _ = domain.state()
            live = domain.XMLDesc(0) if domain.isActive() else None
            xml = domain.XMLDesc(self._libvirt.VIR_DOMAIN_XML_INACTIVE)
            word = _STATES[state] if state < len(_STATES) else "no state"
            return parse_guest(xml, state=word, live_xml=live)

        try:
            return self._ask("reading", read, limit_s=limit_s)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise GuestError(domain.name(), str(error)) from error

    # -- definitions -------------------------------------------------------------------------------

    def define(self, xml: str) -> str:
        """Make `xml` a domain's inactive definition and return its UUID.

        *errors*: GuestError where libvirt refuses it, or has other host devices then than `xml`.
        """
        wanted = parse_guest(xml, state="shut off")
        domain = self._asked(wanted.name, "defining", lambda: self._connection.defineXML(xml))
        uuid: str = domain.UUIDString()
        _compare(wanted, parse_guest(self.read_xml(uuid), state="shut off"))
        return uuid

    def undefine(self, uuid: str) -> None:
        """Remove a domain's definition with its firmware variables and TPM; its disks stay.

        Nothing to do where it is gone already. *errors*: GuestError while it runs, or where it has
        a saved state, which is somebody's running programs.
        """
        guest = next((g for g in self.read_guests() if g.uuid == uuid), None)
        if guest is None:
            return
        domain = self._by_uuid(uuid)
        if guest.is_running:
            raise GuestError(guest.name, f"is {guest.state}", hint="stop it first")
        if self._asked(guest.name, "asking", lambda: domain.hasManagedSaveImage(0)):
            hint = f"`virsh managedsave-remove {guest.name}` throws it away"
            raise GuestError(guest.name, "has a saved state", hint=hint)
        flags = self._undefine_flags(guest.xml)
        self._asked(guest.name, "undefining", lambda: domain.undefineFlags(flags))
        if any(g.uuid == uuid for g in self.read_guests()):
            raise GuestError(guest.name, "was undefined, and libvirt still has it")

    def _undefine_flags(self, xml: str) -> int:
        domain, flags = parse_domain(xml), 0
        os = domain.find("os")
        if os is not None and (os.get("firmware") == "efi" or os.find("nvram") is not None):
            flags |= self._libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        if domain.find("devices/tpm") is not None:
            # 32 since libvirt 8.9; an older one removes a TPM's state by itself
            flags |= getattr(self._libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
        return int(flags)

    # -- running -----------------------------------------------------------------------------------

    def start(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> bool:
        """Start a seat's guest: paused, then `meanwhile`, then running; return whether it ran.

        A guest that runs is left alone; one that is paused, as after a start that was killed, is
        completed. *errors*: GuestError with libvirt's reason.
        """
        domain = self._by_name(name)
        guest = self._known(domain, name)
        if guest.is_running and guest.state != "paused":
            return True
        if guest.seat is None:
            raise GuestError(name, "belongs to no seat", hint="run `phyllome-seat apply` first")
        if not guest.is_running:
            flags = self._libvirt.VIR_DOMAIN_START_PAUSED
            self._asked(
                name, "starting", lambda: domain.createWithFlags(flags), limit_s=START_LIMIT_S
            )
        meanwhile()
        self._asked(name, "resuming", domain.resume)
        state = self._known(domain, name).state
        if state != "running":
            raise GuestError(name, f"was started and is {state}", hint="its log is in journalctl")
        return False

    # -- USB ---------------------------------------------------------------------------------------

    def do_usb(
        self,
        step: UsbStep,
        known: Guest | None = None,
        *,
        is_there: Callable[[UsbDevice], bool] = lambda _: True,
    ) -> str | None:
        """Do one step of `reconcile`; return None when the guest is as it says, else why not.

        `known` is the guest as it was read a moment ago, so that it is not read again before the
        first try. A device that is not there any more, as `is_there` says, is not tried again.
        *errors*: NoAnswerError, NoLibvirtError.
        """
        try:
            if step.uuid not in self._domains:  # libvirt finds a domain by its UUID each time
                self._domains[step.uuid] = self._by_uuid(step.uuid)
            domain = self._domains[step.uuid]
            if isinstance(step, AttachUsb):
                return self._attach(domain, step, known, is_there)
            return self._detach(domain, step.alias)
        except GuestError as error:
            return str(error)

    def _attach(
        self,
        domain: Domain,
        step: AttachUsb,
        known: Guest | None,
        is_there: Callable[[UsbDevice], bool],
    ) -> str | None:
        """Attach, judging by what the running guest has and not by what libvirt answers: one code
        is "gone", "no free port", and nothing at all, for its look at USB fails when any device
        goes meanwhile.
        """
        why = why_not(step.device)
        if why is not None:
            return why
        is_known = known is not None and known.is_running
        guest = known if is_known else self._read_live(domain)
        for pause_s in (0.0, *_RETRIES_S):
            if guest is None:
                return "its guest is off"
            if has_usb(guest, step.device):
                return None
            time.sleep(pause_s)
            xml = render_usb(step.device, self._free_alias(guest, step), guest.usb_bus)
            attach = partial(domain.attachDeviceFlags, xml, self._libvirt.VIR_DOMAIN_AFFECT_LIVE)
            try:
                self._ask("attaching", attach)
                why = "libvirt took it and the guest has it not"
            except self._libvirt.libvirtError as error:
                why = str(error)
                if not is_there(step.device):  # libvirt's code says that of much else too
                    return "it was unplugged meanwhile"
            guest = self._read_live(domain)
        return None if guest is not None and has_usb(guest, step.device) else why

    def _free_alias(self, guest: Guest, step: AttachUsb) -> str:
        said = parse_alias(step.alias)
        if said is None or not has_alias(guest, step.alias):
            return step.alias
        return next_alias(guest, said.seat, said.port, said.since_s + 1)

    def _detach(self, domain: Domain, alias: str) -> str | None:
        """Detach by alias and wait until it is out of the running XML: the call only asks for it
        (virDomainDetachDeviceAlias).
        """
        why = "libvirt said it went and the guest has it still"
        end = time.monotonic() + _DETACH_S
        is_asked, pause_s = False, _USB_POLL_S
        while (guest := self._read_live(domain)) is not None:
            if not has_alias(guest, alias):
                return None
            if time.monotonic() >= end:
                return why
            if not is_asked:
                flags = self._libvirt.VIR_DOMAIN_AFFECT_LIVE
                try:
                    self._ask("detaching", partial(domain.detachDeviceAlias, alias, flags))
                    is_asked, end = True, time.monotonic() + _DETACH_S
                except self._libvirt.libvirtError as error:
                    why = str(error)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _USB_POLL_MOST_S)
        return None  # a guest that is off has nothing

    def _read_live(self, domain: Domain) -> Guest | None:
        """Return a guest that runs, as its live XML has it, None of one that is off or gone."""
        try:
            xml = self._ask("reading", lambda: domain.XMLDesc(0))
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise GuestError(domain.name(), f"reading: {error}") from error
        return parse_live(parse_domain(xml))

    def stop(self, name: str, timeout_s: float = 60.0, *, force: bool = False) -> bool:
        """Press the guest's power button and return whether it is off within `timeout_s`.

        With `force` its plug is pulled then. True at once for a guest that is off.
        """
        domain = self._by_name(name)
        end = time.monotonic() + timeout_s
        ask = 0.0
        while self._is_active(domain):
            now = time.monotonic()
            if now >= end:
                return force and self._pull_plug(domain)
            if now >= ask:
                ask = now + _ASK_AGAIN_S
                self._if_active(domain, domain.shutdown)
            time.sleep(min(_POLL_S, max(end - now, 0.0)))
        return True

    def _pull_plug(self, domain: Domain) -> bool:
        self._if_active(domain, domain.destroy)
        return not self._is_active(domain)

    def _if_active(self, domain: Domain, call: Callable[[], object]) -> None:
        """Do something to a running guest; that it went off meanwhile is no error."""
        try:
            self._ask("stopping", call)
        except self._libvirt.libvirtError as error:
            if self._is_active(domain):
                raise GuestError(domain.name(), f"stopping: {error}") from error

    def _is_active(self, domain: Domain) -> bool:
        try:
            return bool(self._ask("asking", domain.isActive))
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return False  # it was transient: off is gone
            raise GuestError(domain.name(), str(error)) from error

    # -- asking ------------------------------------------------------------------------------------

    def _known(self, domain: Domain, name: str) -> Guest:
        """Return a domain as it is now; one that was transient and ended is off."""
        return self._read(domain) or Guest(name, "")

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


def _compare(wanted: Guest, found: Guest) -> None:
    """Raise GuestError where libvirt's definition has other host devices than it was given."""
    given, has = ({_words(h) for h in guest.hostdevs} for guest in (wanted, found))
    differences = [f"was given {words} and has it not" for words in sorted(given - has)]
    differences += [f"has {words} and was not given it" for words in sorted(has - given)]
    if (wanted.seat, wanted.created) != (found.seat, found.created):
        differences.append(f"was given the mark of {wanted.seat} and has that of {found.seat}")
    if differences:
        raise GuestError(wanted.name, "libvirt " + "; ".join(differences))


def _words(hostdev: Hostdev) -> str:
    device = hostdev.pci or hostdev.usb_id or f"USB {hostdev.usb_bus}:{hostdev.usb_number}"
    managed = "managed" if hostdev.managed else "not managed"
    return f"{device} ({hostdev.alias or 'no alias'}, {managed})"
