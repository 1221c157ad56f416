"""What must never leave the host, and why, from the Host alone.

The reasons follow the block graph down from every mount, the network graph down from every use,
and are united over IOMMU groups: a function is as untouchable as the most needed one in its group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Host


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something stays with the host.

    ``kind``: disk, network, console, keyboard, bridge, guest. ``words`` name what would be lost
    ("holds / (ext4 on vg0-root)"), ``evidence`` the file that says so. ``waivable`` is true for
    the console card and the last keyboard, which ``console: none`` gives up.
    """

    kind: str
    words: str
    evidence: str
    waivable: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """Everything the host needs, by place."""

    pci: dict[PciAddress, tuple[Reason, ...]] = field(default_factory=dict)
    usb: dict[UsbPort, tuple[Reason, ...]] = field(default_factory=dict)


def protect(
    host: Host, leaving: tuple[PciAddress, ...] = (), ports: tuple[UsbPort, ...] = ()
) -> Protected:
    """Return what `host` needs, seen together with what is about to leave it.

    The last keyboard and the last screen depend on what leaves: with nothing leaving, no keyboard
    but an only one is the last.
    """
    raise NotImplementedError(host, leaving, ports)
