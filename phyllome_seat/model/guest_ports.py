"""How many USB devices a guest can take: its USB controllers, their ports, what sits there.

Numbers are libvirt's, who gives each device a port: ``virDomainUSBAddressControllerModelToPorts``
in src/conf/domain_addr.c. A controller cannot be added to a guest that runs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_PORTS = 15  # of an xHCI in QEMU, for either speed: XHCI_MAXPORTS_2 and _3, hw/usb/hcd-xhci.h
_XHCI_PORTS = 4  # where its definition does not say
_XHCI = ("qemu-xhci", "nec-xhci")
_PORTS = {
    "none": 0,
    "piix3-uhci": 2,
    "piix4-uhci": 2,
    "vt82c686b-uhci": 2,
    "ich9-uhci1": 2,
    "ich9-uhci2": 2,
    "ich9-uhci3": 2,
    "pci-ohci": 3,
    "ehci": 6,
    "ich9-ehci1": 6,
}
_HUB_PORTS = 8  # QEMU's usb-hub


def count_free(domain: Element) -> int | None:
    """Return how many USB devices a running guest can still take; None where a controller is of a
    kind that nobody knows.

    Only on its xHCIs where it has any: an older controller does not take a device of every speed.
    """
    buses = _buses(domain)
    chosen = _xhci_buses(domain) or buses.keys()
    ports = [buses[bus] for bus in chosen]
    taken = [bus for bus in _taken(domain) if bus in chosen]
    hubs = sum(
        _bus(address) in chosen for address in domain.findall("devices/hub/address[@type='usb']")
    )
    known = [number for number in ports if number is not None]
    if len(known) < len(ports):
        return None
    return max(sum(known) + _HUB_PORTS * hubs - len(taken), 0)


def find_bus(domain: Element) -> int | None:
    """Return the bus a device must be asked for, None where libvirt's own choice is right: it takes
    the first bus with a free port, be it one too slow for the device.
    """
    xhci = _xhci_buses(domain)
    buses = _buses(domain)
    if not xhci or len(xhci) == len(buses):
        return None
    taken = _taken(domain)
    free = [bus for bus in sorted(xhci) if taken.count(bus) < (buses[bus] or 0)]
    return free[0] if free else None


def count_xhci_ports(domain: Element) -> int:
    """Return the ports of all xHCIs in a definition."""
    return sum(
        _ports(controller) or 0
        for controller in _controllers(domain)
        if controller.get("model") in _XHCI
    )


def _controllers(domain: Element) -> list[Element]:
    return domain.findall("devices/controller[@type='usb']")


def _buses(domain: Element) -> dict[int, int | None]:
    """Return the ports of each bus. Companions of one EHCI share its bus, and its ports."""
    buses: dict[int, int | None] = {}
    for controller in _controllers(domain):
        if controller.get("model") == "none":
            continue
        index = _number(controller.get("index"))
        ports = _ports(controller)
        other = buses.setdefault(index, ports)
        buses[index] = None if ports is None or other is None else max(ports, other)
    return buses


def _xhci_buses(domain: Element) -> set[int]:
    return {_number(c.get("index")) for c in _controllers(domain) if c.get("model") in _XHCI}


def _ports(controller: Element) -> int | None:
    model = controller.get("model", "")
    if model in _XHCI:
        return _number(controller.get("ports"), _XHCI_PORTS)
    return _PORTS.get(model)


def _taken(domain: Element) -> list[int]:
    """Return the bus of each USB device in the guest, its hubs included."""
    return [_bus(address) for address in domain.findall("devices/*/address[@type='usb']")]


def _bus(address: Element) -> int:
    return _number(address.get("bus"))


def _number(text: str | None, default: int = 0) -> int:
    return int(text) if text and text.isdigit() else default
