"""Which seat has what now: the wish beside the machine, nothing decided, nothing refused."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Guest, Host, PciDevice
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Seat, Wish

VERSION = 1


def find_status(wish: Wish, host: Host) -> dict[str, object]:
    """Return the status as JSON holds it: seats in the file's order, then what is ours elsewhere.

    *shape*: ``{"phyllome_seat_status": 1, "seats": [...], "pending": [...], "bound": [...],
    "guests": "asked" | "not asked"}``.
    """
    return {
        "phyllome_seat_status": VERSION,
        "seats": [_seat(seat, host) for seat in wish.seats],
        "bound": [
            {"address": str(item.address), "seat": item.seat, "before": item.driver}
            for item in host.before
        ],
        "pending": [
            {"address": str(item.address), "driver": item.driver, "holders": list(item.holders)}
            for item in host.pending
        ],
        "guests": "not asked" if host.guests is None else "asked",
    }


def _seat(seat: Seat, host: Host) -> dict[str, object]:
    guest = next((g for g in host.guests_known if g.name == seat.guest_name), None)
    return {
        "seat": seat.name,
        "guest": seat.guest_name,
        "state": _state(seat, guest, host),
        "devices": [
            *_gpu(seat, host),
            *(line for match in seat.usb for line in _usb(match, host)),
        ],
        "in_guest": [str(h.pci) for h in guest.hostdevs if h.live and h.pci] if guest else [],
    }


def _state(seat: Seat, guest: Guest | None, host: Host) -> str:
    if seat.guest_name is None:
        return "no guest"
    if host.guests is None:
        return "not known: libvirt was not asked"
    if guest is None:
        return "no such domain yet"
    return guest.state


def _gpu(seat: Seat, host: Host) -> list[str]:
    if seat.gpu is None:
        return []
    functions = host.functions_of(seat.gpu.address)
    if not functions:
        return [f"{seat.gpu.address}  not there"]
    monitors = [
        f"{c.name} {c.monitor.name or c.monitor.maker}" + (" (remembered)" if c.remembered else "")
        for c in host.connectors
        if c.gpu == seat.gpu.address and c.monitor
    ]
    lines = [_function(function) for function in functions]
    return [lines[0] + (f"  monitor: {', '.join(monitors)}" if monitors else ""), *lines[1:]]


def _usb(match: PciMatch | PortMatch | DeviceMatch, host: Host) -> list[str]:
    if isinstance(match, PciMatch):
        device = host.by_address.get(match.address)
        below = [d for d in host.usb if d.port and d.port.controller == match.address]
        lines = [_function(device) if device else f"{match.address}  not there"]
        return [lines[0] + _names([d.name for d in below if not d.is_hub])]
    if isinstance(match, PortMatch):
        return [f"{_socket(match)}{_names(_plugged(match, match.controller, host))}"]
    present = [d for d in host.usb if d.id == match.id and match.serial in (None, d.serial)]
    words = f"device {match.id}" + (f" serial {match.serial}" if match.serial else "")
    return [words + (_names([d.name for d in present]) or "  not plugged in")]


def _socket(match: PortMatch) -> str:
    chains = [("usb2", match.usb2), ("usb3", match.usb3)]
    words = [f"{speed} {'.'.join(map(str, chain))}" for speed, chain in chains if chain]
    return f"{match.controller} {' · '.join(words)}"


def _plugged(match: PortMatch, controller: PciAddress, host: Host) -> list[str]:
    wanted = {("usb2", match.usb2), ("usb3", match.usb3)}
    return [
        device.name
        for device in host.usb
        if device.port
        and device.port.controller == controller
        and any(
            chain and device.port.speed == speed and device.port.ports[: len(chain)] == chain
            for speed, chain in wanted
        )
    ]


def _names(names: list[str]) -> str:
    return f"  ({', '.join(names)})" if names else ""


def _function(device: PciDevice) -> str:
    return f"{device.address}  {device.name}  {device.driver or 'no driver'}"


def render_status(status: dict[str, object]) -> str:
    """Return the status of `find_status` as text for a person; ends with a line feed."""
    lines: list[str] = []
    for seat in _listed(status, "seats"):
        lines.append(f"seat {seat['seat']}: guest {seat['guest'] or '–'}: {seat['state']}")
        devices = seat["devices"]
        assert isinstance(devices, list)
        lines += [f"  {device}" for device in devices]
    for item in _listed(status, "pending"):
        holders = item["holders"]
        assert isinstance(holders, list)
        held = f" (held by {', '.join(holders)})" if holders else ""
        lines.append(f"{item['address']}: unbind pending{held}")
    known = {seat["seat"] for seat in _listed(status, "seats")}
    for item in _listed(status, "bound"):
        if item["seat"] not in known:
            lines.append(f"{item['address']}: bound for seat {item['seat']}, which is in no file")
    if not lines:
        lines.append("no seat is set up here, and the seat file names none")
    return "\n".join(lines) + "\n"


def _listed(status: dict[str, object], key: str) -> list[dict[str, object]]:
    value = status[key]
    assert isinstance(value, list)
    return value
