"""A seat's devices put into a domain's definition, and taken out again; nothing else is touched.

What is ours says so: our devices by their alias ``ua-phyllome-<seat>-<what>-<generation>``, the
domain by an element in its metadata. A device that the domain had already is adopted: only its
``managed`` and alias change, and the metadata remembers what they were.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.domain_xml import (
    ALIAS_PREFIX,
    NAMESPACE,
    PREFIX,
    add,
    child,
    find_ours,
    parse_domain,
    remove,
    render_domain,
    same,
)
from phyllome_seat.model.guest import alias_of, pci_source
from phyllome_seat.model.guest_controller import put_controller, take_controllers
from phyllome_seat.model.guest_place import (
    find_unused,
    free_place,
    leave_place,
    pci_controllers,
    seat_together,
    sit_together,
)
from phyllome_seat.model.step import GuestPci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def edit_guest(
    xml: str,
    seat: str,
    pci: tuple[GuestPci, ...],
    *,
    created: bool = False,
    takes_usb: bool = False,
) -> str:
    """Return the inactive definition `xml` with exactly these devices of the seat in it, and where
    it `takes_usb`, with ports for USB devices to come.

    The very same text where it has them already, so that editing twice is editing once, also
    after libvirt filled in addresses. ``created`` marks a domain that we make. Addresses in the
    guest are libvirt's choice but for functions that share one device there.

    *errors*: DomainXmlError.
    """
    domain = parse_domain(xml)
    ours = _mark(domain, seat, created=created)
    aliases = pci_aliases(seat, pci)
    for device in _our_devices(domain):
        if pci_source(device) not in aliases:
            _take_out(domain, ours, device)
    _forget_lost(domain, ours)
    for address, alias in aliases.items():
        _put_in(domain, ours, address, alias)
    _place_units(domain, ours, pci)
    put_controller(domain, seat, wanted=takes_usb)
    return xml if same(domain, parse_domain(xml)) else render_domain(domain)


def needs_edit(xml: str, seat: str, pci: tuple[GuestPci, ...], *, takes_usb: bool = False) -> bool:
    """Return whether `edit_guest` would change anything."""
    return edit_guest(xml, seat, pci, takes_usb=takes_usb) != xml


def restore_guest(current_xml: str, before_xml: str | None) -> str:
    """Return the definition as it is now without what is ours; what its owner changed stays.

    Exactly `before_xml`, the definition from before the first edit, where nobody changed anything
    since. Root ports that came with our devices go when nothing sits there any more; without
    `before_xml` they stay, because nobody knows whose they are.
    """
    domain = parse_domain(current_xml)
    ours = find_ours(domain)
    for device in _our_devices(domain):
        _take_out(domain, ours, device)
    take_controllers(domain)
    if ours is not None:
        _remove_mark(domain, ours)
    if before_xml is None:
        return current_xml if same(domain, parse_domain(current_xml)) else render_domain(domain)
    before = parse_domain(before_xml)
    _remove_new_buses(domain, before)
    if same(_comparable(domain), _comparable(before)):
        return before_xml
    return render_domain(domain)


def pci_aliases(seat: str, pci: tuple[GuestPci, ...]) -> dict[PciAddress, str]:
    """Return each function's alias; the generation numbers those with the same word."""
    aliases: dict[PciAddress, str] = {}
    generations: dict[str, int] = {}
    for item in pci:
        generations[item.what] = generations.get(item.what, 0) + 1
        aliases[item.address] = f"{ALIAS_PREFIX}{seat}-{item.what}-{generations[item.what]}"
    return aliases


# -- our element in the metadata -------------------------------------------------------------------


def _mark(domain: Element, seat: str, *, created: bool) -> Element:
    """Return our element in the metadata with the seat's name, added where there is none.

    libvirt keeps one element for each namespace, whatever else is in there: formatdomain,
    "General metadata".
    """
    ours = find_ours(domain)
    if ours is None:
        metadata = domain.find("metadata")
        if metadata is None:
            metadata = _add_metadata(domain)
        ours = add(metadata, f"{PREFIX}:seat", {f"xmlns:{PREFIX}": NAMESPACE})
    ours.set("name", seat)
    if created:
        ours.set("created", "yes")
    return ours


def _add_metadata(domain: Element) -> Element:
    from xml.etree.ElementTree import Element

    heads = ("name", "uuid", "genid", "title", "description")  # libvirt prints these before it
    index = max((n for n, e in enumerate(domain, 1) if e.tag in heads), default=0)
    metadata = Element("metadata")
    metadata.text, metadata.tail = "\n    ", domain.text
    domain.insert(index, metadata)
    return metadata


