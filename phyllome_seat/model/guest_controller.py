"""A USB controller of ours in a guest that has too few ports: added whole, taken out whole.

Its owner's controllers stay as they are. Where USB is turned off by its owner (``model='none'``)
libvirt takes no controller, and it stays off.
"""

from __future__ import annotations

from phyllome_seat.model.domain_xml import ALIAS_PREFIX, add, child, remove
from phyllome_seat.model.guest_ports import MOST_PORTS, count_xhci_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


def put_controller(domain: Element, seat: str, *, wanted: bool) -> None:
    """Make sure that a guest can take as many USB devices as one controller can, if `wanted`."""
    ours = _ours(domain)
    others = count_xhci_ports(domain) - sum(int(c.get("ports", "0")) for c in ours)
    is_off = any(c.get("model") == "none" for c in _controllers(domain))
    alias = f"{ALIAS_PREFIX}{seat}-xhci-1"
    is_needed = wanted and others < MOST_PORTS and not is_off
    kept = [c for c in ours if is_needed and child(c, "alias").get("name") == alias][:1]
    for controller in ours:
        if controller not in kept:
            _take_out(domain, controller)
    if is_needed and not kept:
        index = max((int(c.get("index", "0")) for c in _controllers(domain)), default=-1) + 1
        shape = {"type": "usb", "index": str(index), "model": "qemu-xhci", "ports": str(MOST_PORTS)}
        controller = add(child(domain, "devices"), "controller", shape)
        add(controller, "alias", {"name": alias})


def take_controllers(domain: Element) -> None:
    """Take every USB controller of ours out."""
    for controller in _ours(domain):
        _take_out(domain, controller)


def _controllers(domain: Element) -> list[Element]:
    return domain.findall("devices/controller[@type='usb']")


def _ours(domain: Element) -> list[Element]:
    found = []
    for controller in _controllers(domain):
        alias = controller.find("alias")
        if alias is not None and alias.get("name", "").startswith(ALIAS_PREFIX):
            found.append(controller)
    return found


def _take_out(domain: Element, controller: Element) -> None:
    """Remove a controller; what libvirt has put on it since gets another place from libvirt."""
    for device in domain.findall("devices/*"):
        address = device.find("address[@type='usb']")
        if address is not None and address.get("bus") == controller.get("index"):
            remove(device, address)
    remove(child(domain, "devices"), controller)
