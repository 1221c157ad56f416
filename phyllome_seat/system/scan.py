"""The whole PC, read once into one `Host`."""

from __future__ import annotations

from phyllome_seat.model.devices import Host
from phyllome_seat.system.scan_drm import read_connectors
from phyllome_seat.system.scan_input import read_inputs
from phyllome_seat.system.scan_pci import read_pci
from phyllome_seat.system.scan_usb import read_usb
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.devices import Guest


def scan(sysfs: Sysfs, *, guests: Callable[[], tuple[Guest, ...] | None] | None = None) -> Host:
    """Return what the machine below `sysfs` has.

    ``guests`` asks libvirt, and is not called where it is None: then nobody knows of any guest.
    What comes and goes while this reads is in the result or not; nothing is read twice.
    """
    pci = read_pci(sysfs)
    usb, sockets = read_usb(sysfs)
    return Host(
        pci=pci,
        connectors=read_connectors(sysfs),
        sockets=sockets,
        usb=usb,
        inputs=read_inputs(sysfs, usb),
        guests=guests() if guests else None,
    )
