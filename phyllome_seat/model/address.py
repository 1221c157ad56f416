"""Addresses and identities as values: where a device is, and what it is.

``parse`` and ``str()`` are exact inverses: one text for each value, and no other text is read. A
text that means an address but is written differently is refused with the right form in the hint.
"""

from __future__ import annotations

from functools import total_ordering

from phyllome_seat.model.errors import AddressError
from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False  # importing typing for one name would cost each start a millisecond
if TYPE_CHECKING:
    from typing import Literal

    UsbSpeed = Literal["usb2", "usb3"]

# A scan parses thousands of addresses: two look-ups are several times quicker than int() and
# checks, and hold exactly what the kernel prints ("%04x:%02x:%02x.%d", drivers/pci/probe.c).
_BUSES = {f"{bus:02x}": bus for bus in range(256)}
_DEVICE_FUNCTIONS = {
    f"{device:02x}.{function}": (device, function) for device in range(32) for function in range(8)
}

_PCI_ADDRESS = "a PCI address (domain:bus:device.function, like 0000:01:00.0)"
_PCI_ID = "a PCI id (vendor:device, like 10de:2786, or with subsystem 10de:2786/1043:88e2)"
_USB_ID = "a USB id (vendor:product, like 046d:c52b)"
_PORT_CHAIN = "a USB port (a number from 1 to 255, dotted behind a hub, like 13 or 4.1.2)"
_USB_PORT = "a USB port (controller/speed/port, like 0000:00:14.0/usb2/4.1.2)"

# A device is at most seven tiers down, the root hub being the first: USB 2.0, section 4.1.1;
# MAX_TOPO_LEVEL in the kernel's include/linux/usb.h.
_LONGEST_CHAIN = 6


@dataclass(frozen=True, slots=True, order=True)
class PciAddress:
    """Where one PCI function is; the order is that of ``lspci``.

    A domain may have 32 bits: Intel VMD numbers its own from 10000 hexadecimal.
    """

    domain: int
    bus: int
    device: int
    function: int

    def __post_init__(self) -> None:
        if not (
            0 <= self.domain <= 0xFFFFFFFF
            and 0 <= self.bus <= 0xFF
            and 0 <= self.device <= 0x1F
            and 0 <= self.function <= 7
        ):
            raise AddressError(str(self), _PCI_ADDRESS, hint="one of its numbers is out of range")

    @classmethod
    def parse(cls, text: str) -> PciAddress:
        """Return the address written exactly as sysfs names it; AddressError otherwise."""
        try:
            domain_text, bus_text, device_function = text.split(":")
            device, function = _DEVICE_FUNCTIONS[device_function]
            domain = int(domain_text, 16)
            if f"{domain:04x}" == domain_text:
                return cls(domain, _BUSES[bus_text], device, function)
        except (ValueError, KeyError):
            pass
        raise AddressError(text, _PCI_ADDRESS, hint=_pci_address_hint(text))

    def __str__(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.device:02x}.{self.function}"


def _pci_address_hint(text: str) -> str:
    """Return the full form of a text that is nearly an address, else where to look it up."""
    parts = text.strip().lower().removeprefix("pci_")  # libvirt's name: pci_0000_01_00_0
    for separator in "._":
        parts = parts.replace(separator, ":")
    numbers = parts.split(":")
    if len(numbers) == 3:  # lspci leaves out domain 0
        numbers.insert(0, "0")
    try:
        domain, bus, device, function = (int(number, 16) for number in numbers)
        return f"write {PciAddress(domain, bus, device, function)}"
    except (ValueError, AddressError):
        return "`lspci -D` lists the addresses of this machine"


def _hex_pair(text: str) -> tuple[int, int] | None:
    """Return the two numbers of ``10de:2786``, or None for any other text."""
    first, _, second = text.partition(":")
    try:
        pair = int(first, 16), int(second, 16)
    except ValueError:
        return None
    return pair if _is_id(pair) and _render_pair(*pair) == text else None


def _render_pair(first: int, second: int) -> str:
    return f"{first:04x}:{second:04x}"


def _is_id(numbers: tuple[int, ...]) -> bool:
    return min(numbers) >= 0 and max(numbers) <= 0xFFFF


def _id_hint(text: str, longest: int, look_up: str) -> str:
    """Return an id without 0x and in lower case where that, and no further pair, was wrong."""
    plain = text.strip().lower().replace("0x", "")
    pairs = plain.split("/")
    if len(pairs) <= longest and all(_hex_pair(pair) for pair in pairs):
        return f"write {plain}"
    return f"`{look_up}` lists the ids of this machine"


