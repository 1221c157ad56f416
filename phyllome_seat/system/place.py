"""The USB place of anything that is not a USB device itself: a disk, a network interface."""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort, parse_port_chain
from phyllome_seat.model.errors import AddressError
from phyllome_seat.system.numbers import find_nearest
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import UsbSpeed


def find_usb(sysfs: Sysfs, path: str) -> UsbPort | None:
    """Return the place of the USB device nearest on a device's path in sysfs.

    None where there is none, or where its controller is not PCI.
    """
    if "/usb" not in path:
        return None
    names = path.split("/")
    hub = next((n for n, name in enumerate(names) if _is_root_hub(name)), None)
    if hub is None:
        return None
    bus = names[hub][3:] + "-"
    devices = [name for name in names[hub + 1 :] if name.startswith(bus) and ":" not in name]
    controller = find_nearest("/".join(names[:hub]))
    if not devices or controller is None:
        return None
    # The kernel's own root hubs: product 3 is USB 3.x, drivers/usb/core/hcd.c.
    product = sysfs.read("/".join([*names[: hub + 1], "idProduct"]))
    speed: UsbSpeed = "usb3" if product == "0003" else "usb2"
    try:
        return UsbPort(controller, speed, parse_port_chain(devices[-1][len(bus) :]))
    except AddressError:
        return None


def _is_root_hub(name: str) -> bool:
    return name.startswith("usb") and name[3:].isdecimal()
