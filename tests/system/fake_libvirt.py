"""libvirt's Python binding over `Machine`: what its test driver cannot do is USB.

Only what `guests` calls; errors have libvirt's codes (VIR_ERR_*, libvirt/virterror.h).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from phyllome_seat.model.domain_xml import parse_domain
from phyllome_seat.model.guest import parse_guest
from tests.usb_machine import Domain, Machine, RefusedError


class LibvirtError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


class FakeDomain:
    def __init__(self, machine: Machine, domain: Domain) -> None:
        self._machine, self._domain = machine, domain

    def name(self) -> str:
        return self._domain.name

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return self._domain.uuid

    def state(self) -> tuple[int, int]:
        return {"running": 1, "paused": 3, "shut off": 5}[self._domain.state], 0

    def isActive(self) -> bool:  # noqa: N802 - libvirt's name
        return self._domain.state != "shut off"

    def XMLDesc(self, flags: int) -> str:  # noqa: N802 - libvirt's name
        return self._domain.xml(live=not flags and self.isActive())

    def createWithFlags(self, _flags: int) -> None:  # noqa: N802 - libvirt's name
        if self._domain.saved is not None:
            plugged = {plug.number for plug in self._machine.plugs.values()}
            for one in parse_guest(self._domain.saved, state="shut off").hostdevs:
                if one.usb_number not in plugged:
                    raise LibvirtError(1, f"Did not find USB device device:{one.usb_number}")
            self._domain.saved = None
        self._machine.start(self._domain.name, "paused")

    def hasManagedSaveImage(self, _flags: int) -> int:  # noqa: N802 - libvirt's name
        return int(self._domain.saved is not None)

    def managedSaveGetXMLDesc(self, flags: int) -> str:  # noqa: N802 - libvirt's name
        assert flags in (0, 1) and self._domain.saved is not None
        return self._domain.saved

    def managedSaveDefineXML(self, xml: str, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._domain.saved = xml

    def resume(self) -> None:
        self._domain.state = "running"

    def attachDeviceFlags(self, xml: str, _flags: int) -> None:  # noqa: N802 - libvirt's name
        guest = parse_guest(f"<domain><devices>{xml}</devices></domain>", state="running")
        (hostdev,) = guest.hostdevs
        assert hostdev.usb_id and hostdev.usb_number and hostdev.alias
        assert parse_domain(f"<domain>{xml}</domain>").find("hostdev/source/vendor") is not None
        self._do("attach", hostdev.alias, hostdev.usb_number, hostdev.usb_id)

    def detachDeviceAlias(self, alias: str, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self._do("detach", alias)

    def _do(self, what: str, *arguments: Any) -> None:
        try:
            getattr(self._machine, what)(self._domain.name, *arguments)
        except RefusedError as error:
            raise LibvirtError(error.code, str(error)) from error


class FakeConnection:
    def __init__(self, machine: Machine) -> None:
        self._domains = {d.uuid: FakeDomain(machine, d) for d in machine.domains.values()}

    def listAllDomains(self, _flags: int) -> list[FakeDomain]:  # noqa: N802 - libvirt's name
        return list(self._domains.values())

    def lookupByUUIDString(self, uuid: str) -> FakeDomain:  # noqa: N802 - libvirt's name
        try:
            return self._domains[uuid]
        except KeyError:
            raise LibvirtError(42, "Domain not found") from None

    def lookupByName(self, name: str) -> FakeDomain:  # noqa: N802 - libvirt's name
        return next(d for d in self._domains.values() if d.name() == name)

    def isAlive(self) -> int:  # noqa: N802 - libvirt's name
        return 1

    def close(self) -> int:
        return 0


def fake_libvirt(machine: Machine) -> Any:
    """Return a module to be imported as ``libvirt``."""
    return SimpleNamespace(
        libvirtError=LibvirtError,
        registerErrorHandler=lambda *_: None,
        open=lambda _: FakeConnection(machine),
        openReadOnly=lambda _: FakeConnection(machine),
        VIR_DOMAIN_XML_INACTIVE=2,
        VIR_DOMAIN_AFFECT_LIVE=1,
        VIR_DOMAIN_START_PAUSED=1,
        VIR_DOMAIN_SAVE_IMAGE_XML_SECURE=1,
        VIR_ERR_NO_DOMAIN=42,
    )