@total_ordering
@dataclass(frozen=True, slots=True)
class PciId:
    """What a PCI function is; the subsystem says which maker's board, and bridges have none."""

    vendor: int
    device: int
    subvendor: int | None = None
    subdevice: int | None = None

    def __post_init__(self) -> None:
        vendor, device = self.subvendor, self.subdevice
        if vendor is None or device is None:
            is_whole = vendor is device
        else:
            is_whole = 0 <= vendor <= 0xFFFF and 0 <= device <= 0xFFFF
        if not (is_whole and 0 <= self.vendor <= 0xFFFF and 0 <= self.device <= 0xFFFF):
            raise AddressError(str(self), _PCI_ID, hint="a number is missing or out of range")

    @property
    def _subsystem(self) -> tuple[int, ...]:
        """The subsystem's numbers, or nothing: unlike None it has a place in the order."""
        if self.subvendor is None or self.subdevice is None:
            return ()
        return self.subvendor, self.subdevice

    @classmethod
    def parse(cls, text: str) -> PciId:
        """Return the id written in four lower-case digits each; AddressError otherwise."""
        pairs = [_hex_pair(pair) for pair in text.split("/")]
        match pairs:
            case [(vendor, device)]:
                return cls(vendor, device)
            case [(vendor, device), (subvendor, subdevice)]:
                return cls(vendor, device, subvendor, subdevice)
        raise AddressError(text, _PCI_ID, hint=_id_hint(text, 2, "lspci -nn"))

    def matches(self, other: PciId) -> bool:
        """Return whether ``other`` is what this id asks for; no subsystem here asks for any."""
        if (self.vendor, self.device) != (other.vendor, other.device):
            return False
        return not self._subsystem or self._subsystem == other._subsystem

    def __lt__(self, other: PciId) -> bool:
        return (self.vendor, self.device, self._subsystem) < (
            other.vendor,
            other.device,
            other._subsystem,
        )

    def __str__(self) -> str:
        identity = _render_pair(self.vendor, self.device)
        subsystem = self._subsystem
        return f"{identity}/{_render_pair(*subsystem)}" if len(subsystem) == 2 else identity


@dataclass(frozen=True, slots=True, order=True)
class UsbId:
    """What a USB device is: ``idVendor`` and ``idProduct`` of its device descriptor."""

    vendor: int
    product: int

    def __post_init__(self) -> None:
        if not _is_id((self.vendor, self.product)):
            raise AddressError(str(self), _USB_ID, hint="one of its numbers is out of range")

    @classmethod
    def parse(cls, text: str) -> UsbId:
        """Return the id written in four lower-case digits each; AddressError otherwise."""
        pair = _hex_pair(text)
        if pair is None:
            raise AddressError(text, _USB_ID, hint=_id_hint(text, 1, "lsusb"))
        return cls(*pair)

    def __str__(self) -> str:
        return _render_pair(self.vendor, self.product)


def parse_port_chain(text: str) -> tuple[int, ...]:
    """Return the port numbers from the root hub down, as ``devpath`` in sysfs has them dotted.

    AddressError where that is no place a USB device can have.
    """
    try:
        ports = tuple(map(int, text.split(".")))
    except ValueError:
        ports = ()
    if not _is_port_chain(ports) or render_port_chain(ports) != text:
        raise AddressError(text, _PORT_CHAIN, hint="`phyllome-seat scan` shows the ports")
    return ports


def render_port_chain(ports: tuple[int, ...]) -> str:
    """Return the port numbers dotted, the inverse of ``parse_port_chain``."""
    return ".".join(map(str, ports))


def _is_port_chain(ports: tuple[int, ...]) -> bool:
    # A hub counts its ports in one byte: bNbrPorts, USB 2.0, section 11.23.2.1.
    return 0 < len(ports) <= _LONGEST_CHAIN and min(ports) > 0 and max(ports) <= 0xFF


@dataclass(frozen=True, slots=True, order=True)
class UsbPort:
    """A place where a USB device can be plugged, the same after every boot.

    A socket for both speeds is two ports, one on each of its controller's root hubs, and their
    numbers need not be equal.
    """

    controller: PciAddress
    speed: UsbSpeed
    ports: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.speed not in ("usb2", "usb3") or not _is_port_chain(self.ports):
            raise AddressError(str(self), _USB_PORT, hint="`phyllome-seat scan` shows the ports")

    @classmethod
    def parse(cls, text: str) -> UsbPort:
        """Return the port of a text like ``0000:00:14.0/usb2/4.1.2``; AddressError otherwise."""
        match text.split("/"):
            case [controller, ("usb2" | "usb3") as speed, chain]:
                return cls(PciAddress.parse(controller), speed, parse_port_chain(chain))
        raise AddressError(text, _USB_PORT, hint="`phyllome-seat scan` shows the ports")

    @property
    def parent(self) -> UsbPort | None:
        """The port that the hub of this one is plugged into, or None at the root hub."""
        if len(self.ports) == 1:
            return None
        return UsbPort(self.controller, self.speed, self.ports[:-1])

    def is_below(self, other: UsbPort) -> bool:
        """Return whether this port is behind a hub at ``other``; a port is not below itself."""
        above = other.ports
        return (
            len(self.ports) > len(above)
            and self.ports[: len(above)] == above
            and (self.controller, self.speed) == (other.controller, other.speed)
        )

    def __str__(self) -> str:
        return f"{self.controller}/{self.speed}/{render_port_chain(self.ports)}"
