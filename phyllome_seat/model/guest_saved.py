"""A guest's saved state, told where the USB devices that it had are now.

libvirt restores a guest only with every device that it was saved with, by the number of then, and
refuses to have one taken out ("host device count does not match"): a number may be changed. Seen
in the lab, libvirt 11.3; the guest sees none of them until each is attached anew (`reconcile`).
What others put into the guest is left alone.
"""

from __future__ import annotations

from phyllome_seat.model.devices import Hostdev, UsbDevice
from phyllome_seat.model.domain_xml import add, parse_domain, render_domain
from phyllome_seat.model.guest import alias_of, usb_source
from phyllome_seat.model.guest_usb import parse_alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from phyllome_seat.model.address import UsbPort


def find_had(
    saved: Iterable[Hostdev], usb: Iterable[UsbDevice]
) -> Iterator[tuple[Hostdev, UsbPort, UsbDevice | None]]:
    """Yield what a guest had when it was saved, its place, and what of `usb` that is now.

    None where nothing is plugged in there, or another device: that is not it.
    """
    by_port = {device.port: device for device in usb if device.port is not None and device.number}
    for had in saved:
        said = parse_alias(had.alias)
        if said is None:
            continue
        device = by_port.get(said.port)
        is_it = device is not None and had.usb_id in (None, device.id)
        yield had, said.port, device if is_it else None


def has_moved(had: Hostdev, device: UsbDevice) -> bool:
    """Return whether a device has another number than when its guest was saved."""
    return (had.usb_bus, had.usb_number) != (device.bus, device.number)


def renumber_saved(xml: str, usb: Iterable[UsbDevice]) -> str | None:
    """Return the saved state's XML with the numbers that these devices have now.

    None where it has them. *errors*: DomainXmlError.
    """
    domain = parse_domain(xml)
    hostdevs = domain.findall("devices/hostdev[@type='usb']")
    sources = {alias_of(hostdev): hostdev.find("source") for hostdev in hostdevs}
    changed = False
    for had, _, device in find_had(map(usb_source, hostdevs), usb):
        source = sources[had.alias]
        if source is None or device is None or not has_moved(had, device):
            continue
        for address in source.findall("address"):
            source.remove(address)
        add(source, "address", {"bus": str(device.bus), "device": str(device.number)})
        changed = True
    return render_domain(domain) if changed else None
