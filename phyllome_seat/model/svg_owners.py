"""Whose each part of the PC is in the picture, and in which colour."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import Host, UsbDevice, UsbSocket
from phyllome_seat.model.lost import render_lost
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.pool import is_within
from phyllome_seat.model.protect import protect
from phyllome_seat.model.svg_draw import HOST_FILL, HOST_LINE, LINE, PAPER, SEATS


class Owners:
    """Who has what: by an assignment, or without one by what is bound for seats now."""

    def __init__(self, host: Host, assignment: Assignment | None) -> None:
        self.host = host
        self.seats = assignment.seats if assignment else ()
        names = [seat.seat.name for seat in self.seats]
        if assignment is None:
            names = sorted({kept.seat for kept in host.before})
        self.names = tuple(names)
        self._pci = {a: seat.seat.name for seat in self.seats for a in seat.addresses}
        if assignment is None:
            self._pci = {kept.address: kept.seat for kept in host.before}
        self._ports = {p: seat.seat.name for seat in self.seats for p in seat.ports}
        self._assignment = assignment
        leaving = tuple(self._pci)
        self._needed = protect(host, leaving, tuple(self._ports))

    def seat_of(self, address: PciAddress) -> str | None:
        """Return whose a function is, None where it stays."""
        return self._pci.get(address)

    def seat_of_device(self, device: UsbDevice) -> str | None:
        """Return whose a USB device is."""
        if device.port and device.port.controller in self._pci:
            return self._pci[device.port.controller]
        owner = find_owner(self._assignment, device) if self._assignment else None
        return owner.seat if owner else None

    def seat_of_socket(self, socket: UsbSocket) -> str | None:
        """Return whose a socket is, by itself or by the hub it is behind."""
        for port in socket.ports:
            if port.controller in self._pci:
                return self._pci[port.controller]
            for claimed, name in self._ports.items():
                if is_within(port, claimed):
                    return name
        return None

    def has_part(self, address: PciAddress) -> bool:
        """Whether a function is a seat's, or the host's for its own sake."""
        reasons = self._needed.pci.get(address, ())
        return address in self._pci or any(r.about is None for r in reasons)

    def why(self, address: PciAddress) -> str:
        """Return what the host would lose with a function, an empty text where nothing."""
        return render_lost(self._needed.pci.get(address, ()))

    def colours(self, address: PciAddress) -> tuple[str, str]:
        """Return line and fill for a function: its seat's, grey for the host's, white for a free
        one.
        """
        name = self.seat_of(address)
        if name is not None:
            return self.of_seat(name)
        return (HOST_LINE, HOST_FILL) if self.why(address) else (LINE, PAPER)

    def of_seat(self, name: str | None) -> tuple[str, str]:
        """Return a seat's line and fill, the host's for None."""
        if name is None or name not in self.names:
            return HOST_LINE, HOST_FILL
        return SEATS[self.names.index(name) % len(SEATS)]
