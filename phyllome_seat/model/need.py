"""What the host needs, by place, and why: the nouns of `protect`, and what collects them."""

from __future__ import annotations

from collections.abc import Iterable

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.groups import is_harmless
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something stays with the host.

    ``kind``: disk, network, console, keyboard, bridge, guest. ``words`` name what would be lost
    ("holds / (ext4 on vg0-root)"), ``evidence`` the file that says so, ``loses`` what the host
    would be without ("the disk with / (nvme0n1p2 → LUKS → LVM vg0-root)"). ``waivable`` is true for
    the console card and the last keyboard, which ``console: none`` gives up; ``by_name`` for these
    and for the way to the network, which ``gives-up`` gives up by naming the device. ``about`` is
    the function that is needed, where this is another one of its group.
    """

    kind: str
    words: str
    evidence: str
    loses: str = ""
    waivable: bool = False
    by_name: bool = False
    about: PciAddress | None = None


@dataclass(frozen=True, slots=True)
class Protected:
    """Everything the host needs, by place.

    A USB place is that of the device itself: a hub above it is needed as well, and does not stand
    here for it.
    """

    pci: dict[PciAddress, tuple[Reason, ...]]
    usb: dict[UsbPort, tuple[Reason, ...]]


class Needs:
    """Reasons collected by place, each once and in the order of finding."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.pci: dict[PciAddress, dict[Reason, None]] = {}
        self.usb: dict[UsbPort, dict[Reason, None]] = {}

    def add(self, addresses: Iterable[PciAddress], port: UsbPort | None, reason: Reason) -> None:
        """Note that the host needs functions, all above them, and what is at a USB place."""
        todo = [*addresses, *([port.controller] if port else [])]
        seen: set[PciAddress] = set()
        while todo:
            address = todo.pop()
            if address in seen:
                continue
            seen.add(address)
            self.pci.setdefault(address, {})[reason] = None
            device = self._host.by_address.get(address)
            if device:
                # Unbinding the driver of a physical function takes its virtual ones away:
                # Documentation/PCI/pci-iov-howto.rst
                todo += [a for a in (device.parent, device.physical_function) if a]
        if port:
            self.usb.setdefault(port, {})[reason] = None


def has_left(device: PciDevice) -> bool:
    """Whether a function is already out of the host's hands: with VFIO, or set aside."""
    return device.driver is not None and not device.is_bridge and is_harmless(device.driver)
