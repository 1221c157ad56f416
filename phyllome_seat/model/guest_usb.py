"""A USB device for a running guest, as XML that names it as tightly as libvirt can."""

from __future__ import annotations

from phyllome_seat.model.devices import Guest, UsbDevice
from phyllome_seat.model.domain_xml import ALIAS_PREFIX


def render_usb(device: UsbDevice, alias: str) -> str:
    """Return the device by identity and by the number it has at this moment.

    Both together: the identity alone fails with twins, the number alone may be another device by
    now. Decimal, because libvirt reads a leading 0 as octal; vendor 0 is no identity for libvirt
    ("vendor cannot be 0", virDomainHostdevSubsysUSBDefParseXML).
    """
    identity = (
        f"<vendor id='0x{device.id.vendor:04x}'/><product id='0x{device.id.product:04x}'/>"
        if device.id.vendor
        else ""
    )
    return (
        "<hostdev mode='subsystem' type='usb'><source>"
        f"{identity}<address bus='{device.bus}' device='{device.number}'/>"
        f"</source><alias name='{alias}'/></hostdev>"
    )


def next_alias(guest: Guest, seat: str, number: int) -> str:
    """Return an alias for the seat's USB device with this number that no live device has.

    A device that was pulled out keeps its alias in the guest until it is detached: each attach is
    a generation of its own.
    """
    taken = {hostdev.alias for hostdev in guest.hostdevs}
    generation = 1
    while (alias := f"{ALIAS_PREFIX}{seat}-usb{number}-{generation}") in taken:
        generation += 1
    return alias


def has_usb(guest: Guest, device: UsbDevice) -> bool:
    """Return whether the running guest has the device at its number of this moment."""
    place = (device.bus, device.number)
    return any(h.live and (h.usb_bus, h.usb_number) == place for h in guest.hostdevs)


def why_not(device: UsbDevice) -> str | None:
    """Return why a device must not be attached, None when it may be.

    libvirt would attach a hub, and all behind it would vanish from the host.
    """
    if device.remembered:
        return "is not plugged in now"
    return "is a hub: what is behind it is attached, not the hub" if device.is_hub else None
