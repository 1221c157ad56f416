"""The result of `assign`: which devices of one Host each seat gets."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.consent import Consent
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.seat import DeviceMatch, Seat
from phyllome_seat.model.step import GuestPci
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class SeatAssignment:
    """What one seat gets.

    ``pci`` is what its guest is given, in guest order (GPU functions, then controllers, then what
    the IOMMU group forces along), each with the word for it. ``ports`` are its USB places, both
    speeds of each socket; a hub's place means all behind it. ``devices`` are named by identity.
    """

    seat: Seat
    pci: tuple[GuestPci, ...] = ()
    ports: tuple[UsbPort, ...] = ()
    devices: tuple[DeviceMatch, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    takes_usb: bool = False  # USB devices go into its guest one by one, so that needs the ports
    notes: tuple[str, ...] = ()  # what was taken along and why, in sentences

    @property
    def addresses(self) -> tuple[PciAddress, ...]:
        """Return the addresses the seat takes from the host."""
        return tuple(item.address for item in self.pci)


@dataclass(frozen=True, slots=True)
class Assignment:
    """All seats together; made by `phyllome_seat.model.assign.assign`, so free of conflicts.

    ``unknown_usb`` is whose a USB device in no seat's place is: "host", "ask", or a seat's name.
    ``consent`` is what the person gives up of what the host needs.
    """

    seats: tuple[SeatAssignment, ...] = ()
    console: str = "keep"
    unknown_usb: str = "host"
    consent: Consent = Consent()

    @property
    def addresses(self) -> tuple[PciAddress, ...]:
        """Return every function that leaves the host."""
        return tuple(address for seat in self.seats for address in seat.addresses)
