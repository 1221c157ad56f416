"""The guests of one libvirt: read, defined, run, stopped.

What a call did is read back from libvirt, not from what it returned: `defineXML` accepts what
cannot start.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from phyllome_seat.model.devices import Guest, Hostdev
from phyllome_seat.model.domain_xml import DomainXmlError, parse_domain
from phyllome_seat.model.guest import parse_guest, parse_saved
from phyllome_seat.model.value import replace
from phyllome_seat.system.connection import URI, Domain, GuestError, NoLibvirtError
from phyllome_seat.system.guests_usb import GuestsUsb, find_boot
from phyllome_seat.system.limit import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

START_LIMIT_S = 180.0  # all of a guest's memory is pinned when it starts with a PCI device
_ASK_AGAIN_S = 10.0  # a guest that is still booting misses the first press of its power button
_POLL_S = 0.25

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
# VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP: so it is until QEMU has answered
_STARTING = (3, 11)


def read_guests(uri: str = URI) -> tuple[Guest, ...] | None:
    """Return all domains, None where libvirt is not installed, not there or does not answer."""
    try:
        with Libvirt(uri, read_only=True) as libvirt:
            return libvirt.read_guests()
    except (NoLibvirtError, NoAnswerError):
        return None


class Libvirt(GuestsUsb):
    """A connection through which guests are read, defined, run and given USB devices.

    Open within ``with``, which raises NoLibvirtError, NoAnswerError. Starting a guest has a limit
    of its own.
    """

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
            state, reason = domain.state()
            live = domain.XMLDesc(0) if domain.isActive() else None
            xml = domain.XMLDesc(self._libvirt.VIR_DOMAIN_XML_INACTIVE)
            word = _STATES[state] if state < len(_STATES) else "no state"
            if (state, reason) == _STARTING:
                word = "starting"
            guest = parse_guest(xml, state=word, live_xml=live, boot=find_boot())
            return guest if live else replace(guest, saved=self._read_saved(domain))

        try:
            return self._ask("reading", read, limit_s=limit_s)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise GuestError(domain.name(), str(error)) from error

    def _read_saved(self, domain: Domain) -> tuple[Hostdev, ...]:
        """Return what a domain that is off has of USB in its saved state.

        What cannot be read is none: whoever starts the guest is told so by libvirt.
        """
        with suppress(self._libvirt.libvirtError, DomainXmlError):
            if domain.hasManagedSaveImage(0):
                return parse_saved(domain.managedSaveGetXMLDesc(0))
        return ()

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

    def _known(self, domain: Domain, name: str) -> Guest:
        """Return a domain as it is now; one that was transient and ended is off."""
        return self._read(domain) or Guest(name, "")


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
