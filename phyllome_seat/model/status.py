"""Which seat has what now: the wish beside the machine, nothing decided, nothing refused."""

from __future__ import annotations

from collections.abc import Iterable

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.devices import Guest, Host, PciDevice, UsbDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.lend import NOTHING_SAID, Lending
from phyllome_seat.model.match import find_controller, find_gpu, gpu_functions, name_monitor
from phyllome_seat.model.match_usb import find_devices, find_ports
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch, Seat, UsbMatch, Wish
from phyllome_seat.model.status_usb import find_usb_status, render_usb_status

VERSION = 1


def find_status(
    wish: Wish, host: Host, lending: Lending = NOTHING_SAID, now_s: float = 0.0
) -> dict[str, object]:
    """Return the status as JSON holds it: seats in the file's order, then what is ours elsewhere.

    *shape*: ``{"phyllome_seat_status": 1, "seats": [...], "pending": [...], "bound": [...],
    "asked": [...], "guests": "asked" | "not asked"}``; ``usb`` of each seat, and ``asked`` for what
    is in no seat's place, are as `find_usb_status` says.
    """
    usb = find_usb_status(wish, host, lending, now_s)
    return {
        "phyllome_seat_status": VERSION,
        "seats": [_seat(seat, host) | {"usb": usb.get(seat.name, [])} for seat in wish.seats],
        "asked": usb.get("", []),
        "bound": [
            {
                "address": str(item.address),
                "seat": item.seat,
                "before": item.driver if item.known else "not known",
            }
            for item in host.before
        ],
        "pending": [
            {
                "address": str(item.address),
                "driver": item.driver,
                "doing": item.doing,
                "holders": list(item.holders),
            }
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
    """Return a line for each function of the seat's card, and what about it does not hold."""
    wrong: tuple[str, ...] = ()
    try:
        gpu = find_gpu(host, seat)
    except AssignmentError as error:  # said, not raised: status is for a set-up that is broken too
        wrong = error.conflicts
        gpu = host.by_address.get(seat.gpu.address) if seat.gpu else None
        gpu = gpu if gpu and seat.gpu and seat.gpu.id.matches(gpu.id) else None
    if gpu is None:
        return list(wrong)
    monitors = [
        f"{c.name} {name_monitor(c.monitor)}" + _remembered(c.remembered)
        for c in host.connectors
        if c.gpu == gpu.address and c.monitor
    ]
    lines = [_function(function) for function in gpu_functions(host, gpu)]
    lines[0] += f"  monitor: {', '.join(monitors)}" if monitors else ""
    return [*lines, *wrong]


def _usb(match: UsbMatch, host: Host) -> list[str]:
    """Return lines for one USB place or device of a seat."""
    try:
        return [_named(match, host)]
    except AssignmentError as error:
        return list(error.conflicts)


def _named(match: UsbMatch, host: Host) -> str:
    match match:
        case PciMatch():
            controller = find_controller(host, match)
            at = (d for d in host.usb if d.port and d.port.controller == controller.address)
            return _function(controller) + _things(at)
        case PortMatch():
            ports = find_ports(host, match)
            return " and ".join(map(str, ports)) + _things(
                d for d in host.usb if any(_is_at(d.port, port) for port in ports)
            )
        case DeviceMatch():
            words = f"device {match.id}" + (f" (serial {match.serial})" if match.serial else "")
            return words + (_things(find_devices(host, match)) or "  not plugged in")


def _is_at(place: UsbPort | None, port: UsbPort) -> bool:
    return place is not None and (place == port or place.is_below(port))


def _things(devices: Iterable[UsbDevice]) -> str:
    """Return what is plugged in, in words; hubs are not worth one."""
    words = [
        d.name + (f" (serial {d.serial})" if d.serial else "") + _remembered(d.remembered)
        for d in devices
        if not d.is_hub
    ]
    return f"  with {', '.join(words)}" if words else ""


def _remembered(is_it: bool) -> str:
    return " (remembered)" if is_it else ""


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
        lines += [f"  {render_usb_status(entry)}" for entry in _listed(seat, "usb")]
    for item in _listed(status, "pending"):
        holders = item["holders"]
        assert isinstance(holders, list)
        held = f" (held by {', '.join(holders)})" if holders else ""
        lines.append(f"{item['address']}: {item['doing']} {item['driver']} pending{held}")
    lines += [render_usb_status(entry) for entry in _listed(status, "asked")]
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
