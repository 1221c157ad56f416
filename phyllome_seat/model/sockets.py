"""Sockets learned by plugging something into them."""

from __future__ import annotations

from phyllome_seat.model.climb import Climb, Offer, climb_usb, place_words
from phyllome_seat.model.devices import Host, UsbDevice
from phyllome_seat.model.match import label
from phyllome_seat.model.match_usb import find_peer
from phyllome_seat.model.seat import PortMatch
from phyllome_seat.model.seat_file import render_usb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    Plug = tuple[str, int]  # the kernel's name of a device and its number, new with every plug


def plugs(host: Host) -> frozenset[Plug]:
    """Return what is plugged in now; what is pulled out and plugged again is another."""
    return frozenset((d.sysname, d.number) for d in host.usb if not d.remembered)


def find_learned(host: Host, known: Collection[Plug], seat: str = "this") -> tuple[Climb, ...]:
    """Return the sockets that something was plugged into since `known`, one each.

    Both halves of a hub are in one socket, and what came with a hub, behind it, is in the hub's.
    """
    new = {
        device.port: device
        for device in host.usb
        if device.port and not device.remembered and (device.sysname, device.number) not in known
    }
    places = list(new)
    halves = [peer for port in places if new[port].is_hub and (peer := find_peer(host, port))]
    tops = [port for port in places if not any(port.is_below(hub) for hub in (*places, *halves))]
    found: dict[tuple[object, ...], Climb] = {}
    for port in sorted(tops, key=lambda port: port.speed):
        socket = climb_usb(host, new[port], seat)
        found.setdefault(socket.ports, socket)
    return tuple(found.values())


def port_offer(socket: Climb) -> Offer | None:
    """Return the socket as a seat file names it, None where it cannot."""
    return next((offer for offer in socket.offers if isinstance(offer.match, PortMatch)), None)


def render_socket(socket: Climb) -> str:
    """Return one learned socket as text: where it is, what was plugged in, the line or why not."""
    assert socket.device is not None
    where = ", ".join(map(place_words, socket.ports))
    controller = label(socket.controller) if socket.controller else "a controller not on PCI"
    lines = [f"{where} of {controller}: {_name(socket.device)}"]
    if len(socket.ports) == 1:
        lines.append("  the kernel knows one speed of this socket only")
    offer = port_offer(socket)
    if offer is None:
        lines += [f"  {words}" for words in socket.words]
    else:
        lines += [f"  only with `console: none`: {words}" for words in offer.costs]
        lines.append(f"      - {render_usb(offer.match)}")
    return "\n".join(lines) + "\n"


def _name(device: UsbDevice) -> str:
    return f"{device.name} (a hub: all behind it)" if device.is_hub else device.name


def socket_json(socket: Climb) -> dict[str, object]:
    """Return a learned socket as JSON's own types."""
    offer = port_offer(socket)
    return {
        "ports": [str(port) for port in socket.ports],
        "controller": str(socket.controller.address) if socket.controller else None,
        "plugged": socket.device.name if socket.device else None,
        "line": render_usb(offer.match) if offer else None,
        "costs": list(offer.costs) if offer else [],
        "words": list(socket.words),
    }
