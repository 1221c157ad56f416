"""A USB device for a running guest, as XML that names it as tightly as libvirt can.

Its alias says whose it is and where it was plugged in: ``ua-phyllome-left-usb2_0000_00_14_0_4_1-3``
is seat left's, from port 4.1 of controller 0000:00:14.0, USB 2, the third of that port. The place
is in it because the running guest's XML knows only a number, which the next device may have.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort, parse_port_chain
from phyllome_seat.model.devices import Guest, UsbDevice
from phyllome_seat.model.domain_xml import ALIAS_PREFIX
from phyllome_seat.model.errors import AddressError


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


def next_alias(guest: Guest, seat: str, port: UsbPort) -> str:
    """Return an alias for what the seat has at this port that no live device has.

    A device that was pulled out keeps its alias in the guest until it is detached, and libvirt
    refuses one that is there ("non unique alias"): each attach is a generation of its own.
    """
    taken = {hostdev.alias for hostdev in guest.hostdevs}
    place = "_".join([str(port.controller), *map(str, port.ports)])
    stem = f"{ALIAS_PREFIX}{seat}-{port.speed}_{place.replace(':', '_').replace('.', '_')}"
    generation = 1
    while (alias := f"{stem}-{generation}") in taken:
        generation += 1
    return alias


def parse_alias(alias: str) -> tuple[str, UsbPort] | None:
    """Return seat and port of an alias of ours, None for any other text."""
    parts = alias.removeprefix(ALIAS_PREFIX).rsplit("-", 2)
    if not alias.startswith(ALIAS_PREFIX) or len(parts) != 3:
        return None
    match parts[1].split("_"):
        case ["usb2" | "usb3" as speed, domain, bus, slot, function, *chain]:
            try:
                controller = PciAddress.parse(f"{domain}:{bus}:{slot}.{function}")
                return parts[0], UsbPort(controller, speed, parse_port_chain(".".join(chain)))
            except AddressError:
                return None
    return None


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
