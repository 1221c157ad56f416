"""What each person wants: the nouns of a seat file. Reading one is `seat_file`'s."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, PciId, UsbId
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class PciMatch:
    """A PCI function named by place and identity: both must hold."""

    address: PciAddress
    id: PciId
    line: int = 0


@dataclass(frozen=True, slots=True)
class MonitorMatch:
    """A monitor named by what its EDID says; every part that is given must hold."""

    maker: str | None = None
    name: str | None = None
    serial: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class PortMatch:
    """One USB socket: a controller and the port number of each speed, dotted behind a hub.

    One speed is enough: the other is found by the kernel's ``peer`` link.
    """

    controller: PciAddress
    id: PciId
    usb2: tuple[int, ...] = ()
    usb3: tuple[int, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class DeviceMatch:
    """One USB device wherever it is plugged: by id, and by serial where one is given."""

    id: UsbId
    serial: str | None = None
    line: int = 0


UsbMatch = PciMatch | PortMatch | DeviceMatch  # a PciMatch among `usb` is a whole controller


@dataclass(frozen=True, slots=True)
class NewGuest:
    """A domain to create: ``guest: {create: ...}``. Memory and disk in bytes.

    ``pin`` is the host's CPU for each of its own, in this order; empty where they may run anywhere.
    """

    name: str
    memory_bytes: int
    cpus: int
    firmware: str = "efi"  # or "bios"
    profile: str | None = None
    disk_path: str | None = None
    disk_bytes: int | None = None
    pin: tuple[int, ...] = ()
    pin_line: int = 0


@dataclass(frozen=True, slots=True)
class Seat:
    """One person's wish. ``domain`` names an existing libvirt domain; it or ``create``, never both.

    A whole GPU brings all its functions and outputs. Empty ``usb`` is allowed. ``when_off`` is
    what its USB devices do while its guest is off: "wait", hidden from the host's desktop, or
    "host", as the host's own.
    """

    name: str
    gpu: PciMatch | None = None
    monitor: MonitorMatch | None = None
    usb: tuple[UsbMatch, ...] = ()
    domain: str | None = None
    create: NewGuest | None = None
    line: int = 0
    guest_line: int = 0
    when_off: str = "wait"

    @property
    def guest_name(self) -> str | None:
        """Return the name of the seat's libvirt domain, None for a seat without a guest."""
        return self.create.name if self.create else self.domain


@dataclass(frozen=True, slots=True)
class Wish:
    """A whole seat file: the seats in its order, and what the host keeps.

    ``unknown_usb`` is whose a USB device in no seat's place is: "host", "ask", or a seat's name.
    ``gives_up`` names what may leave although the host needs it; a PciMatch is any function.
    """

    seats: tuple[Seat, ...] = ()
    console: str = "keep"  # or "none"
    host_cpus: int | None = None
    host_memory_bytes: int | None = None
    file: str = "seats.yaml"
    unknown_usb: str = "host"
    gives_up: tuple[UsbMatch, ...] = ()
