"""A libvirt domain's XML read into a `Guest`: whose it is, and which devices of the host it has.

Every place where libvirt takes a PCI function from the host counts, not only ``hostdev``: an
``interface`` of type hostdev and a ``disk`` of type nvme hold one too (formatdomain, "PCI
addresses of host devices"), and a device in two domains is refused by us alone.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbId
from phyllome_seat.model.devices import Guest, Hostdev
from phyllome_seat.model.domain_xml import ALIAS_PREFIX, find_ours, parse_domain
from phyllome_seat.model.errors import AddressError
from phyllome_seat.model.guest_ports import count_free, find_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def parse_guest(xml: str, *, state: str, live_xml: str | None = None, boot: str = "") -> Guest:
    """Return the guest of an inactive definition, and of the running one where there is one.

    `boot` tells the host's boot from others, in hexadecimal digits.

    *shape*: devices of the definition first, then the live ones, each in the XML's order.
    *errors*: DomainXmlError.
    """
    domain = parse_domain(xml)
    ours = find_ours(domain)
    hostdevs = _hostdevs(domain, live=False)
    usb_free = usb_bus = run = None
    if live_xml is not None:
        live = parse_domain(live_xml)
        hostdevs += _hostdevs(live, live=True)
        usb_free, usb_bus = count_free(live), find_bus(live)
        run = _run(live, boot)
    return Guest(
        name=domain.findtext("name", ""),
        uuid=domain.findtext("uuid", ""),
        state=state,
        seat=None if ours is None else ours.get("name"),
        created=ours is not None and ours.get("created") == "yes",
        hostdevs=hostdevs,
        xml=xml,
        usb_free=usb_free,
        usb_bus=usb_bus,
        run=run,
    )


def parse_saved(xml: str) -> tuple[Hostdev, ...]:
    """Return the USB devices in a saved state's XML. *errors*: DomainXmlError."""
    return tuple(h for h in _hostdevs(parse_domain(xml), live=False) if h.pci is None)


def parse_live(domain: Element, boot: str = "") -> Guest | None:
    """Return a running guest from its live XML alone, None where that is of one that is off.

    What runs has an id there, and nothing else has (virDomainDefFormatInternal).
    """
    if domain.get("id") is None:
        return None
    return Guest(
        domain.findtext("name", ""),
        domain.findtext("uuid", ""),
        state="running",
        hostdevs=_hostdevs(domain, live=True),
        usb_bus=find_bus(domain),
        run=_run(domain, boot),
    )


def _run(live: Element, boot: str) -> str | None:
    number = _number(live.get("id", ""))
    return None if number is None else f"{number}_{boot}"


def is_ours(hostdev: Hostdev) -> bool:
    """Return whether we put a device into its domain."""
    return bool(hostdev.alias and hostdev.alias.startswith(ALIAS_PREFIX))


def pci_source(device: Element) -> PciAddress | None:
    """Return which of the host's functions an element below ``devices`` takes, None for none."""
    address = device.find("source/address")
    if address is None or address.get("slot") is None:
        return None
    parts = [_number(address.get(key, "0")) for key in ("domain", "bus", "slot", "function")]
    try:
        return PciAddress(*(-1 if part is None else part for part in parts))
    except AddressError:
        return None


def alias_of(device: Element) -> str | None:
    """Return a device's alias, None without one."""
    alias = device.find("alias")
    return None if alias is None else alias.get("name")


def _hostdevs(domain: Element, *, live: bool) -> tuple[Hostdev, ...]:
    found = []
    for device in domain.findall("devices/*"):
        alias = alias_of(device)
        managed = device.get("managed") == "yes"
        address = pci_source(device)
        if address is not None:
            found.append(Hostdev(pci=address, alias=alias, managed=managed, live=live))
        elif device.tag == "hostdev" and device.get("type") == "usb":
            found.append(usb_source(device, live=live))
    return tuple(found)


def usb_source(device: Element, *, live: bool = False) -> Hostdev:
    """Return a USB device as its source names it: by place, by identity, or by both."""
    address = device.find("source/address")
    vendor, product = (device.find(f"source/{tag}") for tag in ("vendor", "product"))
    numbers = [_number(e.get("id", "")) for e in (vendor, product) if e is not None]
    identity: UsbId | None = None
    match numbers:
        case [int(v), int(p)] if 0 <= v <= 0xFFFF and 0 <= p <= 0xFFFF:
            identity = UsbId(v, p)
    return Hostdev(
        usb_bus=None if address is None else _number(address.get("bus", "")),
        usb_number=None if address is None else _number(address.get("device", "")),
        usb_id=identity,
        alias=alias_of(device),
        live=live,
    )


def _number(text: str) -> int | None:
    """Return a number as libvirt reads it: ``0x1f`` or ``31``, and a leading 0 is octal
    (virStrToLong with base 0); None for no number.
    """
    try:
        return int(text, 8) if text.startswith("0") and text.isdigit() else int(text, 0)
    except ValueError:
        return None