def _remove_mark(domain: Element, ours: Element) -> None:
    metadata = child(domain, "metadata")
    remove(metadata, ours)
    if not len(metadata):
        remove(domain, metadata)


def _adopted(ours: Element, address: PciAddress) -> Element | None:
    """Return what our metadata remembers of an adopted device, None for one that we added."""
    found = (e for e in ours if str(e.tag).endswith("adopted") and e.get("device") == str(address))
    return next(found, None)


# -- devices ---------------------------------------------------------------------------------------


def _our_devices(domain: Element) -> list[Element]:
    return [d for d in _pci_devices(domain) if (alias_of(d) or "").startswith(ALIAS_PREFIX)]


def _pci_devices(domain: Element) -> list[Element]:
    return domain.findall("devices/hostdev[@type='pci']")


def _put_in(domain: Element, ours: Element, address: PciAddress, alias: str) -> None:
    """Make sure the function is in the domain, ours, not managed by libvirt."""
    device = next((d for d in _pci_devices(domain) if pci_source(d) == address), None)
    if device is None:
        device = _new_device(domain, address)
    elif not (alias_of(device) or "").startswith(ALIAS_PREFIX):
        _adopt(ours, device, address)
    device.set("managed", "no")
    child(device, "alias").set("name", alias)


def _new_device(domain: Element, address: PciAddress) -> Element:
    from xml.etree.ElementTree import indent

    devices = child(domain, "devices")
    device = add(devices, "hostdev", {"mode": "subsystem", "type": "pci", "managed": "no"})
    add(
        add(device, "source"),
        "address",
        {
            "domain": f"0x{address.domain:04x}",
            "bus": f"0x{address.bus:02x}",
            "slot": f"0x{address.device:02x}",
            "function": f"0x{address.function:x}",
        },
    )
    indent(device, level=2)
    return device


def _adopt(ours: Element, device: Element, address: PciAddress) -> None:
    """Remember how a device of the domain's owner was, before it is ours for a while."""
    was = {"managed": device.get("managed"), "alias": alias_of(device)}
    known = {key: value for key, value in was.items() if value is not None}
    add(
        ours,
        f"{str(ours.tag).rpartition(':')[0] or PREFIX}:adopted",
        {"device": str(address)} | known,
    )


def _take_out(domain: Element, ours: Element | None, device: Element) -> None:
    """Remove a device of ours, or give an adopted one back as it was."""
    address = pci_source(device)
    record = None if ours is None or address is None else _adopted(ours, address)
    if ours is None or record is None:
        remove(child(domain, "devices"), device)
        return
    managed, name = record.get("managed"), record.get("alias")
    if managed is None:
        device.attrib.pop("managed", None)
    else:
        device.set("managed", managed)
    alias = child(device, "alias")
    if name is None:
        remove(device, alias)
    else:
        alias.set("name", name)
    remove(ours, record)


def _forget_lost(domain: Element, ours: Element) -> None:
    """Forget adopted devices that the domain's owner took out since."""
    here = {str(pci_source(device)) for device in _our_devices(domain)}
    for record in [e for e in ours if e.get("device") not in here]:
        remove(ours, record)


def _place_units(domain: Element, ours: Element, pci: tuple[GuestPci, ...]) -> None:
    """Give functions of one unit one device in the guest; adopted ones stay where they are."""
    by_address = {pci_source(device): device for device in _our_devices(domain)}
    units: dict[int, list[Element]] = {}
    for item in pci:
        if _adopted(ours, item.address) is None:
            units.setdefault(item.unit, []).append(by_address[item.address])
    loose = [unit for unit in units.values() if not sit_together(unit)]
    for unit in loose:
        for function in unit:
            leave_place(function)
    for unit in loose:
        if len(unit) > 1:
            seat_together(unit, free_place(domain))


# -- on the way back -------------------------------------------------------------------------------


def _remove_new_buses(domain: Element, before: Element) -> None:
    """Remove ports and bridges that `before` has not and nothing uses, from the last one down.

    Their indexes are bus numbers: a hole below one that is used would be filled again by libvirt,
    so the first that stays ends it. A conventional PCI device brings a bridge beside a port.
    """
    controllers = pci_controllers(domain)
    unused = find_unused(domain, controllers.keys() - pci_controllers(before).keys())
    for bus in sorted(controllers, reverse=True):
        if bus not in unused:
            return
        remove(child(domain, "devices"), controllers[bus])


def _comparable(domain: Element) -> Element:
    """Return a copy without what libvirt alone decides: it marks a root port as the first of
    several as soon as it adds a second one beside it.
    """
    from copy import deepcopy

    copy = deepcopy(domain)
    for controller in pci_controllers(copy).values():
        for address in controller.findall("address"):
            address.attrib.pop("multifunction", None)
    return copy
