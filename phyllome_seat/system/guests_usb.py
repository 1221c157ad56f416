"""USB devices into running guests and out of them, and a saved guest told where they are now.

Judged by what the guest then has, not by what libvirt answers: one error code covers "device gone"
and "no free port" alike.
"""

from __future__ import annotations

import time
from functools import cache, partial

from phyllome_seat.model.domain_xml import parse_domain
from phyllome_seat.model.guest import parse_live
from phyllome_seat.model.guest_saved import renumber_saved
from phyllome_seat.model.guest_usb import (
    has_alias,
    has_usb,
    next_alias,
    parse_alias,
    render_usb,
    why_not,
)
from phyllome_seat.model.step import AttachUsb, DetachUsb
from phyllome_seat.system.connection import Connection, Domain, GuestError
from phyllome_seat.system.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.devices import Guest, UsbDevice
    from phyllome_seat.model.step import RenumberSaved, UsbStep

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_RETRIES_S = (0.3, 1.0)  # libvirt's look at USB fails when any device goes meanwhile
_DETACH_S = 5.0  # QEMU asks no guest about a USB device: 0.3 to 0.8 s in an emulated PC
_POLL_S, _POLL_MOST_S = 0.05, 0.4


class GuestsUsb(Connection):
    """A connection that does the steps of `reconcile`."""

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
            if isinstance(step, DetachUsb):
                return self._detach(domain, step.alias)
            return self._renumber_saved(domain, step)
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
        # what the host may mount meanwhile is compared before each try
        for pause_s in (0.0,) if step.device.may_store else (0.0, *_RETRIES_S):
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
        is_asked, pause_s = False, _POLL_S
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
            pause_s = min(pause_s * 1.5, _POLL_MOST_S)
        return None  # a guest that is off has nothing

    def _renumber_saved(self, domain: Domain, step: RenumberSaved) -> str | None:
        """Change numbers in a saved state; nothing to do where it is gone: restored, or removed."""
        name = step.guest
        if not self._asked(name, "asking", lambda: domain.hasManagedSaveImage(0)):
            return None
        flags = self._libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE  # else its passwords would be lost
        saved = self._asked(name, "reading", lambda: domain.managedSaveGetXMLDesc(flags))
        xml = renumber_saved(saved, step.devices)
        if xml is not None:
            self._asked(name, "changing", lambda: domain.managedSaveDefineXML(xml, 0))
        return None

    def _read_live(self, domain: Domain) -> Guest | None:
        """Return a guest that runs, as its live XML has it, None of one that is off or gone."""
        try:
            xml = self._ask("reading", lambda: domain.XMLDesc(0))
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise GuestError(domain.name(), f"reading: {error}") from error
        return parse_live(parse_domain(xml), find_boot())


@cache
def find_boot() -> str:
    """Return what tells this boot from others: the first digits of the kernel's own name for it."""
    return (read_file(_BOOT_ID) or b"").decode("ascii", "replace")[:8]
