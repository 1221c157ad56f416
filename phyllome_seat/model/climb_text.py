"""A `Climb` as lines for people and as JSON."""

from __future__ import annotations

from phyllome_seat.model.climb import Climb, Offer, place_words
from phyllome_seat.model.devices import InputDevice, UsbDevice
from phyllome_seat.model.match import label
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.seat_file import render_usb


def render_climb(climb: Climb) -> str:
    """Return the way up, a step a line, then the verdict and what to write into a seat file."""
    lines = [_node(climb.nodes[0])] if climb.nodes else []
    if len(climb.nodes) > 1:
        lines.append("  with " + ", ".join(map(_node, climb.nodes[1:])))
    if climb.device:
        lines.append(f"→ {_usb(climb.device)}")
        lines.append("→ " + ", ".join(map(place_words, climb.ports)) + _one_socket(climb))
    lines += [f"→ behind {_usb(hub)}, {place_words(hub.port)}" for hub in climb.hubs if hub.port]
    if climb.controller:
        group = climb.controller.iommu_group
        lines.append(f"→ controller {label(climb.controller)}")
        lines.append("→ no IOMMU group" if group is None else f"→ IOMMU group {group}")
    lines += ["", *climb.words]
    if climb.offers:
        lines += ["", "for the seat file, below the seat's `usb:`, the best first:"]
        lines += [f"      - {render_usb(offer.match)}{_when(offer)}" for offer in climb.offers]
    return "\n".join(map(one_line, lines)) + "\n"


def _when(offer: Offer) -> str:
    return "  # only with `console: none`" if offer.costs else ""


def _one_socket(climb: Climb) -> str:
    return " (one socket)" if len(climb.ports) > 1 else ""


def _node(node: InputDevice) -> str:
    kinds = f" ({', '.join(node.kinds)})" if node.kinds else ""
    return f"{node.node} {node.name}{kinds}"


def _usb(device: UsbDevice) -> str:
    serial = f" serial {device.serial}" if device.serial else ""
    return f"{device.name} ({device.id}{serial})"


def climb_json(climb: Climb) -> dict[str, object]:
    """Return what `render_climb` says as JSON's own types; addresses as texts."""
    controller = climb.controller
    return {
        "nodes": [
            {"node": node.node, "name": node.name, "kinds": list(node.kinds)}
            for node in climb.nodes
        ],
        "usb": _usb_json(climb.device) if climb.device else None,
        "ports": [str(port) for port in climb.ports],
        "hubs": [_usb_json(hub) for hub in climb.hubs],
        "controller": str(controller.address) if controller else None,
        "iommu_group": controller.iommu_group if controller else None,
        "others": [_usb_json(other) for other in climb.others],
        "verdict": climb.verdict,
        "words": list(climb.words),
        "lines": [
            {"usb": render_usb(offer.match), "costs": list(offer.costs)} for offer in climb.offers
        ],
    }


def _usb_json(device: UsbDevice) -> dict[str, object]:
    return {
        "id": str(device.id),
        "name": device.name,
        "serial": device.serial,
        "port": str(device.port) if device.port else None,
    }
