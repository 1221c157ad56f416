"""Where a device sits inside a guest: PCI buses of the guest, and which of them are free.

libvirt gives every device an address of its own. Functions that belong together (a card and its
sound) want one device in the guest as they are one on the board, so those we place ourselves: on
a free root port of a PCI Express machine (bus N is the port with index N, slot 0), else on a
free slot of bus 0. "Slot" is libvirt's word for a PCI device number (formatdomain, "Device
Addresses").
"""

from __future__ import annotations

from phyllome_seat.model.domain_xml import DomainXmlError, add, child, remove
from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ROOT_PORT = "pcie-root-port"

# On i440fx, 1 is the PIIX3 and 2 is kept for the first video card: libvirt's
# qemuDomainValidateDevicePCISlotsPIIX3.
_FIRST_FREE_SLOT = 3
_SLOTS = 32


@dataclass(frozen=True, slots=True)
class GuestPlace:
    """One PCI device number in the guest."""

    bus: int
    slot: int


def place_of(device: Element) -> GuestPlace | None:
    """Return where a device sits, None where libvirt has not said yet or it is not PCI."""
    address = device.find("address")
    if address is None or address.get("type") != "pci":
        return None
    try:
        return GuestPlace(int(address.get("bus", "0"), 0), int(address.get("slot", "0"), 0))
    except ValueError:
        return None


def sit_together(functions: list[Element]) -> bool:
    """Return whether these devices are functions 0, 1, ... of one device in the guest; one that
    libvirt is yet to place is.
    """
    addresses = [function.find("address") for function in functions]
    if len(functions) == 1:
        return addresses[0] is None or addresses[0].get("function", "0x0") == "0x0"
    numbers = [a.get("function", "0x0") for a in addresses if a is not None]
    first = addresses[0]
    return (
        numbers == [f"0x{n:x}" for n in range(len(functions))]
        and len({place_of(function) for function in functions}) == 1
        and place_of(functions[0]) is not None
        and first is not None
        and first.get("multifunction") == "on"
    )


def seat_together(functions: list[Element], place: GuestPlace) -> None:
    """Make these devices functions 0, 1, ... at one place; the first says there are more."""
    for number, function in enumerate(functions):
        leave_place(function)
        attributes = {
            "type": "pci",
            "domain": "0x0000",
            "bus": f"0x{place.bus:02x}",
            "slot": f"0x{place.slot:02x}",
            "function": f"0x{number:x}",
        }
        add(function, "address", attributes | ({} if number else {"multifunction": "on"}))


def leave_place(function: Element) -> None:
    """Let libvirt choose where a device sits."""
    address = function.find("address")
    if address is not None:
        remove(function, address)


def free_place(domain: Element) -> GuestPlace:
    """Return a place where nothing sits, on a new root port where every one is taken."""
    taken = {place_of(device) for device in domain.findall("devices/*")}
    if not _is_express(domain):
        free = [p for s in range(_FIRST_FREE_SLOT, _SLOTS) if (p := GuestPlace(0, s)) not in taken]
        if not free:
            raise DomainXmlError("no slot is free on the guest's PCI bus")
        return free[0]
    controllers = pci_controllers(domain)
    ports = {bus for bus, c in controllers.items() if c.get("model") == ROOT_PORT}
    for bus in sorted(ports - {place.bus for place in taken if place}):
        return GuestPlace(bus, 0)
    bus = max([0, *controllers]) + 1
    new = {"type": "pci", "index": str(bus), "model": ROOT_PORT}
    add(child(domain, "devices"), "controller", new)
    return GuestPlace(bus, 0)


def pci_controllers(domain: Element) -> dict[int, Element]:
    """Return what carries the guest's PCI buses, by bus number: roots, ports and bridges."""
    return {_index(c): c for c in domain.findall("devices/controller[@type='pci']")}


def find_unused(domain: Element, buses: set[int]) -> set[int]:
    """Return which of these buses carry no device, but for bridges to one another."""
    unused = set(buses)
    own = {id(c): bus for bus, c in pci_controllers(domain).items()}
    places = [(own.get(id(d)), place_of(d)) for d in domain.findall("devices/*")]
    while used := {p.bus for bus, p in places if p and p.bus in unused and bus not in unused}:
        unused -= used
    return unused


def _index(controller: Element) -> int:
    text = controller.get("index", "0")
    return int(text) if text.isdigit() else 0


def _is_express(domain: Element) -> bool:
    """Return whether the guest's root bus is PCI Express: its controller says so once libvirt has
    seen it, before that the machine's name does.
    """
    root = domain.find("devices/controller[@type='pci'][@index='0']")
    if root is not None:
        return root.get("model") == "pcie-root"
    kind = domain.find("os/type")
    machine = "" if kind is None else kind.get("machine", "")
    return "q35" in machine or machine.startswith("virt")
